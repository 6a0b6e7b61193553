"""The exact index: every vector is compared with the query; good to some hundred thousand entries.

```
INDEX/
  manifest.json         what is here, of which run and data; sizes and checksums of the files
  run/                  config.json and model.safetensors of the run
  entries-N/            recipes.jsonl, recipes.starts.npy (byte offsets of its lines), recipes.npy (n, dim)
                        float16; the same for photos; both in the order of their ids
  thumbnails/ab/c….jpg  named by their content
  states/ab/c….npy      likewise: the encoded states (s, d) in float16 of a recipe or photo, if the run
                        re-ranks; 2 s d bytes each, 64 KB for 128 words of 256 numbers
```

An addition writes `entries-(N+1)` and then replaces the manifest, which alone says what counts; killed at
any moment it leaves the index as it was. Thumbnails and states are never changed and never removed.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from savor import __version__
from savor.datasets.folder import recipe_from_json
from savor.errors import VectorIndexError
from savor.index import Find, Match
from savor.recipe import Recipe

Array = np.ndarray[Any, np.dtype[Any]]
Record = dict[str, Any]
Entry = tuple[Record, Array]  # what is known of it, and its vector (dim,)
Key = tuple[str, ...]
_Row = tuple[Key, bytes, Array]  # key, record as a line of JSON, vector

FORMAT = 1
MANIFEST, RUN, THUMBNAILS, STATES = "manifest.json", "run", "thumbnails", "states"
LISTS: tuple[Find, Find] = ("recipes", "photos")
_REQUIRED = {"run", "encoders", "grid", "data", "dim", "entries", "counts", "files"}
_BLOCK = 8192  # rows
_ERROR = 1e-5  # larger than any rounding error of a float32 product of unit vectors


class ExactIndex:
    """An index folder, opened for searching and for adding to it; see `savor.index.Index`.

    Raises:
        VectorIndexError: there is none, it is damaged, or a later version of Savor wrote it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_folder = path / RUN
        self._read()

    def _read(self) -> None:
        self.manifest = read_manifest(self.path)
        for name, facts in self.manifest["files"].items():
            file = self.path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise damaged(self.path, f"{name} is missing, or of another size than the manifest says")
        folder, dim = self.path / self.manifest["entries"], self.manifest["dim"]
        self._lists = {
            find: _List(self.path, folder, find, (self.manifest["counts"][find], dim)) for find in LISTS
        }

    def count(self, find: Find) -> int:
        """Return how many recipes or photos there are."""
        return len(self._lists[find])

    def nearest(self, find: Find, query: Array, k: int) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids."""
        entries = self._lists[find]
        rows, scores = top_k(entries.unit, query, k)
        records = [entries.record(int(row)) for row in rows]
        return [
            Match(float(score), *_match(find, record)) for record, score in zip(records, scores, strict=True)
        ]

    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""
        entries, key = self._place(recipe_id, photo_id)
        row = entries.find(key)
        return None if row is None else entries.unit[row]

    def states(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return what a pair scorer needs of a recipe or photo, `(s, d)` float16, or None if nothing is.

        Raises:
            VectorIndexError: its file is missing or has changed.
        """
        entries, key = self._place(recipe_id, photo_id)
        record = entries.get(key)
        if record is None or record.get("states") is None:
            return None
        file = self.path / STATES / record["states"]
        data = file.read_bytes() if file.is_file() else b""
        if _content_name(data, ".npy") != record["states"]:
            raise damaged(self.path, f"{STATES}/{record['states']} is missing or has changed")
        return np.asarray(np.load(BytesIO(data), allow_pickle=False))

    def _place(self, recipe_id: str, photo_id: str | None) -> tuple[_List, Key]:
        if photo_id is None:
            return self._lists["recipes"], (recipe_id,)
        return self._lists["photos"], (photo_id, recipe_id)

    def recipe(self, recipe_id: str) -> Recipe | None:
        """Return the text of a recipe, or None where it is not listed."""
        record = self._lists["recipes"].get((recipe_id,))
        return None if record is None else recipe_from_json(record)

    def photos(self, recipe_id: str) -> list[str]:
        """Return the ids of a listed recipe's photos, in their order."""
        record = self._lists["recipes"].get((recipe_id,))
        return [] if record is None else list(record["photos"])

    def thumbnail(self, recipe_id: str, photo_id: str) -> bytes | None:
        """Return a small JPEG of a photo, or None where there is none."""
        record = self._lists["photos"].get((photo_id, recipe_id))
        if record is None or record["thumbnail"] is None:
            return None
        file = self.path / THUMBNAILS / record["thumbnail"]
        return file.read_bytes() if file.is_file() else None

    def contents(self) -> dict[str, str]:
        """Return for each recipe id, of recipes and of photos, the digest of what was added under it."""
        records = (record for find in LISTS for record in self._lists[find].records())
        return {_recipe_id(record): record["content"] for record in records}

    def verify(self) -> None:
        """Compare every file but thumbnails and states with its checksum.

        Raises:
            VectorIndexError: a file has changed since it was written.
        """
        for name, facts in self.manifest["files"].items():
            if _facts(self.path / name) != facts:
                raise damaged(self.path, f"the checksum of {name} differs from the manifest's")

    def keep_thumbnail(self, jpeg: bytes) -> str:
        """Store a thumbnail and return its name."""
        return self._keep(THUMBNAILS, jpeg, ".jpg")

    def keep_states(self, states: Array) -> str:
        """Store what a pair scorer needs of one recipe or photo, `(s, d)`, and return its name."""
        buffer = BytesIO()
        np.save(buffer, states, allow_pickle=False)
        return self._keep(STATES, buffer.getvalue(), ".npy")

    def _keep(self, folder: str, data: bytes, suffix: str) -> str:
        name = _content_name(data, suffix)
        file = self.path / folder / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(".part")
            temporary.write_bytes(data)
            temporary.replace(file)
        return name

    def add(self, added: dict[Find, list[Entry]], replaced: Collection[str], **facts: Any) -> None:
        """Add entries, leave out what stands under the recipe ids `replaced`, and note facts in the manifest.

        Raises:
            VectorIndexError: a vector is not finite, or something else has changed the index meanwhile.
        """
        self._check_unchanged()
        number = int(self.manifest["entries"].partition("-")[2]) + 1
        self._remove_leftovers()
        folder = self.path / f"entries-{number}"
        folder.mkdir()
        counts = {
            find: _write_list(folder, find, self._merged(find, added[find], replaced), self.manifest["dim"])
            for find in LISTS
        }
        self._check_unchanged()
        write_manifest(self.path, {**self.manifest, **facts, "entries": folder.name, "counts": counts})
        self._read()
        self._remove_leftovers()

    def _merged(self, find: Find, added: Sequence[Entry], replaced: Collection[str]) -> list[_Row]:
        entries = self._lists[find]
        vectors = np.asarray(entries.vectors)
        rows = [
            (_key(record), entries.line(row), vectors[row])
            for row, record in enumerate(entries.records())
            if _recipe_id(record) not in replaced
        ]
        for record, vector in added:
            line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
            rows.append((_key(record), line, vector))
        return sorted(rows, key=lambda row: row[0])

    def _check_unchanged(self) -> None:
        if read_manifest(self.path) != self.manifest:
            raise VectorIndexError(f"{self.path}: something else has added to it meanwhile; add again")

    def _remove_leftovers(self) -> None:
        for folder in self.path.glob("entries-*"):
            if folder.name != self.manifest["entries"]:
                shutil.rmtree(folder)


