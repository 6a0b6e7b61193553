"""ACME: an adversarial game aligns the modalities, and translations keep what each knows of the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from savor.distributed import gather_batch, gathered
from savor.errors import OptionError
from savor.generating import Drawing
from savor.generators import Alignment, Translation, player
from savor.layers import LineLSTMs, given, unit
from savor.losses import MINING, batch_hard, triplet
from savor.methods.base import Perceptrons, above_zero, at_least
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Array, Batch
    from savor.features import Dims, Features

STRATEGIES = ("soft", "batch_hard", *MINING)


class ACME(Drawing, Perceptrons):
    """ACME: hard triplets, adversarial alignment of the modalities and translation into each other.

        `L_towers = L_triplet + a L_alignment + t (L_picture + L_words)`

    Each tower's modal vector goes through one shared layer, linear with batch norm and tanh, then to unit
    length. The alignment is a Wasserstein game on modal vectors (`savor.generators.Alignment`); in the
    translation a generator draws the photo from the recipe's embedding, against a critic, and two perceptrons
    name ingredient words and the title class from the photo's (`savor.generators.Translation`).

    Differences from the paper and its code, unless `faithful`:

    - The towers are the perceptrons of MLP + triplet, which read the title, too. Modal vectors are brought to
      zero mean and unit spread for the alignment; the published ones are bounded by their tanh.
    - Triplets are mined softly (`mining=soft`); the hardest of 2n rows collapses easily.
    - The shared layer is trained, and its batch norm sees photos and recipes together; the code leaves it out
      of its optimiser and normalises each side by itself.
    - Ingredients are learned with binary cross-entropy on frequent words; the code's loss reads its targets
      as indices, so that it carries no ingredient.
    - Towers feel both games from epoch `adversarial_from` on; generator and critics learn from the first.
    - The generator is also to come near the photo, pixel by pixel (`reconstruction`).
    - The two translations are not scaled to equal size.

    `faithful=True` has the published towers, tanh of one linear layer after a frozen photo vector and after
    two LSTMs (`savor.layers.LineLSTMs`), hard mining over 2n rows, a shared layer that keeps its first
    weights, no ingredient words, no reconstruction and games from the first step, the translations scaled to
    equal size. The published training is `batch_size=64 learning_rate=1e-4 weight_decay=0 epochs=50`.

    Still different from the code: the photo's network stays frozen, and vectors of a sentence encoder stand
    for skip-instructions and for the words of an ingredient; batch norm of the shared layer has running
    statistics in evaluation, where the code takes those of each test batch, other recipes included; photos
    have the generator's range; pictures have 64 pixels, not 128, and a small generator, whose critic judges
    beside the code by projection; generator and critic take several steps in a batch.

    Args:
        dims: widths of the features.
        faithful: the published wiring.
        dim: width of the shared space.
        hidden: width of the perceptrons' hidden layers.
        margin: of the triplets, in cosine, for `batch_hard` in Euclidean distance.
        mining: `soft`, `batch_hard`, `mean`, `sum`, `active`, `hardest` or `semi_hard`; empty: `soft`, with
            `faithful` `batch_hard`.
        temperature: of `soft` mining, in cosine.
        alignment_weight: a.
        translation_weight: t.
        adversarial_from: epoch from which on the towers feel the games; 1 with `faithful`.
        picture_size: edge of the pictures, in pixels: 8, 16, 32, 64, ...; 0: there is no translation, and no
            photos are read.
        picture_width: channels of generator and critic where pictures are 4 x 4.
        picture_batch: recipes of a step of the generator, about.
        reconstruction: weight of the mean absolute difference from the photo; 0 with `faithful`.
        ingredients: how many ingredient words are told apart; 0 with `faithful`.
        generator_rate: learning rate of the generator, relative to the towers'.
        critic_rate: of both critics.
        image_dropout: share of the perceptron's inputs and hidden units dropped on the photo's side.
        recipe_dropout: share on the recipe's side.

    Example:
        >>> from savor.features import Dims
        >>> ACME.build(Dims(image=8, text=4), {"dim": 3, "hidden": 16, "picture_size": 8}).training_uses
        ('pixels',)
    """

    paper: ClassVar[str] = "Wang et al., CVPR 2019"
    loss: ClassVar[str] = "triplets, soft or hardest of 2n; adversarial alignment; translation"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines", "category")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=1024, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        dim: int = 1024,
        hidden: int = 2048,
        margin: float = 0.3,
        mining: str = "",
        temperature: float = 0.05,
        alignment_weight: float = 0.005,
        translation_weight: float = 0.002,
        adversarial_from: int = 3,
        picture_size: int = 64,
        picture_width: int = 128,
        picture_batch: int = 64,
        reconstruction: float = 50.0,
        ingredients: int = 500,
        generator_rate: float = 0.3,
        critic_rate: float = 0.3,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(
            dims, dim=dim, hidden=hidden, image_dropout=image_dropout, recipe_dropout=recipe_dropout
        )
        mining = mining or ("batch_hard" if faithful else "soft")
        if mining not in STRATEGIES:
            raise OptionError(f"mining={mining!r}: choose one of {', '.join(STRATEGIES)}")
        at_least(0, margin=margin, alignment_weight=alignment_weight, translation_weight=translation_weight)
        at_least(0, picture_size=picture_size, reconstruction=reconstruction, ingredients=ingredients)
        at_least(1, adversarial_from=adversarial_from, picture_batch=picture_batch)
        at_least(8, picture_width=picture_width)
        above_zero(temperature=temperature, generator_rate=generator_rate, critic_rate=critic_rate)
        self.faithful, self.margin, self.mining, self.temperature = faithful, margin, mining, temperature
        self.rates = {"generator_rate": generator_rate, "critic_rate": critic_rate}
        self.shared = nn.Sequential(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.Tanh())
        begins = 1 if faithful else adversarial_from
        self.alignment = Alignment(dim, weight=alignment_weight, begins=begins)
        self.picture_size, self.translation = picture_size, None
        self.training_uses = ("pixels",) if picture_size else ()
        if picture_size:
            self.ingredient_count = 0 if faithful else ingredients
            self.translation = Translation(
                dim,
                dims.categories,
                ingredients=self.ingredient_count,
                weight=translation_weight,
                begins=begins,
                reconstruction=0.0 if faithful else reconstruction,
                balanced=faithful,
                at_once=picture_batch,
                size=picture_size,
                noise=self.noise_width,
                width=picture_width,
            )
        if faithful:
            self._published_towers(dims, dim)

    def _published_towers(self, dims: Dims, dim: int) -> None:
        lines = LineLSTMs(dims.text)
        self.image_tower = nn.Sequential(nn.Linear(dims.image, dim), nn.Tanh())
        self.recipe_tower = nn.Sequential(lines, nn.Linear(lines.width, dim), nn.Tanh())
        del self.missing, self.standardise
        self.shared.requires_grad_(False)

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors."""
        if not self.faithful:
            super().prepare(features, rows)

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' modal vectors, `(b, dim)`."""
        if self.faithful:
            return self.image_tower(given(batch.image, "image"))  # type: ignore[no-any-return]
        return normed(super().image_vectors(batch))

    def recipe_vectors(self, batch: Batch) -> Tensor:
        """Return the recipes' modal vectors, `(b, dim)`."""
        if self.faithful:
            return self.recipe_tower(batch)  # type: ignore[no-any-return]
        return normed(super().recipe_vectors(batch))

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return unit(self.shared(self.image_vectors(batch)))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return unit(self.shared(self.recipe_vectors(batch)))

    def draw(self, batch: Batch, noise: Tensor) -> Tensor:
        """Draw a picture of each recipe, `(b, 3, size, size)` in [-1, 1]."""
        assert self.translation is not None
        return self.translation.draw(self.embed_recipe(batch), noise).pictures

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of both critics, of the generator, and last of the towers."""
        modal = self.image_vectors(batch), self.recipe_vectors(batch)
        image, recipe = self._shared(*modal)
        yield "aligner", self.alignment.critic_loss(*modal)
        felt: Tensor | float = 0.0
        if self.translation is not None:
            photos, category = self.photos(batch), given(batch.category, "category")
            felt = yield from self.translation.play(recipe, image, photos, category, self.word_targets(batch))
        pairs = self.pair_loss(gathered(image), gathered(recipe), gather_batch(batch, "category"))
        yield "towers", pairs + self.alignment.recipe_loss(modal[1]) + felt

    def _shared(self, image: Tensor, recipe: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings of modal vectors, `(b, dim)` each."""
        if self.faithful:
            return unit(self.shared(image)), unit(self.shared(recipe))
        # Together, so that batch norm has the statistics of both, as it has in evaluation.
        first, second = unit(self.shared(torch.cat([image, recipe]))).chunk(2)
        return first, second

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the triplet loss of embeddings, `(b, dim)` each."""
        if self.mining == "batch_hard":
            return batch_hard(image, recipe, self.margin)
        return triplet(image, recipe, self.margin, self.mining, self.temperature)

    def players(self) -> dict[str, list[nn.Parameter] | list[dict[str, Any]]]:
        """Return towers with shared layer, critic of vectors, generator and critic of pictures."""
        games = ("alignment.", "translation.")
        towers = [
            parameter
            for name, parameter in self.named_parameters()
            if not name.startswith(games) and parameter.requires_grad
        ]
        rate = self.rates["critic_rate"]
        aligner = [player(list(self.alignment.parameters()), rate)]
        drawing = {} if self.translation is None else self.translation.players(**self.rates)
        return {"towers": towers, "aligner": aligner, **drawing}


def normed(vectors: Tensor) -> Tensor:
    """Bring each row to mean 0 and spread 1, in fp32, `(b, d)`."""
    return nn.functional.layer_norm(vectors.float(), vectors.shape[1:])
