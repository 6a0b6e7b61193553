"""Which application wrote a file, told by what is in it and never by its name, and the recipes it holds."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from savor.errors import DataError
from savor.importing import (
    cooklang,
    copy_me_that,
    markdown,
    mealie,
    mela,
    pages,
    paprika,
    plain,
    plain_text,
    recipe_keeper,
    schema_org,
    table,
    tandoor,
)
from savor.importing.archives import Limits
from savor.importing.base import Found, Skipped, attempt
from savor.importing.files import File, Source, open_source

FORMATS = (
    "saved pages with schema.org recipes (JSON-LD, microdata or RDFa), Nextcloud Cookbook, Mealie (exports "
    "and backups), Tandoor, Paprika, Mela, Copy Me That, Recipe Keeper, Plan to Eat, My Recipe Box, Markdown "
    "(Chowdown, Hugo, Jekyll), Cooklang, texts with headed parts, and tables (CSV) with a title and "
    "ingredients or steps"
)
_Reader = Callable[[Any, File, Source], Iterator[Found | Skipped]]
# The narrow forms first: nearly everything is a recipe of the last kind as well.
_JSON: tuple[tuple[Callable[[Any], bool], _Reader], ...] = (
    (mealie.recognises_backup, mealie.read_backup),
    (mealie.recognises, mealie.read),
    (tandoor.recognises, tandoor.read),
    (schema_org.recognises, schema_org.read),
    (paprika.recognises, paprika.read),
    (mela.recognises, mela.read),
    (plain.recognises, plain.read),
)
_PAGES: tuple[tuple[Callable[[str], bool], _Reader], ...] = (
    (copy_me_that.recognises, copy_me_that.read),
    (recipe_keeper.recognises, recipe_keeper.read),
)
_PHOTOS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\1\0", b"8BPS")
# What a saved page or the source of a web site brings along; no recipe was ever in one of these.
_PAGE_PARTS = re.compile(r"\.(?:js|mjs|css|s[ac]ss|less|map|woff2?|ttf|eot|otf|svg|ico|lock|download)$", re.I)
_KNOWN_ELSE = (
    (b"SQLite format 3", "a database; use the export of the application instead"),
    (b"%PDF", "a PDF has no marked ingredients and steps; export the recipe in another form"),
    (b"{\\rtf", "a document of a word processor; save it as text"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and import the folder"),
    (b"Rar!", "a RAR archive; unpack it and import the folder"),
)


def find(path: Path, limits: Limits | None = None, exclude: Path | None = None) -> Iterator[Found | Skipped]:
    """Yield every recipe of a folder, an archive or a file, and everything in it that is none.

    Args:
        path: the folder, archive or file.
        limits: how far archives may grow.
        exclude: a folder inside it that is left out, such as the one that is written to.

    Raises:
        DataError: there is nothing at this path, or it is the folder that is written to.
    """
    limits = limits or Limits()
    if exclude is not None and path.resolve() == exclude.resolve():
        raise DataError(f"{path} is the source and --out as well; give another folder with --out")
    source = open_source(path, limits, exclude.resolve() if exclude else None)
    single = source.files.get(source.name) if path.is_file() else None
    prefix = "" if single else source.name + "/"
    for bad in source.skipped:  # the source itself, if it cannot be looked into, or something in it
        yield bad if bad.source == source.name else replace(bad, source=prefix + bad.source)
    silent = not source.skipped
    try:
        for file in [single] if single else list(source.files.values()):
            for one in attempt(file.path, None, lambda: _read(file, source, limits)):  # noqa: B023
                silent = False
                yield replace(one, source=prefix + one.source)
    finally:
        source.close()
    if silent and source.files:
        names = ", ".join(list(source.files)[:3])
        is_empty = single is not None and not single.size
        reason = "it is empty" if is_empty else f"no file in it can hold a recipe ({names})"
        yield Skipped(source.name, reason)


def _read(file: File, source: Source, limits: Limits) -> Iterator[Found | Skipped]:
    head = file.head()
    if head.startswith(_PHOTOS) or head[:4] == b"RIFF" or head[4:8] == b"ftyp":
        return
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # a BMP, and not a text about a BMT sandwich
        return
    if _PAGE_PARTS.search(file.path):  # a recipe all the same if it is one, and else nothing to speak of
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[", b"<", b"\x1f"):
            yield from (one for one in _read_known(file, head, source, limits) if isinstance(one, Found))
        return
    yield from _read_known(file, head, source, limits)


def _read_known(file: File, head: bytes, source: Source, limits: Limits) -> Iterator[Found | Skipped]:
    for magic, reason in _KNOWN_ELSE:
        if head.startswith(magic):
            yield Skipped(file.path, reason)
            return
    if file.size > limits.file:
        yield Skipped(file.path, f"{file.size:,} bytes, more than the {limits.file:,} one file may have")
        return
    data = file.read()
    if head.startswith(b"\x1f\x8b"):
        data = _gunzipped(data, limits)
    page = decoded(data)
    if page is None:
        yield Skipped(file.path, "neither text nor an archive nor a photo of a known kind")
    elif page.strip():
        yield from _read_text(page, file, source)
    elif file.size:
        yield Skipped(file.path, "it is blank")


def _gunzipped(data: bytes, limits: Limits) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            unpacked = packed.read(limits.file + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"it is damaged ({error}); export it again") from error
    if len(unpacked) > min(limits.file, max(16 << 20, limits.ratio * len(data))):
        raise DataError(f"{len(data):,} bytes that unpack to {len(unpacked):,} or more: no honest archive")
    return unpacked


def decoded(data: bytes) -> str | None:
    """Return bytes as text: by their mark, as the page says, as UTF-8, else as Windows wrote them.

    None if they are no text.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if data[1:2] == b"\0" and data[3:4] == b"\0":
        return data.decode("utf-16-le", "replace")
    if b"\0" in data[:4096]:
        return None
    if b"\0" in data:  # a slip of an old application, not a binary file
        data = data.replace(b"\0", b"")
    said = re.search(rb"<meta[^>]+charset=[\"']?([\w-]+)", data[:4096], re.I)
    for encoding in ("utf-8", said[1].decode("ascii", "replace") if said else "", "cp1252"):
        try:
            return data.decode(encoding or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("latin-1")


def _read_text(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    page = page.replace("\r\n", "\n").replace("\r", "\n")
    start = page.lstrip()[:1]
    if start in "{[" and (documents := _documents(page)) is not None:
        yield from _read_json(documents, file, source)
    elif page.lstrip().startswith("<?xml") and "<html" not in page[:4096].lower():
        yield Skipped(file.path, "XML of an unknown form")
    elif start == "<":
        reader = next((read for test, read in _PAGES if test(page)), pages.read)
        yield from reader(page, file, source)
    elif table.recognises(page):
        yield from table.read(page, file, source)
    elif cooklang.recognises(page) and not re.search(r"(?mi)^(?:ingredients:|#+ *ingredients)", page):
        yield from cooklang.read(page, file, source)
    elif plain_text.recognises(page):
        yield from plain_text.read(page, file, source)
    elif markdown.recognises(page):
        yield from markdown.read(page, file, source)
    elif "<html" in page[:4096].lower():
        yield from pages.read(page, file, source)
    elif file.path.lower().endswith(".cook"):  # Cooklang without a single mark, so only its name tells
        yield from cooklang.read(page, file, source)
    elif start in "{[":
        yield Skipped(file.path, f"it begins like JSON but is none: {_fault(page)}")
    else:
        yield Skipped(file.path, "a text in which no recipe is marked")


def _documents(page: str) -> list[Any] | None:
    """Return the documents of a JSON text: one, or one a line; None if it is neither."""
    try:
        return [json.loads(page, strict=False)]
    except (ValueError, RecursionError):
        lines = [line for line in page.splitlines() if line.strip()]
    try:
        return [json.loads(line) for line in lines] if len(lines) > 1 else None
    except (ValueError, RecursionError):
        return None


def _fault(page: str) -> str:
    try:
        json.loads(page, strict=False)
    except (ValueError, RecursionError) as error:
        return str(error)
    return "unknown"


def _read_json(documents: list[Any], file: File, source: Source) -> Iterator[Found | Skipped]:
    items = documents
    for _ in range(2):  # a list of recipes, or {"recipes": [...]} as many tools write it
        if len(items) == 1 and isinstance(items[0], dict) and not any(test(items[0]) for test, _ in _JSON):
            items = next(
                (value for key, value in items[0].items() if key in ("recipes", "items", "data")), items
            )
            items = items if isinstance(items, list) else [items]
        elif len(items) == 1 and isinstance(items[0], list):
            items = items[0]
    if not any(test(document) for document in items for test, _ in _JSON):
        reason = "JSON without a recipe of a known form; accounts and settings are not imported"
        yield Skipped(file.path, reason)
        return
    for index, document in enumerate(items, start=1):
        where = file.path if len(items) == 1 else f"{file.path} recipe {index}"
        reader = next((read for test, read in _JSON if test(document)), None)
        if reader is None:
            yield Skipped(where, "not a recipe of a known form")
            continue
        for one in attempt(where, document, lambda: reader(document, file, source)):  # noqa: B023
            yield one if len(items) == 1 else replace(one, source=where)
