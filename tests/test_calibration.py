"""Calibration: what cosine and logit weigh, and from which pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from savor.calibration import MOST, Balance, fit_weights, shortlists
from savor.errors import MethodError


def balance(**options: float) -> Balance:
    return Balance(**{"share": 0.1, "scale": 20.0, "nearest": 3, **options})


@pytest.mark.parametrize(
    ("share", "count", "kept"), [(0.1, 300, 30), (0.5, 10_000, MOST), (0.1, 15, 0), (0.0, 300, 0)]
)
def test_a_share_of_the_rows_is_kept_back(share: float, count: int, kept: int) -> None:
    rows = np.arange(count) * 2
    one = balance(share=share)
    one.keep_back(rows)
    learned = one.learned_from(rows)
    assert len(one.held_out) == kept
    assert sorted([*learned, *one.held_out]) == rows.tolist()


def test_a_score_weighs_both() -> None:
    one = balance()
    one.weights.copy_(torch.tensor([3.0, 0.5]))
    assert one(torch.tensor([0.2]), torch.tensor([4.0])).tolist() == pytest.approx([2.6])
    assert one.logged() == {"a": 3.0, "b": 0.5}
    assert balance(share=0.0).logged() == {}


def evidence(size: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw cosines and logits of all pairs of n photos and recipes, both a little higher for the own."""
    generator = torch.Generator().manual_seed(0)
    cosines, logits = (torch.randn(size, size, generator=generator) for _ in range(2))
    own = torch.eye(size)
    return 0.1 * (cosines + 2 * own), logits + own


def test_the_lists_are_those_of_both_directions() -> None:
    cosines, logits = evidence()
    one, asked = balance(), []
    one.fit(cosines, lambda photos, recipes: asked.append((photos, recipes)) or logits[photos, recipes])
    (first, second), expected = asked, [shortlists(side, 3) for side in (cosines, cosines.T)]
    assert torch.equal(first[0], expected[0][0][:, None].expand(-1, 3).flatten())
    assert torch.equal(first[1], expected[0][1].flatten())
    assert torch.equal(second[0], expected[1][1].flatten())
    assert torch.equal(second[1], expected[1][0][:, None].expand(-1, 3).flatten())
    assert (one.weights > 0).all()


def test_nothing_that_speaks_for_either_leaves_the_order_of_the_cosines() -> None:
    cosines, logits = evidence(3)  # as many as a list is long, so that the own is in it, though the last
    own = torch.eye(3, dtype=torch.bool)
    logits = logits.masked_fill(own, -5.0)
    one = balance()
    one.fit(cosines.masked_fill(own, -5.0), lambda photos, recipes: logits[photos, recipes])
    assert one.weights.tolist() == [20.0, 0.0]


def test_without_a_list_the_order_of_the_cosines_stays() -> None:
    cosines, _ = evidence()
    one = balance()
    last = cosines.masked_fill(torch.eye(len(cosines), dtype=torch.bool), -9.0)
    one.fit(last, lambda photos, recipes: pytest.fail("nothing to score"))
    assert one.weights.tolist() == [20.0, 0.0]


def lists(useful: float) -> torch.Tensor:
    """Draw 400 lists of 8 in which the first is ahead by 1 in one evidence and by `useful` in the other."""
    values = torch.randn(400, 8, 2, generator=torch.Generator().manual_seed(0)).double()
    values[:, 0] += torch.tensor([1.0, useful])
    return values


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_weights_are_those_of_a_slow_search(scale: float) -> None:
    values = lists(0.5) * torch.tensor([1.0, scale])
    found = fit_weights(values, torch.tensor([1.0, 1.0 / scale]).double(), ridge=0.0)
    loss = {
        (a, b): -(values @ torch.tensor([a, b / scale]).double()).log_softmax(1)[:, 0].mean().item()
        for a in np.arange(0.6, 1.5, 0.05)
        for b in np.arange(0.1, 1.0, 0.05)
    }
    a, b = min(loss, key=loss.get)
    assert found.tolist() == pytest.approx([a, b / scale], abs=0.03)  # the truth is 1 and useful, by Bayes


def test_evidence_that_misleads_has_no_weight() -> None:
    found = fit_weights(lists(-1.0), torch.tensor([20.0, 1.0]).double())
    assert found[1] == 0
    assert 0.8 < found[0] < 1.3


def test_evidence_that_is_not_finite() -> None:
    with pytest.raises(MethodError, match="not finite"):
        fit_weights(lists(1.0) / 0, torch.ones(2).double())
