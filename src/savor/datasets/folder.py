"""A plain folder: `recipes.jsonl` or `recipes.csv` with photos beside it, or photos with nothing else."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from savor.datasets.base import Dataset, Problem, Report, as_id, describe, is_file, text_lines
from savor.errors import DataError
from savor.recipe import Pair, Photo, Recipe, Section

PHOTO_SUFFIXES = frozenset(
    [".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif"]
)
_CLUTTER = {"__MACOSX", "Thumbs.db"}

_LISTS = ("ingredients", "instructions", "photos", "tags")
_TEXTS = ("title", "category", "source", "servings", "notes", "partition")
FIELDS = frozenset({"id", "times", *_LISTS, *_TEXTS})

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

Altered = Callable[[str], None]

# Where an entry stands, and the entry or the reason why it is none.
_Entry = tuple[str, dict[str, Any] | str]


class Folder(Dataset):
    """Recipes in `recipes.jsonl` or `recipes.csv`, their photos as paths relative to the folder.

    Raises:
        DataError: the file is not UTF-8 or holds no recipes of this form at all.
    """

    kind = "folder"

    def __init__(self, path: Path, exclude: Collection[str] = (), repairs: str | None = None) -> None:
        super().__init__(path, exclude, repairs)
        files = [file for name in ("recipes.jsonl", "recipes.csv") if (file := self.path / name).is_file()]
        if len(files) != 1:
            raise DataError(f"{path} must hold either recipes.jsonl or recipes.csv; move one of them away")
        self._file = files[0]
        for _ in text_lines(self._file):  # a wrong encoding must show now, not half way through
            pass
        if self._file.suffix == ".jsonl":
            _require_jsonl(self._file)
        else:
            _csv_header(self._file)

    def _read(self, report: Report) -> Iterator[Pair]:
        read = _jsonl_entries if self._file.suffix == ".jsonl" else _csv_entries
        # A database in a temporary file: the ids of a million recipes would fill the memory otherwise.
        with contextlib.closing(sqlite3.connect("", check_same_thread=False)) as seen:
            seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID")
            for where, entry in read(self._file):
                if isinstance(entry, str):
                    report(Problem("not a recipe", where, entry))
                    continue
                recipe_id = as_id(entry.get("id"))
                if recipe_id is None:
                    report(
                        Problem("no id", where, f"a recipe needs an id, found {describe(entry.get('id'))}")
                    )
                    continue
                insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
                if not seen.execute(insert, (recipe_id, where)).rowcount:
                    first = seen.execute("SELECT place FROM seen WHERE id = ?", (recipe_id,)).fetchone()[0]
                    report(Problem("duplicate id", where, f"id {recipe_id!r} was read from {first} already"))
                elif not self._excludes(recipe_id, where, report):
                    yield self._pair(recipe_id, entry, f"{where} (id {recipe_id})", report)

    def _pair(self, recipe_id: str, entry: dict[str, Any], where: str, report: Report) -> Pair:
        def altered(reason: str) -> None:
            report(Problem("bad field", where, reason, "altered"))

        if entry.get("title") is None:
            report(Problem("no title", where, "the title is missing; it may be empty, but give one", "noted"))
        for key in sorted(entry.keys() - FIELDS):
            report(Problem("unknown key", where, f"the key {key!r} has no meaning here, not read", "noted"))
        split = _text("partition", entry, altered) or "all"
        photos = self._photos(_lines("photos", entry, altered), where, report)
        return Pair(recipe_from_json({**entry, "id": recipe_id}, altered), photos, split)

    def _photos(self, names: tuple[str, ...], where: str, report: Report) -> tuple[Photo, ...]:
        found = []
        for name in names:
            if _leaves_folder(name):
                reason = f"{name!r} is not a path inside the folder; copy the photo into it"
                report(Problem("photo outside", where, reason))
            elif is_file(path := self.path / name):
                found.append(Photo(name, path))
            else:
                report(Problem("missing photo", where, f"photo {name!r} is listed but not there"))
        return tuple(found)


class PhotoFolder(Dataset):
    """Photos in a folder and its subfolders, each a pair whose recipe has no text; for search only.

    The recipe id is the photo's path in the folder. Hidden files and folders are not read.
    """

    kind = "photos"

    def _read(self, report: Report) -> Iterator[Pair]:
        for name in walk_photos(self.path, report):
            if not self._excludes(name, name, report):
                yield Pair(Recipe(name), (Photo(name, self.path / name),))


def walk_photos(root: Path, report: Report) -> Iterator[str]:
    """Yield the paths of the photos below a folder, relative to it, in a fixed order."""

    def unreadable(error: OSError) -> None:
        report(Problem("unreadable folder", str(error.filename), str(error.strerror or error)))

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not _is_clutter(name))
        for name in folders:
            if Path(folder, name).is_symlink():
                report(Problem("linked folder", str(Path(folder, name)), "links to folders are not followed"))
        for name in sorted(files):
            if _is_clutter(name) or Path(name).suffix.lower() not in PHOTO_SUFFIXES:
                continue
            relative = Path(folder, name).relative_to(root).as_posix()
            if _LONE_SURROGATE.search(relative):
                report(Problem("bad file name", ascii(relative), "the name is not UTF-8; rename the file"))
            else:
                yield relative


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name in _CLUTTER


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name)
    drive = re.match(r"[A-Za-z]:[\\/]|\\", name)
    return path.is_absolute() or drive is not None or ".." in path.parts or "://" in name


def _require_jsonl(file: Path) -> None:
    first = next((line.strip() for line in text_lines(file) if line.strip()), "{")
    if first.startswith("["):
        raise DataError(f"{file} is one JSON array; write one recipe a line instead, each {{...}} on its own")
    if not first.startswith("{"):
        raise DataError(f"{file} is not JSON lines: it begins with {first[:20]!r} instead of '{{'")


def _jsonl_entries(file: Path) -> Iterator[_Entry]:
    for number, line in enumerate(text_lines(file), start=1):
        if not line.strip():
            continue
        where = f"{file.name} line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield where, f"this line is not JSON: {error}"
            continue
        yield where, entry if isinstance(entry, dict) else f"expected a JSON object, found {describe(entry)}"


def _csv_rows(file: Path) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the number of its first line and each row, or the reason why it is none."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text_lines(file), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"this row is not CSV: {error}"
            continue
        if row:
            yield number, row


def _csv_header(file: Path) -> list[str]:
    _, header = next(_csv_rows(file), (1, []))
    if isinstance(header, str) or "id" not in header or len(set(header)) < len(header):
        found = header if isinstance(header, str) else f"found {', '.join(header) or 'nothing'}"
        raise DataError(
            f"{file} needs a first row of distinct column names separated by commas, 'id' and 'title' among "
            f"them; {found}"
        )
    return header


def _csv_entries(file: Path) -> Iterator[_Entry]:
    rows = _csv_rows(file)
    header = _csv_header(file)
    next(rows)
    for number, row in rows:
        where = f"{file.name} line {number}"
        if isinstance(row, str):
            yield where, row
        elif len(row) != len(header):
            yield where, f"the row has {len(row)} cells, the first row {len(header)}"
        else:
            cells = dict(zip(header, row, strict=True))
            yield where, {name: _cell(name, cell) for name, cell in cells.items() if cell}


def _cell(name: str, cell: str) -> Any:
    """Return the value of a cell; what should be JSON and is not stays text, which is reported later."""
    if name not in (*_LISTS, "times"):
        return cell
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(cell)
        if isinstance(value, (list, dict)):
            return value
    return cell


def recipe_from_json(entry: Mapping[str, Any], altered: Altered = lambda reason: None) -> Recipe:
    """Return the recipe in a line of `recipes.jsonl`; photos and partition are not part of it.

    Args:
        entry: the JSON object; every key may be missing, an unusable id is left empty.
        altered: called with the reason for every value that is left out or kept in another form.

    >>> recipe_from_json({"id": 7, "ingredients": [{"section": "Top"}, "parsley"]}).ingredients
    ('Top', 'parsley')
    """
    return Recipe(
        as_id(entry.get("id")) or "",
        _text("title", entry, altered) or "",
        _lines("ingredients", entry, altered),
        _lines("instructions", entry, altered),
        category=_text("category", entry, altered),
        source=_text("source", entry, altered),
        servings=_text("servings", entry, altered),
        times=_times(entry, altered),
        tags=_lines("tags", entry, altered),
        notes=_text("notes", entry, altered),
    )


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON object of a recipe for `recipes.jsonl`; `recipe_from_json` reads it back.

    >>> recipe_to_json(Recipe("7", "Soup", (Section("Top"), "parsley")))
    {'id': '7', 'title': 'Soup', 'ingredients': [{'section': 'Top'}, 'parsley']}
    """
    fields: dict[str, Any] = {
        "ingredients": _sections_marked(recipe.ingredients),
        "instructions": _sections_marked(recipe.instructions),
        "category": recipe.category,
        "source": recipe.source,
        "servings": recipe.servings,
        "times": dict(recipe.times),
        "tags": _sections_marked(recipe.tags),
        "notes": recipe.notes,
    }
    kept = {name: value for name, value in fields.items() if value not in (None, [], {})}
    return {"id": recipe.id, "title": recipe.title, **kept}


