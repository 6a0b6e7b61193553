"""Answering: from what somebody asks to hits with reasons, the same dish once, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from savor.answers import Answer, Confidence, Found, Hit
from savor.diets import NO_ADVICE, UNLISTED
from savor.errors import UsageError
from savor.index import Filter, Match
from savor.index.filters import normalised
from savor.queries import Understood, both, parse_query, shown
from savor.reasons import matched, terms_of_lines, terms_of_text
from savor.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from PIL import Image

    from savor.index import Find
    from savor.recipe import Photo
    from savor.search import Query, Searcher

    Array = np.ndarray[Any, np.dtype[Any]]

# Cosines from which on two entries show one dish; docs/search.md says what real pairs look like.
SAME_PHOTO = 0.98
SAME_TEXT = 0.95  # of two recipes with the same title
WINDOW = 20  # ranks behind a hit in which its duplicates are looked for
_PAGE = 64  # recipes listed at a time

Group = tuple[Hit, tuple[str, ...]]  # a hit and the ids of its duplicates


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as the arguments of `Searcher.ask`."""

    photo: str | Path | bytes | Photo | Image.Image | None
    text: str
    recipe: Recipe | str | None
    find: Find
    k: int
    offset: int
    where: Filter
    group: bool
    as_is: bool

    def check(self) -> None:
        """Make sure that something is asked, and not too much.

        Raises:
            UsageError: it is not so.
        """
        if self.recipe is not None and (self.photo is not None or self.text):
            raise UsageError("ask with a recipe alone, or with a photo and words")
        if self.recipe is None and self.photo is None and not self.text and not self.where:
            raise UsageError("nothing is asked: give a photo, words, a recipe or a condition")


def answer(searcher: Searcher, question: Question) -> Answer:
    """Answer as `Searcher.ask` says."""
    question.check()
    searcher.check(question.find, question.k, question.offset)
    text = question.text
    understood = parse_query(text) if text and not question.as_is else Understood(text)
    asked = both(understood.where, question.where)
    where, dropped, notes = _that_can_be_met(searcher, question.find, asked)
    understood = replace(understood, where=where)
    query, confidence, chances = _query(searcher, question, understood.text)
    groups = _groups(searcher, question, query, where)
    if query is None and groups:
        notes.append("Only conditions were asked: what meets them, in the order of the titles.")
    wanted = [*asked.have, *_terms(searcher, question, understood.text)]
    found = [
        Found(hit, _reasons(searcher, hit, wanted), more, chances.get(hit.recipe_id)) for hit, more in groups
    ]
    total = searcher.index.count(question.find, where)
    return Answer(found, total, understood, confidence, [*understood.notes, *notes], dropped)


def _that_can_be_met(
    searcher: Searcher, find: Find, where: Filter
) -> tuple[Filter, tuple[str, ...], list[str]]:
    """Return the conditions without foods to have that nothing has, those foods, and what to say.

    What is to be avoided, and every other condition, always holds.
    """
    index, notes = searcher.index, []
    if where.avoid:
        notes.append(NO_ADVICE)
        if unlisted := index.count(find, Filter(have=(UNLISTED,))):
            notes.append(f"Left out, for they list no ingredients: {unlisted:,} {find}.")
    if not where or index.count(find, where):
        return where, (), notes
    rest = replace(where, have=())
    if not where.have or not index.count(find, rest):
        return where, (), [*notes, f"Nothing meets the conditions: {Understood('', where)}."]
    nowhere = tuple(term for term in where.have if not index.count(find, Filter(have=(term,))))
    kept = replace(where, have=tuple(term for term in where.have if term not in nowhere))
    while not index.count(find, kept):  # each is somewhere, but not together: give up what leaves most
        fewer = [replace(kept, have=tuple(t for t in kept.have if t != term)) for term in kept.have]
        kept = max(fewer, key=lambda one: index.count(find, one))
    dropped = tuple(term for term in where.have if term not in kept.have)
    named = ", ".join(map(shown, dropped))
    reason = (
        f"No recipe has {named}" if dropped == nowhere else f"No recipe has all that was asked for; {named}"
    )
    notes.append(f"{reason}: the hits are without this condition.")
    return kept, tuple(map(shown, dropped)), notes


def _query(
    searcher: Searcher, question: Question, text: str
) -> tuple[Query | None, Confidence | None, dict[str, float]]:
    """Return what to look for, None if there is nothing but conditions, and how sure the answer can be."""
    if question.recipe is not None:
        return searcher.of_recipe(question.recipe, question.find), None, {}
    if question.photo is None:
        return (searcher.of_recipe(Recipe("", text), question.find) if text else None), None, {}
    query = searcher.of_photo(question.photo)
    confidence: Confidence | None = None
    chances: dict[str, float] = {}
    if question.find == "recipes":
        confidence, chances = searcher.judge(query)
    return (searcher.with_text(query, text) if text else query), confidence, {} if text else chances


