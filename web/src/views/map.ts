/** The collection as a map: what the model finds alike lies close together. */

import * as api from "../api";
import { announce, h, icon, plural } from "../dom";
import { notice, picture, sized, titleOf, waiting } from "../parts";
import { format } from "../routes";
import { go, heading, titled } from "../shell";

const COLOURS = 10;
const MARGIN = 44;
const CLOSEST = 40;
/** As many pictures are drawn at once; the other recipes are dots until the map is nearer. */
const PICTURES = 160;

export async function showMap(_: unknown, main: HTMLElement, signal: AbortSignal): Promise<void> {
  titled("Map");
  const title = heading("The map of your recipes");
  const lead = h("p", { class: "soft" }, "What the model finds alike lies close together.");
  main.replaceChildren(h("div", { class: "summary" }, title, lead), waiting("Drawing the map …"));
  let found = await api.map(signal);
  while (found.kind === "pending") {
    await api.pause(1000, signal);
    found = await api.map(signal);
  }
  main.querySelector(".waiting")?.remove();
  if (!found.points.length) {
    main.append(
      notice("There is nothing to map yet", [
        h("p", {}, "A map needs a few recipes."),
        h("a", { class: "button", href: "/?import=" }, icon("plus"), "Add recipes"),
      ]),
    );
    return;
  }
  if (found.total > found.points.length)
    lead.append(` Of ${plural(found.total, "recipe")}, ${found.points.length.toLocaleString("en")} are shown.`);
  const chart = new Chart(found.points, signal);
  main.append(chart.element, list(chart));
  chart.fit();
}

function list(chart: Chart): HTMLElement {
  const groups = chart.categories.map((category) => {
    const points = chart.points.filter((point) => (point.category ?? "") === category);
    return [
      chart.categories.length > 1 ? h("h3", {}, category || "without a category") : null,
      h(
        "ul",
        {},
        points.map((point) =>
          h(
            "li",
            {},
            h(
              "a",
              { href: format({ view: "recipe", id: point.id }), onfocus: () => chart.select(point, true) },
              titleOf(point),
            ),
          ),
        ),
      ),
    ];
  });
  return h("details", { class: "map-list" }, h("summary", {}, "The map as a list"), h("div", { class: "columns" }, groups));
}

interface Inks {
  ink: string;
  card: string;
  serif: string;
  swatches: string[];
}

class Chart {
  readonly element: HTMLElement;
  readonly categories: string[];
  private readonly canvas = h("canvas", {
    tabindex: 0,
    role: "application",
    "aria-label": "Map of the collection. Arrow keys go to the next recipe, plus and minus zoom, 0 shows all, Enter opens.",
  });
  private readonly aside = h("div", { class: "map-card", hidden: true });
  private readonly images = new Map<string, HTMLImageElement>();
  private readonly pointers = new Map<number, { x: number; y: number }>();
  private chosen: api.Point | null = null;
  private hovered: api.Point | null = null;
  private scale = 1;
  private left = 0;
  private top = 0;
  private width = 0;
  private height = 0;
  private moved = false;
  private due = false;

  constructor(
    readonly points: api.Point[],
    signal: AbortSignal,
  ) {
    const counts = new Map<string, number>();
    for (const { category } of points) counts.set(category ?? "", (counts.get(category ?? "") ?? 0) + 1);
    this.categories = [...counts].sort((a, b) => b[1] - a[1]).map(([category]) => category);
    const button = (name: "plus" | "minus", text: string, act: () => void): HTMLElement =>
      h("button", { type: "button", class: "round", "aria-label": text, title: text, onclick: act }, icon(name));
    this.element = h(
      "div",
      { class: "map" },
      h(
        "div",
        { class: "sheet" },
        this.canvas,
        h(
          "div",
          { class: "zoom" },
          button("plus", "Zoom in", () => this.zoom(1.6)),
          button("minus", "Zoom out", () => this.zoom(1 / 1.6)),
          h("button", { type: "button", class: "round", "aria-label": "Show all", title: "Show all (0)", onclick: () => this.fit() }, icon("all")),
        ),
        this.aside,
      ),
      this.legend(),
    );
    if (this.categories.length < 2) this.element.classList.add("plain");
    this.listen(signal);
  }

  /** Shows all of the map. */
  fit(): void {
    this.scale = 1;
    this.left = this.top = 0;
    this.draw();
  }

  /** Chooses a recipe; `centre` moves the map to it. */
  select(point: api.Point | null, centre = false): void {
    this.chosen = point;
    this.aside.hidden = !point;
    if (point) {
      this.aside.replaceChildren(
        picture(point.photo_url, "", 240),
        h(
          "div",
          {},
          h("a", { href: format({ view: "recipe", id: point.id }) }, titleOf(point)),
          point.category ? h("p", { class: "facts" }, point.category) : null,
        ),
        h("button", { type: "button", class: "round close", "aria-label": "Close", onclick: () => this.select(null) }, icon("close")),
      );
      announce(titleOf(point));
      const [x, y] = this.at(point);
      if (centre || x < 0 || y < 0 || x > this.width || y > this.height) {
        this.left += x - this.width / 2;
        this.top += y - this.height / 2;
        this.bound();
      }
    }
    this.draw();
  }

