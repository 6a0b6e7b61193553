"""Deep CCA: two perceptrons whose outputs correlate as much as they can, then linear CCA."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import Standardise, given, part_vectors, projector
from savor.losses import total_correlation
from savor.methods.base import TEXTS, Method, at_least, dropouts
from savor.methods.cca import part_means, solve_cca
from savor.recipe import PARTS
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Array, Batch
    from savor.features import Dims, Features


class DeepCCA(Method):
    """Deep canonical correlation analysis (Andrew et al., ICML 2013).

    The networks f and g maximise the total correlation of a batch's outputs (`total_correlation`):

        `L = -||(Sff + r I)^(-1/2) Sfg (Sgg + r I)^(-1/2)||_tr`

    which leaves the outputs' directions and scales open. So linear CCA is solved on the outputs of the whole
    training split, in evaluation mode, and its maps A, B stay with the weights: a photo is `A' f(x)`, a
    recipe `B' g(y)`, each at unit length. It is solved again before every validation. Training stops by
    retrieval, since the correlation goes on rising when retrieval has long turned. Batches should hold
    several times `dim` pairs: in a smaller one everything correlates by chance.

    Each network is a linear map plus a perceptron, `f(x) = A0' x + mlp(x)`. The linear map is ridge CCA
    (`savor.methods.cca`, p = 1/2), solved before the first step, scaled to a mean variance of 1 and left
    alone; the perceptron starts at zero. Perceptrons alone, from random weights, as in the paper, stayed well
    behind linear CCA when trained on ten thousand pairs.

    The recipe is its three part vectors side by side; a part that it lacks is a learned vector, at first the
    mean of that part.

    Args:
        dims: widths of the features.
        dim: outputs of either network, and canonical directions; at most the width of either side.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        ridge: r, added to the eigenvalues of a batch's covariances.
        floor: the least that an eigenvalue of them counts, above 0.
        ridge_image: of the linear map A0, in units of the mean eigenvalue.
        ridge_recipe: likewise.
        linear_ridge: of the linear CCA at the end, in units of the mean eigenvalue, both sides.
        power: p, its directions are weighted by `rho^p`.
        image_dropout: share of the perceptron's inputs and hidden units dropped for photos.
        recipe_dropout: share of the recipe's.

    Example:
        >>> from savor.features import Dims
        >>> DeepCCA.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16}).image_linear
        Linear(in_features=3, out_features=3, bias=True)
    """

    paper: ClassVar[str] = "Andrew et al., ICML 2013"
    loss: ClassVar[str] = "sum of canonical correlations"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(
        epochs=20, batch_size=6144, learning_rate=3e-3, patience=4, precision="fp32"
    )

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 256,
        text: str = "all",
        hidden: int = 2048,
        ridge: float = 1.0,
        floor: float = 1e-9,
        ridge_image: float = 2.0,
        ridge_recipe: float = 0.3,
        linear_ridge: float = 2.0,
        power: float = 0.5,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(dims)
        if text not in TEXTS:
            raise OptionError(f"text={text!r}: choose one of {', '.join(TEXTS)}")
        at_least(1, dim=dim, hidden=hidden)
        ridges = {"ridge": ridge, "ridge_image": ridge_image, "ridge_recipe": ridge_recipe}
        for name, value in {**ridges, "linear_ridge": linear_ridge, "power": power}.items():
            if not 0 <= value < math.inf:
                raise OptionError(f"{name}={value}: must be a number from 0 up")
        if not 0 < floor < math.inf:
            raise OptionError(f"floor={floor}: must be above 0")
        dropouts(image_dropout=image_dropout, recipe_dropout=recipe_dropout)
        self.ridge, self.floor, self.linear_ridge, self.power = ridge, floor, linear_ridge, power
        self.start_ridges = ridge_image, ridge_recipe
        self.parts = PARTS if text == "all" else (text,)
        width = len(self.parts) * dims.text
        dim = min(dim, dims.image, width)
        self.standardise = Standardise(dims.image)
        self.image_start, self.recipe_start = nn.Linear(dims.image, dim), nn.Linear(width, dim)
        self.image_tower = projector(dims.image, hidden, dim, image_dropout)
        self.recipe_tower = projector(width, hidden, dim, recipe_dropout)
        self.image_linear, self.recipe_linear = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.missing = nn.Parameter(torch.zeros(len(self.parts), dims.text))
        for tower in (self.image_tower, self.recipe_tower):
            for parameter in tower[-1].parameters():
                nn.init.zeros_(parameter)
        for solved in (self.image_start, self.recipe_start, self.image_linear, self.recipe_linear):
            solved.requires_grad_(False)

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the statistics of the training rows and solve for the linear maps that training starts at."""

        def batches() -> Iterator[Batch]:
            for start in range(0, len(rows), 2048):
                yield features.batch(rows[start : start + 2048], self.uses)

        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            for batch in batches():
                yield given(batch.image, "image"), self._filled(batch, means)

        self.standardise.learn(given(batch.image, "image") for batch in batches())
        means = part_means(batches, self.dims.text, self.parts)
        with torch.no_grad():
            self.missing.copy_(means)
        solve_cca(self.image_start, self.recipe_start, pairs, ridges=self.start_ridges, power=0.5)
        # The perceptrons are zero so far: these are the linear maps' outputs.
        sides = zip(*self.outputs(features, rows), strict=True)
        for layer, side in zip((self.image_start, self.recipe_start), sides, strict=True):
            scale = torch.cat(side).var(0, correction=0).mean().sqrt().clamp(min=1e-9).item()
            layer.weight.div_(scale)
            layer.bias.div_(scale)

    def image_output(self, batch: Batch) -> Tensor:
        """Return f(x), `(b, dim)`."""
        image = given(batch.image, "image")
        return torch.as_tensor(self.image_start(image) + self.image_tower(self.standardise(image)))

    def recipe_output(self, batch: Batch) -> Tensor:
        """Return g(y), `(b, dim)`."""
        recipe = self._filled(batch, self.missing)
        # Sentence vectors have unit length, entries of size 1 / sqrt(d); the perceptron wants size 1.
        return torch.as_tensor(self.recipe_start(recipe) + self.recipe_tower(recipe * self.dims.text**0.5))

    def _filled(self, batch: Batch, missing: Tensor) -> Tensor:
        """Return the part vectors side by side, `(b, parts d)`; rows of `missing` stand for absent parts."""
        vectors, mask = part_vectors(batch, self.parts)
        return torch.where(mask[..., None], vectors, missing).flatten(1)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return F.normalize(self.image_linear(self.image_output(batch)), dim=-1)

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return F.normalize(self.recipe_linear(self.recipe_output(batch)), dim=-1)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield minus the total correlation of the outputs; the linear CCA has no part in it."""
        image, recipe = self.image_output(batch), self.recipe_output(batch)
        yield "towers", -total_correlation(image, recipe, self.ridge, self.floor)

    def end_epoch(self, features: Features, rows: Array) -> None:
        """Solve the linear CCA of the outputs of all training pairs."""
        pairs = self.outputs(features, rows)
        ridges = self.linear_ridge, self.linear_ridge
        solve_cca(self.image_linear, self.recipe_linear, lambda: iter(pairs), ridges=ridges, power=self.power)

    @torch.no_grad()
    def outputs(self, features: Features, rows: Array) -> list[tuple[Tensor, Tensor]]:
        """Return f(x) and g(y), `(b, dim)` each, of all pairs in batches, in evaluation mode."""
        training, device = self.training, self.missing.device
        self.eval()
        pairs = []
        for start in range(0, len(rows), 2048):
            batch = features.batch(rows[start : start + 2048], self.uses).to(device)
            pairs.append((self.image_output(batch).cpu(), self.recipe_output(batch).cpu()))
        self.train(training)
        return pairs
