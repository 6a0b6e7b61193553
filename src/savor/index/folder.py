"""The folder of an index: what is the same whatever keeps the vectors, and the manifest that says what does.

```
INDEX/
  manifest.json         format, backend, of which run and encoders this is; sizes and checksums of the run
  run/                  config.json and model.safetensors of the run
  thumbnails/ab/c….jpg  named by their content
  states/ab/c….npy      likewise: the encoded states (s, d) in float16 of a recipe or photo, if the run
                        re-ranks; 2 s d bytes each, 64 KB for 128 words of 256 numbers
  …                     what the backend keeps: vectors, texts, facts to filter by
```

Thumbnails and states are never changed and never removed, so that they may be written before what names them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from savor import __version__
from savor.datasets.folder import recipe_from_json
from savor.errors import VectorIndexError
from savor.index import EVERYTHING, Card, Facets, Filter, Find, Match, Order
from savor.recipe import Recipe

Array = np.ndarray[Any, np.dtype[Any]]
Record = dict[str, Any]  # a recipe or photo as JSON: see `savor.index.building`
Entry = tuple[Record, Array]  # what is known of it, and its vector (dim,)
Entries = Mapping[Find, Sequence[Entry]]

FORMAT = 2
MANIFEST, RUN, THUMBNAILS, STATES = "manifest.json", "run", "thumbnails", "states"
LISTS: tuple[Find, Find] = ("recipes", "photos")
_REQUIRED = {"run", "encoders", "grid", "dim", "backend", "files"}


class Folder:
    """Files of an index that are named by their content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_folder = path / RUN

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


