"""Indexes: recipes and photos as vectors of one run, in a folder that needs nothing beside it.

Importing this package loads no library but NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from savor.index.filters import EVERYTHING, Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from savor.recipe import Recipe

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = [
    "EVERYTHING",
    "Backend",
    "Card",
    "Facets",
    "Filter",
    "Find",
    "Index",
    "Match",
    "Order",
    "open_index",
]

Find = Literal["recipes", "photos"]
Backend = Literal["exact", "lance", "qdrant"]
Order = Literal["title", "id", "time"]
Facets = dict[Literal["categories", "sources"], list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Match:
    """An entry near a query: a recipe, or where `photo_id` is given, that photo of the recipe."""

    score: float
    recipe_id: str
    photo_id: str | None = None


class Card(NamedTuple):
    """What a list shows of a recipe: its title and the id of its first photo."""

    title: str = ""
    photo: str | None = None


class Index(Protocol):
    """What a search asks of an index, whatever keeps the vectors.

    Attributes:
        path: the folder.
        manifest: `backend`, `run` (fingerprint of its weights), `encoders`, `grid` of patches, `data`
            (fingerprints), `reranks` (how many of the best its pair scorer orders again; missing or 0 = it
            has none).
        run_folder: the copy of the run whose vectors these are.
    """

    path: Path
    manifest: dict[str, Any]
    run_folder: Path

    @property
    def version(self) -> str:
        """Another one after every addition or removal, by whatever process."""
        ...

    def count(self, find: Find, where: Filter = EVERYTHING) -> int:
        """Return how many recipes or photos there are, of those that a filter lets pass."""
        ...

    def nearest(self, find: Find, query: Array, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids.

        Only what the filter lets pass is an answer; of photos their recipes are asked.

        The first j of them are the answer for j; fewer than k come where there are fewer.
        """
        ...

    def words(self, text: str, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k recipes that words describe best, equal ones in order of their ids.

        The score is BM25 over title (three times), tags, ingredients and instructions, words taken in the
        singular and without accents; a recipe with none of the words is no answer.
        """
        ...

    def listed(
        self, where: Filter = EVERYTHING, *, offset: int = 0, limit: int = 50, order: Order = "title"
    ) -> list[str]:
        """Return the ids of recipes in an order to browse: by title, by id, or the quickest first.

        Equal ones come in order of their ids, those without title or time last.
        """
        ...

    def facets(self) -> Facets:
        """Return the categories and sources of the recipes with their numbers, the most frequent first."""
        ...

    def remove(self, recipe_ids: Iterable[str]) -> int:
        """Remove recipes with their photos; return how many there were, unknown ids are passed over.

        Raises:
            VectorIndexError: something else is changing the index.
        """
        ...

    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""
        ...

    def vectors(self, keys: Sequence[tuple[str, str | None]]) -> list[Array | None]:
        """Return what `vector` gives for each of many recipe ids and photo ids."""
        ...

    def states(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return what a pair scorer needs of a recipe or photo, `(s, d)` float16, or None if nothing is."""
        ...

    def recipe(self, recipe_id: str) -> Recipe | None:
        """Return the text of a recipe, or None where it is not listed."""
        ...

    def cards(self, recipe_ids: Sequence[str]) -> list[Card]:
        """Return what a list shows of many recipes, read at once; of one that is not listed a blank card."""
        ...

    def photos(self, recipe_id: str) -> list[str]:
        """Return the ids of a listed recipe's photos, in their order."""
        ...

    def thumbnail(self, recipe_id: str, photo_id: str) -> bytes | None:
        """Return a small JPEG of a photo, or None where there is none."""
        ...


def open_index(path: str | Path) -> Index:
    """Open an index with the backend that its manifest names.

    Raises:
        VectorIndexError: there is none, it is damaged, or another version of Savor wrote it.
    """
    from savor.index.backends import opened

    return opened(Path(path))
