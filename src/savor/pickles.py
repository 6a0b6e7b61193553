"""Pickles: reading the few that public code ships as files, as plain values and without running any code.

A pickle is a program. This reader knows the instructions that make built-in values; a class that the caller
names becomes an empty holder of its fields, an array its bytes, and anything else is refused.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from savor.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Container

Array = np.ndarray[Any, np.dtype[Any]]

_MODULES = ("builtins", "__builtin__")  # Python 3 and 2
_BUILT_IN = {(module, kind.__name__): kind for module in _MODULES for kind in (set, frozenset)}
_ARRAYS = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMBERS = ("f2", "f4", "f8", "i4", "i8")


def load_all(path: str | Path, *, classes: Container[str] = (), arrays: bool = False) -> list[Any]:
    """Read the values of all pickles that stand one after the other in a file.

    Args:
        path: the file.
        classes: names of classes, of any module, whose objects are returned as holders of their attributes.
        arrays: read NumPy arrays of numbers, too.

    Raises:
        DataError: the file is missing, is no pickle, or asks for anything else than plain values.
    """
    found: list[Any] = []
    try:
        with Path(path).open("rb") as file:
            while file.peek(1):
                found.append(_plain(_Reader(file, classes, arrays).load()))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # what a damaged pickle raises depends on the instruction it breaks off in
        raise DataError(
            f"{path}: no pickle of plain values ({error}); nothing in it was run; name the file that"
            " the public code ships"
        ) from error
    return found


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, classes: Container[str], arrays: bool) -> None:
        super().__init__(file)
        self.classes, self.arrays = classes, arrays
        # Made anew for each pickle: an instruction may set attributes of a class it was given.
        self.holder = type("Holder", (), {})
        self.parts = type("ArrayParts", (_Parts,), {})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _BUILT_IN:
            return _BUILT_IN[module, name]
        if self.arrays and (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return self.parts
        if self.arrays and module in _ARRAYS and name == "_reconstruct":
            return self.parts
        if name in self.classes:
            return self.holder
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


class _Parts:
    """What a pickled array or its number format consists of."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _plain(value: Any) -> Any:
    """Turn the parts of an array into the array; other values stay."""
    if not isinstance(value, _Parts):
        return value
    _, shape, kind, by_columns, data = value.state
    name, order = kind.arguments[0], kind.state[1]
    if name not in _NUMBERS:
        raise pickle.UnpicklingError(f"an array of {name!r}")
    number = np.dtype(name).newbyteorder("<" if order == "|" else order)
    return np.frombuffer(data, number).reshape(shape, order="F" if by_columns else "C").copy()
