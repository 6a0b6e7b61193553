"""Making dishes: recipe, photos and regions from a seed and a number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from savor.datasets.toy_kitchen.regions import Region
from savor.datasets.toy_kitchen.wording import Plan, Words, compose, describe
from savor.errors import UsageError
from savor.recipe import Recipe

if TYPE_CHECKING:
    from PIL import Image

SPLITS = ("train", "val", "test")
SIZE = (274, 169)
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True, eq=False)
class Dish:
    """A recipe with its photos; `photo_ids[k]` and `regions[k]` belong to `images[k]`."""

    recipe: Recipe
    split: str
    images: tuple[Image.Image, ...]
    photo_ids: tuple[str, ...]
    regions: tuple[tuple[Region, ...], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """How dishes are made; shares and sizes as in `generate`.

    Raises:
        UsageError: a share, a size or the seed is out of range.
    """

    seed: int = 0
    splits: tuple[float, float, float] = (0.7, 0.1, 0.2)
    title_only: float = 0.0
    photoless: float = 0.0
    photos_per_recipe: float = 1.0
    size: tuple[int, int] = SIZE

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"toy kitchen: seed {self.seed} is negative; take 0 or more")
        if len(self.splits) != 3 or min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-9:
            raise UsageError(
                f"toy kitchen: splits {self.splits} are not three shares that sum to 1; try (0.7, 0.1, 0.2)"
            )
        for name, share in (("title_only", self.title_only), ("photoless", self.photoless)):
            if not 0 <= share <= 1:
                raise UsageError(f"toy kitchen: {name} {share} is not a share; take a number from 0 to 1")
        if not 1 <= self.photos_per_recipe <= 2:
            raise UsageError(
                f"toy kitchen: photos_per_recipe {self.photos_per_recipe} is out of range; take 1 to 2"
            )
        if min(self.size) < 32 or max(self.size) > 2048:
            raise UsageError(f"toy kitchen: size {self.size} is not possible; each side goes from 32 to 2048")


def generate(
    n: int,
    seed: int = 0,
    *,
    splits: tuple[float, float, float] = (0.7, 0.1, 0.2),
    title_only: float = 0.0,
    photoless: float = 0.0,
    photos_per_recipe: float = 1.0,
    size: tuple[int, int] = SIZE,
) -> Iterator[Dish]:
    """Make the first n dishes of a seed; the i-th does not depend on n.

    Args:
        n: how many
        seed: another seed, other dishes
        splits: shares of train, val and test
        title_only: share of the training recipes that have lost their ingredients and steps
        photoless: share of the training recipes that have no photo
        photos_per_recipe: mean number of photos of the others, 1 to 2
        size: width and height of the photos in pixels

    Raises:
        UsageError: n is below 1, or an option out of range.

    >>> dish = next(generate(1))
    >>> dish.recipe.category, dish.images[0].size
    ('plate', (274, 169))
    """
    settings = Settings(seed, splits, title_only, photoless, photos_per_recipe, size)
    if n < 1:
        raise UsageError(f"toy kitchen: {n} recipes were asked for; ask for 1 or more")
    return (make_dish(i, settings) for i in range(n))


def make_dish(index: int, settings: Settings) -> Dish:
    """Make one dish; words, photos and gaps have random numbers of their own and never shift each other."""
    words_rng, gaps_rng = (np.random.default_rng([settings.seed, part, index]) for part in (10, 11))
    plan = compose(settings.seed, words_rng)
    words = describe(plan, words_rng)
    split = _split(index, settings)
    bare, unseen, again = gaps_rng.random(3)
    bare_of_text = split == "train" and bare < settings.title_only
    n_photos = 1 + (again < settings.photos_per_recipe - 1)
    if split == "train" and unseen < settings.photoless:
        n_photos = 0
    recipe = Recipe(
        id=_hex_id(index, 2 * settings.seed),
        title=words.title,
        ingredients=() if bare_of_text else words.ingredients,
        instructions=() if bare_of_text else words.instructions,
        category=plan.kind,
        source="toy kitchen",
    )
    photos = [_photo(plan, words, bare_of_text, index, k, settings) for k in range(n_photos)]
    ids = tuple(_hex_id(2 * index + k, 2 * settings.seed + 1) for k in range(n_photos))
    return Dish(recipe, split, tuple(p[0] for p in photos), ids, tuple(p[1] for p in photos))


def _photo(
    plan: Plan, words: Words, bare: bool, index: int, k: int, settings: Settings
) -> tuple[Image.Image, tuple[Region, ...]]:
    from savor.datasets.toy_kitchen.pictures import photograph

    image, labels = photograph(plan, np.random.default_rng([settings.seed, 20 + k, index]), settings.size)
    seen = set(np.unique(labels).tolist()) - {0}
    regions = [
        Region(item.food.name, None if bare else words.line_of[i], labels == i + 1)
        for i, item in enumerate(plan.items)
        if i + 1 in seen
    ]
    return image, tuple(regions)


def _split(index: int, settings: Settings) -> str:
    """Deal dishes to the splits so that every prefix has about the right shares (golden ratio sequence)."""
    place = (0.5 + index * _GOLDEN) % 1.0
    train, val, _ = settings.splits
    return SPLITS[0] if place < train else SPLITS[1] if place < train + val else SPLITS[2]


def _hex_id(number: int, stream: int) -> str:
    """Turn a number into ten hex digits that look random; each step is one-to-one, so ids never clash."""
    bits = 40
    x = (number + 1 + stream * 0x2545F4914F) % 2**bits
    for factor in (0x9E3779B97F, 0xD6E8FEB865):
        x = ((x ^ (x >> 20)) * factor) % 2**bits
    return f"{x ^ (x >> 20):010x}"
