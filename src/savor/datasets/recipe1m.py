"""The Recipe1M release as it is distributed: layer files, image folders or tar files, split lists.

Formats: the README of the release (Salvador et al. 2017; Marín et al. 2019). The layers are streamed; what
has to be looked up by id (photos, positions inside tar files, split lists) lies in a database in the cache
folder.
"""

from __future__ import annotations

import sqlite3
import tarfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

from savor.datasets import sidecar
from savor.datasets.base import (
    Dataset,
    Problem,
    Report,
    as_id,
    describe,
    is_file,
    parse_error,
    text_lines,
)
from savor.errors import DataError
from savor.recipe import Pair, Photo, Recipe

SPLITS = ("train", "val", "test")
UNLISTED = "-unlisted"

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")

ACCESS = (
    "Recipe1M is not freely downloadable: ask its authors for access (http://im2recipe.csail.mit.edu). "
    "For recipes of your own use recipes.jsonl or recipes.csv."
)
_SCHEMA = """
CREATE TABLE recipes (nth INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE photos (recipe TEXT NOT NULL, image TEXT NOT NULL);
CREATE TABLE members (image TEXT NOT NULL, split TEXT, tar TEXT, start INTEGER, size INTEGER);
CREATE TABLE listed (id TEXT NOT NULL, split TEXT NOT NULL);
CREATE TABLE problems (kind TEXT, place TEXT, reason TEXT, effect TEXT);
"""
_INDEXES = """
CREATE INDEX recipes_id ON recipes (id);
CREATE INDEX photos_recipe ON photos (recipe);
CREATE INDEX members_image ON members (image);
CREATE INDEX listed_id ON listed (id);
"""


class Detected(NamedTuple):
    """The ingredient names that the authors' detector found in a recipe, and whether it was sure of each."""

    id: str
    ingredients: tuple[str, ...]
    valid: tuple[bool, ...]


