"""AdaMine: instance and semantic triplets, each averaged over those that are still active."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import LineLSTMs, given
from savor.losses import MINING, lifted_structure, pairwise, semantic_triplet
from savor.methods.base import Perceptrons, at_least
from savor.schedules import Margin
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from savor.batch import Array, Batch
    from savor.features import Dims, Features

STRATEGIES = (*MINING, "lifted", "pairwise")
MISMATCHED = 0.8


class AdaMine(Perceptrons):
    """AdaMine: triplets of instances and of title classes, adaptive mining by the number of active ones.

        `L = (I_vr + I_rv + w (S_vr + S_rv)) / 4`, each term `sum of [violation]+ / number of active triplets`

    I takes every other item of the batch as a negative. S holds only for items with a class: the positive is
    another item of the class, negatives are those of other classes (`savor.losses.semantic_violations`). A
    term without an active triplet is 0.

    Differences from the paper and its code, unless `faithful`:

    - The towers are the perceptrons of MLP + triplet, which read the title, too; it is all that there is of
      many recipes.
    - In an epoch each recipe is seen once: all of them in random order, those of a class in pairs side by
      side. `faithful` draws half of each batch from the recipes without a class and half in pairs of one
      class, until one of the two is used up.
    - An anchor keeps all its semantic negatives, not as many as the anchor with the fewest.
    - The margin is 0.15, as published 0.3.

    `faithful=True` has the published towers, tanh of one linear layer after a frozen photo vector, and after
    an LSTM over the steps beside a bidirectional one over the ingredient lines (`savor.layers.LineLSTMs`).
    Still different from the code: vectors of a sentence encoder stand for skip-instructions and for the
    words of an ingredient, the photo's network stays frozen, padding never enters an LSTM, and 0/0 is 0.
    The code's second direction is its first one transposed, so that both are equal; here it is
    the paper's. The published training is `batch_size=100 learning_rate=1e-4 epochs=80 clip=8`.

    Args:
        dims: widths of the features.
        faithful: the published towers and batches.
        dim: width of the shared space.
        hidden: width of the perceptrons' hidden layers.
        margin: margin of both kinds of triplets, in cosine; of a schedule the largest. 0: 0.15, as published
            0.3.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: `active`, or what the paper compares it with: `mean`, `sum`, `hardest`, `semi_hard`, `lifted`
            or `pairwise` (PWC++, which has margins of its own). Semantic triplets are averaged over all of
            them for `mean`, otherwise over the active ones.
        semantic_weight: w.
        image_dropout: share of the perceptron's inputs and hidden units dropped on the photo's side.
        recipe_dropout: share on the recipe's side.

    Example:
        >>> from savor.features import Dims
        >>> AdaMine.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16}).uses
        ('image', 'lines', 'category')
    """

    paper: ClassVar[str] = "Carvalho et al., SIGIR 2018"
    loss: ClassVar[str] = "triplets of instances and of title classes, each over the active ones"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines", "category")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=16, batch_size=128, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        dim: int = 1024,
        hidden: int = 2048,
        margin: float = 0.0,
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "active",
        semantic_weight: float = 0.1,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(
            dims, dim=dim, hidden=hidden, image_dropout=image_dropout, recipe_dropout=recipe_dropout
        )
        if mining not in STRATEGIES:
            raise OptionError(f"mining={mining!r}: choose one of {', '.join(STRATEGIES)}")
        at_least(0, semantic_weight=semantic_weight, margin=margin)
        margin = margin or (0.3 if faithful else 0.15)
        self.margin = Margin(margin, margin_schedule, margin_start, margin_step)
        self.mining, self.semantic_weight, self.faithful = mining, semantic_weight, faithful
        if faithful:
            lines = LineLSTMs(dims.text)
            self.image_tower = nn.Sequential(nn.Linear(dims.image, dim), nn.Tanh())
            self.recipe_tower = nn.Sequential(lines, nn.Linear(lines.width, dim), nn.Tanh())
            del self.missing, self.standardise

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors."""
        if not self.faithful:
            super().prepare(features, rows)

    def batches(
        self, features: Features, rows: Array, rng: np.random.Generator, count: int
    ) -> Sequence[Array]:
        """Divide the training rows into batches with pairs of one class."""
        categories = features.categories[rows]
        if self.faithful and (halves := half_named(rows, categories, rng, len(rows) // count, count)):
            return halves
        return np.array_split(side_by_side(rows, categories, rng), count)

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' vectors before normalisation, `(b, dim)`."""
        if self.faithful:
            return torch.as_tensor(self.image_tower(given(batch.image, "image")))
        return super().image_vectors(batch)

    def recipe_vectors(self, batch: Batch) -> Tensor:
        """Return the recipes' vectors before normalisation, `(b, dim)`."""
        return torch.as_tensor(self.recipe_tower(batch)) if self.faithful else super().recipe_vectors(batch)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the mean of the four terms, of embeddings `(b, dim)` each."""
        margin = self.margin(image, recipe)
        semantic = semantic_triplet(
            image,
            recipe,
            given(batch.category, "category"),
            margin,
            active=self.mining != "mean",
            equal=self.faithful,
        )
        return (self._instances(image, recipe, margin) + self.semantic_weight * semantic) / 4

    def _instances(self, image: Tensor, recipe: Tensor, margin: float) -> Tensor:
        """Return the loss of the instances, both directions summed."""
        if self.mining == "lifted":
            return lifted_structure(image, recipe, margin)
        if self.mining == "pairwise":
            return pairwise(*mismatched(image, recipe))
        return MINING[self.mining](image, recipe, margin)


def mismatched(image: Tensor, recipe: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give 80 % of the recipes the photo of another one of the batch; last comes which pairs still match."""
    n = len(image)
    matched = torch.rand(n, device=image.device) >= (MISMATCHED if n > 1 else 0)
    own = torch.arange(n, device=image.device)
    other = (own + torch.randint(1, max(2, n), (n,), device=image.device)) % n
    return image[torch.where(matched, own, other)], recipe, matched


def side_by_side(rows: Array, categories: Array, rng: np.random.Generator) -> Array:
    """Put rows into a random order in which those of one class, other than 0, come in pairs, `(n,)`.

    A class of odd size leaves one by itself.
    """
    pairs, singles = class_pairs(rows, categories, rng)
    places = rng.permutation(len(pairs) + len(singles))
    places = np.concatenate([places[: len(pairs)].repeat(2), places[len(pairs) :]])
    ordered: Array = np.concatenate([pairs.ravel(), singles])[np.argsort(places, kind="stable")]
    return ordered


def half_named(rows: Array, categories: Array, rng: np.random.Generator, size: int, most: int) -> list[Array]:
    """Draw at most so many batches, half of rows without a class, half in pairs of one class.

    They end when one of the two is used up; where there are too few of either, the list is empty. The next
    pair is any of those left, so a class is drawn in proportion to its pairs.

    Source: the batch sampler of AdaMine's code.
    """
    pairs, _ = class_pairs(rows, categories, rng)
    unnamed = rng.permutation(rows[categories == 0])
    paired = size // 4
    rest = size - 2 * paired
    count = min(most, len(pairs) // paired, len(unnamed) // rest) if paired else 0
    return [
        np.concatenate([pairs[k * paired : (k + 1) * paired].ravel(), unnamed[k * rest : (k + 1) * rest]])
        for k in range(count)
    ]


def class_pairs(rows: Array, categories: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Join rows of one class, other than 0, at random: pairs `(p, 2)` in random order, and what is left."""
    order = rng.permutation(len(rows))
    order = order[np.argsort(categories[order], kind="stable")]
    kinds = categories[order]
    within = np.arange(len(rows)) - np.searchsorted(kinds, kinds)
    follows = np.append(kinds[1:] == kinds[:-1], False)
    first = np.flatnonzero((kinds > 0) & (within % 2 == 0) & follows)
    pairs = np.stack([order[first], order[first + 1]], 1)
    left = np.setdiff1d(order, pairs)
    return rows[rng.permutation(pairs)], rows[left]
