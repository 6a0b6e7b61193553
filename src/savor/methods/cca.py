"""Canonical correlation analysis: two linear maps, solved in closed form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from savor.errors import OptionError, UsageError
from savor.layers import given, part_vectors
from savor.methods.base import Method
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from savor.batch import Array, Batch
    from savor.features import Dims, Features
    from savor.training import TrainingOptions

_BLOCK = 512  # columns of a covariance summed at a time

# What stands for a recipe: its parts side by side, their mean (as the student report has it), or one part.
TEXTS = ("concat", "average", *PARTS)


class CCA(Method):
    """Canonical correlation analysis with ridge (Hotelling 1936; Vinod 1976).

    Finds the directions A, B for which the photo's `A'x` and the recipe's `B'y` correlate most:

        `T = (Sxx + r_x I)^(-1/2) Sxy (Syy + r_y I)^(-1/2) = U diag(rho) V'`
        `A = (Sxx + r_x I)^(-1/2) U_k diag(rho^p)`, `B = (Syy + r_y I)^(-1/2) V_k diag(rho^p)`

    where each ridge is a multiple of the mean eigenvalue, `r_x = ridge_image tr(Sxx) / d_x`. A part that a
    recipe lacks stands at the mean of that part over the recipes that have it, so that it says nothing.
    Covariances are summed batch by batch in float64; memory does not grow with the number of pairs.

    Args:
        dims: widths of the features.
        dim: number of canonical directions k; at most the width of either side.
        ridge_image: r_x in units of the mean eigenvalue.
        ridge_recipe: r_y likewise.
        power: p, how much more the strongly correlated directions count in the cosine.
        text: `concat` (parts side by side), `average` (their mean), or one of the parts.

    Example:
        >>> from savor.features import Dims
        >>> CCA.build(Dims(image=8, text=4), {"dim": 3, "text": "title"}).recipe_tower
        Linear(in_features=4, out_features=3, bias=True)
    """

    paper: ClassVar[str] = "Hotelling 1936"
    loss: ClassVar[str] = "sum of canonical correlations, in closed form"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    trains_with: ClassVar[TrainingOptions | None] = None

    image_tower: nn.Linear
    recipe_tower: nn.Linear

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 256,
        ridge_image: float = 2.0,
        ridge_recipe: float = 0.3,
        power: float = 1.0,
        text: str = "concat",
    ) -> None:
        super().__init__(dims)
        if text not in TEXTS:
            raise OptionError(f"text={text!r}: choose one of {', '.join(TEXTS)}")
        if dim < 1:
            raise OptionError(f"dim={dim}: must be at least 1")
        for name, value in (("ridge_image", ridge_image), ("ridge_recipe", ridge_recipe), ("power", power)):
            if not 0 <= value < math.inf:
                raise OptionError(f"{name}={value}: must be a number from 0 up")
        self.ridge_image, self.ridge_recipe, self.power, self.text = ridge_image, ridge_recipe, power, text
        self.parts = PARTS if text in ("concat", "average") else (text,)
        width = dims.text * (len(PARTS) if text == "concat" else 1)
        dim = min(dim, dims.image, width)
        self.image_tower = nn.Linear(dims.image, dim)
        self.recipe_tower = nn.Linear(width, dim)
        self.part_means: Tensor
        self.register_buffer("part_means", torch.zeros(len(PARTS), dims.text))

    def recipe_vector(self, batch: Batch) -> Tensor:
        """Return y before the projection, `(b, width)`; missing parts stand at their mean."""
        vectors, mask = part_vectors(batch, self.parts)
        means = self.part_means[[PARTS.index(part) for part in self.parts]]
        if self.text == "average":
            return _present_mean(vectors, mask, means)
        return torch.where(mask[..., None], vectors, means).flatten(1)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return F.normalize(self.image_tower(given(batch.image, "image")), dim=-1)

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return F.normalize(self.recipe_tower(self.recipe_vector(batch)), dim=-1)

    def embed_patches(self, batch: Batch) -> Tensor:
        """Return each patch's share of the photo's vector before normalisation, `(b, p, dim)`.

        The map is linear and the photo's vector the mean of p patches: `sum_p (A'x_p + a) / p = A'x + a`.
        """
        patches = given(batch.patches, "patches")
        return torch.as_tensor(self.image_tower(patches) / patches.shape[1])

    def embed_words(self, batch: Batch) -> Tensor:
        """Return each word piece's share of the recipe's vector before normalisation, `(b, w, dim)`.

        A piece with the share u of its part's vector and the weight c in it (`word_shares`) adds
        `B_t'(u - c mean_t)`, with `B_t` the rows of B for its part and the part's mean; summed over the
        pieces that is the recipe's vector. With `average` it adds `(B'u + c b) / parts there are`; the pieces
        of a part that is not read add nothing.
        """
        spans = given(batch.words_spans, "words_spans")
        vectors, weights = word_shares(batch)
        _, mask = part_vectors(batch, self.parts)
        weight = self.recipe_tower.weight
        maps = weight.reshape(len(weight), -1, self.dims.text)  # (dim, blocks, d_text)
        total = vectors.new_zeros(*vectors.shape[:2], len(maps))
        for number, part in enumerate(self.parts):
            own = weights * (spans[..., 0] == PARTS.index(part))
            block = maps[:, number if self.text == "concat" else 0]
            bias: Tensor = self.recipe_tower.bias
            if self.text == "concat":
                bias = -block @ self.part_means[PARTS.index(part)]
            added = (vectors @ block.T) * (own > 0)[..., None] + own[..., None] * bias
            total = total + (added / mask.sum(1)[:, None, None] if self.text == "average" else added)
        return total

    @torch.no_grad()
    def fit(
        self, features: Features, *, splits: Sequence[str] = ("train",), complete: bool = False, **_: Any
    ) -> Self:
        """Solve for both towers on all recipes of some splits that have a photo and any part this reads.

        With `complete` only recipes that have a title, ingredients and instructions count.

        Raises:
            UsageError: fewer than two such recipes.
        """
        rows = features.rows(splits, photo=True, complete=complete)
        rows = rows[sum(features.column(part).counts(rows) for part in self.parts) > 0]
        if len(rows) < 2:
            raise UsageError(
                f"{features.path}: CCA needs at least 2 recipes with a photo and {' or '.join(self.parts)};"
                f" {', '.join(splits)} has {len(rows)}"
            )

        self.solve(features, rows)
        return self.eval()

    @torch.no_grad()
    def solve(self, features: Features, rows: Array) -> None:
        """Solve for both maps on some rows, each with a photo and a part that this reads."""

        def pairs() -> Iterator[tuple[Tensor, Tensor]]:
            return (self._pairs(batch) for batch in self._batches(features, rows))

        self.part_means.copy_(part_means(lambda: self._batches(features, rows), self.dims.text))
        ridges = self.ridge_image, self.ridge_recipe
        solve_cca(self.image_tower, self.recipe_tower, pairs, ridges=ridges, power=self.power)

    def _batches(self, features: Features, rows: Array) -> Iterator[Batch]:
        for start in range(0, len(rows), 2048):
            yield features.batch(rows[start : start + 2048], CCA.uses)

    def _pairs(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return given(batch.image, "image"), self.recipe_vector(batch)


def word_shares(batch: Batch) -> tuple[Tensor, Tensor]:
    """Part the vector of each part among its word pieces: vectors `(b, w, d)` and weights `(b, w)`.

    A part is the mean of its lines, a line nearly the mean of its pieces' states h, up to its length and to
    special tokens: `line = s mean(h) + rest`. Each of n pieces takes `(s h + rest) / n`, and of m lines each
    counts 1 / m, so that vectors add up to the part and weights to 1.
    """
    words, mask = given(batch.words, "words"), given(batch.words_mask, "words_mask")
    spans = given(batch.words_spans, "words_spans")
    vectors, weights = torch.zeros_like(words), torch.zeros_like(words[..., 0])
    for number, part in enumerate(PARTS):
        lines, line_mask = getattr(batch, part), getattr(batch, f"{part}_mask")
        if lines is None:
            continue
        if part == "title":
            lines, line_mask = lines[:, None], line_mask[:, None]
        here = mask & (spans[..., 0] == number)
        member = (spans[..., 1, None] == torch.arange(lines.shape[1])) & here[..., None]  # (b, w, lines)
        counts = member.sum(1)
        means = member.to(words).mT @ words / counts.clamp(min=1)[..., None]
        scale = (lines * means).sum(-1) / means.square().sum(-1).clamp(min=1e-12)
        rest = lines - scale[..., None] * means
        weight = member / (counts * line_mask.sum(1, keepdim=True)).clamp(min=1)[:, None]
        weights = weights + weight.sum(-1)
        vectors = vectors + (weight @ scale[..., None]) * words + weight @ rest
    return vectors, weights


def _present_mean(vectors: Tensor, mask: Tensor, means: Tensor) -> Tensor:
    """Mean of the parts that are there, `(b, parts, d), (b, parts), (parts, d) -> (b, d)`.

    A recipe with none of them stands at the mean of the parts' means.
    """
    none = ~mask.any(1, keepdim=True)
    weights = (mask | none).to(vectors.dtype)[..., None]
    filled = torch.where(mask[..., None], vectors, means)
    return (filled * weights).sum(1) / weights.sum(1)


def part_means(batches: Callable[[], Iterator[Batch]], width: int, parts: Sequence[str] = PARTS) -> Tensor:
    """Mean vector of each part over the recipes that have it, `(parts, width)`; zeros where none has."""
    sums = torch.zeros(len(parts), width, dtype=torch.float64)
    counts = torch.zeros(len(parts), 1, dtype=torch.float64)
    for batch in batches():
        vectors, mask = part_vectors(batch, parts)
        sums += (vectors.double() * mask[..., None]).sum(0)
        counts += mask.sum(0)[:, None]
    return (sums / counts.clamp(min=1)).float()


@torch.no_grad()
def solve_cca(
    image_layer: nn.Module,
    recipe_layer: nn.Module,
    pairs: Callable[[], Iterator[tuple[Tensor, Tensor]]],
    *,
    ridges: tuple[float, float],
    power: float = 0.0,
) -> Tensor:
    """Set two linear layers to the leading canonical directions of paired rows; return all rho, descending.

    Args:
        image_layer: `nn.Linear(d_x, k)`.
        recipe_layer: `nn.Linear(d_y, k)`.
        pairs: called twice; yields the rows of x `(b, d_x)` and y `(b, d_y)` in batches.
        ridges: of x and of y, in units of the mean eigenvalue.
        power: p in the class above; 0 gives canonical variates of unit variance.

    Reference: Hotelling, Relations between two sets of variates, Biometrika 28 (1936).
    """
    assert isinstance(image_layer, nn.Linear)
    assert isinstance(recipe_layer, nn.Linear)
    means, covariance = joint_covariance(pairs)
    split = image_layer.in_features
    whiten_x = whitening(covariance[:split, :split], ridges[0])
    whiten_y = whitening(covariance[split:, split:], ridges[1])
    between = whiten_x.T @ covariance[:split, split:] @ whiten_y
    left, rho, right = torch.linalg.svd(between, full_matrices=False)
    rho = torch.as_tensor(rho.clamp(max=1))
    weights = rho[: image_layer.out_features] ** power
    for layer, maps, mean in (
        (image_layer, whiten_x @ left, means[:split]),
        (recipe_layer, whiten_y @ right.T, means[split:]),
    ):
        directions = maps[:, : layer.out_features] * weights
        layer.weight.copy_(directions.T)
        layer.bias.copy_(-mean @ directions)
    return rho


def joint_covariance(pairs: Callable[[], Iterator[tuple[Tensor, Tensor]]]) -> tuple[Tensor, Tensor]:
    """Mean and covariance of [x, y] over all pairs in float64: `(d,)` and `(d, d)` with `d = d_x + d_y`.

    Two passes, the mean first: centred sums lose no digits to cancellation. Of the symmetric sum only the
    blocks on and above the diagonal are computed.
    """
    count = 0
    mean = torch.zeros((), dtype=torch.float64)
    for x, y in pairs():
        mean = mean + torch.cat([x.sum(0, dtype=torch.float64), y.sum(0, dtype=torch.float64)])
        count += len(x)
    mean = mean / count
    sums = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for x, y in pairs():
        rows = torch.cat([x, y], 1).double() - mean
        for start in range(0, len(mean), _BLOCK):
            sums[start : start + _BLOCK, start:].addmm_(rows[:, start : start + _BLOCK].T, rows[:, start:])
    return mean, (sums.triu() + sums.triu(1).T) / max(1, count - 1)


def whitening(covariance: Tensor, ridge: float) -> Tensor:
    """Return W with `W' (S + ridge mean(lambda) I) W = I` for a covariance S, `(d, d)`.

    Any such W gives the same canonical directions. Where S is well conditioned it is the inverse of the
    Cholesky factor, many times faster than eigenvectors; else W leaves out the directions in which nothing
    varies (eigenvalues below 1e-12 of the largest), so that a singular S without ridge stays finite.
    """
    identity = torch.eye(len(covariance), dtype=covariance.dtype)
    matrix = covariance + ridge * covariance.diagonal().mean() * identity
    factor, failed = torch.linalg.cholesky_ex(matrix)
    scales = factor.diagonal().square()
    if not failed and scales.min() > 1e-8 * scales.max():
        return torch.as_tensor(torch.linalg.solve_triangular(factor.T, identity, upper=True))
    values, vectors = torch.linalg.eigh(matrix)
    kept = values > 1e-12 * values.max()
    return torch.as_tensor(vectors * torch.where(kept, values, torch.inf).rsqrt())
