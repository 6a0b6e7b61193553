"""Queries: what a sentence such as "something with chickpeas and spinach, no dairy" asks for.

Rules for English: limits of time, "X-free", diets, what follows "no", "without" and their like, what follows
"with" and its like. Everything that becomes a condition is in the answer, to be shown; a phrase
that no rule fits stays among the words that are searched for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from savor.diets import DIETS, FAMILIES, UNLISTED, named
from savor.errors import UsageError
from savor.index.filters import EVERYTHING, Filter, normalised

_LONGEST = 3  # words of a term, as in `savor.index.filters`


@dataclass(frozen=True, slots=True)
class Understood:
    """What a query is taken to mean.

    Attributes:
        text: the words to search for; without what is avoided, limits of time, and words such as "something".
        where: the conditions.
        notes: what could have been meant as a condition and was not taken as one.
    """

    text: str = ""
    where: Filter = EVERYTHING
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, groups by their names."""
        where = self.where
        return {
            "text": self.text,
            "have": [shown(term) for term in where.have],
            "avoid": [shown(term) for term in where.avoid if term != UNLISTED],
            "category": where.category,
            "source": where.source,
            "minutes": where.minutes,
        }

    def __str__(self) -> str:
        """Say it in words: `chickpeas and spinach; with chickpea, spinach; without dairy`."""
        facts = self.as_dict()
        parts = [self.text] if self.text else []
        parts += [f"{word} {', '.join(facts[key])}" for word, key in _SHOWN if facts[key]]
        parts += [f"{key}: {facts[key]}" for key in ("category", "source") if facts[key]]
        if facts["minutes"] is not None:
            parts.append(f"in at most {facts['minutes']:g} minutes")
        return "; ".join(parts)


_SHOWN = (("with", "have"), ("without", "avoid"))


def shown(term: str) -> str:
    """Return a term as people read it: `@dairy` is dairy."""
    return term.removeprefix("@")


def where_of(
    have: Sequence[str] = (),
    avoid: Sequence[str] = (),
    category: str | None = None,
    source: str | None = None,
    minutes: float | None = None,
) -> Filter:
    """Return the filter for what a user has typed.

    A group of food ("dairy", "nuts") stands for all of its foods, any other word for itself; a single food
    such as eggs is wanted as such and avoided with all that contains it. A diet among `have` ("vegan") avoids
    what it leaves out. A recipe that lists no ingredients cannot be known to be without something: as soon as
    anything is avoided it does not pass.

    Raises:
        UsageError: there is no word in it, more words than a term has, or a time that is not above 0.

    >>> where_of(["Chickpeas"], ["dairy"]).avoid
    ('@dairy', '@unlisted')
    """
    if minutes is not None and not minutes > 0:
        raise UsageError(f"minutes={minutes:g}: a recipe takes more than no time; give a number above 0")
    wanted: list[str] = []
    unwanted: list[str] = []
    for name in have:
        term = _term(name)
        if diet := DIETS.get(term):
            unwanted += [f"@{group}" for group in diet]
        else:
            wanted.append(f"@{FAMILIES[term]}" if term in FAMILIES else term)
    for name in avoid:
        term = _term(name)
        unwanted += named(term) or (term,)
    if unwanted:
        unwanted.append(UNLISTED)
    return Filter(
        tuple(dict.fromkeys(wanted)),
        tuple(dict.fromkeys(unwanted)),
        category or None,
        source or None,
        minutes,
    )


def both(first: Filter, second: Filter) -> Filter:
    """Return the filter that lets pass what both do, as far as one can say so; the first wins elsewhere."""
    limits = [limit for limit in (first.minutes, second.minutes) if limit is not None]
    return Filter(
        tuple(dict.fromkeys([*first.have, *second.have])),
        tuple(dict.fromkeys([*first.avoid, *second.avoid])),
        first.category if first.category is not None else second.category,
        first.source if first.source is not None else second.source,
        min(limits, default=None),
    )


