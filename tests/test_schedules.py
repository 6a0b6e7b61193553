"""The learning rate over time, at the points where its formula can be worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.schedules import warm_cosine


@pytest.mark.parametrize(
    ("step", "steps", "warmup", "expected"),
    [
        (0, 10, 0.2, 0.5),  # t = 0.1, half of the rise
        (1, 10, 0.2, 1.0),  # t = w, the peak
        (5, 10, 0.2, 0.5),  # t = 0.6, half of the way down: (1 + cos(pi / 2)) / 2
        (9, 10, 0.2, 0.0),  # t = 1
        (0, 1, 0.0, 0.0),
        (0, 4, 1.0, 0.25),  # nothing but the rise
        (3, 4, 1.0, 1.0),
    ],
)
def test_values_by_hand(step: int, steps: int, warmup: float, expected: float) -> None:
    assert warm_cosine(step, steps, warmup) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 200), st.floats(0, 1))
def test_it_rises_then_falls_within_0_and_1(steps: int, warmup: float) -> None:
    shares = [warm_cosine(step, steps, warmup) for step in range(steps)]
    assert all(0 <= share <= 1 for share in shares)
    peak = shares.index(max(shares))
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
