"""Embedder: photos and recipes to vectors of a run, with the encoders that the run was trained on."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from savor.batch import Batch, Column, Encoded, gather
from savor.encoders import comparable, open_image_encoder, open_text_encoder
from savor.errors import EncoderError
from savor.extraction import GRID, columns, encode_photos, encode_recipes
from savor.reranking import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from savor.batch import Array
    from savor.encoders import ImageEncoder, TextEncoder
    from savor.features import Features
    from savor.pixels import RawInput
    from savor.recipe import Photo, Recipe
    from savor.runs import Run

# What each tower reads of a method's `uses`.
OF_PHOTOS, OF_RECIPES = ("image", "patches", "pixels"), ("lines", "tokens", "word_ids")


class Embedder:
    """Embeds photos and recipes with a run; each encoder is loaded when it is first needed.

    Args:
        run: the run, on the CPU, in evaluation mode.
        grid: rows and columns of the patches; None for those of the run, or 7 x 7 where it knows of none.
    """

    def __init__(self, run: Run, grid: tuple[int, int] | None = None) -> None:
        self.run, self.grid = run, grid or run.grid or GRID
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
        if "pixels" in self.photo_uses:
            return int(self.photos([Image.new("RGB", (8, 8))]).shape[1])
        width, cells = self.run.method.dims.image, self.grid[0] * self.grid[1]
        zeros = {
            "image": np.zeros((1, width), np.float32),
            "patches": np.zeros((1, cells, width), np.float32),
        }
        fields = {name: Column.of(one, np.ones(1, int)) for name, one in zeros.items()}
        return int(self._photo_columns(fields).vectors.shape[1])

    def photos(self, images: Sequence[Image.Image]) -> Array:
        """Embed upright RGB pictures, `(n, dim)` float32."""
        return self.encode_photos(images).vectors

    def recipes(self, recipes: Sequence[Recipe]) -> Array:
        """Embed recipes that have at least one line in any part, `(n, dim)` float32."""
        return self.encode_recipes(recipes).vectors

    def encode_photos(self, images: Sequence[Image.Image]) -> Side:
        """Encode upright RGB pictures: vectors and, if the run re-ranks, the states its pair scorer needs."""
        if self._raw is not None and "pixels" in self.photo_uses:
            return self._from_fields(self._raw.images(images), self._encode_images)
        grid = self.grid if "patches" in self.photo_uses else None
        return self._photo_columns(
            columns(encode_photos([[image] for image in images], self.image_encoder, grid=grid))
        )

    def encode_recipes(self, recipes: Sequence[Recipe]) -> Side:
        """Encode recipes that have at least one line in any part, likewise."""
        return self._in_chunks(self._reader(recipes), self._encode_recipes, np.arange(len(recipes)))

    def recipe_batch(self, recipes: Sequence[Recipe]) -> Batch:
        """Read recipes that have at least one line in any part as the run's method does, as one batch."""
        return self._reader(recipes)(np.arange(len(recipes)))

    def _reader(self, recipes: Sequence[Recipe]) -> Callable[[Array], Batch]:
        """Encode the lines of recipes, where they are read, and return what makes batches of some of them."""
        words = self.run.method.words
        stored = [use for use in self.recipe_uses if use != "word_ids"]
        encoded = encode_recipes(recipes, self.text_encoder, tokens="tokens" in stored) if stored else None
        fields = {} if encoded is None else columns(encoded)

        def read(some: Array) -> Batch:
            # A recipe from outside a data set has no id in it.
            batch = gather(fields.__getitem__, [""] * len(some), some, stored, words=words)
            return self.with_word_ids(batch, [recipes[k] for k in some])

        return read

    def with_word_ids(self, batch: Batch, recipes: Sequence[Recipe]) -> Batch:
        """Add the ids of the recipes' words to a batch of them, where the run's method reads any."""
        raw = self._raw
        if raw is None or "word_ids" not in self.recipe_uses:
            return batch
        return replace(batch, **raw.recipes(recipes))  # type: ignore[arg-type]

    def stored_recipes(self, features: Features, rows: Array) -> Side:
        """Encode recipes from stored features, likewise."""
        words = self.run.method.words
        return self._in_chunks(
            lambda some: features.batch(some, self.recipe_uses, words=words, raw=self._raw),
            self._encode_recipes,
            rows,
        )

    def stored_photos(self, features: Features, rows: Array) -> Side:
        """Encode all photos of some recipes from stored features, one after the other, likewise."""
        if "pixels" in self.photo_uses:
            return self._stored_pixels([photo for row in rows for photo in features.photos(int(row))])
        fields = {}
        for name in {"image", *self.photo_uses}:
            column = features.column(name)
            spans = [np.arange(column.offsets[row], column.offsets[row + 1]) for row in rows]
            positions = np.concatenate([np.zeros(0, np.int64), *spans])
            fields[name] = Column.of(column.take(positions), np.ones(len(positions), np.int64))
        return self._photo_columns(fields)

    @property
    def _raw(self) -> RawInput | None:
        """How photos and lines are read by a run with encoders of its own."""
        return self.run.method.raw

    def _stored_pixels(self, photos: Sequence[Photo]) -> Side:
        """Encode photos from the data set itself."""
        raw = self._raw
        assert raw is not None

        def read(some: Array) -> Batch:
            return Batch(ids=("",) * len(some), **raw.photos([photos[k] for k in some]))  # type: ignore[arg-type]

        return self._in_chunks(read, self._encode_images, np.arange(len(photos)))

    def _from_fields(self, fields: Mapping[str, torch.Tensor], encode: Callable[[Batch], Encoded]) -> Side:
        """Encode the items of a batch's fields."""

        def read(some: Array) -> Batch:
            chosen: dict[str, Any] = {name: values[some] for name, values in fields.items()}
            return Batch(ids=("",) * len(some), **chosen)

        return self._in_chunks(read, encode, np.arange(len(next(iter(fields.values())))))

    def _photo_columns(self, fields: Mapping[str, Column]) -> Side:
        """Encode photos, one an item of each column."""
        rows = np.arange(len(fields["image"].offsets) - 1)

        def read(some: Array) -> Batch:
            return gather(fields.__getitem__, [""] * len(some), some, self.photo_uses, grid=self.grid)

        return self._in_chunks(read, self._encode_images, rows)

    def _encode_images(self, batch: Batch) -> Encoded:
        method = self.run.method
        return method.encode_images(batch) if method.reranks else Encoded(method.place_images(batch))

    def _encode_recipes(self, batch: Batch) -> Encoded:
        method = self.run.method
        return method.encode_recipes(batch) if method.reranks else Encoded(method.place_recipes(batch))

    @torch.inference_mode()
    def _in_chunks(
        self, read: Callable[[Array], Batch], encode: Callable[[Batch], Encoded], rows: Array
    ) -> Side:
        """Read and encode as many rows at a time as the method takes."""
        size = self.run.method.chunk
        starts = range(0, max(1, len(rows)), size)
        return Side.join([Side.of(encode(read(rows[start : start + size]))) for start in starts])