class FolderIndex(Folder, ABC):
    """An index in a folder, opened for searching and for changing it; see `savor.index.Index`.

    Raises:
        VectorIndexError: there is none, it is damaged, or another version of Savor wrote it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.manifest = read_manifest(path)
        for name, facts in self.manifest["files"].items():
            file = path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise damaged(path, f"{name} is missing, or of another size than the manifest says")

    @property
    @abstractmethod
    def version(self) -> str:
        """Another one after every addition or removal."""

    @abstractmethod
    def count(self, find: Find, where: Filter = EVERYTHING) -> int:
        """Return how many recipes or photos there are, of those that a filter lets pass."""

    @abstractmethod
    def nearest(self, find: Find, query: Array, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k entries of largest cosine with a vector `(dim,)`, equal ones in order of their ids."""

    @abstractmethod
    def words(self, text: str, k: int, where: Filter = EVERYTHING) -> list[Match]:
        """Return the k recipes that words describe best (BM25), equal ones in order of their ids."""

    @abstractmethod
    def listed(
        self, where: Filter = EVERYTHING, *, offset: int = 0, limit: int = 50, order: Order = "title"
    ) -> list[str]:
        """Return the ids of recipes in an order to browse."""

    @abstractmethod
    def facets(self) -> Facets:
        """Return the categories and sources of the recipes with their numbers, the most frequent first."""

    @abstractmethod
    def vector(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return the stored vector of a recipe or photo, `(dim,)` float32, or None where it is not listed."""

    def vectors(self, keys: Sequence[tuple[str, str | None]]) -> list[Array | None]:
        """Return what `vector` gives for each of many recipe ids and photo ids."""
        return [self.vector(*key) for key in keys]

    @abstractmethod
    def contents(self) -> dict[str, str]:
        """Return for each recipe id, of recipes and of photos, the digest of what was added under it."""

    @abstractmethod
    def add(self, added: Entries, replaced: Collection[str], **facts: Any) -> None:
        """Add entries, leave out what stands under the recipe ids `replaced`, and note facts in the manifest.

        Stopped at any moment it leaves the index as it was, or as it should become.

        Raises:
            VectorIndexError: a vector is not finite, or something else has changed the index meanwhile.
        """

    @abstractmethod
    def _record(self, recipe_id: str, photo_id: str | None = None) -> Record | None:
        """Return what is known of a recipe or photo."""

    def close(self) -> None:
        """Let go of open files; the index opens them again when it is next asked."""

    def remove(self, recipe_ids: Iterable[str]) -> int:
        """Remove recipes with their photos; return how many there were, unknown ids are passed over."""
        known = self.contents().keys() & set(recipe_ids)
        if known:
            self.add({"recipes": [], "photos": []}, known)
        return len(known)

    def states(self, recipe_id: str, photo_id: str | None = None) -> Array | None:
        """Return what a pair scorer needs of a recipe or photo, `(s, d)` float16, or None if nothing is.

        Raises:
            VectorIndexError: its file is missing or has changed.
        """
        record = self._record(recipe_id, photo_id)
        if record is None or record.get("states") is None:
            return None
        file = self.path / STATES / record["states"]
        data = file.read_bytes() if file.is_file() else b""
        if _content_name(data, ".npy") != record["states"]:
            raise damaged(self.path, f"{STATES}/{record['states']} is missing or has changed")
        return np.asarray(np.load(BytesIO(data), allow_pickle=False))

    def recipe(self, recipe_id: str) -> Recipe | None:
        """Return the text of a recipe, or None where it is not listed."""
        record = self._record(recipe_id)
        return None if record is None else recipe_from_json(record)

    def cards(self, recipe_ids: Sequence[str]) -> list[Card]:
        """Return what a list shows of many recipes, read at once; of one that is not listed a blank card."""
        records = self._records(recipe_ids)
        return [
            Card(str(record.get("title", "")), next(iter(record["photos"]), None)) if record else Card()
            for record in map(records.get, recipe_ids)
        ]

    def _records(self, recipe_ids: Sequence[str]) -> dict[str, Record]:
        """Return what is known of recipes, by their ids."""
        found = {name: self._record(name) for name in recipe_ids}
        return {name: record for name, record in found.items() if record is not None}

    def photos(self, recipe_id: str) -> list[str]:
        """Return the ids of a listed recipe's photos, in their order."""
        record = self._record(recipe_id)
        return [] if record is None else list(record["photos"])

    def thumbnail(self, recipe_id: str, photo_id: str) -> bytes | None:
        """Return a small JPEG of a photo, or None where there is none."""
        record = self._record(recipe_id, photo_id)
        if record is None or record["thumbnail"] is None:
            return None
        file = self.path / THUMBNAILS / record["thumbnail"]
        return file.read_bytes() if file.is_file() else None

    def verify(self) -> None:
        """Compare what is there with its checksums, but for thumbnails and states.

        Raises:
            VectorIndexError: something has changed since it was written.
        """
        for name, facts in self.manifest["files"].items():
            if _facts(self.path / name) != facts:
                raise damaged(self.path, f"the checksum of {name} differs from the manifest's")


def begin(path: Path, run_folder: Path) -> Folder:
    """Make a folder with a copy of a run in it, an index without a backend yet."""
    (path / RUN).mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(run_folder / name, path / RUN / name)
    (path / THUMBNAILS).mkdir()
    return Folder(path)


def finish(path: Path, backend: str, dim: int, facts: Mapping[str, Any]) -> None:
    """Write the manifest that makes an index of a folder; `facts` join it."""
    files = {file.relative_to(path).as_posix(): _facts(file) for file in sorted((path / RUN).iterdir())}
    header = {"format": FORMAT, "savor": __version__, "backend": backend, "dim": dim}
    write_manifest(path, {**header, **facts, "files": files})


def read_manifest(path: Path) -> Record:
    """Return the manifest of an index.

    Raises:
        VectorIndexError: there is none, it cannot be parsed, or another version of Savor wrote it.
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
        way_out = "update Savor" if isinstance(version, int) and version > FORMAT else "it is an old one"
        raise VectorIndexError(
            f"{path}: has format {version}, this version of Savor ({__version__}) reads format {FORMAT};"
            f" {way_out}, or build the index again: `savor index {path / RUN} --data DATA --out NEW`"
        )
    if not known:
        raise VectorIndexError(f"{path}: its {MANIFEST} is not that of an index; name the folder of an index")
    return dict(manifest)


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, or replace the one that is there."""
    temporary = path / f"{MANIFEST}.part"
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")
    temporary.replace(path / MANIFEST)


def damaged(path: Path, reason: str) -> VectorIndexError:
    """Return the error for an index that is not as it was written."""
    return VectorIndexError(f"{path}: damaged, {reason}; delete the folder and build the index again")


def changed_meanwhile(path: Path) -> VectorIndexError:
    """Return the error for a change that was prepared on what is no longer there."""
    return VectorIndexError(f"{path}: something else has changed it meanwhile; do it again")


def stored(entries: Iterable[Entry]) -> Array:
    """Return the vectors of entries as they are stored, `(n, dim)` float16.

    Raises:
        VectorIndexError: one is not finite.
    """
    rows = []
    for record, vector in entries:
        with np.errstate(over="ignore"):
            rows.append(np.asarray(vector, np.float16))
        if not np.isfinite(rows[-1]).all():
            raise VectorIndexError(
                f"the run gives {record['id']!r} a vector that is not finite; train it again"
            )
    return np.stack(rows) if rows else np.zeros((0, 0), np.float16)


def next_version(version: str, added: Entries, replaced: Collection[str]) -> str:
    """Return the name of the state that an addition to another state leads to."""
    names = [[record["id"], record["content"]] for find in LISTS for record, _ in added[find]]
    text = json.dumps([version, names, sorted(replaced)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _content_name(data: bytes, suffix: str) -> str:
    """Return the name of a file that is kept by its content, `ab/c….jpg`."""
    digest = hashlib.sha256(data).hexdigest()[:32]
    return f"{digest[:2]}/{digest[2:]}{suffix}"


def _facts(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
