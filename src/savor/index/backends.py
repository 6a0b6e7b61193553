"""Backends: what keeps the vectors of an index, by the name that its manifest has for it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from savor.errors import UsageError, VectorIndexError
from savor.index import Backend
from savor.index.folder import FolderIndex, finish, read_manifest

BACKENDS: tuple[Backend, ...] = get_args(Backend)
LARGE = 200_000  # recipes or photos, from which on comparing all of them takes too long


def by_size(entries: int) -> Backend:
    """Return the backend for a list of so many entries."""
    return "exact" if entries < LARGE else "lance"


def check(backend: str) -> None:
    """Refuse a name that no backend has.

    Raises:
        UsageError: it is unknown.
    """
    if backend not in BACKENDS:
        raise UsageError(f"backend {backend!r}: choose one of {', '.join(BACKENDS)}")


def opened(path: Path) -> FolderIndex:
    """Open an index with its backend.

    Raises:
        VectorIndexError: there is none, it is damaged, or another version of Savor wrote it.
    """
    name = read_manifest(path)["backend"]
    if name not in BACKENDS:
        raise VectorIndexError(
            f"{path}: this version of Savor knows no backend {name!r}; update it, or build the index again"
        )
    return _module(name).open(path)  # type: ignore[no-any-return]


def create(path: Path, backend: Backend, dim: int, **facts: Any) -> FolderIndex:
    """Make an index without entries of a folder that `folder.begin` made; `facts` join its manifest."""
    finish(path, backend, dim, {**facts, **_module(backend).create(path, dim)})
    return opened(path)


def _module(backend: str) -> Any:
    """Import a backend: LanceDB alone takes seconds, and the client of Qdrant may not be installed."""
    try:
        return import_module(f"savor.index.{backend}")
    except ModuleNotFoundError as error:
        package = "lancedb" if backend == "lance" else f"savor[{backend}]"
        raise VectorIndexError(
            f'the backend {backend} needs a package that is not installed: pip install "{package}"'
        ) from error
