"""Circle loss: the perceptrons of MLP + triplet, each score pulled as hard as it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from savor.losses import circle
from savor.methods.base import Perceptrons, above_zero, at_least
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from torch import Tensor

    from savor.batch import Batch
    from savor.features import Dims


class Circle(Perceptrons):
    """Circle loss over the pairs of a batch, both directions.

    `L_i = log(1 + sum_j exp(g ([s_ij + m]+ (s_ij - m) - [1 + m - s_ii]+ (s_ii - 1 + m))))`, s the cosine, the
    brackets without gradient (`savor.losses.circle`).

    The perceptrons are those of MLP + triplet (`savor.methods.triplet_mlp`), so that the two rows differ
    by their losses. Gradients are clipped: in the first steps every own pair is pulled far harder than later,
    which seems to leave AdamW's second moments large and its steps tiny for the rest of the training.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        margin: m; own pairs should reach a cosine of 1 - m, others fall to m.
        scale: g.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.

    Example:
        >>> from savor.features import Dims
        >>> Circle.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16}).options["scale"]
        32.0
    """

    paper: ClassVar[str] = "Sun et al., CVPR 2020; on recipes DAR, ECCV 2024"
    loss: ClassVar[str] = "circle loss"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(
        epochs=16, batch_size=1024, min_batches=8, clip=1.0
    )

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        text: str = "all",
        hidden: int = 2048,
        margin: float = 0.25,
        scale: float = 32.0,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(
            dims,
            dim=dim,
            text=text,
            hidden=hidden,
            image_dropout=image_dropout,
            recipe_dropout=recipe_dropout,
        )
        at_least(0, margin=margin)
        above_zero(scale=scale)
        self.margin, self.loss_scale = margin, scale

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the loss of embeddings, `(b, dim)` each."""
        return circle(image, recipe, self.margin, self.loss_scale)
