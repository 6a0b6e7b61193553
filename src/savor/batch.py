"""Batch: what the methods read, one field for each part of a photo or of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from savor.errors import MethodError, OptionError
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Array = np.ndarray[Any, np.dtype[Any]]

# What a method may name in `uses`, and the fields of a batch that this fills.
USES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "image_mask"),
    "patches": ("patches", "grid", "image_mask"),
    "lines": (
        "title",
        "title_mask",
        "ingredients",
        "ingredients_mask",
        "instructions",
        "instructions_mask",
    ),
    "tokens": ("words", "words_mask", "words_spans"),
    "category": ("category",),
    "pixels": ("pixels", "image_mask"),
    "word_ids": (
        "title_ids",
        "title_mask",
        "ingredients_ids",
        "ingredients_mask",
        "instructions_ids",
        "instructions_mask",
    ),
}
# Read from the data set itself and not from stored vectors (`savor.pixels`).
RAW = ("pixels", "word_ids")


@dataclass(frozen=True)
class Batch:
    """b pairs on one device; absent parts are None, a mask is True where something is.

    A recipe without ingredients has a row of False in `ingredients_mask`; the vectors under a False are
    zeros that no method may read as text.
    """

    ids: tuple[str, ...]
    image: Tensor | None = None  # (b, d_image) pooled photo vector
    image_mask: Tensor | None = None  # (b,) has a photo
    patches: Tensor | None = None  # (b, p, d_image), row by row over `grid`
    grid: tuple[int, int] | None = None  # rows and columns of the patches
    title: Tensor | None = None  # (b, d_text)
    title_mask: Tensor | None = None  # (b,)
    ingredients: Tensor | None = None  # (b, i, d_text), one vector a line
    ingredients_mask: Tensor | None = None  # (b, i)
    instructions: Tensor | None = None  # (b, s, d_text), one vector a step
    instructions_mask: Tensor | None = None  # (b, s)
    words: Tensor | None = None  # (b, w, d_text), the text encoder's token states
    words_mask: Tensor | None = None  # (b, w)
    words_spans: Tensor | None = None  # (b, w, 4): part, line, first and last character of the word piece
    category: Tensor | None = None  # (b,) title class, 0 = background
    pixels: Tensor | None = None  # (b, 3, h, w) uint8
    title_ids: Tensor | None = None  # (b, t) word ids, -1 behind the last; the masks are those above
    ingredients_ids: Tensor | None = None  # (b, i, t)
    instructions_ids: Tensor | None = None  # (b, s, t)

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with every tensor on a device."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class Encoded:
    """One side of n items: unit rows and, for a pair scorer, the states behind them."""

    vectors: Tensor  # (n, dim)
    states: Tensor | None = None  # (n, s, d)
    mask: Tensor | None = None  # (n, s), False where there is no state; None: everywhere is one

    def rows(self, chosen: Tensor) -> Encoded:
        """Return some of the items, in the order asked for."""
        states = None if self.states is None else self.states[chosen]
        return Encoded(self.vectors[chosen], states, None if self.mask is None else self.mask[chosen])


class Column:
    """One field over all shards: `(rows, ...)` memory-mapped values and the offsets of each recipe."""

    def __init__(self, parts: Sequence[Array], offsets: Sequence[Array]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        counts = np.concatenate([np.diff(one) for one in offsets])
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def counts(self, rows: Array) -> Array:
        """Return how many values each of the recipes `rows` has, `(n,)`."""
        counts: Array = self.offsets[rows + 1] - self.offsets[rows]
        return counts

    def take(self, positions: Array) -> Array:
        """Return the values at positions counted over all shards, `(n, ...)` in the stored type."""
        out = np.empty((len(positions), *self.parts[0].shape[1:]), self.parts[0].dtype)
        shards = np.searchsorted(self.starts, positions, side="right") - 1
        for shard in np.unique(shards):
            chosen = shards == shard
            out[chosen] = self.parts[shard][positions[chosen] - self.starts[shard]]
        return out

    def padded(self, rows: Array) -> tuple[Array, Array]:
        """Return `(n, longest, ...)` values with zeros behind the last one, and their mask `(n, longest)`."""
        chosen, mask = places(self.counts(rows))
        return self.at(rows, chosen, mask), mask

    def at(self, rows: Array, chosen: Array, mask: Array) -> Array:
        """Return the values at the places `chosen` of each recipe, `(n, m, ...)`, zeros where not `mask`."""
        positions = (self.offsets[rows][:, None] + chosen)[mask]
        out = np.zeros((*mask.shape, *self.parts[0].shape[1:]), self.parts[0].dtype)
        out[mask] = self.take(positions)
        return out

    @classmethod
    def of(cls, values: Array, counts: Array) -> Column:
        """Make a column of values in memory, `(rows, ...)`, the first `counts[0]` of them recipe 0's."""
        return cls([values], [np.concatenate([[0], np.cumsum(counts)])])


