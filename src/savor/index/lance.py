"""The index for large collections: vectors, words and filters in two LanceDB tables.

`tables/` has one table for recipes and one for photos. A change makes new versions of them, and the manifest
names the two that count: killed at any moment the index is as it was, and the next change begins with those.
What is nearest is first looked up in an index over vectors of 8 bits a number (IVF_SQ); the best of that
are scored again with the stored vectors as the exact index does, which decides.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout
from lancedb.index import FTS, Bitmap, BTree, IvfSq, LabelList

from savor.errors import VectorIndexError
from savor.index import EVERYTHING, Facets, Filter, Find, Match, Order
from savor.index.columns import (
    UNKNOWN,
    Columns,
    browsing_order,
    columns_of,
    folded,
    hashed,
    query_words,
    tally,
)
from savor.index.folder import (
    LISTS,
    MANIFEST,
    Array,
    Entries,
    Entry,
    FolderIndex,
    Record,
    changed_meanwhile,
    damaged,
    next_version,
    read_manifest,
    stored,
    write_manifest,
)
from savor.index.ranking import cosines, in_looks, unit
from savor.index.recent import Recent

TABLES, LOCK = "tables", "changing.lock"
_BATCH = 10_000  # entries written at a time
_NAMES = 500  # ids in one condition
_INDEXED = 5_000  # entries, from which on an index over the vectors is worth its while
_SEGMENTS = 16  # of that index: each change adds one, and what they cover is not put together on the disk
_PROBES = 64  # of its parts that are looked into
_FEW = 2_000  # entries that pass a filter and are compared one by one
_RECORDS = 2_000  # that are remembered
_LOCK_WAIT = 60.0  # seconds for another process to finish writing
_NEVER = timedelta(days=36_500)
_READERS = timedelta(minutes=1)  # how long a version stays for those who are reading it


def create(path: Path, dim: int) -> dict[str, Any]:
    """Make empty tables in the folder of an index; return what its manifest must say of them."""
    database = lancedb.connect(path / TABLES)
    versions = {}
    for find in LISTS:
        table = database.create_table(find, schema=_schema(dim))
        for column, config in _indexes(find).items():
            table.create_index(column, config=config)
        versions[find] = table.version
    counts = dict.fromkeys(LISTS, 0)
    return {"version": "0", "data": [], "tables": versions, "counts": counts, "trained": counts}


def open(path: Path) -> LanceIndex:
    """Open the index in a folder."""
    return LanceIndex(path)


def _schema(dim: int) -> pa.Schema:
    text = ("id", "recipe_id", "content", "record", "title", "category", "source", "text")
    return pa.schema(
        [
            *((name, pa.string()) for name in text),
            ("category_key", pa.string()),
            ("source_key", pa.string()),
            ("minutes", pa.float64()),
            ("terms", pa.list_(pa.int64())),
            ("vector", pa.list_(pa.float16(), dim)),
        ]
    )


def _indexes(find: Find) -> dict[str, Any]:
    filters = {"category_key": Bitmap(), "source_key": Bitmap(), "minutes": BTree(), "terms": LabelList()}
    if find == "photos":
        return {"id": BTree(), "recipe_id": BTree(), **filters}
    words = FTS(base_tokenizer="whitespace", with_position=False, stem=False, remove_stop_words=False)
    return {"id": BTree(), **filters, "text": words}


class _View:
    """The two tables as of one version, and what has been read of them."""

    def __init__(self, path: Path, manifest: Record) -> None:
        self.manifest = manifest
        database = lancedb.connect(path / TABLES)
        self.tables: dict[Find, Any] = {}
        for find in LISTS:
            self.tables[find] = database.open_table(find)
            self.tables[find].checkout(manifest["tables"][find])
        self.records: Recent[Record | None] = Recent(2 * _RECORDS)  # by the ids of recipe and photo
        self.answers: Recent[Any] = Recent(_NAMES)


class LanceIndex(FolderIndex):
    """An index that keeps its entries in LanceDB."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._planned = self.version

    @property
    def version(self) -> str:
        """Another one after every addition or removal."""
        return str(self._view.manifest["version"])

    @property
    def _view(self) -> _View:
        """The tables that the manifest names now.

        Raises:
            VectorIndexError: they are not there.
        """
        with self._lock:
            facts = (self.path / MANIFEST).stat()
            stamp = (facts.st_mtime_ns, facts.st_ino)
            if stamp != self._stamp:
                self.manifest = read_manifest(self.path)
                try:
                    self._seen = _View(self.path, self.manifest)
                except Exception as error:  # LanceDB raises ValueError, RuntimeError and OSError
                    raise damaged(self.path, f"{TABLES} cannot be read ({error})") from error
                self._stamp = stamp
            return self._seen

    def count(self, find: Find, where: Filter = EVERYTHING) -> int:
        """Return how many recipes or photos there are, of those that a filter lets pass."""
        return self._count(self._view, find, where)

    def _count(self, view: _View, find: Find, where: Filter) -> int:
        if not where:
            return int(view.manifest["counts"][find])
        condition = _condition(where)
        return int(view.answers.of((find, where), lambda: view.tables[find].count_rows(condition)))

    def nearest(self, find: Find, query: Array, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids.

        Of those that the first look passes over none is an answer, so that recall is a little below 1.
        """
        view = self._view
        passing = self._count(view, find, where)
        owner = "id" if find == "recipes" else "recipe_id"

        def look(depth: int) -> tuple[list[Match], bool]:
            search = view.tables[find].search(query.astype(np.float32), vector_column_name="vector")
            search = search.distance_type("cosine").nprobes(_PROBES).limit(depth)
            if where:
                search = search.where(_condition(where), prefilter=True)
            if passing <= _FEW:
                search = search.bypass_vector_index()
            found = search.select(list({"id", owner, "vector", "_distance"})).to_arrow()
            scores = cosines(unit(self._vectors(found)), query)
            keys = zip(found["id"].to_pylist(), found[owner].to_pylist(), strict=True)
            ranked = sorted(zip(-scores, keys, strict=True))
            matches = [
                Match(float(-score), key[1], key[0] if owner != "id" else None) for score, key in ranked
            ]
            return matches, len(found) < depth

        return self._prefetched(view, in_looks(look, k) if passing else [])

    def _vectors(self, found: pa.Table) -> Array:
        flat = found["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(found), self.manifest["dim"])

    def words(self, text: str, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k recipes that words describe best (BM25), equal ones in order of their ids."""
        view, wanted = self._view, " ".join(query_words(text))

        def look(depth: int) -> tuple[list[Match], bool]:
            search = view.tables["recipes"].search(wanted, query_type="fts", fts_columns="text").limit(depth)
            if where:
                search = search.where(_condition(where), prefilter=True)
            found = search.select(["id", "_score"]).to_arrow()
            pairs = zip(found["_score"].to_pylist(), found["id"].to_pylist(), strict=True)
            ranked = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
            return [Match(score, name) for score, name in ranked], len(found) < depth

        return self._prefetched(view, in_looks(look, k) if wanted else [])

    def listed(
        self, where: Filter = EVERYTHING, *, offset: int = 0, limit: int = 50, order: Order = "title"
    ) -> list[str]:
        """Return the ids of recipes in an order to browse."""
        view = self._view

        def load() -> list[str]:
            ids, titles, minutes = self._scan(view, "recipes", ["id", "title", "minutes"], _condition(where))
            return [ids[place] for place in browsing_order(ids, titles, minutes, order)]

        found: list[str] = view.answers.of((order, where), load)[offset : offset + limit]
        self._prefetch(view, found)
        return found

    def facets(self) -> Facets:
        """Return the categories and sources of the recipes with their numbers, the most frequent first."""
        view = self._view

        def load() -> Facets:
            categories, sources = self._scan(view, "recipes", ["category", "source"])
            return {"categories": tally(categories), "sources": tally(sources)}

        facets: Facets = view.answers.of("facets", load)
        return facets

    def contents(self) -> dict[str, str]:
        """Return for each recipe id, of recipes and of photos, the digest of what was added under it."""
        view = self._view
        self._planned = str(view.manifest["version"])
        lists = [zip(*self._scan(view, find, ["recipe_id", "content"]), strict=True) for find in LISTS]
        return {recipe_id: content for some in lists for recipe_id, content in some}

    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""
        find: Find = "recipes" if photo_id is None else "photos"
        search = self._view.tables[find].search().where(_is(recipe_id, photo_id)).limit(1)
        found = search.select(["vector"]).to_arrow()
        return unit(self._vectors(found))[0] if len(found) else None

    def vectors(self, keys: Sequence[tuple[str, str | None]]) -> list[Array | None]:
        """Return what `vector` gives for each of many recipe ids and photo ids: two looks for 500 of them."""
        view = self._view
        found: dict[tuple[str, str | None], Array] = {}
        lists: tuple[tuple[Find, list[str]], ...] = (
            ("recipes", [recipe_id for recipe_id, photo_id in keys if photo_id is None]),
            ("photos", [recipe_id for recipe_id, photo_id in keys if photo_id is not None]),
        )
        for find, names in lists:
            owner = "id" if find == "recipes" else "recipe_id"
            for start in range(0, len(names), _NAMES):
                search = view.tables[find].search().where(_among(owner, names[start : start + _NAMES]))
                rows = search.select(list({"id", owner, "vector"})).to_arrow()
                photos = rows["id"].to_pylist() if find == "photos" else [None] * len(rows)
                pairs = zip(rows[owner].to_pylist(), photos, strict=True)
                found.update(zip(pairs, unit(self._vectors(rows)), strict=True))
        return [found.get(key) for key in keys]

    def _record(self, recipe_id: str, photo_id: str | None = None) -> Record | None:
        view = self._view

        def load() -> Record | None:
            find: Find = "recipes" if photo_id is None else "photos"
            (found,) = self._scan(view, find, ["record"], _is(recipe_id, photo_id))
            return dict(json.loads(found[0])) if found else None

        return view.records.of((recipe_id, photo_id), load)

    def _prefetched(self, view: _View, matches: list[Match]) -> list[Match]:
        self._prefetch(view, [match.recipe_id for match in matches])
        return matches

    def _prefetch(self, view: _View, recipe_ids: Sequence[str]) -> None:
        """Read the records of recipes that are about to be asked for, all at once."""
        missing = [name for name in recipe_ids if (name, None) not in view.records]
        for start in range(0, min(len(missing), _RECORDS), _NAMES):
            names = missing[start : start + _NAMES]
            found = dict(
                zip(*self._scan(view, "recipes", ["id", "record"], _among("id", names)), strict=True)
            )
            for name in names:
                view.records.put((name, None), json.loads(found[name]) if name in found else None)

    def _scan(
        self, view: _View, find: Find, columns: list[str], condition: str | None = None
    ) -> list[list[Any]]:
        """Return whole columns, of the rows that meet a condition."""
        search = view.tables[find].search().select(columns)
        if condition:
            search = search.where(condition)
        found = search.to_arrow()
        return [found[name].to_pylist() for name in columns]

    def verify(self) -> None:
        """Compare what is there with its checksums and numbers, but for thumbnails and states."""
        super().verify()
        view = self._view
        for find in LISTS:
            if (number := view.tables[find].count_rows()) != view.manifest["counts"][find]:
                raise damaged(self.path, f"{number:,} {find} instead of {view.manifest['counts'][find]:,}")

    def add(self, added: Entries, replaced: Collection[str], **facts: Any) -> None:
        """Add entries, leave out what stands under the recipe ids `replaced`, and note facts."""
        with self._changing() as manifest:
            vectors = {find: stored(added[find]) for find in LISTS}
            columns = {record["id"]: columns_of(record) for record, _ in added["recipes"]}
            changed = {**manifest, **facts, "version": next_version(self._planned, added, replaced)}
            for name in ("tables", "counts", "trained"):
                changed[name] = dict(manifest[name])
            tables = {}
            for find in LISTS:
                tables[find] = self._opened(find, manifest["tables"][find])
                _leave_out(tables[find], replaced)
                self._put(tables[find], added[find], vectors[find], columns)
                changed["counts"][find] = tables[find].count_rows()
                _index_vectors(tables[find], find, changed)
                changed["tables"][find] = _settled(tables[find])
            write_manifest(self.path, changed)
            self._planned = changed["version"]
        for table in tables.values():
            table.optimize(
                cleanup_older_than=_READERS if manifest["version"] != "0" else timedelta(seconds=1)
            )

    def _opened(self, find: Find, version: int) -> Any:
        """Open a table to change it, without what a change that was cut short has left in it."""
        table = lancedb.connect(self.path / TABLES).open_table(find)
        if table.version != version:
            table.restore(version)
        return table

    def _put(self, table: Any, entries: Sequence[Entry], vectors: Array, columns: dict[str, Columns]) -> None:
        """Write entries; a photo gets the columns of its recipe, which is always replaced along with it."""
        if not entries:
            return
        dim = self.manifest["dim"]
        schema = _schema(dim)

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(entries), _BATCH):
                rows = [_row(record, columns) for record, _ in entries[start : start + _BATCH]]
                flat = pa.array(vectors[start : start + _BATCH].ravel())
                arrays = {name: [row[name] for row in rows] for name in rows[0]}
                arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, dim)
                yield pa.record_batch(
                    [pa.array(arrays[field.name], field.type) for field in schema], schema=schema
                )

        table.add(pa.RecordBatchReader.from_batches(schema, batches()))

    @contextmanager
    def _changing(self) -> Iterator[Record]:
        """Keep other processes from changing the index; offer the manifest to go out from.

        Raises:
            VectorIndexError: something else has changed the index since it was looked at.
        """
        try:
            with FileLock(self.path / LOCK, timeout=_LOCK_WAIT):
                manifest = read_manifest(self.path)
                if manifest["version"] != self._planned:
                    raise changed_meanwhile(self.path)
                yield manifest
        except Timeout as error:
            raise VectorIndexError(
                f"{self.path}: another process is changing it; wait for that to end"
            ) from error


