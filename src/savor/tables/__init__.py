"""The tables that `savor compare` makes, one table a file; the file's name is the table's name."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from savor.errors import UsageError

if TYPE_CHECKING:
    from savor.tables.base import Table

_SHARED = ("base", "outcomes", "page")


def available() -> list[str]:
    """List the names of all tables; nothing is imported for it.

    >>> "report" in available()
    True
    """
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _SHARED)


def find(name: str) -> Table:
    """Return a table.

    Raises:
        UsageError: there is no table of this name; the message lists those there are.
    """
    if name not in available():
        raise UsageError(f"no table {name!r}; choose one of {', '.join(available())}")
    table: Table = import_module(f"{__name__}.{name}").TABLE
    return table