def places(counts: Array, most: int = 0, rng: np.random.Generator | None = None) -> tuple[Array, Array]:
    """Choose which values of each recipe are read: places and their mask, `(n, longest)` each, in order.

    Of a recipe with more than `most` values (0 = no limit) a subset of that size: evenly spread, or a random
    one where a generator is given.

    >>> places(np.array([2, 7]), most=3)[0].tolist()
    [[0, 1, 2], [1, 3, 5]]
    """
    kept = np.minimum(counts, most) if most else counts
    longest = max(int(kept.max(initial=0)), 1)
    chosen = np.tile(np.arange(longest), (len(counts), 1))
    for row in np.flatnonzero(kept < counts):
        count = int(counts[row])
        if rng is None:
            chosen[row] = (2 * np.arange(most) + 1) * count // (2 * most)
        else:
            chosen[row] = np.sort(rng.choice(count, most, replace=False))
    return chosen, np.arange(longest) < kept[:, None]


def gather(
    column: Callable[[str], Column],
    ids: Sequence[str],
    rows: Array,
    uses: Sequence[str],
    *,
    rng: np.random.Generator | None = None,
    grid: Sequence[int] | None = None,
    words: int = 0,
) -> Batch:
    """Read the fields that `uses` names from columns, on disk or in memory, into a padded batch.

    Args:
        column: name of a field -> column.
        ids: of the recipes.
        rows: the recipes' rows in the columns, `(n,)`.
        uses: what is read, keys of `USES`.
        rng: draws which of several photos is taken, the same one for `image` and `patches`, and which word
            pieces are; without it the first photo and an evenly spread subset.
        grid: rows and columns of the patches.
        words: word pieces read of a recipe, in their order; 0 reads all.

    Raises:
        MethodError: a use that this function does not know.
        OptionError: `words` is negative.
    """
    if words < 0:
        raise OptionError(f"words={words}: must be 0 (all word pieces of a recipe) or more")
    draw = None if rng is None else rng.random(len(rows))
    fields: dict[str, Any] = {}
    for use in uses:
        if use in ("image", "patches"):
            fields[use], fields["image_mask"] = _one_photo(column(use), rows, draw)
        elif use == "lines":
            for part in PARTS:
                values, mask = column(part).padded(rows)
                if part == "title":
                    values, mask = values[:, 0], mask[:, 0]
                fields |= {part: _float(values), f"{part}_mask": torch.from_numpy(mask)}
        elif use == "tokens":
            chosen, mask = places(column("words").counts(rows), words, rng)
            spans = column("words_spans").at(rows, chosen, mask).astype(np.int64)
            fields |= {
                "words": _float(column("words").at(rows, chosen, mask)),
                "words_mask": torch.from_numpy(mask),
                "words_spans": torch.from_numpy(spans),
            }
        elif use not in USES:
            raise MethodError(f"a method cannot use {use!r}; known: {', '.join(USES)}")
    if "patches" in uses and grid is not None:
        fields["grid"] = (int(grid[0]), int(grid[1]))
    return Batch(ids=tuple(ids), **fields)


def _one_photo(column: Column, rows: Array, draw: Array | None) -> tuple[Tensor, Tensor]:
    counts = column.counts(rows)
    which = np.zeros(len(rows), np.int64) if draw is None else (draw * counts).astype(np.int64)
    mask = counts > 0
    values = np.zeros((len(rows), *column.parts[0].shape[1:]), np.float32)
    values[mask] = column.take((column.offsets[rows] + which)[mask])
    return torch.from_numpy(values), torch.from_numpy(mask)


def _float(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
