"""Paired tests between methods that answered the same queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from savor import metrics
from savor.errors import ProtocolError
from savor.evaluation import DIRECTIONS, QueryRanks
from savor.metrics import METRICS

# The median rank is negated, so that a positive difference always speaks for the first method.
PAIRED_METRICS = tuple("-medR" if name == "medR" else name for name in METRICS)
_SIGNS = np.array([-1.0 if name == "medR" else 1.0 for name in METRICS])


@dataclass(frozen=True)
class Difference:
    """How much better the first method is than the second, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def ahead(self) -> bool:
        """Whether the first method is ahead: the interval lies above 0."""
        return self.low > 0


def paired_difference(
    ranks_a: ArrayLike,
    ranks_b: ArrayLike,
    *,
    queries: NDArray[Any] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Difference]:
    """Compare two methods on the same queries by a paired bootstrap.

    Each resample picks the same queries for both, so what makes a query hard for both cancels out.

    Args:
        ranks_a: ranks of the first method, `(n,)` or `(draws, pool)`.
        ranks_b: ranks of the second for the same queries in the same order.
        queries: the ids of the queries, where several draws share some; see `metrics.bootstrap_replicates`.
        bootstrap: how many resamples.
        seed: seed of the resampling.

    Returns:
        For `-medR`, `MRR`, `R@1`, `R@5` and `R@10` the difference first minus second; positive is better.

    Raises:
        ProtocolError: the ranks differ in shape.

    >>> paired_difference([1, 1, 2, 1], [3, 2, 4, 2])["-medR"].ahead
    True
    """
    a, b = (np.atleast_2d(np.asarray(ranks, np.float64)) for ranks in (ranks_a, ranks_b))
    if a.shape != b.shape:
        raise ProtocolError(f"ranks {a.shape} and {b.shape} do not belong to the same queries")
    observed = np.mean([_metrics_of(x) - _metrics_of(y) for x, y in zip(a, b, strict=True)], axis=0)
    replicates_a, replicates_b = (
        metrics.bootstrap_replicates(ranks, queries, bootstrap=bootstrap, seed=seed) for ranks in (a, b)
    )
    low, high = metrics.interval((replicates_a - replicates_b) * _SIGNS).tolist()
    rows = zip(PAIRED_METRICS, (observed * _SIGNS).tolist(), low, high, strict=True)
    return {name: Difference(*figures) for name, *figures in rows}


def _metrics_of(ranks: metrics.Floats) -> metrics.Floats:
    return np.array(list(metrics.summarise(ranks).values()))


def ahead(ranks_a: ArrayLike, ranks_b: ArrayLike, metric: str, **options: Any) -> bool:
    """Tell whether the first method is ahead of the second in one of `PAIRED_METRICS`.

    "Ahead" means that the 95 % paired bootstrap interval of the difference excludes 0, on the first one's
    side; `options` are those of `paired_difference`.

    Raises:
        ProtocolError: the metric is unknown, or the ranks differ in shape.
    """
    if metric not in PAIRED_METRICS:
        raise ProtocolError(f"metric {metric!r} cannot be compared; use one of {', '.join(PAIRED_METRICS)}")
    return paired_difference(ranks_a, ranks_b, **options)[metric].ahead


def compare_queries(
    a: QueryRanks, b: QueryRanks, *, bootstrap: int = 1000, seed: int = 0
) -> dict[str, dict[str, Difference]]:
    """Compare two evaluations, direction by direction, after checking that they asked the same.

    Raises:
        ProtocolError: the two differ in protocol, tie rule or ids.
    """
    for name in ("protocol", "tie_rule"):
        first, second = getattr(a, name), getattr(b, name)
        if first != second:
            raise ProtocolError(
                f"one evaluation has {name.replace('_', ' ')} {first!r}, the other {second!r}; "
                "evaluate both alike to compare them"
            )
    if a.ids.shape != b.ids.shape or (a.ids != b.ids).any():
        raise ProtocolError(
            f"the evaluations rank different pairs ({a.ids.shape} and {b.ids.shape} ids, not all the same); "
            "evaluate both on the same split"
        )
    return {
        name: paired_difference(a.ranks[name], b.ranks[name], queries=a.ids, bootstrap=bootstrap, seed=seed)
        for name in DIRECTIONS
    }
