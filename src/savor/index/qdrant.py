"""An index whose vectors are in a Qdrant server or cluster; texts and words stay in the index's own folder.

`SAVOR_QDRANT_URL` names the server when the index is made, and the manifest keeps it; without it the vectors
go to the client's local mode in `qdrant/`, which compares all of them and is meant for trying things out.
A key is read from `SAVOR_QDRANT_API_KEY` each time and kept nowhere.

A point's id is made of the entry's ids and content. New points are written before the catalogue changes and
old ones deleted after it, and a point that the catalogue does not have is no answer: killed at any moment
the index is as it was or as it should become.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException

from savor.errors import VectorIndexError
from savor.index import EVERYTHING, Filter, Find, Match, catalogue
from savor.index.catalogue import KEYS, CatalogueIndex, connect, key_of
from savor.index.columns import UNKNOWN, Columns, columns_of, folded, hashed
from savor.index.folder import LISTS, Array, Entries, Record, damaged, stored
from savor.index.ranking import cosines, in_looks, unit

URL, API_KEY, LOCAL = "SAVOR_QDRANT_URL", "SAVOR_QDRANT_API_KEY", "qdrant"
_BATCH = 256  # points in a request
_clients: WeakValueDictionary[str, QdrantClient] = WeakValueDictionary()  # one may open a local folder


def create(path: Path, dim: int) -> dict[str, Any]:
    """Make empty collections and a catalogue; return what the manifest must say of them."""
    catalogue.create(path, vectors=False)
    facts = {"collection": f"savor-{uuid.uuid4().hex[:12]}", "url": os.environ.get(URL)}
    with _asking(path, facts["url"]) as client:
        for find in LISTS:
            name = f"{facts['collection']}-{find}"
            size = models.VectorParams(size=dim, distance=models.Distance.DOT, on_disk=True)
            client.create_collection(name, vectors_config=size)
            if facts["url"]:  # a server filters by what it has an index over; the local mode has none
                kinds = {"terms": "integer", "category": "keyword", "source": "keyword", "minutes": "float"}
                for field, kind in kinds.items():
                    client.create_payload_index(name, field, field_schema=models.PayloadSchemaType(kind))
    return facts


def open(path: Path) -> QdrantIndex:
    """Open the index in a folder."""
    return QdrantIndex(path)


@contextmanager
def _asking(path: Path, url: str | None) -> Iterator[QdrantClient]:
    """Offer the client of an index.

    Raises:
        VectorIndexError: the server cannot be reached, or refuses.
    """
    place = url or str(path.absolute() / LOCAL)
    try:
        client = _clients.get(place)
        if client is None:
            at = {"url": url, "api_key": os.environ.get(API_KEY)} if url else {"path": place}
            client = _clients[place] = QdrantClient(**at, check_compatibility=False)
        yield client
    except (ApiException, OSError, RuntimeError, ValueError) as error:
        raise VectorIndexError(
            f"{path}: Qdrant at {place} does not answer as it should ({error}); see whether it runs, whether"
            f" {API_KEY} is right and whether another process has the folder open"
        ) from error


class QdrantIndex(CatalogueIndex):
    """An index that keeps its vectors in Qdrant."""

    def _asking(self) -> Any:
        return _asking(self.path, self.manifest["url"])

    def nearest(self, find: Find, query: Array, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids.

        Of those that Qdrant passes over none is an answer, so that recall is a little below 1.
        """
        known = self._of_version(f"{find} known", lambda: self._known(find))

        def look(depth: int) -> tuple[list[Match], bool]:
            with self._asking() as client:
                answer = client.query_points(
                    self._collection(find),
                    query=query.astype(np.float32).tolist(),
                    query_filter=_condition(where),
                    limit=depth,
                    with_vectors=True,
                )
            points = [point for point in answer.points if str(point.id) in known]
            vectors = np.array([point.vector for point in points], np.float32)
            scores = cosines(vectors, query) if points else np.zeros(0)
            keys = [known[str(point.id)] for point in points]
            ranked = sorted(zip((-scores).tolist(), keys, strict=True))
            matches = [Match(-score, key[-1], key[0] if find == "photos" else None) for score, key in ranked]
            return matches, len(answer.points) < depth

        return in_looks(look, k)

    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""
        find: Find = "recipes" if photo_id is None else "photos"
        key = key_of(recipe_id, photo_id)
        rows = self._query(f"SELECT content FROM {find} WHERE {KEYS[find]}", *key)
        if not rows:
            return None
        with self._asking() as client:
            found = client.retrieve(self._collection(find), [_point(key, rows[0][0])], with_vectors=True)
        if not found:
            raise damaged(self.path, f"Qdrant has no vector of {key[0]!r}")
        return np.array(found[0].vector, np.float32)

    def verify(self) -> None:
        """Compare what is there with its checksums and numbers, but for thumbnails and states."""
        super().verify()
        for find in LISTS:
            with self._asking() as client:
                number = client.count(self._collection(find), exact=True).count
            if number < self.count(find):
                raise damaged(self.path, f"Qdrant has {number:,} {find} instead of {self.count(find):,}")

    def add(self, added: Entries, replaced: Collection[str], **facts: Any) -> None:
        """Add entries, leave out what stands under the recipe ids `replaced`, and note facts."""
        if self._marked():
            self._sweep()  # what a change that was cut short has left
        self._mark(True)
        old = {find: self._points_of(find, replaced) for find in LISTS}
        super().add(added, replaced, **facts)
        for find in LISTS:
            self._delete(find, old[find] - self._points_of(find, replaced))
        self._mark(False)

    def _put_vectors(self, connection: sqlite3.Connection, find: Find, first: int, added: Entries) -> None:
        columns = {record["id"]: columns_of(record) for record, _ in added["recipes"]}
        for start in range(0, len(added[find]), _BATCH):
            some = added[find][start : start + _BATCH]
            points = [
                models.PointStruct(
                    id=_point(_key(record), record["content"]),
                    vector=row.tolist(),
                    payload=_payload(record, columns),
                )
                for (record, _), row in zip(some, unit(stored(some)), strict=True)
            ]
            with self._asking() as client:
                client.upsert(self._collection(find), points, wait=True)

    def _collection(self, find: Find) -> str:
        return f"{self.manifest['collection']}-{find}"

    def _known(self, find: Find) -> dict[str, tuple[str, ...]]:
        """Return the key of each entry of the catalogue by the id of its point."""
        names = "id" if find == "recipes" else "id, recipe_id"
        rows = self._query(f"SELECT content, {names} FROM {find}")
        return {_point(tuple(key), content): tuple(key) for content, *key in rows}

    def _marked(self) -> bool:
        return bool(self._query("SELECT 1 FROM facts WHERE name = 'changing'"))

    def _mark(self, changing: bool) -> None:
        """Note in the catalogue that points may be there which it does not know, or that none are."""
        sql = "DELETE FROM facts WHERE name = 'changing'"
        if changing:
            sql = "REPLACE INTO facts VALUES ('changing', 'true')"
        connection = connect(self.path)
        try:
            connection.execute(sql)
        finally:
            connection.close()

    def _sweep(self) -> None:
        """Delete the points that the catalogue does not know."""
        for find in LISTS:
            known, offset = self._known(find), None
            unknown: set[str] = set()
            with self._asking() as client:
                while True:
                    points, offset = client.scroll(
                        self._collection(find), limit=10_000, offset=offset, with_payload=False
                    )
                    unknown.update(str(point.id) for point in points if str(point.id) not in known)
                    if offset is None:
                        break
            self._delete(find, unknown)

    def _points_of(self, find: Find, recipe_ids: Collection[str]) -> set[str]:
        """Return the ids of the points of some recipes, or of their photos."""
        key, owner = ("id", "id") if find == "recipes" else ("id, recipe_id", "recipe_id")
        sql = f"SELECT content, {key} FROM {find} WHERE {owner} = ?"
        rows = [row for recipe_id in recipe_ids for row in self._query(sql, recipe_id)]
        return {_point(tuple(names), content) for content, *names in rows}

    def _delete(self, find: Find, points: Collection[str]) -> None:
        if points:
            with self._asking() as client:
                client.delete(self._collection(find), models.PointIdsList(points=list(points)), wait=True)


