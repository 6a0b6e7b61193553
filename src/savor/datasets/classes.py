"""Title classes, derived as Recipe1M's were: frequent bigrams of training titles; 0 is the background."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

BACKGROUND = "background"

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

# A bigram with one of these names no dish: "soup with", "best ever", "my favourite".
_STOP_WORDS = """
a all amazing an and any as at au authentic aux avec awesome basic best better big by classic con da
day de del delicious des di du e easiest easy eight el en et ever famous fast fat favorite favourite
first five for four free from good grandma's great healthy home homemade hour hours i ii iii in
inspired into it's its la las le les light like los low made make mama's minute minutes mom's mum's
my n new nine no non o of old on one or our over per perfect plus quick quickest real really recipe
recipes s seven simple six special step style super t tasty ten the their this three to two type
ultimate un una under une vegan vegetarian very w way with without y your yummy
"""
_STOP = frozenset(_STOP_WORDS.split())


def derive_classes(titles: Iterable[str], *, min_count: int = 5, most: int = 1000) -> tuple[str, ...]:
    """Return the class names: `background`, then the bigrams of the titles, the most frequent first.

    A bigram is two words next to each other in the lower-cased title; it becomes a class if neither is a stop
    word and at least `min_count` titles have it (Recipe1M: 20). At most `most` bigrams are taken, equally
    frequent ones in alphabetical order. Give training titles only. Source: Salvador et al. 2017, section 3.2.

    >>> derive_classes(["Ice Cream Cake", "Ice cream with figs", "Fig tart"], min_count=2)
    ('background', 'ice cream')
    """
    counts: Counter[str] = Counter()
    for title in titles:
        counts.update(set(_bigrams(title)))
    names = sorted(
        (name for name, count in counts.items() if count >= min_count and _STOP.isdisjoint(name.split())),
        key=lambda name: (-counts[name], name),
    )
    return (BACKGROUND, *names[:most])


def classify(title: str, classes: tuple[str, ...]) -> int:
    """Return the index of the first class whose two words stand in the title next to each other, else 0.

    >>> classify("Vanilla ice cream cake", ("background", "ice cream", "cream cake"))
    1
    >>> classify("Rice creamed", ("background", "ice cream"))
    0
    """
    index = _index(classes)
    return min((index[bigram] for bigram in _bigrams(title) if bigram in index), default=0)


def _bigrams(title: str) -> list[str]:
    return [f"{first} {second}" for first, second in pairwise(_WORD.findall(title.lower()))]


@lru_cache(maxsize=8)
def _index(classes: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(classes) if number}
