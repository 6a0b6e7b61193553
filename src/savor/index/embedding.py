"""Embedder: photos and recipes to vectors of a run, with the encoders that the run was trained on."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from savor.batch import Column, gather
from savor.encoders import comparable, open_image_encoder, open_text_encoder
from savor.errors import EncoderError
from savor.extraction import columns, encode_photos, encode_recipes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL import Image

    from savor.batch import Array
    from savor.encoders import ImageEncoder, TextEncoder
    from savor.features import Features
    from savor.recipe import Recipe
    from savor.runs import Run

# What each tower reads of a method's `uses`.
OF_PHOTOS, OF_RECIPES = ("image", "patches"), ("lines", "tokens")


class Embedder:
    """Embeds photos and recipes with a run; each encoder is loaded when it is first needed.

    Args:
        run: the run, on the CPU, in evaluation mode.
        grid: rows and columns of the patches, for methods that read them.
    """

    def __init__(self, run: Run, grid: tuple[int, int]) -> None:
        self.run, self.grid = run, grid
        self.photo_uses = [use for use in run.method.uses if use in OF_PHOTOS]
        self.recipe_uses = [use for use in run.method.uses if use in OF_RECIPES]

    @cached_property
    def image_encoder(self) -> ImageEncoder:
        """The run's image encoder.

        Raises:
            EncoderError: it is not here, or not the one the run was trained on.
        """
        described = self.run.config["encoders"]["image"]
        encoder = open_image_encoder(described["name"], **described["options"])
        self._check(encoder, described)
        return encoder

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The run's text encoder.

        Raises:
            EncoderError: it is not here, or not the one the run was trained on.
        """
        described = self.run.config["encoders"]["text"]
        encoder = open_text_encoder(described["name"], **described["options"])
        self._check(encoder, described)
        return encoder

    def _check(self, encoder: ImageEncoder | TextEncoder, described: dict[str, Any]) -> None:
        have, want = comparable(encoder.describe()), comparable(described)
        differs = sorted(key for key in {**have, **want} if have.get(key) != want.get(key))
        if differs:
            raise EncoderError(
                f"{described['name']}: the encoder installed here is not the one {self.run.path} was trained"
                f" on (other {', '.join(differs)}); install that one, or train again with this one"
            )

    @cached_property
    def dim(self) -> int:
        """Length of the vectors, found by embedding a photo of zeros."""
        width, cells = self.run.method.dims.image, self.grid[0] * self.grid[1]
        zeros = {
            "image": np.zeros((1, width), np.float32),
            "patches": np.zeros((1, cells, width), np.float32),
        }
        return int(
            self.photo_columns({name: Column.of(one, np.ones(1, int)) for name, one in zeros.items()}).shape[
                1
            ]
        )

    def photos(self, images: Sequence[Image.Image]) -> Array:
        """Embed upright RGB pictures, `(n, dim)` float32."""
        grid = self.grid if "patches" in self.photo_uses else None
        return self.photo_columns(
            columns(encode_photos([[image] for image in images], self.image_encoder, grid=grid))
        )

    def recipes(self, recipes: Sequence[Recipe]) -> Array:
        """Embed recipes that have at least one line in any part, `(n, dim)` float32."""
        fields = columns(encode_recipes(recipes, self.text_encoder, tokens="tokens" in self.recipe_uses))
        ids, rows = [recipe.id for recipe in recipes], np.arange(len(recipes))
        return self._embed("recipe", gather(fields.__getitem__, ids, rows, self.recipe_uses))

    def photo_columns(self, fields: Mapping[str, Column]) -> Array:
        """Embed encoded photos, one an item of each column, `(n, dim)` float32."""
        count = len(fields["image"].offsets) - 1
        batch = gather(fields.__getitem__, [""] * count, np.arange(count), self.photo_uses, grid=self.grid)
        return self._embed("image", batch)

    def stored_recipes(self, features: Features, rows: Array) -> Array:
        """Embed recipes from stored features, `(n, dim)` float32."""
        return self._embed("recipe", features.batch(rows, self.recipe_uses))

    def stored_photos(self, features: Features, rows: Array) -> Array:
        """Embed all photos of some recipes from stored features, one after the other, `(n, dim)` float32."""
        fields = {}
        for name in {"image", *self.photo_uses}:
            column = features.column(name)
            spans = [np.arange(column.offsets[row], column.offsets[row + 1]) for row in rows]
            positions = np.concatenate([np.zeros(0, np.int64), *spans])
            fields[name] = Column.of(column.take(positions), np.ones(len(positions), np.int64))
        return self.photo_columns(fields)

    @torch.inference_mode()
    def _embed(self, side: str, batch: Any) -> Array:
        method = self.run.method
        vectors = method.embed_image(batch) if side == "image" else method.embed_recipe(batch)
        return vectors.float().numpy()
