/** A recipe as a cookbook prints it. */

import * as api from "../api";
import { h, icon, plural, type Child } from "../dom";
import { minutesText, shelf, sized, titleOf, waiting } from "../parts";
import { lastPhoto } from "../photo";
import { format, NO_QUERY } from "../routes";
import { heading, titled } from "../shell";

export async function showRecipe({ id }: { id: string }, main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled("Recipe");
  main.replaceChildren(waiting("Turning to the page …"));
  const recipe = await api.recipe(id, signal);
  const info = await api.health(signal);
  titled(titleOf(recipe));
  main.replaceChildren(page(recipe, info.ways.length > 0));
  const { hits } = await api.similar(id, 6, signal);
  if (hits.length) main.append(shelf("Similar recipes", hits));
}

function page(recipe: api.Recipe, explains: boolean): HTMLElement {
  return h(
    "article",
    { class: recipe.photos.length ? "recipe" : "recipe without-photo" },
    h(
      "header",
      {},
      recipe.category ? h("p", { class: "overline" }, recipe.category) : null,
      heading(titleOf(recipe)),
      h("ul", { class: "times" }, times(recipe)),
      actions(recipe, explains),
    ),
    recipe.photos.length ? photos(recipe) : null,
    part("Ingredients", "ingredients", recipe.ingredients, ingredients),
    part("Method", "steps", recipe.instructions, steps),
    recipe.notes ? h("aside", { class: "notes" }, h("h2", {}, "Notes"), paragraphs(recipe.notes)) : null,
    footer(recipe),
  );
}

function times(recipe: api.Recipe): Child[] {
  const known = Object.entries(recipe.times ?? {});
  const rest = known.filter(([name]) => name !== "total").map(([name, time]) => `${name} ${time}`);
  const total = recipe.times?.total ?? (recipe.minutes ? minutesText(recipe.minutes) : null);
  return [
    recipe.servings ? h("li", {}, icon("people"), recipe.servings) : null,
    total ? h("li", {}, icon("clock"), total, rest.length ? h("span", { class: "soft" }, ` (${rest.join(", ")})`) : null) : null,
  ];
}

function actions(recipe: api.Recipe, explains: boolean): HTMLElement {
  const photo = lastPhoto();
  const own = recipe.photos[0]?.id;
  const why = (title: string, key: string, id: string): HTMLElement =>
    h(
      "a",
      { class: "button quiet", href: format({ view: "why", id: recipe.id, photo: key, own: id, way: "" }) },
      title,
    );
  return h(
    "div",
    { class: "actions" },
    h(
      "a",
      {
        class: "button quiet",
        href: format({ view: "search", query: { ...NO_QUERY, recipe: recipe.id, find: "photos" } }),
      },
      icon("photo"),
      "Find photos of this",
    ),
    explains && photo ? why("Beside your photo", photo.key, "") : null,
    explains && own ? why("Words in the picture", "", own) : null,
  );
}

function photos(recipe: api.Recipe): HTMLElement {
  const alt = (k: number): string =>
    recipe.photos.length > 1 ? `${titleOf(recipe)}, photo ${k + 1} of ${recipe.photos.length}` : titleOf(recipe);
  return h(
    "div",
    { class: "photos" },
    recipe.photos.map(({ url }, k) => {
      const frame = h("div", { class: k ? "picture small" : "picture" });
      const none = (): void => frame.replaceChildren(h("span", { class: "none" }, "no photo"));
      frame.append(h("img", { src: sized(url, k ? 320 : 960), alt: alt(k), loading: k ? "lazy" : "eager", onerror: none }));
      return frame;
    }),
  );
}

function part(title: string, kind: string, lines: api.Line[], show: (lines: string[]) => HTMLElement): HTMLElement | null {
  if (!lines.length) return null;
  const groups: { section: string; lines: string[] }[] = [];
  for (const line of lines) {
    if (typeof line !== "string") groups.push({ section: line.section, lines: [] });
    else if (line.trim()) {
      if (!groups.length) groups.push({ section: "", lines: [] });
      groups.at(-1)!.lines.push(line);
    }
  }
  return h(
    "section",
    { class: kind },
    h("h2", {}, title),
    groups.map((group) => [group.section ? h("h3", {}, group.section) : null, group.lines.length ? show(group.lines) : null]),
  );
}

/** Ingredients can be ticked off while they are fetched from the shelf. */
function ingredients(lines: string[]): HTMLElement {
  return h(
    "ul",
    {},
    lines.map((line) => h("li", {}, h("label", {}, h("input", { type: "checkbox" }), h("span", {}, line)))),
  );
}

function steps(lines: string[]): HTMLElement {
  return h("ol", {}, lines.map((line) => h("li", {}, line)));
}

function paragraphs(text: string): HTMLElement[] {
  return text.split(/\n+/).map((line) => h("p", {}, line));
}

function footer(recipe: api.Recipe): HTMLElement | null {
  const tags = (recipe.tags ?? []).map((tag) => (typeof tag === "string" ? tag : tag.section)).filter(Boolean);
  if (!tags.length && !recipe.source) return null;
  return h(
    "footer",
    { class: "origin soft" },
    tags.length ? h("p", {}, `${plural(tags.length, "Tag").replace(/^\S+ /, "")}: ${tags.join(", ")}`) : null,
    recipe.source ? h("p", {}, "From ", source(recipe.source)) : null,
  );
}

function source(text: string): Node | string {
  if (!/^https?:\/\//i.test(text)) return text;
  return h("a", { href: text, rel: "noreferrer noopener", target: "_blank" }, text.replace(/^https?:\/\/(www\.)?/i, ""));
}
