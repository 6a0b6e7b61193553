"""Raw inputs of methods that train their own encoders: photos as pixels on one canvas, lines as word ids."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from savor.errors import MethodError
from savor.photos import open_photo
from savor.recipe import PARTS, Recipe

if TYPE_CHECKING:
    from savor.recipe import Photo

Array = np.ndarray[Any, np.dtype[Any]]
Box = tuple[float, float, float, float]

NO_WORD = -1  # what stands behind the last id of a line; 0 is a word to some tokenizers
# The share of the photo that a random crop keeps, how far its aspect ratio strays from the canvas's, and
# how far brightness, contrast and colour stray from 1. Milder than on ImageNet: a dish fills its photo, and
# its colour tells it.
AREA, ASPECT, JITTER = (0.4, 1.0), 4 / 3, 0.2
_RESAMPLE = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class RawInput:
    """How a method wants to read photos and lines.

    Attributes:
        canvas: height and width of all photos, in pixels; None for a method that reads word ids alone.
        tokenize: lines -> the ids of each, special ones included.
        training_canvas: height and width of augmented photos; None as the others.
        lines_of: recipe and part -> the lines that are tokenized; None for those of the recipe.
    """

    canvas: tuple[int, int] | None
    tokenize: Callable[[Sequence[str]], list[list[int]]]
    training_canvas: tuple[int, int] | None = None
    lines_of: Callable[[Recipe, str], Sequence[str]] | None = None

    def photos(
        self, photos: Sequence[Photo | None], rng: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        """Decode photos: `pixels (b, 3, h, w)` uint8 and `image_mask (b,)`; None gives zeros.

        Each is cropped to the canvas around its middle, or with a generator at random (`augmented`), to the
        training canvas.

        Raises:
            PhotoError: a photo cannot be read.
            MethodError: there is no canvas.
        """
        # Drawn here, in order, so that the outcome does not hang on which thread comes first.
        seeds = [None] * len(photos) if rng is None else rng.integers(2**63, size=len(photos)).tolist()
        canvas = self._canvas if rng is None else self.training_canvas or self._canvas
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            arrays = list(pool.map(lambda photo, seed: _read(photo, canvas, seed), photos, seeds))
        return _stacked(arrays, canvas, [photo is not None for photo in photos])

    def images(self, images: Sequence[Image.Image]) -> dict[str, Tensor]:
        """Put upright RGB pictures on the canvas, likewise."""
        arrays = [on_canvas(image, self._canvas) for image in images]
        return _stacked(arrays, self._canvas, [True] * len(images))

    @property
    def _canvas(self) -> tuple[int, int]:
        if self.canvas is None:
            raise MethodError("this method reads photos as vectors of an encoder, not as pixels")
        return self.canvas

    def recipes(self, recipes: Sequence[Recipe]) -> dict[str, Tensor]:
        """Tokenize recipes: `title_ids (b, t)`, `ingredients_ids (b, i, t)`, `instructions_ids (b, s, t)`.

        Behind the last id of a line stands -1. The masks say which lines there are: `title_mask (b,)`,
        `ingredients_mask (b, i)`, `instructions_mask (b, s)`.
        """
        fields: dict[str, Tensor] = {}
        for part in PARTS:
            lines = [(self.lines_of or Recipe.lines)(recipe, part) for recipe in recipes]
            flat = [line for some in lines for line in some]
            ids = self.tokenize(flat) if flat else []
            values, mask = _padded(ids, [len(some) for some in lines])
            if part == "title":
                values, mask = values[:, 0], mask[:, 0]
            fields |= {f"{part}_ids": values, f"{part}_mask": mask}
        return fields


def _read(photo: Photo | None, canvas: tuple[int, int], seed: int | None) -> Array:
    if photo is None:
        return np.zeros((3, *canvas), np.uint8)
    if seed is None:
        return on_canvas(open_photo(photo), canvas)
    height, width = canvas
    return augmented(open_photo(photo, target=(width, height)), canvas, np.random.default_rng(seed))


def _stacked(arrays: Sequence[Array], canvas: tuple[int, int], mask: Sequence[bool]) -> dict[str, Tensor]:
    pixels = np.stack(arrays) if arrays else np.zeros((0, 3, *canvas), np.uint8)
    return {"pixels": torch.from_numpy(pixels), "image_mask": torch.tensor(mask, dtype=torch.bool)}


def on_canvas(image: Image.Image, canvas: tuple[int, int]) -> Array:
    """Scale a picture to cover a canvas `(h, w)` and cut off what hangs over: uint8 `(3, h, w)`."""
    height, width = canvas
    return _channels_first(ImageOps.fit(image, (width, height), _RESAMPLE))


def augmented(image: Image.Image, canvas: tuple[int, int], rng: np.random.Generator) -> Array:
    """Cut out a random part of a picture, mirror every second one, vary its colours: uint8 `(3, h, w)`.

    The part and its aspect ratio are those of Inception's random resized crop (Szegedy et al., CVPR 2015),
    the aspect ratio relative to the canvas's.
    """
    height, width = canvas
    box = random_box(image.width, image.height, width / height, rng)
    image = image.resize((width, height), _RESAMPLE, box)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(rng.uniform(1 - JITTER, 1 + JITTER))
    return _channels_first(image)


def random_box(width: int, height: int, aspect: float, rng: np.random.Generator) -> Box:
    """Return left, top, right and bottom of a random part of a picture, of about an aspect ratio.

    >>> random_box(100, 100, 1.0, np.random.default_rng(0))[2] <= 100
    True
    """
    area = rng.uniform(*AREA) * width * height
    aspect *= np.exp(rng.uniform(-np.log(ASPECT), np.log(ASPECT)))
    # What does not fit is cut to the picture: the part is smaller then, not stretched further.
    across = min(width, (area * aspect) ** 0.5, height * aspect)
    down = min(height, across / aspect)
    left, top = rng.uniform(0, width - across), rng.uniform(0, height - down)
    return float(left), float(top), float(min(left + across, width)), float(min(top + down, height))


def _channels_first(image: Image.Image) -> Array:
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _padded(ids: Sequence[Sequence[int]], counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Lay out lines by recipe: ids `(b, most lines, most ids)` and the mask of the lines."""
    lines = max([1, *counts])
    values = np.full((len(counts), lines, max([1, *map(len, ids)])), NO_WORD, np.int64)
    mask = np.arange(lines) < np.array(counts, np.int64).reshape(-1, 1)
    for line, (row, place) in zip(ids, np.argwhere(mask), strict=True):
        values[row, place, : len(line)] = line
    return torch.from_numpy(values), torch.from_numpy(mask)
