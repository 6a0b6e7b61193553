"""Model 2: a transformer decoder from patches to words that scores pairs, behind Model 1's towers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from savor.calibration import Balance
from savor.errors import OptionError
from savor.layers import CrossDecoder, given, masked_mean
from savor.losses import hard_negatives, listwise
from savor.methods.base import Calibrated, Encoded, at_least, dropouts
from savor.methods.two_stream import TwoStream
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Batch
    from savor.features import Dims


class PatchDecoder(Calibrated, TwoStream):
    """Model 2 of the student report: patches as queries over the words of a candidate recipe.

    The first stage is Model 1 (`two_stream`), trained along; the decoder D orders its best again. With the
    towers' states V of a photo and R of a recipe, their cosine s, and mean(.) over the patches,

        `m = u' mean(D(V, R))`, `L = L_triplet + w (mean of -log softmax(m) of the own item)`

    against negatives drawn hard from the batch by s, for both directions. At test a pair scores `a s + b m`,
    a and b from training pairs that nothing else learns from (`savor.calibration.Balance`).

    `faithful=True` is the report's own: `f = cos(W mean(D(patches, words)), t)`, t the mean of the
    recipe's words, trained with `1 - f` on matching pairs alone. Nothing there speaks against copying the
    recipe and ignoring the photo.

    Args:
        dims: widths of the features.
        faithful: the report's wiring and loss instead of the repaired ones.
        decoder_width: width of the decoder.
        decoder_layers: layers of the decoder.
        decoder_heads: attention heads of each of them.
        anchors: photos, and as many recipes, of a batch whose pairs the decoder learns from.
        negatives: negatives of each anchor.
        pair_weight: w.
        calibration: share of the training pairs kept back for a and b, at most 256; 0: none, a and b stay at
            1 / temperature and 1. With `faithful` 0.
        dim: width of the shared space of the towers; this and what follows as in `TwoStream`.
        perceptrons: those of MLP + triplet stand `beside` the streams, are `added`, or there are `none`.
        hidden: width of the hidden layers of f and g; 0: they have none, as in the report.
        width: width of the towers' encoders.
        layers: of each encoder.
        heads: attention heads of each of them.
        margin: margin of the triplet loss, in cosine; of a schedule the largest.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`.
        temperature: of `soft` mining, in cosine; also of the draw of hard negatives.
        dropout: inside encoders and decoder.
        image_dropout: share of the patches' inputs and of f's dropped.
        recipe_dropout: share of the words' inputs and of g's dropped.
        words: word pieces read of a recipe; of a longer one an even subset, while training a random one.
        word_width: width of the learned vectors of words; 0, and with `faithful`: there is no y.
        min_count: how often a word occurs in the training recipes to have one.
        word_dropout: share of these words left out while training.
        members: pairs of perceptrons; with `faithful` one.
        hubs: training pairs kept to correct the first stage for hubs; with `faithful` 0.

    Example:
        >>> from savor.features import Dims
        >>> PatchDecoder.build(Dims(image=8, text=4), {"dim": 3, "width": 16}).reranks
        50
    """

    paper: ClassVar[str] = "student report 2022, Model 2"
    loss: ClassVar[str] = "triplets mined softly; listwise over drawn negatives"
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=512, min_batches=8)
    reranks = 50

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        decoder_width: int = 128,
        decoder_layers: int = 2,
        decoder_heads: int = 4,
        anchors: int = 64,
        negatives: int = 4,
        pair_weight: float = 0.1,
        calibration: float = 0.03,
        dim: int = 1024,
        perceptrons: str = "beside",
        hidden: int = 2048,
        width: int = 256,
        layers: int = 1,
        heads: int = 4,
        margin: float = 0.2,
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "soft",
        temperature: float = 0.05,
        dropout: float = 0.0,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
        words: int = 64,
        word_width: int = 256,
        min_count: int = 3,
        word_dropout: float = 0.3,
        members: int = 1,
        hubs: int = 2048,
    ) -> None:
        super().__init__(
            dims,
            dim=dim,
            perceptrons=perceptrons,
            hidden=hidden,
            width=width,
            layers=layers,
            heads=heads,
            margin=margin,
            margin_schedule=margin_schedule,
            margin_start=margin_start,
            margin_step=margin_step,
            mining=mining,
            temperature=temperature,
            dropout=dropout,
            image_dropout=image_dropout,
            recipe_dropout=recipe_dropout,
            words=words,
            word_width=0 if faithful else word_width,
            min_count=min_count,
            word_dropout=word_dropout,
            members=1 if faithful else members,
            hubs=0 if faithful else hubs,
        )
        at_least(1, decoder_width=decoder_width, decoder_layers=decoder_layers, decoder_heads=decoder_heads)
        at_least(1, anchors=anchors, negatives=negatives)
        at_least(0, pair_weight=pair_weight)
        dropouts(calibration=calibration)
        if decoder_width % decoder_heads:
            raise OptionError(
                f"decoder_width={decoder_width}: must be a multiple of decoder_heads={decoder_heads}"
            )
        self.faithful, self.anchors, self.negatives, self.pair_weight = (
            faithful,
            anchors,
            negatives,
            pair_weight,
        )
        self.queries = nn.Linear(dims.image if faithful else width, decoder_width)
        self.memory = nn.Linear(dims.text if faithful else width, decoder_width)
        self.decoder = CrossDecoder(decoder_width, decoder_heads, decoder_layers, dropout)
        self.head = nn.Linear(decoder_width, dims.text if faithful else 1, bias=faithful)
        self.balance = Balance(0.0 if faithful else calibration, 1 / temperature, self.reranks)
        if not faithful:
            nn.init.zeros_(self.head.weight)  # before training the first stage decides

    def encode_images(self, batch: Batch) -> Encoded:
        """Encode photos: vectors of the first stage, and the states the decoder's queries come from."""
        states, weights = self.image_tower(batch)
        vectors = self.image_vectors(batch, states, weights)
        if self.faithful:
            states = self.image_tower.standardise(given(batch.patches, "patches"))
        if self.hubs is not None and not self.training:
            vectors = self.hubs.photos(vectors)
        return Encoded(vectors, self.queries(states))

    def encode_recipes(self, batch: Batch) -> Encoded:
        """Encode recipes: vectors of the first stage, and the states the decoder looks at."""
        states, weights = self.recipe_tower(batch)
        vectors = self.recipe_vectors(batch, states, weights)
        if self.hubs is not None and not self.training:
            vectors = self.hubs.recipes(vectors)
        mask = given(batch.words_mask, "words_mask")
        if (
            self.faithful
        ):  # the words themselves, for their mean is what the decoder's answer is compared with
            return Encoded(vectors, torch.where(mask[..., None], given(batch.words, "words"), 0), mask)
        return Encoded(vectors, self.memory(states), mask)

    def pair_scores(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Score n pairs, row by row, `(n,)`."""
        score = self.matching if self.faithful else super().pair_scores
        return score(images, recipes)

    def matching(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Return what the decoder alone says of n pairs, row by row, `(n,)`."""
        queries, words = given(images.states, "patches"), given(recipes.states, "words")
        mask = given(recipes.mask, "words_mask")
        answer = self.head(self.decoder(queries, self._memory(words), mask).mean(1))
        if self.faithful:
            return F.cosine_similarity(answer, masked_mean(words, mask), dim=-1)
        return torch.as_tensor(answer[:, 0])

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the first stage's triplet loss plus the decoder's."""
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        loss = self.pair_loss(images.vectors, recipes.vectors, batch)
        decoder = self._faithful_loss if self.faithful else self._matching_loss
        yield "towers", loss + self.pair_weight * decoder(images, recipes)

    def _faithful_loss(self, images: Encoded, recipes: Encoded) -> Tensor:
        return (1 - self.matching(images, recipes)).mean()

    def _matching_loss(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Return the listwise loss of some anchors of both directions against hard negatives."""
        cosines = images.vectors @ recipes.vectors.T
        some = torch.randperm(len(cosines), device=cosines.device)[: self.anchors]
        to_recipes = torch.cat([some[:, None], self._draw(cosines)[some]], 1)
        to_images = torch.cat([some[:, None], self._draw(cosines.T)[some]], 1)
        anchors = some[:, None].expand_as(to_recipes).flatten()
        scores = self.matching(
            images.rows(torch.cat([anchors, to_images.flatten()])),
            recipes.rows(torch.cat([to_recipes.flatten(), anchors])),
        ).view(2, *to_recipes.shape)
        return listwise(scores[0]) + listwise(scores[1])

    def _draw(self, cosines: Tensor) -> Tensor:
        return hard_negatives(cosines, self.negatives, self.temperature)

    def cross_attention(self, batch: Batch) -> Tensor:
        """Weigh the word pieces for each patch, `(b, p, w)`: the mean over layers and heads."""
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        queries, words = given(images.states, "patches"), given(recipes.states, "words")
        mask = given(recipes.mask, "words_mask")
        return self.decoder.attention(queries, self._memory(words), mask).mean((1, 2))

    def _memory(self, words: Tensor) -> Tensor:
        return torch.as_tensor(self.memory(words)) if self.faithful else words
