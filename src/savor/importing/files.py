"""The files of a source: an archive, also one inside an archive, is read as if it were a folder.

Links that lead out of the source are not followed; `archives.py` says what may be in an archive.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from savor.datasets.folder import PHOTO_SUFFIXES
from savor.errors import DataError
from savor.importing.archives import UNREADABLE, Archive, Limits, kind_of, unpack
from savor.importing.base import Picture, Skipped

_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}
# The size that blogs write into the names of scaled photos: soup-300x200.jpg.
_SIZE = re.compile(r"-\d{2,4}x\d{2,4}$")
_NUMBERS = re.compile(r"(?:\.\d+)+$")
_KEPT_OPEN = 6


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source: its path below the source, its size in bytes, and how to read so many of them."""

    path: str
    size: int
    _read: Callable[[int], bytes] = field(repr=False)
    disk: Path | None = None

    def head(self) -> bytes:
        """Return the first bytes, enough to tell what it is."""
        return self._read(2048)

    def read(self) -> bytes:
        """Return all bytes.

        Raises:
            DataError: the file cannot be read, is damaged or is larger than it claims to be.
        """
        try:
            data = self._read(self.size + 1)
        except UNREADABLE as error:
            raise DataError(f"it cannot be read ({error}); export or copy it again") from error
        if len(data) != self.size:
            raise DataError(f"it is not the {self.size:,} bytes its archive claims; export or copy it again")
        return data


@dataclass
class Source:
    """All files of one source, in a fixed order, and what could not be looked into."""

    name: str
    files: dict[str, File] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    _places: dict[str, list[str]] = field(default_factory=dict)
    _stems: dict[str, list[str]] = field(default_factory=dict)
    _numbered: dict[str, list[str]] = field(default_factory=dict)
    _suffixes: dict[str, set[str]] = field(default_factory=dict)
    _open: OrderedDict[File, Archive] = field(default_factory=OrderedDict)
    _is_closed: bool = False

    def opened(self, file: File, kind: str, limits: Limits) -> Archive:
        """Return an archive; the last few stay open, so that many in one are never in memory at once."""
        if file not in self._open:
            self._open[file] = unpack(file, kind, limits)
            while len(self._open) > _KEPT_OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(file)
        return self._open[file]

    def read_member(self, file: File, kind: str, limits: Limits, number: int, size: int) -> bytes:
        """Return so many bytes of one member of an archive."""
        data = self.opened(file, kind, limits).members[number].read(size)
        if self._is_closed:
            self.close()
        return data

    def close(self) -> None:
        """Let go of the archives; from now on each is open only while it is read."""
        self._is_closed = True
        while self._open:
            self._open.popitem()[1].close()

    @property
    def family(self) -> str:
        """The letters of the name: `export_2023-06-30.zip` and next month's export are one source."""
        return re.sub(r"[^a-z]", "", posixpath.splitext(self.name.lower())[0])

    def add(self, file: File) -> None:
        """Take a file in; one path twice in an archive is two files."""
        path = file.path
        while path in self.files:
            path += "~"
        self.files[path] = file
        folder, base = posixpath.split(_folded(path.rstrip("~")))
        stem, suffix = posixpath.splitext(base)
        if suffix in PHOTO_SUFFIXES:
            for name in (base, stem, _any_size(stem)):
                self._places.setdefault(name, []).append(path)
            self._stems.setdefault(posixpath.join(folder, stem), []).append(path)
            self._numbered.setdefault(posixpath.join(folder, _NUMBERS.sub("", stem)), []).append(path)
        else:
            self._suffixes.setdefault(folder, set()).add(suffix)

    def photo(self, name: str, near: str) -> Picture | None:
        """Return the photo that a recipe calls `name`: a path, a web address or a bare name without suffix.

        Of several with the same name the one whose folder has most in common with the recipe's is taken.
        """
        is_address = "://" in name
        try:
            path = urlsplit(name).path if is_address else name.partition("?")[0].partition("#")[0]
        except ValueError:
            return None
        wanted = _folded(unquote(path)).replace("\\", "/").strip("/ ")
        folder = _folded(posixpath.dirname(near))
        own = _folded(posixpath.splitext(near)[0])
        exact = posixpath.normpath(posixpath.join(folder, wanted))
        for place in self._stems.get(posixpath.splitext(exact)[0], ()):
            if _folded(place) == exact:
                return self.picture(place)
        parts = wanted.split("/")

        def fit(place: str) -> tuple[int, int]:
            here = _folded(place)
            tail = sum(a == b for a, b in zip(reversed(parts), reversed(here.split("/")), strict=False))
            common = posixpath.commonpath([folder or ".", posixpath.dirname(here) or "."])
            return tail, len(common)

        def may_be(place: str) -> bool:
            there = _folded(posixpath.dirname(place))
            if is_address:  # another page's folder may hold a photo of the same name
                return there == folder or there.startswith(own)
            return fit(place)[0] > 1 or not self._is_foreign(there, folder, near)

        places = [place for place in self._named(wanted, is_address) if may_be(place)]
        return self.picture(max(places, key=fit)) if places else None

    def _named(self, wanted: str, is_address: bool) -> list[str]:
        """Return the photos with this name, or else with another suffix or size."""
        base = posixpath.basename(wanted)
        stem, suffix = posixpath.splitext(base)
        if places := self._places.get(base, []) if base else []:
            return places
        if suffix not in PHOTO_SUFFIXES:
            return []
        return self._places.get(stem) or (self._places.get(_any_size(stem), []) if is_address else [])

    def _is_foreign(self, folder: str, own: str, near: str) -> bool:
        """Tell whether a folder is another recipe's: beside the folder of this one, with a file like it."""
        related = not folder or not own or f"{folder}/".startswith(f"{own}/") or own.startswith(f"{folder}/")
        suffix = posixpath.splitext(_folded(near))[1]
        return folder != own and not related and suffix in self._suffixes.get(folder, ())

    def picture(self, path: str) -> Picture:
        """Return the file at a path as a photo."""
        return Picture(path, self.files[path].read)

    def numbered(self, path: str) -> list[str]:
        """Return the photos beside a file that have its name: `soup.jpg`, `soup.0.jpg`, `soup.2.1.jpg`."""

        def order(place: str) -> list[int]:
            return [int(number) for number in re.findall(r"\.(\d+)", posixpath.basename(place))]

        return sorted(self._numbered.get(_folded(posixpath.splitext(path)[0]), []), key=order)

    def beside(self, path: str, *names: str) -> list[str]:
        """Return the photos `folder/name.*` next to a file, in the order of the names asked for."""
        folder = posixpath.dirname(path)
        wanted = (_folded(posixpath.normpath(posixpath.join(folder, name))) for name in names)
        return list(dict.fromkeys(place for stem in wanted for place in self._stems.get(stem, ())))


