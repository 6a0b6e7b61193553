"""Image-text matching: MLP + triplet, and a module that reads both sides together and says yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from savor.calibration import Balance
from savor.errors import OptionError
from savor.layers import Dropout, given, masked_mean
from savor.losses import check_mining, hard_negatives, triplet
from savor.methods.base import Calibrated, Encoded, Perceptrons, above_zero, at_least, dropouts
from savor.recipe import PARTS
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Batch
    from savor.features import Dims


class ImageTextMatching(Calibrated, Perceptrons):
    """Two towers trained along with a multimodal module that tells matching pairs from others (T-Food).

    With the tokens V of a photo (its vector v and its patches) and R of a recipe (its vector r and its lines)

        `V' = D1(V, R)`, `R' = D2(R, V')`, `m = u' mean(R') + c`, `L = L_triplet + w (mean of -log p)`,
        `p = sigmoid(m)` of matching pairs and `1 - sigmoid(m)` of the others,

    where D(X, Y) is a transformer decoder, X looking at itself and at Y. Of each photo of a draw there is one
    negative recipe and of each recipe one negative photo, drawn from the softmax of the batch's cosines
    (`savor.losses.hard_negatives`). v and r are the towers' own, so the module teaches them, too.

    At test it orders the first stage's best again, by `a v'r + b m`, a and b from training pairs that nothing
    else learns from (`savor.calibration.Balance`). `at_test=False` leaves the module unused at test, as
    T-Food does, and keeps no pairs back.

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
        if not at_test:
            self.reranks = 0
        self.photo, self.patch = nn.Linear(dim, width), nn.Linear(dims.image, width)
        self.recipe, self.line = nn.Linear(dim, width), nn.Linear(dims.text, width)
        self.part = nn.Embedding(len(PARTS), width)
        self.drop_patch, self.drop_line = Dropout(image_dropout), Dropout(recipe_dropout)
        self.image_decoder = decoder(width, heads, image_layers, dropout)
        self.recipe_decoder = decoder(width, heads, recipe_layers, dropout)
        self.head = nn.Linear(width, 1)
        self.balance = Balance(calibration if at_test else 0.0, 1 / temperature, self.reranks)

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


def decoder(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerDecoder:
    """Pre-norm transformer decoder without a causal mask, feed-forward of 2 x width."""
    layer = nn.TransformerDecoderLayer(
        width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
