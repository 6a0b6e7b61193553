"""Finished rows: read back, refused when made otherwise, averaged and compared over seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from savor.compare import paired_difference
from savor.errors import MethodError, ProtocolError, UsageError
from savor.evaluation import DIRECTIONS, QueryRanks
from savor.tables.outcomes import (
    Figure,
    Outcome,
    compare_outcomes,
    finished_seeds,
    outcome_file,
    ranks_file,
    read_outcome,
    shared_seeds,
    student_quantile,
    summarise,
)

IDS = np.array([f"{k:03d}" for k in range(80)])


def outcome(folder: Path, row: str, seed: int, ranks, *, training: object = "loop") -> Outcome:
    """Write a row with the same ranks in both directions."""
    path = outcome_file(folder, row, seed, "val")
    both = dict.fromkeys(DIRECTIONS, np.asarray(ranks, float)[None])
    QueryRanks(IDS[None], both, "full", "mean").save(ranks_file(path))
    one = {"R@10": float(np.mean(np.asarray(ranks) <= 10)), "ci95": {"R@10": [0.1, 0.9]}}
    path.write_text(json.dumps({**dict.fromkeys(DIRECTIONS, one), "row": row, "training": training}))
    return read_outcome(path, {"row": row})


@pytest.mark.parametrize("freedom", [*range(1, 14), 30, 200])
def test_student_quantiles_are_those_of_scipy(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=2e-4)


def test_one_seed_keeps_its_bootstrap_interval_and_several_get_students() -> None:
    values = (0.3, 0.35, 0.4)
    reports = [{"d": {"MRR": value, "ci95": {"MRR": [0.1, 0.9]}}} for value in values]
    assert summarise(reports[:1], "d", "MRR") == Figure(0.3, 0.1, 0.9)
    found = summarise(reports, "d", "MRR")
    half = 4.3027 * np.std(values, ddof=1) / np.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.35, 0.35 - half, 0.35 + half))


def test_an_interval_ends_where_figures_do() -> None:
    reports = [{"d": {"medR": 1 + 9 * value, "R@1": value}} for value in (0.0, 1.0)]
    assert (summarise(reports, "d", "R@1").low, summarise(reports, "d", "R@1").high) == (0, 1)
    assert summarise(reports, "d", "medR").low == 1
    assert summarise(reports, "d", "medR").high > 10


def test_only_rows_with_both_files_count(tmp_path: Path) -> None:
    for seed in (0, 2, 11):
        outcome(tmp_path, "mlp", seed, np.ones(80))
    outcome(tmp_path, "mlp_more", 5, np.ones(80))
    outcome_file(tmp_path, "mlp", 7, "x-val").write_text("{}")
    ranks_file(outcome_file(tmp_path, "mlp", 2, "val")).unlink()
    assert finished_seeds(tmp_path, "mlp", "val") == [0, 11]
    assert finished_seeds(tmp_path / "nowhere", "mlp", "val") == []


def test_a_row_made_otherwise_is_named(tmp_path: Path) -> None:
    path = outcome(tmp_path, "mlp", 0, np.ones(80), training={"epochs": 3, "clip": 0}).path
    assert read_outcome(path, {"row": "mlp", "training": {"epochs": 3, "clip": 0.0}})
    with pytest.raises(
        UsageError, match=r"mlp-seed0-val.json: made with another training \(epochs: 3, now 4\)"
    ):
        read_outcome(path, {"training": {"epochs": 4, "clip": 0}})
    with pytest.raises(UsageError, match=r"another row \(mlp, now cca\); name another --out, or delete"):
        read_outcome(path, {"row": "cca"})


@pytest.mark.parametrize("content", ["", "[]", "3", '{"row": "mlp"}', "{", "\x00"])
def test_a_damaged_row_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mlp-seed0-val.json"
    path.write_text(content)
    with pytest.raises(MethodError, match=r"mlp-seed0-val.json: .*delete it"):
        read_outcome(path, {"row": "mlp"})


def test_rows_meet_on_the_seeds_they_share(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a = {seed: outcome(tmp_path, "a", seed, rng.integers(1, 30, 80)) for seed in (0, 1, 2)}
    b = {seed: outcome(tmp_path, "b", seed, rng.integers(1, 40, 80)) for seed in (1, 2, 3)}
    c = {0: outcome(tmp_path, "c", 0, rng.integers(1, 50, 80), training=None)}
    assert shared_seeds(a, b) == [1, 2]
    assert shared_seeds(a, c) == shared_seeds(c, a) == [0, 1, 2]
    assert shared_seeds(a, {}) == shared_seeds({}, {}) == []
    found = compare_outcomes(a, b)["image_to_recipe"]
    means = [
        paired_difference(a[seed].queries.ranks[DIRECTIONS[0]], b[seed].queries.ranks[DIRECTIONS[0]])[
            "MRR"
        ].mean
        for seed in (1, 2)
    ]
    assert found["MRR"].mean == pytest.approx(np.mean(means))
    assert found["MRR"].low < found["MRR"].mean < found["MRR"].high
    forth, back = compare_outcomes(a, c)["image_to_recipe"], compare_outcomes(c, a)["image_to_recipe"]
    assert forth["R@10"].mean == pytest.approx(-back["R@10"].mean)


def test_equal_seeds_are_no_more_evidence_than_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    ranks = rng.integers(1, 30, 80), rng.integers(1, 40, 80)
    rows = [
        {seed: outcome(tmp_path, name, seed, one) for seed in range(4)}
        for name, one in zip("ab", ranks, strict=True)
    ]
    once = compare_outcomes(*({0: row[0]} for row in rows))
    assert compare_outcomes(*rows)["recipe_to_image"]["MRR"].low == pytest.approx(
        once["recipe_to_image"]["MRR"].low
    )


def test_no_common_seed(tmp_path: Path) -> None:
    a, b = ({seed: outcome(tmp_path, "a", seed, np.ones(80))} for seed in (0, 1))
    with pytest.raises(ProtocolError, match="without a common seed"):
        compare_outcomes(a, b)
