"""Confidence: whether a photo is of the kind that an index holds, and how likely each hit is its recipe.

A photo that does not belong to a collection, for it shows no dish or none of that kind, is far from all of
its photos and from all of its recipes. How far one that does belong may be is read off the index's own
photos, each compared with all but its own recipe:

    z_p(v) = (mean cosine of v with the 10 nearest photos - mean of that over own photos) / its deviation

and z_r(v) likewise with recipes. A photo belongs if either says so, `z = log(exp(2 z_p) + exp(2 z_r)) / 2`, a
soft maximum: the photos of a collection may be drawings. `probability = sigmoid(SLOPE z + OFFSET)`; both
numbers were fitted once, on photos of dishes and pictures of other things (`scripts/confidence.py`).

It does not say that the very recipe is there: a dish whose recipe is missing looks much like one whose recipe
is not. Which hit it is, if any: `probability softmax(sharpness scores)` over the nearest, with the sharpness
that makes the own photos' own recipes most likely.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from savor.answers import Confidence, Level

if TYPE_CHECKING:
    from savor.index import Index

    Array = np.ndarray[Any, np.dtype[Any]]

SAMPLE = 256  # recipes of an index that are looked at
ENOUGH = 30  # recipes among them, below which nothing is said, and pairs to learn from
NEAREST = 10
AMONG = 20  # hits that share the probability
SLOPE, OFFSET = 2.7, 1.2
_LEVELS: tuple[tuple[float, Level, str], ...] = (
    (0.8, "high", "Your recipes have dishes that look like this."),
    (0.5, "medium", "Some of your recipes may look like this."),
    (0.2, "low", "Hardly any of your recipes looks like this."),
    (0.0, "none", "None of your recipes looks like this."),
)
_SHARPNESSES = np.geomspace(1, 400, 60)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Mean and deviation, over photos that belong to an index, of the mean cosine with the nearest."""

    mean: float
    deviation: float

    def z(self, cosines: Array) -> Array:
        """Return by how many deviations each row of cosines `(n, m)` is nearer than usual, `(n,)`."""
        return (nearest_mean(cosines) - self.mean) / self.deviation


# Of the starter model, on the validation recipes of the real data: for its indexes with few photos or none.
STARTER = Likeness(0.361, 0.054)
STARTER_SHARPNESS = 43.0


def nearest_mean(cosines: Array) -> Array:
    """Return the mean of the largest of each row, `(n, m) -> (n,)`."""
    return np.asarray(np.sort(cosines, 1)[:, -NEAREST:].mean(1))


@dataclass(frozen=True)
class Calibration:
    """What is known of an index's own photos.

    Attributes:
        photos: unit vectors of some, `(n, dim)`; n may be 0.
        recipes: of recipes, `(m, dim)`.
        to_photos: how near own photos are to others.
        to_recipes: how near they are to recipes other than their own.
        sharpness: what scores are multiplied by before they are compared.
    """

    photos: Array
    recipes: Array
    to_photos: Likeness
    to_recipes: Likeness
    sharpness: float

    def z(self, photos: Array) -> Array:
        """Return how well photos `(n, dim)` fit in, `(n,)`; those that belong have about 0."""
        z = self.to_recipes.z(photos @ self.recipes.T)
        if len(self.photos):
            z = np.logaddexp(2 * z, 2 * self.to_photos.z(photos @ self.photos.T)) / 2
        return z

    def probability(self, photos: Array) -> Array:
        """Return how likely photos `(n, dim)` belong to the index, `(n,)`, where as many do as do not."""
        return np.asarray(1 / (1 + np.exp(-np.clip(SLOPE * self.z(photos) + OFFSET, -50, 50))))

    def shares(self, scores: Sequence[float]) -> Array:
        """Return how the nearest share the probability, given their scores."""
        powers = np.exp(self.sharpness * (np.array(scores[:AMONG]) - max(scores)))
        return np.asarray(powers / powers.sum())


def without_photos(recipes: Array) -> Calibration:
    """Return what is known of an index of the starter model, `recipes` being bare rows of it `(m, dim)`."""
    return Calibration(recipes[:0], recipes, STARTER, STARTER, STARTER_SHARPNESS)


def calibrated(photos: Array, recipes: Array, own: Array, bare: Callable[[Array], Array]) -> Calibration:
    """Return what pairs tell.

    Args:
        photos: rows of photos as the index has them, `(n, dim)`.
        recipes: rows of recipes, `(m, dim)`.
        own: which recipe is that of each photo, `(n,)`.
        bare: makes unit vectors without a correction for hubs of rows.
    """
    plain_photos, plain_recipes = bare(photos), bare(recipes)
    to_recipes, to_photos = plain_photos @ plain_recipes.T, plain_photos @ plain_photos.T
    to_recipes[np.arange(len(own)), own] = -1.0
    to_photos[own[:, None] == own] = -1.0
    near_photos, near_recipes = (_likeness(nearest_mean(cosines)) for cosines in (to_photos, to_recipes))
    sharpness = _sharpness(photos @ recipes.T, own)
    return Calibration(plain_photos, plain_recipes, near_photos, near_recipes, sharpness)


def _likeness(means: Array) -> Likeness:
    return Likeness(float(means.mean()), max(float(means.std()), 1e-3))


def _sharpness(scores: Array, own: Array) -> float:
    """Return the factor under which a softmax of scores `(n, m)` makes the own recipes most likely."""
    rows = np.arange(len(own))

    def likelihood(factor: float) -> float:
        powers = factor * (scores - scores.max(1, keepdims=True))
        return float((powers[rows, own] - np.log(np.exp(powers).sum(1))).mean())

    return float(max(_SHARPNESSES, key=likelihood))


def of_index(index: Index, bare: Callable[[Array], Array]) -> Calibration | None:
    """Return what the pairs of an index tell, of at most `SAMPLE` recipes that lie evenly among its ids.

    None if there are too few recipes, or too few photos and the model is not the one whose figures are known.
    """
    every = index.listed(limit=index.count("recipes"), order="id")
    places = np.linspace(0, len(every) - 1, min(SAMPLE, len(every))).astype(int)
    ids = [every[place] for place in places]
    firsts = {name: own[0] for name in ids if (own := index.photos(name))}
    recipes = _present(index, [(name, None) for name in ids])
    row = {name: place for place, (name, _) in enumerate(recipes)}
    found = _present(index, list(firsts.items()))
    pairs = [(row[name], vector) for name, vector in found if name in row]
    if len(recipes) < ENOUGH:
        return None
    rows = np.stack([vector for _, vector in recipes])
    if len(pairs) < ENOUGH:
        return without_photos(bare(rows)) if index.manifest["run"] == _starter() else None
    photos = np.stack([vector for _, vector in pairs])
    return calibrated(photos, rows, np.array([own for own, _ in pairs], np.int64), bare)


def _starter() -> str | None:
    """Return the fingerprint of the starter model."""
    from savor import starter

    weights = starter.folder() / "model.safetensors"
    if not weights.is_file():
        return None
    with weights.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _present(index: Index, keys: Sequence[tuple[str, str | None]]) -> list[tuple[str, Array]]:
    """Return the vectors that are there, with their recipes' ids."""
    vectors = zip(keys, index.vectors(keys), strict=True)
    return [(recipe_id, vector) for (recipe_id, _), vector in vectors if vector is not None]


def confidence(probability: float) -> Confidence:
    """Return a probability with its level and a sentence."""
    level, message = next((level, message) for least, level, message in _LEVELS if probability >= least)
    return Confidence(probability, level, message)
