"""Features: what frozen encoders made of a data set, in memory-mapped shards with a manifest.

A feature folder holds `manifest.json` and one folder a shard. A shard covers a fixed number of recipes;
each field is a pair of arrays, `image.npy` `(rows, d)` in float16 and `image.offsets.npy` `(recipes + 1,)`:
the rows of recipe k are those from offset k to offset k + 1. So a recipe may have no photo, or several,
any number of lines, and nothing is padded on disk. `recipes.jsonl` keeps the texts beside the vectors.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch

from savor.batch import RAW, Array, Batch, Column, gather
from savor.datasets import open_dataset
from savor.datasets.classes import classify, derive_classes
from savor.datasets.folder import recipe_from_json
from savor.errors import DataError, FeaturesError, MethodError, UsageError
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from savor.datasets import Dataset
    from savor.pixels import RawInput
    from savor.recipe import Photo, Recipe

FORMAT = 1
MANIFEST = "manifest.json"
TEXTS = "recipes.jsonl"
_KEYS = ("finished", "dataset", "encoders", "settings", "fields", "failed_photos", "shards")


@dataclass(frozen=True)
class Dims:
    """Widths a method needs to build its layers: photo vector, line vector and title classes."""

    image: int
    text: int
    categories: int = 1


class Features:
    """A finished feature folder, opened for reading; rows are recipes in the order of the data set."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._photos: list[tuple[Photo, ...]] | None = None
        self._texts = [path / shard["name"] / TEXTS for shard in manifest["shards"]]
        self._load_texts()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a feature folder.

        Raises:
            FeaturesError: it is not one, is unfinished, or a file of it is missing or has another size.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if manifest is None:
            raise FeaturesError(
                f"{path}: no {MANIFEST} here; make features with `savor features DATA --out {path}`"
            )
        if not manifest["finished"]:
            raise FeaturesError(
                f"{path}: the extraction was interrupted; run the same `savor features` command to finish it"
            )
        for shard in manifest["shards"]:
            for name, facts in shard["files"].items():
                file = path / shard["name"] / name
                if not file.is_file() or file.stat().st_size != facts["bytes"]:
                    raise FeaturesError(
                        f"{file}: missing, or of another size than the manifest says; delete {path} and"
                        " extract again"
                    )
        return cls(path, manifest)

    def _load_texts(self) -> None:
        ids: list[str] = []
        splits: list[str] = []
        starts: list[int] = []
        shards: list[int] = []
        for number, path in enumerate(self._texts):
            start = 0
            with path.open("rb") as file:
                for line in file:
                    try:
                        record = json.loads(line)
                        ids.append(record["id"])
                        splits.append(record["partition"])
                    except (ValueError, KeyError, TypeError) as error:
                        raise FeaturesError(
                            f"{path}: damaged ({error!r}); delete {self.path} and extract again"
                        ) from error
                    shards.append(number)
                    starts.append(start)
                    start += len(line)
        self.ids = np.array(ids, dtype=np.str_)
        self.splits = np.array(splits, dtype=np.str_)
        self._where = np.array(shards, np.int64), np.array(starts, np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """The data set's fingerprint."""
        return str(self.manifest["dataset"]["fingerprint"])

    @cached_property
    def dims(self) -> Dims:
        """Widths of the stored vectors and the number of title classes."""
        return Dims(
            image=self.manifest["fields"]["image"]["dim"],
            text=self.manifest["fields"]["title"]["dim"],
            categories=len(self.classes),
        )

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the stored patches, None where there are none."""
        found = self.manifest["fields"].get("patches", {}).get("grid")
        return None if found is None else (int(found[0]), int(found[1]))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Title classes of the training split, `background` first (see `savor.datasets.classes`)."""
        training = np.flatnonzero(self.splits == "train")
        return derive_classes(self.recipe(int(row)).title for row in training)

    def column(self, field: str) -> Column:
        """Return one stored field.

        Raises:
            FeaturesError: the folder was made without it, or one of its files is damaged.
        """
        if field not in self._columns:
            if field not in self.manifest["fields"]:
                option = {"patches": " --patches", "words": " --tokens"}.get(field, "")
                raise FeaturesError(
                    f"{self.path}: holds no {field}; extract again into another folder with"
                    f" `savor features DATA --out FOLDER{option}`"
                )
            folders = [self.path / shard["name"] for shard in self.manifest["shards"]]
            self._columns[field] = Column(
                [_load(folder / f"{field}.npy", mmap_mode="r") for folder in folders],
                [_load(folder / f"{field}.offsets.npy") for folder in folders],
            )
        return self._columns[field]

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {}

    def recipe(self, row: int) -> Recipe:
        """Return the text of one recipe as the data set had it."""
        shard, start = (int(part[row]) for part in self._where)
        with self._texts[shard].open("rb") as file:
            file.seek(start)
            return recipe_from_json(json.loads(file.readline()))

    def photo_ids(self, row: int) -> list[str]:
        """Return the ids of the photos whose vectors are stored for a recipe, in their order."""
        shard, start = (int(part[row]) for part in self._where)
        with self._texts[shard].open("rb") as file:
            file.seek(start)
            return list(json.loads(file.readline())["photos"])

    @cached_property
    def has_photo(self) -> Array:
        """Which recipes have a photo, `(n,)` bool."""
        return np.diff(self.column("image").offsets) > 0

    @cached_property
    def has_text(self) -> Array:
        """Which recipes have at least one line in any part, `(n,)` bool."""
        return np.asarray(self._lines.max(0) > 0)

    @cached_property
    def is_complete(self) -> Array:
        """Which recipes have at least one line in every part, `(n,)` bool."""
        return np.asarray(self._lines.min(0) > 0)

    @cached_property
    def _lines(self) -> Array:
        """Number of lines, `(parts, n)`."""
        return np.stack([np.diff(self.column(part).offsets) for part in PARTS])

    def rows(
        self,
        splits: str | Iterable[str] | None = None,
        *,
        photo: bool = False,
        text: bool = False,
        complete: bool = False,
    ) -> Array:
        """Return the rows of some splits, ids in code point order, `(n,)` int64.

        `photo` keeps those with a photo, `text` those with a line in any part, `complete` those with a line
        in every part.

        Raises:
            UsageError: a split that does not occur in the features; the message lists those that do.
        """
        keep = np.ones(len(self), bool)
        if splits is not None:
            wanted = [splits] if isinstance(splits, str) else list(splits)
            known = sorted(set(self.splits.tolist()))
            for name in wanted:
                if name not in known:
                    raise UsageError(f"{self.path}: no split {name!r}; it has {', '.join(known)}")
            keep = np.isin(self.splits, wanted)
        if photo:
            keep = keep & self.has_photo
        if text:
            keep = keep & self.has_text
        if complete:
            keep = keep & self.is_complete
        rows = np.flatnonzero(keep)
        return rows[np.argsort(self.ids[rows], kind="stable")]

    def batch(
        self,
        rows: Array,
        uses: Sequence[str],
        *,
        words: int = 0,
        rng: np.random.Generator | None = None,
        raw: RawInput | None = None,
    ) -> Batch:
        """Read a batch; of several photos take the first, or a random one where a generator is given.

        With `words` at most so many word pieces of a recipe are read, an evenly spread subset of more, or a
        random one where a generator is given. Pixels and word ids are read as `raw` says, with a generator
        pixels are augmented.

        Raises:
            FeaturesError: a field that a method uses was not extracted, or the data set behind the features
                is not there (see `attach`).
            PhotoError: a photo cannot be read any more.
            MethodError: pixels or word ids without `raw`.
            OptionError: `words` is negative.
        """
        rows = np.asarray(rows, np.int64)
        stored = [use for use in uses if use not in RAW]
        batch = gather(
            self.column, self.ids[rows].tolist(), rows, stored, rng=rng, grid=self.grid, words=words
        )
        if len(stored) < len(uses):
            batch = replace(batch, **self._raw(rows, uses, rng, raw))
        if "category" in uses:
            batch = replace(batch, category=torch.from_numpy(self.categories[rows]))
        return batch

    def _raw(
        self,
        rows: Array,
        uses: Sequence[str],
        rng: np.random.Generator | None,
        raw: RawInput | None,
    ) -> dict[str, Any]:
        if raw is None:
            raise MethodError("pixels and word ids are read as the method's `raw` says; pass it on")
        fields: dict[str, torch.Tensor] = {}
        if "pixels" in uses:
            several = [self.photos(int(row)) for row in rows]
            draws = [0.0] * len(rows) if rng is None else rng.random(len(rows)).tolist()
            one = [
                some[int(draw * len(some))] if some else None
                for some, draw in zip(several, draws, strict=True)
            ]
            fields |= raw.photos(one, rng)
        if "word_ids" in uses:
            fields |= raw.recipes([self.recipe(int(row)) for row in rows])
        return fields

    def attach(self, dataset: Dataset | None = None) -> None:
        """Name the data set behind the features, where the photos lie; left out, the path in the manifest.

        Raises:
            FeaturesError: it is not there, or holds other recipes or photos than the features were made of.
        """
        path = self.manifest["dataset"]["path"]
        if dataset is None:
            try:
                dataset = open_dataset(path)
            except DataError as error:
                raise FeaturesError(
                    f"{self.path}: the photos themselves are needed, but {error}; name the data set with"
                    " --data PATH"
                ) from error
        if dataset.fingerprint() != self.fingerprint:
            raise FeaturesError(
                f"{dataset.path}: not the data that {self.path} was made of, or changed since; name that one"
                " with --data PATH, or extract features again"
            )
        failed = {(one["recipe"], one["photo"]) for one in self.manifest["failed_photos"]}
        self._photos = [
            tuple(photo for photo in pair.photos if (pair.recipe.id, photo.id) not in failed)
            for pair in dataset.pairs(on_problem=lambda problem: None)
        ]

    def photos(self, row: int) -> tuple[Photo, ...]:
        """Return the photos of a recipe whose vectors are stored, in their order.

        Raises:
            FeaturesError: the data set behind the features is not there (see `attach`).
        """
        if self._photos is None:
            self.attach()
        assert self._photos is not None
        return self._photos[row]

    @cached_property
    def categories(self) -> Array:
        """Title class of each recipe, `(n,)` int64, 0 = background."""
        titles = (self.recipe(row).title for row in range(len(self)))
        return np.array([classify(title, self.classes) for title in titles], np.int64)

    def verify(self) -> None:
        """Compare every file with its checksum in the manifest.

        Raises:
            FeaturesError: a file has changed since it was written.
        """
        for shard in self.manifest["shards"]:
            for name, facts in shard["files"].items():
                file = self.path / shard["name"] / name
                if checksum(file) != facts["sha256"]:
                    raise FeaturesError(
                        f"{file}: its checksum differs from the manifest's; delete {self.path} and"
                        " extract again"
                    )


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a feature folder, or None where there is none.

    Raises:
        FeaturesError: it cannot be parsed, or a later version of Savor wrote it.
    """
    file = path / MANIFEST
    if not file.is_file():
        return None
    try:
        manifest = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise FeaturesError(f"{file}: damaged ({error}); delete {path} and extract again") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise FeaturesError(f"{file}: not the manifest of a feature folder; name another folder")
    if manifest["format"] != FORMAT:
        raise FeaturesError(
            f"{file}: has format {manifest['format']}, this version of Savor reads format {FORMAT};"
            " extract again"
        )
    if lacking := [key for key in _KEYS if key not in manifest]:
        raise FeaturesError(f"{file}: damaged (no {lacking[0]!r}); delete {path} and extract again")
    return manifest


def _load(file: Path, mmap_mode: Literal["r"] | None = None) -> Array:
    try:
        return np.asanyarray(np.load(file, mmap_mode=mmap_mode, allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise FeaturesError(f"{file}: damaged ({error}); delete the folder and extract again") from error


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
