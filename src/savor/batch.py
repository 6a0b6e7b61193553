"""Batch: what the methods read, one field for each part of a photo or of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from savor.errors import MethodError
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
}


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
        counts = self.counts(rows)
        longest = max(int(counts.max(initial=0)), 1)
        mask = np.arange(longest) < counts[:, None]
        positions = (self.offsets[rows][:, None] + np.arange(longest))[mask]
        out = np.zeros((len(rows), longest, *self.parts[0].shape[1:]), self.parts[0].dtype)
        out[mask] = self.take(positions)
        return out, mask

    @classmethod
    def of(cls, values: Array, counts: Array) -> Column:
        """Make a column of values in memory, `(rows, ...)`, the first `counts[0]` of them recipe 0's."""
        return cls([values], [np.concatenate([[0], np.cumsum(counts)])])


def gather(
    column: Callable[[str], Column],
    ids: Sequence[str],
    rows: Array,
    uses: Sequence[str],
    *,
    draw: Array | None = None,
    grid: Sequence[int] | None = None,
) -> Batch:
    """Read the fields that `uses` names from columns, on disk or in memory, into a padded batch.

    Of several photos the first is taken, or the one that `draw`, `(n,)` in [0, 1), points at: the same one
    for `image` and `patches`.

    Raises:
        MethodError: a use that this function does not know.
    """
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
            values, mask = column("words").padded(rows)
            spans, _ = column("words_spans").padded(rows)
            fields |= {"words": _float(values), "words_mask": torch.from_numpy(mask)}
            fields["words_spans"] = torch.from_numpy(spans.astype(np.int64))
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
