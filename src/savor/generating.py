"""Pictures drawn from recipes: what the methods that draw share, and how good their pictures are."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from savor.errors import MethodError, UsageError
from savor.generators import Game, as_pictures, as_pixels, mirrored
from savor.ingredient_words import as_targets, ingredient_words
from savor.methods.base import Method
from savor.metrics import ranks, summarise
from savor.photos import open_photo
from savor.pixels import on_canvas

if TYPE_CHECKING:
    from savor.batch import Array, Batch
    from savor.encoders import ImageEncoder
    from savor.features import Features

# Recipes whose pictures are compared with each other after an epoch, and whose pictures are shown.
COMPARED, SHOWN = 64, 32
# Pictures that differ among each other less than this share of what photos do have collapsed.
COLLAPSED = 0.1
AT_ONCE = 256


class Drawing(Method):
    """Base of the methods that draw a picture from a recipe and learn from the photos themselves.

    The first photo of each training recipe is decoded once, before training, and kept in memory, 12 kB at 64
    pixels. Embedding, indexing and searching read no photos. A subclass sets `picture_size` and
    `noise_width`, and writes `draw`.
    """

    # Edge of the pictures, in pixels; 0: none are drawn, and no photos are read.
    picture_size: int
    noise_width: int = 100
    # Ingredient words that the training tells apart.
    ingredient_count: int = 0

    _places: dict[str, int]
    _photos: Tensor
    _words_of: dict[str, list[int]]
    _variety: float | None = None

    def draw(self, batch: Batch, noise: Tensor) -> Tensor:
        """Draw a picture of each recipe from noise `(b, noise_width)`: `(b, 3, size, size)` in [-1, 1]."""
        raise NotImplementedError

    def look_at(self, features: Features, rows: Array) -> None:
        """Decode the photos of the training rows, and count the ingredient words."""
        if self.picture_size:
            self._photos = first_photos(features, rows, self.picture_size)
            self._places = {str(name): place for place, name in enumerate(features.ids[rows])}
        if self.ingredient_count:
            self._words_of = ingredient_words(features, rows, self.ingredient_count)

    def photos(self, batch: Batch) -> Tensor:
        """Return the photos of training recipes, every second mirrored, `(b, 3, size, size)` in [-1, 1]."""
        found = self._photos[[self._places[name] for name in batch.ids]]
        return mirrored(as_pictures(found.to(next(self.parameters()).device)))

    def word_targets(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Return the ingredient words of training recipes, `(b, count)` of 0 and 1, and whose are known."""
        if not self.ingredient_count:
            return None
        device = next(self.parameters()).device
        return as_targets(self._words_of, batch.ids, self.ingredient_count, device)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set what changes from epoch to epoch: margins, and what the towers feel of the games."""
        super().start_epoch(epoch, epochs)
        for module in self.modules():
            if isinstance(module, Game):
                module.start_epoch(epoch)

    def end_epoch(self, features: Features, rows: Array) -> None:
        """Compare some pictures of training recipes with each other, as their photos."""
        super().end_epoch(features, rows)
        if self.picture_size:
            some = rows[:COMPARED]
            photos = self._photos[[self._places[str(name)] for name in features.ids[some]]]
            self._variety = variety(drawn(self, features, some), photos)

    def logged(self) -> dict[str, float]:
        """Return the curves of the games and the variety of the pictures relative to the photos'."""
        entry = super().logged()
        for module in self.modules():
            if isinstance(module, Game):
                entry |= module.curves()
        if self._variety is not None:
            entry["picture_variety"] = round(self._variety, 6)
            entry["pictures_collapsed"] = float(self._variety < COLLAPSED)
        return entry

    @torch.no_grad()
    def generate(self, batch: Batch, seed: int = 0) -> Tensor:
        """Draw a picture of each recipe of a batch, all from the same noise, uint8 `(b, 3, h, w)`.

        Raises:
            MethodError: the method was trained without pictures.
        """
        if not self.picture_size:
            raise MethodError(
                f"this {type(self).__name__} was trained with picture_size=0 and draws no pictures; train it"
                " with --set picture_size=64"
            )
        training = self.training
        self.eval()
        # A generator of its own: showing pictures must not change how the training goes on.
        one = torch.randn(1, self.noise_width, generator=torch.Generator().manual_seed(seed))
        noise = one.to(next(self.parameters()).device).expand(len(batch), -1)
        pictures = as_pixels(self.draw(batch, noise)).cpu()
        self.train(training)
        return pictures

    def samples(self, features: Features, rows: Array) -> Array | None:
        """Return the pictures of the first recipes, eight in a row."""
        return grid(drawn(self, features, rows[:SHOWN])) if self.picture_size else None


def first_photos(features: Features, rows: Array, size: int) -> Tensor:
    """Decode the first photo of some rows onto a square canvas, uint8 `(n, 3, size, size)`.

    Raises:
        FeaturesError: the data set behind the features is not there (see `Features.attach`).
        PhotoError: a photo cannot be read any more.
    """

    def read(row: int) -> Array:
        return on_canvas(open_photo(features.photos(row)[0], target=(size, size)), (size, size))

    if len(rows):
        features.photos(int(rows[0]))  # opens the data set before the threads would
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        arrays = list(pool.map(read, np.asarray(rows).tolist()))
    return torch.from_numpy(np.stack([np.zeros((3, size, size), np.uint8), *arrays])[1:])


