/** The whole collection, to leaf through. */

import * as api from "../api";
import { announce, h, icon, plural } from "../dom";
import { chips, choice, filters } from "../filters";
import { card, contents, moreButton, notice, waiting } from "../parts";
import { ANYWHERE, conditions, type Order, type Where } from "../routes";
import { go, heading, titled } from "../shell";

const PAGE = 24;
const ORDERS: [Order, string][] = [
  ["title", "by title"],
  ["time", "quickest first"],
];

interface Browse {
  view: "browse";
  text: string;
  where: Where;
  order: Order;
}
/** How many recipes were unfolded of a list, so that the way back finds them again. */
const unfolded = new Map<string, number>();

export async function showBrowse(route: Browse, main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled(route.where.category || "Browse");
  const key = JSON.stringify(route);
  const title = heading(route.where.category ? chapterTitle(route.where.category) : "All recipes");
  main.replaceChildren(title, waiting("Opening the book …"));
  const limit = Math.min(200, unfolded.get(key) ?? PAGE);
  const asked = { text: route.text, where: route.where, order: route.order };
  const listing = await api.recipes({ ...asked, limit }, signal);
  const change = (next: Partial<Browse>): void => go({ ...route, ...next });
  const list = h("ul", { class: "hits" });
  const add = (some: api.Listing): void => list.append(...some.recipes.map((recipe) => h("li", {}, card(recipe, { level: 2 }))));
  const bring = async (): Promise<boolean> => {
    const next = await api.recipes({ ...asked, limit: PAGE, offset: list.children.length }, signal);
    add(next);
    unfolded.set(key, list.children.length);
    return next.recipes.length > 0 && list.children.length < listing.total;
  };
  add(listing);
  main.replaceChildren(
    h("div", { class: "summary" }, title, h("p", { class: "soft" }, counted(listing.total))),
    tools(route, listing, change),
    chips(route.where, (where) => change({ where })) ?? "",
    listing.recipes.length ? list : empty(route, change),
    list.children.length < listing.total ? moreButton(list, bring) : "",
    listing.facets.categories.length > 1 ? chapters(route, listing) : "",
  );
  announce(counted(listing.total));
}

const counted = (total: number): string => plural(total, "recipe");
const chapterTitle = (category: string): string => category.charAt(0).toUpperCase() + category.slice(1);

function tools(route: Browse, listing: api.Listing, change: (next: Partial<Browse>) => void): HTMLElement {
  const field = h("input", { id: "text", type: "search", value: route.text, placeholder: "words of the recipe", autocomplete: "off" });
  return h(
    "div",
    { class: "browse-tools" },
    h(
      "form",
      {
        class: "say",
        role: "search",
        onsubmit: (event: Event) => {
          event.preventDefault();
          change({ text: field.value.trim() });
        },
      },
      h("label", { for: "text", class: "unseen" }, "Words of the recipe"),
      h("div", { class: "joined" }, field, h("button", { type: "submit", class: "button" }, icon("search"), h("span", {}, "Find"))),
    ),
    choice("Order", null, ORDERS, route.order, (order) => change({ order: order as Order })),
    filters(route.where, listing.facets, (where) => change({ where })),
  );
}

function chapters(route: Browse, listing: api.Listing): HTMLElement {
  return h(
    "section",
    { class: "opening" },
    h("h2", {}, "Contents"),
    contents(listing.facets.categories, (category) => ({ ...route, text: "", where: { ...ANYWHERE, category } })),
  );
}

function empty(route: Browse, change: (next: Partial<Browse>) => void): HTMLElement {
  const limited = route.text || conditions(route.where);
  return notice(limited ? "No recipe fits" : "Your book is still empty", [
    h("p", {}, limited ? "Take a filter away or try other words." : "Bring your recipes along: they are read on this machine."),
    limited
      ? h("button", { type: "button", class: "button", onclick: () => change({ text: "", where: ANYWHERE }) }, "Show all recipes")
      : h("a", { class: "button", href: "/?import=" }, icon("plus"), "Add recipes"),
  ]);
}
