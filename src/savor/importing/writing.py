"""The plain folder that an import writes: `recipes.jsonl`, `photos/`, `raw/` and `import.json`.

An import adds and updates and never removes a recipe. A recipe is known again by its key (see `Found`) and by
its text, so that nothing is imported twice. New photos are there before the line that names them, and each
file is replaced in one step, so an interrupted import leaves a folder that can be read and imported into.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from savor.datasets.folder import recipe_from_json, recipe_to_json
from savor.errors import DataError, SavorError
from savor.importing.base import Found, Skipped, digest, without_addresses
from savor.importing.photos import checked
from savor.recipe import PARTS, Recipe

STATUSES = ("read", "updated", "unchanged", "skipped")
_VERSION = 1
_LETTERS = re.compile(r"[^\w/]|_")
# What one export of a recipe may have and another not.
_EXTRAS = ("source", "category", "servings", "times", "tags", "notes")
# Bytes without metadata and suffix, by the digest of the bytes as they were found.
_Photos = dict[str, tuple[bytes, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe: `read`, `updated`, `unchanged` or `skipped`, and why or what it lacks."""

    source: str
    id: str | None
    status: str
    reason: str | None = None


@dataclass
class ImportReport:
    """What became of every recipe, in the order in which they were found."""

    recipes: list[Outcome] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many recipes there are of each status."""
        counted = Counter(outcome.status for outcome in self.recipes)
        return {status: counted[status] for status in STATUSES}

    def as_dict(self) -> dict[str, Any]:
        """Return the report as `savor import --json` writes it."""
        rows = [
            {"source": one.source, "id": one.id, "status": one.status, "reason": one.reason}
            for one in self.recipes
        ]
        return {"counts": self.counts, "recipes": rows}


@dataclass
class _Known:
    """A recipe of the folder: its key, digests of what its source said last, its files.

    `text` holds what there is to do and not how it is written, so that one recipe in two exports is one.
    """

    key: str
    text: str
    whole: str
    photos: dict[str, str]  # path in the folder by digest of the photo's own bytes
    raw: str = ""


def write(
    found: Iterable[Found | Skipped],
    out: Path,
    *,
    dry_run: bool = False,
    on_progress: Callable[[int], None] = lambda done: None,
) -> ImportReport:
    """Write recipes into a plain folder, made if it is not there, and say what became of each.

    Args:
        found: the recipes, read one after the other.
        out: the folder; what it holds already is kept.
        dry_run: change nothing, only report what would be done.
        on_progress: called with the number of recipes done so far.

    Raises:
        DataError: the folder holds something that no import wrote, or another import is writing into it.
    """
    with _locked(out, dry_run):
        folder = _Folder.open(out, dry_run)
        report = ImportReport()
        for number, one in enumerate(found, start=1):
            report.recipes.append(folder.add(one) if isinstance(one, Found) else _skipped(one))
            on_progress(number)
        if not dry_run and folder.lines:
            folder.save()
    return report


def remove(recipe_ids: Iterable[str], out: Path) -> int:
    """Remove recipes from a folder that an import wrote, with their photos and sources; return how many.

    Imported again, they are read as new ones.

    Raises:
        DataError: the folder holds something that no import wrote, or an import is writing into it.
    """
    with _locked(out, dry_run=False):
        folder = _Folder.open(out, dry_run=False)
        gone = [one for one in recipe_ids if folder.lines.pop(one, None) is not None]
        for known in (folder.known.pop(one) for one in gone):
            folder.superseded += filter(None, (known.raw, *known.photos.values()))
        if gone:
            folder.save()
    return len(gone)


def _skipped(one: Skipped) -> Outcome:
    return Outcome(one.source, None, "skipped", one.reason)


@contextlib.contextmanager
def _locked(out: Path, dry_run: bool) -> Iterator[None]:
    """Let one import write at a time."""
    if dry_run:
        yield
        return
    from filelock import FileLock, Timeout

    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".import.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(f"another import is writing into {out}; wait until it has ended") from error
    try:
        yield
    finally:
        lock.release()
        (out / ".import.lock").unlink(missing_ok=True)
        if is_new and not any(out.iterdir()):
            out.rmdir()


class _Folder:
    """The folder while it is written: lines of recipes.jsonl by id, and what import.json knows of them."""

    def __init__(self, out: Path, dry_run: bool, lines: dict[str, str], known: dict[str, _Known]) -> None:
        self.out, self.dry_run, self.lines, self.known = out, dry_run, lines, known
        self.by_key = {one.key: recipe_id for recipe_id, one in known.items() if one.key}
        self.by_text = {one.text: recipe_id for recipe_id, one in known.items()}
        self.seen: dict[str, str] = {}  # where a recipe of this run was found, by id
        self.superseded: list[str] = []

    @classmethod
    def open(cls, out: Path, dry_run: bool) -> _Folder:
        """Read what earlier imports wrote.

        Raises:
            DataError: the folder was written by something else, or is damaged.
        """
        lines, state = out / "recipes.jsonl", out / "import.json"
        if not lines.is_file() and not state.is_file():
            if (out / "recipes.csv").exists():
                raise DataError(f"{out} holds recipes.csv; give a new folder with --out")
            return cls(out, dry_run, {}, {})
        if not state.is_file():
            raise DataError(f"{out} holds recipes that no import wrote; give a new folder with --out")
        try:
            saved = json.loads(state.read_text("utf-8"))
            known = {name: _Known(**one) for name, one in saved["recipes"].items()}
            for one in known.values():  # a photo that was deleted is imported again
                one.photos = {name: path for name, path in one.photos.items() if (out / path).is_file()}
            text = lines.read_text("utf-8") if lines.is_file() else ""
            kept = {json.loads(line)["id"]: line for line in text.split("\n") if line.strip()}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{out} is damaged ({error}); give a new folder with --out") from error
        # A line without its entry: written by hand, or just before an import was interrupted.
        strangers = {name: _stranger(line) for name, line in kept.items() if name not in known}
        return cls(out, dry_run, kept, {name: one for name, one in known.items() if name in kept} | strangers)

    def add(self, found: Found) -> Outcome:
        """Take one recipe in."""
        text, whole = text_digest(found.recipe), _whole_digest(found.recipe)
        photos, bad = _bytes_of(found)
        remarks = "; ".join((*found.remarks, *bad, *_missing(found.recipe))) or None
        twin = self.by_text.get(text)
        if twin is not None and (twin in self.seen or self.known[twin].key != found.key):
            return self._same_again(found, twin, photos, remarks)
        found = replace(found, key=self._free_key(found.key))
        mine = self.by_key.get(found.key)
        recipe_id = mine or self._new_id(found)
        self.seen[recipe_id] = found.source
        known = self.known.get(recipe_id)
        if known and known.whole == whole and photos.keys() <= known.photos.keys():
            return Outcome(found.source, recipe_id, "unchanged", remarks)
        self._put(recipe_id, found, (text, whole), photos)
        return Outcome(found.source, recipe_id, "updated" if known else "read", remarks)

    def _same_again(self, found: Found, twin: str, photos: _Photos, remarks: str | None) -> Outcome:
        """Answer for a recipe the folder has under another key: what the one there lacks is of use."""
        here, known = self.seen.get(twin), self.known[twin]
        self.seen.setdefault(twin, found.source)
        if not known.key:
            known.key, known.whole = found.key, _whole_digest(found.recipe)
            self.by_key[found.key] = twin
        line, fields = json.loads(self.lines[twin]), recipe_to_json(found.recipe)
        gained = {name: fields[name] for name in _EXTRAS if fields.get(name) and not line.get(name)}
        if new := {name: photo for name, photo in photos.items() if name not in known.photos}:
            known.photos |= self._write_photos(twin, new)
            gained["photos"] = list(known.photos.values())
        if gained:
            self.lines[twin] = _line({**line, **gained})
        said = [f"the same recipe as {here}" if here else "the same recipe from elsewhere"]
        said += [f"its {', '.join(gained)} added"] if gained else []
        differs = [
            name for name in _EXTRAS[1:] if fields.get(name) and fields[name] != line.get(name, fields[name])
        ]
        said += [f"its {', '.join(differs)} differ and are left out"] if differs else []
        reason = "; ".join(filter(None, (*said, remarks)))
        if here:
            return Outcome(found.source, twin, "skipped", reason)
        return Outcome(found.source, twin, "updated" if gained else "unchanged", reason)

    def _free_key(self, key: str) -> str:
        """Return the key, numbered if another recipe of this run has it: they are two, not old and new."""
        free, number = key, 1
        while self.by_key.get(free) in self.seen:
            number += 1
            free = digest(key, str(number))
        return free

    def _new_id(self, found: Found) -> str:
        if found.recipe.id and found.recipe.id not in self.lines:
            return found.recipe.id
        name, length = _slug(found.recipe.title), 8
        key = digest(found.key)
        while (recipe_id := f"{name}-{key[:length]}") in self.lines:
            length += 4
            if length > len(key):
                key += digest(key)
        return recipe_id

    def _put(self, recipe_id: str, found: Found, digests: tuple[str, str], photos: _Photos) -> None:
        """Write a recipe's files and its line; photos it had stay where the source has none now."""
        old = self.known.get(recipe_id)
        kept = dict(old.photos) if old else {}
        if photos:
            same = {name: path for name, path in kept.items() if name in photos}
            self.superseded += [path for name, path in kept.items() if name not in photos]
            new = {name: photo for name, photo in photos.items() if name not in same}
            written = same | self._write_photos(recipe_id, new)
            kept = {name: written[name] for name in photos}
        raw = f"raw/{_file_stem(recipe_id)}{found.suffix}"
        if old and old.raw not in ("", raw):
            self.superseded.append(old.raw)
        self._write(raw, without_addresses(found.raw).encode("utf-8", "replace"))
        fields = recipe_to_json(replace(found.recipe, id=recipe_id))
        self.lines[recipe_id] = _line({**fields, "photos": list(kept.values())} if kept else fields)
        if old and self.by_text.get(old.text) == recipe_id:
            del self.by_text[old.text]
        self.known[recipe_id] = _Known(found.key, *digests, kept, raw)
        self.by_key[found.key] = self.by_text[digests[0]] = recipe_id

    def _write_photos(self, recipe_id: str, photos: _Photos) -> dict[str, str]:
        stem, paths = _file_stem(recipe_id), {}
        for name, (data, suffix) in photos.items():
            paths[name] = f"photos/{stem}-{name[:8]}{suffix}"
            self._write(paths[name], data)
        return paths

    def _write(self, name: str, data: bytes) -> None:
        if not self.dry_run:
            replace_file(self.out / name, data)

    def save(self) -> None:
        """Write recipes.jsonl, then import.json, then remove the files that nothing names any more."""
        text = "".join(line + "\n" for line in self.lines.values())
        replace_file(self.out / "recipes.jsonl", text.encode())
        state = {"version": _VERSION, "recipes": {name: asdict(one) for name, one in self.known.items()}}
        replace_file(self.out / "import.json", json.dumps(state, indent=1).encode())
        used = {path for one in self.known.values() for path in (one.raw, *one.photos.values())}
        for name in set(self.superseded) - used:
            (self.out / name).unlink(missing_ok=True)


