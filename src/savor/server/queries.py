"""Queries: the last searches, so that feedback can name the one it is about."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

KEPT = 200
BYTES = 200 * 2**20  # of photos, together


@dataclass(frozen=True, slots=True)
class Query:
    """What was searched with: the bytes of a photo, words, or both; neither for a recipe or conditions."""

    photo: bytes | None = None
    text: str | None = None

    @property
    def asked(self) -> bytes | str | None:
        """The photo, or else the words."""
        return self.photo or self.text


class Queries:
    """The last queries by names nobody can guess; the oldest are forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Query] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, query: Query) -> str:
        """Keep a query and return its name."""
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[name] = query
            self._bytes += _size(query)
            while len(self._kept) > 1 and (len(self._kept) > KEPT or self._bytes > BYTES):
                self._bytes -= _size(self._kept.popitem(last=False)[1])
        return name

    def get(self, name: str) -> Query | None:
        """Return the query of this name, or None where it is forgotten."""
        with self._lock:
            return self._kept.get(name)


def _size(query: Query) -> int:
    return len(query.photo or b"")
