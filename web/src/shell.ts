/** What stands around every view: head, navigation, theme, dialogs, and the way from one view to the next. */

import { announcer, h, icon, type Icon } from "./dom";
import { trouble } from "./parts";
import { format, NO_QUERY, parse, type Route } from "./routes";

type Views = {
  [V in Route["view"]]: (route: Extract<Route, { view: V }>, main: HTMLElement, signal: AbortSignal) => Promise<void>;
};

const main = h("main", { id: "main", tabindex: "-1" });
const offsets = new Map<string, number>();
let views: Views;
let current = new AbortController();
let entry = "";

/** Goes to a view. `replace` leaves no step behind for the back button. */
export function go(route: Route, replace = false): void {
  offsets.set(entry, scrollY);
  entry = crypto.getRandomValues(new Uint32Array(1))[0]!.toString(36);
  history[replace ? "replaceState" : "pushState"]({ entry }, "", format(route));
  void show(true);
}

export function route(): Route {
  return parse(location.pathname, location.search);
}

/** Shows the view of the address again, as after a change of the collection. */
export function again(): void {
  void show(false);
}

export function start(all: Views): void {
  views = all;
  history.scrollRestoration = "manual";
  applyTheme(theme());
  document.body.append(
    h("a", { class: "skip", href: "#main", onclick: skip }, "Skip to the content"),
    head(),
    main,
    h("footer", { class: "foot" }, "Photos and recipes go to your own Savor and nowhere else."),
    announcer(),
  );
  addEventListener("popstate", (event: PopStateEvent) => {
    offsets.set(entry, scrollY);
    entry = entryOf(event.state);
    void show(false);
  });
  document.addEventListener("click", follow);
  entry = entryOf(history.state);
  void show(false);
}

function entryOf(state: unknown): string {
  return typeof state === "object" && state !== null && "entry" in state ? String(state.entry) : "";
}

