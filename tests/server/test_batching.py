"""The worker: who waits together is answered together, who is alone does not wait."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from savor.server.batching import Worker


@pytest.fixture
def calls():
    return []


@pytest.fixture
def worker(calls):
    worker = Worker(most=4, patience=0.05, observe=lambda kind, count: calls.append((kind, count)))
    yield worker
    worker.close()


def double(items):
    return [2 * item for item in items]


def together(worker, items, work=double, kinds=("a",)):
    """Let the items wait while the worker is held up, so that it meets all of them; return the results."""
    gate = threading.Event()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        held = pool.submit(worker.do, "gate", lambda some: [gate.wait(10) for _ in some], None)
        waiting = [
            pool.submit(worker.do, kinds[place % len(kinds)], work, item) for place, item in enumerate(items)
        ]
        while len(worker._waiting) < len(items):
            time.sleep(0.001)
        gate.set()
        assert held.result()
        return waiting


def test_items_that_wait_share_a_call_of_limited_size(worker, calls) -> None:
    assert [one.result() for one in together(worker, range(6))] == [0, 2, 4, 6, 8, 10]
    assert calls == [("gate", 1), ("a", 4), ("a", 2)]


def test_kinds_do_not_mix(worker, calls) -> None:
    together(worker, range(4), kinds=("a", "b"))
    assert sorted(calls) == [("a", 2), ("b", 2), ("gate", 1)]


def test_whoever_is_alone_does_not_wait(calls) -> None:
    worker = Worker(patience=5)
    started = time.monotonic()
    assert [worker.do("a", double, item) for item in range(3)] == [0, 2, 4]
    assert time.monotonic() - started < 2
    worker.close()


def test_who_came_together_is_waited_for(worker, calls) -> None:
    together(worker, range(2))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(worker.do, "a", double, 1)
        time.sleep(0.01)
        second = pool.submit(worker.do, "a", double, 2)
        assert (first.result(), second.result()) == (2, 4)
    assert calls[-1] == ("a", 2)


def test_several_threads_share_out_what_waits(calls) -> None:
    worker, gate = (
        Worker(2, patience=0, observe=lambda kind, count: calls.append((kind, count))),
        threading.Event(),
    )
    with ThreadPoolExecutor(6) as pool:
        held = [pool.submit(worker.do, kind, lambda some: [gate.wait(10) for _ in some], 0) for kind in "ab"]
        while len(calls) < 2:
            time.sleep(0.001)
        waiting = [pool.submit(worker.do, "c", double, item) for item in range(4)]
        while len(worker._waiting) < 4:
            time.sleep(0.001)
        gate.set()
        assert [one.result() for one in waiting] == [0, 2, 4, 6]
        assert all(one.result() for one in held)
    shares = [count for kind, count in calls if kind == "c"]
    assert shares[0] == 2
    assert sum(shares) == 4
    worker.close()


def test_what_is_of_another_kind_is_not_kept_waiting_by_who_waits_for_more() -> None:
    worker, busy = Worker(2, patience=0.01), threading.Event()
    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(worker.do, "slow", lambda some: [busy.wait(10) for _ in some], None)]
        time.sleep(0.02)
        assert worker.do("quick", double, 2) == 4
        busy.set()
        assert slow[0].result()
    worker.close()


def test_a_bad_item_spoils_no_other(worker) -> None:
    def picky(items):
        if 13 in items:
            raise ValueError("unlucky")
        return items

    one, bad, two = together(worker, [1, 13, 2], picky)
    assert (one.result(), two.result()) == (1, 2)
    with pytest.raises(ValueError, match="unlucky"):
        bad.result()


def test_a_closed_worker_refuses() -> None:
    worker = Worker()
    worker.close()
    with pytest.raises(RuntimeError, match="stopping"):
        worker.do("a", double, 1)
