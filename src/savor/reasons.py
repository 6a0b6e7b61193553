"""Reasons: which words of a recipe's ingredients answer a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from savor.diets import foods
from savor.index.filters import normalised
from savor.recipe import Recipe

MOST = 8  # words given as reasons
_LONGEST = 3  # words of a term

# Words of ingredient lines and queries that name no food, and foods that are in almost everything.
_PLAIN = frozenset(
    """tbsp tsp tablespoon teaspoon cup g gram kg kilogram ml millilitre milliliter l litre liter dl cl
    oz ounce fl lb pound pint quart gallon pinch dash handful can tin jar packet package pkg box bag
    bottle carton slice piece clove stick stalk sprig bunch head small medium large big little heaped
    level scant about approximately plus more extra to taste for serve serving garnish optional and or
    of in with without the a an from into at on as by it its if my your some any chopped diced sliced
    minced crushed grated peeled shredded melted softened beaten drained rinsed cooked raw dried fresh
    freshly frozen canned tinned finely roughly coarsely thinly thickly ground whole halved quartered
    cubed cut trimmed washed cold hot warm room temperature salt pepper water oil cm inch x no not very
    good quality ripe leave leaf recipe dish something anything please under minute hour quick easy
    simple style homemade best my pack size divided packed toasted roasted boneless skinless lean low
    free unsalted salted plain such well juiced seeded deseeded zest juice half quarter fine baking
    powder soda""".split()  # noqa: SIM905
)


def terms_of_text(text: str) -> list[str]:
    """Return what a text may name: runs of up to three normalised words, the longest first.

    >>> terms_of_text("spinach and feta pie")
    ['feta pie', 'spinach', 'feta', 'pie']
    """
    runs = _runs(normalised(text).split())
    return list(dict.fromkeys(sorted(runs, key=lambda run: -len(run.split()))))


def terms_of_lines(lines: Iterable[str]) -> list[str]:
    """Return the single words of ingredient lines that name a food."""
    return list(
        dict.fromkeys(word for line in lines for word in normalised(line).split() if word not in _PLAIN)
    )


def _runs(words: Sequence[str]) -> list[str]:
    """Return the runs that hold no plain word."""
    ends = [-1, *(place for place, word in enumerate(words) if word in _PLAIN), len(words)]
    return [
        " ".join(words[start:end])
        for before, after in pairwise(ends)
        for start in range(before + 1, after)
        for end in range(start + 1, min(start + _LONGEST, after) + 1)
    ]


def matched(recipe: Recipe, terms: Iterable[str]) -> tuple[str, ...]:
    """Return the terms that a recipe's ingredients have, or its title where it lists none.

    Of a group (`@fish`) its foods are named, of a phrase not its words again; another name of the same food
    counts.

    >>> pie = Recipe("1", "Pie", ("200 g smoked salmon", "1 tin garbanzo beans"))
    >>> matched(pie, ["@fish", "chickpea", "smoked salmon", "salmon", "leek"])
    ('salmon', 'chickpea', 'smoked salmon')
    """
    lines = [normalised(line).split() for line in recipe.lines("ingredients") or recipe.lines("title")]
    has = {run for words in lines for run in _runs(words)}
    brought = [pair for words in lines for pair in foods(words)]
    has |= {term for _, more in brought for term in more}
    found: dict[str, None] = {}
    for term in terms:
        if term not in has:
            continue
        if term.startswith("@"):
            found.update(dict.fromkeys(phrase for phrase, more in brought if term in more))
        elif not any(f" {term} " in f" {longer} " for longer in found):
            found[term] = None
    return tuple(found)[:MOST]
