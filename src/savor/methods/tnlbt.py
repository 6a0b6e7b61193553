"""TNLBT: hierarchical transformers with ACME's two games, in batches larger than memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from savor.batch import Batch
from savor.distributed import rank
from savor.generating import Drawing
from savor.generators import Alignment, Translation, player
from savor.layers import given, unit
from savor.losses import batch_hard
from savor.methods.acme import normed
from savor.methods.base import above_zero, at_least
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from savor.batch import Array
    from savor.features import Dims, Features

GAMES = ("alignment.", "translation.")


class TNLBT(Drawing, HierarchicalTransformer):
    """TNLBT: H-T's encoders, ACME's alignment and translation, and batches larger than memory.

        `L = L_pair(v, r) + l1 L_recipe + l2 L_alignment(v', r') + l3 L_translation(v', r')`

    L_recipe is H-T's loss of recipes alone (`hierarchical_transformer`); the games are ACME's: a critic tells
    recipes' vectors from photos' (`savor.generators.Alignment`), and a photo is drawn from a recipe's vector,
    words and the title class named from a photo's (`savor.generators.Translation`). v' and r' are the vectors
    before normalisation.

    A step has `batch_size` pairs, of which `cache_chunk` are encoded at a time (`savor.distributed`); its
    gradients are those of the whole batch. Hard negatives and the heads' batch norm make the loss depend on
    the size of the batch, so report it. The translation, which needs many steps rather than large ones, is
    played with `pictures` of the pairs.

    Of the paper only the abstract could be read; the weights l, hard triplets with a margin of 0.3 and the
    batch of 768 are remembered, not checked. `faithful=True` is H-T as published, with heads of one layer and
    tanh, whose output is v' and r'; then one layer with batch norm and tanh that both sides share, as in
    ACME; the hardest of 2b negatives; games from the first step, no ingredient words, no reconstruction, the
    translations scaled to equal size. Its weights and its training are `recipe_weight=0.05
    alignment_weight=0.005 batch_size=768 learning_rate=1e-4 weight_decay=0 epochs=100`. What stays different
    is what does in H-T and in ACME, and the shared layer is trained.

    By default lines are read as H-T reads them, heads are H-T's perceptrons and share no layer, negatives are
    weighed by `soft` mining, vectors are brought to zero mean and unit spread for the alignment, and the
    towers feel the games from epoch `adversarial_from` on. Recipes alone weigh as much as in H-T, and the
    alignment hardly anything: on validation, retrieval lost by it (`docs/literature.md`).

    Args:
        dims: widths of the features.
        faithful: as published, as far as that is known.
        words: `both`, `learned` or `encoder` as in H-T; empty: `both`, as published `learned`.
        dim: width of the shared space; this and what follows as in H-T.
        width: width of the transformers; 0: 256, as published 512.
        layers: of each transformer; 0: 1, as published 2.
        inner: width of their feed-forward layers; 0: 512, as published 2048.
        heads: attention heads of each layer.
        min_count: how often a word occurs in the training recipes to have an id; 0: 3, as published 10.
        lines: lines of each part that a training step reads, drawn at random; 0: all.
        line_words: words of each line, likewise; 0: all.
        hidden: width of the hidden layer of both heads; 0 none, as published.
        margin: margin of the triplet losses, in cosine; of a schedule the largest.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: as in H-T; empty: `soft`, or as published.
        temperature: of `soft` mining, in cosine.
        recipe_weight: l1.
        recipe_only: recipes of a step without photos, for each pair of the step before; 0 none.
        dropout: inside the transformers.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the parts' inputs and the recipe head's hidden units dropped.
        cache_chunk: recipes encoded at a time in a training step; 0: all at once.
        alignment_weight: l2; 0: without the critic of vectors.
        translation_weight: l3.
        adversarial_from: epoch from which on the towers feel the games; 1 with `faithful`.
        pictures: pairs of a step that the translation is played with, drawn at random; 0: all.
        picture_size: edge of the pictures, in pixels: 8, 16, 32, 64, ...; 0: there is no translation, and no
            photos are read.
        picture_width: channels of generator and critic where pictures are 4 x 4.
        picture_batch: recipes of a step of the generator, about.
        reconstruction: weight of the mean absolute difference from the photo; 0 with `faithful`.
        ingredients: how many ingredient words are told apart; 0 with `faithful`.
        generator_rate: learning rate of the generator, relative to the towers'.
        critic_rate: of both critics.

    Example:
        >>> from savor.features import Dims
        >>> method = TNLBT.build(Dims(image=8, text=4), {"dim": 3, "width": 16, "picture_size": 8})
        >>> list(method.players())
        ['towers', 'aligner', 'generator', 'critic']
    """

    paper: ClassVar[str] = "Yang, Chen and Yanai, MMM 2023"
    loss: ClassVar[str] = "triplets in large batches, recipes alone, adversarial alignment, translation"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines", "word_ids", "category")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=512, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        words: str = "",
        dim: int = 1024,
        width: int = 0,
        layers: int = 0,
        inner: int = 0,
        heads: int = 4,
        min_count: int = 0,
        lines: int = 4,
        line_words: int = 8,
        hidden: int = 2048,
        margin: float = 0.3,
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "",
        temperature: float = 0.05,
        recipe_weight: float = 1.0,
        recipe_only: float = 1.0,
        dropout: float = 0.1,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
        cache_chunk: int = 512,
        alignment_weight: float = 0.00005,
        translation_weight: float = 0.002,
        adversarial_from: int = 4,
        pictures: int = 128,
        picture_size: int = 64,
        picture_width: int = 256,
        picture_batch: int = 64,
        reconstruction: float = 50.0,
        ingredients: int = 500,
        generator_rate: float = 0.3,
        critic_rate: float = 0.3,
    ) -> None:
        super().__init__(
            dims,
            faithful=faithful,
            words=words,
            dim=dim,
            width=width,
            layers=layers,
            inner=inner,
            heads=heads,
            min_count=min_count,
            lines=lines,
            line_words=line_words,
            hidden=hidden,
            margin=margin,
            margin_schedule=margin_schedule,
            margin_start=margin_start,
            margin_step=margin_step,
            mining=mining,
            temperature=temperature,
            recipe_weight=recipe_weight,
            recipe_only=recipe_only,
            dropout=dropout,
            image_dropout=image_dropout,
            recipe_dropout=recipe_dropout,
            cache_chunk=cache_chunk,
        )
        at_least(0, alignment_weight=alignment_weight, translation_weight=translation_weight)
        at_least(0, pictures=pictures, picture_size=picture_size)
        at_least(0, reconstruction=reconstruction, ingredients=ingredients)
        at_least(1, adversarial_from=adversarial_from, picture_batch=picture_batch)
        at_least(8, picture_width=picture_width)
        above_zero(generator_rate=generator_rate, critic_rate=critic_rate)
        self.uses = (*self.uses, "category")  # type: ignore[misc]
        self.rates = {"generator_rate": generator_rate, "critic_rate": critic_rate}
        self.shared: nn.Module = nn.Identity()
        if faithful:
            self.shared = nn.Sequential(nn.Linear(dim, dim), nn.BatchNorm1d(dim), nn.Tanh())
        begins = 1 if faithful else adversarial_from
        self.alignment: Alignment | None = None
        if alignment_weight:
            self.alignment = Alignment(dim, weight=alignment_weight, begins=begins)
        self.pictures, self.picture_size = pictures, picture_size
        self.translation: Translation | None = None
        if picture_size:
            self.training_uses = ("pixels",)
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

    def players(self) -> dict[str, list[nn.Parameter] | list[dict[str, Any]]]:
        """Return the towers, the critic of vectors, and generator and critic of pictures."""
        named = self.named_parameters()
        towers = [parameter for name, parameter in named if not name.startswith(GAMES)]
        found: dict[str, list[nn.Parameter] | list[dict[str, Any]]] = {"towers": towers}
        if self.alignment is not None:
            found["aligner"] = [player(list(self.alignment.parameters()), self.rates["critic_rate"])]
        if self.translation is not None:
            found |= self.translation.players(**self.rates)
        return found

    def look_at(self, features: Features, rows: Array) -> None:
        """Find the recipes that steps without photos read, and decode the photos that are drawn.

        Raises:
            FeaturesError: the data set behind the features is not there.
        """
        HierarchicalTransformer.look_at(self, features, rows)
        Drawing.look_at(self, features, rows)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return unit(self.shared(self.image_vectors(batch)))

    def merge(self, parts: Tensor, present: Tensor) -> Tensor:
        """Make recipes of the vectors of their parts, `(b, 3, width), (b, 3) -> (b, dim)`, unit rows."""
        return unit(self.shared(self.recipe_vectors(parts, present)))

    def draw(self, batch: Batch, noise: Tensor) -> Tensor:
        """Draw a picture of each recipe, from the recipe alone: `(b, 3, size, size)` in [-1, 1]."""
        assert self.translation is not None
        return self.translation.draw(self.recipe_vectors(*self.recipe_tower(batch)), noise).pictures

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the losses of the critics, the generator, the towers, and of recipes without photos."""
        whole, parts, present = self.encode_all(batch, "category")
        image, recipe = self.image_vectors(whole), self.recipe_vectors(parts, present)
        loss = self.pair_loss(unit(self.shared(image)), unit(self.shared(recipe)), whole)
        own = self.recipe_loss(parts, present) if self.recipe_weight else None
        loss = loss if own is None else loss + self.recipe_weight * own
        if self.alignment is not None:
            modal = (image, recipe) if self.faithful else (normed(image), normed(recipe))
            yield "aligner", self.alignment.critic_loss(*modal)
            loss = loss + self.alignment.recipe_loss(modal[1])
        if self.translation is not None:
            first = rank() * len(batch)
            chosen = torch.randperm(len(batch))[: self.pictures or None]
            some = Batch(tuple(batch.ids[k] for k in chosen.tolist()))
            mine = (chosen + first).to(recipe.device)
            source = self.drawn_from(some, recipe[mine], parts[mine], present[mine])
            category = given(whole.category, "category")[mine]
            loss = loss + (yield from self._translate(some, source, image[mine], category))
        yield "towers", loss
        yield from self.recipe_step(len(whole), loss.device)

    def _translate(
        self, some: Batch, source: Tensor, image: Tensor, category: Tensor
    ) -> Generator[tuple[str, Tensor], None, Tensor]:
        """Play the translation with k pairs; return what the towers feel of it."""
        assert self.translation is not None
        photos, words = self.photos(some), self.word_targets(some)
        return (yield from self.translation.play(source, image, photos, category, words))

    def drawn_from(self, some: Batch, recipe: Tensor, parts: Tensor, present: Tensor) -> Tensor:
        """Return what pictures of k training pairs are drawn from, `(k, dim)`: the recipes' vectors."""
        return recipe

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the triplet loss of embeddings, `(b, dim)` each."""
        if self.faithful and not self.mining:
            return batch_hard(image, recipe, self.margin(image, recipe))
        return super().pair_loss(image, recipe, batch)
