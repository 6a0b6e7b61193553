"""The words of a recipe that may point at something: ingredients as phrases, and what is left of the rest.

No vocabulary is learned or shipped: the ingredients of a recipe are read off its own ingredient lines, with
the help of three short lists of English words written by hand. A recipe in another language keeps its words
one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from savor.recipe import PARTS

if TYPE_CHECKING:
    from savor.recipe import Recipe


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


UNITS = _set(
    """
    bag ball bottle box bulb bunch c can carton clove cm container cube cup dash dl dollop drop ear
    envelope fillet fl g gallon gm gr gram handful head inch jar kg kilogram knob l lb liter litre loaf
    milliliter millilitre mg ml mm ounce oz pack package packet part piece pinch pint pkg pound qt quart
    recipe rib scoop sheet slice splash sprig stalk stick strip tablespoon tbs tbsp teaspoon tin tsp
    degree f hour hr min minute sec second time
    """
)
# What is done to an ingredient or said of it; at the end of a phrase also ground and whole.
PREPARATIONS = _set(
    """
    about additional approximately assorted beaten best blanched boiled boiling bone-in boneless bought
    broken chilled chopped chunky coarse coarsely cold cooked cooled cored crosswise crumbled crushed
    cubed cut deboned defatted deveined diagonally diced divided drained dried dry dusting extra
    extra-large extra-virgin favorite favourite fat-free fine finely firm firmly fresh freshly frozen
    garnish generous good good-quality grated ground halved heaping heated homemade hot hulled husked
    juiced julienned kosher large leftover lengthwise lightly little loosely low-fat low-sodium lukewarm
    mashed matchstick-size medium melted minced mixed natural nonfat optional organic packed part-skim patted
    peeled pitted plain plus prepared pressed pure purchased quality quartered raw ready refrigerated
    reserved rinsed ripe roasted roughly room room-temperature scant scrubbed seeded separated serving
    shaved shelled shredded shucked sifted skin-on skinless skinned sliced slivered small smashed softened
    split squeezed stemmed store-bought strained temperature tender thawed thick thickly thin thinly
    toasted torn trimmed uncooked unpeeled unsalted unsweetened very warm warmed washed weighed well
    whipped whole young zested
    """
)
# These alone say nothing of an ingredient whose phrase they begin: red of red wine, all of all-purpose flour.
QUALITIES = _set(
    """
    all all-purpose baby baking big bitter black blue bread brown cake canned clear cooking creamy crisp
    dark double flat-leaf golden green heavy hard instant italian japanese jumbo light long long-grain new
    old orange pink plain powdered purple red rich salted self-raising self-rising short smoked soft sour
    spicy spring sweet table thai vegetable virgin white wild yellow
    """
)
STOPS = _set(
    """
    a about above after again all along also am an and another any are around as aside at away back be
    because been before being below between both but by can could did do does doing done down during each
    either else enough etc even every few for from further had has have having he her here him his how
    however i if in into is it its itself just keep kept least less let like make may me might more most
    much must my need needed no nor not now of off on once one only onto or other our out over own per put
    rather s same set she should so some still such t taste than that the their them then there these they
    this those though through to together too toward towards two three four five six seven eight nine ten
    dozen half third quarter under until up upon us use used using very was way we well were what when
    where which while who will with within without would yet you your
    """
)
# What stands between two names ("butter or lard"), or behind the last: "parsley, chopped", "oil for frying".
_BREAKS = re.compile(
    r"(?P<between>[/+&]|(?<![\w-])(?:and|or|plus|of)(?![\w-]))|[,;:–—]|\s-\s|"
    r"(?<![\w-])(?:for|to|from|with|without|such|in|into|at|about|preferably|as)(?![\w-])|$",
    re.IGNORECASE,
)
_PARENTHESES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
# Letters of any script, joined by hyphens and apostrophes; digits only behind letters, as in 00 flour's B12.
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_PLURALS = {"leaves": "leaf", "loaves": "loaf", "halves": "half", "knives": "knife", "teeth": "tooth"}


@dataclass(frozen=True, slots=True)
class Word:
    """A word or an ingredient's name, and where it stands.

    Attributes:
        text: as the line has it.
        part: `title`, `ingredients` or `instructions`.
        line: number of the line in `Recipe.lines(part)`.
        start: first character in the line.
        end: the character behind the last one.
        kind: `word` or `ingredient`.
    """

    text: str
    part: str
    line: int
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    end: int
    key: str  # lower case, singular


def words_of(recipe: Recipe) -> tuple[Word, ...]:
    """Return the words of a recipe in reading order, without stop words, quantities and units.

    The ingredients named in the ingredient lines are one word each, wherever they are mentioned again.

    >>> from savor.recipe import Recipe
    >>> soup = Recipe("1", "Lentil soup", ("2 cups red lentils, rinsed",), ("Boil the lentils.",))
    >>> [word.text for word in words_of(soup)]
    ['Lentil', 'soup', 'red lentils', 'rinsed', 'Boil', 'lentils']
    >>> [word.text for word in words_of(soup) if word.kind == "ingredient"]
    ['Lentil', 'red lentils', 'lentils']
    """
    mentions = _mentions([tuple(name.split()) for name in ingredients(recipe)])
    return tuple(
        word
        for part in PARTS
        for number, line in enumerate(recipe.lines(part))
        for word in _in_line(line, part, number, mentions)
    )


def ingredients(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of a recipe's ingredients in order, each once: lower case, singular, without quantity.

    >>> from savor.recipe import Recipe
    >>> ingredients(Recipe("1", ingredients=("2 large red onions (sliced)", "Salt and black pepper")))
    ('red onion', 'salt', 'black pepper')
    """
    found = (" ".join(name) for line in recipe.lines("ingredients") for name in _names(line))
    return tuple(dict.fromkeys(found))