def open_source(path: Path, limits: Limits | None = None, exclude: Path | None = None) -> Source:
    """List the files of a folder, a zip or a single file, those below `exclude` left out.

    Raises:
        DataError: there is nothing at this path, or a folder cannot be read.
    """
    limits = limits or Limits()
    if not path.exists():
        raise DataError(f"{path} does not exist; give the export or the folder with the recipes")
    source = Source(path.resolve().name)
    for file in _walk(path, source, exclude) if path.is_dir() else [_on_disk(path, source.name)]:
        _take(file, source, limits, 0)
    if list(source.files) == [source.name]:
        for photo in _companions(path):
            source.add(_on_disk(photo, photo.relative_to(path.parent).as_posix()))
    total = sum(file.size for file in source.files.values())
    if total > limits.source:
        raise DataError(f"{path} holds {total:,} bytes unpacked, more than {limits.source:,}; split it")
    return source


def _walk(root: Path, source: Source, exclude: Path | None) -> Iterator[File]:
    def unreadable(error: OSError) -> None:
        source.skipped.append(Skipped(str(error.filename), f"the folder cannot be read ({error.strerror})"))

    inside = root.resolve()
    for folder, folders, names in os.walk(root, onerror=unreadable):
        for name in sorted(folders):
            if (Path(folder) / name).is_symlink():
                where = (Path(folder) / name).relative_to(root).as_posix()
                source.skipped.append(Skipped(where, "links to folders are not followed"))
        inner = (
            name for name in folders if not _is_clutter(name) and Path(folder, name).resolve() != exclude
        )
        folders[:] = sorted(inner)
        for name in sorted(names):
            file = Path(folder) / name
            where = file.relative_to(root).as_posix()
            if _is_clutter(name):
                continue
            if not file.is_file() or not file.resolve().is_relative_to(inside):
                source.skipped.append(Skipped(where, "not a file inside this folder (a link or a device)"))
            else:
                yield _on_disk(file, where)


def _companions(path: Path) -> Iterator[Path]:
    """Yield the photos of a single page or text: of its own name, or in the folder saved with it."""
    own = re.compile(re.escape(path.stem) + r"(?:[_.-]|$)")
    with contextlib.suppress(OSError):
        for entry in sorted(path.parent.iterdir()):
            if entry.is_symlink() or entry == path or not own.match(entry.name):
                continue
            for photo in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
                if photo.suffix.lower() in PHOTO_SUFFIXES and photo.is_file() and not photo.is_symlink():
                    yield photo


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER


def _on_disk(path: Path, name: str) -> File:
    def read(size: int) -> bytes:
        with path.open("rb") as file:
            return file.read(size)

    shown = name.encode("utf-8", "replace").decode()  # a name that is no UTF-8 can be read, but not printed
    return File(shown, path.stat().st_size, read, path)


def _take(file: File, source: Source, limits: Limits, depth: int) -> None:
    """Add a file, or what is in it if it is an archive."""
    try:
        kind = kind_of(file.head())
    except UNREADABLE as error:
        source.skipped.append(Skipped(file.path, f"it cannot be read ({error}); export or copy it again"))
        return
    if kind is None:
        source.add(file)
    elif depth == limits.depth:
        reason = f"an archive inside {depth} archives is not opened; unpack it"
        source.skipped.append(Skipped(file.path, reason))
    else:
        try:
            members = source.opened(file, kind, limits).members
        except DataError as error:
            source.skipped.append(Skipped(file.path, str(error)))
            return
        except UNREADABLE as error:
            reason = f"a damaged {kind} ({error}); export or copy it again"
            source.skipped.append(Skipped(file.path, reason))
            return
        prefix = "" if file.path == source.name else file.path + "/"
        for number, member in enumerate(members):
            parts = [part for part in member.name.split("/") if part not in ("", ".", "..")]
            if not parts or any(_is_clutter(part) for part in parts):
                continue
            path = prefix + "/".join(parts)
            if member.refused:
                source.skipped.append(Skipped(path, member.refused))
            else:
                read = partial(source.read_member, file, kind, limits, number)
                _take(File(path, member.size, read), source, limits, depth + 1)


def _any_size(stem: str) -> str:
    return _SIZE.sub("", stem) + "/"  # no file is called so


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
