/** Which recipes may answer: ingredients to have or to avoid, category, source, time. */

import type { Facet, Listing } from "./api";
import { h, icon } from "./dom";
import { chip, minutesText, plainTerm } from "./parts";
import { ANYWHERE, conditions, type Where } from "./routes";

const GROUPS = ["dairy", "meat", "fish", "eggs", "gluten", "nuts"];
const TIMES = [15, 30, 45, 60, 90, 120, 240];

/** Whether the panel is open; it stays so while one filter after the other is set. */
let opened = false;

type Change = (where: Where) => void;

/** The chips of what is asked for; empty where nothing is. */
export function chips(where: Where, change: Change): HTMLElement | null {
  if (!conditions(where)) return null;
  const without = (list: string[], term: string): string[] => list.filter((one) => one !== term);
  return h(
    "ul",
    { class: "chips", "aria-label": "Filters" },
    where.have.map((term) =>
      chip("have", plainTerm(term), () => change({ ...where, have: without(where.have, term) })),
    ),
    where.avoid.map((term) =>
      chip("avoid", plainTerm(term), () => change({ ...where, avoid: without(where.avoid, term) })),
    ),
    where.category ? chip("plain", where.category, () => change({ ...where, category: "" })) : null,
    where.source ? chip("plain", `from ${where.source}`, () => change({ ...where, source: "" })) : null,
    where.minutes !== null
      ? chip("plain", `up to ${minutesText(where.minutes)}`, () => change({ ...where, minutes: null }))
      : null,
    conditions(where) > 1
      ? h("li", {}, h("button", { type: "button", class: "link", onclick: () => change(ANYWHERE) }, "Remove all"))
      : null,
  );
}

/** The panel in which filters are set. */
export function filters(where: Where, facets: Listing["facets"], change: Change): HTMLDetailsElement {
  const count = conditions(where);
  const box = h(
    "details",
    { class: "filters", open: opened, ontoggle: () => (opened = box.open) },
    h("summary", {}, icon("filter"), "Filters", count ? h("span", { class: "badge" }, count) : null),
    h(
      "div",
      { class: "panel" },
      terms("have", "Must have", "such as chickpeas", where, change),
      terms("avoid", "Must not have", "such as coriander", where, change),
      h(
        "div",
        { class: "choices" },
        facets.categories.length || where.category
          ? choice("Category", "any", facets.categories.map(option), where.category, (category) =>
              change({ ...where, category }),
            )
          : null,
        facets.sources.length || where.source
          ? choice("Source", "any", facets.sources.map(option), where.source, (source) => change({ ...where, source }))
          : null,
        choice(
          "Time",
          "any",
          TIMES.map((minutes) => [String(minutes), `up to ${minutesText(minutes)}`]),
          where.minutes === null ? "" : String(where.minutes),
          (minutes) => change({ ...where, minutes: minutes ? Number(minutes) : null }),
        ),
      ),
      h(
        "p",
        { class: "soft small" },
        "Filters read the words of the ingredient lines and can miss something. They are no advice on allergies.",
      ),
    ),
  );
  return box;
}

const option = ({ name, count }: Facet): [string, string] => [name, `${name} (${count})`];

function terms(kind: "have" | "avoid", label: string, example: string, where: Where, change: Change): HTMLElement {
  const id = `filter-${kind}`;
  const field = h("input", { id, type: "text", autocomplete: "off", placeholder: example, enterkeyhint: "done" });
  const add = (term: string): void => {
    const words = term.split(",").map((one) => one.trim()).filter((one) => one && !where[kind].includes(one));
    if (words.length) change({ ...where, [kind]: [...where[kind], ...words] });
  };
  const groups = GROUPS.filter((group) => !where.avoid.some((term) => plainTerm(term) === group));
  return h(
    "form",
    {
      class: "terms",
      onsubmit: (event: Event) => {
        event.preventDefault();
        add(field.value);
      },
    },
    h("label", { for: id }, label),
    h("div", { class: "joined" }, field, h("button", { type: "submit", class: "button quiet" }, "Add")),
    kind === "avoid" && groups.length
      ? h(
          "div",
          { class: "groups", role: "group", "aria-label": "Without a whole group" },
          groups.map((group) =>
            h("button", { type: "button", class: "group", "aria-label": `without ${group}`, onclick: () => add(group) }, `no ${group}`),
          ),
        )
      : null,
  );
}

export function choice(
  label: string,
  any: string | null,
  options: [string, string][],
  chosen: string,
  change: (value: string) => void,
): HTMLElement {
  const id = `choice-${label.toLowerCase()}`;
  const known = !chosen || options.some(([value]) => value.toLowerCase() === chosen.toLowerCase());
  const all: [string, string][] = [...(any === null ? [] : [["", any] as [string, string]]), ...options];
  if (!known) all.push([chosen, chosen]);
  const select = h(
    "select",
    { id, onchange: () => change(select.value), disabled: all.length < 2 },
    all.map(([value, text]) =>
      h("option", { value, selected: value.toLowerCase() === chosen.toLowerCase() }, text),
    ),
  );
  return h("div", { class: "choice" }, h("label", { for: id }, label), select);
}

