"""Ranks and what is read off them; every figure comes from the same ranks, so none contradicts another.

Ranks count from 1. Under the default tie rule a rank may end in one half: two candidates that cannot be told
apart share ranks 1 and 2, so either has 1.5. "Recall at k" is the share of queries with `rank <= k`, hence
a truth that ties for the first place is *not* found at 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from savor.errors import ProtocolError

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

TIE_RULES = ("mean", "optimistic", "pessimistic")
METRICS = ("medR", "MRR", "R@1", "R@5", "R@10")
_RECALLS = (1, 5, 10)
_RESAMPLES_AT_ONCE = 50


def ranks_from_counts(better: ArrayLike, tied: ArrayLike, tie_rule: str = "mean") -> Floats:
    """Turn counts into 1-based ranks: `1 + better`, and 1/2, none or all of the ties.

    Args:
        better: for each query, the candidates that score strictly above its truth `(n,)`.
        tied: the *other* candidates that score the same as its truth `(n,)`.
        tie_rule: `mean` (half the ties), `optimistic` (none) or `pessimistic` (all).

    Raises:
        ProtocolError: the tie rule is unknown.

    >>> ranks_from_counts([0, 3], [1, 0])
    array([1.5, 4. ])
    """
    share = {"mean": 0.5, "optimistic": 0.0, "pessimistic": 1.0}.get(tie_rule)
    if share is None:
        raise ProtocolError(f"tie rule {tie_rule!r} is unknown; use one of {', '.join(TIE_RULES)}")
    return 1.0 + np.asarray(better, np.float64) + share * np.asarray(tied, np.float64)


def ranks(scores: ArrayLike, truth: ArrayLike | None = None, tie_rule: str = "mean") -> Floats:
    """Rank each query's true candidate among all candidates; a tie is exact equality.

    Args:
        scores: `(n, m)`, larger is better; row i holds the scores of query i.
        truth: the column of each query's truth `(n,)`; without it, column i for query i.
        tie_rule: see `ranks_from_counts`.

    Returns:
        1-based ranks `(n,)`, float64.

    Raises:
        ProtocolError: no scores, scores that are not finite, a truth outside the columns, an unknown rule.

    >>> ranks([[0.9, 0.1, 0.3], [0.5, 0.5, 0.2], [0.7, 0.8, 0.6]])
    array([1. , 1.5, 3. ])
    """
    table = np.asarray(scores)
    if table.ndim != 2 or table.size == 0:
        raise ProtocolError(f"scores of shape {table.shape} cannot be ranked; give a non-empty (n, m) table")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise ProtocolError(
            f"query {row} scores candidate {column} with {table[row, column]}; ranks need finite scores"
        )
    columns = _truth_columns(table.shape, truth)
    own = np.take_along_axis(table, columns[:, None], axis=1)
    return ranks_from_counts((table > own).sum(axis=1), (table == own).sum(axis=1) - 1, tie_rule)


def _truth_columns(shape: tuple[int, ...], truth: ArrayLike | None) -> Integers:
    n, m = shape
    columns = np.arange(n) if truth is None else np.asarray(truth)
    if columns.shape != (n,) or columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= m:
        raise ProtocolError(
            f"scores of shape {(n, m)} need one true column per query, each an integer from 0 to {m - 1}"
        )
    return columns.astype(np.int64)


def median_rank(ranks: ArrayLike) -> float:
    """Return medR, the median of 1-based ranks `(n,)`; chance is about half the pool."""
    return float(np.median(_some(ranks)))


def mean_reciprocal_rank(ranks: ArrayLike) -> float:
    """Return MRR, the mean of `1 / rank` over `(n,)` ranks."""
    return float(np.mean(1.0 / _some(ranks)))


def recall_at(ranks: ArrayLike, k: int) -> float:
    """Return R@k, the share of `(n,)` ranks with `rank <= k`, as a fraction.

    >>> recall_at([1, 1.5, 4], 1) == 1 / 3
    True
    """
    if k < 1:
        raise ProtocolError(f"recall at {k} has no meaning; k starts at 1")
    return float(np.mean(_some(ranks) <= k))


def _some(ranks: ArrayLike) -> Floats:
    values = np.asarray(ranks, np.float64)
    if values.ndim != 1 or values.size == 0 or not (values >= 1).all():
        raise ProtocolError(f"ranks of shape {values.shape} are no ranks; give one or more numbers from 1 up")
    return values


_FUNCTIONS: dict[str, Callable[[ArrayLike], float]] = {
    "medR": median_rank,
    "MRR": mean_reciprocal_rank,
    "R@1": lambda ranks: recall_at(ranks, 1),
    "R@5": lambda ranks: recall_at(ranks, 5),
    "R@10": lambda ranks: recall_at(ranks, 10),
}


def summarise(ranks: ArrayLike) -> dict[str, float]:
    """Read every metric off one set of `(n,)` ranks.

    >>> summarise([1, 2, 8, 20])
    {'medR': 5.0, 'MRR': 0.41875, 'R@1': 0.25, 'R@5': 0.5, 'R@10': 0.75}
    """
    return {name: function(ranks) for name, function in _FUNCTIONS.items()}


def contradicts(median: float, recall_at_1: float) -> bool:
    """Tell whether a median and a recall at 1 cannot both come from one set of 1-based integer ranks.

    If fewer than half of the queries have rank 1, the median is at least 2. Half ranks and averages over
    several draws may break this without an error.

    >>> contradicts(1.0, 0.398)  # a published pair of figures: its ranks were counted from 0
    True
    """
    return recall_at_1 < 0.5 and median < 2


def bootstrap_replicates(
    ranks: Floats, queries: NDArray[Any] | None = None, *, bootstrap: int = 1000, seed: int = 0
) -> Floats:
    """Evaluate every metric again on resampled queries: the spread tells how far a figure can be trusted.

    The distinct queries are resampled with replacement. A query that several draws share is one query and is
    kept or dropped in all of them together: overlapping draws do not add evidence. In each draw the metrics
    are those of the ranks repeated as often as their query was picked; then they are averaged over the draws.

    Args:
        ranks: `(draws, pool)`.
        queries: what was asked, `(draws, pool)`, ids or row numbers; without it every rank is its own query.
        bootstrap: how many times to resample.
        seed: calls with one seed and the same queries resample alike, which is what pairs a comparison.

    Returns:
        `(bootstrap, 5)` in the order of `METRICS`.

    Raises:
        ProtocolError: not one resample, or ranks and queries of different shapes.
    """
    if bootstrap < 1:
        raise ProtocolError(f"{bootstrap} bootstrap samples give no interval; ask for 1000")
    asked = np.arange(ranks.size).reshape(ranks.shape) if queries is None else np.asarray(queries)
    if ranks.ndim != 2 or ranks.size == 0 or asked.shape != ranks.shape:
        raise ProtocolError(f"ranks {ranks.shape} and queries {asked.shape} must both be (draws, pool)")
    distinct, inverse = np.unique(asked, return_inverse=True)
    order = np.argsort(ranks, axis=1, kind="stable")
    sorted_ranks = np.take_along_axis(ranks, order, axis=1)
    sorted_queries = np.take_along_axis(inverse.reshape(ranks.shape), order, axis=1)
    rng = np.random.default_rng(seed)
    replicates = []
    for start in range(0, bootstrap, _RESAMPLES_AT_ONCE):
        times_picked = _resample(rng, len(distinct), min(_RESAMPLES_AT_ONCE, bootstrap - start))
        by_draw = [
            _repeated_metrics(values, np.take(times_picked, rows, axis=1))
            for values, rows in zip(sorted_ranks, sorted_queries, strict=True)
        ]
        replicates.append(np.mean(by_draw, axis=0))
    return np.concatenate(replicates)


def _resample(rng: np.random.Generator, n: int, times: int) -> NDArray[np.int32]:
    """Count how often each of n queries is picked in n picks with replacement: `(times, n)`."""
    picks = (rng.integers(n, size=n) for _ in range(times))
    return np.stack([np.bincount(pick, minlength=n) for pick in picks]).astype(np.int32)


def _repeated_metrics(ranks: Floats, times: NDArray[np.int32]) -> Floats:
    """Evaluate the metrics of `np.repeat(ranks, times[b])` for each b, ranks `(n,)` sorted: `(b, 5)`."""
    upto = np.cumsum(times, axis=1, dtype=np.int32)
    total = upto[:, -1]
    lower = [np.searchsorted(row, (row[-1] + 1) // 2) for row in upto]
    upper = [np.searchsorted(row, row[-1] // 2 + 1) for row in upto]
    columns = [(ranks[lower] + ranks[upper]) / 2, np.einsum("bn,n->b", times, 1.0 / ranks) / total]
    for k in _RECALLS:
        found = int(np.searchsorted(ranks, k, side="right"))
        columns.append(upto[:, found - 1] / total if found else np.zeros(len(total)))
    return np.stack(columns, axis=1)


def interval(replicates: Floats) -> Floats:
    """Return the 95 % percentile interval of `(b, metrics)` replicates: `(2, metrics)`, low and high."""
    return np.asarray(np.percentile(replicates, (2.5, 97.5), axis=0))
