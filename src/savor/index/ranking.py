"""Ranking: which unit vectors are nearest to another, to the last digit and with ties in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from savor.index import Match

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 8192  # rows
_ERROR = 1e-5  # larger than any rounding error of a float32 product of unit vectors
_SETTLED = (
    64  # entries that a first look settles; it takes twice as many, and later looks eight times as many
)
_FEW = 16  # of so many rows one passes a filter: then copying those is cheaper than multiplying all


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
        among: which rows may be an answer, `(n,)` bool; None for all.

    >>> rows, scores = top_k(np.eye(3, dtype=np.float32), np.array([0, 0, 1], np.float32), 2)
    >>> rows.tolist(), scores.tolist()
    ([2, 0], [1.0, 0.0])
    """
    rows, some = _asked(vectors, among)
    return _best(vectors, some @ query.astype(np.float32), query, k, rows, among)


def top_k_each(
    vectors: Array, queries: Array, k: int, among: Array | None = None
) -> list[tuple[Array, Array]]:
    """Return for each row of `queries` `(b, dim)` what `top_k` returns, with one product for all of them.

    The vectors are read from memory once instead of b times, which is what a product takes its time for.
    """
    import torch  # whose product of a tall matrix and a slim one is twice as fast as NumPy's

    rows, some = _asked(vectors, among)
    near = torch.from_numpy(queries.astype(np.float32)) @ torch.from_numpy(some).T
    return [
        _best(vectors, one, query, k, rows, among) for one, query in zip(near.numpy(), queries, strict=True)
    ]


def _asked(vectors: Array, among: Array | None) -> tuple[Array | None, Array]:
    """Return which rows are multiplied, None for all, and these rows."""
    rows = None if among is None else np.flatnonzero(among)
    if rows is None or len(rows) >= len(vectors) / _FEW:
        return None, vectors
    return rows, vectors[rows]


def _best(
    vectors: Array, near: Array, query: Array, k: int, rows: Array | None, among: Array | None
) -> tuple[Array, Array]:
    """Return the k best of the rows, whose products with the query are `near`, up to rounding."""
    if rows is None and among is not None:
        rows = np.flatnonzero(among)
        near = near[rows]
    k = min(k, len(near))
    if k == 0:
        return np.arange(0), np.zeros(0)
    places = np.flatnonzero(near >= np.partition(near, len(near) - k)[len(near) - k] - _ERROR)
    found = places if rows is None else rows[places]
    scores = cosines(vectors[found], query)
    best = np.lexsort((found, -scores))[:k]
    return found[best], scores[best]


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
