"""Learning rate and margin over time, at the points where their formulas can be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import OptionError
from savor.losses import active_share
from savor.schedules import MARGINS, Margin, adaptive_margin, cosine_margin, linear_margin, warm_cosine


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


def history(margin: Margin, epochs: int) -> list[float]:
    values = []
    for epoch in range(1, epochs + 1):
        margin.start_epoch(epoch, epochs)
        values.append(margin.now)
    return values


def test_margins_by_hand() -> None:
    assert [linear_margin(epoch, 0.05, 0.1, 0.3) for epoch in (1, 2, 3, 4, 9)] == pytest.approx(
        [0.05, 0.15, 0.25, 0.3, 0.3]
    )
    # The middle of the cosine is half way; a quarter of the way it has done (1 - cos 45) / 2.
    assert [cosine_margin(epoch, 5, 0.1, 0.3) for epoch in (1, 2, 3, 5)] == pytest.approx(
        [0.1, 0.1 + 0.2 * (1 - 0.5**0.5) / 2, 0.2, 0.3]
    )
    assert cosine_margin(1, 1, 0.1, 0.3) == pytest.approx(0.3)
    assert [adaptive_margin(share, 0.05, 0.3) for share in (1, 0.9, 0.5, 0)] == pytest.approx(
        [0.05, 0.05, 0.15, 0.3]
    )


@pytest.mark.parametrize("schedule", MARGINS)
@given(start=st.floats(0, 0.3), more=st.floats(0, 0.5), step=st.floats(0.001, 0.2), epochs=st.integers(1, 30))
def test_a_margin_rises_from_its_start_and_never_over_its_end(
    schedule: str, start: float, more: float, step: float, epochs: int
) -> None:
    most = start + more
    values = history(Margin(most, schedule, start, step), epochs)
    assert values == sorted(values)
    assert all(start - 1e-6 <= value <= most + 1e-6 for value in values)
    if schedule == "fixed":
        assert values[0] == pytest.approx(most)
    if schedule == "cosine":
        assert values[-1] == pytest.approx(most)
    if schedule == "linear" or (schedule == "cosine" and epochs > 1):
        assert values[0] == pytest.approx(start)


def test_the_adaptive_margin_follows_the_active_triplets_of_the_epoch_before() -> None:
    margin = Margin(0.4, "adaptive", 0.1)
    margin.start_epoch(1, 9)
    assert margin.now == pytest.approx(0.1)
    batches = [(torch.eye(2), torch.eye(2)), (torch.eye(2), torch.tensor([[0.6, 0.8], [0.8, -0.6]]))]
    shares = [float(active_share(*batch, 0.4)) for batch in batches]
    assert shares == [0.0, 1.0]
    for batch in batches:
        assert margin(*batch) == pytest.approx(0.1)
    margin.start_epoch(2, 9)
    assert margin.now == pytest.approx(0.4 * (1 - 0.5))
    margin.eval()(*batches[1])  # validation is nothing to follow
    margin.train()(*batches[0])
    margin.start_epoch(3, 9)
    assert margin.now == pytest.approx(0.4)


@pytest.mark.parametrize("schedule", MARGINS[1:])
def test_a_margin_goes_on_from_its_state(schedule: str) -> None:
    batch = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    whole = Margin(0.4, schedule, 0.1)
    whole.start_epoch(1, 3)
    whole(*batch)
    resumed = Margin(0.4, schedule, 0.1)
    resumed.load_state_dict(whole.state_dict())
    assert resumed.now == whole.now
    for one in (whole, resumed):
        one.start_epoch(2, 3)
    assert resumed.now == whole.now > 0.1


def test_a_fixed_margin_is_no_state() -> None:
    assert not Margin(0.3).state_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((0.3, "growing"), "margin_schedule='growing': choose one of fixed, linear, cosine, adaptive"),
        ((-0.1,), "margin=-0.1: must be at least 0"),
        ((float("nan"),), "margin=nan: must be at least 0"),
        ((0.3, "cosine", 0.4), "margin_start=0.4: must lie between 0 and margin=0.3"),
        ((0.3, "adaptive", -0.1), "margin_start=-0.1"),
        ((0.3, "linear", 0.1, 0.0), "margin_step=0.0: must be above 0"),
        ((0.3, "linear", 0.1, float("nan")), "margin_step=nan"),
    ],
)
def test_margins_out_of_range(options: tuple, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Margin(*options)
