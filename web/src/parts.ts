/** Parts that several views are made of. */

import { ApiError, type Facet, type Hit, type Listed } from "./api";
import { announce, h, icon, plural, type Child } from "./dom";
import { PhotoUnreadable } from "./photo";
import { format, type Route } from "./routes";
import { again } from "./shell";

/** Returns the address of a smaller or larger copy of a photo. */
export function sized(url: string, width: number): string {
  const address = new URL(url, location.origin);
  address.searchParams.set("width", String(width));
  return address.pathname + address.search;
}

/** A picture, or a quiet placeholder where there is none or where it cannot be loaded. */
export function picture(url: string | null | undefined, alt: string, width: number, eager = false): HTMLElement {
  const frame = h("div", { class: "picture" });
  const none = (): void => frame.replaceChildren(h("span", { class: "none" }, "no photo"));
  if (!url) none();
  else {
    const image = h("img", {
      src: sized(url, width),
      srcset: `${sized(url, width)} 1x, ${sized(url, 2 * width)} 2x`,
      alt,
      loading: eager ? "eager" : "lazy",
      decoding: "async",
      onerror: none,
    });
    frame.append(image);
  }
  return frame;
}

export const titleOf = (recipe: { title: string; id: string }): string => recipe.title.trim() || recipe.id;

export function minutesText(minutes: number): string {
  if (minutes < 60) return `${Math.round(minutes)} min`;
  const hours = Math.floor(minutes / 60);
  const rest = Math.round(minutes % 60);
  return hours >= 48 ? plural(Math.round(hours / 24), "day") : rest ? `${hours} h ${rest} min` : `${hours} h`;
}

export function facts(recipe: { category?: string | null; minutes?: number | null }): Child {
  const known = [recipe.category, recipe.minutes ? minutesText(recipe.minutes) : null].filter(Boolean);
  return known.length ? h("p", { class: "facts" }, known.join(" · ")) : null;
}

/** Marks words that a query asked for; they come in the singular. */
export function marked(text: string, words: string[]): Child[] {
  const terms = words
    .filter((word) => word && !word.startsWith("@"))
    .sort((a, b) => b.length - a.length)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/y$/, "(?:y|ie)").replace(/ /g, "\\s+"));
  if (!terms.length) return [text];
  const found = new RegExp(`(?<!\\p{L})(?:${terms.join("|")})(?:e?s)?(?!\\p{L})`, "giu");
  const parts: Child[] = [];
  let end = 0;
  for (const match of text.matchAll(found)) {
    parts.push(text.slice(end, match.index), h("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

const LINES = 6;

/** The first ingredient lines, those with a word that was asked for before the others. */
function foremost(lines: string[], words: string[]): Child[][] {
  const all = lines.map((line) => marked(line, words));
  const asked = (line: Child[]): boolean => line.length > 1;
  return [...all.filter(asked), ...all.filter((line) => !asked(line))].slice(0, LINES);
}

/** A recipe as a card that leads to it; `extra` stands below. */
export function card(
  recipe: (Hit | Listed) & { matched?: string[] },
  options: { to?: Route; rank?: number; eager?: boolean; level?: 2 | 3 } = {},
  ...extra: Child[]
): HTMLElement {
  const id = "recipe_id" in recipe ? recipe.recipe_id : recipe.id;
  const title = titleOf({ title: recipe.title, id });
  const lines = foremost(recipe.ingredients, recipe.matched ?? []);
  return h(
    "article",
    { class: "card", "data-id": id },
    picture(recipe.photo_url, "", 320, options.eager),
    h(
      "div",
      { class: "words" },
      h(
        options.level === 2 ? "h2" : "h3",
        { class: "name" },
        options.rank ? h("span", { class: "rank", "aria-label": `${options.rank}.` }, options.rank) : null,
        h("a", { href: format(options.to ?? { view: "recipe", id }) }, title),
      ),
      facts(recipe),
      lines.length
        ? h(
            "ul",
            { class: "lines" },
            lines.map((line) => h("li", {}, line)),
          )
        : null,
      ...extra,
    ),
  );
}

/** The table of contents: chapters with dotted lines to their numbers. */
export function contents(facets: Facet[], to: (name: string) => Route): HTMLElement {
  return h(
    "ul",
    { class: "contents" },
    facets.map(({ name, count }) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: format(to(name)) },
          h("span", { class: "chapter" }, name),
          h("span", { class: "dots", "aria-hidden": "true" }),
          h("span", { class: "count" }, count, h("span", { class: "unseen" }, count === 1 ? " recipe" : " recipes")),
        ),
      ),
    ),
  );
}