def _row(record: Record, columns: dict[str, Columns]) -> dict[str, Any]:
    own = columns[record["id"]] if "recipe_id" not in record else columns.get(record["recipe_id"], UNKNOWN)
    is_recipe = "recipe_id" not in record
    return {
        "id": record["id"],
        "recipe_id": record.get("recipe_id", record["id"]),
        "content": record["content"],
        "record": json.dumps(record, ensure_ascii=False),
        "title": own.title if is_recipe else None,
        "category": own.category if is_recipe else None,
        "source": own.source if is_recipe else None,
        "text": own.text if is_recipe else None,
        "category_key": folded(own.category),
        "source_key": folded(own.source),
        "minutes": own.minutes,
        "terms": own.terms,
    }


def _leave_out(table: Any, recipe_ids: Collection[str]) -> None:
    names = sorted(recipe_ids)
    for start in range(0, len(names), _NAMES):
        table.delete(_among("recipe_id", names[start : start + _NAMES]))


def _index_vectors(table: Any, find: Find, manifest: Record) -> None:
    """Train the index over the vectors, where there are many: once they have doubled, or it is in pieces."""
    number = manifest["counts"][find]
    segments = max((one.num_segments for one in table.list_indices() if one.columns == ["vector"]), default=0)
    doubled = number >= max(_INDEXED, 2 * manifest["trained"][find])
    if doubled or segments >= _SEGMENTS:
        table.create_index("vector", config=IvfSq(distance_type="cosine"), replace=True)
        manifest["trained"][find] = number


