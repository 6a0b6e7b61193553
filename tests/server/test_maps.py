"""Laying out a collection in the plane."""

from __future__ import annotations

import numpy as np
import pytest

from savor.server import maps


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 30])
def test_any_number_of_recipes_fits_into_the_unit_square(count) -> None:
    rows = np.random.default_rng(0).standard_normal((count, 6)).astype(np.float32)
    _, points = maps.place(list(rows))
    assert points.shape == (count, 2)
    assert ((points >= 0) & (points <= 1)).all()


def test_two_groups_stay_apart_by_either_way(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    groups = np.concatenate([np.eye(8)[:1], -np.eye(8)[:1]]).repeat(20, 0)
    rows = list((groups + 0.05 * rng.standard_normal((40, 8))).astype(np.float32))
    for kind in ("tsne", "pca"):
        found, points = maps.place(rows)
        assert found == kind
        within = np.linalg.norm(points[:20] - points[:20].mean(0), axis=1).mean()
        between = np.linalg.norm(points[:20].mean(0) - points[20:].mean(0))
        assert between > 2 * within
        monkeypatch.setattr(maps, "FEW", 10)


def test_equal_vectors_are_no_fault(monkeypatch) -> None:
    monkeypatch.setattr(maps, "FEW", 2)
    _, points = maps.place([np.ones(4, np.float32)] * 5)
    assert np.isfinite(points).all()
