"""Word vectors in the binary format of word2vec, read without the program that wrote them.

The file starts with a line of two numbers, words and width. Each word follows as UTF-8, a space, and its
vector in float32, little endian; some writers end each with a line feed.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from savor.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

Array = np.ndarray[Any, np.dtype[Any]]

_HEADER = re.compile(rb"(\d{1,10})[ \t]+(\d{1,5})[ \t]*\r?\n")
_LONGEST = 2000  # bytes of a word, the limit of word2vec itself; beyond it, the file is something else


def read_vectors(path: str | Path, words: Container[str] | None = None) -> dict[str, Array]:
    """Read the vectors of some words, or of all, `(width,)` float32 each, in the order of the file.

    The file is read from start to end; in memory stay the vectors asked for. Of a word that occurs twice the
    first counts.

    Raises:
        DataError: the file is missing, is no such file, is cut off or goes on behind its last word, or a
            vector asked for has a number that is not finite.
    """
    found: dict[str, Array] = {}
    for word, vector in rows(path):
        if word not in found and (words is None or word in words):
            if not np.isfinite(vector).all():
                raise DataError(f"{path}: the vector of {word!r} is not finite; {_AGAIN}")
            found[word] = vector.copy()
    return found


def rows(path: str | Path) -> Iterator[tuple[str, Array]]:
    """Yield words and their vectors, `(width,)` float32, one after the other; copy what is to be kept.

    Raises:
        DataError: the file is missing, is no such file, is cut off or goes on behind its last word.
    """
    try:
        with Path(path).open("rb") as file:
            if not file.peek(1):
                raise DataError(f"{path}: empty; {_AGAIN}")
            # Mapped, not read: pages are given back while the file passes by.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield from _rows(data, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


_AGAIN = "copy or make the file again"


def _rows(data: mmap.mmap, path: str | Path) -> Iterator[tuple[str, Array]]:
    if data[:2] == b"\x1f\x8b":
        raise DataError(f"{path}: compressed; unpack it with gunzip first")
    header = _HEADER.match(data[:32])
    if header is None or not int(header[2]):
        raise DataError(
            f"{path}: no word2vec file; the binary format starts with the number of words and their width"
        )
    count, width = int(header[1]), int(header[2])
    size, position = 4 * width, header.end()
    for number in range(count):
        space = data.find(b" ", position, position + _LONGEST)
        start = space + 1
        if space < 0 and position + _LONGEST < len(data):
            raise DataError(
                f"{path}: damaged, or not in the binary format (no word where number {number + 1:,} of"
                f" {count:,} should be); write it with `-binary 1`, or copy it again"
            )
        if space < 0 or start + size > len(data):
            raise DataError(f"{path}: cut off in word {number + 1:,} of {count:,}; {_AGAIN}")
        # Copied out of the map, which cannot be closed while something looks into it.
        vector = np.frombuffer(data[start : start + size], "<f4").astype(np.float32, copy=False)
        yield data[position:space].lstrip(b"\n").decode("utf-8", "replace"), vector
        position = start + size
    if data[position : position + _LONGEST].strip():
        raise DataError(
            f"{path}: goes on behind its last word; its first line says {count} words of width"
            f" {width}; {_AGAIN}"
        )
