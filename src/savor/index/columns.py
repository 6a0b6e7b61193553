"""Columns: what an index keeps of a recipe beside its text, so that no filter has to read that again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from savor.datasets.folder import recipe_from_json
from savor.index.filters import facts_of, normalised
from savor.index.folder import Record
from savor.recipe import Recipe

# Words that say nothing of a dish; engines differ in how little they count them.
_SILENT = frozenset(
    {
        *("a", "an", "and", "at", "by", "for", "from", "in", "into", "it", "of", "on", "or", "the", "then"),
        *("to", "until", "with"),
    }
)
_TITLE = 3  # times that a word of the title counts: text engines weigh documents, not their parts


@dataclass(frozen=True, slots=True)
class Columns:
    """What is filtered, sorted and looked up by; a photo has those of its recipe.

    Attributes:
        title: as the recipe has it.
        category: likewise.
        source: likewise.
        minutes: from start to end.
        terms: its terms (`savor.index.filters.terms_of`), each as `hashed`, in ascending order.
        text: what words are looked up in, of normalised words.
    """

    title: str = ""
    category: str | None = None
    source: str | None = None
    minutes: float | None = None
    terms: tuple[int, ...] = ()
    text: str = ""


def columns_of(record: Record) -> Columns:
    """Return the columns of a recipe, given as it is stored."""
    recipe = recipe_from_json(record)
    facts = facts_of(recipe)
    terms = tuple(sorted(map(hashed, facts.terms)))
    return Columns(recipe.title, facts.category, facts.source, facts.minutes, terms, document(recipe))


NOTHING_KNOWN = facts_of(Recipe(""))  # of the recipe of a photo that is listed without one


def document(recipe: Recipe) -> str:
    """Return the words of a recipe, normalised.

    >>> document(Recipe("1", "Lentils with Rice", ingredients=("2 onions",), tags=("soups",)))
    'lentil rice lentil rice lentil rice soup onion'
    """
    lines = (*recipe.tags, *recipe.lines("ingredients"), *recipe.lines("instructions"))
    words = [*[recipe.title] * _TITLE, *lines]
    return " ".join(_telling(" ".join(words)))


def query_words(text: str) -> list[str]:
    """Return the different words to look for, normalised as those of documents are."""
    return list(dict.fromkeys(_telling(text)))


def _telling(text: str) -> list[str]:
    return [word for word in normalised(text).split() if word not in _SILENT]


def hashed(term: str) -> int:
    """Return a number of 64 bits for a term: a tenth of its size, and two of a million never share one."""
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


UNKNOWN = Columns(terms=tuple(sorted(map(hashed, NOTHING_KNOWN.terms))))


def folded(name: str | None) -> str | None:
    """Return a category or source as names are compared: without case."""
    return None if name is None else name.casefold()


def tally(names: Iterable[str | None]) -> list[tuple[str, int]]:
    """Count names that are the same but for case under their most frequent spelling, the most frequent first.

    >>> tally(["Soup", "cake", "soup", None, "Soup"])
    [('Soup', 3), ('cake', 1)]
    """
    spellings = Counter(name for name in names if name and name.strip())
    groups: dict[str, list[tuple[int, str]]] = {}
    for name, number in spellings.items():
        groups.setdefault(name.casefold(), []).append((-number, name))
    counts = [(min(group)[1], -sum(number for number, _ in group)) for group in groups.values()]
    return sorted(counts, key=lambda one: (-one[1], one[0].casefold()))


def browsing_order(
    ids: Sequence[str], titles: Sequence[str], minutes: Sequence[float | None], order: str
) -> list[int]:
    """Return positions in one of the orders of `Index.listed`.

    >>> browsing_order(["a", "b", "c"], ["pie", "", "Jam"], [None, 5, 20], "title")
    [2, 0, 1]
    >>> browsing_order(["a", "b", "c"], ["pie", "", "Jam"], [None, 5, 20], "time")
    [1, 2, 0]
    """
    positions = range(len(ids))
    if order == "title":
        return sorted(positions, key=lambda k: (not titles[k].strip(), titles[k].casefold(), ids[k]))
    if order == "time":
        return sorted(positions, key=lambda k: (minutes[k] is None, minutes[k] or 0.0, ids[k]))
    return sorted(positions, key=ids.__getitem__)
