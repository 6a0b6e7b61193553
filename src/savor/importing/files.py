"""The files of a source: a zip, also one inside a zip, is read as if it were a folder.

Nothing is unpacked to a path that an archive names, links that lead out of the source are not followed, and
no archive may grow beyond what `Limits` allows.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from savor.datasets.folder import PHOTO_SUFFIXES
from savor.errors import DataError
from savor.importing.base import Picture, Skipped

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_CLUTTER = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Limits:
    """How far an archive may grow: bytes of one file, of a whole source, its share of air, zips in zips."""

    file: int = 1 << 30
    source: int = 64 << 30
    ratio: int = 300
    depth: int = 4
    members: int = 1_000_000


@dataclass(frozen=True, slots=True)
class File:
    """One file of a source: its path below the source, its size in bytes, and how to read so many of them."""

    path: str
    size: int
    _read: Callable[[int], bytes] = field(repr=False)
    disk: Path | None = None

    def head(self) -> bytes:
        """Return the first bytes, enough to tell what it is."""
        return self._read(512)

    def read(self) -> bytes:
        """Return all bytes.

        Raises:
            DataError: the file cannot be read, is damaged or is larger than it claims to be.
        """
        try:
            data = self._read(self.size + 1)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            RuntimeError,
        ) as error:
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
        base = _folded(posixpath.basename(path))
        if posixpath.splitext(base)[1] in PHOTO_SUFFIXES:
            for name in {base, posixpath.splitext(base)[0]}:
                self._places.setdefault(name, []).append(path)

    def photo(self, name: str, near: str) -> Picture | None:
        """Return the photo that a recipe calls `name`: a path, a web address or a bare name without suffix.

        Of several with the same name the one whose folder has most in common with the recipe's is taken.
        """
        wanted = _folded(unquote(urlsplit(name).path if "://" in name else name.partition("?")[0]))
        wanted = wanted.replace("\\", "/").strip("/ ")
        places = self._places.get(posixpath.basename(wanted), []) if wanted else []
        if not places:
            return None
        folder = _folded(posixpath.dirname(near))
        if "://" in name:  # another page's folder may hold a photo of the same name
            own = posixpath.join(folder, _folded(posixpath.splitext(posixpath.basename(near))[0]))
            folders = {path: _folded(posixpath.dirname(path)) for path in places}
            places = [path for path in places if folders[path] == folder or folders[path].startswith(own)]
            if not places:
                return None
        parts = wanted.split("/")

        def fit(path: str) -> tuple[bool, int, int]:
            here = _folded(path)
            exact = here == posixpath.normpath(posixpath.join(folder, wanted))
            tail = sum(a == b for a, b in zip(reversed(parts), reversed(here.split("/")), strict=False))
            return exact, tail, len(posixpath.commonpath([folder or ".", posixpath.dirname(here) or "."]))

        return self.picture(max(places, key=fit))

    def picture(self, path: str) -> Picture:
        """Return the file at a path as a photo."""
        return Picture(path, self.files[path].read)

    def beside(self, path: str, *names: str) -> list[str]:
        """Return the photos `folder/name.*` next to a file, in the order of the names asked for."""
        folder = posixpath.dirname(path)
        found = []
        for name in names:
            wanted = posixpath.normpath(posixpath.join(folder, name))
            for place in self._places.get(_folded(posixpath.basename(name)), []):
                if _folded(posixpath.splitext(place)[0]) == _folded(wanted) and place not in found:
                    found.append(place)
        return found


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


def _is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in _CLUTTER


def _on_disk(path: Path, name: str) -> File:
    def read(size: int) -> bytes:
        with path.open("rb") as file:
            return file.read(size)

    shown = name.encode("utf-8", "replace").decode()  # a name that is no UTF-8 can be read, but not printed
    return File(shown, path.stat().st_size, read, path)


def _take(file: File, source: Source, limits: Limits, depth: int) -> None:
    """Add a file, or what is in it if it is a zip."""
    try:
        is_zip = file.head().startswith(_ZIP)
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        source.skipped.append(Skipped(file.path, f"it cannot be read ({error}); export or copy it again"))
        return
    if not is_zip:
        source.add(file)
    elif depth == limits.depth:
        reason = f"a zip inside {depth} zips is not opened; unpack it"
        source.skipped.append(Skipped(file.path, reason))
    else:
        try:
            members = list(_members(file, source, limits))
        except (DataError, zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            source.skipped.append(Skipped(file.path, f"a damaged zip ({error}); export or copy it again"))
            return
        for member in members:
            _take(member, source, limits, depth + 1)


def _members(file: File, source: Source, limits: Limits) -> Iterator[File]:
    archive = zipfile.ZipFile(file.disk or io.BytesIO(file.read()))
    if len(archive.infolist()) > limits.members:
        raise DataError(f"it has more than {limits.members:,} files")
    prefix = "" if file.path == source.name else file.path + "/"
    for info in archive.infolist():
        name = _member_name(info)
        parts = [part for part in name.split("/") if part not in ("", ".", "..")]
        if info.is_dir() or name.endswith("/") or any(_is_clutter(part) for part in parts):
            continue
        path = prefix + "/".join(parts)
        if reason := _unsafe(info, limits):
            source.skipped.append(Skipped(path, reason))
        else:
            yield File(path, info.file_size, _reader(archive, info))


def _member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; macOS writes UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _unsafe(info: zipfile.ZipInfo, limits: Limits) -> str | None:
    if info.flag_bits & 1:
        return "protected by a password; unpack it and import the folder"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "links in archives are not followed"
    if info.file_size > limits.file:
        return f"{info.file_size:,} bytes, more than the {limits.file:,} one file may have"
    if info.file_size > (16 << 20) and info.file_size > limits.ratio * info.compress_size:
        return f"{info.compress_size:,} bytes that unpack to {info.file_size:,}: this is no honest archive"
    return None


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        with archive.open(info) as member:
            return member.read(size)

    return read


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
