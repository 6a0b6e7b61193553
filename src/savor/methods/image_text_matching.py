"""Image-text matching: MLP + triplet, and a module that reads both sides together and says yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from savor.errors import MethodError, OptionError
from savor.layers import given, masked_mean
from savor.losses import check_mining, hard_negatives, triplet
from savor.methods.base import Encoded, Perceptrons, above_zero, at_least, dropouts
from savor.recipe import PARTS
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from savor.batch import Array, Batch
    from savor.features import Dims, Features


class ImageTextMatching(Perceptrons):
    """Two towers trained along with a multimodal module that tells matching pairs from others (T-Food).

    With the tokens V of a photo (its vector v and its patches) and R of a recipe (its vector r and its lines)

        `V' = D1(V, R)`, `R' = D2(R, V')`, `m = u' mean(R') + c`, `L = L_triplet + w (mean of -log p)`,
        `p = sigmoid(m)` of matching pairs and `1 - sigmoid(m)` of the others,

    where D(X, Y) is a transformer decoder, X looking at itself and at Y. Of each photo of a draw there is one
    negative recipe and of each recipe one negative photo, drawn from the softmax of the batch's cosines
    (`savor.losses.hard_negatives`). v and r are the towers' own, so the module teaches them, too.

    At test it orders the first stage's best again, by `a v'r + b m`. Cosines of pairs that the towers have
    learned say more than those of new pairs, so a and b come from training pairs that nothing else learns
    from (`calibration`): there they minimise the mean of `-log softmax(a v'r + b m)` of the own item against
    the best others by cosine, both directions, for queries whose own item is among the best, as only theirs
    can be put right at test. b is never below 0; at 0 the first stage's order stays.
    `at_test=False` leaves the module unused at test, as T-Food does, and keeps no pairs back.

    Differences from T-Food: the towers are the perceptrons of MLP + triplet on frozen features with its loss;
    a recipe's tokens are its lines, not its word pieces; D2 has 1 layer, there 4; one logit stands for two;
    padding is masked.

    Args:
        dims: widths of the features.
        at_test: order the first stage's best again by the module.
        calibration: share of the training pairs kept back for a and b, at most 256; 0: none, a and b stay at
            1 / temperature and 1.
        width: width of the module.
        image_layers: layers of D1.
        recipe_layers: layers of D2.
        heads: attention heads of each layer.
        anchors: photos, and as many recipes, of a batch that the module learns from.
        pair_weight: w.
        dim: width of the shared space.
        text: `all`, or the one part that is read.
        hidden: width of the towers' hidden layers.
        margin: margin of the triplet loss, in cosine.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`.
        temperature: of `soft` mining and of the draw of negatives, in cosine.
        dropout: inside the module.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.

    Example:
        >>> from savor.features import Dims
        >>> method = ImageTextMatching.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16, "width": 8})
        >>> method.reranks
        20
    """

    paper: ClassVar[str] = "Shukor et al., CVPR Workshops 2022 (T-Food); ALBEF, Li et al., NeurIPS 2021"
    loss: ClassVar[str] = "triplets mined softly; matched or not of drawn pairs"
    uses: ClassVar[tuple[str, ...]] = ("image", "patches", "lines")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=16, batch_size=1024, min_batches=8)
    reranks = 20

    balance: Tensor

    def __init__(
        self,
        dims: Dims,
        *,
        at_test: bool = True,
        calibration: float = 0.03,
        width: int = 128,
        image_layers: int = 1,
        recipe_layers: int = 1,
        heads: int = 4,
        anchors: int = 128,
        pair_weight: float = 1.0,
        dim: int = 1024,
        text: str = "all",
        hidden: int = 2048,
        margin: float = 0.2,
        mining: str = "soft",
        temperature: float = 0.05,
        dropout: float = 0.1,
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
        check_mining(mining)
        at_least(1, width=width, image_layers=image_layers, recipe_layers=recipe_layers)
        at_least(1, heads=heads, anchors=anchors)
        at_least(0, margin=margin, pair_weight=pair_weight)
        above_zero(temperature=temperature)
        dropouts(dropout=dropout, calibration=calibration)
        if width % heads:
            raise OptionError(f"width={width}: must be a multiple of heads={heads}")
        self.margin, self.mining, self.temperature = margin, mining, temperature
        self.anchors, self.pair_weight = anchors, pair_weight
        self.calibration = calibration if at_test else 0.0
        if not at_test:
            self.reranks = 0
        self.photo, self.patch = nn.Linear(dim, width), nn.Linear(dims.image, width)
        self.recipe, self.line = nn.Linear(dim, width), nn.Linear(dims.text, width)
        self.part = nn.Embedding(len(PARTS), width)
        self.drop_patch, self.drop_line = nn.Dropout(image_dropout), nn.Dropout(recipe_dropout)
        self.image_decoder = decoder(width, heads, image_layers, dropout)
        self.recipe_decoder = decoder(width, heads, recipe_layers, dropout)
        self.head = nn.Linear(width, 1)
        self.register_buffer("balance", torch.tensor([1 / temperature, 1.0]))  # a, b
        self.held_out: Array = np.zeros(0, np.int64)

    def look_at(self, features: Features, rows: Array) -> None:
        """Keep some of the training rows back, evenly spread."""
        count = min(256, int(self.calibration * len(rows)))
        self.held_out = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)] if count > 1 else rows[:0]

    def batches(
        self, features: Features, rows: Array, rng: np.random.Generator, count: int
    ) -> Sequence[Array]:
        """Divide the training rows that are not kept back into batches."""
        return super().batches(features, np.setdiff1d(rows, self.held_out), rng, count)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the first stage's triplet loss of embeddings, `(b, dim)` each."""
        return triplet(image, recipe, self.margin, self.mining, self.temperature)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the first stage's triplet loss plus that of matching."""
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        loss = self.pair_loss(images.vectors, recipes.vectors, batch)
        yield "towers", loss + self.pair_weight * self.matching_loss(images, recipes)

    def matching_loss(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Return the cross-entropy of matching pairs and of two drawn negatives of each."""
        cosines = images.vectors @ recipes.vectors.T
        some = torch.randperm(len(cosines), device=cosines.device)[: self.anchors]
        other_recipes = hard_negatives(cosines, 1, self.temperature)[some, 0]
        other_images = hard_negatives(cosines.T, 1, self.temperature)[some, 0]
        logits = self.matching(
            images.rows(torch.cat([some, some, other_images])),
            recipes.rows(torch.cat([some, other_recipes, some])),
        )
        matched = torch.arange(len(logits), device=logits.device) < len(some)
        return binary_cross_entropy_with_logits(logits.float(), matched.float())

    def encode_images(self, batch: Batch) -> Encoded:
        """Encode photos: vectors of the first stage, and their patches as tokens."""
        patches = self.standardise(given(batch.patches, "patches"))
        return Encoded(self.embed_image(batch), self.patch(self.drop_patch(patches)))

    def encode_recipes(self, batch: Batch) -> Encoded:
        """Encode recipes: vectors of the first stage, and their lines as tokens."""
        vectors, tokens, masks = self.embed_recipe(batch), [], []
        for part in self.parts:
            values, mask = getattr(batch, part), getattr(batch, f"{part}_mask")
            if values is not None:
                values, mask = (values[:, None], mask[:, None]) if part == "title" else (values, mask)
                lines = torch.where(mask[..., None], values, 0) * self.scale
                tokens.append(self.line(self.drop_line(lines)) + self.part.weight[PARTS.index(part)])
                masks.append(mask)
        return Encoded(vectors, torch.cat(tokens, 1), torch.cat(masks, 1))

    def matching(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Return the logit m of n pairs, row by row, `(n,)`."""
        patches, lines = given(images.states, "patches"), given(recipes.states, "lines")
        mask = pad(given(recipes.mask, "lines_mask"), (1, 0), value=True)
        root = images.vectors.shape[1] ** 0.5  # their rows have unit length
        photo = torch.cat([self.photo(images.vectors * root)[:, None], patches], 1)
        recipe = torch.cat([self.recipe(recipes.vectors * root)[:, None], lines], 1)
        seen = self.image_decoder(photo, recipe, memory_key_padding_mask=~mask)
        told = self.recipe_decoder(recipe, seen, tgt_key_padding_mask=~mask)
        return torch.as_tensor(self.head(masked_mean(told, mask))[:, 0])

    def pair_scores(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Score n pairs, row by row, `(n,)`."""
        cosines = (images.vectors * recipes.vectors).sum(-1)
        return self.balance[0] * cosines + self.balance[1] * self.matching(images, recipes)

    @torch.no_grad()
    def end_epoch(self, features: Features, rows: Array) -> None:
        """Weigh cosine and logit against each other on the rows that were kept back."""
        if len(self.held_out) < 2:
            return
        training = self.training
        self.eval()
        batch = features.batch(self.held_out, self.uses).to(self.balance.device)
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        lists = []
        for turned in (False, True):
            cosines = images.vectors @ recipes.vectors.T
            own, best = shortlists(cosines.T if turned else cosines, self.reranks)
            if not len(own):
                continue
            own = own[:, None].expand_as(best)
            pairs = (best, own) if turned else (own, best)
            logits = [
                self.matching(images.rows(image), recipes.rows(recipe))
                for image, recipe in zip(*(torch.split(side.flatten(), 512) for side in pairs), strict=True)
            ]
            lists.append(torch.stack([cosines[pairs], torch.cat(logits).view_as(best)], -1))
        start = self.balance.double()
        found = fit_weights(torch.cat(lists).double(), start) if lists else torch.zeros_like(start)
        if not found.any():  # nothing speaks for either: the order of the first stage stays
            found[0] = 1 / self.temperature
        self.balance.copy_(found)
        self.train(training)

    def logged(self) -> dict[str, float]:
        """Return a and b, where they are fitted."""
        if not self.calibration:
            return {}
        return {name: round(value, 6) for name, value in zip("ab", self.balance.tolist(), strict=True)}


def decoder(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerDecoder:
    """Pre-norm transformer decoder without a causal mask, feed-forward of 2 x width."""
    layer = nn.TransformerDecoderLayer(
        width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))


def shortlists(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the rows whose own column is among their best, and these, the own first: `(m,), (m, count)`.

    Rows whose own column is not would teach that high scores are wrong; at test nothing changes them.

    >>> shortlists(torch.tensor([[0.1, 0.9, 0.5], [0.0, 0.2, 0.3], [0.7, 0.6, 0.8]]), 2)
    (tensor([1, 2]), tensor([[1, 2],
            [2, 0]]))
    """
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    count = min(count, len(scores))
    rows = ((scores > scores.diagonal()[:, None]).sum(1) < count).nonzero()[:, 0]
    return rows, scores.masked_fill(own, torch.inf)[rows].topk(count, dim=1).indices


def fit_weights(lists: Tensor, start: Tensor, ridge: float = 1e-3) -> Tensor:
    """Weigh two evidences so that the first of each list comes out, `(lists, k, 2) -> (2,)`.

        `minimise over w: mean of -log softmax(x w)_0 + ridge |(w - start) * spread|^2 / 2`

    A weight that would be negative is 0. The loss is convex, so a few Newton steps find its least value.

    Raises:
        MethodError: the evidence is not finite.
    """
    if not torch.isfinite(lists).all():
        raise MethodError("the scores of held-out pairs are not finite; train with a smaller learning_rate")
    spread = lists.flatten(0, 1).std(0).clamp(min=1e-9)
    values, centre = lists / spread, start * spread
    weights, kept = centre.clone(), torch.ones(2, dtype=torch.bool, device=lists.device)
    for _ in range(50):
        share = (values @ weights).softmax(1)[..., None]
        mean = (share * values).sum(1)
        apart = values - mean[:, None]
        slope = (mean - values[:, 0]).mean(0) + ridge * (weights - centre)
        curve = torch.einsum("nki,nkj->ij", share * apart, apart) / len(lists)
        curve = curve + ridge * torch.eye(2, dtype=curve.dtype, device=curve.device)
        step = torch.zeros_like(weights)
        step[kept] = torch.linalg.solve(curve[kept][:, kept], slope[kept])
        weights = weights - step * min(1.0, 5.0 / float(step.abs().max().clamp(min=1e-12)))
        if (weights < 0).any():
            kept &= weights >= 0
            weights = weights.clamp(min=0)
    return weights / spread
