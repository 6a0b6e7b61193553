"""The exact index: the query is compared with all vectors in memory; good to some hundred thousand entries.

Vectors, texts and facts are in one file, `entries.sqlite`, and change together: see `savor.index.catalogue`.
Vectors are stored in float16 and held in float32.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from savor.index import EVERYTHING, Filter, Find, Match, catalogue
from savor.index.catalogue import KEYS, CatalogueIndex, key_of, put_blobs
from savor.index.folder import Array, Entries, damaged, stored
from savor.index.ranking import Vectors, unit


def create(path: Path, dim: int) -> dict[str, Any]:
    """Make an empty index in a folder; return what its manifest must say of it."""
    catalogue.create(path, vectors=True)
    return {}


def open(path: Path) -> ExactIndex:
    """Open the index in a folder."""
    return ExactIndex(path)


@dataclass(frozen=True)
class _Vectors:
    """All vectors of a list in the order of their ids, and to whom they belong."""

    keys: list[tuple[str, str | None]]  # recipe, photo
    rows: Vectors


class ExactIndex(CatalogueIndex):
    """An index that keeps vectors in its catalogue and compares all of them."""

    def nearest(self, find: Find, query: Array, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids."""
        with self._reading():
            vectors, mask = self._vectors(find), self._mask(find, where)
        rows, scores = vectors.rows.nearest(query, k, mask)
        return [Match(float(score), *vectors.keys[row]) for row, score in zip(rows, scores, strict=True)]

    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""
        find: Find = "recipes" if photo_id is None else "photos"
        rows = self._query(
            f"SELECT id, data, crc FROM {find}_vectors JOIN {find} USING (row) WHERE {KEYS[find]}",
            *key_of(recipe_id, photo_id),
        )
        return self._read(rows)[0] if rows else None

    def _vectors(self, find: Find) -> _Vectors:
        names = "id, NULL" if find == "recipes" else "recipe_id, id"
        order = "id" if find == "recipes" else "id, recipe_id"

        def load() -> _Vectors:
            rows = self._query(
                f"SELECT id, data, crc, {names} FROM {find}_vectors JOIN {find} USING (row) ORDER BY {order}"
            )
            return _Vectors([row[3:] for row in rows], Vectors(self._read([row[:3] for row in rows])))

        vectors: _Vectors = self._of_version(find, load)
        return vectors

    def _read(self, rows: list[tuple[str, bytes, int]]) -> Array:
        """Return stored vectors, given with their names and checksums, as unit rows `(n, dim)` float32."""
        data = b"".join(self._checked(data, crc, name) for name, data, crc in rows)
        try:
            return unit(np.frombuffer(data, "<f2").reshape(len(rows), self.manifest["dim"]))
        except ValueError as error:
            raise damaged(self.path, f"the vectors are not of {self.manifest['dim']} numbers") from error

    def _put_vectors(self, connection: sqlite3.Connection, find: Find, first: int, added: Entries) -> None:
        vectors = (vector.astype("<f2").tobytes() for vector in stored(added[find]))
        put_blobs(connection, f"{find}_vectors", first, vectors)