  private legend(): HTMLElement {
    const items = this.categories
      .slice(0, COLOURS)
      .map((category, k) => h("li", {}, h("span", { class: `swatch c${k}`, "aria-hidden": "true" }), category || "without a category"));
    const others = this.categories.length > COLOURS ? h("li", {}, h("span", { class: "swatch", "aria-hidden": "true" }), "others") : null;
    return h("ul", { class: "legend", "aria-label": "Colours" }, items, others);
  }

  private at(point: api.Point): [number, number] {
    return [
      MARGIN + point.x * (this.width - 2 * MARGIN) * this.scale - this.left,
      MARGIN + point.y * (this.height - 2 * MARGIN) * this.scale - this.top,
    ];
  }

  private zoom(factor: number, x = this.width / 2, y = this.height / 2): void {
    const scale = Math.min(CLOSEST, Math.max(1, this.scale * factor));
    const change = scale / this.scale;
    this.left = (this.left + x - MARGIN) * change - x + MARGIN;
    this.top = (this.top + y - MARGIN) * change - y + MARGIN;
    this.scale = scale;
    this.bound();
    this.draw();
  }

  /** Keeps the map within sight. */
  private bound(): void {
    const bounded = (offset: number, side: number): number => {
      const room = (side - 2 * MARGIN) * (this.scale - 1);
      return Math.min(room + side / 3, Math.max(-side / 3, offset));
    };
    this.left = this.scale === 1 ? 0 : bounded(this.left, this.width);
    this.top = this.scale === 1 ? 0 : bounded(this.top, this.height);
  }