export function waiting(text: string): HTMLElement {
  return h("p", { class: "waiting", role: "status" }, h("span", { class: "pot", "aria-hidden": "true" }), text);
}

/** A calm box that says what is the matter and what can be done. */
export function notice(title: string, content: Child[], kind: "empty" | "error" = "empty"): HTMLElement {
  // A view that came to nothing has no other head.
  const first = !document.querySelector("main h1");
  return h(
    "section",
    { class: `notice ${kind}`, role: kind === "error" ? "alert" : false },
    first ? h("h1", { tabindex: "-1" }, title) : h("h2", {}, title),
    ...content,
  );
}

/** Says what went wrong in a way that helps. */
export function trouble(error: unknown): HTMLElement {
  const retry = h("button", { type: "button", class: "button", onclick: again }, "Try again");
  if (error instanceof PhotoUnreadable) return notice("This photo cannot be read", [h("p", {}, error.message)], "error");
  if (!(error instanceof ApiError)) {
    return notice("Something went wrong on this page", [h("p", {}, String(error)), retry], "error");
  }
  if (error.code === "gone") {
    return notice(
      "Savor does not answer",
      [
        h("p", {}, "It may have been stopped. Start it again with ", h("code", {}, "savor serve"), ", then try again."),
        retry,
      ],
      "error",
    );
  }
  const titles: [boolean, string][] = [
    [error.code === "bad_photo", "This photo cannot be read"],
    [error.status === 401 || error.status === 403, "This is not allowed"],
    [error.status === 404, "This is not here"],
    [error.status === 413, "This is too large"],
    [error.status === 429 || error.status === 503, "Savor is busy"],
    [error.status >= 500, "Savor could not do this"],
  ];
  const title = titles.find(([fits]) => fits)?.[1] ?? "This did not work";
  const mayPass = error.status === 429 || error.status >= 500;
  const away = error.status === 404 ? h("a", { class: "button", href: "/" }, "To the search") : null;
  return notice(title, [h("p", {}, error.message), mayPass ? retry : away], "error");
}

/**
 * The button below a list that brings more of it; `bring` adds to the list and tells whether there is still more.
 * The focus goes on with the first that came.
 */
export function moreButton(list: HTMLElement, bring: () => Promise<boolean>): HTMLElement {
  const box = h("div", { class: "end" });
  const press = async (): Promise<void> => {
    button.disabled = true;
    box.querySelector(".notice")?.remove();
    const before = list.children.length;
    try {
      if (!(await bring())) button.remove();
      announce(`${list.children.length - before} more`);
      list.children[before]?.querySelector<HTMLElement>("a")?.focus();
    } catch (error) {
      box.append(trouble(error));
    }
    button.disabled = false;
  };
  const button = h("button", { type: "button", class: "button quiet", onclick: () => void press() }, "More");
  box.append(button);
  return box;
}

/** A row of small cards under a heading. */
export function shelf(title: string, hits: (Hit | Listed)[]): HTMLElement {
  return h(
    "section",
    { class: "shelf" },
    h("h2", {}, title),
    h(
      "ul",
      { class: "row" },
      hits.map((hit) => {
        const id = "recipe_id" in hit ? hit.recipe_id : hit.id;
        return h(
          "li",
          { class: "tile" },
          picture(hit.photo_url, "", 240),
          h("a", { href: format({ view: "recipe", id }) }, titleOf({ title: hit.title, id })),
        );
      }),
    ),
  );
}

export function chip(kind: "have" | "avoid" | "plain", text: string, remove: () => void): HTMLElement {
  const said = { have: `with ${text}`, avoid: `without ${text}`, plain: text }[kind];
  return h(
    "li",
    { class: `chip ${kind}` },
    h("span", {}, said),
    h("button", { type: "button", "aria-label": `Remove: ${said}`, onclick: remove }, icon("close")),
  );
}

/** Terms of groups carry a sign that only the index needs. */
export const plainTerm = (term: string): string => term.replace(/^@/, "").replace(/_/g, " ");
