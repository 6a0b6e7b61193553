"""InfoNCE: the perceptrons of MLP + triplet under the in-batch softmax loss of CLIP."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from savor.losses import info_nce
from savor.methods.base import Perceptrons, above_zero
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from savor.batch import Batch
    from savor.features import Dims

# CLIP's limit; a sharper softmax lets single pairs run away with the loss.
SHARPEST = 0.01


class InfoNCE(Perceptrons):
    """InfoNCE two-tower: each photo picks its recipe out of the batch, and each recipe its photo.

    `L = -mean of (log softmax_j(s_ij / t)_i + log softmax_j(s_ji / t)_i) / 2`, s the cosine.

    The perceptrons are those of MLP + triplet (`savor.methods.triplet_mlp`), so that the two rows differ
    by their losses alone.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        temperature: t, in cosine.
        learned: learn t with the weights, from `temperature` on, never below 0.01 (as CLIP does).
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.

    Example:
        >>> from savor.features import Dims
        >>> method = InfoNCE.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16, "learned": True})
        >>> round(method.temperature.item(), 3)
        0.05
    """

    paper: ClassVar[str] = "van den Oord et al. 2018; both ways as in CLIP, Radford et al. 2021"
    loss: ClassVar[str] = "in-batch softmax (InfoNCE)"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=16, batch_size=1024, min_batches=8)

    sharpness: Tensor

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        text: str = "all",
        hidden: int = 2048,
        temperature: float = 0.05,
        learned: bool = False,
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
        above_zero(temperature=temperature)
        sharpness = torch.tensor(-math.log(temperature))
        if learned:
            self.sharpness = nn.Parameter(sharpness)
        else:
            self.register_buffer("sharpness", sharpness, persistent=False)

    @property
    def temperature(self) -> Tensor:
        """The temperature in force, `()`."""
        temperature = (-self.sharpness).exp()
        return temperature.clamp(min=SHARPEST) if self.sharpness.requires_grad else temperature

    def logged(self) -> dict[str, float]:
        """Return the temperature at the end of an epoch."""
        return {"temperature": round(self.temperature.item(), 6)}

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the loss of embeddings, `(b, dim)` each."""
        return info_nce(image, recipe, self.temperature)
