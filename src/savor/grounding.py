"""Measures of correspondences: whether weights over a photo's cells show where an ingredient is.

Pure NumPy: weights, masks and scores in, figures out; `savor.measuring` runs them on a trained method.
A map is `(cells,)` weights, larger = belongs to the word more, over cells of equal area; `boxes (cells, 4)`
are left, top, right, bottom in fractions of the photo. Ties are never decided: every measure is the exact
mean over all their orders, so a map that is the same everywhere scores what chance does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from savor.errors import ProtocolError
from savor.metrics import Floats

# Shares of the cells or words removed so far, where a curve is sampled.
SHARES = (0.0, 0.04, 0.08, 0.16, 0.32, 0.64)


def cell_means(values: ArrayLike, boxes: ArrayLike) -> Floats:
    """Average a picture over each cell, pixels that a cell cuts counted by their share, `(cells,)`.

    Args:
        values: one number a pixel `(height, width)`; of a mask, the mean is the share of the cell it covers.
        boxes: `(cells, 4)`; what lies outside the photo counts as 0.

    >>> cell_means([[0, 1, 1, 1]], [[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    array([0.5, 1. ])
    """
    pixels = np.asarray(values, np.float64)
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    height, width = pixels.shape
    rows, columns = _overlaps(top, bottom, height), _overlaps(left, right, width)
    sums = ((rows @ pixels) * columns).sum(1)
    return np.asarray(sums / ((bottom - top) * height * (right - left) * width))


def _overlaps(start: Floats, end: Floats, length: int) -> Floats:
    """Return how much of each of `length` pixels lies between two fractions, `(cells, length)`."""
    pixel = np.arange(length)
    low, high = np.maximum(start[:, None] * length, pixel), np.minimum(end[:, None] * length, pixel + 1)
    return np.asarray(np.clip(high - low, 0, None))


def centres_inside(mask: ArrayLike, boxes: ArrayLike) -> Floats:
    """Tell for each cell whether its centre lies in a mask `(height, width)`: 1 or 0, `(cells,)`.

    >>> centres_inside([[False, True]], [[0, 0, 0.5, 1], [0.5, 0, 1, 1]])
    array([0., 1.])
    """
    pixels = np.asarray(mask, bool)
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    height, width = pixels.shape
    rows = np.floor((top + bottom) / 2 * height).astype(int)
    columns = np.floor((left + right) / 2 * width).astype(int)
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return np.where(within, pixels[rows.clip(0, height - 1), columns.clip(0, width - 1)], False).astype(float)


def pointing(weights: ArrayLike, hits: ArrayLike) -> float:
    """Play the pointing game: tell whether the cell of largest weight hits the object.

    Args:
        weights: `(cells,)`.
        hits: what a cell scores if pointed at, `(cells,)`: `centres_inside` for a strict hit, or the share
            of the cell that the object covers (`cell_means`), which is the chance that a pixel of it hits.

    Cells that tie for the largest weight share the score. Source: Zhang et al., Top-down neural attention by
    excitation backprop (ECCV 2016; IJCV 2018), which counts a hit within 15 pixels; here the cell decides.

    >>> pointing([0.1, 0.7, 0.7], [0, 1, 0])
    0.5
    """
    map_, scores = _same_cells(weights, hits)
    return float(scores[map_ == map_.max()].mean())


def average_precision(weights: ArrayLike, coverage: ArrayLike) -> float:
    """Average precision of the object's pixels, each ranked by the weight of its cell.

    With a_(k) the share of the k-th best cell that the object covers and A their sum, the precision among the
    first k cells is `P_k = (a_(1) + ... + a_(k)) / k` and `AP = sum_k a_(k) / A * P_k`. Of cells that tie,
    the mean over all their orders is taken, in closed form.

    Args:
        weights: `(cells,)`.
        coverage: a, `(cells,)`, at least one above 0.

    Raises:
        ProtocolError: the object covers no cell.

    >>> average_precision([3, 2, 1], [1, 0, 1])  # (1 + 2/3) / 2
    0.8333333333333333
    """
    map_, covered = _same_cells(weights, coverage)
    if not covered.sum() > 0:
        raise ProtocolError("the object covers no cell, so no order of the cells finds it; leave it out")
    _, level = np.unique(-map_, return_inverse=True)
    total, before, seen = 0.0, 0.0, 0
    for group in (covered[level == k] for k in range(level.max() + 1)):
        size, mass, squares = len(group), group.sum(), (group**2).sum()
        # E[a a'] of two different cells of the group; the k-th of them has k earlier ones beside it.
        products = (mass**2 - squares) / (size * (size - 1)) if size > 1 else 0.0
        place = np.arange(size)
        expected = mass / size * before + squares / size + place * products
        total += float((expected / (seen + place + 1)).sum())
        before, seen = before + mass, seen + size
    return float(total / covered.sum())


def _same_cells(weights: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    map_, other = np.asarray(weights, np.float64), np.asarray(values, np.float64)
    if map_.ndim != 1 or map_.shape != other.shape or map_.size == 0 or not np.isfinite(map_).all():
        raise ProtocolError(f"weights {map_.shape} and cells {other.shape} must be one finite number a cell")
    return map_, other


def centre_prior(boxes: ArrayLike) -> Floats:
    """Weigh cells by how near they are to the middle of the photo, in fractions of its sides, `(cells,)`."""
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4).T
    distance = np.hypot((left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5)
    return np.asarray(-np.round(distance, 6))  # rounded: cells in mirrored places tie


def contrast(pixels: ArrayLike, boxes: ArrayLike) -> Floats:
    """Weigh cells by how far their pixels' colours are from the photo's mean colour, `(cells,)`.

    `s(x, y) = |I(x, y) - mean(I)|`, averaged over the cell: saliency from pixels alone, after Achanta et al.,
    Frequency-tuned salient region detection (CVPR 2009), in RGB and without their blur.

    Args:
        pixels: `(height, width, 3)`.
        boxes: `(cells, 4)`.
    """
    colours = np.asarray(pixels, np.float64)
    return cell_means(np.linalg.norm(colours - colours.mean((0, 1)), axis=2), boxes)


def ranking(weights: ArrayLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """Order cells or words by weight, largest first, ties at random, `(n,)` indices."""
    map_ = np.asarray(weights, np.float64)
    shuffled = rng.permutation(len(map_))
    return shuffled[np.argsort(-map_[shuffled], kind="stable")]


def steps(n: int, shares: Sequence[float] = SHARES) -> NDArray[np.int64]:
    """Return how many of n items stand for each share: rounded, but at least one where the share is not 0.

    >>> steps(25)
    array([ 0,  1,  2,  4,  8, 16])
    """
    parts = np.asarray(shares, np.float64)
    return np.maximum(np.floor(parts * n + 0.5).astype(np.int64), (parts > 0).astype(np.int64))


def curve_area(scores: ArrayLike, shares: Sequence[float] = SHARES) -> float:
    """Return the area under a curve by the trapezoid rule, over the width of the shares: a mean score.

    Of a deletion curve (score after removing the first items of an order), lower is better; of an insertion
    curve (score with only the first items kept), higher. Source: Petsiuk et al., RISE (BMVC 2018).

    >>> curve_area([1.0, 0.0], [0.0, 0.5])
    0.5
    """
    return float(np.trapezoid(np.asarray(scores, np.float64), shares) / (shares[-1] - shares[0]))


def presence_auc(scores: ArrayLike, present: ArrayLike) -> float:
    """Return the chance that a photo with the ingredient scores above one without it, ties half.

    `AUC = P(s_i > s_j) + P(s_i = s_j) / 2` over i present and j absent (Mann and Whitney 1947).

    Raises:
        ProtocolError: all photos have it, or none.

    >>> presence_auc([0.9, 0.4, 0.4], [True, True, False])
    0.75
    """
    values, has = np.asarray(scores, np.float64), np.asarray(present, bool)
    if has.all() or not has.any():
        raise ProtocolError("presence needs photos with the ingredient and photos without it")
    absent = np.sort(values[~has])
    below = np.searchsorted(absent, values[has], "left") + np.searchsorted(absent, values[has], "right")
    return float(below.mean() / 2 / len(absent))


@dataclass(frozen=True)
class Figure:
    """A mean over n items with its 95 % bootstrap interval over them."""

    mean: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float]:
        """Return the figure as JSON values."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def figure(values: ArrayLike, *, bootstrap: int = 1000, seed: int = 0) -> Figure:
    """Average values `(n,)`, those that are not NaN, and resample them for the interval.

    Raises:
        ProtocolError: there is no value.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if known.size == 0:
        raise ProtocolError("there is nothing to average; measure at least one photo")
    picks = np.random.default_rng(seed).integers(len(known), size=(bootstrap, len(known)))
    low, high = np.percentile(known[picks].mean(1), (2.5, 97.5)).tolist()
    return Figure(float(known.mean()), low, high, len(known))


@dataclass(frozen=True)
class Measure:
    """One measure of a map beside the same measure of what it has to beat.

    Attributes:
        value: of the map.
        unit: what is resampled: photos or ingredients.
        beside: of each baseline.
        leads: how much better the map is than each baseline, on the items that both have; positive speaks
            for the map whether the measure counts up or down.
    """

    value: Figure
    unit: str
    beside: Mapping[str, Figure]
    leads: Mapping[str, Figure]

    def ahead(self, baseline: str) -> bool:
        """Whether the map is ahead of a baseline: the paired interval lies above 0."""
        return self.leads[baseline].low > 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` made."""

        def read(one: Mapping[str, Any]) -> Figure:
            return Figure(one["mean"], one["low"], one["high"], one["n"])

        beside, leads = (
            {name: read(one) for name, one in values[key].items()} for key in ("beside", "leads")
        )
        return cls(read(values), values["unit"], beside, leads)

    def to_json(self) -> dict[str, Any]:
        """Return the measure as JSON values."""
        return {
            **self.value.to_json(),
            "unit": self.unit,
            "beside": {name: one.to_json() for name, one in self.beside.items()},
            "leads": {name: {**one.to_json(), "ahead": self.ahead(name)} for name, one in self.leads.items()},
        }


def compare(
    values: ArrayLike,
    baselines: Mapping[str, ArrayLike],
    *,
    unit: str,
    lower_is_better: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Measure:
    """Set a measure of a map, `(n,)`, beside that of baselines on the same items, paired; NaN = has none."""
    own = np.asarray(values, np.float64)
    sign = -1.0 if lower_is_better else 1.0
    resampling = {"bootstrap": bootstrap, "seed": seed}
    others = {name: np.asarray(one, np.float64) for name, one in baselines.items()}
    others = {name: one for name, one in others.items() if not np.isnan(own - one).all()}
    return Measure(
        figure(own, **resampling),
        unit,
        {name: figure(one, **resampling) for name, one in others.items()},
        {name: figure(sign * (own - one), **resampling) for name, one in others.items()},
    )


@dataclass(frozen=True)
class Row:
    """What one way of one run is worth, measure by measure; `weights` is the run's fingerprint."""

    run: str
    way: str
    measures: Mapping[str, Measure]
    weights: str | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` made."""
        measures = {name: Measure.from_json(one) for name, one in values["measures"].items()}
        return cls(values["run"], values["way"], measures, values["weights"])

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {
            "run": self.run,
            "way": self.way,
            "weights": self.weights,
            "verdict": self.verdict(),
            "measures": {name: one.to_json() for name, one in self.measures.items()},
        }

    def verdict(self) -> str:
        """Say in plain words what the map is worth, and where it is worth nothing."""
        sentences = []
        for name, baseline, yes, no in _VERDICTS:
            if name in self.measures and baseline in self.measures[name].leads:
                behind = self.measures[name].leads[baseline].high < 0
                worse = f"{no.removesuffix('.')} (measurably worse)."
                sentences.append(yes if self.measures[name].ahead(baseline) else worse if behind else no)
        return " ".join(sentences)


# measure, the baseline to beat, what is said if the map is ahead of it, and if it is not
_VERDICTS = (
    (
        "average precision",
        "chance",
        "Its regions hold the ingredient more than chance.",
        "Its regions are worth nothing: they hold the ingredient no more than chance.",
    ),
    (
        "average precision",
        "other word",
        "Which word it is makes a difference.",
        "Which word it is makes no difference that can be told: another ingredient's regions do as well.",
    ),
    (
        "average precision",
        "saliency",
        "They are better than the method's own saliency, one map for all words.",
        "They are no better than the method's own saliency, one map for all words.",
    ),
    (
        "average precision",
        "centre",
        "They are better than the middle of the photo.",
        "They are no better than the middle of the photo.",
    ),
    (
        "cells deleted",
        "random",
        "Removing the cells it names hurts the score more than removing random ones.",
        "Removing the cells it names hurts no more than removing random ones.",
    ),
    (
        "words deleted",
        "random",
        "Removing the words it names hurts the score more than removing random ones.",
        "Removing the words it names hurts no more than removing random ones.",
    ),
    (
        "presence",
        "whole photo",
        "The best cell tells the ingredient's presence better than the whole photo.",
        "The best cell tells the ingredient's presence no better than the whole photo.",
    ),
)


@dataclass(frozen=True)
class Grounding:
    """The report: rows, and what somebody needs to make the same figures again."""

    rows: Sequence[Row]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Read a report from a JSON file.

        Raises:
            ProtocolError: the file is no such report.
        """
        try:
            values = json.loads(file.read_text("utf-8"))
            return cls([Row.from_json(row) for row in values["rows"]], values["facts"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(
                f"{file}: no report of correspondences ({error!r}); name another file"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"rows": [row.to_json() for row in self.rows], "facts": dict(self.facts)}

    def to_markdown(self) -> str:
        """Lay the report out: a table a measure with a row a run and way, then verdicts and facts."""
        names = list(dict.fromkeys(name for row in self.rows for name in row.measures))
        parts = [line for name in names for line in self._table(name)]
        parts += [f"- `{row.run}`, {row.way}: {row.verdict()}" for row in self.rows]
        parts += ["", *(f"- {name}: {value}" for name, value in self.facts.items() if value is not None)]
        return "\n".join(parts) + "\n"

    def _table(self, name: str) -> list[str]:
        measured = [(row, row.measures[name]) for row in self.rows if name in row.measures]
        baselines = list(dict.fromkeys(each for _, one in measured for each in one.beside))
        head = ["run", "way", "map", *baselines]
        lines = [f"### {name[0].upper()}{name[1:]}", "", MEANINGS.get(name, ""), _BRACKETS, "", _line(head)]
        lines.append(_line(["---", "---"] + ["--:"] * (len(head) - 2)))
        for row, one in measured:
            cells = [_beside(one, each) if each in one.beside else "" for each in baselines]
            lines.append(_line([f"`{row.run}`", row.way, _shown(one.value), *cells]))
        return [*lines, ""]


MEANINGS = {
    "pointing": "Share of ingredients whose strongest cell has its centre on them (higher is better).",
    "overlap": "Share of the strongest cell that the ingredient covers (higher is better).",
    "average precision": "Of the ingredient's pixels, ranked by the weight of their cell (higher is better).",
    "cells deleted": (
        "Mean score while the cells named are painted over (lower is better). Masking orders cells by this"
        " very effect, one at a time, so that it is ahead here says little."
    ),
    "cells inserted": "Mean score while only the cells named are shown (higher is better).",
    "words deleted": (
        "Mean score while the words named are taken out (lower is better); of masking the same holds."
    ),
    "presence": (
        "AUC of the best cell's weight for a word alone: photos of recipes that list the ingredient against"
        " those that do not (higher is better)."
    ),
}
_BRACKETS = "Behind each baseline the map's lead and its 95 % interval, bold where the interval lies above 0."


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _shown(one: Figure) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _beside(measure: Measure, baseline: str) -> str:
    lead = measure.leads[baseline]
    shown = f"[{lead.mean:+.3f}: {lead.low:+.3f}, {lead.high:+.3f}]"
    return f"{measure.beside[baseline].mean:.3f} " + (f"**{shown}**" if measure.ahead(baseline) else shown)
