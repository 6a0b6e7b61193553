"""Correspondence: the one result of all ways to say which words belong to which regions of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from savor.explain.words import Word
    from savor.recipe import Recipe

Array = np.ndarray[Any, np.dtype[Any]]
Box = tuple[float, float, float, float]  # left, top, right, bottom in fractions of the photo

QUANTILE = 0.85


@dataclass(frozen=True, slots=True)
class Region:
    """Neighbouring cells of a photo: the box around them, the sum of their weights, their numbers."""

    box: Box
    weight: float
    cells: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Correspondence:
    """Which words of a recipe belong to which cells of a photo, in one of the ways of `savor.explain`.

    Attributes:
        way: `similarity`, `attention`, `masking` or `ranks`.
        words: w words of the recipe in reading order.
        grid: rows and columns of the cells; they cover what the image encoder sees of the photo.
        boxes: left, top, right, bottom of each cell in fractions of the upright photo, `(cells, 4)`.
        weights: `(w, cells)` float32; the larger, the more word and cell belong together.
        word_weights: what each word weighs by itself, `(w,)`.
        cell_weights: what each cell weighs by itself, `(cells,)`.
        score: of the photo and the recipe.
    """

    way: str
    words: tuple[Word, ...]
    grid: tuple[int, int]
    boxes: Array
    weights: Array
    word_weights: Array
    cell_weights: Array
    score: float

    def best_cells(self) -> Array:
        """Return the cell that each word points to, `(w,)`; -1 where all its weights are equal."""
        if not self.words:
            return np.zeros(0, np.int64)
        varies = self.weights.max(1) > self.weights.min(1)
        return np.where(varies, self.weights.argmax(1), -1)

    def regions(self, word: int, quantile: float = QUANTILE) -> tuple[Region, ...]:
        """Return where a word points: neighbouring cells above a quantile of its weights, the heaviest first.

        Cells are neighbours that share an edge. A word whose weights are all equal points nowhere.
        """
        row = self.weights[word]
        chosen = (row >= np.quantile(row, quantile)) & (row > row.min())
        groups = _neighbours(chosen.reshape(self.grid))
        found = [Region(self._box(cells), float(row[list(cells)].sum()), cells) for cells in groups]
        return tuple(sorted(found, key=lambda region: (-float(row[list(region.cells)].max()), region.cells)))

    def pointed_cells(self) -> list[int]:
        """Return the cells that words of positive weight point to, those of the weightiest words first."""
        best = self.best_cells()
        counted = (best >= 0) & (self.word_weights > 0)
        sums = np.bincount(best[counted], self.word_weights[counted], len(self.boxes))
        return sorted(np.flatnonzero(sums > 0).tolist(), key=lambda cell: (-sums[cell], cell))

    def ranks(self) -> Array:
        """Return the rank of each word by its own weight, from 1, `(w,)`; equal ones in reading order."""
        ranks = np.empty(len(self.words), np.int64)
        ranks[np.argsort(-self.word_weights, kind="stable")] = np.arange(1, len(self.words) + 1)
        return ranks

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values; `words` are in the order of their ranks."""
        ranks = self.ranks()
        order = np.argsort(ranks)
        return {
            "way": self.way,
            "score": _short(self.score),
            "grid": list(self.grid),
            "boxes": _short(self.boxes),
            "cell_weights": _short(self.cell_weights),
            "words": [self._word(int(number), int(ranks[number])) for number in order],
        }

    def _word(self, number: int, rank: int) -> dict[str, Any]:
        word, best = self.words[number], int(self.best_cells()[number])
        region = next(iter(self.regions(number)), None)
        return {
            "word": word.text,
            "kind": word.kind,
            "part": word.part,
            "line": word.line,
            "start": word.start,
            "end": word.end,
            "text_weight": _short(self.word_weights[number]),
            "region_box": None if region is None else _short(region.box),
            "image_weight": None if best < 0 else _short(self.cell_weights[best]),
            "rank": rank,
            "weights": _short(self.weights[number]),
        }

    def _box(self, cells: tuple[int, ...]) -> Box:
        boxes = self.boxes[list(cells)]
        left, top = boxes[:, :2].min(0).tolist()
        right, bottom = boxes[:, 2:].max(0).tolist()
        return left, top, right, bottom


@dataclass(frozen=True)
class Explanation:
    """A recipe beside a photo, explained in one or several ways; `rank` where it is a hit of a search."""

    recipe: Recipe
    found: tuple[Correspondence, ...]
    rank: int | None = None

    @property
    def title(self) -> str:
        """The recipe's title, or its id where it has none."""
        return self.recipe.title if self.recipe.title.strip() else self.recipe.id

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values, `rank` only where there is one."""
        rank = {} if self.rank is None else {"rank": self.rank}
        ways = [one.as_dict() for one in self.found]
        return {"id": self.recipe.id, "title": self.recipe.title, **rank, "ways": ways}


def grid_boxes(grid: tuple[int, int], view: Box) -> Array:
    """Return the boxes of a grid over what an encoder sees of a photo, row by row, `(rows * columns, 4)`.

    >>> grid_boxes((1, 2), (0.2, 0.0, 0.8, 1.0)).tolist()
    [[0.2, 0.0, 0.5, 1.0], [0.5, 0.0, 0.8, 1.0]]
    """
    rows, columns = grid
    across = np.linspace(view[0], view[2], columns + 1)
    down = np.linspace(view[1], view[3], rows + 1)
    row, column = (one.ravel() for one in np.indices(grid))
    return np.stack([across[column], down[row], across[column + 1], down[row + 1]], 1)


def _neighbours(chosen: Array) -> list[tuple[int, ...]]:
    """Return the groups of True cells that hang together, `(rows, columns)`, by their numbers row by row."""
    left = {(int(row), int(column)) for row, column in np.argwhere(chosen)}
    groups = []
    while left:
        edge = [min(left)]
        left.discard(edge[0])
        group = []
        while edge:
            row, column = edge.pop()
            group.append(row * chosen.shape[1] + column)
            for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                if cell in left:
                    left.discard(cell)
                    edge.append(cell)
        groups.append(tuple(sorted(group)))
    return groups


def _short(values: Any) -> Any:
    """Return numbers as JSON values of six significant digits."""
    if np.ndim(values):
        return [_short(value) for value in values]
    return float(f"{float(values):.6g}")
