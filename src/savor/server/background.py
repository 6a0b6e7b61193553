"""Background: work that must not slow down what people wait for."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

CALMER = 10  # steps of priority below the requests


class Stopped(Exception):  # noqa: N818
    """The server is stopping; raised inside background work to end it early."""


def start(name: str, work: Callable[[], None]) -> threading.Thread:
    """Run some work in a thread of lower priority."""

    def calm() -> None:
        # On Linux a priority is a thread's own; elsewhere it is the whole process's.
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), CALMER)
        with contextlib.suppress(Stopped):
            work()

    thread = threading.Thread(target=calm, name=name, daemon=True)
    thread.start()
    return thread
