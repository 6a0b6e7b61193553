"""MLP + triplet: two perceptrons on frozen features and a bidirectional triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import Standardise, given, part_vectors, projector, unit
from savor.losses import check_mining, triplet
from savor.methods.base import Method, above_zero, at_least, dropouts, photo_vectors
from savor.recipe import PARTS
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Array, Batch
    from savor.features import Dims, Features


TEXTS = ("all", *PARTS)


class TripletMLP(Method):
    """MLP + triplet loss, the student report's second baseline: two separate perceptrons.

    `L = sum over both directions of [margin + s(anchor, negative) - s(anchor, positive)]+`, s the cosine;
    which negatives count is the mining (`savor.losses`).

    The recipe is its three part vectors side by side, each the mean of the part's line vectors. A part that
    a recipe lacks is a learned vector, so that recipes of which only the title is known take part.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        margin: margin of the triplet loss, in cosine.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`.
        temperature: of `soft` mining, in cosine.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.

    Example:
        >>> from savor.features import Dims
        >>> TripletMLP.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16}).missing.shape
        torch.Size([3, 4])
    """

    paper: ClassVar[str] = "student report; FaceNet's loss (Schroff et al. 2015)"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=16, batch_size=1024, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        text: str = "all",
        hidden: int = 2048,
        margin: float = 0.2,
        mining: str = "soft",
        temperature: float = 0.05,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(dims)
        if text not in TEXTS:
            raise OptionError(f"text={text!r}: choose one of {', '.join(TEXTS)}")
        check_mining(mining)
        at_least(0, margin=margin)
        above_zero(temperature=temperature)
        at_least(1, dim=dim, hidden=hidden)
        dropouts(image_dropout=image_dropout, recipe_dropout=recipe_dropout)
        self.margin, self.mining, self.temperature = margin, mining, temperature
        self.parts = PARTS if text == "all" else (text,)
        self.standardise = Standardise(dims.image)
        self.image_tower = projector(dims.image, hidden, dim, image_dropout)
        self.recipe_tower = projector(len(self.parts) * dims.text, hidden, dim, recipe_dropout)
        self.missing = nn.Parameter(torch.zeros(len(self.parts), dims.text))
        # Sentence vectors have unit length, entries of size 1 / sqrt(d); the photo's are standardised to 1.
        self.scale = dims.text**0.5

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors."""
        self.standardise.learn(photo_vectors(features, rows))

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return unit(self.image_vectors(batch))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return unit(self.recipe_vectors(batch))

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' vectors before normalisation, `(b, dim)`."""
        return torch.as_tensor(self.image_tower(self.standardise(given(batch.image, "image"))))

    def recipe_vectors(self, batch: Batch) -> Tensor:
        """Return the recipes' vectors before normalisation, `(b, dim)`."""
        vectors, mask = part_vectors(batch, self.parts)
        filled = torch.where(mask[..., None], vectors, self.missing) * self.scale
        return torch.as_tensor(self.recipe_tower(filled.flatten(1)))

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the triplet loss of both towers."""
        image, recipe = self.embed_image(batch), self.embed_recipe(batch)
        yield "towers", self.pair_loss(image, recipe, batch)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the triplet loss of embeddings, `(b, dim)` each."""
        return triplet(image, recipe, self.margin, self.mining, self.temperature)
