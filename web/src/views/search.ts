/** The first page, and what a search finds. */

import * as api from "../api";
import { asking } from "../asking";
import { announce, h, icon, plural, type Child } from "../dom";
import { chips, filters } from "../filters";
import { card, contents, moreButton, notice, picture, plainTerm, shelf, titleOf, waiting } from "../parts";
import { photoOf, type QueryPhoto } from "../photo";
import { ANYWHERE, browsing, conditions, format, isEmpty, NO_QUERY, type Query, type Where } from "../routes";
import { go, heading, titled } from "../shell";

const PAGE = 12;
/** The nearest stands alone above the others. */
const FIRST = PAGE + 1;
/** Pages that were seen, so that the way back is quick and at the same place. */
const seen = new Map<string, { answers: api.Answer[]; version: string }>();

export async function showSearch(
  { query }: { query: Query },
  main: HTMLElement,
  signal: AbortSignal,
): Promise<void> {
  if (isEmpty(query)) {
    if (conditions(query.where)) return go(browsing(query.where), true);
    return showFirst(main, signal);
  }
  titled(query.text || (query.photo ? "Your photo" : "Search"));
  const photo = query.photo ? await photoOf(query.photo) : null;
  if (signal.aborted) return;
  const title = heading(headline(query));
  main.replaceChildren(asking(query, photo, false), title);
  if (query.photo && !photo) {
    main.append(
      notice("The photo is no longer here", [
        h("p", {}, "A photo is kept in the tab in which it was chosen, and nowhere else. Choose it again."),
      ]),
    );
    return;
  }
  main.append(waiting(query.photo ? "Looking at your photo …" : "Leafing through your recipes …"));
  const info = await api.health(signal);
  const listing = await api.recipes({ limit: 1 }, signal);
  const key = format({ view: "search", query });
  const known = seen.get(key);
  const answers = known?.version === info.index.version ? known.answers : [];
  if (!answers.length) answers.push(await api.search(query, photo?.blob ?? null, { k: query.find === "photos" ? PAGE : FIRST, offset: 0 }, signal));
  seen.delete(key);
  seen.set(key, { answers, version: info.index.version });
  if (seen.size > 20) seen.delete(seen.keys().next().value!);
  const from = query.recipe ? await api.recipe(query.recipe, signal) : null;
  main.querySelector(".waiting")?.remove();
  if (answers[0]?.confidence?.level === "none") title.textContent = "Nearest to your photo";
  if (from) title.textContent = `${query.find === "photos" ? "Photos" : "Recipes"} like ${titleOf(from)}`;
  main.append(...results(query, photo, answers, listing.facets, info, title));
}

async function showFirst(main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled("");
  const hero = h(
    "div",
    { class: "hero" },
    heading("What is on the plate?"),
    h("p", { class: "lead" }, "Show Savor a dish and find its recipe among your own."),
  );
  main.replaceChildren(hero, asking(NO_QUERY, null, true), waiting("Opening the book …"));
  await api.health(signal);
  const listing = await api.recipes({ limit: 12 }, signal);
  main.querySelector(".waiting")?.remove();
  if (!listing.total) {
    main.append(
      notice("Your book is still empty", [
        h("p", {}, "Bring your recipes along: an export of your recipe application, saved web pages or a folder of notes."),
        h("a", { class: "button", href: format({ view: "import" }) }, icon("plus"), "Add recipes"),
      ]),
    );
    return;
  }
  main.append(
    filters(ANYWHERE, listing.facets, (where) => go(browsing(where))),
    listing.facets.categories.length > 1
      ? h(
          "section",
          { class: "opening" },
          h("h2", {}, "Contents"),
          contents(listing.facets.categories, (category) => browsing({ ...ANYWHERE, category })),
        )
      : "",
    shelf("From your book", listing.recipes),
    h(
      "p",
      { class: "end" },
      h("a", { class: "button quiet", href: "/browse" }, icon("book"), `Browse ${all(listing.total)}`),
    ),
  );
}

const all = (total: number): string => (total > 1 ? `all ${plural(total, "recipe")}` : "the recipe");

function results(
  query: Query,
  photo: QueryPhoto | null,
  answers: api.Answer[],
  facets: api.Listing["facets"],
  info: api.Health,
  title: HTMLElement,
): Node[] {
  const first = answers[0]!;
  const where = understood(first, query.where);
  // What was understood of the words becomes visible filters; whoever takes one away searches with what is left.
  const change = (next: Where): void =>
    go({ view: "search", query: { ...query, text: first.understood?.text ?? query.text, where: next } });
  const list = h("ol", { class: query.find === "photos" ? "hits photos" : "hits" });
  const add = (answer: api.Answer): void =>
    list.append(...answer.hits.map((hit) => h("li", {}, hitCard(hit, query, photo, answer, info))));
  answers.forEach(add);
  announce(found(first));
  return [
    filters(where, facets, change),
    chips(where, change) ?? "",
    h("div", { class: "summary" }, title, summary(query, first)),
    ...(first.confidence ? [confidence(first.confidence)] : []),
    ...first.notes.map((note) => h("p", { class: "note" }, note)),
    first.hits.length ? list : nothing(query, where, change),
    more(query, photo, answers, list, add),
  ].map((one) => (typeof one === "string" ? document.createTextNode(one) : one));
}

function understood(answer: api.Answer, asked: Where): Where {
  const said = answer.understood;
  if (!said) return asked;
  return {
    have: said.have,
    avoid: said.avoid,
    category: said.category ?? "",
    source: said.source ?? "",
    minutes: said.minutes ?? null,
  };
}

