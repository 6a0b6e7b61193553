/** A photo beside a recipe: which words belong to which regions. */

import * as api from "../api";
import { COLOURS, heat, numbered, pieces, reading, type Reading } from "../correspondence";
import { h, type Child } from "../dom";
import { notice, sized, titleOf, waiting } from "../parts";
import { photoOf } from "../photo";
import { format } from "../routes";
import { go, heading, titled } from "../shell";

interface Why {
  view: "why";
  id: string;
  photo: string;
  own: string;
  way: string;
}

const NAMES: Record<string, string> = {
  similarity: "Similarity",
  attention: "Attention",
  masking: "Masking",
  ranks: "Ranks",
};
const MEANINGS: Record<string, string> = {
  similarity: "how much word and region together add to the score",
  attention: "how much the model looks at the word from the region",
  masking: "how much of what the word adds to the score is gone when the region is hidden",
  ranks:
    "the first word of the text's attention beside the first region of the photo's, and so on; nothing learned ties the two together",
};
const LISTED = 6;
const HINT = "Point at a word or at a region, or tap one, to see what belongs to it.";

export async function showWhy(route: Why, main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled("Why this recipe?");
  const title = heading("Which words belong to which part of the photo");
  const photo = route.photo ? await photoOf(route.photo) : null;
  main.replaceChildren(h("div", { class: "why-head" }, back(route), title));
  if (!photo && !route.own) {
    main.append(
      notice("The photo is no longer here", [
        h("p", {}, "A photo is kept in the tab in which it was chosen, and nowhere else. Search with it again."),
        h("a", { class: "button", href: "/" }, "To the search"),
      ]),
    );
    return;
  }
  main.append(waiting("Comparing words and regions … this can take some seconds."));
  const asked = { recipe: route.id, way: route.way, photo: photo?.blob ?? null, own: route.own };
  const found = await api.explain(asked, signal);
  titled(`Why ${titleOf(found.recipe)}?`);
  const source = photo?.url ?? found.photo_data_url ?? (found.photo_url ? sized(found.photo_url, 960) : "");
  main.querySelector(".waiting")?.remove();
  main.append(ways(route, found), new Panel(found, source).element);
}

function back(route: Why): HTMLElement {
  return h("a", { class: "back", href: format({ view: "recipe", id: route.id }) }, "← The recipe");
}

function ways(route: Why, found: api.Explanation): HTMLElement {
  const inputs = found.ways.map((way) => [
    h("input", {
      type: "radio",
      name: "way",
      id: `way-${way}`,
      value: way,
      checked: way === found.way,
      onchange: () => go({ ...route, way }, true),
    }),
    h("label", { for: `way-${way}` }, NAMES[way] ?? way),
  ]);
  return h(
    "fieldset",
    { class: "ways" },
    h("legend", { class: "unseen" }, "Way of explaining"),
    inputs,
    h("p", { class: "soft small" }, `${NAMES[found.way] ?? found.way}: ${MEANINGS[found.way] ?? ""}. The deeper a word's colour, the more it weighs.`),
  );
}

type Box = [left: number, top: number, right: number, bottom: number];

/** Puts an element where a box in fractions of the photo says. */
function placed(element: HTMLElement, [left, top, right, bottom]: Box): void {
  const percent = (share: number): string => `${(share * 100).toFixed(2)}%`;
  Object.assign(element.style, {
    left: percent(left),
    top: percent(top),
    width: percent(right - left),
    height: percent(bottom - top),
  });
}

/** Words and regions, and what lights up when one of them is pointed at, focused or held. */
class Panel {
  readonly element: HTMLElement;
  private readonly read: Reading;
  private readonly cells: HTMLButtonElement[];
  private readonly words = new Map<number, HTMLElement>();
  private readonly keys = new Map<HTMLElement, number>();
  private readonly status = h("p", { class: "said", role: "status" }, HINT);
  private held: HTMLElement | null = null;

