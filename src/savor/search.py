"""Searching an index by a photo, by words or by a recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savor.errors import DataError, SavorError, UsageError, VectorIndexError
from savor.index import open_index
from savor.recipe import PARTS, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from savor.index import Array, Find, Index
    from savor.index.embedding import Embedder
    from savor.recipe import Photo


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a recipe, or a photo.

    Attributes:
        id: of the recipe or of the photo, whichever was looked for.
        rank: from 1.
        score: cosine of the query and the entry.
        title: of the recipe; empty where it has none.
        photo: id of the photo, or of the recipe's first one; None where it has none.
        recipe_id: of the recipe, for a photo of the recipe it belongs to.
    """

    id: str
    rank: int
    score: float
    title: str
    photo: str | None
    recipe_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return the hit as JSON values, `photo` only where there is one."""
        photo = {} if self.photo is None else {"photo": self.photo}
        facts = {"id": self.id, "rank": self.rank, "score": round(self.score, 6), "title": self.title}
        return {**facts, **photo, "recipe_id": self.recipe_id}


class Searcher:
    """Answers photos, words and recipes with the nearest recipes or photos of an index.

    The run and each of its encoders are loaded when a query first needs them: photos never load the text
    encoder, words never the image encoder, a recipe of the index neither.

    Args:
        index: an index, or the folder of one.

    Raises:
        VectorIndexError: the index is missing or damaged.

    Example:
        `Searcher("my.index").by_photo("dinner.jpg", k=5)[0].title`
    """

    def __init__(self, index: Index | str | Path) -> None:
        self.index = open_index(index) if isinstance(index, str | Path) else index

    def by_photo(
        self, photo: str | Path | bytes | Photo | Image.Image, k: int = 10, *, find: Find = "recipes"
    ) -> list[Hit]:
        """Return the k best answers to a photo: a file, its bytes, or an opened picture.

        Raises:
            PhotoError: it cannot be read.
            UsageError: k is less than 1, or `find` is neither `recipes` nor `photos`.
            VectorIndexError: the index holds none of what is looked for, or is damaged.
            EncoderError: the index's image encoder is not here.
        """
        self._check(find, k)
        return self._hits(self._embedder.photos([as_picture(photo)])[0], find, k)

    def by_text(self, text: str, k: int = 10, *, find: Find = "recipes") -> list[Hit]:
        """Return the k best answers to words, taken as the title of a recipe of which no more is known.

        Raises:
            UsageError: the text is blank; or as in `by_photo`.
            VectorIndexError: as in `by_photo`.
            EncoderError: the index's text encoder is not here.
        """
        if not text.strip():
            raise UsageError("the text to search for is blank; give at least a word")
        return self.by_recipe(Recipe("", text), k, find=find)

    def by_recipe(self, recipe: Recipe | str, k: int = 10, *, find: Find = "photos") -> list[Hit]:
        """Return the k best answers to a recipe, given as such or by its id in the index.

        Raises:
            UsageError: the recipe has no text, there is none of this id; or as in `by_photo`.
            VectorIndexError: as in `by_photo`.
            EncoderError: the index's text encoder is not here.
        """
        self._check(find, k)
        if isinstance(recipe, Recipe):
            if recipe.missing == PARTS:
                raise UsageError(f"the recipe {recipe.id!r} has no text to search with; give it a title")
            return self._hits(self._embedder.recipes([recipe])[0], find, k)
        vector = self.index.vector(recipe)
        if vector is None:
            raise UsageError(f"{self.index.path}: no recipe with the id {recipe!r} is listed in this index")
        return self._hits(vector, find, k)

    def _check(self, find: Find, k: int) -> None:
        if find not in ("recipes", "photos"):
            raise UsageError(f"find={find!r}: choose recipes or photos")
        if k < 1:
            raise UsageError(f"k={k}: ask for at least 1 hit")
        if self.index.count(find) == 0:
            other: Find = "photos" if find == "recipes" else "recipes"
            raise VectorIndexError(
                f"{self.index.path}: holds no {find}, only {self.index.count(other):,} {other};"
                f" look for those with --find {other}"
            )

    def _hits(self, query: Array, find: Find, k: int) -> list[Hit]:
        hits = []
        for rank, match in enumerate(self.index.nearest(find, query, k), start=1):
            recipe = self.index.recipe(match.recipe_id)
            photo = match.photo_id or next(iter(self.index.photos(match.recipe_id)), None)
            found = match.photo_id if match.photo_id is not None else match.recipe_id
            title = recipe.title if recipe else ""
            hits.append(Hit(found, rank, match.score, title, photo, match.recipe_id))
        return hits

    @cached_property
    def _embedder(self) -> Embedder:
        from savor.index.embedding import Embedder
        from savor.runs import open_run

        manifest, folder = self.index.manifest, self.index.run_folder
        way_out = "delete the folder and build the index again"
        try:
            run = open_run(folder)
        except SavorError as error:
            raise VectorIndexError(
                f"{self.index.path}: the run inside cannot be opened ({error}); {way_out}"
            ) from error
        if run.fingerprint != manifest["run"]:
            raise VectorIndexError(
                f"{self.index.path}: its vectors are of the run {manifest['run']}, the run inside is"
                f" {run.fingerprint}; {way_out}"
            )
        return Embedder(run, (int(manifest["grid"][0]), int(manifest["grid"][1])))


def as_picture(photo: str | Path | bytes | Photo | Image.Image) -> Image.Image:
    """Return a photo as an upright RGB picture.

    Raises:
        PhotoError: it cannot be read.
    """
    from PIL import Image, ImageOps

    from savor.photos import open_photo

    if isinstance(photo, Image.Image):
        return ImageOps.exif_transpose(photo).convert("RGB")
    return open_photo(Path(photo) if isinstance(photo, str) else photo)


def read_recipe(file: Path, altered: Callable[[str], None] = lambda reason: None) -> Recipe:
    """Read a JSON file with one recipe, of the form of a line of `recipes.jsonl`; the id may be missing.

    Args:
        file: the file.
        altered: called with the reason for every value that is left out or kept in another form.

    Raises:
        DataError: it cannot be read, is not JSON, or holds no recipe with any text.
    """
    from savor.datasets.folder import recipe_from_json

    try:
        entry = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not a JSON file with one recipe ({error})") from error
    if not isinstance(entry, dict):
        raise DataError(f'{file}: one JSON object is needed, such as {{"title": "Lentil soup"}}')
    recipe = recipe_from_json(entry, altered)
    if recipe.missing == PARTS:
        raise DataError(f"{file}: this recipe has neither title nor ingredients nor instructions")
    return recipe