  private draw(): void {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.paint();
    });
  }

  private paint(): void {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    this.width = clientWidth;
    this.height = clientHeight;
    this.canvas.width = clientWidth * ratio;
    this.canvas.height = clientHeight * ratio;
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.scale(ratio, ratio);
    const inks = this.inks();
    const near = this.points.filter((point) => {
      const [x, y] = this.at(point);
      return x > -60 && y > -60 && x < this.width + 60 && y < this.height + 60;
    });
    const pictured = this.pictured(near);
    const side = this.side();
    for (const point of near) if (!pictured.has(point)) this.dot(pen, point, inks);
    for (const point of pictured) this.tile(pen, point, side, inks);
    for (const point of [this.hovered, this.chosen]) if (point) this.raised(pen, point, side, inks);
  }

  /** The colours of the theme, read off elements that wear them. */
  private inks(): Inks {
    const style = getComputedStyle(this.canvas);
    const swatches = [...this.element.querySelectorAll(".swatch")];
    return {
      ink: style.color,
      card: style.backgroundColor,
      serif: style.fontFamily,
      swatches: swatches.map((swatch) => getComputedStyle(swatch).backgroundColor),
    };
  }

  private side(): number {
    return Math.min(96, (this.width < 600 ? 34 : 46) * Math.sqrt(this.scale));
  }

  /** The recipes with room for a picture, in the order of the list, so that moving the map does not shuffle them. */
  private pictured(near: api.Point[]): Set<api.Point> {
    const side = this.side() + 6;
    const taken = new Map<string, [number, number][]>();
    const chosen = new Set<api.Point>();
    for (const point of near) {
      if (chosen.size >= PICTURES) break;
      if (!point.photo_url) continue;
      // In the map's own coordinates, which do not change when it is moved.
      const x = point.x * (this.width - 2 * MARGIN) * this.scale;
      const y = point.y * (this.height - 2 * MARGIN) * this.scale;
      const [column, row] = [Math.floor(x / side), Math.floor(y / side)];
      const free = [-1, 0, 1].every((dx) =>
        [-1, 0, 1].every((dy) =>
          (taken.get(`${column + dx} ${row + dy}`) ?? []).every(([a, b]) => Math.abs(a - x) >= side || Math.abs(b - y) >= side),
        ),
      );
      if (!free) continue;
      const key = `${column} ${row}`;
      taken.set(key, [...(taken.get(key) ?? []), [x, y]]);
      chosen.add(point);
    }
    return chosen;
  }

  private shade(point: api.Point, inks: Inks): string {
    const k = this.categories.indexOf(point.category ?? "");
    return inks.swatches[Math.min(k, COLOURS)] ?? inks.ink;
  }

  private dot(pen: CanvasRenderingContext2D, point: api.Point, inks: Inks): void {
    const [x, y] = this.at(point);
    pen.beginPath();
    pen.arc(x, y, 5, 0, 7);
    pen.fillStyle = this.shade(point, inks);
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = inks.card;
    pen.stroke();
  }

  private tile(pen: CanvasRenderingContext2D, point: api.Point, side: number, inks: Inks): void {
    const [x, y] = this.at(point);
    const image = this.image(point);
    if (!image) return this.dot(pen, point, inks);
    pen.save();
    pen.beginPath();
    pen.roundRect(x - side / 2, y - side / 2, side, side, side / 6);
    pen.lineWidth = 5;
    pen.strokeStyle = this.shade(point, inks);
    pen.stroke();
    pen.clip();
    const crop = Math.min(image.naturalWidth, image.naturalHeight);
    const [sx, sy] = [(image.naturalWidth - crop) / 2, (image.naturalHeight - crop) / 2];
    pen.drawImage(image, sx, sy, crop, crop, x - side / 2, y - side / 2, side, side);
    pen.restore();
  }

  /** A picture as soon as it has been loaded. */
  private image(point: api.Point): HTMLImageElement | null {
    const url = point.photo_url!;
    let image = this.images.get(url);
    if (!image) {
      image = new Image();
      image.onload = () => this.draw();
      image.src = sized(url, 160);
      this.images.set(url, image);
    }
    return image.complete && image.naturalWidth ? image : null;
  }

  /** The recipe pointed at or chosen: larger, on top, with its name. */
  private raised(pen: CanvasRenderingContext2D, point: api.Point, side: number, inks: Inks): void {
    const [x, y] = this.at(point);
    const large = Math.max(56, side * 1.25);
    if (point.photo_url) this.tile(pen, point, large, inks);
    else this.dot(pen, point, inks);
    const text = titleOf(point);
    pen.font = `600 14px ${inks.serif}`;
    const wide = Math.min(this.width - 16, pen.measureText(text).width + 20);
    const from = Math.min(this.width - wide - 8, Math.max(8, x - wide / 2));
    const above = y + large / 2 + 36 > this.height;
    const down = above ? y - large / 2 - 34 : y + large / 2 + 8;
    pen.beginPath();
    pen.roundRect(from, down, wide, 26, 6);
    pen.fillStyle = inks.ink;
    pen.fill();
    pen.fillStyle = inks.card;
    pen.textBaseline = "middle";
    pen.fillText(text, from + 10, down + 13.5, wide - 20);
  }

  private under(x: number, y: number): api.Point | null {
    let best: api.Point | null = null;
    let nearest = Math.max(14, this.side() / 2);
    for (const point of this.points) {
      const [px, py] = this.at(point);
      const distance = Math.max(Math.abs(px - x), Math.abs(py - y));
      if (distance < nearest) [best, nearest] = [point, distance];
    }
    return best;
  }

  private listen(signal: AbortSignal): void {
    const { canvas } = this;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      this.moved = false;
    });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    const end = (event: PointerEvent): void => {
      const was = this.pointers.delete(event.pointerId);
      if (was && !this.moved && event.type === "pointerup") this.select(this.under(event.offsetX, event.offsetY));
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("pointerleave", () => {
      this.hovered = null;
      this.draw();
    });
    canvas.addEventListener("dblclick", () => this.chosen && go({ view: "recipe", id: this.chosen.id }));
    canvas.addEventListener("keydown", (event) => this.key(event));
    const sizes = new ResizeObserver(() => this.draw());
    sizes.observe(canvas);
    signal.addEventListener("abort", () => sizes.disconnect());
    addEventListener("savor-theme", () => this.draw(), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(), { signal });
  }

  private move(event: PointerEvent): void {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      const under = this.under(event.offsetX, event.offsetY);
      this.canvas.classList.toggle("over", under !== null);
      if (under !== this.hovered) {
        this.hovered = under;
        this.draw();
      }
      return;
    }
    const now = { x: event.offsetX, y: event.offsetY };
    const [dx, dy] = [now.x - before.x, now.y - before.y];
    if (!this.moved && Math.hypot(dx, dy) < 4) return;
    this.moved = true;
    this.hovered = null;
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) {
      const spread = (one: { x: number; y: number }): number => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      this.zoom(spread(now) / spread(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else {
      this.left -= dx;
      this.top -= dy;
      this.bound();
      this.draw();
    }
  }

  private key(event: KeyboardEvent): void {
    const arrows: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const arrow = arrows[event.key];
    if (arrow) this.select(this.next(...arrow));
    else if (event.key === "+" || event.key === "=") this.zoom(1.6, ...this.centre());
    else if (event.key === "-") this.zoom(1 / 1.6, ...this.centre());
    else if (event.key === "0") this.fit();
    else if (event.key === "Escape") this.select(null);
    else if (event.key === "Enter" && this.chosen) go({ view: "recipe", id: this.chosen.id });
    else return;
    event.preventDefault();
  }

  private centre(): [number, number] {
    return this.chosen ? this.at(this.chosen) : [this.width / 2, this.height / 2];
  }

  /** The nearest recipe in a direction; without a chosen one, the nearest to the middle. */
  private next(dx: number, dy: number): api.Point | null {
    const [x, y] = this.centre();
    let best = this.chosen;
    let nearest = Infinity;
    for (const point of this.points) {
      if (point === this.chosen) continue;
      const [px, py] = this.at(point);
      const along = this.chosen ? (px - x) * dx + (py - y) * dy : Math.hypot(px - x, py - y);
      const aside = this.chosen ? Math.abs((px - x) * dy) + Math.abs((py - y) * dx) : 0;
      const cost = along + 2 * aside;
      if (along > 0 && aside <= 2 * along && cost < nearest) [best, nearest] = [point, cost];
    }
    return best;
  }
}
