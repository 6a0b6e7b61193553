"""The catalogue: texts and facts of all entries in one SQLite file, with its full-text search.

Everything changes in one transaction: killed at any moment it is as before or as it should become, and what
other processes read meanwhile is one or the other.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from savor.errors import VectorIndexError
from savor.index import EVERYTHING, Facets, Filter, Find, Match, Order
from savor.index.columns import NOTHING_KNOWN, columns_of, hashed, query_words
from savor.index.folder import (
    LISTS,
    Array,
    Entries,
    FolderIndex,
    Record,
    changed_meanwhile,
    damaged,
    next_version,
)
from savor.index.table import Table

FILE = "entries.sqlite"
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE recipes (row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL, title TEXT NOT NULL, category TEXT, source TEXT, minutes REAL);
CREATE TABLE photos (row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, recipe_id TEXT NOT NULL,
    content TEXT NOT NULL, UNIQUE (id, recipe_id));
CREATE INDEX photos_of_recipes ON photos (recipe_id);
CREATE TABLE recipes_records (row INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE photos_records (row INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE recipes_terms (row INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "unicode61 remove_diacritics 2");
"""
_VECTORS = """
CREATE TABLE recipes_vectors (row INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE photos_vectors (row INTEGER PRIMARY KEY, data BLOB NOT NULL, crc INTEGER NOT NULL);
"""
_WAIT = 60.0  # seconds for another process to finish writing
_PAGES = -262_144  # kB of memory for a change: what does not fit would lock readers out before it is done
_NAMES = 500  # recipes read at once
_MASKS = 64  # filters whose recipes are remembered
_FEW = 1000  # empty pages that are not worth moving the others
_TABLE = "SELECT row, id, title, category, source, minutes FROM recipes ORDER BY id"
_CONTENTS = "SELECT id, content FROM recipes UNION SELECT recipe_id, content FROM photos"
_VERSION = "SELECT value FROM facts WHERE name = 'version'"
KEYS: Mapping[Find, str] = {"recipes": "id = ?", "photos": "id = ? AND recipe_id = ?"}


def create(path: Path, *, vectors: bool) -> None:
    """Make an empty catalogue in the folder of an index, with or without room for vectors."""
    connection = sqlite3.connect(path / FILE)
    try:
        connection.executescript(_SCHEMA + (_VECTORS if vectors else ""))
        connection.execute("INSERT INTO facts VALUES ('version', '\"0\"'), ('data', '[]')")
        connection.commit()
    except sqlite3.Error as error:
        raise VectorIndexError(
            f"{path}: {FILE} cannot be made ({error}); see whether the disk has room; where fts5 is missing,"
            " install a Python whose SQLite has it"
        ) from error
    finally:
        connection.close()