def _groups(searcher: Searcher, question: Question, query: Query | None, where: Filter) -> list[Group]:
    """Return the page that is asked for."""
    k, offset, find = question.k, question.offset, question.find
    if query is None:
        page = islice(_listed(searcher, find, where), offset, offset + k)
        return [(replace(hit, rank=rank), ()) for rank, hit in enumerate(page, start=offset + 1)]
    asked = query
    own = question.recipe if find == "recipes" and question.group else None

    def best(depth: int) -> list[Hit]:
        """Return the best hits; the recipe that is asked with is none."""
        hits = [hit for hit in searcher.hits(asked, find, depth + 1, where=where) if hit.id != own]
        return [replace(hit, rank=rank) for rank, hit in enumerate(hits[:depth], start=1)]

    if question.group:
        return page_of_groups(best, Duplicates(searcher, find), k, offset)
    return [(hit, ()) for hit in best(offset + k)[offset:]]


def _listed(searcher: Searcher, find: Find, where: Filter) -> Iterator[Hit]:
    """Yield what meets the conditions, in the order of the recipes' titles."""
    start = 0
    while recipes := searcher.index.listed(where, offset=start, limit=_PAGE):
        for recipe_id in recipes:
            photos = searcher.index.photos(recipe_id) if find == "photos" else [None]
            for photo in photos:
                yield searcher.hit(Match(0.0, recipe_id, photo), 0)
        start += _PAGE


def _terms(searcher: Searcher, question: Question, text: str) -> list[str]:
    """Return the foods that a query may share with a hit."""
    recipe = question.recipe
    if isinstance(recipe, str):
        recipe = searcher.index.recipe(recipe)
    return terms_of_text(text) if recipe is None else terms_of_lines(recipe.lines("ingredients"))


def _reasons(searcher: Searcher, hit: Hit, terms: Sequence[str]) -> tuple[str, ...]:
    recipe = searcher.index.recipe(hit.recipe_id) if terms else None
    return () if recipe is None else matched(recipe, terms)


class Duplicates:
    """Tells whether two hits show one dish.

    They do if their photos, of recipes the first ones, are nearly the same, or if they are recipes of the
    same title that say nearly the same.
    """

    def __init__(self, searcher: Searcher, find: Find) -> None:
        self.searcher, self.find = searcher, find
        self._vectors: dict[tuple[str, str | None], Array | None] = {}

    def __call__(self, one: Hit, other: Hit) -> bool:
        """Tell it."""
        if one.photo and other.photo and self._cosine(one, other, photo=True) >= SAME_PHOTO:
            return True
        if self.find == "photos" or not one.title.strip():
            return False
        same_title = normalised(one.title) == normalised(other.title)
        return same_title and self._cosine(one, other, photo=False) >= SAME_TEXT

    def _cosine(self, one: Hit, other: Hit, *, photo: bool) -> float:
        first, second = (self._vector(hit.recipe_id, hit.photo if photo else None) for hit in (one, other))
        return 0.0 if first is None or second is None else float(first @ second)

    def _vector(self, recipe_id: str, photo_id: str | None) -> Array | None:
        key = recipe_id, photo_id
        if key not in self._vectors:
            vector = self.searcher.index.vector(*key)
            self._vectors[key] = None if vector is None else self.searcher.bare(vector)
        return self._vectors[key]


def page_of_groups(
    best: Callable[[int], list[Hit]], same: Callable[[Hit, Hit], bool], k: int, offset: int
) -> list[Group]:
    """Return `k` groups of near-duplicates after the first `offset`, their ranks those of the groups.

    A group stands where its best hit stands. Its others lie at most `WINDOW` ranks behind that: so a page
    does not depend on how many are asked for.

    Args:
        best: gives the so many best hits, fewer where there are no more.
        same: tells whether two hits show one dish.
        k: how many groups.
        offset: how many to leave out before.
    """
    depth = offset + k + WINDOW
    while True:
        hits = best(depth)
        groups = _grouped(hits, same)
        finished = [group for group in groups if group[0].rank + WINDOW <= len(hits)]
        if len(hits) < depth:
            finished = groups
        if len(hits) < depth or len(finished) >= offset + k:
            page = finished[offset : offset + k]
            return [
                (replace(hit, rank=rank), more) for rank, (hit, more) in enumerate(page, start=offset + 1)
            ]
        depth *= 2


def _grouped(hits: Sequence[Hit], same: Callable[[Hit, Hit], bool]) -> list[Group]:
    groups: list[tuple[Hit, list[str]]] = []
    for hit in hits:
        near = (group for group in groups if hit.rank - group[0].rank <= WINDOW)
        first = next((group for group in near if same(group[0], hit)), None)
        if first is None:
            groups.append((hit, []))
        else:
            first[1].append(hit.id)
    return [(hit, tuple(more)) for hit, more in groups]
