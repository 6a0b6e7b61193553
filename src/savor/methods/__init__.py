"""The methods, one published method a file; the file's name is the method's name everywhere."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

from savor.errors import UsageError

if TYPE_CHECKING:
    from savor.methods.base import Method


def available() -> list[str]:
    """List the names of all methods; nothing is imported for it."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "base")


def find(name: str) -> type[Method]:
    """Return the class of a method.

    Raises:
        UsageError: there is no method of this name; the message lists those there are.
    """
    if name not in available():
        raise UsageError(f"no method {name!r}; choose one of {', '.join(available())}")
    from savor.methods.base import Method

    module = import_module(f"{__name__}.{name}")
    return next(
        one
        for one in vars(module).values()
        if inspect.isclass(one) and issubclass(one, Method) and one.__module__ == module.__name__
    )
