"""Measures of correspondences against slow twins and cases worked out by hand."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor import grounding
from savor.errors import ProtocolError
from savor.grounding import Grounding, Row

QUARTERS = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])


def grid(rows: int, columns: int) -> np.ndarray:
    return np.array(
        [
            [c / columns, r / rows, (c + 1) / columns, (r + 1) / rows]
            for r in range(rows)
            for c in range(columns)
        ]
    )


def test_coverage_is_the_share_of_each_cell() -> None:
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = True
    mask[3, 5] = True
    assert grounding.cell_means(mask, QUARTERS) == pytest.approx([1, 0, 0, 1 / 6])


def test_pixels_that_a_cell_cuts_count_by_their_share() -> None:
    # 5 x 5 cells on 7 x 11 pixels, against the same mask with each pixel drawn 5 x 5 times as large.
    mask = np.random.default_rng(0).random((7, 11)) < 0.4
    large = mask.repeat(5, 0).repeat(5, 1)
    twin = large.reshape(5, 7, 5, 11).mean((1, 3)).ravel()
    assert grounding.cell_means(mask, grid(5, 5)) == pytest.approx(twin)


def test_what_lies_outside_the_photo_is_not_covered() -> None:
    assert grounding.cell_means(np.ones((3, 3)), [[-0.5, 0, 0.5, 1]]) == pytest.approx([0.5])
    assert grounding.centres_inside(np.ones((3, 3)), [[-0.5, 0, 0.4, 1]]) == pytest.approx([0])


def test_a_centre_hits_where_the_mask_has_it() -> None:
    mask = np.zeros((4, 4), bool)
    mask[1, 1] = True  # the centre of the first quarter, its last pixel
    assert grounding.centres_inside(mask, QUARTERS).tolist() == [1, 0, 0, 0]


def test_pointing_takes_the_largest_and_shares_ties() -> None:
    assert grounding.pointing([1, 3, 2], [0, 1, 0]) == 1
    assert grounding.pointing([3, 3, 2], [0, 1, 0]) == 0.5
    assert grounding.pointing([0, 0, 0], [0, 1, 0]) == pytest.approx(1 / 3)


def precision_of_order(order: tuple[int, ...], coverage: np.ndarray) -> float:
    """Average precision of one order, as the sum says it."""
    seen, total = 0.0, 0.0
    for k, cell in enumerate(order, start=1):
        seen += coverage[cell]
        total += coverage[cell] * seen / k
    return total / coverage.sum()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), min_size=1, max_size=6).filter(
        lambda cells: sum(share for _, share in cells) > 1e-3
    )
)
def test_average_precision_is_the_mean_over_all_orders_of_ties(cells: list[tuple[int, float]]) -> None:
    weights, coverage = np.array([w for w, _ in cells]), np.array([c for _, c in cells])
    allowed = [
        order for order in permutations(range(len(cells))) if (np.diff(weights[list(order)]) <= 0).all()
    ]
    twin = np.mean([precision_of_order(order, coverage) for order in allowed])
    assert grounding.average_precision(weights, coverage) == pytest.approx(twin)


def test_average_precision_without_ties_is_that_of_the_pixels() -> None:
    rng = np.random.default_rng(1)
    mask, weights = rng.random((8, 8)) < 0.3, np.array([0.4, 0.1, 0.9, 0.5])
    pixels = np.kron(weights.reshape(2, 2), np.ones((4, 4)))
    thresholds = sorted(set(weights), reverse=True)
    found = [(mask & (pixels >= t)).sum() for t in thresholds]
    precision = [n / (pixels >= t).sum() for n, t in zip(found, thresholds, strict=True)]
    twin = (np.diff([0, *found]) * precision).sum() / mask.sum()
    coverage = grounding.cell_means(mask, QUARTERS)
    assert grounding.average_precision(weights, coverage) == pytest.approx(twin)


def test_nothing_is_more_precise_than_the_truth_or_less_than_its_reverse() -> None:
    coverage = np.random.default_rng(2).random(9)
    scores = [grounding.average_precision(w, coverage) for w in (coverage, np.zeros(9), -coverage)]
    assert scores == sorted(scores, reverse=True)
    assert grounding.average_precision([2, 1], [1, 0]) == 1


@pytest.mark.parametrize(
    ("weights", "coverage"), [([1, 2], [0, 0]), ([1, 2], [1]), ([1, np.nan], [1, 0]), ([], [])]
)
def test_a_map_that_cannot_be_measured_is_named(weights: list[float], coverage: list[float]) -> None:
    with pytest.raises(ProtocolError):
        grounding.average_precision(weights, coverage)


def test_the_centre_prior_is_symmetric_and_falls_outwards() -> None:
    prior = grounding.centre_prior(grid(3, 3)).reshape(3, 3)
    assert prior.argmax() == 4
    assert (prior == prior[::-1]).all()
    assert prior[0, 1] > prior[0, 0]


def test_contrast_finds_the_odd_cell() -> None:
    pixels = np.full((4, 4, 3), 200)
    pixels[:2, 2:] = (255, 0, 0)
    assert grounding.contrast(pixels, QUARTERS).argmax() == 1


def test_a_ranking_follows_the_weights_and_draws_ties() -> None:
    rng = np.random.default_rng(0)
    orders = {tuple(grounding.ranking([1, 5, 1], rng)) for _ in range(50)}
    assert orders == {(1, 0, 2), (1, 2, 0)}


def test_steps_remove_something_from_the_second_on() -> None:
    assert grounding.steps(3).tolist() == [0, 1, 1, 1, 1, 2]
    assert grounding.steps(50, (0, 0.5, 1)).tolist() == [0, 25, 50]


def test_the_area_of_a_straight_line_is_its_middle() -> None:
    shares = np.array(grounding.SHARES)
    assert grounding.curve_area(1 - shares) == pytest.approx(1 - shares[-1] / 2)
    assert grounding.curve_area(np.full(len(shares), 0.3)) == pytest.approx(0.3)


def test_presence_auc_counts_pairs() -> None:
    rng = np.random.default_rng(3)
    scores, present = rng.integers(5, size=30), rng.random(30) < 0.4
    pairs = [(float(a > b) + float(a == b) / 2) for a in scores[present] for b in scores[~present]]
    assert grounding.presence_auc(scores, present) == pytest.approx(np.mean(pairs))
    assert grounding.presence_auc(-scores, present) == pytest.approx(1 - np.mean(pairs))
    with pytest.raises(ProtocolError):
        grounding.presence_auc(scores, np.ones(30, bool))


def test_an_interval_holds_the_mean_and_shrinks_with_n() -> None:
    values = np.random.default_rng(4).normal(size=400)
    small, large = grounding.figure(values[:40]), grounding.figure(values)
    assert small.low < small.mean < small.high
    assert large.high - large.low < small.high - small.low
    standard_error = values.std() / 20
    assert large.high - large.low == pytest.approx(2 * 1.96 * standard_error, rel=0.15)


def test_nan_stands_for_no_value_and_nothing_at_all_is_an_error() -> None:
    assert grounding.figure([1.0, np.nan, 3.0]).mean == 2
    assert grounding.figure([1.0, np.nan, 3.0]).n == 2
    with pytest.raises(ProtocolError):
        grounding.figure([np.nan])


def test_leads_are_paired_and_speak_for_the_map() -> None:
    rng = np.random.default_rng(5)
    hard = rng.normal(size=60)  # what makes an item hard for both cancels out
    own, other = hard + 0.1 + 0.01 * rng.normal(size=60), hard
    up = grounding.compare(own, {"other": other}, unit="photos")
    down = grounding.compare(own, {"other": other}, unit="photos", lower_is_better=True)
    assert up.ahead("other")
    assert not down.ahead("other")
    assert up.leads["other"].mean == pytest.approx(-down.leads["other"].mean)
    assert up.value.low < up.beside["other"].mean < up.value.high  # unpaired, one could not tell


def test_a_baseline_is_compared_where_it_has_a_value() -> None:
    found = grounding.compare([1.0, 2.0, 3.0], {"some": [np.nan, 1.0, 1.0], "none": [np.nan] * 3}, unit="x")
    assert found.leads["some"].mean == 1.5
    assert found.leads["some"].n == 2
    assert "none" not in found.beside


def rows() -> list[Row]:
    rng = np.random.default_rng(6)
    good, chance = 0.5 + 0.1 * rng.random(30), 0.2 + 0.1 * rng.random(30)
    better = grounding.compare(good, {"chance": chance, "other word": chance, "centre": good + 0.1}, unit="x")
    same = grounding.compare(
        chance, {"chance": rng.permutation(chance), "other word": rng.permutation(chance)}, unit="x"
    )
    return [
        Row("a", "similarity", {"average precision": better}, "sha256:1"),
        Row("b", "ranks", {"average precision": same}, "sha256:2"),
    ]


def test_a_verdict_says_where_a_map_is_worth_nothing() -> None:
    good, bad = rows()
    assert "worth nothing" not in good.verdict()
    assert "no better than the middle of the photo (measurably worse)." in good.verdict()
    assert "worth nothing" in bad.verdict()
    assert "measurably worse" not in bad.verdict()
    assert "makes no difference" in bad.verdict()


def test_the_report_survives_its_file(tmp_path: Path) -> None:
    report, file = Grounding(rows(), {"split": "val"}), tmp_path / "report.json"
    file.write_text(json.dumps(report.to_json()))
    assert Grounding.load(file) == report
    assert Grounding.load(file).to_markdown() == report.to_markdown()


def test_the_report_has_a_row_a_way_and_bold_leads() -> None:
    text = Grounding(rows(), {"split": "val"}).to_markdown()
    good, bad = (line for line in text.splitlines() if line.startswith("| `"))
    assert good.startswith("| `a` | similarity | 0.5")
    assert good.count("**") == 4  # ahead of chance and of other words, not of the centre
    assert "**" not in bad
    assert "- split: val" in text


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [{}], "facts": {}}'])
def test_another_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(ProtocolError, match=r"other\.json"):
        Grounding.load(file)
