"""Confidence: photos that belong to a collection, photos that do not, and which hit it is."""

from __future__ import annotations

import numpy as np
import pytest

from savor import confidence as module
from savor.confidence import ENOUGH, STARTER, calibrated, confidence, of_index, without_photos


def rows(values):
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def collection(n=120, seed=0, noise=0.5):
    """Pairs of a collection that lies in one half of the space."""
    rng = np.random.default_rng(seed)
    centre = np.zeros(16)
    centre[0] = 2
    recipes = centre + rng.normal(size=(n, 16)) * (np.arange(16) < 8)
    return rows(recipes + noise * rng.normal(size=(n, 16))), rows(recipes)


PHOTOS, RECIPES = collection()
OWN = np.arange(len(PHOTOS))


def test_photos_that_belong_get_more_than_photos_that_do_not():
    known = calibrated(PHOTOS, RECIPES, OWN, rows)
    more, _ = collection(seed=1)
    others = rows(np.random.default_rng(2).normal(size=(50, 16)) - np.eye(16)[0])
    belongs, not_so = known.probability(more), known.probability(others)
    assert np.median(belongs) > 0.6
    assert np.median(not_so) < 0.05
    assert (belongs[:, None] > not_so).mean() > 0.98


def test_own_photos_are_about_zero_deviations_away_without_their_own_recipe():
    known = calibrated(PHOTOS, RECIPES, OWN, rows)
    cosines = PHOTOS @ RECIPES.T
    np.fill_diagonal(cosines, -1)
    z = known.to_recipes.z(cosines)
    assert abs(z.mean()) < 1e-4
    assert z.std() == pytest.approx(1, abs=1e-3)
    twice = calibrated(np.concatenate([PHOTOS, PHOTOS]), RECIPES, np.tile(OWN, 2), rows)
    assert twice.to_photos.mean == pytest.approx(
        np.sort(np.where(np.eye(120, dtype=bool), -1, PHOTOS @ PHOTOS.T).repeat(2, 1), 1)[:, -10:].mean(),
        abs=1e-4,
    )


def test_drawings_among_the_photos_do_not_shut_out_what_the_recipes_describe():
    drawings = rows(PHOTOS + 9 * np.eye(16)[15])
    known = calibrated(drawings, RECIPES, OWN, rows)
    assert np.median(known.to_photos.z(PHOTOS @ drawings.T)) < -3
    assert np.median(known.probability(PHOTOS)) > 0.6


def test_the_sharpness_is_that_which_makes_own_recipes_likely():
    sharp = calibrated(*collection(noise=0.1), OWN, rows).sharpness
    blunt = calibrated(*collection(noise=2), OWN, rows).sharpness
    assert sharp > 3 * blunt
    known = calibrated(PHOTOS, RECIPES, OWN, rows)
    shares = known.shares([0.9, 0.5, 0.5])
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[1] == pytest.approx(np.exp(0.4 * known.sharpness))
    assert len(known.shares([0.5] * 99)) == module.AMONG


@pytest.mark.parametrize(
    ("probability", "level"),
    [(1, "high"), (0.8, "high"), (0.79, "medium"), (0.3, "low"), (0.1, "none"), (0, "none")],
)
def test_levels_follow_from_the_probability(probability, level):
    said = confidence(probability)
    assert said.level == level
    assert said.as_dict() == {"probability": probability, "level": level, "message": said.message}
    assert (said.message == "None of your recipes looks like this.") == (level == "none")


class Index:
    """An index of the pairs, some without their photo."""

    def __init__(self, n, photos, run="sha256:1"):
        self.n, self.with_photo, self.manifest = n, photos, {"run": run}

    def count(self, find):
        return self.n

    def listed(self, *, limit, order):
        return [f"{k:03d}" for k in range(self.n)]

    def photos(self, name):
        return ["a.jpg", "b.jpg"] if int(name) < self.with_photo else []

    def vectors(self, keys):
        return [(PHOTOS if photo else RECIPES)[int(name)] for name, photo in keys]


def test_an_index_tells_what_its_pairs_tell(monkeypatch):
    whole = of_index(Index(120, 120), rows)
    assert whole.sharpness == calibrated(PHOTOS, RECIPES, OWN, rows).sharpness
    half = of_index(Index(120, 60), rows)
    assert (len(half.photos), len(half.recipes)) == (60, 120)
    monkeypatch.setattr(module, "SAMPLE", 50)
    some = np.linspace(0, 119, 50).astype(int)
    np.testing.assert_allclose(of_index(Index(120, 120), rows).recipes, RECIPES[some], atol=1e-6)


def test_with_too_little_nothing_is_said_or_what_is_known_of_the_starter_model(monkeypatch):
    assert of_index(Index(ENOUGH - 1, ENOUGH - 1), rows) is None
    assert of_index(Index(120, ENOUGH - 1), rows) is None
    monkeypatch.setattr(module, "_starter", lambda: "sha256:1")
    known = of_index(Index(120, 0), rows)
    assert known.to_recipes == STARTER
    np.testing.assert_allclose(known.recipes, without_photos(RECIPES).recipes, atol=1e-6)
    np.testing.assert_allclose(known.z(PHOTOS), STARTER.z(PHOTOS @ RECIPES.T), atol=1e-4)


def test_a_starter_model_that_is_not_there_is_nobody(monkeypatch, tmp_path):
    from savor import starter

    monkeypatch.setattr(starter, "folder", lambda: tmp_path)
    assert module._starter() is None
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert module._starter() == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