def _key(record: Record) -> tuple[str, ...]:
    return (record["id"], record["recipe_id"]) if "recipe_id" in record else (record["id"],)


def _point(key: tuple[str, ...], content: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([*key, content])))


def _payload(record: Record, columns: dict[str, Columns]) -> dict[str, Any]:
    own = columns.get(_key(record)[-1], UNKNOWN)
    facts = {"category": folded(own.category), "source": folded(own.source), "minutes": own.minutes}
    return {"terms": list(own.terms), **{name: value for name, value in facts.items() if value is not None}}


def _condition(where: Filter) -> models.Filter | None:
    """Return a filter as Qdrant's."""
    if not where:
        return None
    names = {"category": folded(where.category), "source": folded(where.source)}
    must = [("terms", models.MatchValue(value=hashed(term))) for term in where.have]
    must += [(name, models.MatchValue(value=value)) for name, value in names.items() if value is not None]
    conditions: list[Any] = [models.FieldCondition(key=name, match=match) for name, match in must]
    if where.minutes is not None:
        conditions.append(models.FieldCondition(key="minutes", range=models.Range(lte=where.minutes)))
    avoid = models.MatchAny(any=[hashed(term) for term in where.avoid])
    forbidden: list[Any] = [models.FieldCondition(key="terms", match=avoid)] if where.avoid else []
    return models.Filter(must=conditions, must_not=forbidden)
