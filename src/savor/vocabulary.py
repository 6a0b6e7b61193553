"""Vocabulary: the words of the training recipes, numbered, and how text becomes words and sentences."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from savor.errors import DataError
from savor.pickles import load_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

PAD, START, END = 0, 1, 2
SPECIAL, UNKNOWN = ("<pad>", "<start>", "<end>"), "<unk>"

# A number with its fraction or decimals, a word with its hyphens and apostrophes, or any other character.
_WORD = re.compile(r"\d+(?:[./,]\d+)*|[^\W\d_]+(?:[-'’][^\W\d_]+)*|\S")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+")
_REMEMBERED = 1 << 17  # lines, each met again in every epoch


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words, numbers and punctuation marks.

    >>> words_of("Chop 1 1/2 all-purpose onions; don't peel.")
    ['chop', '1', '1/2', 'all-purpose', 'onions', ';', "don't", 'peel', '.']
    """
    return _WORD.findall(text.lower())


def sentences(line: str, most: int = 50) -> list[str]:
    """Split a line behind full stops, semicolons, question and exclamation marks that a space follows.

    What is then still longer than `most` words is split after each `most`; nothing is left out.

    >>> sentences("Heat the oven. Mix; bake at 350.5 degrees.")
    ['Heat the oven.', 'Mix;', 'bake at 350.5 degrees.']
    """
    split = [sentence.split() for sentence in _SENTENCE_END.split(line.strip())]
    return [" ".join(one[start : start + most]) for one in split for start in range(0, len(one), most)]


class Vocabulary:
    """Words and their ids: 0 is padding, 1 the start and 2 the end of a line, the last any other word.

    >>> vocabulary = Vocabulary.of(["Fig tart", "fig jam"], min_count=2)
    >>> vocabulary.words
    ('<pad>', '<start>', '<end>', 'fig', '<unk>')
    >>> vocabulary.ids("Fig cake")
    [3, 4]
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Take all words in the order of their ids.

        Raises:
            DataError: the special words are not where they belong, or a word occurs twice.
        """
        self.words = tuple(words)
        if self.words[:3] != SPECIAL or self.words[-1] != UNKNOWN:
            raise DataError(
                f"a vocabulary starts with {', '.join(SPECIAL)} and ends with {UNKNOWN}; this does not"
            )
        self._ids = {word: number for number, word in enumerate(self.words)}
        if len(self._ids) < len(self.words):
            twice = next(word for word, count in Counter(self.words).items() if count > 1)
            raise DataError(f"a vocabulary in which {twice!r} occurs twice; each word has one id")
        self._read = lru_cache(_REMEMBERED)(self._look_up)

    @classmethod
    def of(cls, lines: Iterable[str], min_count: int = 10) -> Vocabulary:
        """Make one of the words that occur at least `min_count` times, the most frequent first."""
        counts = Counter(word for line in lines for word in words_of(line))
        frequent = (word for word in counts if counts[word] >= min_count)
        kept = sorted(frequent, key=lambda word: (-counts[word], word))
        return cls((*SPECIAL, *kept, UNKNOWN))

    def __len__(self) -> int:
        return len(self.words)

    def ids(self, line: str) -> list[int]:
        """Return the ids of the words of a line, without start and end."""
        return list(self._read(line))

    def _look_up(self, line: str) -> tuple[int, ...]:
        unknown = len(self.words) - 1
        return tuple(self._ids.get(word, unknown) for word in words_of(line))

    def to_json(self) -> str:
        """Return the words as a JSON list, one a line."""
        return json.dumps(self.words, ensure_ascii=False, indent=0)

    @classmethod
    def from_json(cls, text: str | bytes) -> Vocabulary:
        """Read what `to_json` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            words = json.loads(text)
        except ValueError as error:
            raise DataError(f"a vocabulary that is no JSON ({error})") from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise DataError("a vocabulary is a JSON list of words; this is something else")
        return cls(words)


def read_published(path: str | Path) -> Vocabulary:
    """Read a vocabulary file of the public code of H-T or of those that share its layout.

    It is a pickle: a dictionary id -> word (or id -> list of words, of which the first counts), or an object
    of a class `Vocabulary` that has such a dictionary as `idx2word`. Nothing in it is executed.

    Raises:
        DataError: it is something else; the message names the file.
    """
    values = load_all(path, classes=("Vocabulary",))
    table: Any = values[0] if values else None
    table = getattr(table, "idx2word", table)
    if not isinstance(table, dict) or set(table) != set(range(len(table))):
        raise DataError(f"{path}: no vocabulary; expected a dictionary from the ids 0, 1, 2, ... to words")
    words = [table[number] for number in range(len(table))]
    words = [word[0] if isinstance(word, list | tuple) and word else word for word in words]
    if not all(isinstance(word, str) for word in words):
        raise DataError(f"{path}: no vocabulary; an id stands for something else than a word")
    try:
        return Vocabulary(words)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
