"""Skip-instructions: the sentence vectors published beside Recipe1M, read where a user has the files.

`encs_train_1024.t7`, `encs_val_1024.t7` and `encs_test_1024.t7` hold a table written by Torch 7: `encs
(n, 1024)` with a row for each instruction, and for each recipe its first row `rbps`, counted from 1, its
number of rows `rlens` and its id in `ids`, as characters or a matrix of their codes. The rows stay on disk.

The LMDB and HDF5 files of JE and AdaMine hold copies of the same vectors, but need libraries of their own
to be read; they are not.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from savor.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[Any, np.dtype[Any]]

FILES = "encs_*_1024.t7"
WIDTH = 1024

_KINDS = {
    "Byte": "u1",
    "Char": "i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
}
_NIL, _NUMBER, _STRING, _TABLE, _OBJECT, _BOOLEAN = range(6)


class SkipInstructions:
    """The vectors of all files in a folder, found by recipe id.

    Memory holds the ids and where the rows of each begin, not the vectors.

    Raises:
        DataError: the folder has no such file, one of them is damaged or something else, or a recipe is in
            them twice.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        paths = sorted(self.folder.glob(FILES))
        if not paths:
            raise DataError(
                f"{folder}: no {FILES} here; name the folder with the skip-instruction files of Recipe1M"
            )
        tables = [_columns(path) for path in paths]
        self._vectors = [vectors for vectors, *_ in tables]
        ids = np.concatenate([some for _, some, _, _ in tables])
        order = ids.argsort(kind="stable")
        self._ids = ids[order]
        self._files = np.repeat(np.arange(len(tables)), [len(some) for _, some, _, _ in tables])[order]
        self._starts = np.concatenate([starts for *_, starts, _ in tables])[order]
        self._counts = np.concatenate([counts for *_, counts in tables])[order]
        twice = self._ids[1:][self._ids[1:] == self._ids[:-1]]
        if len(twice):
            raise DataError(
                f"{folder}: recipe {twice[0].decode()!r} occurs twice; keep one file of each split"
            )

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, ids: Sequence[str]) -> Array:
        """Return the numbers of recipes in these files, -1 for those they do not hold, `(n,)`."""
        wanted = np.array([recipe.encode() for recipe in ids], np.bytes_)
        places = np.minimum(np.searchsorted(self._ids, wanted), len(self._ids) - 1)
        found: Array = np.where(self._ids[places] == wanted, places, -1)
        return found

    def padded(self, ids: Sequence[str]) -> tuple[Array, Array]:
        """Read the vectors of recipes, `(n, longest, 1024)` float32 with zeros behind the last, and the mask.

        A recipe that the files do not hold has none.
        """
        numbers = self.find(ids)
        counts = np.where(numbers < 0, 0, self._counts[numbers])
        mask = np.arange(max(1, counts.max(initial=0))) < counts[:, None]
        values = np.zeros((*mask.shape, WIDTH), np.float32)
        for row in np.flatnonzero(counts):
            start, count = self._starts[numbers[row]], counts[row]
            values[row, :count] = self._vectors[self._files[numbers[row]]][start : start + count]
        return values, mask


def _columns(path: Path) -> tuple[Array, Array, Array, Array]:
    """Read one file: vectors on disk, ids as bytes, first rows from 0, numbers of rows."""
    table = read_t7(path)
    names = ("encs", "ids", "rbps", "rlens")
    if not isinstance(table, dict) or any(name not in table for name in names):
        raise DataError(f"{path}: no skip-instructions; expected a table with {', '.join(names)}")
    vectors, ids = table["encs"], _ids(table["ids"])
    starts, counts = (_numbers(table[name]) for name in ("rbps", "rlens"))
    shapes = isinstance(vectors, np.ndarray) and vectors.ndim == 2 and vectors.shape[1] == WIDTH
    if not shapes or ids is None or starts is None or counts is None:
        raise DataError(f"{path}: no skip-instructions; encs has to be (n, {WIDTH}), the others one a recipe")
    if not len(ids) == len(starts) == len(counts) > 0:
        raise DataError(f"{path}: damaged ({len(ids)} ids, {len(starts)} rbps, {len(counts)} rlens)")
    wrong = (counts < 0) | ((counts > 0) & ((starts < 1) | (starts - 1 + counts > len(vectors))))
    if wrong.any():
        name = ids[wrong][0].decode("utf-8", "replace")
        raise DataError(f"{path}: damaged (recipe {name!r} has rows beyond the {len(vectors)} there are)")
    return vectors, ids, starts - 1, counts


