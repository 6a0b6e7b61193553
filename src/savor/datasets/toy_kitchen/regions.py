"""Regions of a photo that show one ingredient, and the run-length code they are stored in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savor.errors import DataError

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where one ingredient is seen in one photo, after occlusion.

    `line` is the index of its line in the recipe's ingredients, None if the recipe lists none; `mask` has
    the photo's shape (height, width) and at least one True pixel.
    """

    ingredient: str
    line: int | None
    mask: Mask

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest box around the mask, (x0, y0, x1, y1) in pixels; x1 and y1 lie just outside."""
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    def to_json(self) -> dict[str, Any]:
        """Return this region as it stands in `regions.jsonl`."""
        return {
            "ingredient": self.ingredient,
            "line": self.line,
            "box": list(self.box),
            "area": int(self.mask.sum()),
            "rle": encode_rle(self.mask),
        }


def encode_rle(mask: Mask) -> list[int]:
    """Encode a mask as run lengths: pixels row by row, runs of False and True in turn, False first.

    The first run may be 0; all others are positive; together they cover the mask.

    >>> encode_rle(np.array([[False, False, True], [True, False, False]]))
    [2, 2, 2]
    >>> encode_rle(np.array([[True, False]]))
    [0, 1, 1]
    """
    flat = np.asarray(mask, dtype=bool).ravel()
    if not flat.size:
        return []
    starts = np.flatnonzero(np.diff(flat)) + 1
    runs: list[int] = np.diff(np.concatenate(([0], starts, [flat.size]))).tolist()
    return [0, *runs] if flat[0] else runs


def decode_rle(runs: Sequence[int], shape: tuple[int, int]) -> Mask:
    """Decode run lengths as `encode_rle` makes them into a mask of shape (height, width).

    Raises:
        DataError: the runs do not cover the shape exactly, or one is negative.

    >>> decode_rle([2, 2, 2], (2, 3)).astype(int)
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    lengths = np.asarray(runs, dtype=np.int64)
    height, width = shape
    if (lengths < 0).any() or lengths.sum() != height * width:
        raise DataError(
            f"run lengths: they cover {lengths.sum()} pixels where the picture has {height} x {width}; "
            "pass the height and width that stand in regions.jsonl as size (width first there)"
        )
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(height, width)
