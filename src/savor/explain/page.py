"""The page of an explanation: photo and recipe side by side, each word in the colour of its region."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from savor.index.thumbnails import jpeg
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from savor.explain.result import Correspondence, Explanation
    from savor.explain.words import Word
    from savor.recipe import Recipe

PHOTO_SIDE = 900
# Regions that get a colour of their own, and words listed beside each.
COLOURS = ("#cf4527", "#2472c8", "#2e8b3d", "#b07d00", "#8d4fc0", "#00918a", "#d1488f", "#8a6548")
LISTED = 6
NAMES = {"similarity": "Similarity", "attention": "Attention", "masking": "Masking", "ranks": "Ranks"}
MEANINGS = {
    "similarity": "how much word and region together add to the score",
    "attention": "how much the model looks at the word from the region",
    "masking": "how much of what the word adds to the score is gone when the region is hidden",
    "ranks": "the first word of the text's attention beside the first region of the photo's, and so on;"
    " nothing learned ties the two together",
}


def render(photo: Image.Image, explanations: Sequence[Explanation]) -> str:
    """Return a page that needs nothing beside it and asks nothing of any network.

    Without its script it shows all but the answer to a pointer or a key. The script is allowed by its hash
    alone, so that no text of a recipe can run.

    Args:
        photo: an upright RGB picture.
        explanations: of recipes beside this photo.
    """
    data = b64encode(jpeg(photo, PHOTO_SIDE)).decode()
    style = _STYLE + "".join(
        f".r{number} {{ --c: {colour}; }}\n" for number, colour in enumerate(COLOURS, start=1)
    )
    style += f".photo {{ aspect-ratio: {photo.width} / {photo.height}; "
    style += f"--across: {photo.width / photo.height:.4f}; "
    style += f'background-image: url("data:image/jpeg;base64,{data}"); }}\n'
    style += "".join(
        f"input:nth-of-type({k}):checked ~ .panel:nth-of-type({k}) {{ display: grid; }}\n"
        for k in range(1, len(NAMES) + 1)
    )
    parts = "".join(_explanation(one, number) for number, one in enumerate(explanations, start=1))
    script_hash = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
    return (
        _PAGE.replace("{script_hash}", script_hash)
        .replace("{style}", style)
        .replace("{script}", _SCRIPT)
        .replace("{explanations}", parts)
    )


def _explanation(explanation: Explanation, number: int) -> str:
    rank = "" if explanation.rank is None else f'<b class="rank">{explanation.rank}</b> '
    switches = "".join(
        f'<input type="radio" name="way-{number}" id="way-{number}-{found.way}"{" checked" * (not at)}>'
        f'<label for="way-{number}-{found.way}">{NAMES[found.way]}</label>'
        for at, found in enumerate(explanation.found)
    )
    panels = "".join(_panel(found, explanation.recipe) for found in explanation.found)
    score = explanation.found[0].score
    return f"""
<article aria-labelledby="title-{number}">
<header>
<h2 id="title-{number}">{rank}{escape(explanation.title)}</h2>
<p class="score">score {score:.3f}</p>
</header>
{switches}
{panels}
</article>"""


def _panel(found: Correspondence, recipe: Recipe) -> str:
    numbers = {cell: number for number, cell in enumerate(found.pointed_cells(), start=1)}
    cells = "".join(_cell(found, cell, numbers.get(cell)) for cell in range(len(found.boxes)))
    left, top = found.boxes[:, :2].min(0) * 100
    right, bottom = 100 - found.boxes[:, 2:].max(0) * 100
    view = f"inset: {top:.2f}% {right:.2f}% {bottom:.2f}% {left:.2f}%"
    return f"""
<div class="panel">
<section class="seen" aria-label="Photo">
<p class="photo" role="group" aria-label="The photo in {found.grid[0]} rows of {found.grid[1]} regions"
 data-columns="{found.grid[1]}"><span class="view" style="{view}"></span>{cells}</p>
<p class="meaning"><b>{NAMES[found.way]}</b>: {MEANINGS[found.way]}. The deeper a word's colour, the more
 it weighs; words without colour speak against the pair. A darkened margin of the photo is not seen.</p>
