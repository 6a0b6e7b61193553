"""MLP + triplet: two perceptrons on frozen features and a bidirectional triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from savor.losses import check_mining, triplet
from savor.methods.base import Perceptrons, above_zero, scaled_by_member
from savor.schedules import Margin
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from torch import Tensor

    from savor.batch import Batch
    from savor.features import Dims


class TripletMLP(Perceptrons):
    """MLP + triplet loss, the student report's second baseline: two separate perceptrons.

    `L = sum over both directions of [margin + s(anchor, negative) - s(anchor, positive)]+`, s the cosine;
    which negatives count is the mining (`savor.losses`).

    The recipe is its three part vectors side by side, each the mean of the part's line vectors. A part that
    a recipe lacks is a learned vector, so that recipes of which only the title is known take part.

    Beyond the report: several members, and a correction for hubs (`savor.methods.base.Perceptrons`);
    `members=1 hubs=0` is without. `word_width=256` reads learned words, too.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        margin: margin of the triplet loss, in cosine; of a schedule the largest.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`.
        temperature: of `soft` mining, in cosine.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.
        members: pairs of perceptrons, each trained for itself; a cosine is the mean of theirs.
        hubs: training pairs kept to correct cosines for hubs (`savor.layers.Hubs`); 0: not corrected.
        word_width: width of learned vectors of words, of which the sum over each part's words is read beside
            the part's vector (`savor.layers.WordSums`); 0: none are.
        min_count: how often a word occurs in the training recipes to have one.
        word_dropout: share of the words left out while training.

    Example:
        >>> from savor.features import Dims
        >>> TripletMLP.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16}).missing.shape
        torch.Size([3, 4])
    """

    paper: ClassVar[str] = "student report 2022; FaceNet's loss, Schroff et al. 2015"
    loss: ClassVar[str] = "triplets, mined softly"
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
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "soft",
        temperature: float = 0.05,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
        members: int = 4,
        hubs: int = 2048,
        word_width: int = 0,
        min_count: int = 3,
        word_dropout: float = 0.3,
    ) -> None:
        super().__init__(
            dims,
            dim=dim,
            text=text,
            hidden=hidden,
            image_dropout=image_dropout,
            recipe_dropout=recipe_dropout,
            members=members,
            hubs=hubs,
            word_width=word_width,
            min_count=min_count,
            word_dropout=word_dropout,
        )
        check_mining(mining)
        above_zero(temperature=temperature)
        self.margin = Margin(margin, margin_schedule, margin_start, margin_step)
        self.mining, self.temperature = mining, temperature

    def member_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the triplet loss of one member's embeddings, `(b, dim)` each."""
        return triplet(image, recipe, self.margin(image, recipe), self.mining, self.temperature)

    def embed_patches(self, batch: Batch) -> Tensor:
        """Return each patch's share of the photo's embedding, `(b, p, members dim)`: see `patch_shares`."""
        return scaled_by_member(self.patch_shares(batch), self.image_vectors(batch), self.members)

    def embed_words(self, batch: Batch) -> Tensor:
        """Return each word piece's share of the recipe's vector, `(b, w, members dim)`: see `word_shares`."""
        return scaled_by_member(self.word_shares(batch), self.recipe_vectors(batch), self.members)