def _ids(value: Any) -> Array | None:
    """Make bytes of ids: a matrix of character codes, or a list of strings."""
    if isinstance(value, list) and value and all(isinstance(one, bytes) for one in value):
        return np.array(value, np.bytes_)
    is_matrix = isinstance(value, np.ndarray) and value.ndim == 2 and value.size
    if is_matrix and 0 <= value.min() <= value.max() < 256:
        codes = np.ascontiguousarray(value.astype(np.uint8))
        ids: Array = codes.view(f"S{codes.shape[1]}")[:, 0]
        return ids
    return None


def _numbers(value: Any) -> Array | None:
    """Make whole numbers of a vector, a matrix of one column or a list."""
    if isinstance(value, list):
        value = np.array(value) if all(isinstance(one, float) for one in value) else None
    if not isinstance(value, np.ndarray) or value.size != len(value) or not np.isfinite(value).all():
        return None
    return value.reshape(-1).astype(np.int64)


def read_t7(path: str | Path) -> Any:
    """Read a file of Torch 7 (binary, 64 bits): numbers, strings as bytes, tables and CPU tensors.

    A table with the keys 1 to n comes back as a list, any other as a dictionary. Tensors come back as arrays
    that lie on disk. Nothing is executed: a function or an object of another class is refused.

    Raises:
        DataError: the file is missing, is damaged, or holds anything else.

    Source: the layout is that of Torch 7's `File.lua`, `generic/Tensor.c` and `generic/Storage.c`.
    """
    try:
        with Path(path).open("rb") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError, struct.error) as error:
        raise DataError(
            f"{path}: damaged, or no binary file of Torch 7 ({error}); nothing in it was run; copy it again"
        ) from error


class _Reader:
    """Values one after the other; what occurs twice is written once and has a number."""

    def __init__(self, path: str | Path, file: BinaryIO) -> None:
        self.path, self.file, self.known = path, file, dict[int, Any]()
        self.size = Path(path).stat().st_size

    def read(self) -> Any:
        kind = self.number("<i")
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            return self.number("<d")
        if kind == _STRING:
            return self.string()
        if kind == _BOOLEAN:
            return self.number("<i") == 1
        if kind not in (_TABLE, _OBJECT):
            raise ValueError(f"a value of kind {kind} at byte {self.file.tell() - 4}")
        index = self.number("<i")
        if index not in self.known:
            self.known[index] = None  # a table inside itself stays nil
            self.known[index] = self.table() if kind == _TABLE else self.object()
        return self.known[index]

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.size - self.file.tell():
            raise ValueError(f"cut off at byte {self.file.tell()}")
        return self.file.read(count)

    def string(self) -> bytes:
        return self.take(self.number("<i"))

    def table(self) -> Any:
        found: dict[Any, Any] = {}
        for _ in range(self.number("<i")):
            key = self.read()
            if not isinstance(key, bytes | float):
                raise ValueError("a table with keys that are neither strings nor numbers")
            found[key.decode("utf-8", "replace") if isinstance(key, bytes) else key] = self.read()
        if found and all(float(place) in found for place in range(1, len(found) + 1)):
            return [found[float(place)] for place in range(1, len(found) + 1)]
        return found

    def object(self) -> Array:
        """Read a tensor or the storage of one."""
        name = self.string()
        if name.startswith(b"V "):  # older files have no version before the name
            name = self.string()
        kind = name.decode("ascii", "replace").removeprefix("torch.")
        for ending, read in (("Tensor", self.tensor), ("Storage", self.storage)):
            number = _KINDS.get(kind.removesuffix(ending))
            if kind.endswith(ending) and number is not None:
                return read(np.dtype(number))
        raise ValueError(f"an object of class {name.decode('utf-8', 'replace')!r}")

    def storage(self, kind: np.dtype[Any]) -> Array:
        count, start = self.number("<q"), self.file.tell()
        if not 0 <= count <= (self.size - start) // kind.itemsize:
            raise ValueError(f"cut off at byte {start}")
        self.file.seek(count * kind.itemsize, 1)
        if not count:
            return np.zeros(0, kind)
        return np.memmap(self.path, kind, "r", start, (count,))

    def tensor(self, kind: np.dtype[Any]) -> Array:
        rank = self.number("<i")
        sizes, strides = (struct.unpack(f"<{rank}q", self.take(8 * rank)) for _ in range(2))
        offset, values = self.number("<q") - 1, self.read()
        if values is None or not rank or 0 in sizes:
            return np.zeros(0, kind)
        if not isinstance(values, np.ndarray) or values.dtype != kind or values.ndim != 1:
            raise ValueError("a tensor without its numbers")
        last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
        if min(*sizes, *strides, offset) < 0 or max(last + 1, math.prod(sizes)) > len(values):
            raise ValueError("a tensor larger than its numbers")
        steps = [stride * kind.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(values[offset:], sizes, steps, writeable=False)
