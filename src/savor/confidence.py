"""Confidence: does an index hold what a photo shows, and how likely is each hit to be its recipe?

A photo of another kind than those of the index (no dish at all, or a dish of which nothing like it is there) is
far from all of the index's photos and from all of its recipes. How far a photo that belongs there may be is
read off the index's own photos, each compared with all but its own recipe:

    z_p(v) = (mean cosine of v with the 10 nearest photos - its mean over own photos) / its deviation

z_r(v) is the same with recipes, and `probability = sigmoid(SLOPE max(z_p, z_r) + OFFSET)`: a photo belongs to a
collection if it looks like its photos, or like what its recipes describe. Slope and offset were fitted once, with
pictures of other things against photos of dishes (`scripts/confidence.py`). It does not say that the very recipe is there:
recipes without their photo look much like those with it.

Which hit it is: `chance = probability softmax(SHARPNESS score)` over the nearest; the sharpness is what makes the own
photos' own recipes most likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from savor.answers import Confidence, Level

if TYPE_CHECKING:
    from savor.index import Index

    Array = np.ndarray[Any, np.dtype[Any]]

SAMPLE = 256  # pairs of an index that are looked at
ENOUGH = 30  # pairs below which the starter model's figures are taken
NEAREST = 10
AMONG = 20  # hits that share the probability
SLOPE, OFFSET = 1.0, 0.0
_MESSAGES: tuple[tuple[float, Level, str], ...] = (
    (0.8, "high", "Your recipes have dishes that look like this."),
    (0.5, "medium", "Some of your recipes may look like this."),
    (0.2, "low", "Hardly any of your recipes looks like this."),
    (0.0, "none", "None of your recipes looks like this."),
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """Mean and deviation, over photos that belong to an index, of the mean cosine with the nearest."""

    mean: float
    deviation: float

    def z(self, vectors: Array, photo: Array) -> float:
        """Return by how many deviations a photo `(dim,)` is nearer to vectors `(n, dim)` than usual."""
        return (_nearest_mean(vectors @ photo) - self.mean) / self.deviation


def _nearest_mean(cosines: Array) -> float:
    return float(np.sort(cosines)[-NEAREST:].mean())


@dataclass(frozen=True)
class Calibration:
    """What is known of an index's own photos.

    Attributes:
        photos: unit vectors of some, `(n, dim)`; n may be 0.
        recipes: of recipes, `(m, dim)`.
        to_photos: how near own photos are to others.
        to_recipes: how near they are to recipes other than their own.
        sharpness: what scores are multiplied by.
    """

    photos: Array
    recipes: Array
    to_photos: Likeness
    to_recipes: Likeness
    sharpness: float

    def probability(self, photo: Array) -> float:
        """Return how likely a photo `(dim,)` belongs to the index."""
        z = self.to_recipes.z(self.recipes, photo)
        if len(self.photos):
            z = max(z, self.to_photos.z(self.photos, photo))
        return float(1 / (1 + np.exp(-np.clip(SLOPE * z + OFFSET, -50, 50))))

    def chances(self, scores: Sequence[float]) -> Array:
        """Return how the nearest share the probability: softmax of their scores, best first."""
        powers = np.exp(self.sharpness * (np.asarray(scores[:AMONG]) - scores[0]))
        return np.asarray(powers / powers.sum())