class Recipe1M(Dataset):
    """The release folder, untouched; `open_dataset` makes it.

    Raises:
        DataError: a layer file or all photos are missing; the message says what was looked for.
    """

    kind = "recipe1m"

    def __init__(self, path: Path, exclude: Collection[str] = (), repairs: str | None = None) -> None:
        super().__init__(path, exclude, repairs)
        self._layer1 = self.path / "layer1.json"
        self._layer2 = self._find_layer2()
        if not self._tars() and not any(self._folders(split) for split in SPLITS):
            raise DataError(self._no_photos())

    def _find_layer2(self) -> Path:
        # The layer of Recipe1M+ holds the photos of Recipe1M's too, so where both lie there, it is meant.
        for name in ("layer2+.json", "layer2.json"):
            if (self.path / name).is_file():
                return self.path / name
        looked_for = ", ".join(str(self.path / name) for name in ("layer2+.json", "layer2.json"))
        raise DataError(f"{self.path} has layer1.json but no layer 2; looked for {looked_for}. {ACCESS}")

    def _tars(self) -> list[tuple[str, Path]]:
        found = []
        for split in SPLITS:
            places = (self.path / f"{split}.tar", self.path / "images" / f"{split}.tar")
            found += [(split, tar) for tar in places if tar.is_file()]
        return found

    def _compressed(self) -> list[Path]:
        """Return the compressed tars that have not been unpacked."""
        stems = [folder / split for folder in (self.path, self.path / "images") for split in SPLITS]
        packed = [(stem, stem.with_name(stem.name + suffix)) for stem in stems for suffix in _COMPRESSED]
        return [tar for stem, tar in packed if tar.is_file() and not stem.with_suffix(".tar").is_file()]

    def _folders(self, split: str) -> list[Path]:
        """Return the folders that exist and may hold the photos of a split, in the order of the layouts."""
        root = self.path
        by_split = (root / split, root / "images" / split, root / "recipe1M" / "images" / split)
        together = (root / "images", root)
        found = [folder for folder in by_split if folder.is_dir()]
        return found + [folder for folder in together if _is_image_tree(folder)]

    def _no_photos(self) -> str:
        root = self.path
        compressed = "".join(f" {tar} is compressed: unpack it first." for tar in self._compressed())
        return (
            f"{root} has the recipes but no photos; looked for {{train,val,test}}/, "
            f"images/{{train,val,test}}/, recipe1M/images/{{train,val,test}}/, images/<c>/ and <c>/ (c: the "
            f"first character of a photo's name), and "
            f"{{train,val,test}}.tar, images/{{train,val,test}}.tar in it.{compressed} {ACCESS}"
        )

    def _split_lists(self) -> list[tuple[str, Path]]:
        lists = ((split, self.path / f"{split}.txt") for split in SPLITS)
        return [(split, file) for split, file in lists if file.is_file()]

    def _state(self) -> str:
        files = [self._layer1, self._layer2]
        files += [file for _, file in (*self._split_lists(), *self._tars())]
        try:
            return sidecar.signature([*files, *self._compressed()], "recipe1m-1")
        except OSError as error:
            raise DataError(f"{error.filename} cannot be read: {error.strerror or error}") from error

    def fingerprint(self) -> str:
        """Return the fingerprint of `Dataset.fingerprint`, cached where no photo can change unnoticed.

        Files are watched by size and time of change. Photos lying loose are too many to watch, so the cache
        is used only where all photos are in tar files.
        """
        if any(self._folders(split) for split in SPLITS):
            return super().fingerprint()
        options = "\n".join([self._state(), self.repairs or "", *sorted(self.exclude)])
        return sidecar.remember("fingerprint", sidecar.signature([], options), super().fingerprint)

    def detected_ingredients(self) -> Iterator[Detected]:
        """Yield the entries of `det_ingrs.json`, which never replace the raw ingredients.

        Raises:
            DataError: there is no `det_ingrs.json`, or it is damaged.
        """
        path = self.path / "det_ingrs.json"
        if not path.is_file():
            raise DataError(f"{path} does not exist; it is a separate download of the release")
        for entry in stream_array(path):
            if isinstance(entry, dict) and (recipe_id := as_id(entry.get("id"))) is not None:
                names = _texts(entry.get("ingredients"), lambda reason: None)
                yield Detected(recipe_id, names, tuple(map(bool, entry.get("valid") or ())))

    def _read(self, report: Report) -> Iterator[Pair]:
        name = f"recipe1m-{sidecar.signature([], str(self.path))[:16]}"
        folders = {split: self._folders(split) for split in SPLITS}
        lists = {split for split, _ in self._split_lists()}
        with sidecar.open_sidecar(name, self._state(), self._build) as db:
            for row in db.execute("SELECT kind, place, reason, effect FROM problems ORDER BY rowid"):
                report(Problem(*row))
            for nth, entry in enumerate(stream_array(self._layer1), start=1):
                where = f"layer1.json entry {nth}"
                recipe_id = self._accept(db, entry, nth, where, report)
                if recipe_id is None:
                    continue
                where += f" (id {recipe_id})"
                partition = _partition(entry, where, report)
                recipe = _recipe(recipe_id, entry, where, report)
                photos = self._photos(db, recipe_id, partition, folders, where, report)
                yield Pair(recipe, photos, _split(db, recipe_id, partition, lists))

    def _photos(
        self,
        db: sqlite3.Connection,
        recipe_id: str,
        partition: str,
        folders: dict[str, list[Path]],
        where: str,
        report: Report,
    ) -> tuple[Photo, ...]:
        splits = (partition,) if partition in SPLITS else SPLITS
        found = []
        rows = db.execute("SELECT image FROM photos WHERE recipe = ? ORDER BY rowid", (recipe_id,))
        for (image,) in rows:
            photo = _loose_photo(image, splits, folders) or self._tar_photo(db, image, splits)
            if photo is None:
                report(Problem("missing photo", where, f"photo {image!r} is listed but not there"))
            else:
                found.append(photo)
        return tuple(found)

    def _tar_photo(self, db: sqlite3.Connection, image: str, splits: tuple[str, ...]) -> Photo | None:
        # Of two members with one name the later counts, as when the tar file is unpacked.
        rows = "SELECT split, tar, start, size FROM members WHERE image = ? ORDER BY rowid DESC"
        for split, tar, start, size in db.execute(rows, (image,)):
            if split in splits:
                return Photo(image, self.path / tar, start, size)
        return None

    def _accept(self, db: sqlite3.Connection, entry: Any, nth: int, where: str, report: Report) -> str | None:
        """Return the id of an entry, or None and a report if it has none, had it before or is excluded."""
        if not isinstance(entry, dict):
            report(Problem("not a recipe", where, f"expected a JSON object, found {describe(entry)}"))
            return None
        recipe_id = as_id(entry.get("id"))
        if recipe_id is None:
            report(Problem("no id", where, f"a recipe needs an id, found {describe(entry.get('id'))}"))
            return None
        first: int = db.execute("SELECT min(nth) FROM recipes WHERE id = ?", (recipe_id,)).fetchone()[0]
        if first != nth:
            report(Problem("duplicate id", where, f"id {recipe_id!r} was read from entry {first} already"))
            return None
        return None if self._excludes(recipe_id, where, report) else recipe_id

    def _build(self, db: sqlite3.Connection) -> None:
        def report(problem: Problem) -> None:
            db.execute("INSERT INTO problems VALUES (?, ?, ?, ?)", astuple(problem))

        db.executescript(_SCHEMA)
        for tar in self._compressed():
            report(Problem("compressed tar", str(tar), "photos are read from plain .tar only; unpack it"))
        for split, tar in self._tars():
            name = str(tar.relative_to(self.path))
            rows = ((image, split, name, start, size) for image, start, size in tar_members(tar, report))
            db.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?)", rows)
        for split, file in self._split_lists():
            ids = ((stripped, split) for line in text_lines(file) if (stripped := line.strip()))
            db.executemany("INSERT INTO listed VALUES (?, ?)", ids)
        db.executemany("INSERT INTO recipes VALUES (?, ?)", _recipe_ids(self._layer1))
        db.executemany("INSERT INTO photos VALUES (?, ?)", _photo_ids(self._layer2, report))
        db.executescript(_INDEXES)
        _check_join(db, self._layer2.name, report)


