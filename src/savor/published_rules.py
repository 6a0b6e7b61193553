"""How four public code bases read medR and R@K off embeddings, done again: `published_scores(...)`.

They differ in the pairs that are ranked, in ties, in where ranks start and in what a direction is called.
Their own figures follow these rules, Savor's `savor.evaluation`; `docs/protocol.md` shows what the difference
is worth. Written anew from a reading of the code:

- JE: torralba-lab/im2recipe-Pytorch (Salvador et al., CVPR 2017)
- H-T: amzn/image-to-recipe-transformers (Salvador et al., CVPR 2021)
- AdaMine: Cadene/recipe1m.bootstrap.pytorch (Carvalho et al., SIGIR 2018)
- ACME: hwang1996/ACME (Wang et al., CVPR 2019)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from savor.errors import ProtocolError

Array = NDArray[Any]
Scores = dict[str, dict[str, float]]  # direction, as the code calls it -> metric -> value

DIRECTIONS = ("image_to_recipe", "recipe_to_image")
RECALLS = (1, 5, 10)
_SEED = 1234


@dataclass(frozen=True)
class Rule:
    """The evaluation of one code base.

    Attributes:
        pools: `(pairs in id order, size of a pool)` -> the pairs of each pool.
        distances: images `(n, dim)`, recipes `(n, dim)` -> `(n, n)`, an image a row, smaller is nearer.
        places: `(n, n)`, a query a row, its truth on the diagonal -> what the median is taken of, `(n,)`.
        first: the place of a truth that nothing comes before.
        found: which truths count for R@k; None: those with one of the k first places.
        swapped: what it calls image to recipe are the recipes' queries, and the other way round.
    """

    pools: Callable[[int, int], Sequence[Array]]
    distances: Callable[[Array, Array], Array]
    places: Callable[[Array], Array]
    first: int = 1
    found: Callable[[Array, int], Array] | None = None
    swapped: bool = False

    def scores(self, distances: Array) -> dict[str, float]:
        """Return medR and R@K, as fractions, of the queries in the rows of one pool's distances."""
        places = self.places(distances)
        found = self.found or (lambda _, k: places < self.first + k)
        recalls = {f"R@{k}": float(np.mean(found(distances, k))) for k in RECALLS}
        return {"medR": float(np.median(places)), **recalls}


def published_scores(image: ArrayLike, recipe: ArrayLike, rule: str, size: int = 1000) -> Scores:
    """Evaluate n pairs under the rule of a code base; medians and recalls are averaged over its pools.

    What a code base does before it has embeddings is no part of it: AdaMine's draw of one of a recipe's
    photos, ACME's batch norm over each 64 of the test items.

    Args:
        image: `(n, dim)` unit rows, in the order of the ids.
        recipe: `(n, dim)` unit rows of the same pairs.
        rule: a name in `RULES`.
        size: pairs in a pool.

    Raises:
        ProtocolError: an unknown rule, rows that do not pair up, or fewer pairs than a pool takes.

    >>> same = np.ones((200, 1))
    >>> published_scores(same, same, "H-T", 200)["image_to_recipe"]["medR"]
    1.0
    """
    if rule not in RULES:
        raise ProtocolError(f"no published rule {rule!r}; there are {', '.join(RULES)}")
    images, recipes = np.asarray(image), np.asarray(recipe)
    if images.shape != recipes.shape or images.ndim != 2:
        raise ProtocolError(f"images {images.shape} and recipes {recipes.shape} must both be (n, dim)")
    if size < 1:
        raise ProtocolError(f"a pool of {size} pairs cannot be ranked; ask for 1 or more")
    chosen = RULES[rule]
    pools = chosen.pools(len(images), size)
    if not pools or max(map(len, pools)) > len(images):
        raise ProtocolError(
            f"the rule of {rule} finds no pool of {size} among {len(images)} pairs; take a smaller pool"
        )
    labels = DIRECTIONS[::-1] if chosen.swapped else DIRECTIONS
    found: dict[str, list[dict[str, float]]] = {label: [] for label in labels}
    for pool in pools:
        distances = chosen.distances(images[pool], recipes[pool])
        for label, rows in zip(labels, (distances, distances.T), strict=True):
            found[label].append(chosen.scores(rows))
    return {label: _averaged(found[label]) for label in DIRECTIONS}


