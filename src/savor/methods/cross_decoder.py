"""Cross Decoder: TNLBT that looks at the photo before it draws it, with a margin that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import CrossDecoder as Decoder
from savor.layers import Standardise, given
from savor.methods.base import at_least, dropouts, photo_vectors
from savor.methods.tnlbt import TNLBT
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from savor.batch import Array, Batch
    from savor.features import Dims, Features


class CrossDecoder(TNLBT):
    """Cross Decoder: TNLBT whose pictures are drawn from recipe and photo, fused, with a margin that grows.

        `f = r' + W mean over the parts of D(parts, patches)`, `picture = G(f)`, else as in `tnlbt`

    D is a transformer decoder whose queries are the three part vectors and whose keys and values are the
    patches of the photo. Retrieval always uses the unimodal vectors, so a search costs what it costs with
    TNLBT. The margin of the triplets grows from `margin_start` to `margin` (`savor.schedules.Margin`).

    The patches hold the picture that is to be drawn. Lest the generator copy them and leave nothing for the
    recipe to learn, a share `photo_drop` of the pairs is drawn from r' alone, as every recipe is at test,
    and of the others a share `patch_drop` of the patches is hidden. The photos' encoder is frozen, so no
    gradient ever reaches it through the patches.

    Only slides could be read. They name the parts, not the wiring: where they are silent it is ours, also
    under `faithful`, which has TNLBT's published parts (for its weights see there) and a margin that grows by
    0.005 an epoch, for 50 epochs; by default it is there in epoch 10 of 12. `decoder_layers=0
    margin_schedule=fixed` is TNLBT; with one of the two it is one of the slides' ablations.

    Args:
        dims: widths of the features.
        decoder_layers: layers of D; 0: pictures are drawn from r', as in TNLBT.
        decoder_heads: attention heads of each of them.
        photo_drop: share of the pairs whose photo D does not see.
        patch_drop: share of the patches that it does not see of the others.
        faithful: as published, as far as that is known.
        words: `both`, `learned` or `encoder` as in H-T; empty: `both`, as published `learned`.
        dim: width of the shared space; this and what follows as in TNLBT.
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
        margin_step: growth of a `linear` one in an epoch; 0: 0.03, as published 0.005.
        mining: as in H-T; empty: `soft`, or as published.
        temperature: of `soft` mining, in cosine.
        recipe_weight: weight of the loss of recipes alone.
        recipe_only: recipes of a step without photos, for each pair of the step before; 0 none.
        dropout: inside the transformers and D.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the parts' inputs and the recipe head's hidden units dropped.
        cache_chunk: recipes encoded at a time in a training step; 0: all at once.
        alignment_weight: weight of the critic of vectors; 0: without it.
        translation_weight: weight of the translation.
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
        >>> method = CrossDecoder.build(Dims(image=8, text=4), {"dim": 3, "width": 16, "picture_size": 8})
        >>> round(method.margin.now, 3), len(method.decoder.layers)
        (0.05, 2)
    """

    paper: ClassVar[str] = "Yang, Chen and Yanai, slides, 2023"
    loss: ClassVar[str] = "TNLBT's with a growing margin, pictures drawn from recipe and photo"
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=512, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        decoder_layers: int = 2,
        decoder_heads: int = 4,
        photo_drop: float = 0.5,
        patch_drop: float = 0.5,
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
        margin_schedule: str = "linear",
        margin_start: float = 0.05,
        margin_step: float = 0.0,
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
        at_least(0, margin_step=margin_step, decoder_layers=decoder_layers)
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
            margin_step=margin_step or (0.005 if faithful else 0.03),
            mining=mining,
            temperature=temperature,
            recipe_weight=recipe_weight,
            recipe_only=recipe_only,
            dropout=dropout,
            image_dropout=image_dropout,
            recipe_dropout=recipe_dropout,
            cache_chunk=cache_chunk,
            alignment_weight=alignment_weight,
            translation_weight=translation_weight,
            adversarial_from=adversarial_from,
            pictures=pictures,
            picture_size=picture_size,
            picture_width=picture_width,
            picture_batch=picture_batch,
            reconstruction=reconstruction,
            ingredients=ingredients,
            generator_rate=generator_rate,
            critic_rate=critic_rate,
        )
        at_least(1, decoder_heads=decoder_heads)
        dropouts(patch_drop=patch_drop)
        if not 0 <= photo_drop <= 1:
            raise OptionError(f"photo_drop={photo_drop}: is a share, from 0 to 1")
        self.photo_drop, self.patch_drop = photo_drop, patch_drop
        self.decoder: Decoder | None = None
        if decoder_layers and self.translation is not None:
            width = self.recipe_tower.width
            if width % decoder_heads:
                raise OptionError(f"width={width}: must be a multiple of decoder_heads={decoder_heads}")
            self.decoder = Decoder(width, decoder_heads, decoder_layers, dropout)
            self.standardise_patches = Standardise(dims.image)
            self.memory, self.fuse = nn.Linear(dims.image, width), nn.Linear(width, dim)

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the statistics of photos, also for their patches, and the words of the recipes."""
        super().prepare(features, rows)
        if self.decoder is not None:
            self.standardise_patches.learn(photo_vectors(features, rows))

    def look_at(self, features: Features, rows: Array) -> None:
        """Find recipes, photos and patches of the training rows.

        Raises:
            FeaturesError: photos or patches are not there.
        """
        if self.decoder is not None:
            features.column("patches")
            self._seen = features, rows
        super().look_at(features, rows)

    def drawn_from(self, some: Batch, recipe: Tensor, parts: Tensor, present: Tensor) -> Tensor:
        """Return what pictures of k training pairs are drawn from, `(k, dim)`: f."""
        if self.decoder is None:
            return recipe
        features, rows = self._seen
        own = rows[np.array([self._places[name] for name in some.ids])]
        patches = given(features.batch(own, ("patches",)).patches, "patches")
        return self.fused(recipe, parts, present, patches.to(recipe.device))

    def fused(self, recipe: Tensor, parts: Tensor, present: Tensor, patches: Tensor) -> Tensor:
        """Return f of k pairs, `(k, dim), (k, 3, width), (k, 3), (k, p, d) -> (k, dim)`."""
        assert self.decoder is not None
        seen = torch.rand(patches.shape[:2], device=patches.device) >= self.patch_drop
        shown = torch.rand(len(patches), 1, device=patches.device) >= self.photo_drop
        queries = torch.where(present[..., None], parts, self.recipe_tower.missing)
        states = self.decoder(queries, self.memory(self.standardise_patches(patches)), seen)
        return torch.as_tensor(recipe + shown * self.fuse(states.mean(1)))