class CatalogueIndex(FolderIndex):
    """An index whose texts, facts and full text are in a catalogue; the vectors may be elsewhere."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock, self._depth = threading.RLock(), 0
        self._connection: sqlite3.Connection | None = None
        self._cached: dict[str, Any] = {}
        self._planned = self.version
        self.manifest["data"] = self._fact("data")

    @property
    def version(self) -> str:
        """Another one after every addition or removal."""
        return str(self._fact("version"))

    def _fact(self, name: str) -> Any:
        ((value,),) = self._query("SELECT value FROM facts WHERE name = ?", name)
        return json.loads(value)

    def _query(self, sql: str, *values: Any) -> list[Any]:
        """Return the rows of a query.

        Raises:
            VectorIndexError: the file is no catalogue, or damaged.
        """
        try:
            with self._lock:
                if self._connection is None:
                    self._connection = connect(self.path)
                return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise damaged(self.path, f"{FILE} cannot be read ({error})") from error

    def close(self) -> None:
        """Let go of the file; it is opened again when the index is next asked."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Let all queries of a block see one and the same version; blocks may stand in each other."""
        with self._lock:
            if self._depth == 0:
                self._query("BEGIN")
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._query("COMMIT")

    def _of_version(self, name: str, load: Callable[[], Any]) -> Any:
        """Return what was loaded for the present version, or load it."""
        with self._reading():
            version, cached = self.version, self._cached.get(name)
            if cached is None or cached[0] != version:
                self._cached[name] = cached = (version, load())
                self.manifest["data"] = self._fact("data")
        return cached[1]

    @property
    def _table(self) -> Table:
        table: Table = self._of_version("table", lambda: Table(self._query(_TABLE)))
        return table

    def _terms(self) -> tuple[Array, Array]:
        """Return all terms of all recipes, and of each the position of its recipe, `(terms,)` each."""

        def load() -> tuple[Array, Array]:
            rows = self._query(
                "SELECT recipes.id, data, crc FROM recipes JOIN recipes_terms USING (row) ORDER BY recipes.id"
            )
            data = b"".join(self._checked(data, crc, name) for name, data, crc in rows)
            numbers = [len(data) // 8 for _, data, _ in rows]
            return np.frombuffer(data, "<i8"), np.repeat(np.arange(len(rows), dtype=np.int32), numbers)

        found: tuple[Array, Array] = self._of_version("terms", load)
        return found

    def _checked(self, data: bytes, crc: int, name: str) -> bytes:
        if zlib.crc32(data) != crc:
            raise damaged(self.path, f"the checksum of what is stored of {name!r} differs")
        return data

    def _mask(self, find: Find, where: Filter) -> Array | None:
        """Return which entries, in the order of their ids, a filter lets pass, `(n,)`; None for all."""
        if not where:
            return None

        def load() -> Array:
            passing = self._passing(table, where)
            return passing[self._of_version("owners", self._owners)] if find == "photos" else passing[:-1]

        with self._reading():
            table = self._table
            return table.masks.of((find, where), load)

    def _passing(self, table: Table, where: Filter) -> Array:
        """Return which recipes a filter lets pass, `(n + 1,)`; the last stands for one that is not listed."""
        passing = np.append(table.passing(where), where.passes(NOTHING_KNOWN))
        for term in where.have:
            passing[:-1] &= self._having(table, term)
        for term in where.avoid:
            passing[:-1] &= ~self._having(table, term)
        return passing

    def _having(self, table: Table, term: str) -> Array:
        """Return which recipes have a term, `(n,)`."""

        def load() -> Array:
            terms, holders = self._terms()
            having = np.zeros(len(table), bool)
            having[holders[terms == hashed(term)]] = True
            return having

        return table.having.of(term, load)

    def _owners(self) -> Array:
        """Return the position of each photo's recipe, `(photos,)`; one behind the last for one not listed."""
        place = {name: position for position, name in enumerate(self._table.ids)}
        owners = self._query("SELECT recipe_id FROM photos ORDER BY id, recipe_id")
        return np.array([place.get(owner, len(place)) for (owner,) in owners], np.int64)

    def count(self, find: Find, where: Filter = EVERYTHING) -> int:
        """Return how many recipes or photos there are, of those that a filter lets pass."""
        mask = self._mask(find, where)
        if mask is not None:
            return int(mask.sum())
        ((number,),) = self._query(f"SELECT count(*) FROM {find}")
        return int(number)

    def words(self, text: str, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k recipes that words describe best (BM25), equal ones in order of their ids."""
        wanted = " OR ".join(f'"{word}"' for word in query_words(text))
        if not wanted:
            return []
        with self._reading():
            table, mask = self._table, self._mask("recipes", where)
            found = self._query("SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?", wanted)
        if not found:
            return []
        places, scores = table.places([row for row, _ in found]), np.array([score for _, score in found])
        if mask is not None:
            places, scores = places[mask[places]], scores[mask[places]]
        best = np.lexsort((places, -scores))[:k]
        return [Match(float(scores[one]), table.ids[places[one]]) for one in best]

    def listed(
        self, where: Filter = EVERYTHING, *, offset: int = 0, limit: int = 50, order: Order = "title"
    ) -> list[str]:
        """Return the ids of recipes in an order to browse."""
        with self._reading():
            table, mask = self._table, self._mask("recipes", where)
        positions = table.order(order)
        if mask is not None:
            positions = positions[mask[positions]]
        return [table.ids[place] for place in positions[offset : offset + limit]]

    def facets(self) -> Facets:
        """Return the categories and sources of the recipes with their numbers, the most frequent first."""
        return self._table.facets

    def contents(self) -> dict[str, str]:
        """Return for each recipe id, of recipes and of photos, the digest of what was added under it."""
        with self._reading():
            self._planned = self.version
            return dict(self._query(_CONTENTS))

    def _record(self, recipe_id: str, photo_id: str | None = None) -> Record | None:
        find: Find = "recipes" if photo_id is None else "photos"
        found = self._query(
            f"SELECT data, crc FROM {find}_records JOIN {find} USING (row) WHERE {KEYS[find]}",
            *key_of(recipe_id, photo_id),
        )
        if not found:
            return None
        ((data, crc),) = found
        return dict(json.loads(self._checked(data, crc, recipe_id if photo_id is None else photo_id)))

    def _records(self, recipe_ids: Sequence[str]) -> dict[str, Record]:
        """Read many at once: searches that run side by side wait for each other at every single look."""
        found: dict[str, Record] = {}
        for start in range(0, len(recipe_ids), _NAMES):
            names = recipe_ids[start : start + _NAMES]
            rows = self._query(
                "SELECT id, data, crc FROM recipes JOIN recipes_records USING (row) WHERE id IN"
                f" ({', '.join('?' * len(names))})",
                *names,
            )
            found |= {name: json.loads(self._checked(data, crc, name)) for name, data, crc in rows}
        return found

    def verify(self) -> None:
        """Compare what is there with its checksums, but for thumbnails and states."""
        super().verify()
        ((state,), *_) = self._query("PRAGMA quick_check(1)")
        if state != "ok":
            raise damaged(self.path, f"{FILE}: {state}")
        tables = self._query("SELECT name FROM sqlite_master WHERE sql LIKE '%crc INTEGER%'")
        for (name,) in tables:
            for data, crc in self._query(f"SELECT data, crc FROM {name}"):
                self._checked(data, crc, name)

    def add(self, added: Entries, replaced: Collection[str], **facts: Any) -> None:
        """Add entries, leave out what stands under the recipe ids `replaced`, and note facts."""
        with self._changing() as connection:
            version = next_version(self._planned, added, replaced)
            for find in LISTS:
                _leave_out(connection, find, replaced)
                first = _put(connection, find, [record for record, _ in added[find]])
                self._put_vectors(connection, find, first, added)
            for name, value in {**facts, "version": version}.items():
                connection.execute("REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))
        self._planned = version
        self.manifest["data"] = self._fact("data")

    def _put_vectors(self, connection: sqlite3.Connection, find: Find, first: int, added: Entries) -> None:
        """Store the vectors of entries that have been given the rows from `first` on."""

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """Offer a connection for changes, all of which happen or none.

        Raises:
            VectorIndexError: something else has changed it since it was looked at, or it cannot be written.
        """
        connection = connect(self.path)
        try:
            connection.execute(f"PRAGMA cache_size = {_PAGES}")
            connection.execute("BEGIN IMMEDIATE")
            if json.loads(connection.execute(_VERSION).fetchone()[0]) != self._planned:
                raise changed_meanwhile(self.path)
            yield connection
            connection.execute("COMMIT")
            _compact(connection)
        except sqlite3.Error as error:
            raise VectorIndexError(
                f"{self.path}: cannot be changed, it is as it was ({error}); see whether the folder can be"
                " written and the disk has room"
            ) from error
        finally:
            connection.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the catalogue in the folder of an index; one connection serves all threads."""
    file = f"{(path / FILE).absolute().as_uri()}?mode=rw"
    return sqlite3.connect(file, uri=True, timeout=_WAIT, isolation_level=None, check_same_thread=False)


def key_of(recipe_id: str, photo_id: str | None) -> tuple[str, ...]:
    """Return the values of a condition of `KEYS`."""
    return (recipe_id,) if photo_id is None else (photo_id, recipe_id)


def put_blobs(connection: sqlite3.Connection, table: str, first: int, blobs: Iterable[bytes]) -> None:
    """Store bytes with their checksums under the rows from `first` on."""
    rows = ((first + number, blob, zlib.crc32(blob)) for number, blob in enumerate(blobs))
    connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", rows)


def _put(connection: sqlite3.Connection, find: Find, records: Sequence[Record]) -> int:
    """Store records; return the row of the first, the others follow."""
    ((last,),) = connection.execute(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?", (find,)
    )
    rows = range(last + 1, last + 1 + len(records))
    blobs = (json.dumps(record, ensure_ascii=False).encode() for record in records)
    put_blobs(connection, f"{find}_records", rows.start, blobs)
    if find == "photos":
        photos = (
            (row, one["id"], one["recipe_id"], one["content"]) for row, one in zip(rows, records, strict=True)
        )
        connection.executemany("INSERT INTO photos VALUES (?, ?, ?, ?)", photos)
        return rows.start
    for row, record in zip(rows, records, strict=True):
        columns = columns_of(record)
        facts = (columns.title, columns.category, columns.source, columns.minutes)
        connection.execute(
            "INSERT INTO recipes VALUES (?, ?, ?, ?, ?, ?, ?)", (row, record["id"], record["content"], *facts)
        )
        put_blobs(connection, "recipes_terms", row, [np.array(columns.terms, "<i8").tobytes()])
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (row, columns.text))
    return rows.start


def _leave_out(connection: sqlite3.Connection, find: Find, recipe_ids: Collection[str]) -> None:
    """Delete the entries of some recipes."""
    owner = "id" if find == "recipes" else "recipe_id"
    rows = [
        row
        for recipe_id in recipe_ids
        for row in connection.execute(f"SELECT row FROM {find} WHERE {owner} = ?", (recipe_id,))
    ]
    tables = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE ?", (f"CREATE TABLE {find}%",))
    for (table,) in tables.fetchall():
        connection.executemany(f"DELETE FROM {table} WHERE row = ?", rows)
    if find == "recipes":
        connection.executemany("DELETE FROM words WHERE rowid = ?", rows)


def _compact(connection: sqlite3.Connection) -> None:
    """Give room back to the disk where most of the file is empty."""
    (free,), (pages,) = (
        connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count")
    )
    if free > max(_FEW, pages // 2):
        with suppress(sqlite3.Error):  # no room for a copy, or someone reads: then another time
            connection.execute("VACUUM")
