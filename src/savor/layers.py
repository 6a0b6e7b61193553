"""Layers that several methods share; shapes stand in the docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from savor.errors import MethodError
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from savor.batch import Batch


def given(field: Tensor | None, name: str) -> Tensor:
    """Return a field of a batch that a method cannot do without.

    Raises:
        MethodError: the batch comes without it.
    """
    if field is None:
        raise MethodError(f"this batch holds no {name}; the method reads it, so it must be encoded first")
    return field


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the second axis of the values whose mask is True, `(b, n, d), (b, n) -> (b, d)`.

    A row without any True gives zeros.

    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    weights = mask.to(values.dtype)[..., None]
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def part_vectors(batch: Batch, parts: Sequence[str] = PARTS) -> tuple[Tensor, Tensor]:
    """One vector a part, the mean of its line vectors: `(b, parts, d_text)`, and their mask `(b, parts)`.

    A part that the whole batch lacks counts as missing in every row.

    Raises:
        MethodError: the batch has none of the parts.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part in parts:
        values, mask = getattr(batch, part), getattr(batch, f"{part}_mask")
        if values is not None:
            found[part] = (values, mask) if part == "title" else (masked_mean(values, mask), mask.any(1))
    if not found:
        raise MethodError(f"this batch holds none of {', '.join(parts)}; a recipe needs text to be embedded")
    some, _ = next(iter(found.values()))
    absent = torch.zeros_like(some), torch.zeros(len(some), dtype=torch.bool, device=some.device)
    columns = [found.get(part, absent) for part in parts]
    return torch.stack([vector for vector, _ in columns], 1), torch.stack([mask for _, mask in columns], 1)


class Standardise(nn.Module):
    """Shift and scale each input by statistics of the training split, `(b, d) -> (b, d)`.

    They are buffers: learned once before training, saved with the weights, the same for every batch.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Learn the statistics from batches `(b, d)`, summed in float64; a constant input keeps spread 1."""
        count = 0
        total = squares = torch.zeros(len(self.mean), dtype=torch.float64)
        for values in batches:
            count += len(values)
            total = total + values.double().sum(0)
            squares = squares + values.double().square().sum(0)
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        # The threshold grows with the mean: so does the rounding of a constant input's squares.
        varies = spread > 1e-6 * (1 + mean.abs())
        self.spread.copy_(torch.where(varies, spread, torch.ones_like(spread)))

    def forward(self, values: Tensor) -> Tensor:
        """Return `(values - mean) / spread`."""
        return (values - self.mean) / self.spread


def projector(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two-layer perceptron with batch norm, `(b, inputs) -> (b, outputs)`; dropout before each layer."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(inputs, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, outputs),
    )
