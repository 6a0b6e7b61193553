"""Answering: from what somebody asks to hits with reasons, the same dish once, and how sure they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from savor.answers import Answer, Found, Hit
from savor.confidence import AMONG, confidence
from savor.diets import NO_ADVICE, UNLISTED
from savor.errors import UsageError
from savor.index import Filter, Match
from savor.queries import Understood, both, parse_query, shown
from savor.reasons import matched, terms_of_lines, terms_of_text
from savor.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from PIL import Image

    from savor.confidence import Calibration
    from savor.index import Find
    from savor.recipe import Photo
    from savor.search import Query, Searcher

    Array = np.ndarray[Any, np.dtype[Any]]

# Cosines from which on two entries show one dish; docs/search.md says what real pairs look like.
SAME_PHOTO = 0.97
SAME_TEXT = 0.94  # of recipes with the same title
ALIKE_TEXT = 0.8  # of recipes with the same photo
WINDOW = 20  # ranks behind a hit in which its duplicates are looked for
_WORD = re.compile(r"\w+")
_PAGE = 64  # recipes listed at a time

_Key = tuple[str, str | None]  # recipe id, photo id
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
    photo = None if question.photo is None else searcher.of_photo(question.photo)
    query = _query(searcher, question, photo, understood.text)
    ranked: list[Hit] = []
    if query is None:
        groups = _browsed(searcher, question, where)
        notes += (
            ["Only conditions were asked: what meets them, in the order of the titles."] if groups else []
        )
    else:
        groups, ranked = _ranked(searcher, question, query, where)
    belongs = _belongs(searcher, question, photo)
    chances: dict[str, float] = {}
    if belongs is not None and ranked and not understood.text and not where:
        assert searcher.calibration is not None
        chances = _chances(searcher.calibration, belongs, ranked)
    wanted = [*asked.have, *_terms(searcher, question, understood.text)]
    found = [
        Found(
            hit,
            _reasons(searcher, hit, wanted),
            more,
            sum(chances.get(name, 0.0) for name in (hit.id, *more)) if chances else None,
        )
        for hit, more in groups
    ]
    total = searcher.index.count(question.find, where)
    sure = None if belongs is None else confidence(belongs)
    return Answer(found, total, understood, sure, [*understood.notes, *notes], dropped)


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
    reason = f"No recipe has {named}" if dropped == nowhere else "No recipe meets all conditions"
    notes.append(f"{reason}; the hits need not have {named}.")
    return kept, tuple(map(shown, dropped)), notes


def _query(searcher: Searcher, question: Question, photo: Query | None, text: str) -> Query | None:
    """Return what to look for, None if there is nothing but conditions."""
    if photo is not None:
        return searcher.with_text(photo, text) if text else photo
    if question.recipe is not None:
        return searcher.of_recipe(question.recipe, question.find)
    return searcher.of_text(text) if text else None


def _belongs(searcher: Searcher, question: Question, photo: Query | None) -> float | None:
    """Return how likely a photo that looks for recipes is of the kind that the index holds."""
    calibration = searcher.calibration if photo is not None and question.find == "recipes" else None
    if photo is None or calibration is None:
        return None
    return float(calibration.probability(searcher.bare(photo.item[0])[None])[0])


def _chances(calibration: Calibration, belongs: float, ranked: Sequence[Hit]) -> dict[str, float]:
    """Return how likely each of the nearest is the recipe of a photo, by their ids."""
    first = [hit.score if hit.first_stage_score is None else hit.first_stage_score for hit in ranked[:AMONG]]
    shares = belongs * calibration.shares(first)
    return {hit.id: float(share) for hit, share in zip(ranked, shares, strict=False)}


def _ranked(
    searcher: Searcher, question: Question, query: Query, where: Filter
) -> tuple[list[Group], list[Hit]]:
    """Return the page that is asked for, and the best hits as they are before they are put together."""
    k, offset, find = question.k, question.offset, question.find
    own = question.recipe if find == "recipes" and question.group else None
    hits: list[Hit] = []

    def best(depth: int) -> list[Hit]:
        """Return the best hits; a recipe that is asked with is none."""
        nonlocal hits
        near = [hit for hit in searcher.hits(query, find, depth + 1, where=where) if hit.id != own]
        hits = [replace(hit, rank=rank) for rank, hit in enumerate(near[:depth], start=1)]
        return hits

    if not question.group:
        return [(hit, ()) for hit in best(max(offset + k, AMONG))[offset : offset + k]], hits
    same = Duplicates(searcher, find)

    def looked_at(depth: int) -> list[Hit]:
        same.look_at(best(depth))
        return hits

    return page_of_groups(looked_at, same, k, offset), hits


def _browsed(searcher: Searcher, question: Question, where: Filter) -> list[Group]:
    """Return what meets the conditions, in the order of the recipes' titles."""
    first, last = question.offset, question.offset + question.k
    keys = list(islice(_listed(searcher, question.find, where), first, last))
    cards = searcher.index.cards([recipe_id for recipe_id, _ in keys])
    return [
        (Hit.of(Match(0.0, *key), card, rank), ())
        for rank, (key, card) in enumerate(zip(keys, cards, strict=True), start=first + 1)
    ]