class _List:
    """One list of entries in the order of their keys: a record a line, a vector a row."""

    def __init__(self, index: Path, folder: Path, name: str, shape: tuple[int, int]) -> None:
        self.index, self.file = index, folder / f"{name}.jsonl"
        try:
            self.vectors = np.load(folder / f"{name}.npy", mmap_mode="r")
            self.starts = np.load(folder / f"{name}.starts.npy")
        except (ValueError, EOFError) as error:
            raise damaged(index, f"{name}.npy or {name}.starts.npy is no array ({error})") from error
        if self.vectors.shape != shape or self.starts.shape != (shape[0] + 1,):
            raise damaged(index, f"the arrays of the {name} are of other shapes than the manifest says")
        with self.file.open("rb") as file:
            self.text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if shape[0] else b""

    def __len__(self) -> int:
        return len(self.vectors)

    def line(self, row: int) -> bytes:
        return self.text[self.starts[row] : self.starts[row + 1]]

    def record(self, row: int) -> Record:
        try:
            record = json.loads(self.line(row))
            _key(record)
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(self.index, f"line {row + 1} of {self.file.name} is no entry ({error})") from error
        return dict(record)

    def records(self) -> Iterator[Record]:
        return map(self.record, range(len(self)))

    def find(self, key: Key) -> int | None:
        row = bisect_left(range(len(self)), key, key=lambda row: _key(self.record(row)))
        return row if row < len(self) and _key(self.record(row)) == key else None

    def get(self, key: Key) -> Record | None:
        row = self.find(key)
        return None if row is None else self.record(row)

    @cached_property
    def unit(self) -> Array:
        """The vectors as `(n, dim)` float32 with unit rows: products in float16 are eight times as slow."""
        vectors = np.empty(self.vectors.shape, np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = self.vectors[start : start + _BLOCK].astype(np.float32)
            norms = np.linalg.norm(block, axis=1, keepdims=True)
            if not np.isfinite(norms).all():
                row = start + int(np.flatnonzero(~np.isfinite(norms))[0])
                raise damaged(self.index, f"the vector of {self.record(row)['id']!r} is not finite")
            vectors[start : start + _BLOCK] = block / np.maximum(norms, 1e-12)
        return vectors


def top_k(vectors: Array, query: Array, k: int) -> tuple[Array, Array]:
    """Return rows and scores of the k largest `vectors @ query`, `(k,)` each, equal scores in order of rows.

    A float32 product over all rows finds who may be among them, the sums that decide are made in float64,
    row by row: a matrix product gives equal vectors slightly different scores, depending on where they stand.

    Args:
        vectors: unit rows `(n, dim)`.
        query: unit vector `(dim,)`.
        k: how many; all where there are fewer.

    >>> rows, scores = top_k(np.eye(3, dtype=np.float32), np.array([0, 0, 1], np.float32), 2)
    >>> rows.tolist(), scores.tolist()
    ([2, 0], [1.0, 0.0])
    """
    k = min(k, len(vectors))
    near = vectors @ query.astype(np.float32)
    rows = (
        np.flatnonzero(near >= np.partition(near, len(near) - k)[len(near) - k] - _ERROR)
        if k
        else np.arange(0)
    )
    scores = (vectors[rows] * query.astype(np.float64)).sum(1)
    best = np.lexsort((rows, -scores))[:k]
    return rows[best], scores[best]


def create(path: Path, run_folder: Path, dim: int, **facts: Any) -> ExactIndex:
    """Make an index without entries around a copy of a run; `facts` join its manifest."""
    (path / RUN).mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(run_folder / name, path / RUN / name)
    (path / THUMBNAILS).mkdir()
    (path / "entries-0").mkdir()
    counts = {find: _write_list(path / "entries-0", find, [], dim) for find in LISTS}
    header = {"format": FORMAT, "savor": __version__, "dim": dim, **facts}
    write_manifest(path, {**header, "entries": "entries-0", "counts": counts})
    return ExactIndex(path)


def read_manifest(path: Path) -> Record:
    """Return the manifest of an index.

    Raises:
        VectorIndexError: there is none, it cannot be parsed, or a later version of Savor wrote it.
    """
    file = path / MANIFEST
    if not file.is_file():
        what = "no index here" if path.exists() else "does not exist"
        raise VectorIndexError(f"{path}: {what}; make one with `savor index RUN --data DATA --out {path}`")
    try:
        manifest = json.loads(file.read_text("utf-8"))
        version = manifest["format"]
        known = manifest.keys() >= _REQUIRED
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"{MANIFEST} cannot be read ({error})") from error
    if version != FORMAT:
        raise VectorIndexError(
            f"{path}: has format {version}, this version of Savor ({__version__}) reads format {FORMAT};"
            " update Savor, or build the index again"
        )
    if not known:
        raise VectorIndexError(f"{path}: its {MANIFEST} is not that of an index; name the folder of an index")
    return dict(manifest)