  constructor(
    private readonly found: api.Explanation,
    source: string,
  ) {
    this.read = reading(found);
    this.cells = found.boxes.map((box, cell) => this.cell(box, cell));
    const image = h("img", { src: source, alt: "The photo", draggable: "false" });
    const label = `The photo in ${found.grid[0]} rows of ${found.grid[1]} regions`;
    const frame = h("div", { class: "seen-photo", role: "group", "aria-label": label }, image, this.view(), this.cells);
    // The regions lie on the photo, so the box around them has to have its shape.
    frame.style.setProperty("--across", String(found.width / found.height));
    this.element = h(
      "div",
      { class: "correspondence" },
      h("section", { class: "seen", "aria-label": "Photo" }, h("div", { class: "stage" }, frame, this.status), this.legend()),
      h("section", { class: "read", "aria-label": "Recipe" }, this.recipe()),
    );
    const first = this.words.values().next().value;
    if (first) first.tabIndex = 0;
    this.listen();
  }

  /** Darkens the margin that the model does not see. */
  private view(): HTMLElement {
    const edge = (side: number, outermost: (...all: number[]) => number): number =>
      outermost(...this.found.boxes.map((box) => box[side]!));
    const view = h("span", { class: "view" });
    placed(view, [edge(0, Math.min), edge(1, Math.min), edge(2, Math.max), edge(3, Math.max)]);
    return view;
  }

  private place(cell: number): string {
    const columns = this.found.grid[1];
    return `row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}`;
  }

  /** Number and colour of a cell, 0 where words do not point to it. */
  private numberOf(cell: number): number {
    return this.read.pointed.indexOf(cell) + 1;
  }

  private colour(number: number): string {
    return number >= 1 && number <= COLOURS ? `r${number}` : "r0";
  }

  private cell(box: Box, cell: number): HTMLButtonElement {
    const number = this.numberOf(cell);
    const button = h(
      "button",
      { type: "button", class: `cell ${this.colour(number)}`, tabindex: cell ? -1 : 0, "aria-label": `Region at ${this.place(cell)}` },
      number && number <= COLOURS ? h("i", { "aria-hidden": "true" }, number) : null,
    );
    placed(button, box);
    return button;
  }

  private wordsOf(cell: number): number[] {
    return this.read.regions.flatMap((region, word) => (region.has(cell) ? [word] : []));
  }

  private texts(words: number[]): string[] {
    return [...new Set(words.map((word) => this.found.words[word]!.word.toLowerCase()))];
  }

  private legend(): HTMLElement {
    const items = this.read.pointed.slice(0, COLOURS).map((cell, k) => {
      const own = this.read.best.flatMap((best, word) =>
        best === cell && this.found.words[word]!.text_weight > 0 ? [word] : [],
      );
      const texts = this.texts(own);
      const shown = texts.slice(0, LISTED).join(", ") + (texts.length > LISTED ? ` and ${texts.length - LISTED} more` : "");
      const key = h(
        "button",
        { type: "button", class: `key r${k + 1}`, "aria-label": `Region ${k + 1}, ${this.place(cell)}: ${shown}` },
        h("i", { "aria-hidden": "true" }, k + 1),
        shown,
      );
      this.keys.set(key, cell);
      return h("li", {}, key);
    });
    return h("ol", { class: "legend", "aria-label": "Regions and their words" }, items);
  }

  private recipe(): Child[] {
    const { recipe } = this.found;
    const list = (part: api.Part, tag: "ul" | "ol", title: string): Child[] => {
      const lines = numbered(recipe[part as "ingredients" | "instructions"]);
      if (!lines.length) return [];
      const items = lines.map(({ text, line }) =>
        line === null ? h("li", { class: "section" }, text) : h("li", {}, this.line(text, part, line)),
      );
      return [h("h3", {}, title), h(tag, {}, items)];
    };
    return [
      h("h2", { class: "name" }, this.line(recipe.title, "title", 0)),
      list("ingredients", "ul", "Ingredients"),
      list("instructions", "ol", "Method"),
    ];
  }

