"""What changes over the course of training, as pure functions of the progress."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.losses import active_share

MARGINS = ("fixed", "linear", "cosine", "adaptive")


def warm_cosine(step: int, steps: int, warmup: float) -> float:
    """Share of the peak learning rate at a step: a linear rise over the first steps, then half a cosine.

    `f(t) = t / w` for `t < w`, `(1 + cos(pi (t - w) / (1 - w))) / 2` after, with `t = (step + 1) / steps`
    and the share w = `warmup`.

    >>> [round(warm_cosine(step, 10, 0.2), 2) for step in (0, 1, 5, 9)]
    [0.5, 1.0, 0.5, 0.0]
    """
    done = (step + 1) / steps
    if done < warmup:
        return done / warmup
    if warmup >= 1:
        return 1.0
    return (1 + math.cos(math.pi * (done - warmup) / (1 - warmup))) / 2


def linear_margin(epoch: int, start: float, step: float, most: float) -> float:
    """Margin of an epoch, counted from 1: `min(most, start + step (epoch - 1))`.

    Source: the code of T-Food (Shukor et al., CVPR Workshops 2022): 0.05 and 0.005 up to 0.3.

    >>> [round(linear_margin(epoch, 0.05, 0.005, 0.3), 3) for epoch in (1, 2, 51, 99)]
    [0.05, 0.055, 0.3, 0.3]
    """
    return min(most, start + step * (epoch - 1))


def cosine_margin(epoch: int, epochs: int, start: float, most: float) -> float:
    """Margin that rises along half a cosine from the first epoch to the last, counted from 1.

    `m = start + (most - start) (1 - cos(pi (epoch - 1) / (epochs - 1))) / 2`; a single epoch has `most`.

    >>> [round(cosine_margin(epoch, 5, 0.1, 0.3), 3) for epoch in (1, 2, 3, 5)]
    [0.1, 0.129, 0.2, 0.3]
    """
    done = (epoch - 1) / (epochs - 1) if epochs > 1 else 1.0
    return start + (most - start) * (1 - math.cos(math.pi * done)) / 2


def adaptive_margin(active: float, least: float, most: float) -> float:
    """Margin for a share of active triplets, `clip(most (1 - active), least, most)`.

    Source: the code of T-Food, as `linear_margin`.

    >>> [round(adaptive_margin(active, 0.05, 0.3), 3) for active in (1.0, 0.5, 0.0)]
    [0.05, 0.15, 0.3]
    """
    return min(most, max(least, most * (1 - active)))


class Margin(nn.Module):
    """The margin of a triplet loss, which a schedule may change from epoch to epoch.

    `adaptive` is one margin for both directions. It follows the share of triplets that were active in the
    epoch before, at the largest margin, so that the share does not fall only because the margin did; in the
    first epoch all count as active. (T-Food has one for each direction and each batch.)

    The margin in force is a buffer, so it is in every checkpoint; a fixed one is an option already.

    Args:
        most: the margin; of a schedule the largest.
        schedule: `fixed`, `linear`, `cosine` or `adaptive`.
        start: the smallest margin of a schedule.
        step: growth of a `linear` one in an epoch.

    Raises:
        OptionError: an unknown schedule, or a margin that is negative or would not grow.

    Example:
        >>> margin = Margin(0.3, "linear", start=0.05, step=0.1)
        >>> for epoch in (1, 2, 3, 4, 5):
        ...     margin.start_epoch(epoch, 5)
        ...     print(round(margin.now, 3))
        0.05
        0.15
        0.25
        0.3
        0.3
    """

    value: Tensor
    shares: Tensor

    def __init__(
        self, most: float, schedule: str = "fixed", start: float = 0.05, step: float = 0.005
    ) -> None:
        super().__init__()
        _check_margin(most, schedule, start, step)
        self.most, self.schedule, self.start, self.step = most, schedule, start, step
        changes = schedule != "fixed"
        self.register_buffer("value", torch.tensor(start if changes else most), persistent=changes)
        # Sum of the batches' shares of active triplets, and their number.
        self.register_buffer("shares", torch.zeros(2), persistent=schedule == "adaptive")

    @property
    def now(self) -> float:
        """The margin in force, in cosine."""
        return self.value.item()

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set the margin of an epoch, counted from 1."""
        if self.schedule == "linear":
            self.value.fill_(linear_margin(epoch, self.start, self.step, self.most))
        elif self.schedule == "cosine":
            self.value.fill_(cosine_margin(epoch, epochs, self.start, self.most))
        elif self.schedule == "adaptive":
            total, batches = self.shares.tolist()
            active = total / batches if batches else 1.0
            self.value.fill_(adaptive_margin(active, self.start, self.most))
            self.shares.zero_()

    @torch.no_grad()
    def forward(self, image: Tensor, recipe: Tensor) -> float:
        """Return the margin for a batch of pairs, `(b, dim)` each; a training batch is taken note of."""
        if self.schedule == "adaptive" and self.training:
            self.shares[0] += active_share(image, recipe, self.most)
            self.shares[1] += 1
        return self.now


def _check_margin(most: float, schedule: str, start: float, step: float) -> None:
    if schedule not in MARGINS:
        raise OptionError(f"margin_schedule={schedule!r}: choose one of {', '.join(MARGINS)}")
    if not most >= 0:
        raise OptionError(f"margin={most}: must be at least 0")
    if schedule != "fixed" and not 0 <= start <= most:
        raise OptionError(f"margin_start={start}: must lie between 0 and margin={most}, where it ends")
    if schedule == "linear" and not step > 0:
        raise OptionError(f"margin_step={step}: must be above 0")