def _stranger(line: str) -> _Known:
    return _Known("", text_digest(recipe_from_json(json.loads(line))), "", {})


def _file_stem(recipe_id: str) -> str:
    """Return a file name for a recipe; ids that came from elsewhere may be no file names."""
    safe = re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", recipe_id)
    return recipe_id if safe else f"{_slug(recipe_id)}-{digest(recipe_id)[:8]}"


def _missing(recipe: Recipe) -> list[str]:
    """Say which parts its source does not have, so that nobody finds out while cooking."""
    words = {
        "title": "it has no title",
        "ingredients": "no ingredients are marked in it",
        "instructions": "no steps are marked in it",
    }
    return [words[part] for part in recipe.missing]


def text_digest(recipe: Recipe) -> str:
    """Return the digest of what a recipe tells to do: letters and digits of its title, ingredients and steps.

    Two applications break, number and head the same lines differently; a line that ends with a colon is a
    heading in one of them.
    """
    parts = [
        _LETTERS.sub("", "".join(line for line in recipe.lines(part) if not line.endswith(":"))).casefold()
        for part in PARTS
    ]
    if not any(parts[1:]):  # a title alone says too little
        parts.append(json.dumps(recipe_to_json(replace(recipe, id="", source=None)), sort_keys=True))
    return digest(*parts)


def _whole_digest(recipe: Recipe) -> str:
    return digest(json.dumps(recipe_to_json(recipe)))


def _bytes_of(found: Found) -> tuple[_Photos, list[str]]:
    """Return a recipe's photos by the digest of their own bytes, and why others cannot be used."""
    photos: _Photos = {}
    bad = []
    for picture in found.photos:
        try:
            data = picture.read()
            name = hashlib.sha256(data).hexdigest()
            if name not in photos:
                photos[name] = checked(data)
        except (SavorError, ValueError, OSError) as error:
            bad.append(f"photo {picture.name} is left out: {error}")
    return photos, bad


def _line(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair has no encoding


def _slug(title: str) -> str:
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_title).strip("-")[:60].strip("-") or "recipe"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step: there is the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