def _settled(table: Any) -> int:
    """Put fragments together and new rows into the indexes until nothing is left to do; return the version.

    Older versions stay: the manifest still names one of them.
    """
    version = None
    while version != table.version:
        version = table.version
        table.optimize(cleanup_older_than=_NEVER)
    return int(version)


def _condition(where: Filter) -> str:
    """Return a filter as SQL."""
    conditions = []
    if where.have:
        conditions.append(f"array_has_all(terms, {_hashes(where.have)})")
    if where.avoid:
        conditions.append(f"NOT array_has_any(terms, {_hashes(where.avoid)})")
    for column, wanted in (("category_key", where.category), ("source_key", where.source)):
        if wanted is not None:
            conditions.append(f"{column} = {_quoted(wanted.casefold())}")
    if where.minutes is not None:
        conditions.append(f"minutes <= {float(np.nan_to_num(where.minutes, nan=-1.0))!r}")
    return " AND ".join(conditions)


def _hashes(terms: Sequence[str]) -> str:
    return f"[{', '.join(str(hashed(term)) for term in terms)}]"


def _is(recipe_id: str, photo_id: str | None) -> str:
    if photo_id is None:
        return f"id = {_quoted(recipe_id)}"
    return f"id = {_quoted(photo_id)} AND recipe_id = {_quoted(recipe_id)}"


def _among(column: str, names: Sequence[str]) -> str:
    return f"{column} IN ({', '.join(map(_quoted, names))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
