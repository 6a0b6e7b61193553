/** How a search is asked: a photo chosen, taken, pasted or dropped, and words. */

import { h, icon } from "./dom";
import { trouble } from "./parts";
import { takeIn, type QueryPhoto } from "./photo";
import { NO_QUERY, type Query } from "./routes";
import { go, route } from "./shell";

/** Reads a photo and searches with it; words and filters of the search at hand stay. */
export async function searchWith(file: Blob): Promise<void> {
  const now = route();
  try {
    const photo = await takeIn(file);
    const before = now.view === "search" ? now.query : NO_QUERY;
    go({ view: "search", query: { ...before, photo: photo.key, recipe: "", find: "recipes" } });
  } catch (error) {
    const main = document.querySelector("main")!;
    for (const old of main.querySelectorAll(".notice.error")) old.remove();
    (main.querySelector(".ask") ?? main.firstElementChild)?.after(trouble(error));
  }
}

function chooser(id: string, capture: boolean): HTMLInputElement {
  const input = h("input", {
    id,
    type: "file",
    accept: "image/*",
    capture: capture ? "environment" : false,
    hidden: true,
    onchange: () => {
      const file = input.files?.[0];
      if (file) void searchWith(file);
    },
  });
  return input;
}

/** Opens the file picker of the view, or comes to a view that has one. */
export function choosePhoto(): void {
  const input = document.querySelector<HTMLInputElement>("#photo-file");
  if (input) input.click();
  else go({ view: "search", query: NO_QUERY });
}

/** The form of the search; large on the first page, small above hits. */
export function asking(query: Query, photo: QueryPhoto | null, large: boolean): HTMLElement {
  const files = [chooser("photo-file", false), chooser("photo-camera", true)];
  const field = h("input", {
    id: "text",
    type: "search",
    name: "text",
    value: query.text,
    autocomplete: "off",
    enterkeyhint: "search",
    placeholder: photo ? "and say more: without meat, …" : "chickpeas and spinach, no dairy",
  });
  const form = h(
    "form",
    {
      class: "say",
      role: "search",
      onsubmit: (event: Event) => {
        event.preventDefault();
        const text = field.value.trim();
        if (!text && !query.photo) return field.focus();
        go({ view: "search", query: { ...query, text, recipe: "", find: "recipes" } });
      },
    },
    h("label", { for: "text", class: large ? "" : "unseen" }, photo ? "Add words to the photo" : "Or say what you have"),
    h("div", { class: "joined" }, field, h("button", { type: "submit", class: "button" }, icon("search"), h("span", {}, "Search"))),
  );
  return h("div", { class: large ? "ask large" : "ask" }, large ? dropZone(files) : frame(query, photo, files), form);
}

function dropZone(files: HTMLInputElement[]): HTMLElement {
  return h(
    "div",
    { class: "drop" },
    h("div", { class: "plate", "aria-hidden": "true" }, icon("photo")),
    h("p", { class: "lead" }, "Show a photo of a dish"),
    h("p", { class: "soft small" }, "Drop it here, paste it, or choose it."),
    h("div", { class: "buttons" }, buttons(files)),
    files,
  );
}

function buttons([file, camera]: HTMLInputElement[]): HTMLElement[] {
  return [
    h("button", { type: "button", class: "button", onclick: () => file?.click() }, icon("photo"), "Choose a photo"),
    h("button", { type: "button", class: "button quiet camera", onclick: () => camera?.click() }, icon("camera"), "Take a photo"),
  ];
}

function frame(query: Query, photo: QueryPhoto | null, files: HTMLInputElement[]): HTMLElement {
  const [file, camera] = files;
  const choose = h(
    "button",
    { type: "button", class: "round", "aria-label": photo ? "Choose another photo" : "Choose a photo", title: "Choose a photo (p)", onclick: () => file?.click() },
    icon("photo"),
  );
  const take = h(
    "button",
    { type: "button", class: "round camera", "aria-label": "Take a photo", onclick: () => camera?.click() },
    icon("camera"),
  );
  if (!photo) return h("div", { class: "frame" }, choose, take, files);
  const remove = h(
    "button",
    {
      type: "button",
      class: "round",
      "aria-label": "Search without the photo",
      onclick: () => go({ view: "search", query: { ...query, photo: "" } }),
    },
    icon("close"),
  );
  return h(
    "div",
    { class: "frame with-photo" },
    h("img", { src: photo.url, alt: "The photo you search with", onerror: (event: Event) => unseen(event) }),
    h("div", { class: "beside" }, choose, take, remove),
    files,
  );
}

/** Some browsers cannot show what the server can read, HEIC for one. */
function unseen(event: Event): void {
  (event.target as Element).replaceWith(h("span", { class: "none" }, "your photo"));
}

/** Lets photos be dropped and pasted anywhere; the view of imports takes what is dropped on it itself. */
export function listenForPhotos(): void {
  const root = document.documentElement;
  let inside = 0;
  const dragged = (event: DragEvent): boolean =>
    route().view !== "import" && (event.dataTransfer?.types.includes("Files") ?? false);
  addEventListener("dragenter", (event) => {
    if (dragged(event)) root.classList.toggle("dragging", ++inside > 0);
  });
  addEventListener("dragleave", (event) => {
    if (dragged(event)) root.classList.toggle("dragging", --inside > 0);
  });
  addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    inside = 0;
    root.classList.remove("dragging");
    const file = event.dataTransfer?.files[0];
    if (file && dragged(event)) void searchWith(file);
  });
  addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    void searchWith(file);
  });
}
