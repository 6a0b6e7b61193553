"""Layers that several methods share; shapes stand in the docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from savor.errors import MethodError
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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


def self_attention(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-norm transformer encoder, `(b, n, width) -> (b, n, width)`, feed-forward of 2 x width.

    Reference: Vaswani et al. (NeurIPS 2017); norm first as in Xiong et al. (ICML 2020).
    """
    layer = nn.TransformerEncoderLayer(
        width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)


def never_empty(mask: Tensor) -> Tensor:
    """Open the first place of rows without any True, so that a softmax over them stays finite, `(b, n)`."""
    first = torch.zeros_like(mask)
    first[:, 0] = True
    return mask | (first & ~mask.any(1, keepdim=True))


def packed(encoder: Callable[..., Tensor], values: Tensor, mask: Tensor, size: int = 64) -> Tensor:
    """Encode the unmasked values of rows, `(b, n, d), (b, n) -> (b, n, d')`; zeros under the mask.

    Equal to one call over the padded batch, without computing most of its padding: each row's values move
    to its front, and rows of similar length go through `encoder(values, padding)` together, at most `size`
    at a time. The encoder treats its rows one by one.
    """
    lengths = mask.sum(1)
    front = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    by_length = lengths.argsort()
    encoded = []
    for start in range(0, max(1, len(mask)), size):
        rows = by_length[start : start + size]
        longest = max([1, *lengths[rows].tolist()])
        chosen = front[rows, :longest]
        inside = never_empty(mask[rows].gather(1, chosen))
        states = encoder(rearranged(values[rows], chosen), ~inside)
        encoded.append(nn.functional.pad(states, (0, 0, 0, mask.shape[1] - longest)))
    back = front.argsort(1)
    return rearranged(torch.cat(encoded)[by_length.argsort()], back) * mask[..., None]


def unit(vectors: Tensor) -> Tensor:
    """Scale rows to unit length, `(..., d) -> (..., d)`, in fp32 or better; zeros stay zeros.

    In bf16, which training may compute in, cosines would be off by up to 1/128.
    """
    return nn.functional.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=-1)


def rearranged(values: Tensor, positions: Tensor) -> Tensor:
    """Pick values along the second axis, `(b, n, d), (b, m) -> (b, m, d)`."""
    return values.gather(1, positions[..., None].expand(-1, -1, values.shape[-1]))


class AttentionPool(nn.Module):
    """Weights over n states by a learned query, `(b, n, width), (b, n) -> (b, n)`, rows sum to 1.

    `w = softmax over the unmasked of (h' q)`; a row without any unmasked state has weights 0.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the weights of the states."""
        scores = self.query(states)[..., 0].masked_fill(~never_empty(mask), -torch.inf)
        return torch.as_tensor(scores.softmax(1) * mask)


class CrossDecoder(nn.Module):
    """Transformer decoder without a causal mask: n queries look at themselves and at m memories.

    Layers are pre-norm: self-attention, cross-attention, feed-forward of 2 x width.

    Reference: Vaswani et al. (NeurIPS 2017), section 3.1.
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return the decoded queries, `(b, n, width), (b, m, width), (b, m) -> (b, n, width)`."""
        padding = ~never_empty(mask)
        for layer in self.layers:
            queries, _ = layer(queries, memory, padding, weigh=False)
        return torch.as_tensor(self.norm(queries))

    def attention(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return `softmax(Q K' / sqrt(d))` of each layer and head, `(b, layers, heads, n, m)`."""
        padding, found = ~never_empty(mask), []
        for layer in self.layers:
            queries, weights = layer(queries, memory, padding, weigh=True)
            found.append(weights)
        return torch.stack(found, 1)


class _DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.own = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.forward_layer = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(
        self, queries: Tensor, memory: Tensor, padding: Tensor, *, weigh: bool
    ) -> tuple[Tensor, Tensor | None]:
        here = self.norms[0](queries)
        queries = queries + self.drop(self.own(here, here, here, need_weights=False)[0])
        there = self.norms[2](memory)
        looked, weights = self.cross(
            self.norms[1](queries), there, there, padding, weigh, average_attn_weights=False
        )
        queries = queries + self.drop(looked)
        return queries + self.drop(self.forward_layer(self.norms[3](queries))), weights