function headline(query: Query): string {
  if (query.photo) return query.text ? `Like your photo, and “${query.text}”` : "Recipes that look like your photo";
  return query.text ? `“${query.text}”` : "Recipes like this one";
}

const found = (answer: api.Answer): string => (answer.total ? `${plural(answer.total, "hit")}` : "No hits");

function summary(query: Query, answer: api.Answer): HTMLElement {
  const text = answer.total > 1 ? `${found(answer)}, nearest first` : found(answer);
  const other = query.find === "photos" ? "recipes" : "photos";
  const instead = query.photo
    ? null
    : h("a", { href: format({ view: "search", query: { ...query, find: other } }) }, `Show ${other}`);
  return h("p", { class: "soft" }, text, instead ? [" · ", instead] : null);
}

function confidence({ level, message }: NonNullable<api.Answer["confidence"]>): HTMLElement {
  const text = level === "none" ? `${message} These come nearest.` : message;
  return h("p", { class: `confidence is-${level}` }, h("span", { class: "dot", "aria-hidden": "true" }), text);
}

function hitCard(
  hit: api.Hit,
  query: Query,
  photo: QueryPhoto | null,
  answer: api.Answer,
  info: api.Health,
): HTMLElement {
  if (query.find === "photos") {
    return photoCard(hit);
  }
  const why = photo ? { view: "why" as const, id: hit.recipe_id, photo: photo.key, own: "", way: "" } : null;
  const actions: Child[] = [
    why && info.ways.length ? h("a", { class: "why", href: format(why) }, "Why this one?") : null,
    info.writable && answer.query ? verdicts(hit, answer.query) : null,
  ];
  const matched = hit.matched.filter((word) => !word.startsWith("@"));
  return card(
    hit,
    { rank: hit.rank, eager: hit.rank <= 4, level: 2 },
    matched.length
      ? h("p", { class: "matched" }, icon("check"), h("span", {}, `has ${matched.map(plainTerm).join(", ")}`))
      : null,
    hit.duplicates.length ? folded(hit) : null,
    actions.some(Boolean) ? h("div", { class: "actions" }, actions) : null,
  );
}

function photoCard(hit: api.Hit): HTMLElement {
  const title = titleOf({ title: hit.title, id: hit.recipe_id });
  const link = h("a", { href: format({ view: "recipe", id: hit.recipe_id }) }, title);
  return h(
    "article",
    { class: "card", "data-id": hit.recipe_id },
    picture(hit.photo_url, "", 320, hit.rank <= 6),
    h("div", { class: "words" }, h("h2", { class: "name" }, link)),
  );
}

/** Near-duplicates; their titles are asked for when somebody wants to see them. */
function folded(hit: api.Hit): HTMLElement {
  const links = hit.duplicates.map((id) => h("a", { href: format({ view: "recipe", id }) }, id));
  const name = (): void =>
    hit.duplicates.forEach((id, k) => {
      const naming = api.recipe(id, new AbortController().signal);
      // Without an answer the id stays, which leads there as well.
      naming.then((recipe) => (links[k]!.textContent = titleOf(recipe))).catch(() => undefined);
    });
  return h(
    "details",
    { class: "folded" },
    h("summary", { onclick: name }, `${plural(hit.duplicates.length, "recipe")} nearly the same`),
    h("ul", {}, links.map((link) => h("li", {}, link))),
  );
}

function verdicts(hit: api.Hit, query: string): HTMLElement {
  const button = (verdict: "yes" | "no", text: string): HTMLButtonElement => {
    const one = h(
      "button",
      {
        type: "button",
        class: "button quiet small verdict",
        "aria-pressed": "false",
        "aria-label": `${text}: ${titleOf({ title: hit.title, id: hit.recipe_id })}`,
        onclick: async () => {
          try {
            await api.feedback(query, hit.recipe_id, verdict);
          } catch (error) {
            return announceTrouble(one, error);
          }
          for (const other of group.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === one));
          announce("Thank you, noted.");
        },
      },
      text,
    );
    return one;
  };
  const group = h("div", { class: "verdicts" }, button("yes", "That was it"), button("no", "Not this"));
  return group;
}

function announceTrouble(button: HTMLElement, error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  button.parentElement?.parentElement?.append(h("p", { class: "soft small", role: "alert" }, text));
}

function nothing(query: Query, where: Where, change: (where: Where) => void): HTMLElement {
  const filtered = conditions(where) > 0;
  return notice("No recipe fits", [
    h(
      "p",
      {},
      filtered
        ? "None of your recipes meets all filters. Take one away, or all of them."
        : "Try other words, or a photo of the dish.",
    ),
    filtered
      ? h("button", { type: "button", class: "button", onclick: () => change(ANYWHERE) }, "Search without filters")
      : h("a", { class: "button", href: format({ view: "search", query: NO_QUERY }) }, "Start anew"),
    query.text ? h("p", { class: "soft small" }, "Words are looked for by meaning: plain ones work best.") : null,
  ]);
}

function more(
  query: Query,
  photo: QueryPhoto | null,
  answers: api.Answer[],
  list: HTMLElement,
  add: (answer: api.Answer) => void,
): HTMLElement | string {
  const offset = (): number => answers.reduce((sum, answer) => sum + answer.hits.length, 0);
  const left = (): boolean => answers.at(-1)!.hits.length > 0 && offset() < answers[0]!.total;
  if (!left()) return "";
  return moreButton(list, async () => {
    const page = { k: PAGE, offset: offset() };
    const answer = await api.search(query, photo?.blob ?? null, page, new AbortController().signal);
    answers.push(answer);
    add(answer);
    return left();
  });
}