def stream_array(path: Path) -> Iterator[Any]:
    """Yield the entries of a JSON array one by one; memory does not grow with the file.

    Raises:
        DataError: the file cannot be read, is no JSON array, or ends early.
    """
    import ijson

    try:
        with path.open("rb") as file:
            head = file.read(4096)
            bom = 3 if head.startswith(b"\xef\xbb\xbf") else 0
            if not head[bom:].lstrip().startswith(b"["):
                raise DataError(f"{path} is not a JSON array: it begins with {head[:20]!r} instead of '['")
            file.seek(bom)
            yield from ijson.items(file, "item")
    except (ijson.JSONError, UnicodeDecodeError) as error:
        raise parse_error(path, error) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def tar_members(path: Path, report: Report) -> Iterator[tuple[str, int, int]]:
    """Yield `(image id, offset, size)` of the photos in a tar file, in bytes; folder names do not matter.

    Links, sparse members and what lies beyond a cut are reported.
    """
    try:
        size = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else every header read is kept
                name = member.name.rpartition("/")[2]
                if member.isdir() or name.startswith("."):
                    continue
                if not member.isreg() or member.issparse():
                    report(
                        Problem(
                            "tar member", f"{path}: {member.name!r}", "a link or sparse member, not a file"
                        )
                    )
                elif member.offset_data + member.size > size:
                    report(Problem("damaged tar", str(path), f"the file is cut off inside {member.name!r}"))
                else:
                    yield name, member.offset_data, member.size
    except tarfile.TarError as error:
        report(
            Problem("damaged tar", str(path), f"{error}; the photos after this point are lost, copy it again")
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _is_image_tree(folder: Path) -> bool:
    return folder.is_dir() and any(len(child.name) == 1 and child.is_dir() for child in folder.iterdir())


def _recipe_ids(layer1: Path) -> Iterator[tuple[int, str]]:
    for nth, entry in enumerate(stream_array(layer1), start=1):
        if isinstance(entry, dict) and (recipe_id := as_id(entry.get("id"))) is not None:
            yield nth, recipe_id


def _photo_ids(layer2: Path, report: Report) -> Iterator[tuple[str, str]]:
    for nth, entry in enumerate(stream_array(layer2), start=1):
        where = f"{layer2.name} entry {nth}"
        recipe_id = as_id(entry.get("id")) if isinstance(entry, dict) else None
        if recipe_id is None:
            report(Problem("no id", where, f"expected a recipe's id and images, found {describe(entry)}"))
            continue
        images = entry.get("images")
        if not isinstance(images, (list, type(None))):
            report(Problem("bad photo list", where, f"expected a list of images, found {describe(images)}"))
            continue
        for image in images or ():
            image_id = as_id(image.get("id")) if isinstance(image, dict) else None
            if image_id is None:
                report(
                    Problem("no photo id", where, f"expected an image with an id, found {describe(image)}")
                )
            else:
                yield recipe_id, image_id


def _check_join(db: sqlite3.Connection, layer2: str, report: Report) -> None:
    unknown = "SELECT DISTINCT {0}, {1} FROM {2} WHERE {0} NOT IN (SELECT id FROM recipes) ORDER BY 1"
    for recipe_id, _ in db.execute(unknown.format("recipe", "''", "photos")):
        report(Problem("unknown recipe", layer2, f"id {recipe_id!r} has photos, but layer1.json lacks it"))
    for recipe_id, split in db.execute(unknown.format("id", "split", "listed")):
        report(
            Problem("unknown recipe", f"{split}.txt", f"id {recipe_id!r} is listed, but layer1.json lacks it")
        )
    twice = "SELECT id, group_concat(split) FROM listed GROUP BY id HAVING count(*) > 1 ORDER BY id"
    for recipe_id, splits in db.execute(twice):
        reason = f"id {recipe_id!r} stands in {splits}; test goes before val, val before train"
        report(Problem("listed twice", "split lists", reason, "noted"))


def _partition(entry: dict[str, Any], where: str, report: Report) -> str:
    partition = entry.get("partition")
    if isinstance(partition, str) and partition.strip():
        return partition
    if partition is not None:
        reason = f"partition is not a text but {describe(partition)}; read as 'all'"
        report(Problem("bad field", where, reason, "altered"))
    return "all"


def _recipe(recipe_id: str, entry: dict[str, Any], where: str, report: Report) -> Recipe:
    def bad(field: str) -> Callable[[str], None]:
        return lambda reason: report(Problem("bad field", where, f"{field}: {reason}", "altered"))

    title, url = entry.get("title"), entry.get("url")
    if title is not None and not isinstance(title, str):
        bad("title")(f"expected a text, found {describe(title)}; left empty")
    return Recipe(
        recipe_id,
        title if isinstance(title, str) else "",
        _texts(entry.get("ingredients"), bad("ingredients")),
        _texts(entry.get("instructions"), bad("instructions")),
        source=url if isinstance(url, str) else None,
    )


def _texts(lines: Any, bad: Callable[[str], None]) -> tuple[str, ...]:
    """Return the texts of a list of `{"text": ...}`; anything else in it is reported and left out."""
    if lines is None:
        return ()
    if not isinstance(lines, list):
        bad(f"expected a list of lines, found {describe(lines)}; left empty")
        return ()
    texts = []
    for line in lines:
        text = line.get("text") if isinstance(line, dict) else None
        if isinstance(text, str):
            texts.append(text)
        else:
            bad(f"expected a line with a text, found {describe(line)}; left out")
    return tuple(texts)


def _split(db: sqlite3.Connection, recipe_id: str, partition: str, lists: set[str]) -> str:
    """Return the split: that of the lists, or the partition, marked where its list leaves the recipe out."""
    if not lists:
        return partition
    listed = {split for (split,) in db.execute("SELECT split FROM listed WHERE id = ?", (recipe_id,))}
    for split in reversed(SPLITS):  # a recipe in two lists must not be trained on and tested with
        if split in listed:
            return split
    return partition + UNLISTED if partition in lists else partition


def _loose_photo(image: str, splits: tuple[str, ...], folders: dict[str, list[Path]]) -> Photo | None:
    if len(image) < 5 or not {"/", "\\"}.isdisjoint(image) or image.startswith("."):
        return None
    for folder in dict.fromkeys(folder for split in splits for folder in folders[split]):
        path = folder.joinpath(*image[:4], image)
        if is_file(path):
            return Photo(image, path)
    return None