def _sections_marked(lines: tuple[str, ...]) -> list[Any]:
    return [{"section": str(line)} if isinstance(line, Section) else line for line in lines]


def _text(name: str, entry: Mapping[str, Any], altered: Altered) -> str | None:
    return _as_text(entry.get(name), lambda reason: altered(f"{name}: {reason}"))


def _as_text(value: Any, altered: Altered) -> str | None:
    """Return a text as it is and a number as its digits; what cannot be a text is reported and left out."""
    if isinstance(value, str):
        return _valid_unicode(value, altered)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return json.dumps(value)
    if value is not None:
        altered(f"expected a text, found {describe(value)}; left out")
    return None


def _lines(name: str, entry: Mapping[str, Any], altered: Altered) -> tuple[str, ...]:
    """Return a list's lines; a single text is not split but kept as one line, and reported."""

    def bad(reason: str) -> None:
        altered(f"{name}: {reason}")

    value = entry.get(name)
    if value is None:
        return ()
    if isinstance(value, str):
        bad(f"expected a list of lines, found {describe(value)}; kept as one line")
        return (_valid_unicode(value, bad),)
    if not isinstance(value, list):
        bad(f"expected a list of lines, found {describe(value)}; left out")
        return ()
    return tuple(line for item in value if (line := _line(item, bad)) is not None)


def _line(item: Any, altered: Altered) -> str | None:
    if isinstance(item, dict) and item.keys() == {"section"} and isinstance(item["section"], str):
        return Section(_valid_unicode(item["section"], altered))
    if item is None:
        altered("expected a line, found null; left out")
        return None
    return _as_text(item, altered)


def _times(entry: Mapping[str, Any], altered: Altered) -> dict[str, str]:
    value = entry.get("times")
    if value is None:
        return {}
    if not isinstance(value, dict):
        altered(
            f'times: expected a JSON object such as {{"total": "1 h"}}, found {describe(value)}; left out'
        )
        return {}
    times = {name: _text(name, value, lambda reason: altered(f"times: {reason}")) for name in value}
    return {name: time for name, time in times.items() if time is not None}


def _valid_unicode(text: str, altered: Altered) -> str:
    if not _LONE_SURROGATE.search(text):
        return text
    altered("half of a surrogate pair, which no encoding can store; replaced by U+FFFD")
    return _LONE_SURROGATE.sub("\ufffd", text)
