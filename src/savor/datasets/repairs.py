"""Named text repairs; none is applied unless it is asked for by name, and a name never changes its meaning.

The Recipe1M release lost the slashes of its fractions: "12 cup brown lentils" was "1/2 cup" once.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

from savor.errors import UsageError
from savor.recipe import Recipe, Section

_FRACTIONS = ("12", "13", "14", "18", "23", "34")

# The plural after a bare number stays: "12 tablespoons butter" and "12 cups water" are amounts people use.
_SINGULAR = r"(?:cup|teaspoon|tablespoon|tsp|tbsp|tbs)"
_LOST_SLASH = re.compile(
    rf"""^(?P<whole>\d\ )?   # "1 12 cups": after a whole number the plural is safe
         (?P<top>1(?=[2348])|2(?=3)|3(?=4)) (?P<bottom>\d)
         (?=\ (?(whole){_SINGULAR}s?|{_SINGULAR})\b)""",
    re.VERBOSE | re.IGNORECASE,
)


def _slashes_v1(line: str) -> str:
    return _LOST_SLASH.sub(lambda m: f"{m['whole'] or ''}{m['top']}/{m['bottom']}", line)


def _slashes_ht(line: str) -> str:
    for digits in _FRACTIONS:
        line = line.replace(f"{digits} ", f"{digits[0]}/{digits[1]} ")
    return line


_REPAIRS: dict[str, Callable[[str], str]] = {"slashes-v1": _slashes_v1, "slashes-ht": _slashes_ht}


def names() -> tuple[str, ...]:
    """Return the names of the repairs.

    - `slashes-v1` restores a lost slash at the start of an ingredient line and before a small unit (cup,
      teaspoon, tablespoon and their short forms): "12 cup" becomes "1/2 cup", "1 12 cups" becomes
      "1 1/2 cups"; "12 ounces", "12 tablespoons" and "112 g" stay.
    - `slashes-ht` is the rule published with H-T (Salvador et al., CVPR 2021): 12, 13, 14, 18, 23 and 34
      before a space become fractions anywhere in an ingredient line, "12 ounces" and "112 g" too. It is
      there to reproduce that preprocessing.
    """
    return tuple(_REPAIRS)


def check_name(name: str) -> None:
    """Raise a `UsageError` that lists the repairs unless `name` is one of them."""
    if name not in _REPAIRS:
        raise UsageError(f"unknown text repair {name!r}; there are: {', '.join(_REPAIRS)}")


def apply(name: str, recipe: Recipe) -> Recipe:
    """Return the recipe with one repair applied to its ingredient lines; section titles stay.

    >>> apply("slashes-v1", Recipe("1", ingredients=("12 cup lentils", "12 ounces ham"))).ingredients
    ('1/2 cup lentils', '12 ounces ham')
    >>> apply("slashes-ht", Recipe("1", ingredients=("12 cup lentils", "12 ounces ham"))).ingredients
    ('1/2 cup lentils', '1/2 ounces ham')

    Raises:
        UsageError: there is no repair of this name.
    """
    check_name(name)
    repair = _REPAIRS[name]
    lines = (line if isinstance(line, Section) else repair(line) for line in recipe.ingredients)
    return dataclasses.replace(recipe, ingredients=tuple(lines))