def _listed(searcher: Searcher, find: Find, where: Filter) -> Iterator[_Key]:
    start = 0
    while recipes := searcher.index.listed(where, offset=start, limit=_PAGE):
        for recipe_id in recipes:
            if find == "recipes":
                yield recipe_id, None
            else:
                yield from ((recipe_id, photo) for photo in searcher.index.photos(recipe_id))
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

    Photos do if they are nearly the same picture. Of recipes that is not enough, for one picture of a whole
    meal may stand with each of its dishes: the texts must be alike as well, or the titles the same. Without
    a common picture it takes the same title and nearly the same text.
    """

    def __init__(self, searcher: Searcher, find: Find) -> None:
        self.searcher, self.find = searcher, find
        self._vectors: dict[_Key, Array] = {}

    def look_at(self, hits: Sequence[Hit]) -> None:
        """Fetch what is needed of some hits, all at once."""
        pictures = [(hit, (hit.recipe_id, hit.photo)) for hit in hits if hit.photo]
        self._fetch([key for _, key in pictures])
        if self.find == "photos":
            return
        known = [(hit, self._vectors[key]) for hit, key in pictures if key in self._vectors]
        vectors = np.stack([vector for _, vector in known]) if known else np.zeros((0, 1))
        shared = ((vectors @ vectors.T) >= SAME_PHOTO).sum(1) > 1
        titles = Counter(_plain(hit.title) for hit in hits)
        alike = [hit for (hit, _), one in zip(known, shared, strict=True) if one]
        alike += [hit for hit in hits if titles[_plain(hit.title)] > 1]
        self._fetch([(hit.id, None) for hit in alike])

    def _fetch(self, keys: Sequence[_Key]) -> None:
        missing = list(dict.fromkeys(key for key in keys if key not in self._vectors))
        for key, vector in zip(missing, self.searcher.index.vectors(missing), strict=True):
            if vector is not None:
                self._vectors[key] = self.searcher.bare(vector)

    def __call__(self, one: Hit, other: Hit) -> bool:
        """Tell it of two hits that were looked at together."""
        picture = bool(one.photo and other.photo) and (
            self._cosine((one.recipe_id, one.photo), (other.recipe_id, other.photo)) >= SAME_PHOTO
        )
        if self.find == "photos":
            return picture
        title = bool(one.title) and _plain(one.title) == _plain(other.title)
        if not (picture or title):
            return False
        text = self._cosine((one.id, None), (other.id, None))
        return (picture and title) or text >= (ALIKE_TEXT if picture else SAME_TEXT)

    def _cosine(self, one: _Key, other: _Key) -> float:
        first, second = self._vectors.get(one), self._vectors.get(other)
        return -1.0 if first is None or second is None else float(first @ second)


def _plain(title: str) -> str:
    """Return a title in lower case without punctuation."""
    return " ".join(_WORD.findall(title.casefold()))


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
    depth = offset + k + k // 2 + WINDOW
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
