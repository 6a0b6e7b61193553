"""What changes over the course of training, as pure functions of the progress."""

from __future__ import annotations

import math


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
