"""Calibration: how much the score of a pair scorer weighs beside the cosine of its first stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from savor.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Callable

    from savor.batch import Array

MOST = 256  # pairs kept back


class Balance(nn.Module):
    """Weights of two evidences of a pair, `f = a cosine + b logit`, from pairs that taught nothing else.

    Cosines of pairs that the towers have learned say more than those of new pairs, so a and b come from some
    of the training pairs, kept back: there they minimise the mean of `-log softmax(f)` of the own item
    against the best others by cosine, both directions, for queries whose own item is among the best, as only
    theirs can be put right at test. Neither is ever below 0. Where nothing speaks for either, b is 0: the
    order of the cosines stays.

    Args:
        share: of the training pairs kept back, at most 256; 0: none, a and b stay as they are at the start.
        scale: a at the start; b is 1.
        nearest: length of the lists.
    """

    weights: Tensor

    def __init__(self, share: float, scale: float, nearest: int) -> None:
        super().__init__()
        self.share, self.scale, self.nearest = share, scale, nearest
        self.register_buffer("weights", torch.tensor([scale, 1.0]))
        self.held_out: Array = np.zeros(0, np.int64)

    def keep_back(self, rows: Array) -> None:
        """Keep some of the training rows back, evenly spread."""
        count = min(MOST, int(self.share * len(rows)))
        self.held_out = rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)] if count > 1 else rows[:0]

    def learned_from(self, rows: Array) -> Array:
        """Return the rows that are not kept back."""
        return np.setdiff1d(rows, self.held_out)

    def forward(self, cosines: Tensor, logits: Tensor) -> Tensor:
        """Weigh the evidences of n pairs, `(n,), (n,) -> (n,)`."""
        return self.weights[0] * cosines + self.weights[1] * logits

    def fit(self, cosines: Tensor, logits: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Find a and b on the pairs kept back.

        Args:
            cosines: of photos x recipes, `(n, n)`.
            logits: photos `(m,)` and recipes `(m,)` to the scorer's logits `(m,)`.
        """
        lists = []
        for turned in (False, True):
            own, best = shortlists(cosines.T if turned else cosines, self.nearest)
            if not len(own):
                continue
            own = own[:, None].expand_as(best)
            pairs = (best, own) if turned else (own, best)
            sides = zip(*(torch.split(side.flatten(), 512) for side in pairs), strict=True)
            found = torch.cat([logits(photos, recipes) for photos, recipes in sides])
            lists.append(torch.stack([cosines[pairs], found.view_as(best)], -1))
        start = torch.tensor([self.scale, 1.0]).double()
        weights = fit_weights(torch.cat(lists).double().cpu(), start) if lists else torch.zeros_like(start)
        if not weights.any():
            weights[0] = self.scale
        self.weights.copy_(weights)

    def logged(self) -> dict[str, float]:
        """Return a and b, where they are fitted."""
        if not self.share:
            return {}
        return {name: round(value, 6) for name, value in zip("ab", self.weights.tolist(), strict=True)}


def shortlists(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the rows whose own column is among their best, and these, the own first: `(m,), (m, count)`.

    Rows whose own column is not would teach that high scores are wrong; at test nothing changes them.

    >>> shortlists(torch.tensor([[0.1, 0.9, 0.5], [0.0, 0.2, 0.3], [0.7, 0.6, 0.8]]), 2)
    (tensor([1, 2]), tensor([[1, 2],
            [2, 0]]))
    """
    own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    count = min(count, len(scores))
    rows = ((scores > scores.diagonal()[:, None]).sum(1) < count).nonzero()[:, 0]
    return rows, scores.masked_fill(own, torch.inf)[rows].topk(count, dim=1).indices


def fit_weights(lists: Tensor, start: Tensor, ridge: float = 1e-3) -> Tensor:
    """Weigh two evidences so that the first of each list comes out, `(lists, k, 2) -> (2,)`.

        `minimise over w: mean of -log softmax(x w)_0 + ridge |(w - start) * spread|^2 / 2`

    A weight that would be negative is 0. The loss is convex, so a few Newton steps find its least value.

    Raises:
        MethodError: the evidence is not finite.
    """
    if not torch.isfinite(lists).all():
        raise MethodError("the scores of held-out pairs are not finite; train with a smaller learning_rate")
    spread = lists.flatten(0, 1).std(0).clamp(min=1e-9)
    values, centre = lists / spread, start * spread
    weights, kept = centre.clone(), torch.ones(2, dtype=torch.bool, device=lists.device)
    for _ in range(50):
        share = (values @ weights).softmax(1)[..., None]
        mean = (share * values).sum(1)
        apart = values - mean[:, None]
        slope = (mean - values[:, 0]).mean(0) + ridge * (weights - centre)
        curve = torch.einsum("nki,nkj->ij", share * apart, apart) / len(lists)
        curve = curve + ridge * torch.eye(2, dtype=curve.dtype, device=curve.device)
        step = torch.zeros_like(weights)
        step[kept] = torch.linalg.solve(curve[kept][:, kept], slope[kept])
        weights = weights - step * min(1.0, 5.0 / float(step.abs().max().clamp(min=1e-12)))
        if (weights < 0).any():
            kept &= weights >= 0
            weights = weights.clamp(min=0)
    return weights / spread