def _averaged(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


# Pools


def fresh_samples(n: int, size: int) -> list[Array]:
    """Sample ten pools from a generator seeded for this very call: JE's."""
    rng = random.Random(_SEED)
    return [np.array(rng.sample(range(n), size)) for _ in range(10)] if size <= n else []


def following_samples(n: int, size: int) -> list[Array]:
    """Sample ten pools from a generator seeded when the program starts: H-T's.

    One call of it evaluates 1k and then 10k, so the samples of 10,000 follow ten of 1,000.
    """
    rng = random.Random(_SEED)
    for earlier in [1_000] * 10 if 10_000 == size <= n else []:
        rng.sample(range(n), earlier)
    return [np.array(rng.sample(range(n), size)) for _ in range(10)] if size <= n else []


def blocks(n: int, size: int) -> list[Array]:
    """Cut the first pairs into ten blocks, or as many as there are: H-T's choice of an epoch on `val`."""
    return [np.arange(size) + start * size for start in range(min(10, n // size))]


def disjoint_bags(n: int, size: int) -> list[Array]:
    """Cut shuffled pairs, without the last incomplete batch of 100, into ten bags, of 10,000 five: AdaMine's.

    The published shuffle is that of a data loader and cannot be made again; this one is Savor's. Where the
    split is too small for all bags there are as many as fit.
    """
    shuffled = list(range(n))
    random.Random(_SEED).shuffle(shuffled)
    kept = np.array(shuffled[: n // 100 * 100], np.int64)
    return [kept[bag] for bag in blocks(len(kept), size)[: 5 if size >= 10_000 else 10]]


def samples_of_whole_batches(n: int, size: int) -> list[Array]:
    """Sample ten pools from the pairs without the last incomplete batch of 64: ACME's."""
    return fresh_samples(n // 64 * 64, size)


# Distances


def negative_dots(images: Array, recipes: Array) -> Array:
    """Return `-v r'`."""
    return -(images @ recipes.T)


def cosine_distances(images: Array, recipes: Array) -> Array:
    """Return `1 - v r'` of rows scaled to unit length, cut to [0, 2]."""
    scaled = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, recipes)]
    distances: Array = np.clip(1 - scaled[0] @ scaled[1].T, 0, 2)
    return distances


def euclidean_distances(images: Array, recipes: Array) -> Array:
    """Return `|v - r|`, pair by pair, so that equal rows are equally far."""
    return np.stack([np.linalg.norm(recipes - image, axis=1) for image in images])


# Places


def place_from_the_back(distances: Array) -> Array:
    """Return the 1-based place, by similarity sorted and reversed: JE's; ties as the sort left them."""
    return _places_in(np.argsort(-distances, axis=1)[:, ::-1]) + 1


def place_from_zero(distances: Array) -> Array:
    """Return the 0-based place in the rising order of distance: AdaMine's; ties as the sort left them."""
    return _places_in(np.argsort(distances, axis=1))


def count_nearer(distances: Array) -> Array:
    """Return one more than how many are strictly nearer: H-T's, and ACME's first equal distance."""
    counts: Array = (distances < np.diagonal(distances)[:, None]).sum(1) + 1
    return counts


def among_partitioned(distances: Array, k: int) -> Array:
    """Tell whether the truth is among the k that a partition puts in front: H-T's; ties are arbitrary."""
    count = len(distances)
    if k >= count:
        return np.ones(count, bool)
    front = np.argpartition(distances, k, axis=1)[:, :k]
    found: Array = (front == np.arange(count)[:, None]).any(1)
    return found


def _places_in(order: Array) -> Array:
    places: Array = (order == np.arange(len(order))[:, None]).argmax(1)
    return places


RULES: Mapping[str, Rule] = {
    "JE": Rule(fresh_samples, negative_dots, place_from_the_back),
    "H-T": Rule(following_samples, cosine_distances, count_nearer, found=among_partitioned),
    "H-T, choosing an epoch": Rule(blocks, cosine_distances, count_nearer, found=among_partitioned),
    "AdaMine": Rule(disjoint_bags, negative_dots, place_from_zero, first=0, swapped=True),
    "ACME": Rule(samples_of_whole_batches, euclidean_distances, count_nearer),
}
