"""What is in a zip, a tar or a page that a browser saved as one file.

Nothing is unpacked to a path that an archive names, links are not followed, and no archive may grow beyond
what `Limits` allows.
"""

from __future__ import annotations

import bz2
import contextlib
import email
import email.policy
import gzip
import io
import lzma
import plistlib
import posixpath
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

from savor.errors import DataError

# What reading a damaged or protected archive raises.
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, OverflowError, MemoryError),
    struct.error,
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tarfile.TarError, plistlib.InvalidFileException),
)
_GZIP = b"\x1f\x8b"
_MAGIC = (
    *((b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"bplist00", "web archive")),
    *((b"BZh", "compressed tar"), (b"\xfd7zXZ\0", "compressed tar")),
)
_MHTML = re.compile(rb"\A(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*?)*?content-type:\s*multipart/related", re.I)
# Documents that are zips.
_DOCUMENTS = frozenset(["word/document.xml", "xl/workbook.xml", "content.xml", "META-INF/container.xml"])
# Small archives may be mostly air; a large one that is, is none that an application wrote.
_HARMLESS = 256 << 20


@dataclass(frozen=True)
class Limits:
    """How far an archive may grow.

    Attributes:
        file: bytes of one file.
        source: bytes of a whole source.
        ratio: bytes unpacked for one packed.
        depth: archives inside archives.
        members: files of one archive.
    """

    file: int = 1 << 30
    source: int = 64 << 30
    ratio: int = 300
    depth: int = 4
    members: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its name there, its size, how to read so many bytes, or why it is refused."""

    name: str
    size: int
    read: Callable[[int], bytes]
    refused: str | None = None


class Packed(Protocol):
    """A file that may be an archive."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def disk(self) -> Path | None:
        """Where it lies, if it lies on the disk."""

    def read(self) -> bytes:
        """Return all bytes."""


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of one archive, and how to let go of it."""

    members: list[Member]
    close: Callable[[], None] = lambda: None


def kind_of(head: bytes) -> str | None:
    """Tell what kind of archive begins like this, None if it is none."""
    if head.startswith(_GZIP):
        with contextlib.suppress(zlib.error):
            inside = zlib.decompressobj(wbits=31).decompress(head, 512)
            return "compressed tar" if inside[257:262] == b"ustar" else None
    if head[257:262] == b"ustar":
        return "tar"
    found = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    return found or ("saved page" if _MHTML.match(head) else None)


def unpack(file: Packed, kind: str, limits: Limits) -> Archive:
    """Open an archive.

    Raises:
        DataError: it has too many files or unpacks to far more than an application would write.
    """
    readers = {"zip": _zip, "tar": _tar, "web archive": _web_archive, "saved page": _mhtml}
    archive = readers.get(kind, _compressed_tar)(file, limits)
    if _DOCUMENTS & {member.name for member in archive.members}:
        raise DataError("it is a document of a word processor or a spreadsheet; save it as text or as CSV")
    if len(archive.members) > limits.members:
        raise DataError(f"it has more than {limits.members:,} files")
    total = sum(member.size for member in archive.members if not member.refused)
    if total > max(_HARMLESS, limits.ratio * file.size):
        raise DataError(f"{file.size:,} bytes that unpack to {total:,}: no honest archive")
    return archive


def _zip(file: Packed, limits: Limits) -> Archive:
    archive = zipfile.ZipFile(file.disk or io.BytesIO(file.read()))
    members = [
        Member(_zip_name(info), info.file_size, partial(_unzip, archive, info), _unsafe(info, limits))
        for info in archive.infolist()
        if not info.is_dir() and not info.filename.endswith("\\")
    ]
    return Archive(members, archive.close)


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    with archive.open(info) as member:
        return member.read(size)


def _zip_name(info: zipfile.ZipInfo) -> str:
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


def _tar(file: Packed, limits: Limits) -> Archive:
    return _tar_in(file.disk.open("rb") if file.disk else io.BytesIO(file.read()), limits)


def _compressed_tar(file: Packed, limits: Limits) -> Archive:
    """Unpack a compressed tar into a file without a name, which is then read like any other."""
    bound = min(limits.source, max(_HARMLESS, limits.ratio * file.size))
    openers: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
    packed = io.BytesIO(file.read())
    stream = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the archive
    try:
        with openers[packed.getvalue()[:2]](packed) as unpacked:
            while chunk := unpacked.read(1 << 20):
                stream.write(chunk)
                if stream.tell() > bound:
                    raise DataError(
                        f"{file.size:,} bytes that unpack to more than {bound:,}: no honest archive"
                    )
        stream.seek(0)
        return _tar_in(stream, limits)
    except BaseException:
        stream.close()
        raise


def _tar_in(stream: IO[bytes], limits: Limits) -> Archive:
    archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closed with the stream
    members = [
        Member(
            info.name.replace("\\", "/"), info.size, partial(_untar, archive, info), _refused(info, limits)
        )
        for info in archive
        if not info.isdir()
    ]
    return Archive(members, stream.close)


def _untar(archive: tarfile.TarFile, info: tarfile.TarInfo, size: int) -> bytes:
    member = archive.extractfile(info)
    return member.read(size) if member is not None else b""


def _refused(info: tarfile.TarInfo, limits: Limits) -> str | None:
    if not info.isfile():
        return "links and devices in archives are not followed"
    if info.size > limits.file:
        return f"{info.size:,} bytes, more than the {limits.file:,} one file may have"
    return None


def _mhtml(file: Packed, limits: Limits) -> Archive:
    """Return the page and its parts as browsers save them in one file (RFC 2557)."""
    message = email.message_from_bytes(file.read(), policy=email.policy.default)
    parts = (
        (str(part.get("content-location") or ""), str(part.get_content_type()), part.get_payload(decode=True))
        for part in message.walk()
        if not part.is_multipart()
    )
    return Archive(list(_page((place, kind, data) for place, kind, data in parts if isinstance(data, bytes))))


def _web_archive(file: Packed, limits: Limits) -> Archive:
    """Return the page and its parts as Safari saves them."""
    saved = plistlib.loads(file.read())
    if not isinstance(saved, dict) or not isinstance(saved.get("WebMainResource"), dict):
        raise DataError("a web archive that holds settings and no page")
    parts = (
        (str(one.get("WebResourceURL", "")), str(one.get("WebResourceMIMEType", "")), data)
        for one in [saved["WebMainResource"], *saved.get("WebSubresources", [])]
        if isinstance(one, dict) and isinstance(data := one.get("WebResourceData"), bytes)
    )
    return Archive(list(_page(parts)))


def _page(parts: Iterable[tuple[str, str, bytes]]) -> Iterator[Member]:
    """Yield the first page and its photos, named as if the page had been saved with a folder beside it."""
    page = False
    for place, kind, data in parts:
        if kind == "text/html" and not page:
            page = True
            yield Member("page.html", len(data), partial(_start, data))
        elif kind.startswith("image/"):
            address = urlsplit(place)
            path = posixpath.join("page_files", address.netloc, unquote(address.path).lstrip("/"))
            yield Member(path, len(data), partial(_start, data))


def _start(data: bytes, size: int) -> bytes:
    return data[:size]