async function show(forward: boolean): Promise<void> {
  current.abort();
  const { signal } = (current = new AbortController());
  const now = route();
  for (const link of document.querySelectorAll<HTMLAnchorElement>(".nav a")) {
    if (link.dataset.view === now.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.dataset.view = now.view;
  main.setAttribute("aria-busy", "true");
  const focused = document.activeElement?.closest(".filters") ? document.activeElement.id || "filters" : "";
  if (forward) scrollTo(0, 0);
  try {
    const view = views[now.view] as (route: Route, main: HTMLElement, signal: AbortSignal) => Promise<void>;
    await view(now, main, signal);
  } catch (error) {
    if (signal.aborted) return;
    for (const old of main.querySelectorAll(".waiting")) old.remove();
    main.append(trouble(error));
  }
  if (signal.aborted) return;
  main.removeAttribute("aria-busy");
  if (!forward) scrollTo(0, offsets.get(entry) ?? 0);
  else refocus(focused);
}

/** Sets the focus where one goes on: at the filter that was just used, or at the head of the view. */
function refocus(filter: string): void {
  if (main.contains(document.activeElement)) return;
  const used = filter ? (document.getElementById(filter) ?? main.querySelector<HTMLElement>(".filters summary")) : null;
  (used ?? main.querySelector<HTMLElement>("h1"))?.focus({ preventScroll: true });
}

/** Names the view in the tab; every view has one `h1`, which takes the focus when it is come to. */
export function titled(title: string): void {
  document.title = title ? `${title} · Savor` : "Savor";
}

export function heading(...text: (string | Node)[]): HTMLHeadingElement {
  return h("h1", { tabindex: "-1" }, ...text);
}

function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[href^='/']");
  if (!link || link.target || link.hasAttribute("download")) return;
  const to = parse(link.pathname, link.search);
  if (to.view === "lost") return;
  event.preventDefault();
  go(to);
}

function skip(event: Event): void {
  event.preventDefault();
  main.focus();
}

function head(): HTMLElement {
  const place = (view: Route["view"], to: Route, name: Icon, text: string): HTMLElement =>
    h("a", { href: format(to), "data-view": view }, icon(name), h("span", {}, text));
  return h(
    "header",
    { class: "head" },
    h("a", { class: "brand", href: "/" }, "Savor"),
    h(
      "nav",
      { class: "nav", "aria-label": "Savor" },
      place("search", { view: "search", query: NO_QUERY }, "search", "Search"),
      place("browse", parse("/browse", "") , "book", "Browse"),
      place("map", { view: "map" }, "map", "Map"),
      place("import", { view: "import" }, "plus", "Add"),
    ),
    h(
      "div",
      { class: "tools" },
      h("button", { type: "button", class: "round", id: "theme", onclick: switchTheme }),
      h("button", { type: "button", class: "round", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)", onclick: showKeys }, icon("help")),
    ),
  );
}

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const THEME = "savor-theme";

function theme(): Theme {
  const chosen = localStorage.getItem(THEME);
  return THEMES.find((one) => one === chosen) ?? "system";
}

function applyTheme(chosen: Theme): void {
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  queueMicrotask(() => {
    const button = document.querySelector<HTMLButtonElement>("#theme");
    if (!button) return;
    const text = { system: "as the system", light: "light", dark: "dark" }[chosen];
    button.replaceChildren(icon({ system: "system", light: "sun", dark: "moon" }[chosen] as Icon));
    button.setAttribute("aria-label", `Colours: ${text}`);
    button.title = `Colours: ${text}`;
    dispatchEvent(new Event("savor-theme"));
  });
}

function switchTheme(): void {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]!;
  localStorage.setItem(THEME, next);
  applyTheme(next);
}

const KEYS: [string, string][] = [
  ["/", "write what to search for"],
  ["p", "choose a photo"],
  ["Ctrl + V", "search with the photo on the clipboard"],
  ["f", "open or close the filters"],
  ["g then s, b, m, a", "go to search, browse, map, add"],
  ["t", "switch the colours"],
  ["arrows, + and −, 0", "on the map: next recipe, zoom, all of it"],
  ["arrows, Enter, Esc", "in an explanation: next word or region, hold it, let go"],
  ["?", "show these keys"],
];

let going = false;

/** The keys that work everywhere but in a field. */
export function onKey(event: KeyboardEvent, actions: { photo: () => void }): void {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if ((event.target as Element).closest("input, textarea, select, [contenteditable]")) return;
  const views: Record<string, Route> = {
    s: { view: "search", query: NO_QUERY },
    b: parse("/browse", ""),
    m: { view: "map" },
    a: { view: "import" },
  };
  const to = going ? views[event.key] : undefined;
  going = event.key === "g";
  if (to) go(to);
  else if (event.key === "/") {
    event.preventDefault();
    const field = document.querySelector<HTMLInputElement>("#text");
    if (field) field.focus();
    else go({ view: "search", query: NO_QUERY });
  } else if (event.key === "p") actions.photo();
  else if (event.key === "t") switchTheme();
  else if (event.key === "?") showKeys();
  else if (event.key === "f") {
    const filters = document.querySelector<HTMLDetailsElement>(".filters");
    if (!filters) return;
    filters.open = !filters.open;
    if (filters.open) filters.querySelector<HTMLElement>("summary")?.focus();
  }
}

function showKeys(): void {
  const rows = KEYS.map(([key, text]) => h("div", {}, h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)));
  dialog("Keyboard shortcuts", [h("dl", { class: "keys" }, rows)]);
}

/** Opens a dialog with a way to close it; resolves when it is closed. */
export function dialog(title: string, content: Node[], onclose: () => void = () => undefined): HTMLDialogElement {
  const box = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, title),
    h("button", { type: "button", class: "round close", "aria-label": "Close", onclick: () => box.close() }, icon("close")),
    ...content,
  );
  box.addEventListener("close", () => {
    box.remove();
    onclose();
  });
  document.body.append(box);
  box.showModal();
  return box;
}

/** Asks for the token that `savor serve` was started with; null where the user would rather not. */
export function askToken(message: string): Promise<string | null> {
  return new Promise((resolve) => {
    let given: string | null = null;
    const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true });
    const form = h(
      "form",
      {
        onsubmit: (event: Event) => {
          event.preventDefault();
          given = field.value.trim();
          box.close();
        },
      },
      h("p", {}, message),
      h("p", { class: "soft" }, "Whoever started Savor has the token. It is kept until this tab is closed."),
      h("label", { for: "token" }, "Token"),
      field,
      h("button", { type: "submit", class: "button" }, "Go on"),
    );
    const box = dialog("This needs a token", [form], () => resolve(given || null));
    field.focus();
  });
}
