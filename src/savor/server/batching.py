"""Batching: what several threads ask for at the same moment becomes one call.

Two calls side by side, of one thread each, encode half as much again in a second as one call of two threads.
So a worker of as many threads as there are cores encodes, and the products inside have one thread each.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[Sequence[Any]], Sequence[Any]]

MOST, PATIENCE = 16, 0.004
KINDS = 100  # of which is remembered how many came together
STOPPING = "the server is stopping"


@dataclass(slots=True)
class _Task:
    """One item on its way: `kind` says with which others it can share a call."""

    kind: Hashable
    work: Work
    item: Any
    future: Future[Any] = field(default_factory=Future)


class Worker:
    """Runs work in its own threads; items of the same kind that wait at the same moment share a call.

    Whoever is alone does not wait. Where several came at once, now or for the call before, the worker waits
    up to `patience` for more of the kind: they are likely to come back together. What then waits is shared
    out between the threads.

    Args:
        threads: calls at a time.
        most: items in a call.
        patience: seconds.
        observe: called with kind and number of items of every call.
    """

    def __init__(
        self,
        threads: int = 1,
        most: int = MOST,
        patience: float = PATIENCE,
        observe: Callable[[Hashable, int], None] = lambda kind, count: None,
    ) -> None:
        self.most, self.patience, self._observe = most, patience, observe
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._last: dict[Hashable, int] = {}
        self._threads = [
            threading.Thread(target=self._run, name=f"savor-worker-{number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def do(self, kind: Hashable, work: Work, item: Any) -> Any:
        """Have one item worked on and return its result; the calling thread waits.

        Args:
            kind: items of equal kind may share a call.
            work: given some items, returns as many results in their order.
            item: the item.
        """
        task = _Task(kind, work, item)
        with self._changed:
            if self._closed:
                raise RuntimeError(STOPPING)
            self._waiting.append(task)
            self._changed.notify_all()  # who waits for more of another kind would let it lie
        return task.future.result()

    def close(self) -> None:
        """Let what is running end, refuse the rest, and wait for the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        for task in self._waiting:
            task.future.set_exception(RuntimeError(STOPPING))

    def _run(self) -> None:
        while tasks := self._next():
            self._observe(tasks[0].kind, len(tasks))
            _work(tasks)

    def _next(self) -> list[_Task]:
        """Return the tasks of the next call; none when the worker is closed."""
        with self._changed:
            while not self._closed:
                if not self._waiting:
                    self._changed.wait()
                    continue
                kind = self._waiting[0].kind
                if self._last.get(kind, 1) > 1 or self._count(kind) > 1:
                    self._wait_for_more(kind)
                if chosen := self._taken(kind):  # another thread may have been faster
                    return chosen
        return []

    def _taken(self, kind: Hashable) -> list[_Task]:
        """Take this thread's share of what waits of a kind."""
        share = -(-self._count(kind) // len(self._threads))
        chosen = [task for task in self._waiting if task.kind == kind][: min(share, self.most)]
        for task in chosen:
            self._waiting.remove(task)
        if len(self._last) >= KINDS:
            self._last.clear()
        self._last[kind] = len(chosen)
        return chosen

    def _wait_for_more(self, kind: Hashable) -> None:
        until = time.monotonic() + self.patience
        while self._count(kind) < self.most and not self._closed:
            left = until - time.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _count(self, kind: Hashable) -> int:
        return sum(task.kind == kind for task in self._waiting)


def _work(tasks: Sequence[_Task]) -> None:
    """Work on tasks together; where that fails, on each alone, so that a bad one spoils no other."""
    try:
        results = tasks[0].work([task.item for task in tasks])
        done = list(zip(tasks, results, strict=True))
    except Exception as error:
        if len(tasks) == 1:
            tasks[0].future.set_exception(error)
        else:
            for task in tasks:
                _work([task])
        return
    for task, result in done:
        task.future.set_result(result)
