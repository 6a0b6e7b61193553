"""Filters: which recipes a search may answer with, and what is known of a recipe to decide it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from savor import diets

if TYPE_CHECKING:
    from savor.recipe import Recipe

_WORD = re.compile(r"[^\W\d_]+")
_LONGEST = 3  # words of a term
_TIME = re.compile(r"(\d+(?:[.,]\d+)?)\s*(d|h|m)")
_MINUTES = {"d": 1440.0, "h": 60.0, "m": 1.0}


@dataclass(frozen=True, slots=True)
class Facts:
    """What filters ask of a recipe.

    Attributes:
        terms: what its title and ingredient lines contain, and their groups, see `terms_of`.
        category: as the recipe has it.
        source: likewise.
        minutes: from start to end, None where that is not known.
    """

    terms: frozenset[str] = frozenset()
    category: str | None = None
    source: str | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which recipes may answer; without any condition all may.

    Attributes:
        have: normalised terms (`normalised`) that must all be there.
        avoid: normalised terms of which none may be there.
        category: the category, compared without case.
        source: the source, compared without case.
        minutes: how long it may take at most; a recipe without a time does not pass.
    """

    have: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    category: str | None = None
    source: str | None = None
    minutes: float | None = None

    def __bool__(self) -> bool:
        """Tell whether there is any condition."""
        return self != Filter()

    def passes(self, facts: Facts) -> bool:
        """Tell whether a recipe meets all conditions."""
        return (
            facts.terms.issuperset(self.have)
            and facts.terms.isdisjoint(self.avoid)
            and _same(self.category, facts.category)
            and _same(self.source, facts.source)
            and (self.minutes is None or (facts.minutes is not None and facts.minutes <= self.minutes))
        )


EVERYTHING = Filter()


def _same(wanted: str | None, given: str | None) -> bool:
    return wanted is None or (given is not None and wanted.casefold() == given.casefold())


def normalised(text: str) -> str:
    """Return words in lower case and in the singular, one space between.

    >>> normalised("Olive Oils")
    'olive oil'
    """
    return " ".join(_singular(word.casefold()) for word in _WORD.findall(text))


@lru_cache(65_536)  # the words of recipes are few, and read again for each run of words and each line
def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("oes", "ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us")) else word


def terms_of(recipe: Recipe) -> frozenset[str]:
    """Return what the title and the ingredient lines contain: runs of up to three normalised words.

    Besides, the groups their foods belong to (`@dairy`), other names of the same food, and `@unlisted` where
    there are no ingredient lines; see `savor.diets`.

    >>> from savor.recipe import Recipe
    >>> sorted(terms_of(Recipe("1", ingredients=("2 tbsp olive oil",))))
    ['oil', 'olive', 'olive oil', 'tbsp', 'tbsp olive', 'tbsp olive oil']
    >>> sorted(terms_of(Recipe("1", "Garbanzo")))
    ['@unlisted', 'chick pea', 'chickpea', 'garbanzo', 'garbanzo bean']
    """
    found: set[str] = set() if recipe.lines("ingredients") else {diets.UNLISTED}
    for line in (*recipe.lines("title"), *recipe.lines("ingredients")):
        words = normalised(line).split()
        found |= diets.added_terms(words)
        found.update(
            " ".join(words[start:end])
            for start in range(len(words))
            for end in range(start + 1, min(start + _LONGEST, len(words)) + 1)
        )
    return frozenset(found)


def facts_of(recipe: Recipe) -> Facts:
    """Return what filters ask of a recipe."""
    return Facts(terms_of(recipe), recipe.category, recipe.source, minutes_of(recipe))


def minutes_of(recipe: Recipe) -> float | None:
    """Return how many minutes a recipe takes: its total, else all its times together; None if none is known.

    >>> from savor.recipe import Recipe
    >>> minutes_of(Recipe("1", times={"prep": "15 min", "cook": "1 h 30 min"}))
    105.0
    """
    known = {name: minutes for name, time in recipe.times.items() if (minutes := _minutes(time)) is not None}
    if not known:
        return None
    return known["total"] if "total" in known else sum(known.values())


def _minutes(time: str) -> float | None:
    """Read `1 h 30 min`, `90 minutes`, `1.5 hours` or ISO 8601's `PT1H30M`."""
    found = _TIME.findall(time.casefold().removeprefix("p"))
    if not found:
        return None
    return sum(float(number.replace(",", ".")) * _MINUTES[unit] for number, unit in found)