def write_manifest(path: Path, manifest: Record) -> None:
    """Write or replace the manifest, with the sizes and checksums of the files it stands for."""
    files = sorted([*(path / RUN).iterdir(), *(path / manifest["entries"]).iterdir()])
    manifest = {**manifest, "files": {file.relative_to(path).as_posix(): _facts(file) for file in files}}
    temporary = path / f"{MANIFEST}.part"
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path / MANIFEST)


def damaged(path: Path, reason: str) -> VectorIndexError:
    """Return the error for an index that is not as it was written."""
    return VectorIndexError(f"{path}: damaged, {reason}; delete the folder and build the index again")


def _write_list(folder: Path, name: str, rows: Sequence[_Row], dim: int) -> int:
    vectors = np.empty((len(rows), dim), np.float16)
    starts = np.zeros(len(rows) + 1, np.int64)
    with (folder / f"{name}.jsonl").open("wb") as file:
        for number, (_, line, vector) in enumerate(rows):
            vectors[number] = vector
            file.write(line)
            starts[number + 1] = starts[number] + len(line)
    finite = np.isfinite(vectors).all(1)
    if not finite.all():
        bad = rows[int(np.flatnonzero(~finite)[0])][0][0]
        raise VectorIndexError(f"the run gives {bad!r} a vector that is not finite; train it again")
    np.save(folder / f"{name}.npy", vectors)
    np.save(folder / f"{name}.starts.npy", starts)
    return len(rows)


def _key(record: Record) -> Key:
    """Return what entries are sorted by: a recipe's id; a photo's and its recipe's, for two may share it."""
    return (record["id"], record["recipe_id"]) if "recipe_id" in record else (record["id"],)


def _recipe_id(record: Record) -> str:
    return str(record["recipe_id"] if "recipe_id" in record else record["id"])


def _match(find: Find, record: Record) -> tuple[str, str | None]:
    return (record["recipe_id"], record["id"]) if find == "photos" else (record["id"], None)


def _content_name(data: bytes, suffix: str) -> str:
    """Return the name of a file that is kept by its content, `ab/c….jpg`."""
    digest = hashlib.sha256(data).hexdigest()[:32]
    return f"{digest[:2]}/{digest[2:]}{suffix}"


def _facts(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
