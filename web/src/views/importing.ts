/** Bringing recipes along: files in, progress, and what became of every recipe. */

import * as api from "../api";
import { announce, h, icon, plural } from "../dom";
import { notice, trouble, waiting } from "../parts";
import { format } from "../routes";
import { heading, titled } from "../shell";

interface Given {
  file: File;
  path: string;
}

const STAGES: Record<string, string> = {
  reading: "Reading recipes",
  indexing: "Looking at photos and words",
  opening: "Putting them into the book",
  done: "Done",
};
const STATUSES: Record<api.Status, string> = {
  read: "new",
  updated: "updated",
  unchanged: "unchanged",
  skipped: "skipped",
};

export async function showImport(_: unknown, main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled("Add recipes");
  main.replaceChildren(
    heading("Bring your recipes along"),
    h(
      "p",
      { class: "lead" },
      "An export of your recipe application as it is, saved web pages, or a folder of notes: Savor tells them apart.",
    ),
  );
  const asked = waiting("Asking …");
  main.append(asked);
  const info = await api.health(signal);
  asked.remove();
  if (!info.writable) {
    main.append(
      notice("This book cannot be written to", [
        h("p", {}, "It is served for reading only. Start ", h("code", {}, "savor serve"), " without read-only to add recipes."),
      ]),
    );
    return;
  }
  main.append(new Importer(signal).element);
}

class Importer {
  readonly element: HTMLElement;
  private readonly outcome = h("div", { class: "outcome" });
  private readonly chosen = h("div", { class: "chosen" });
  private given: Given[] = [];
  private running = false;

  constructor(private readonly signal: AbortSignal) {
    const files = this.chooser("import-files", false);
    const folder = this.chooser("import-folder", true);
    const zone = h(
      "div",
      {
        class: "drop",
        ondragover: (event: DragEvent) => {
          event.preventDefault();
          zone.classList.add("over");
        },
        ondragleave: () => zone.classList.remove("over"),
        ondrop: (event: DragEvent) => {
          event.preventDefault();
          zone.classList.remove("over");
          if (event.dataTransfer) void dropped(event.dataTransfer).then((given) => this.take(given));
        },
      },
      h("div", { class: "plate", "aria-hidden": "true" }, icon("book")),
      h("p", { class: "lead" }, "Drop an export here"),
      h("p", { class: "soft small" }, "Mealie, Tandoor, Nextcloud Cookbook, Paprika, Mela, Copy Me That, Plan to Eat, My Recipe Box, web pages, Markdown, Cooklang or CSV"),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "button", onclick: () => files.click() }, "Choose files"),
        h("button", { type: "button", class: "button quiet", onclick: () => folder.click() }, "Choose a folder"),
      ),
      files,
      folder,
    );
    this.element = h("div", { class: "import" }, zone, this.chosen, this.outcome);
  }

  private chooser(id: string, folder: boolean): HTMLInputElement {
    const input = h("input", {
      id,
      type: "file",
      multiple: true,
      webkitdirectory: folder,
      hidden: true,
      onchange: () => {
        this.take([...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
        input.value = "";
      },
    });
    return input;
  }

  private take(given: Given[]): void {
    if (this.running || !given.length) return;
    this.given = given;
    this.outcome.replaceChildren();
    const names = given.slice(0, 3).map(({ path }) => path).join(", ");
    const size = given.reduce((sum, { file }) => sum + file.size, 0) / 2 ** 20;
    this.chosen.replaceChildren(
      h("p", {}, h("strong", {}, given.length > 3 ? `${names} and ${given.length - 3} more` : names), ` (${size < 0.1 ? "under 0.1" : size.toFixed(1)} MB)`),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "button", onclick: () => void this.run(false) }, icon("plus"), "Import"),
        h("button", { type: "button", class: "button quiet", onclick: () => void this.run(true) }, "Only look first"),
      ),
    );
    this.chosen.querySelector("button")?.focus();
  }

  private async run(dryRun: boolean): Promise<void> {
    if (this.running) return;
    this.running = true;
    const label = h("p", { id: "import-stage", role: "status" }, "Sending the files");
    const bar = h("progress", { max: 1, value: 0, "aria-labelledby": "import-stage" });
    this.outcome.replaceChildren(h("div", { class: "progress" }, label, bar));
    const buttons = [...this.element.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      const { job } = await api.startImport(this.given, dryRun, (share) => (bar.value = share), this.signal);
      const state = await this.follow(job, label, bar);
      this.outcome.replaceChildren(result(state, dryRun));
    } catch (error) {
      if (!this.signal.aborted) this.outcome.replaceChildren(failure(error));
    } finally {
      this.running = false;
      for (const button of buttons) button.disabled = false;
    }
  }

  private async follow(job: string, label: HTMLElement, bar: HTMLProgressElement): Promise<api.Job> {
    for (let wait = 100; ; wait = Math.min(1000, wait * 1.5)) {
      const state = await api.job(job, this.signal);
      if (state.state !== "running") return state;
      const stage = STAGES[state.stage ?? ""] ?? state.stage ?? "Working";
      const counted = state.done && state.total ? ` (${state.done} of ${state.total})` : state.done ? ` (${state.done})` : "";
      if (label.textContent !== stage + counted) label.textContent = stage + counted;
      if (state.total) bar.value = (state.done ?? 0) / state.total;
      else bar.removeAttribute("value");
      await api.pause(wait, this.signal);
    }
  }
}

