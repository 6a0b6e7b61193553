"""Which frequent words the ingredients of a recipe have: targets that methods learn to name."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from savor.batch import Array
    from savor.features import Features

_WORD = re.compile(r"[^\W\d_]{3,}")


def ingredient_words(features: Features, rows: Array, count: int) -> dict[str, list[int]]:
    """Return by recipe the numbers of the words its ingredient lines have, of the `count` most frequent.

    Words of more than half of the recipes (units, mostly) tell nothing and are left out. The words are kept
    nowhere: they are found again from the training rows.
    """
    found: dict[str, set[str]] = {}
    for row in rows.tolist():
        recipe = features.recipe(row)
        if lines := recipe.lines("ingredients"):
            found[recipe.id] = {word for line in lines for word in _WORD.findall(line.lower())}
    counts = Counter(word for words in found.values() for word in words)
    common = sorted(
        (word for word in counts if counts[word] <= len(found) / 2), key=lambda word: (-counts[word], word)
    )
    number = {word: place for place, word in enumerate(common[:count])}
    return {recipe: sorted(number[word] for word in words & number.keys()) for recipe, words in found.items()}


def as_targets(
    words_of: Mapping[str, list[int]], ids: Sequence[str], count: int, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Return which of `count` words each recipe has, `(b, count)` of 0 and 1, and whose are known, `(b,)`.

    >>> as_targets({"soup": [1]}, ["soup", "cake"], 2, "cpu")
    (tensor([[0., 1.],
            [0., 0.]]), tensor([ True, False]))
    """
    truth = torch.zeros(len(ids), count)
    for row, recipe in enumerate(ids):
        truth[row, words_of.get(recipe, [])] = 1
    known = torch.tensor([recipe in words_of for recipe in ids], dtype=torch.bool)
    return truth.to(device), known.to(device)