def _term(name: str) -> str:
    term = normalised(name.removeprefix("@"))
    if not term:
        raise UsageError(f"{name!r}: there is no word in it; name an ingredient or a group such as dairy")
    if len(term.split()) > _LONGEST:
        raise UsageError(f"{name!r}: more than {_LONGEST} words; name one ingredient at a time")
    return term


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NUMBER = r"(\d+(?:[.,]\d+)?|half an|an|one|two|three|four|five|six|ten|fifteen|twenty|thirty|forty|sixty)"
_UNIT = r"(minutes?|mins?|hours?|hrs?|h|m)\b"
_LIMITS = (
    r"(?:\b(?:that\s+)?(?:takes?|ready|done|made|cooks?)\s+)?(?:\bin\s+)?(?:\b(?:in|under|within|below|up to"
    rf"|less than|at most|no more than|not more than|no longer than|max(?:imum)?(?: of)?)|<)\s*{_NUMBER}"
    rf"[\s-]*{_UNIT}(?:\s+or\s+(?:less|under|fewer))?",
    rf"\b{_NUMBER}[\s-]*{_UNIT}\s+(?:or\s+(?:less|under|fewer)|max(?:imum)?\b|at most|tops)",
    rf"\b{_NUMBER}[\s-](minute|min)\b",
)
_LIMIT = re.compile("|".join(_LIMITS), re.IGNORECASE)
_NUMBERS = {
    **{"half an": 0.5, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10},
    **{"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "sixty": 60},
}
_FREE = re.compile(
    r"((?:\b\w+-?(?:\s*,\s*|\s+(?:and|or|&)\s+))*)\b(\w+)(?:-|\s)free\b(?!\s*(?:-?range|from\b|of\b))",
    re.IGNORECASE,
)
_NON = re.compile(r"\bnon[- ]?(dairy|alcoholic|fish|meat)\b", re.IGNORECASE)
_NOT_FREE_OF = {
    "fat",
    "guilt",
    "stress",
    "fuss",
    "hassle",
    "cruelty",
    "cage",
    "carb",
    "risk",
    "trouble",
    "is",
    "for",
}
_FILLER = re.compile(
    r"(?:(?:please|show me|find me|give me|find|(?:i|we)(?:'d| would)? (?:want|like|need|fancy)"
    r"(?: to (?:cook|make|eat))?|what (?:can|could|should|do) (?:i|we) (?:cook|make|do|eat)"
    r"|something|anything|everything|(?:an? |some |any )?(?:recipes?|dish(?:es)?|ideas?|food)"
    r"(?= (?:with|without|for|containing|using|that|no)\b))\s*)+",
    re.IGNORECASE,
)
_SHORT = re.compile(r"\bw/(o?)\s*", re.IGNORECASE)
_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[,;.!?&]")

# What introduces foods to avoid: the first kind goes on over commas ("without nuts, eggs"), the second ends.
_WITHOUT = ("without", "excluding", "except", "except for", "minus", "sans", "neither")
_NO = ("no", "not", "nor", "don't want", "do not want", "don't like", "do not like", "hate", "allergic to",
       "avoid", "avoiding", "leave out", "free of", "free from", "other than", "instead of")  # fmt: skip
_WITH = ("with", "containing", "contains", "including", "featuring", "using", "have", "has", "having",
         "i've got", "made from", "made of", "made with")  # fmt: skip
_MARKERS = {tuple(text.split()): kind for kind in (_WITHOUT, _NO, _WITH) for text in kind}
_BREAKS = {";", ".", "!", "?", "|"}
_JOINS = {"and", "&", "or", "nor"}
_LEADING = _words(
    """any a an the some of both either added more much lots plenty loads fresh freshly
    dried chopped leftover ripe raw cooked frozen canned tinned extra good nice big small large few
    many real homemade my our"""
)
_ENDS = _words(
    """for in on from to that which who as at under within please made by i i'm we
    we're if is are because since when but than so like into over served topped it"""
)
# Heads of phrases that are no food: "not spicy", "no bake", "with friends".
_NO_FOOD = _words(
    """bake baking knead cook cooking churn fuss stir boil fail problem time oven
    effort hassle easy quick fast simple cheap healthy light warm cold hot spicy sweet sour creamy
    crispy crunchy love style twist kid friend family guest dinner lunch breakfast supper brunch
    dessert starter snack meal dish recipe summer winter ingredient pan grill microwave blender me
    it that this everything something anything nothing much skin crust edge top side too very
    complicated difficult expensive heavy greasy dry salty frying"""
)
_AT_THE_ENDS = {*",;.?!|&", *_words("and but or with also please have has i i'm we am are")}


def parse_query(text: str) -> Understood:
    """Return what a sentence asks for: foods to have, foods and groups to avoid, a time, and the rest.

    >>> understood = parse_query("something with chickpeas and spinach, no dairy")
    >>> understood.text, understood.where.have, understood.where.avoid
    ('chickpeas and spinach', ('chickpea', 'spinach'), ('@dairy', '@unlisted'))
    >>> parse_query("vegan lasagne under 30 minutes").where.minutes
    30.0
    >>> parse_query("No-bake cheesecake").where
    Filter(have=(), avoid=(), category=None, source=None, minutes=None)
    """
    plain = _SHORT.sub(lambda found: f"with{found[1] and 'out'} ", text.replace("’", "'")).strip()
    plain = _without_filler(plain)
    minutes = [limit for found in _LIMIT.finditer(plain) if (limit := _minutes(found)) > 0]
    reader = _Reader(_LIMIT.sub(" | ", plain))
    avoid = [*_excluded(plain), *reader.avoid]
    diets = [
        word
        for before, word in zip(["", *reader.words], reader.words, strict=False)
        if word in DIETS and before not in ("no", "not", "non")
    ]
    notes = tuple(dict.fromkeys(reader.notes))
    if not (minutes or avoid or reader.have or diets):
        return Understood(plain, EVERYTHING, notes)
    where = where_of([*reader.have, *diets], avoid, minutes=min(minutes, default=None))
    return Understood(reader.rest, where, notes)


def _without_filler(text: str) -> str:
    """Leave out words such as "show me something", unless there is nothing else."""
    found = _FILLER.match(text)
    return text[found.end() :].lstrip(" ,:") or text if found else text


def _minutes(found: re.Match[str]) -> float:
    number, unit = (part for part in found.groups() if part is not None)
    value = _NUMBERS.get(number.lower())
    return float(number.replace(",", ".") if value is None else value) * (60 if unit[0] in "hH" else 1)


def _excluded(text: str) -> list[str]:
    """Return what stands before "free": "dairy- and gluten-free", "sugar-free"."""
    found: list[str] = []
    for match in _FREE.finditer(text):
        before = [word for word in re.findall(r"\w+", match[1]) if named(normalised(word))]
        found += [
            *before,
            *([match[2]] if match[2].lower() not in _NOT_FREE_OF and normalised(match[2]) else []),
        ]
    return found + [
        {"alcoholic": "alcohol"}.get(kind := match[1].lower(), kind) for match in _NON.finditer(text)
    ]


class _Reader:
    """Reads the words of a query from left to right.

    Attributes:
        words: all of them, in lower case.
        have: foods that it asks for.
        avoid: foods that it excludes.
        rest: what is to be searched for: all but what it excludes.
        notes: what was not taken as a condition, and why.
    """

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text.replace("|", ";"))
        self.words = [token.lower() for token in self._tokens]
        self.have: list[str] = []
        self.avoid: list[str] = []
        self.notes: list[str] = []
        kept = self._read()
        while kept and kept[0].lower() in _AT_THE_ENDS:
            kept.pop(0)
        while kept and kept[-1].lower() in _AT_THE_ENDS:
            kept.pop()
        self.rest = re.sub(r"\s*(?:[,;]\s*)+", ", ", " ".join(kept)).replace(" ?", "?").replace(" .", ".")

    def _read(self) -> list[str]:
        """Collect foods, and return the tokens that stay."""
        kept: list[str] = []
        at = 0
        while at < len(self.words):
            length, kind = self._marker(at)
            start = at
            at += max(1, length)
            if kind is None:
                kept.append(self._tokens[start])
                continue
            foods, end = self._foods(at, kind)
            if kind is _WITH:
                kept += self._tokens[start:end]
                self.have += foods
            elif foods:
                self.avoid += foods
                while kept and kept[-1].lower() in _AT_THE_ENDS:
                    kept.pop()
                kept.append(",")
                end += end < len(self.words) and self.words[end] in _JOINS
            else:
                kept += self._tokens[start:end]
            at = end
        return kept

    def _marker(self, at: int) -> tuple[int, tuple[str, ...] | None]:
        """Return how many words from here on introduce foods, and of which kind they are."""
        for length in (3, 2, 1):
            if kind := _MARKERS.get(tuple(self.words[at : at + length])):
                return length, kind
        return 0, None

    def _foods(self, at: int, kind: tuple[str, ...]) -> tuple[list[str], int]:
        """Return the foods listed from here on, and where the list ends."""
        foods: list[str] = []
        either = False
        while True:
            food, end = self._food(at)
            if food is None:
                return ([] if either else foods), (end if not foods else at)
            foods.append(food)
            at = end
            join = self._join(at)
            if not join or not self._goes_on(join, at + len(join), kind):
                break
            either |= kind is _WITH and "or" in join
            at += len(join)
        if either:
            self.notes.append(f"{' or '.join(foods)}: searched for, but no condition, for either would do")
            return [], at
        return foods, at

    def _join(self, at: int) -> list[str]:
        """Return the comma and the word that join two foods here, if any does."""
        join = self.words[at : at + 1] if self.words[at : at + 1] == [","] else []
        word = self.words[at + len(join) : at + len(join) + 1]
        return join + (word if word and word[0] in _JOINS else [])

    def _goes_on(self, join: list[str], at: int, kind: tuple[str, ...]) -> bool:
        """Tell whether what follows a comma or "and" belongs to the same list."""
        if (
            self._marker(at)[1]
            or at >= len(self.words)
            or self.words[at] in {"lots", "plenty", "loads", "extra"}
        ):
            return False
        if join != [","] or kind is not _NO:
            return True
        food, end = self._food(at)  # "no nuts, chocolate cake" is none, "no nuts, eggs" is one
        if food is None:
            return False
        following = self._join(end)
        return bool(named(normalised(food))) or bool({"or", "nor"} & set(following))

    def _food(self, at: int) -> tuple[str | None, int]:
        """Return the food named from here on, None if it is none, and where the phrase ends."""
        start = at
        while at < len(self.words) and self.words[at] in _LEADING:
            at += 1
        first = at
        while at < len(self.words) and not self._ends(at):
            at += 1
        words = self.words[first:at]
        if not words:
            return None, start
        food = normalised(" ".join(words))
        if (
            not food
            or len(food.split()) > _LONGEST
            or {food, food.split()[-1], food.split()[0]} & _NO_FOOD_WORDS
        ):
            self.notes.append(f"{' '.join(self.words[start:at])}: not taken for a food, so no condition")
            return None, at
        return food, at

    def _ends(self, at: int) -> bool:
        word = self.words[at]
        return (
            word in _ENDS
            or word in _BREAKS
            or word in _JOINS
            or word == ","
            or self._marker(at)[1] is not None
        )


_NO_FOOD_WORDS = {normalised(word) for word in _NO_FOOD} | set(DIETS)