  private line(text: string, part: api.Part, line: number): Child[] {
    const own = this.found.words.flatMap((word, k) => (word.part === part && word.line === line ? [k] : []));
    return pieces(text, this.found.words, own).map((piece) => (typeof piece === "string" ? piece : this.word(piece)));
  }

  private word(number: number): Child {
    const word = this.found.words[number]!;
    const cell = this.read.best[number]!;
    if (cell < 0) return word.word;
    const strength = this.read.strength[number]!;
    const region = strength > 0 ? this.numberOf(cell) : 0;
    const said = region ? `region ${region}, ${this.place(cell)}` : this.place(cell);
    const element = h(
      "span",
      {
        class: `w ${word.kind} ${this.colour(region)}`,
        role: "button",
        tabindex: -1,
        "aria-pressed": "false",
        "aria-label": `${word.word}, ${said}`,
      },
      word.word,
      region && region <= COLOURS ? h("i", { "aria-hidden": "true" }, region) : null,
    );
    element.style.setProperty("--s", `${Math.round(12 + 46 * strength)}%`);
    this.words.set(number, element);
    return element;
  }

  /** The word, region or key that an event is about. */
  private at(event: Event): HTMLElement | null {
    return (event.target as Element).closest<HTMLElement>(".w, .cell, .key");
  }

  private cellOf(element: HTMLElement): number {
    return this.keys.get(element) ?? this.cells.indexOf(element as HTMLButtonElement);
  }

  private show(one: HTMLElement | null): void {
    const number = [...this.words].find(([, element]) => element === one)?.[0];
    this.element.classList.toggle("lit", one !== null);
    if (!one) {
      for (const each of [...this.cells, ...this.words.values()]) each.classList.remove("on");
      this.status.textContent = HINT;
    } else if (number !== undefined) {
      const word = this.found.words[number]!;
      this.light(heat(word.weights), this.read.regions[number]!, [number]);
      this.status.textContent = `“${word.word}”: ${this.place(this.read.best[number]!)}; rank ${word.rank} of ${this.found.words.length} words`;
    } else {
      const cell = this.cellOf(one);
      const own = this.wordsOf(cell);
      this.light(this.cells.map((_, k) => Number(k === cell)), new Set([cell]), own);
      this.status.textContent = `Region at ${this.place(cell)}: ${this.texts(own).join(", ") || "no word"}`;
    }
  }

  private light(heats: number[], on: Set<number>, chosen: number[]): void {
    this.cells.forEach((cell, k) => {
      cell.style.setProperty("--heat", String(heats[k]));
      cell.classList.toggle("on", on.has(k));
    });
    const lit = new Set(chosen);
    for (const [number, element] of this.words) element.classList.toggle("on", lit.has(number));
  }

  private hold(one: HTMLElement | null): void {
    this.held?.setAttribute("aria-pressed", "false");
    this.held = this.held === one ? null : one;
    this.held?.setAttribute("aria-pressed", "true");
    this.show(this.held);
  }

  private listen(): void {
    const on = this.element.addEventListener.bind(this.element);
    on("pointerover", (event) => {
      if ((event as PointerEvent).pointerType !== "touch") this.show(this.at(event) ?? this.held);
    });
    on("pointerleave", () => this.show(this.held));
    on("focusin", (event) => {
      if ((event.target as Element).matches(":focus-visible")) this.show(this.at(event) ?? this.held);
    });
    on("focusout", () => this.show(this.held));
    on("click", (event) => this.hold(this.at(event)));
    on("keydown", (event) => this.key(event as KeyboardEvent));
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") return this.hold(null);
    const one = this.at(event);
    if (!one || this.keys.has(one)) return;
    const isWord = one.classList.contains("w");
    if (isWord && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      return this.hold(one);
    }
    const list: HTMLElement[] = isWord ? [...this.element.querySelectorAll<HTMLElement>(".w")] : this.cells;
    const down = isWord ? 1 : this.found.grid[1];
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -down, ArrowDown: down };
    const next = list[list.indexOf(one) + (steps[event.key] ?? NaN)];
    if (!next) return;
    event.preventDefault();
    one.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
