"""Searching an index by a photo, by words, by both or by a recipe."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from savor.answers import Answer, Confidence, Found, Hit
from savor.errors import DataError, SavorError, UsageError, VectorIndexError
from savor.index import EVERYTHING, Match, open_index
from savor.recipe import PARTS, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from savor.confidence import Calibration
    from savor.index import Array, Filter, Find, Index
    from savor.index.embedding import Embedder
    from savor.recipe import Photo
    from savor.reranking import Item


__all__ = ["Answer", "Confidence", "Found", "Hit", "Query", "Searcher", "as_picture", "read_recipe"]


# Scores of a text spread wider over recipes than those of a photo: at 1 they would count for more than it.
# `scripts/photo_and_words.py` measures what is best.
TEXT_WEIGHT = 0.5
# How much the words themselves (BM25) count beside the meaning of a text, and among how many of the best. One
# word of the title and two of the ingredients, 200 validation recipes among 11,844 of the real data
# (scripts/words_and_meaning.py): MRR 0.013 without, 0.052 at 0.5, 0.124 at 1, 0.263 at 2. Such queries speak
# for words alone; at 1 a recipe that means the same in other words still has its chance.
WORDS_WEIGHT = 1.0
WORDS_AMONG = 100


class Query(NamedTuple):
    """What is looked for: its vector and states, and whether it is one of the photos or of the recipes.

    Where `asked` is None it is of both kinds, and no pair scorer can order what is near it. With `words`
    recipes that have them come nearer.
    """

    item: Item
    asked: Find | None
    words: str = ""


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
        self._calibrated: tuple[str, Calibration | None] | None = None  # of which version of the index

    def by_photo(
        self,
        photo: str | Path | bytes | Photo | Image.Image,
        k: int = 10,
        *,
        find: Find = "recipes",
        offset: int = 0,
        where: Filter = EVERYTHING,
        text: str | None = None,
    ) -> list[Hit]:
        """Return the k best answers to a photo: a file, its bytes, or an opened picture.

        With words beside it, an entry's score is the cosine with the sum of the photo's vector and half of
        the words'; no pair scorer orders these again, for it knows the photo only.

        Args:
            photo: the photo.
            k: how many hits.
            find: what to look for.
            offset: how many of the best to leave out: 10 gives the second page of 10.
            where: which recipes may answer.
            text: words that are looked for as well, taken as in `by_text`.

        Raises:
            PhotoError: it cannot be read.
            UsageError: k is less than 1, `offset` negative, `find` neither `recipes` nor `photos`.
            VectorIndexError: the index holds none of what is looked for, or is damaged.
            EncoderError: one of the index's encoders is not here.
        """
        self.check(find, k, offset)
        query = self.of_photo(photo)
        if text is not None and text.strip():
            query = self.with_text(query, text)
        return self.hits(query, find, k, offset, where)

    def by_text(
        self, text: str, k: int = 10, *, find: Find = "recipes", offset: int = 0, where: Filter = EVERYTHING
    ) -> list[Hit]:
        """Return the k best answers to words, taken as the title of a recipe of which no more is known.

        Of recipes, those that have the words come nearer: to the cosine `WORDS_WEIGHT s b` is added, s how
        far the cosines of the best `WORDS_AMONG` lie apart, b a recipe's BM25 as a share of the best one's.

        Raises:
            UsageError: the text is blank; or as in `by_photo`.
            VectorIndexError: as in `by_photo`.
            EncoderError: the index's text encoder is not here.
        """
        if not text.strip():
            raise UsageError("the text to search for is blank; give at least a word")
        self.check(find, k, offset)
        return self.hits(self.of_text(text), find, k, offset, where)

    def by_recipe(
        self,
        recipe: Recipe | str,
        k: int = 10,
        *,
        find: Find = "photos",
        offset: int = 0,
        where: Filter = EVERYTHING,
    ) -> list[Hit]:
        """Return the k best answers to a recipe, given as such or by its id in the index.

        Raises:
            UsageError: the recipe has no text, there is none of this id; or as in `by_photo`.
            VectorIndexError: as in `by_photo`.
            EncoderError: the index's text encoder is not here.
        """
        self.check(find, k, offset)
        return self.hits(self.of_recipe(recipe, find), find, k, offset, where)

    def similar(self, recipe_id: str, k: int = 10, *, where: Filter = EVERYTHING) -> list[Found]:
        """Return the k recipes nearest to one of the index, without itself, near-duplicates as one.

        Raises:
            UsageError: there is none of this id, or k is less than 1.
        """
        return self.ask(recipe=recipe_id, find="recipes", k=k, where=where).hits

    def ask(
        self,
        *,
        photo: str | Path | bytes | Photo | Image.Image | None = None,
        text: str | None = None,
        recipe: Recipe | str | None = None,
        find: Find | None = None,
        k: int = 10,
        offset: int = 0,
        where: Filter = EVERYTHING,
        group: bool = True,
        as_is: bool = False,
    ) -> Answer:
        """Answer as an application does: understand, filter, put the same dish together, and say why.

        The text may hold conditions ("chickpeas, no dairy"; see `savor.queries`); with nothing but conditions
        recipes come in the order of their titles. A food to have that no recipe has is left out of the
        conditions, which the notes say.

        Args:
            photo: a photo; together with a text both count.
            text: words.
            recipe: or a recipe, or the id of one in the index.
            find: what to look for; recipes, or for a recipe photos.
            k: how many hits; `offset` of the best are left out before.
            offset: see there.
            where: which recipes may answer, beside what the text says.
            group: whether near-duplicates are one hit, and a recipe asked with by its id none.
            as_is: whether the text is words only, and nothing in it a condition.

        Raises:
            UsageError: nothing is asked, or a recipe and something else; or as in `by_photo`.
            VectorIndexError: as in `by_photo`.
            EncoderError: as in `by_photo`.
        """
        from savor.answering import Question, answer

        find = find or ("recipes" if recipe is None else "photos")
        text = (text or "").strip()
        return answer(self, Question(photo, text, recipe, find, k, offset, where, group, as_is))

    def of_photo(self, photo: str | Path | bytes | Photo | Image.Image) -> Query:
        """Return what a photo looks for."""
        (item,) = self.embedder.encode_photos([as_picture(photo)]).items()
        return Query(item, "photos")

    def of_recipe(self, recipe: Recipe | str, find: Find) -> Query:
        """Return what a recipe, or one of the index given by its id, looks for."""
        if isinstance(recipe, Recipe):
            if recipe.missing == PARTS:
                raise UsageError(f"the recipe {recipe.id!r} has no text to search with; give it a title")
            (item,) = self.embedder.encode_recipes([recipe]).items()
            return Query(item, "recipes")
        vector = self.index.vector(recipe)
        if vector is None:
            raise UsageError(f"{self.index.path}: no recipe with the id {recipe!r} is listed in this index")
        states = self.index.states(recipe) if self.rerank and find == "photos" else None
        return Query((vector, states), "recipes")

    def of_text(self, text: str) -> Query:
        """Return what words look for."""
        return self.of_recipe(Recipe("", text), "recipes")._replace(words=text)

    def with_text(self, query: Query, text: str) -> Query:
        """Return what a photo and words look for together.

        The rows are added as retrieval compares them, so that a score of the sum is the sum of both scores:
        where a method corrects for hubs, the photo's row meets recipes with their correction and the text's
        does not, as if each were asked alone. Adding first and correcting the sum as a photo ranks no better.
        """
        import numpy as np

        (vector, _) = self.of_recipe(Recipe("", text), "recipes").item
        both = query.item[0] + TEXT_WEIGHT * vector
        return Query((both / max(float(np.linalg.norm(both)), 1e-12), None), None)

    def check(self, find: Find, k: int, offset: int) -> None:
        """Make sure that a question can be answered; raises as in `by_photo`."""
        if find not in ("recipes", "photos"):
            raise UsageError(f"find={find!r}: choose recipes or photos")
        if k < 1:
            raise UsageError(f"k={k}: ask for at least 1 hit")
        if offset < 0:
            raise UsageError(f"offset={offset}: must not be negative")
        if self.index.count(find) == 0:
            other: Find = "photos" if find == "recipes" else "recipes"
            raise VectorIndexError(
                f"{self.index.path}: holds no {find}, only {self.index.count(other):,} {other};"
                f" look for those with --find {other}"
            )

    def hits(
        self, query: Query, find: Find, k: int, offset: int = 0, where: Filter = EVERYTHING
    ) -> list[Hit]:
        """Return the answer to a query, which need not be in the index."""
        depth = self.rerank if query.asked not in (None, find) else 0
        if query.words and find == "recipes":
            matches = self._with_words(query, offset + k, where)
        else:
            matches = self.index.nearest(find, query.item[0], max(offset + k, depth), where)
        scored = [(match, match.score, None) for match in matches[depth:]]
        ranked = [*self._reranked(query, matches[:depth]), *scored][offset : offset + k]
        cards = self.index.cards([match.recipe_id for match, _, _ in ranked])
        return [
            Hit.of(replace(match, score=score), card, rank, cosine)
            for rank, ((match, score, cosine), card) in enumerate(zip(ranked, cards, strict=True), offset + 1)
        ]

    def _with_words(self, query: Query, k: int, where: Filter) -> list[Match]:
        """Return the k recipes nearest to a text by its meaning and its words together, the best first.

        The number of those looked at does not depend on k, so the first j of k are the answer for j.
        """
        vector = query.item[0]
        matches = self.index.nearest("recipes", vector, max(k, WORDS_AMONG), where)
        named = self.index.words(query.words, WORDS_AMONG, where)
        if not matches or not named:
            return matches[:k]
        near = {match.recipe_id: match.score for match in matches[:WORDS_AMONG]}
        least = min(near.values())
        weight = WORDS_WEIGHT * (matches[0].score - least) / named[0].score
        far = [match.recipe_id for match in named if match.recipe_id not in near]
        for name, row in zip(far, self.index.vectors([(one, None) for one in far]), strict=True):
            near[name] = float("-inf") if row is None else float(row @ vector)
        for match in named:
            near[match.recipe_id] += weight * match.score
        # What stays below the others in spite of its words keeps its place among those behind them.
        first = [Match(score, name) for name, score in near.items() if score >= least]
        first.sort(key=lambda match: (-match.score, match.recipe_id))
        placed = {match.recipe_id for match in first}
        return [*first, *(match for match in matches if match.recipe_id not in placed)][:k]

    def _reranked(self, query: Query, matches: list[Match]) -> list[tuple[Match, float, float | None]]:
        """Return the matches in the order of their pair scores: match, pair score and cosine."""
        if not matches:
            return []
        import numpy as np

        from savor.reranking import Side, score_pairs

        one, others = Side.collect([query.item]), Side.collect([self._item(match) for match in matches])
        first, every = np.zeros(len(matches), np.int64), np.arange(len(matches))
        method = self.embedder.run.method
        if query.asked == "photos":
            scores = score_pairs(method, one, others, first, every)
        else:
            scores = score_pairs(method, others, one, every, first)
        order = np.argsort(-scores, kind="stable").tolist()
        return [(matches[place], float(scores[place]), matches[place].score) for place in order]

    def _item(self, match: Match) -> Item:
        vector = self.index.vector(match.recipe_id, match.photo_id)
        assert vector is not None
        return vector, self.index.states(match.recipe_id, match.photo_id)

    def bare(self, rows: Array) -> Array:
        """Return rows `(..., dim)` of the index as unit embeddings without the correction for hubs."""
        import numpy as np

        rows = rows[..., :-4] if self._corrected else rows
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12))

    @cached_property
    def _corrected(self) -> bool:
        """Whether the rows have four more numbers for hubs (`savor.layers.Hubs`)."""
        config = json.loads((self.index.run_folder / "config.json").read_text("utf-8"))
        return bool(config["options"].get("hubs"))

    @property
    def calibration(self) -> Calibration | None:
        """What the index's own photos tell of photos that belong to it, if enough; see `savor.confidence`."""
        from savor.confidence import of_index

        version = self.index.version
        if self._calibrated is None or self._calibrated[0] != version:
            self._calibrated = version, of_index(self.index, self.bare)
        return self._calibrated[1]

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
