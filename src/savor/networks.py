"""Networks: the encoders' own networks, opened for training instead of frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from savor.encoders import open_image_encoder, open_text_encoder
from savor.encoders.base import choose_dtype
from savor.errors import OptionError
from savor.hardware import cpu_multiplies_bf16
from savor.pixels import NO_WORD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PHOTOS, WORDS = 32, 4096  # pass through a network together; more would leave the processor's cache


class Network(nn.Module):
    """An encoder's network, its lower stages frozen; dropout and batch statistics stay as in evaluation.

    Args:
        encoder: an encoder opened in fp32 on the CPU.
        frozen: share of the stages that is not trained, from the input on.
        dtype: `bf16` computes in bfloat16 and keeps weights and gradients in fp32; `auto` does so on a CPU
            made for it.
        checkpointing: forget the states inside the trained stages and compute them again for the gradient:
            a third slower, much less memory, the same gradients.
    """

    def __init__(self, encoder: Any, *, frozen: float, dtype: str, checkpointing: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.network: nn.Module = encoder.network
        self.dtype = choose_dtype(dtype, fast_bf16=cpu_multiplies_bf16())
        found = stages(self.network)
        self.frozen = round(frozen * len(found))
        for number, stage in enumerate(found):
            for parameter in stage:
                parameter.requires_grad_(number >= self.frozen)
        if checkpointing:
            for block in _blocks(self.network):
                _checkpoint(block)

    def groups(self, decay: float) -> Iterator[tuple[float, list[nn.Parameter]]]:
        """Yield the trained stages with `decay ** d`, d counted from the top stage down."""
        found = stages(self.network)
        for number, stage in enumerate(found[self.frozen :], self.frozen):
            yield decay ** (len(found) - 1 - number), stage

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: an encoder is trained as it will be used."""
        return super().train(False)

    def autocast(self) -> torch.autocast:
        """Compute in the network's number format."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16)


class PhotoNetwork(Network):
    """An image encoder's network, `(b, 3, h, w)` uint8 -> pooled `(b, d)` and maps `(b, d, h', w')`."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(open_image_encoder(name, dtype="fp32", device="cpu"), **options)

    def canvas(self, height: int, width: int, *, training: bool) -> tuple[int, int]:
        """Return height and width of the photos; what is 0 is left to the encoder."""
        own = self.encoder.training_canvas if training else self.encoder.canvas
        return height or own[0], width or own[1]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encode photos on one canvas.

        Raises:
            OptionError: the network has no regions.
        """
        if len(pixels) == 0:
            vectors, regions = self(pixels.new_zeros(1, *pixels.shape[1:]))
            return vectors[:0], regions[:0]
        pooled, maps = [], []
        for some in torch.split(pixels, PHOTOS):
            with self.autocast():
                vectors, regions = self.encoder.forward(self.encoder.normalise(some))
            if regions is None:
                raise OptionError(f"image_encoder={self.encoder.name}: has no regions; choose another")
            pooled.append(vectors.float())
            maps.append(regions.float())
        return torch.cat(pooled), torch.cat(maps)


class LineNetwork(Network):
    """A text encoder's network: ids `(n, t)`, -1 behind the last -> pooled `(n, d)`, states `(n, t, d)`."""

    def __init__(self, name: str, *, limit: int, **options: Any) -> None:
        super().__init__(open_text_encoder(name, dtype="fp32", device="cpu"), **options)
        self.limit = limit

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Turn lines into ids, special ones included; what is above the limit is left out."""
        ids: list[list[int]] = self.encoder.tokenize(lines, self.limit)
        return ids

    def own(self, ids: Tensor) -> Tensor:
        """Return which ids are words of the line, neither special nor padding, `(n, t)`."""
        special = torch.tensor(self.encoder.special_ids, device=ids.device)
        return (ids != NO_WORD) & ~torch.isin(ids, special)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Encode lines, those of like length together."""
        if len(ids) == 0:
            return torch.zeros(0, self.encoder.dim), torch.zeros(0, ids.shape[1], self.encoder.dim)
        lengths = (ids != NO_WORD).sum(1)
        order = lengths.argsort(stable=True)
        pooled, states = [], []
        for some in _by_words(lengths[order].tolist()):
            chosen = ids[order[some], : int(lengths[order[some]].max())]
            with self.autocast():
                vectors, hidden = self.encoder.forward(chosen.clamp(min=0), chosen != NO_WORD)
            pooled.append(vectors.float())
            hidden = hidden[:, : chosen.shape[1]].float()
            states.append(F.pad(hidden, (0, 0, 0, ids.shape[1] - hidden.shape[1])))
        back = order.argsort()
        vectors = torch.cat(pooled)[back]
        return F.normalize(vectors, dim=-1) if self.encoder.unit_length else vectors, torch.cat(states)[back]


def _by_words(lengths: list[int]) -> Iterator[slice]:
    """Cut sorted lengths into runs of at most `WORDS` ids with their padding."""
    start = 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or (end + 1 - start) * lengths[end] > WORDS:
            yield slice(start, end)
            start = end


def stages(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return a network's parameters by depth: what stands before its blocks, each block, what stands behind.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)]))
    >>> [len(stage) for stage in stages(network)]
    [2, 2, 2]
    """
    blocks = _blocks(network)
    inside = {id(parameter): depth for depth, block in enumerate(blocks) for parameter in block.parameters()}
    before: list[nn.Parameter] = []
    behind: list[nn.Parameter] = []
    found: list[list[nn.Parameter]] = [[] for _ in blocks]
    for parameter in network.parameters():
        if id(parameter) in inside:
            found[inside[id(parameter)]].append(parameter)
        else:
            (behind if any(found) else before).append(parameter)
    return [stage for stage in (before, *found, behind) if stage]


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Return the blocks of a network: the longest list of modules in it."""
    lists = [list(module) for module in network.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])


def _checkpoint(block: nn.Module) -> None:
    """Make a block compute its states again in the backward pass instead of keeping them."""
    plain = block.forward

    def forward(*values: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled() or not any(p.requires_grad for p in block.parameters()):
            return plain(*values, **options)
        return checkpoint(plain, *values, use_reentrant=False, **options)

    block.forward = forward