<ol class="legend" aria-label="Regions and their words">{_legend(found, numbers)}</ol>
<p class="status" role="status"></p>
</section>
<section class="recipe" aria-label="Recipe">{_recipe(found, recipe, numbers)}</section>
</div>"""


def _cell(found: Correspondence, cell: int, number: int | None) -> str:
    left, top, right, bottom = (found.boxes[cell] * 100).tolist()
    where = f"left: {left:.2f}%; top: {top:.2f}%; width: {right - left:.2f}%; height: {bottom - top:.2f}%"
    badge = "" if number is None else f"<i>{number}</i>"
    return (
        f'<button type="button" class="cell {_colour(number)}" style="{where}" tabindex="{-(cell > 0)}"'
        f' aria-label="{_place(found, cell)}">{badge}</button>'
    )


def _legend(found: Correspondence, numbers: dict[int, int]) -> str:
    best, ranks = found.best_cells(), found.ranks()
    items = []
    for cell, number in list(numbers.items())[: len(COLOURS)]:
        own = sorted(np.flatnonzero((best == cell) & (found.word_weights > 0)), key=lambda word: ranks[word])
        texts = list(dict.fromkeys(found.words[word].text.lower() for word in own))
        more = f" and {len(texts) - LISTED} more" if len(texts) > LISTED else ""
        items.append(
            f'<li><button type="button" class="key {_colour(number)}" data-cell="{cell}"'
            f' aria-label="Region {number}, {_place(found, cell)}: {escape(", ".join(texts))}">'
            f"<i>{number}</i> {escape(', '.join(texts[:LISTED]))}{more}</button></li>"
        )
    return "".join(items)


def _recipe(found: Correspondence, recipe: Recipe, numbers: dict[int, int]) -> str:
    texts = dict.fromkeys(PARTS, "")
    words = _Words(found, numbers)
    for part in PARTS:
        lines = [words.marked(line, part, number) for number, line in enumerate(recipe.lines(part))]
        texts[part] = "".join(f"<li>{line}</li>" for line in lines) if part != "title" else "".join(lines)
    return "".join(
        frame.format(texts[part])
        for part, frame in (
            ("title", '<h3>Title</h3><p class="title">{}</p>'),
            ("ingredients", '<h3>Ingredients</h3><ul class="ingredients">{}</ul>'),
            ("instructions", "<h3>Instructions</h3><ol>{}</ol>"),
        )
        if texts[part]
    )


class _Words:
    """Writes the lines of a recipe with their words marked."""

    def __init__(self, found: Correspondence, numbers: dict[int, int]) -> None:
        self.found, self.numbers = found, numbers
        self.best = found.best_cells()
        largest = max(float(found.word_weights.max(initial=0)), 1e-12)
        # The root keeps the many light words visible beside the few heavy ones.
        self.strength = np.sqrt(np.clip(found.word_weights, 0, None) / largest)
        self.by_line: dict[tuple[str, int], list[int]] = {}
        for number, word in enumerate(found.words):
            self.by_line.setdefault((word.part, word.line), []).append(number)

    def marked(self, line: str, part: str, number: int) -> str:
        """Return a line as HTML."""
        html, end = "", 0
        for word in self.by_line.get((part, number), []):
            html += escape(line[end : self.found.words[word].start]) + self._word(word)
            end = self.found.words[word].end
        return html + escape(line[end:])

    def _word(self, number: int) -> str:
        word, row, cell = self.found.words[number], self.found.weights[number], int(self.best[number])
        if cell < 0:
            return escape(word.text)
        region = self.numbers.get(cell) if self.strength[number] > 0 else None
        heat = np.rint((row - row.min()) / (row.max() - row.min()) * 99).astype(int)
        cells = sorted(cell for one in self.found.regions(number) for cell in one.cells)
        return (
            f'<span class="w {word.kind} {_colour(region)}" role="button"'
            f' tabindex="{-(number > 0)}" style="--s: {12 + 50 * self.strength[number]:.0f}%"'
            f' data-heat="{" ".join(map(str, heat))}" data-on="{" ".join(map(str, cells))}"'
            f' data-say="{_say(self.found, word, number, cell)}">{escape(word.text)}'
            f"{f'<i aria-hidden=true>{region}</i>' if region else ''}</span>"
        )


def _say(found: Correspondence, word: Word, number: int, cell: int) -> str:
    weight = f"{found.word_weights[number]:.2g}"
    rank = f"rank {found.ranks()[number]} of {len(found.words)}"
    return escape(f"{word.text}: {_place(found, cell)}; weight {weight}, {rank}")


def _place(found: Correspondence, cell: int) -> str:
    row, column = divmod(cell, found.grid[1])
    return f"row {row + 1}, column {column + 1}"


def _colour(number: int | None) -> str:
    return f"r{number}" if number is not None and number <= len(COLOURS) else "r0"


_STYLE = """
:root { color-scheme: light dark; --paper: #faf6ef; --card: #fffdf9; --ink: #2b2420; --soft: #75685d;
  --line: #e6dccd; --accent: #a8431f; }
@media (prefers-color-scheme: dark) { :root { --paper: #1c1815; --card: #27211d; --ink: #f1e8dc;
  --soft: #ab9c8d; --line: #3b332c; --accent: #f0986f; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); padding: 2rem 1rem 3rem;
  font: 1rem/1.5 "Iowan Old Style", Palatino, "Palatino Linotype", Georgia, serif; }
main { max-width: 76rem; margin: auto; }
h1, h3, .score { color: var(--accent); font-size: .8rem; font-weight: 400; letter-spacing: .12em;
  text-transform: uppercase; }
h1 { margin-bottom: 1.25rem; }
article { border-top: 1px solid var(--line); padding: 1.25rem 0 2.5rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between;
  align-items: baseline; margin-bottom: .75rem; }
h2 { font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2; font-weight: 600; overflow-wrap: anywhere; }
.rank { color: var(--accent); margin-right: .35rem; }
.score { color: var(--soft); }
.panel { display: none; gap: 1.5rem 2.25rem; grid-template-columns: minmax(0, 6fr) minmax(0, 5fr);
  margin-top: .75rem; align-items: start; }
@media (max-width: 52rem) { .panel { grid-template-columns: minmax(0, 1fr); } }
input { position: absolute; opacity: 0; pointer-events: none; }
label { display: inline-block; padding: .15rem .8rem; margin: 0 .35rem .35rem 0;
  border: 1px solid var(--line); border-radius: 1rem; cursor: pointer; font-size: .9rem; }
input:checked + label { background: var(--accent); border-color: var(--accent); color: var(--paper); }
input:only-of-type + label { display: none; }
.seen { position: sticky; top: 1rem; }
@media (max-width: 52rem) { .seen { position: static; } }
.photo { position: relative; overflow: hidden; border-radius: .5rem; background-size: 100% 100%;
  width: min(100%, 72vh * var(--across)); }
.view { position: absolute; box-shadow: 0 0 0 100rem rgb(0 0 0 / .5); pointer-events: none; }
button { font: inherit; color: inherit; cursor: pointer; text-align: left; }
.cell { position: absolute; padding: 0; border: 1px solid rgb(255 255 255 / .16); border-radius: 0;
  background: transparent; transition: background .12s; }
.r0 { --c: #83786c; }
i { font: 700 .68rem/1.25rem ui-sans-serif, system-ui, sans-serif; font-style: normal; }
.cell i, .key i { display: inline-block; min-width: 1.25rem; padding: 0 .2rem; border-radius: .65rem;
  background: var(--c); color: #fff; text-align: center; }
.cell i { position: absolute; left: .2rem; top: .2rem; box-shadow: 0 0 0 1.5px rgb(255 255 255 / .85); }
.cell.r0 i { opacity: .75; }
.lit .cell { background: rgb(12 8 5 / calc(.72 * (1 - var(--heat, 0)))); }
.lit .cell.on { outline: 3px solid #fff; outline-offset: -3px; z-index: 1; }
.meaning, .status { color: var(--soft); font-size: .85rem; line-height: 1.4; margin-top: .6rem; }
.status { min-height: 1.4em; color: var(--ink); }
.legend { list-style: none; padding: 0; margin-top: .6rem; display: flex; flex-wrap: wrap; gap: .35rem; }
.key { border: 1px solid var(--line); border-radius: .9rem; background: var(--card);
  padding: .1rem .6rem .1rem .2rem; font-size: .9rem; overflow-wrap: anywhere; }
.key:hover { border-color: var(--c); }
.title { font-size: 1.25rem; font-weight: 600; line-height: 1.45; }
h3 { margin: 1rem 0 .35rem; }
h3:first-child { margin-top: 0; }
.recipe ul, .recipe ol { padding-left: 1.3rem; }
.recipe li { margin-bottom: .3rem; line-height: 1.6; overflow-wrap: anywhere; }
.recipe ::marker { color: var(--accent); }
.w { border-radius: .25em; padding: .05em .12em; cursor: pointer; box-decoration-break: clone;
  -webkit-box-decoration-break: clone; background: color-mix(in srgb, var(--c) var(--s), transparent); }
.w.r0 { background: none; box-shadow: inset 0 -1px var(--line); }
.w.ingredient { font-weight: 600; }
.w i { font-size: .6em; line-height: 1; vertical-align: super; margin-left: .1em; }
.lit .w { opacity: .45; }
.lit .w.on { opacity: 1; box-shadow: 0 0 0 2px var(--c); }
:focus-visible, input:focus-visible + label { outline: 3px solid var(--accent); outline-offset: 1px; }
.cell:focus-visible { outline-offset: -4px; outline-color: #fff; }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print { .panel { break-inside: avoid; } .seen { position: static; } }
"""

_SCRIPT = """
"use strict";
for (const panel of document.querySelectorAll(".panel")) {
  const words = [...panel.querySelectorAll(".w")], cells = [...panel.querySelectorAll(".cell")];
  const status = panel.querySelector(".status"), photo = panel.querySelector(".photo");
  const columns = Number(photo.dataset.columns);
  const numbers = text => text ? text.split(" ").map(Number) : [];
  const regions = new Map(words.map(word => [word, new Set(numbers(word.dataset.on))]));
  let pinned = null;

  function light(heat, on, chosen, text) {
    panel.classList.add("lit");
    cells.forEach((cell, k) => {
      cell.style.setProperty("--heat", heat[k]);
      cell.classList.toggle("on", on.has(k));
    });
    words.forEach(word => word.classList.toggle("on", chosen.includes(word)));
    status.textContent = text;
  }
  function show(one) {
    if (!one) {
      panel.classList.remove("lit");
      for (const each of [...cells, ...words]) each.classList.remove("on");
      status.textContent = "";
    } else if (regions.has(one)) {
      const heat = numbers(one.dataset.heat).map(value => value / 99);
      light(heat, regions.get(one), [one], one.dataset.say);
    } else {
      const cell = one.dataset.cell ? Number(one.dataset.cell) : cells.indexOf(one);
      const own = words.filter(word => regions.get(word).has(cell));
      const texts = [...new Set(own.map(word => word.firstChild.data.toLowerCase()))];
      const heat = cells.map((_, k) => k === cell ? 1 : 0);
      const place = cells[cell].getAttribute("aria-label");
      light(heat, new Set([cell]), own, place + ": " + (texts.join(", ") || "no word"));
    }
  }
  const target = event => event.target.closest(".w, .cell, .key");
  function pin(one) {
    if (pinned) pinned.removeAttribute("aria-pressed");
    pinned = pinned === one ? null : one;
    if (pinned) pinned.setAttribute("aria-pressed", "true");
    show(pinned);
  }
  panel.addEventListener("pointerover", event => {
    if (event.pointerType !== "touch") show(target(event) || pinned);
  });
  panel.addEventListener("pointerleave", () => show(pinned));
  panel.addEventListener("focusin", event => {
    if (event.target.matches(":focus-visible")) show(target(event) || pinned);
  });
  panel.addEventListener("focusout", () => show(pinned));
  panel.addEventListener("click", event => pin(target(event)));
  panel.addEventListener("keydown", event => {
    const one = target(event), list = words.includes(one) ? words : cells;
    const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: list === words ? -1 : -columns,
      ArrowDown: list === words ? 1 : columns};
    if (event.key === "Escape") pin(null);
    if (!one) return;
    if (words.includes(one) && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      pin(one);
    }
    const next = event.key in steps && list[list.indexOf(one) + steps[event.key]];
    if (!next || !list.includes(one)) return;
    event.preventDefault();
    one.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script_hash}'">
<title>Savor: why this recipe</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Which words belong to which part of the photo</h1>
{explanations}
</main>
<script>{script}</script>
</body>
</html>
"""
