"""Evaluate paired embeddings under a named protocol: `evaluate(image, recipe) -> Report`.

Both directions come from one matrix product, taken in blocks of rows; the whole score matrix never exists.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray

from savor import metrics
from savor.errors import ProtocolError
from savor.metrics import METRICS, Floats, Integers

DIRECTIONS = ("image_to_recipe", "recipe_to_image")

# One score computed in two places of a blocked float32 product differs by up to 4e-7 (vectors of 64 to 2048
# numbers). Closer than this, two cosines are one score: exact duplicates tie wherever they stand, and
# differences that are only rounding decide nothing.
TIE_TOLERANCE = 1e-6

_BLOCK_BYTES = 64 * 2**20
_STRIP = 255  # rows whose column counts still fit into one byte
_DRAW_SEED = 1234

# (image rows (n,), recipe rows (n,)) -> scores (n,), pair by pair; rows are positions in the arrays given to
# `evaluate`. It is called once, with every pair of all draws and both directions that somebody asks for.
PairScorer = Callable[[Integers, Integers], NDArray[Any]]


@dataclass(frozen=True)
class Protocol:
    """Which pairs are ranked among which: the `pool` and how it is drawn from the split.

    Attributes:
        name: what reports call it.
        pool: pairs in one draw; None takes the whole split, once.
        draws: how many pools.
        disjoint: cut the pools from one shuffle (AdaMine's bags) instead of sampling each anew.
    """

    name: str
    pool: int | None = None
    draws: int = 1
    disjoint: bool = False

    def draw(self, n: int) -> list[Integers]:
        """Draw the pools from `n` pairs in the order of their ids.

        Every call starts from `random.Random(1234)`; sampled pools are then those of the published H-T
        evaluation. A pool as large as the split is drawn once; disjoint pools are as many as fit.

        Raises:
            ProtocolError: the pool is larger than the split, or the split has fewer than two pairs.

        >>> protocol("1k").draw(51304)[0][:3]
        array([50997, 28883,  7657])
        """
        if n < 2:
            raise ProtocolError(f"a split of {n} pairs cannot be ranked; an evaluation needs two or more")
        pool = n if self.pool is None else self.pool
        if pool > n:
            raise ProtocolError(
                f"protocol {self.name!r} needs a pool of {pool} pairs, but the split has {n}; "
                "use --protocol full or a larger split"
            )
        if pool == n:
            return [np.arange(n)]
        rng = random.Random(_DRAW_SEED)
        if not self.disjoint:
            return [np.array(rng.sample(range(n), pool)) for _ in range(self.draws)]
        shuffled = list(range(n))
        rng.shuffle(shuffled)
        return [np.array(shuffled[i * pool : (i + 1) * pool]) for i in range(min(self.draws, n // pool))]


PROTOCOLS = {
    each.name: each
    for each in (
        Protocol("full"),
        Protocol("1k", 1_000, 10),
        Protocol("10k", 10_000, 10),
        Protocol("adamine-1k", 1_000, 10, disjoint=True),
        Protocol("adamine-10k", 10_000, 5, disjoint=True),
    )
}


def protocol(name: str) -> Protocol:
    """Look up a protocol by name.

    Raises:
        ProtocolError: no protocol has this name; the message lists those there are.
    """
    if name not in PROTOCOLS:
        raise ProtocolError(f"protocol {name!r} is unknown; use one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


@dataclass(frozen=True)
class QueryRanks:
    """The rank of every query in every draw, which paired comparisons are made of.

    Attributes:
        ids: the pairs in each draw `(draws, pool)`.
        ranks: for each of `DIRECTIONS`, `(draws, pool)`.
        protocol: the protocol's name.
        tie_rule: the rule the ranks were made under.
    """

    ids: NDArray[np.str_]
    ranks: Mapping[str, Floats]
    protocol: str
    tie_rule: str

    def save(self, path: Path) -> None:
        """Write the ranks as an `.npz` file of plain arrays."""
        arrays = {"ids": self.ids, "protocol": np.array(self.protocol), "tie_rule": np.array(self.tie_rule)}
        with Path(path).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays, **self.ranks)

    @classmethod
    def load(cls, path: Path) -> QueryRanks:
        """Read what `save` wrote.

        Raises:
            ProtocolError: the file is missing, is no `.npz` file, or was written by something else.
        """
        names = ("ids", "protocol", "tie_rule", *DIRECTIONS)
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                ids, protocol_name, tie_rule, *ranks = (arrays[name] for name in names)
        except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile) as error:
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            raise ProtocolError(
                f"{path} holds no per-query ranks{reason}; write them with savor evaluate --scores FILE"
            ) from error
        by_direction = dict(zip(DIRECTIONS, ranks, strict=True))
        return cls(ids, by_direction, str(protocol_name), str(tie_rule))


@dataclass(frozen=True)
class Result:
    """The metrics of one direction, averaged over the draws; recalls are fractions.

    Attributes:
        values: metric -> mean over the draws.
        ci95: metric -> 95 % bootstrap interval over the queries.
        spread: metric -> standard deviation over the draws; None where there is one draw.
    """

    values: Mapping[str, float]
    ci95: Mapping[str, tuple[float, float]]
    spread: Mapping[str, float] | None

    def to_json(self) -> dict[str, Any]:
        """Return the metrics by name, with `ci95` and `spread` beside them."""
        intervals = {name: list(bounds) for name, bounds in self.ci95.items()}
        return {**self.values, "ci95": intervals, "spread": self.spread and dict(self.spread)}


@dataclass(frozen=True)
class Report:
    """What `evaluate` found, and what somebody needs to make the same numbers again.

    `evaluate` knows embeddings only; whoever has the run fills in the fields from `train_seed` on with
    `dataclasses.replace`. `seed` is the bootstrap's; the draws are fixed by the protocol.
    """

    results: Mapping[str, Result]
    queries: QueryRanks
    pool: int
    draws: int
    seed: int
    scorer: str
    alarms: tuple[str, ...] = ()
    train_seed: int | None = None
    split: str | None = None
    data: str | None = None
    encoders: Mapping[str, Any] | None = None
    command: str | None = None

    @property
    def ranks(self) -> Mapping[str, Floats]:
        """The ranks of each direction, `(draws, pool)`."""
        return self.queries.ranks

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            **{direction: self.results[direction].to_json() for direction in DIRECTIONS},
            "pool": self.pool,
            "draws": self.draws,
            "protocol": self.queries.protocol,
            "tie_rule": self.queries.tie_rule,
            "seed": self.seed,
            "train_seed": self.train_seed,
            "split": self.split,
            "data": self.data,
            "encoders": None if self.encoders is None else dict(self.encoders),
            "scorer": self.scorer,
            "command": self.command,
            "alarms": list(self.alarms),
        }

    def to_text(self) -> str:
        """Lay the report out for a terminal: recalls in percent, 95 % intervals in brackets."""
        rows = [["", *_HEADINGS], *self._rows()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
        return "\n".join([*("  ".join(row).rstrip() for row in padded), "", *self._facts()]) + "\n"

    def to_markdown(self) -> str:
        """Lay the report out as a Markdown table with the facts in a list below it."""
        rows = [["direction", *_HEADINGS], ["---"] + ["---:"] * len(METRICS), *self._rows()]
        table = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([*table, "", *(f"- {fact}" for fact in self._facts())]) + "\n"

    def _rows(self) -> list[list[str]]:
        return [
            [direction.replace("_", " "), *(_cell(self.results[direction], name) for name in METRICS)]
            for direction in DIRECTIONS
        ]

    def _facts(self) -> list[str]:
        draws = "1 draw" if self.draws == 1 else f"{self.draws} draws"
        facts = [
            f"protocol {self.queries.protocol}: {draws} of {self.pool} pairs; scorer {self.scorer}; "
            f"tie rule {self.queries.tie_rule}; bootstrap seed {self.seed}"
        ]
        encoders = self.encoders and ", ".join(f"{key} {value}" for key, value in self.encoders.items())
        known = {
            "split": self.split,
            "data": self.data,
            "encoders": encoders,
            "training seed": self.train_seed,
            "command": self.command,
        }
        facts += [f"{name}: {value}" for name, value in known.items() if value is not None]
        facts += [
            f"spread over the draws, {direction.replace('_', ' ')}: "
            + ", ".join(f"{name} {_shown(name, spread[name])}" for name in METRICS)
            for direction in DIRECTIONS
            if (spread := self.results[direction].spread) is not None
        ]
        return [*facts, *(f"ALARM: {alarm}" for alarm in self.alarms)]


_HEADINGS = tuple(f"{name} %" if name.startswith("R@") else name for name in METRICS)


def _shown(metric: str, value: float) -> str:
    if metric == "MRR":
        return f"{value:.3f}"
    return f"{value:.1f}" if metric == "medR" else f"{100 * value:.1f}"


def _cell(result: Result, metric: str) -> str:
    low, high = (_shown(metric, bound) for bound in result.ci95[metric])
    return f"{_shown(metric, result.values[metric])} [{low}, {high}]"


def evaluate(
    image: ArrayLike,
    recipe: ArrayLike,
    *,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
    protocol: str | Protocol = "full",
    tie_rule: str = "mean",
    bootstrap: int = 1000,
    seed: int = 0,
    score: PairScorer | None = None,
    rerank: int = 100,
) -> Report:
    """Rank every recipe for every image and the other way round, by cosine.

    Args:
        image: unit rows `(n, d)`; row i and row i of `recipe` are a pair.
        recipe: unit rows `(n, d)`.
        ids: unique ids of the pairs `(n,)` in any order; draws are made from them sorted by code point.
            Without ids the order of the rows stands for it.
        protocol: a name from `PROTOCOLS`, or a `Protocol`.
        tie_rule: `mean`, `optimistic` or `pessimistic`; cosines within `TIE_TOLERANCE` tie.
        bootstrap: resamples behind the 95 % intervals.
        seed: seed of the bootstrap.
        score: a pair scorer that orders the first stage's best again; see `PairScorer`.
        rerank: how many of the first stage's best it gets.

    Raises:
        ProtocolError: shapes that do not pair, rows that are not of unit length, ids that repeat, a pool
            larger than the split, an unknown protocol or tie rule, a scorer that returns no finite scores.

    >>> unit = np.eye(4, dtype=np.float32)
    >>> report = evaluate(unit, unit[[0, 1, 3, 2]])
    >>> report.results["image_to_recipe"].values["R@1"], report.ranks["image_to_recipe"]
    (0.5, array([[1., 1., 3., 3.]]))
    """
    images, recipes = _unit_rows("image", image), _unit_rows("recipe", recipe)
    if images.shape != recipes.shape:
        raise ProtocolError(f"image {images.shape} and recipe {recipes.shape} do not pair row by row")
    names, by_id = _in_order(ids, len(images))
    plan = _plan(protocol)
    positions = plan.draw(len(images))
    draws = [by_id[each] for each in positions]
    counts = [_count_pool(images, recipes, rows) for rows in draws]
    ranks = {
        direction: np.stack([metrics.ranks_from_counts(*each[direction], tie_rule) for each in counts])
        for direction in DIRECTIONS
    }
    alarms = _collapse_alarms(images, recipes, counts)
    if score is not None:
        ranks = _reranked(ranks, images, recipes, draws, score, rerank, tie_rule)
    queries = QueryRanks(names[np.stack(draws)], ranks, plan.name, tie_rule)
    results = {
        direction: _result(ranks[direction], np.stack(positions), bootstrap, seed) for direction in DIRECTIONS
    }
    alarms += _contradiction_alarms(ranks)
    scorer = "cosine" if score is None else f"{_scorer_name(score)}, top {min(rerank, len(draws[0]))}"
    return Report(results, queries, len(draws[0]), len(draws), seed, scorer, tuple(alarms))


def _plan(protocol_or_name: str | Protocol) -> Protocol:
    return protocol(protocol_or_name) if isinstance(protocol_or_name, str) else protocol_or_name


def _unit_rows(name: str, rows: ArrayLike) -> NDArray[np.float32]:
    """Return the rows as float32 after checking that each has length 1."""
    array = np.ascontiguousarray(rows, dtype=np.float32)
    if array.ndim != 2 or array.size == 0:
        raise ProtocolError(f"{name} embeddings of shape {array.shape} cannot be ranked; give (n, d) rows")
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-3))
    if wrong.size:
        raise ProtocolError(
            f"{wrong.size} of {len(array)} {name} embeddings are no finite rows of length 1: "
            f"row {wrong[0]} has length {lengths[wrong[0]]:.6g}"
        )
    return array


def _in_order(ids: Sequence[str] | NDArray[np.str_] | None, n: int) -> tuple[NDArray[np.str_], Integers]:
    """Return the ids row by row `(n,)`, and the rows in the order of their ids `(n,)`."""
    if ids is None:
        return np.arange(n).astype(str), np.arange(n)
    names = np.asarray(ids, dtype=str)
    if names.shape != (n,):
        raise ProtocolError(f"{names.size} ids for {n} pairs; give one id per row")
    order = np.argsort(names, kind="stable")
    repeated = np.flatnonzero(names[order][1:] == names[order][:-1])
    if repeated.size:
        raise ProtocolError(
            f"id {str(names[order[repeated[0]]])!r} occurs twice; every pair needs its own id"
        )
    return names, order


Counts = dict[str, tuple[Integers, Integers]]


def _count_pool(images: NDArray[np.float32], recipes: NDArray[np.float32], rows: Integers) -> Counts:
    """Count, per direction, the candidates better than and tied with each truth of the pool `(pool,)`."""
    if len(rows) < len(images):
        return _count(images[rows], recipes[rows])
    counts = _count(images, recipes)  # the whole split is counted in place: a copy could double the memory
    return {direction: (better[rows], tied[rows]) for direction, (better, tied) in counts.items()}


def _count(
    images: NDArray[np.float32], recipes: NDArray[np.float32], block_bytes: int = _BLOCK_BYTES
) -> Counts:
    """Count for both directions in one pass over the product, `block_bytes` of it at a time."""
    n = len(images)
    own = np.einsum("ij,ij->i", images, recipes)
    thresholds = (own + np.float32(TIE_TOLERANCE), own - np.float32(TIE_TOLERANCE))
    by_row, by_column = np.zeros((2, n), np.int64), np.zeros((2, n), np.int64)
    height = min(n, max(1, block_bytes // (4 * n)))
    product = np.empty((height, n), np.float32)
    mask = np.empty((min(height, _STRIP), n), np.bool_)
    for start in range(0, n, height):
        block = np.matmul(images[start : start + height], recipes.T, out=product[: min(height, n - start)])
        # The diagonal as the thresholds have it, so that no truth is ever better or worse than itself.
        block[np.arange(len(block)), np.arange(start, start + len(block))] = own[start : start + len(block)]
        for offset in range(0, len(block), _STRIP):
            strip = block[offset : offset + _STRIP]
            rows = slice(start + offset, start + offset + len(strip))
            for which, (compare, bound) in enumerate(zip(_COMPARISONS, thresholds, strict=True)):
                hits = compare(strip, bound[rows, None], out=mask[: len(strip)])
                by_row[which, rows] = [np.count_nonzero(row) for row in hits]
                hits = compare(strip, bound, out=mask[: len(strip)])
                by_column[which] += np.add.reduce(hits.view(np.uint8), axis=0, dtype=np.uint8)
    pairs = zip(DIRECTIONS, (by_row, by_column), strict=True)
    return {direction: (better, as_good - better - 1) for direction, (better, as_good) in pairs}


_COMPARISONS = (np.greater, np.greater_equal)


def _collapse_alarms(
    images: NDArray[np.float32], recipes: NDArray[np.float32], counts: list[Counts]
) -> list[str]:
    """Say where embeddings are (nearly) all the same, which ranks alone may hide."""
    n = len(images)
    named = (
        ("two images", images, images),
        ("two recipes", recipes, recipes),
        ("an image and another's recipe", images, recipes),
    )
    alarms = []
    for what, a, b in named:
        total = a.sum(axis=0, dtype=np.float64) @ b.sum(axis=0, dtype=np.float64)
        own = np.einsum("ij,ij->i", a, b).sum(dtype=np.float64)
        if (mean := (total - own) / (n * (n - 1))) > 0.99:
            alarms.append(f"collapse: the mean cosine of {what} is {mean:.4f}, above 0.99")
    for direction in DIRECTIONS:
        tied = np.concatenate([each[direction][1] for each in counts])
        if (share := tied.mean() / (len(counts[0][direction][1]) - 1)) > 0.01:
            alarms.append(
                f"collapse: {direction.replace('_', ' ')}, {100 * share:.1f} % of the other candidates tie "
                "with the truth, more than 1 %"
            )
    return alarms


def _contradiction_alarms(ranks: Mapping[str, Floats]) -> list[str]:
    """Check each draw with integer ranks: below 50 % recall at 1 the median is at least 2."""
    return [
        f"{direction.replace('_', ' ')}, draw {number}: R@1 below 50 % with medR below 2; the ranks are wrong"
        for direction in DIRECTIONS
        for number, row in enumerate(ranks[direction], start=1)
        if (row % 1 == 0).all() and metrics.contradicts(metrics.median_rank(row), metrics.recall_at(row, 1))
    ]


def _result(ranks: Floats, queries: Integers, bootstrap: int, seed: int) -> Result:
    by_draw = np.array([list(metrics.summarise(row).values()) for row in ranks])
    replicates = metrics.bootstrap_replicates(ranks, queries, bootstrap=bootstrap, seed=seed)
    low, high = metrics.interval(replicates).tolist()
    spread = by_draw.std(axis=0, ddof=1).tolist() if len(ranks) > 1 else None
    return Result(
        dict(zip(METRICS, by_draw.mean(axis=0).tolist(), strict=True)),
        dict(zip(METRICS, zip(low, high, strict=True), strict=True)),
        spread and dict(zip(METRICS, spread, strict=True)),
    )


def _scorer_name(score: PairScorer) -> str:
    return str(getattr(score, "__name__", type(score).__name__))


def _reranked(
    ranks: Mapping[str, Floats],
    images: NDArray[np.float32],
    recipes: NDArray[np.float32],
    draws: list[Integers],
    score: PairScorer,
    k: int,
    tie_rule: str,
) -> dict[str, Floats]:
    """Let a pair scorer order the best `k` of the first stage again, in every draw and both directions.

    A truth that the first stage ranks below `k` keeps that rank: no scorer may find what it never sees. Pairs
    that several queries or draws ask for are scored once; a pair takes about 50 bytes.
    """
    if k < 1:
        raise ProtocolError(f"re-ranking the best {k} means nothing; ask for 1 or more")
    lists = []
    for direction, (queries, candidates) in zip(
        DIRECTIONS, ((images, recipes), (recipes, images)), strict=True
    ):
        for first_stage, rows in zip(ranks[direction], draws, strict=True):
            asked, best = _shortlists(queries[rows], candidates[rows], first_stage, min(k, len(rows)))
            own, others = np.broadcast_arrays(rows[asked, None], rows[best])
            lists.append((asked, best, (own, others) if direction == DIRECTIONS[0] else (others, own)))
    keys = [(image * len(images) + recipe).ravel() for *_, (image, recipe) in lists]
    pairs, where = np.unique(np.concatenate(keys), return_inverse=True)
    scores = _pair_scores(score, *np.divmod(pairs, len(images)))
    per_list = np.split(scores[where], np.cumsum([key.size for key in keys])[:-1])
    result = {direction: ranks[direction].copy() for direction in DIRECTIONS}
    places = [ranked for direction in DIRECTIONS for ranked in result[direction]]
    for (asked, best, _), own_scores, ranked in zip(lists, per_list, places, strict=True):
        if len(asked):
            truth = (best == asked[:, None]).argmax(axis=1)
            ranked[asked] = metrics.ranks(own_scores.reshape(best.shape), truth, tie_rule)
    return result


def _shortlists(
    queries: NDArray[np.float32], candidates: NDArray[np.float32], first_stage: Floats, k: int
) -> tuple[Integers, Integers]:
    """Find the queries of a pool whose truth the first stage has among its best `k`, and those best.

    Cosines within `TIE_TOLERANCE` of the k-th largest are one score; of these the first in the pool are
    taken. A truth is in by its rank, whichever way ties would go.

    Returns:
        positions of the queries `(q,)` and of their candidates `(q, k)`, ascending.
    """
    asked = np.flatnonzero(first_stage <= k)
    best = np.empty((len(asked), k), np.int64)
    tolerance = np.float32(TIE_TOLERANCE)
    height = max(1, _BLOCK_BYTES // (4 * len(candidates)))
    for start in range(0, len(asked), height):
        some = asked[start : start + height]
        cosines = queries[some] @ candidates.T
        cosines[np.arange(len(some)), some] = np.inf
        last = np.partition(cosines, -k, axis=1)[:, -k, None]
        above = cosines > last + tolerance
        tied = ~above & (cosines >= last - tolerance)
        taken = above | (tied & (tied.cumsum(axis=1) <= k - above.sum(axis=1, keepdims=True)))
        best[start : start + height] = taken.nonzero()[1].reshape(-1, k)
    return asked, best


def _pair_scores(score: PairScorer, images: Integers, recipes: Integers) -> NDArray[Any]:
    if len(images) == 0:
        return np.zeros(0)
    scores = np.asarray(score(images, recipes))
    if scores.shape != images.shape:
        raise ProtocolError(f"the pair scorer returned {scores.shape} for {len(images)} pairs")
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        raise ProtocolError(
            f"the pair scorer gave image {images[wrong[0]]} and recipe {recipes[wrong[0]]} the score"
            f" {scores[wrong[0]]}; ranks need finite scores"
        )
    return scores
