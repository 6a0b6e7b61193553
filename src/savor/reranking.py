"""Re-ranking: a method that scores pairs orders the first stage's best again."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

from savor.batch import Array, Column, Encoded
from savor.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from savor.features import Features
    from savor.methods.base import Method

CHUNK_BYTES = 16 * 2**20  # inputs of the pairs scored at a time; a method's own states come on top
CALMER = "train again with a smaller learning_rate or with clip=1"


Item = tuple[Array, Array | None]  # vector (dim,) float32; states (s, d) float16, if there are any


@dataclass(frozen=True)
class Side:
    """Photos or recipes encoded for scoring, kept on the CPU: 4 bytes a number of a vector, 2 of a state.

    States under a False mask are not kept: a pair scorer reads none of them, nor where they stood.
    """

    vectors: Array  # (n, dim) float32
    states: Column | None = None  # of each item (s, d) float16

    @classmethod
    def of(cls, encoded: Encoded) -> Self:
        """Keep what a method encoded."""
        vectors = encoded.vectors.float().cpu().numpy()
        if encoded.states is None:
            return cls(vectors)
        states = encoded.states
        mask = torch.ones(states.shape[:2], dtype=torch.bool) if encoded.mask is None else encoded.mask.cpu()
        return cls(vectors, Column.of(states.cpu()[mask].half().numpy(), mask.sum(1).numpy()))

    @classmethod
    def join(cls, sides: Sequence[Side]) -> Self:
        """Put sides of one method behind each other; there must be at least one."""
        columns = [side.states for side in sides if side.states is not None]
        vectors = np.concatenate([side.vectors for side in sides])
        if not columns:
            return cls(vectors)
        return cls(
            vectors, Column([part for one in columns for part in one.parts], [one.offsets for one in columns])
        )

    @classmethod
    def collect(cls, items: Sequence[Item]) -> Self:
        """Make a side of single items, one or more, all with states or all without."""
        states = [one for _, one in items if one is not None]
        counts = np.array([len(one) for one in states], np.int64)
        vectors = np.stack([vector for vector, _ in items])
        return cls(vectors, Column.of(np.concatenate(states), counts) if states else None)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def counts(self) -> Array:
        """How many states each item has, `(n,)`."""
        return np.zeros(len(self), np.int64) if self.states is None else np.diff(self.states.offsets)

    def items(self) -> Iterator[Item]:
        """Yield the items one by one."""
        for k, vector in enumerate(self.vectors):
            if self.states is None:
                yield vector, None
            else:
                yield vector, self.states.take(np.arange(*self.states.offsets[k : k + 2]))

    def encoded(self, items: Array, device: torch.device) -> Encoded:
        """Return some items as a method's `pair_scores` reads them, in float32."""
        vectors = torch.from_numpy(self.vectors[items]).to(device)
        if self.states is None:
            return Encoded(vectors)
        states, mask = self.states.padded(items)
        return Encoded(
            vectors, torch.from_numpy(states).to(device).float(), torch.from_numpy(mask).to(device)
        )


class PairScorer:
    """Scores pairs of some rows of the features: `(image rows (n,), recipe rows (n,)) -> scores (n,)`.

    Each photo (the first of its recipe) and each recipe is encoded once, in `method.chunk`s; see `Side` for
    the memory it takes.

    Args:
        method: a method with a pair scorer.
        features: the features.
        rows: rows of the features; the scorer counts from the first of them.

    Raises:
        FeaturesError: the features lack a field that the method uses.
    """

    def __init__(self, method: Method, features: Features, rows: Array) -> None:
        self.method = method
        # The name of a method is that of its file.
        self.__name__ = type(method).__module__.rpartition(".")[2]
        device = next(method.parameters()).device
        images, recipes = [], []
        with _evaluating(method):
            for start in range(0, max(1, len(rows)), method.chunk):
                some = np.asarray(rows[start : start + method.chunk])
                batch = features.batch(some, method.uses, words=method.words, raw=method.raw).to(device)
                images.append(Side.of(method.encode_images(batch)))
                recipes.append(Side.of(method.encode_recipes(batch)))
        self.images, self.recipes = Side.join(images), Side.join(recipes)

    @property
    def embeddings(self) -> tuple[Array, Array]:
        """Photos and recipes of the first stage, `(n, dim)` float32 unit rows each."""
        return self.images.vectors, self.recipes.vectors

    def __call__(self, image_rows: Array, recipe_rows: Array) -> Array:
        """Score pairs, `(n,)` float32.

        Raises:
            MethodError: a score is not finite.
        """
        return score_pairs(self.method, self.images, self.recipes, image_rows, recipe_rows)


def score_pairs(method: Method, images: Side, recipes: Side, image_rows: Array, recipe_rows: Array) -> Array:
    """Score n pairs of encoded photos and recipes, `(n,)` float32.

    Pairs with recipes of similar length are scored together, at most `CHUNK_BYTES` of states at a time.

    Raises:
        MethodError: a score is not finite.
    """
    scores = np.empty(len(image_rows), np.float32)
    device = next(method.parameters()).device
    with _evaluating(method):
        for chunk in _chunks(images, recipes, image_rows, recipe_rows):
            sides = []
            for side, rows in ((images, image_rows[chunk]), (recipes, recipe_rows[chunk])):
                items, where = np.unique(rows, return_inverse=True)
                sides.append(side.encoded(items, device).rows(torch.from_numpy(where).to(device)))
            scores[chunk] = method.pair_scores(*sides).float().cpu().numpy()
    if not np.isfinite(scores).all():
        wrong = int((~np.isfinite(scores)).sum())
        raise MethodError(f"{wrong:,} of {len(scores):,} pair scores are not finite; {CALMER}")
    return scores


def _chunks(images: Side, recipes: Side, image_rows: Array, recipe_rows: Array) -> Iterator[Array]:
    """Cut pairs, those with the longest recipes first, into chunks of bounded size."""
    lengths = recipes.counts[recipe_rows]
    order = np.lexsort((image_rows, recipe_rows, -lengths))
    photo = int(images.counts.max(initial=0)) * _width(images) + images.vectors.shape[1]
    start = 0
    while start < len(order):
        recipe = int(lengths[order[start]]) * _width(recipes) + recipes.vectors.shape[1]
        size = max(1, CHUNK_BYTES // (4 * (photo + recipe)))
        yield order[start : start + size]
        start += size


def _width(side: Side) -> int:
    return 0 if side.states is None else int(side.states.parts[0].shape[-1])


@contextmanager
def _evaluating(method: Method) -> Iterator[None]:
    """Put a method into evaluation mode for a while, without gradients."""
    training = method.training
    method.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        method.train(training)
