"""Frequent words of ingredients as targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from savor.features import Features
from savor.ingredient_words import as_targets, ingredient_words


def test_they_are_the_frequent_ones_but_not_everybodys(toy_features: Path) -> None:
    features = Features.open(toy_features)
    rows = features.rows("train")
    found = ingredient_words(features, rows, 5)
    assert set(found) <= set(features.ids[rows].tolist())
    counts = np.bincount([word for words in found.values() for word in words], minlength=5)
    assert len(counts) == 5
    assert (np.diff(counts) <= 0).all()
    assert counts[0] <= len(found) / 2


def test_a_recipe_without_ingredients_has_unknown_targets() -> None:
    truth, known = as_targets({"soup": [0, 2], "tea": []}, ("tea", "cake", "soup"), 3, "cpu")
    assert truth.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert known.tolist() == [True, False, True]
    assert known.dtype == torch.bool
