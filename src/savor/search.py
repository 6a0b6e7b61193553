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

    from savor.index import Find, Index, Match
    from savor.index.embedding import Embedder
    from savor.recipe import Photo
    from savor.reranking import Item


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer: a recipe, or a photo.

    Attributes:
        id: of the recipe or of the photo, whichever was looked for.
        rank: from 1.
        score: cosine of the query and the entry; where there is a `first_stage_score`, the pair scorer's.
        title: of the recipe; empty where it has none.
        photo: id of the photo, or of the recipe's first one; None where it has none.
        recipe_id: of the recipe, for a photo of the recipe it belongs to.
        first_stage_score: the cosine, for a hit that a pair scorer has put in its place; else None.
    """

    id: str
    rank: int
    score: float
    title: str
    photo: str | None
    recipe_id: str
    first_stage_score: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the hit as JSON values, `photo` and `first_stage_score` only where there is one."""
        facts = {"id": self.id, "rank": self.rank, "score": round(self.score, 6), "title": self.title}
        if self.photo is not None:
            facts["photo"] = self.photo
        facts["recipe_id"] = self.recipe_id
        if self.first_stage_score is not None:
            facts["first_stage_score"] = round(self.first_stage_score, 6)
        return facts


class Searcher:
    """Answers photos, words and recipes with the nearest recipes or photos of an index.

    The run and each of its encoders are loaded when a query first needs them: photos never load the text
    encoder, words never the image encoder, a recipe of the index neither.

    Where the index's run scores pairs, it orders the nearest `rerank` again, by score and equal ones in
    their old order; the rest follows by cosine. That number does not depend on k, so the first j of k hits
    are the answer for j. It takes a photo and a recipe: photos near a photo and recipes near a recipe keep
    their cosines.

    Args:
        index: an index, or the folder of one.
        rerank: how many of the nearest a pair scorer orders again; 0 = none, None = as the run has it.

    Raises:
        VectorIndexError: the index is missing or damaged.
        UsageError: `rerank` is negative, or above 0 where the index's run has no pair scorer.

    Example:
        `Searcher("my.index").by_photo("dinner.jpg", k=5)[0].title`
    """

    def __init__(self, index: Index | str | Path, rerank: int | None = None) -> None:
        self.index = open_index(index) if isinstance(index, str | Path) else index
        own = int(self.index.manifest.get("reranks", 0))
        if rerank is not None and (rerank < 0 or (rerank and not own)):
            reason = (
                "must not be negative"
                if rerank < 0
                else f"{self.index.path} has no pair scorer; leave it out"
            )
            raise UsageError(f"rerank={rerank}: {reason}")
        self.rerank = own if rerank is None else rerank

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
        (query,) = self.embedder.encode_photos([as_picture(photo)]).items()
        return self._hits(query, "photos", find, k)

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
            (query,) = self.embedder.encode_recipes([recipe]).items()
            return self._hits(query, "recipes", find, k)
        vector = self.index.vector(recipe)
        if vector is None:
            raise UsageError(f"{self.index.path}: no recipe with the id {recipe!r} is listed in this index")
        states = self.index.states(recipe) if self.rerank and find == "photos" else None
        return self._hits((vector, states), "recipes", find, k)

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

    def _hits(self, query: Item, asked: Find, find: Find, k: int) -> list[Hit]:
        """Return the answer to an entry of the list `asked`, which need not be in the index."""
        depth = self.rerank if asked != find else 0
        matches = self.index.nearest(find, query[0], max(k, depth))
        scored = [(match, match.score, None) for match in matches[depth:]]
        hits = []
        for rank, (match, score, cosine) in enumerate(
            [*self._reranked(query, asked, matches[:depth]), *scored][:k], start=1
        ):
            recipe = self.index.recipe(match.recipe_id)
            photo = match.photo_id or next(iter(self.index.photos(match.recipe_id)), None)
            found = match.photo_id if match.photo_id is not None else match.recipe_id
            title = recipe.title if recipe else ""
            hits.append(Hit(found, rank, score, title, photo, match.recipe_id, cosine))
        return hits

    def _reranked(
        self, query: Item, asked: Find, matches: list[Match]
    ) -> list[tuple[Match, float, float | None]]:
        """Return the matches in the order of their pair scores: match, pair score and cosine."""
        if not matches:
            return []
        import numpy as np

        from savor.reranking import Side, score_pairs

        one, others = Side.collect([query]), Side.collect([self._item(match) for match in matches])
        first, every = np.zeros(len(matches), np.int64), np.arange(len(matches))
        method = self.embedder.run.method
        if asked == "photos":
            scores = score_pairs(method, one, others, first, every)
        else:
            scores = score_pairs(method, others, one, every, first)
        order = np.argsort(-scores, kind="stable").tolist()
        return [(matches[place], float(scores[place]), matches[place].score) for place in order]

    def _item(self, match: Match) -> Item:
        vector = self.index.vector(match.recipe_id, match.photo_id)
        assert vector is not None
        return vector, self.index.states(match.recipe_id, match.photo_id)

    @cached_property
    def embedder(self) -> Embedder:
        """The index's own run, with its encoders and its grid of patches.

        Raises:
            VectorIndexError: the run inside the index cannot be opened, or its vectors are of another.
        """
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
