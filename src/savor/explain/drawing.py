"""The figure of an explanation for papers: the photo with numbered regions, their words beside it."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import combining, normalize

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from savor.explain.page import COLOURS, LISTED, NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from savor.explain.result import Array, Correspondence, Explanation

# Pixels; at 300 to the inch the figure is a page's text width.
WIDTH, PHOTO, GAP, LINE = 2000, 1100, 50, 52
TEXT, SMALL, TITLE = 38, 30, 50
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "Helvetica.ttc")
INK, SOFT = "#2b2420", "#75685d"


def draw(photo: Image.Image, explanations: Sequence[Explanation]) -> Image.Image:
    """Draw explanations below each other, each way in a row of its own; an RGB picture 2000 pixels wide.

    The font is the first of `FONTS` that the machine has. Pillow's own, the last resort, has only the letters
    of ASCII: accents are then left out, and other letters are question marks.

    Args:
        photo: an upright RGB picture.
        explanations: of recipes beside this photo.
    """
    rows = [_row(photo, one, found) for one in explanations for found in one.found]
    figure = Image.new("RGB", (WIDTH, sum(row.height for row in rows) + GAP * (len(rows) + 1)), "white")
    top = GAP
    for row in rows:
        figure.paste(row, (0, top))
        top += row.height + GAP
    return figure


def _row(photo: Image.Image, explanation: Explanation, found: Correspondence) -> Image.Image:
    cells = found.pointed_cells()[: len(COLOURS)]
    scale = PHOTO / max(photo.size)
    left = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    for number, cell in reversed(list(enumerate(cells, start=1))):
        _outline(left, found.boxes[cell], number)
    right = _words(WIDTH - PHOTO - 3 * GAP, explanation, found, cells)
    row = Image.new("RGB", (WIDTH, max(left.height, right.height)), "white")
    row.paste(left, (GAP + (PHOTO - left.width) // 2, 0))
    row.paste(right, (PHOTO + 2 * GAP, 0))
    return row


def _outline(picture: Image.Image, box: Array, number: int) -> None:
    """Draw the outline of a cell, in its colour between two white lines, and its number."""
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = np.rint(box * np.array([*picture.size] * 2)).astype(int).tolist()
    for inset, width, colour in ((1, 9, "white"), (3, 5, COLOURS[number - 1])):
        pen.rectangle((left + inset, top + inset, right - inset - 1, bottom - inset - 1), None, colour, width)
    _badge(pen, (left + 34, top + 34), number)


def _badge(pen: ImageDraw.ImageDraw, centre: tuple[int, int], number: int) -> None:
    pen.circle(centre, 25, COLOURS[number - 1], "white", 3)
    pen.text(centre, str(number), "white", _font(SMALL + 2), anchor="mm")


def _words(width: int, explanation: Explanation, found: Correspondence, cells: list[int]) -> Image.Image:
    """Draw the title, the score and the words of each numbered region."""
    rank = "" if explanation.rank is None else f"{explanation.rank}  "
    lines: list[tuple[str, int, str, int]] = []  # text, size, colour, number of the region or 0
    lines += [(text, TITLE, INK, 0) for text in _wrap(f"{rank}{explanation.title}", TITLE, width)]
    lines += [(f"{NAMES[found.way]}, score {found.score:.3f}", SMALL, SOFT, 0), ("", SMALL, SOFT, 0)]
    best, ranks = found.best_cells(), found.ranks()
    for number, cell in enumerate(cells, start=1):
        own = np.flatnonzero((best == cell) & (found.word_weights > 0))
        own = own[np.argsort(ranks[own])]
        texts = list(dict.fromkeys(found.words[word].text.lower() for word in own))
        more = f" (+{len(texts) - LISTED})" if len(texts) > LISTED else ""
        wrapped = _wrap(", ".join(texts[:LISTED]) + more, TEXT, width - 70)
        lines += [(text, TEXT, INK, number if not at else -number) for at, text in enumerate(wrapped)]
    heights = [LINE + 10 if size == TITLE else LINE for _, size, _, _ in lines]
    picture = Image.new("RGB", (width, sum(heights)), "white")
    pen, top = ImageDraw.Draw(picture), 0
    for (text, size, colour, number), height in zip(lines, heights, strict=True):
        if number > 0:
            _badge(pen, (26, top + height // 2), number)
        left = 70 if number else 0
        pen.text((left, top + height // 2), _drawable(text), colour, _font(size), anchor="lm")
        top += height
    return picture


def _wrap(text: str, size: int, width: int) -> list[str]:
    """Break a text into lines that fit a width; a word that is wider stands alone."""
    font = _font(size)
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(_drawable(longer)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    name = _font_name()
    return ImageFont.load_default(size) if name is None else ImageFont.truetype(name, size)


@cache
def _font_name() -> str | None:
    for name in FONTS:
        with suppress(OSError):
            ImageFont.truetype(name)
            return name
    return None


def _drawable(text: str) -> str:
    """Return a text in letters that the font has."""
    if _font_name() is not None:
        return text
    bare = "".join(letter for letter in normalize("NFKD", text) if not combining(letter))
    return bare.encode("ascii", "replace").decode()
