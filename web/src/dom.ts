/** Making elements. Text is only ever set as text: nothing that a recipe says can become markup. */

export type Child = Node | string | number | null | undefined | false | Child[];
type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Props = Record<string, Value>;

/** Makes an element; a function under `onclick` and the like listens, false and null leave an attribute out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children: Child[]): (Node | string)[] {
  return children.flatMap((child) => {
    if (child === null || child === undefined || child === false) return [];
    if (Array.isArray(child)) return nodes(child);
    return [typeof child === "number" ? String(child) : child];
  });
}

const SHAPES = {
  all: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  book: "M12 6.5C10 5 7 4.5 4 5v13c3-.5 6 0 8 1.5 2-1.5 5-2 8-1.5V5c-3-.5-6 0-8 1.5Zm0 0v13",
  camera: "M4 8h3.5l1.5-2.5h6L16.5 8H20v11H4Zm8 8.5a3.200 3.200 0 1 0 0-6.400 3.200 3.200 0 0 0 0 6.400Z",
  check: "m5 12.5 4.5 4.5L19 7",
  clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16Zm0-12.5V12l3 2",
  close: "m6.5 6.5 11 11m0-11-11 11",
  filter: "M4 7h10m4 0h2M4 17h2m4 0h10M16 9.5v-5m-8 15v-5",
  help: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM9.800 9.800c0-3 4.400-2.800 4.400-.2 0 1.700-2.200 1.800-2.200 3.600m0 2.700v.1",
  map: "m4 6.5 5-2 6 2 5-2v13l-5 2-6-2-5 2Zm5-2v13m6-11v13",
  minus: "M6 12h12",
  moon: "M19 14.5A7.5 7.5 0 0 1 9.5 5a7.5 7.5 0 1 0 9.5 9.5Z",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6Zm-6 8c0-3.5 2.5-5.5 6-5.5s6 2 6 5.5m0-8.200a3 3 0 0 0 0-5.600m2.5 8.600c2 .8 3.5 2.600 3.5 5.200",
  photo: "M4 5h16v14H4Zm0 11 5-5 4.5 4.5 2.5-2.5 4 4M15.5 9.5v.1",
  plus: "M12 6v12M6 12h12",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.700-1.800L20 20",
  sun: "M12 15.800a3.800 3.800 0 1 0 0-7.600 3.800 3.800 0 0 0 0 7.600ZM12 3v2m0 14v2m9-9h-2M5 12H3m15.400-6.400L17 7M7 17l-1.400 1.400m0-12.800L7 7m10 10 1.400 1.400",
  system: "M4 5h16v11H4Zm5 15h6m-3-4v4",
} as const;
export type Icon = keyof typeof SHAPES;

/** Draws an icon; it says nothing to a screen reader, the words beside it do. */
export function icon(name: Icon): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

const told = h("div", { class: "unseen", role: "status", "aria-live": "polite" });

/** The region that `announce` speaks through. */
export function announcer(): HTMLElement {
  return told;
}

/** Has a screen reader say something without moving the focus. */
export function announce(text: string): void {
  told.textContent = "";
  // The same words twice are only heard twice when the region was empty in between.
  setTimeout(() => (told.textContent = text), 50);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
