"""A memory for what was asked last, shared by threads."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Remembers so many values by name, and forgets first what was put in first.

    >>> squares = Recent(2)
    >>> [squares.of(n, lambda: n * n) for n in (2, 3, 4)], [n in squares for n in (2, 3)]
    ([4, 9, 16], [False, True])
    """

    def __init__(self, most: int) -> None:
        self._values: dict[Hashable, Value] = {}
        self._most, self._lock = most, Lock()

    def of(self, name: Hashable, load: Callable[[], Value]) -> Value:
        """Return what is remembered under a name, else load it; two threads may both do so."""
        try:
            return self._values[name]
        except KeyError:
            return self.put(name, load())

    def put(self, name: Hashable, value: Value) -> Value:
        """Remember a value, and return it."""
        with self._lock:
            self._values[name] = value
            while len(self._values) > self._most:
                del self._values[next(iter(self._values))]
        return value

    def __contains__(self, name: Hashable) -> bool:
        return name in self._values