def _in_line(line: str, part: str, number: int, mentions: frozenset[tuple[str, ...]]) -> Iterator[Word]:
    longest = max(map(len, mentions), default=0)
    tokens = _tokens(line)
    position = 0
    while position < len(tokens):
        found = next(
            (
                count
                for count in range(min(longest, len(tokens) - position), 0, -1)
                if tuple(token.key for token in tokens[position : position + count]) in mentions
                and _together(line, tokens[position : position + count])
            ),
            0,
        )
        some = tokens[position : position + max(found, 1)]
        position += len(some)
        start, end = some[0].start, some[-1].end
        if found:
            yield Word(line[start:end], part, number, start, end, "ingredient")
        elif not _says_nothing(some[0].key, line[start:end]):
            yield Word(line[start:end], part, number, start, end, "word")


def _together(line: str, tokens: Sequence[_Token]) -> bool:
    """Tell whether nothing but blanks stands between neighbouring words."""
    return all(not line[one.end : other.start].strip() for one, other in pairwise(tokens))


def _says_nothing(key: str, text: str) -> bool:
    return key in UNITS or key in STOPS or text.lower() in STOPS or (len(text) == 1 and text.isascii())


def _names(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the ingredients that an ingredient line names, usually one, as keys."""
    bare = _PARENTHESES.sub(lambda match: "," * len(match[0]), line)
    start, found = 0, False
    for match in _BREAKS.finditer(bare):
        if name := _name([token.key for token in _tokens(bare[start : match.start()])]):
            found = True
            yield name
        # Before a name may stand its qualities, with commas: "boneless, skinless thighs".
        if found and not match["between"]:
            return
        start = match.end()


def _name(keys: list[str]) -> tuple[str, ...]:
    """Strip what stands around a name: "2 cups finely chopped red onion" -> red onion.

    Of nothing but units the last one is a name: cloves, in "1 teaspoon cloves".
    """
    inner = list(keys)
    while inner and _around(inner[0]):
        inner.pop(0)
    while inner and _around(inner[-1]):
        inner.pop()
    units = [key for key in keys if key in UNITS and len(key) > 2]
    if not inner and len(units) > 1:
        inner = units[-1:]
    return tuple(inner)


def _around(key: str) -> bool:
    return key in UNITS or key in PREPARATIONS or key in STOPS or len(key) == 1


def _mentions(names: Sequence[tuple[str, ...]]) -> frozenset[tuple[str, ...]]:
    """Return what the ingredients may be called: red bell pepper, bell pepper, pepper, bell; not red."""
    found = set()
    for name in names:
        for start, end in combinations(range(len(name) + 1), 2):
            if end == len(name) or not set(name[start:end]) <= QUALITIES:
                found.add(name[start:end])
    return frozenset(found)


def _tokens(line: str) -> list[_Token]:
    return [_Token(match.start(), match.end(), _singular(match[0].lower())) for match in _WORD.finditer(line)]


def _singular(word: str) -> str:
    """Return a word so that its plural and its singular are equal; it need not be a word of English.

    >>> [_singular(word) for word in ("berries", "tomatoes", "radishes", "leaves", "olives", "asparagus")]
    ['berry', 'tomato', 'radish', 'leaf', 'olive', 'asparagus']
    """
    if word in _PLURALS:
        return _PLURALS[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith("ie"):
        return word[:-2] + "y"  # with cookies -> cooky
    if word.endswith(("oes", "ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