/** The button of a failure starts from the files again, so it is not the one that reloads the view. */
function failure(error: unknown): HTMLElement {
  const box = trouble(error);
  box.querySelector("button")?.remove();
  box.append(h("p", { class: "soft" }, "The files are still chosen; nothing was lost. Import again when it is mended."));
  return box;
}

function result(state: api.Job, dryRun: boolean): HTMLElement {
  const { report } = state;
  if (state.state === "failed") {
    const box = notice("The import did not work", [h("p", {}, state.message ?? "The server does not say why.")], "error");
    if (report) box.append(table(report));
    return box;
  }
  if (!report) return notice("Done", [h("p", {}, state.message ?? "")]);
  const kept = report.counts.read + report.counts.updated + report.counts.unchanged;
  const title = !kept
    ? "No recipe was found"
    : dryRun
      ? `${plural(kept, "recipe")} would come into your book`
      : `${plural(kept, "recipe")} in your book`;
  announce(title);
  return h(
    "section",
    { class: "report" },
    h("h2", {}, title),
    dryRun ? h("p", { class: "soft" }, "Nothing was written. Choose “Import” to do it.") : null,
    state.message ? h("p", {}, state.message) : null,
    h(
      "dl",
      { class: "counts" },
      (Object.keys(STATUSES) as api.Status[]).map((status) =>
        h("div", { class: status }, h("dt", {}, STATUSES[status]), h("dd", {}, report.counts[status] ?? 0)),
      ),
    ),
    table(report, !dryRun),
    dryRun ? null : h("p", { class: "buttons" }, h("a", { class: "button", href: "/browse" }, icon("book"), "Browse all recipes")),
  );
}

const SHOWN = 200;

function table(report: api.Report, linked = false): HTMLElement {
  const order: api.Status[] = ["skipped", "read", "updated", "unchanged"];
  const sorted = [...report.recipes].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  const row = (one: api.Report["recipes"][number]): HTMLElement =>
    h(
      "tr",
      { class: one.status },
      h("td", {}, h("span", { class: `tag ${one.status}` }, STATUSES[one.status])),
      h("td", {}, linked && one.id && one.status !== "skipped" ? h("a", { href: format({ view: "recipe", id: one.id }) }, one.source) : one.source),
      h("td", {}, one.reason ?? ""),
    );
  const body = h("tbody", {}, sorted.slice(0, SHOWN).map(row));
  const rest = h(
    "button",
    {
      type: "button",
      class: "button quiet",
      onclick: () => {
        body.append(...sorted.slice(SHOWN).map(row));
        rest.remove();
      },
    },
    `Show all ${sorted.length}`,
  );
  return h(
    "div",
    { class: "table", tabindex: 0, role: "region", "aria-label": "What became of every recipe" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["Outcome", "Recipe", "Remark"].map((name) => h("th", { scope: "col" }, name)))),
      body,
    ),
    sorted.length > SHOWN ? rest : null,
  );
}

/** All files of what was dropped, those inside folders too. */
async function dropped(data: DataTransfer): Promise<Given[]> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  if (!entries.length) return [...data.files].map((file) => ({ file, path: file.name }));
  return (await Promise.all(entries.map(inside))).flat();
}

async function inside(entry: FileSystemEntry): Promise<Given[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: Given[] = [];
  // A reader hands out a hundred at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    found.push(...(await Promise.all(some.map(inside))).flat());
  }
}
