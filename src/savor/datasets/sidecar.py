"""Files in the user's cache folder that are derived from a dataset and rebuilt when it changes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

log = logging.getLogger(__name__)

Build = Callable[[sqlite3.Connection], None]


def cache_folder() -> Path:
    """Return Savor's cache folder: `$SAVOR_CACHE`, or `savor` where the platform keeps caches."""
    if override := os.environ.get("SAVOR_CACHE"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "savor" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "savor"
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (
        base if base.is_absolute() else Path.home() / ".cache"
    ) / "savor"  # the XDG rule: absolute or ignored


def signature(files: Iterable[Path], *more: str) -> str:
    """Return a digest of the files' full paths, sizes and times of change, and of further strings."""
    digest = hashlib.sha256("\0".join(more).encode())
    for file in files:
        stat = file.stat()
        digest.update(
            f"\n{file.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


@contextlib.contextmanager
def open_sidecar(name: str, state: str, build: Build) -> Iterator[sqlite3.Connection]:
    """Open the database `name` for the state of the data it comes from, building it where it is missing.

    `state` is part of the file name and a database gets its name only when it is finished, so a reader never
    meets a stale or half-built one, and processes that build it at the same time do not disturb each other.
    Where the cache folder cannot be written, the database is built in the temporary folder and then removed.
    """
    try:
        file = cache_folder() / f"{name}-{state[:16]}.sqlite"
        if not _usable(file):
            _build_in_place(file, build)
            _remove_stale(file, name)
    except (OSError, sqlite3.OperationalError) as error:
        log.warning("the cache folder %s cannot be used (%s); using a temporary file", cache_folder(), error)
        with tempfile.TemporaryDirectory(prefix="savor-") as folder:
            file = Path(folder) / "sidecar.sqlite"
            _build_in_place(file, build)
            with contextlib.closing(_connect(file)) as connection:
                yield connection
        return
    with contextlib.closing(_connect(file)) as connection:
        yield connection


def remember(name: str, state: str, compute: Callable[[], str]) -> str:
    """Return the text cached under `name` for this state of the data, computing it where it is missing."""
    file = cache_folder() / f"{name}-{state[:16]}.txt"
    with contextlib.suppress(OSError):
        return file.read_text(encoding="utf-8")
    value = compute()
    with contextlib.suppress(OSError), _renamed_to(file) as temporary:
        temporary.write_text(value, encoding="utf-8")
    return value


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _usable(file: Path) -> bool:
    if not file.is_file():
        return False
    try:
        with contextlib.closing(_connect(file)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def _build_in_place(file: Path, build: Build) -> None:
    with _renamed_to(file) as temporary, contextlib.closing(sqlite3.connect(temporary)) as connection:
        # A build that is interrupted is thrown away, so it needs no journal.
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
        build(connection)
        connection.commit()


@contextlib.contextmanager
def _renamed_to(file: Path) -> Iterator[Path]:
    """Hand out a temporary path beside `file`; on success it takes the name of `file`, else it is removed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_stale(current: Path, name: str) -> None:
    for file in current.parent.glob(f"{name}-*.sqlite"):
        if file != current:
            with contextlib.suppress(OSError):
                file.unlink()
