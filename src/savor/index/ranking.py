"""Ranking: which unit vectors are nearest to another, to the last digit and with ties in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from savor.index import Match

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 1024  # rows: what is in between stays in the processor's cache
_ERROR = 1e-5  # larger than any rounding error of a float32 product of unit vectors
_SETTLED = (
    64  # entries that a first look settles; it takes twice as many, and later looks eight times as many
)
_FEW = 16  # of so many rows one passes a filter: then copying those is cheaper than multiplying all
_MANY = 20_000  # rows, from which on a first look at some directions pays
_DIRECTIONS = 96  # of the vectors, those along which they differ most
_SAMPLE = 20_000  # rows that tell these directions
_DEVIATIONS = 6.0  # standard deviations of what the other directions add to a product
_CANDIDATES = 12  # of so many rows one may be left by the first look; otherwise all are multiplied


def unit(vectors: Array) -> Array:
    """Return stored vectors `(n, dim)` as float32 unit rows: products in float16 are eight times as slow."""
    rows = np.empty(vectors.shape, np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK].astype(np.float32)
        norms = np.linalg.norm(block, axis=1, keepdims=True)
        rows[start : start + _BLOCK] = block / np.maximum(norms, 1e-12)
    return rows


def cosines(vectors: Array, query: Array) -> Array:
    """Return the cosines of unit rows `(n, dim)` with a unit vector, `(n,)` float64, row by row.

    A matrix product gives equal vectors slightly different scores, depending on where they stand.
    """
    return np.asarray((vectors * query.astype(np.float64)).sum(1))


def top_k(vectors: Array, query: Array, k: int, among: Array | None = None) -> tuple[Array, Array]:
    """Return rows and scores of the k largest `vectors @ query`, `(k,)` each, equal scores in order of rows.

    A float32 product over all rows finds who may be among them, `cosines` decides.

    Args:
        vectors: unit rows `(n, dim)`.
        query: unit vector `(dim,)`.
        k: how many; all where there are fewer.
        among: the rows that may be an answer, ascending; None for all.

    >>> rows, scores = top_k(np.eye(3, dtype=np.float32), np.array([0, 0, 1], np.float32), 2)
    >>> rows.tolist(), scores.tolist()
    ([2, 0], [1.0, 0.0])
    """
    short = query.astype(np.float32)
    if among is not None and len(among) < len(vectors) / _FEW:
        near = vectors[among] @ short
    else:
        near = vectors @ short if among is None else (vectors @ short)[among]
    k = min(k, len(near))
    if k == 0:
        return np.arange(0), np.zeros(0)
    places = np.flatnonzero(near >= _largest(near, k) - _ERROR)
    rows = places if among is None else among[places]
    scores = cosines(vectors[rows], query)
    best = np.lexsort((rows, -scores))[:k]
    return rows[best], scores[best]


def _largest(values: Array, k: int) -> float:
    """Return the k-th largest of some values."""
    return float(np.partition(values, len(values) - k)[len(values) - k])


class Vectors:
    """Unit rows to be compared with queries; of many, most are passed over after a look at some directions.

    In the basis of their principal directions a product is the sum of what the first ones add, which is
    computed for all rows, and of the rest, which is nearly normal with a known deviation. A row that could
    not reach the best with six of those is no candidate; the candidates are compared in full. Where the
    vectors spread in all directions alike that leaves too many, and all rows are compared in full.

    Args:
        unit: unit rows `(n, dim)` float32.
    """

    def __init__(self, unit: Array) -> None:
        self.unit = unit
        self._head: Array | None = None
        if len(unit) >= _MANY and unit.shape[1] > 2 * _DIRECTIONS:
            sample = unit[:: -(-len(unit) // _SAMPLE)]
            self._mean = sample.mean(0)
            centred = sample - self._mean
            covariance = (centred.T @ centred) / (len(sample) - 1)
            variances, directions = np.linalg.eigh(covariance.astype(np.float64))
            self._variances = np.maximum(variances[::-1], 0)
            self._directions = np.ascontiguousarray(directions[:, ::-1].astype(np.float32))
            leading = self._directions[:, :_DIRECTIONS]
            self._head = unit @ leading - self._mean @ leading  # no second copy of all vectors

    def nearest(self, query: Array, k: int, mask: Array | None = None) -> tuple[Array, Array]:
        """Return rows and scores of the k nearest that a mask `(n,)` lets pass, as `top_k` does."""
        among = None if mask is None else np.flatnonzero(mask)
        number = len(self.unit) if among is None else len(among)
        if self._head is not None and k <= _SETTLED and number >= len(self.unit) / _FEW:
            candidates = self._candidates(self._head, query.astype(np.float32), among)
            among = among if candidates is None else candidates
        return top_k(self.unit, query, k, among)

    def _candidates(self, head: Array, query: Array, among: Array | None) -> Array | None:
        """Return the rows that may be among the best `_SETTLED`, or None where these would be too many."""
        along = query @ self._directions
        near = head @ along[:_DIRECTIONS] + self._mean @ query
        near = near if among is None else near[among]
        first = np.argpartition(near, len(near) - 4 * _SETTLED)[-4 * _SETTLED :]
        rows = first if among is None else among[first]
        reached = _largest(self.unit[rows] @ query, _SETTLED)
        rest = np.sqrt(self._variances[_DIRECTIONS:] @ along[_DIRECTIONS:].astype(np.float64) ** 2)
        places = np.flatnonzero(near >= reached - _DEVIATIONS * rest - _ERROR)
        if len(places) > len(head) / _CANDIDATES:
            return None
        return places if among is None else among[places]


def in_looks(look: Callable[[int], tuple[list[Match], bool]], k: int) -> list[Match]:
    """Return the k best of a list of which an engine knows only roughly what is near its end.

    Each look settles the better half of what it takes, behind what earlier ones have settled: whatever k is,
    the answer is the beginning of one and the same list.

    Args:
        look: returns so many of the best in their order, and whether these are all.
        k: how many.
    """
    settled: dict[tuple[str, str | None], Match] = {}
    number = _SETTLED
    while True:
        matches, all_of_them = look(2 * number)
        for match in matches if all_of_them else matches[:number]:
            settled.setdefault((match.recipe_id, match.photo_id), match)
        if all_of_them or len(settled) >= k:
            return list(settled.values())[:k]
        number *= 8