def drawn(method: Method, features: Features, rows: Array, seed: int = 0) -> Tensor:
    """Draw pictures of some rows, uint8 `(n, 3, h, w)`.

    Raises:
        MethodError: the method draws no pictures.
    """
    device = next(method.parameters()).device
    pictures = []
    for start in range(0, max(1, len(rows)), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        batch = features.batch(some, method.uses, words=method.words, raw=method.raw).to(device)
        pictures.append(method.generate(batch, seed))
    return torch.cat(pictures)


def grid(pictures: Tensor, columns: int = 8, gap: int = 2) -> Array:
    """Lay pictures out in rows on white, uint8 `(n, 3, h, w) -> (height, width, 3)`.

    >>> grid(torch.zeros(3, 3, 4, 4, dtype=torch.uint8), columns=2, gap=1).shape
    (9, 9, 3)
    """
    n, _, height, width = pictures.shape
    columns = max(1, min(columns, n))
    lines = -(-n // columns)
    sheet = np.full((lines * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for k, picture in enumerate(pictures.numpy()):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture.transpose(1, 2, 0)
    return sheet


def variety(pictures: Tensor, photos: Tensor) -> float:
    """Mean distance between two pictures, relative to that between two photos; 0 where all are the same.

    Distances are Euclidean, over pixels `(n, 3, h, w)`; a value far below 1 tells a generator that has
    collapsed, or that paints averages.

    >>> photos = torch.tensor([0, 100], dtype=torch.uint8)[:, None, None, None]
    >>> variety(photos // 2, photos)
    0.5
    """
    own, real = (torch.pdist(one.flatten(1).float()).mean().item() for one in (pictures, photos))
    return own / real if real > 0 else float("nan")


@dataclass(frozen=True)
class Quality:
    """How good the pictures of n recipes are; `mean` is the mean photo in place of every picture."""

    pictures: int
    distance: float  # Fréchet distance from the photos in the encoder's space
    mean_distance: float
    error: float  # root mean squared difference from the own photo, of a range of 1
    mean_error: float
    variety: float  # see `variety`
    retrieval: dict[str, float]  # the own photo found by its picture, among the n photos

    @property
    def collapsed(self) -> bool:
        """Whether the pictures hardly differ from each other."""
        return not self.variety >= COLLAPSED

    def to_json(self) -> dict[str, Any]:
        """Return the measures by their names."""
        return {
            "pictures": self.pictures,
            "frechet_distance": {"pictures": self.distance, "mean_photo": self.mean_distance},
            "pixel_error": {"pictures": self.error, "mean_photo": self.mean_error},
            "variety": self.variety,
            "collapsed": self.collapsed,
            "retrieval_by_picture": self.retrieval,
        }


def measure(pictures: Tensor, photos: Tensor, encoder: ImageEncoder) -> Quality:
    """Compare pictures with the photos of the same recipes, uint8 `(n, 3, h, w)` each.

    All are seen by the frozen encoder at the pictures' size, photos too, so that sharpness alone does not
    tell them apart. Retrieval is by the cosine of vectors from which the photos' mean was taken.

    Raises:
        UsageError: there are fewer than two.
    """
    if len(pictures) < 2:
        raise UsageError(f"{len(pictures)} recipes with a photo: pictures are measured on 2 or more")
    mean = photos.double().mean(0, keepdim=True)
    own, real = encoded(pictures, encoder), encoded(photos, encoder)
    flat = encoded(mean.round().to(torch.uint8), encoder).repeat(len(photos), 0)
    centre = real.mean(0)
    queries, candidates = (
        one / np.linalg.norm(one, axis=1, keepdims=True).clip(1e-12) for one in (own - centre, real - centre)
    )
    return Quality(
        pictures=len(pictures),
        distance=frechet_distance(own, real),
        mean_distance=frechet_distance(flat, real),
        error=_error(pictures, photos),
        mean_error=_error(mean, photos),
        variety=variety(pictures, photos),
        retrieval=summarise(ranks(queries @ candidates.T)),
    )


def encoded(pictures: Tensor, encoder: ImageEncoder) -> Array:
    """Return a frozen encoder's pooled vectors of pictures, float64 `(n, d)`."""
    images = [Image.fromarray(one.transpose(1, 2, 0)) for one in pictures.numpy()]
    vectors = [encoder.encode(images[k : k + 64]).pooled for k in range(0, len(images), 64)]
    return np.asarray(torch.cat(vectors).double().cpu().numpy())


def frechet_distance(one: Array, other: Array) -> float:
    """Fréchet distance between two clouds of vectors taken for normal distributions, `(n, d), (m, d)`.

        `|mean_1 - mean_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2))`

    With `S = X'X` of centred rows scaled by `1 / sqrt(n - 1)` the last trace is the sum of the singular
    values of `X_1 X_2'`: no root of a matrix is taken, and n may be below d.

    Source: Heusel et al., GANs trained by a two time-scale update rule (NeurIPS 2017). Values of another
    encoder than Inception's cannot be compared with published ones.

    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(frechet_distance(rows + 2.0, rows), 6)
    12.0
    """
    means, roots = [], []
    for rows in (one, other):
        means.append(rows.mean(0))
        roots.append((rows - rows.mean(0)) / max(1, len(rows) - 1) ** 0.5)
    spread = sum(float((root**2).sum()) for root in roots)
    overlap = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return float(((means[0] - means[1]) ** 2).sum()) + spread - 2 * overlap


def _error(pictures: Tensor, photos: Tensor) -> float:
    difference = (pictures.double() - photos.double()) / 255
    return float(difference.square().flatten(1).mean(1).sqrt().mean())
