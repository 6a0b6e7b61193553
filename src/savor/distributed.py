"""Large batches: in chunks that fit into memory, and across processes, with the gradients of one batch.

Contrastive losses compare every item of a batch with every other, so a large batch can neither be cut nor
shared out like a sum over items. But only the loss needs all items at once: the encoders, which take the
memory and the time, treat them one by one.

A training across processes is started by torchrun, one process a device. Each takes its share of every
batch (`own_share`), embeds it, and computes the loss of the whole batch (`gathered`); the gradients are
averaged (`average_gradients`), so that weights stay equal everywhere. What a method does not gather, such
as the statistics of batch norm inside its towers, is that of a share.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from savor.errors import MethodError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from savor.batch import Array, Batch

Encodings = TypeVar("Encodings", bound=Tensor | tuple[Tensor, ...])

__all__ = [
    "average_buffers",
    "average_gradients",
    "gather_batch",
    "gathered",
    "in_chunks",
    "is_main",
    "own_share",
    "processes",
    "rank",
    "wait_for_all",
    "world_size",
]


def in_chunks(encode: Callable[[Batch], Encodings], batch: Batch, size: int) -> Encodings:
    """Encode a batch `size` items at a time and keep no activations: gradient caching.

    The encodings are computed chunk by chunk without a graph. When the loss of all of them is
    differentiated, each chunk is computed once more, with the same random numbers, and the cached gradients
    of its encodings go backwards through it:

        `dL/dw = sum over chunks c of (dL/de_c) (de_c/dw)`, `e_c = encode(batch_c)`

    That is the gradient of the whole batch, for one more forward pass, and the memory of activations is that
    of one chunk. `encode` must treat items one by one.

    Args:
        encode: a module or a method of one; returns a tensor `(b, ...)` or several.
        batch: b items.
        size: of a chunk; 0: all at once, and activations are kept.

    Raises:
        MethodError: batch norm among the modules is training: its statistics are those of the whole batch.

    Source: Gao, Zhang, Han and Callan, Scaling deep contrastive learning batch size under memory limited
    setup (RepL4NLP 2021).
    """
    if not size or len(batch) <= size:
        return encode(batch)
    _refuse_batch_norm(encode)
    starts = range(0, len(batch), size)
    found = [_recomputed(encode, _between(batch, start, start + size)) for start in starts]
    if isinstance(found[0], Tensor):
        return cast("Encodings", torch.cat(found))
    return cast("Encodings", tuple(torch.cat(one) for one in zip(*found, strict=True)))


def _recomputed(encode: Callable[[Batch], Any], batch: Batch) -> Any:
    """Encode without keeping activations; they are computed again on the way back."""

    def run(tensors: dict[str, Any]) -> Any:
        return encode(replace(batch, **tensors))

    # Only from tensors among the arguments does it learn whose random numbers to repeat.
    return checkpoint(run, _tensors(batch), use_reentrant=False)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    named = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def _between(batch: Batch, start: int, end: int) -> Batch:
    some: dict[str, Any] = {name: value[start:end] for name, value in _tensors(batch).items()}
    return replace(batch, ids=batch.ids[start:end], **some)


def _refuse_batch_norm(encode: object) -> None:
    owner = getattr(encode, "__self__", encode)
    for module in owner.modules() if isinstance(owner, nn.Module) else ():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise MethodError(
                f"{type(owner).__name__} has batch norm, whose statistics over chunks are not those of the"
                " batch; encode in chunks what comes before it, and the whole batch from there on"
            )


def world_size() -> int:
    """Return how many processes train together; 1 outside of `processes`."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """Say whether this process is the one that writes files and reports."""
    return rank() == 0


def wait_for_all() -> None:
    """Wait until every process has come here."""
    if world_size() > 1:
        dist.barrier()


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that torchrun started, while a block runs; without torchrun nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def own_share(rows: Array) -> Array:
    """Return this process's share of the rows of a batch: equal ones, what is left over is left out.

    Processes that take turns differently would wait for each other for ever; how many turns an adversarial
    method takes depends on its share.
    """
    size = len(rows) // world_size()
    return rows[rank() * size : (rank() + 1) * size]


def gathered(own: Tensor) -> Tensor:
    """Join the rows of all processes, `(b, ...) -> (sum of the b, ...)`, in the order of ranks.

    Gradients come back: a process's rows get the sum of what all processes' losses say of them. Where each
    computes the loss of the whole batch, that sum is as many times too large as there are processes, and
    `average_gradients` sets it right, along with the gradients of what comes after the gathering.
    """
    if world_size() == 1:
        return own
    size = torch.tensor([len(own)], device=own.device)
    sizes = [torch.empty_like(size) for _ in range(world_size())]
    dist.all_gather(sizes, size)
    counts = [int(one) for one in sizes]
    if own.dtype == torch.bool:
        return _all_rows(own.to(torch.uint8), counts).bool()
    if not own.is_floating_point():
        return _all_rows(own, counts)
    joined: Tensor = _Gather.apply(own, counts)  # type: ignore[no-untyped-call]
    return joined


def _all_rows(own: Tensor, counts: list[int]) -> Tensor:
    """Join the rows of all processes, `counts` of each; all send as many as the largest has."""
    sent = own.new_zeros(max(counts), *own.shape[1:])
    sent[: len(own)] = own
    received = [torch.empty_like(sent) for _ in counts]
    dist.all_gather(received, sent)
    return torch.cat([one[:count] for one, count in zip(received, counts, strict=True)])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _all_rows(own, counts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        return torch.split(total, ctx.counts)[rank()], None


def gather_batch(batch: Batch, *names: str) -> Batch:
    """Join the batches of all processes: their ids, and of the other fields those named.

    A field that this process's batch lacks, all lack.
    """
    if world_size() == 1:
        return batch
    ids: list[tuple[str, ...]] = [()] * world_size()
    dist.all_gather_object(ids, batch.ids)
    tensors = {name: gathered(value) for name, value in _tensors(batch).items() if name in names}
    joined: dict[str, Any] = {field.name: tensors.get(field.name) for field in fields(batch)}
    return type(batch)(**{**joined, "ids": tuple(one for some in ids for one in some)})


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace the gradients by their mean over all processes; a missing one counts as zeros.

    A parameter that has none in any process keeps none.
    """
    if world_size() == 1:
        return
    owned = list(parameters)
    if not owned:
        return
    there = torch.tensor([float(one.grad is not None) for one in owned])
    there = there.to(owned[0])
    flat = [(torch.zeros_like(one) if one.grad is None else one.grad).flatten() for one in owned]
    sent = torch.cat([there, *flat])
    dist.all_reduce(sent)
    counts, *means = torch.split(sent, [len(owned), *(one.numel() for one in owned)])
    for one, count, total in zip(owned, counts.tolist(), means, strict=True):
        one.grad = (total / world_size()).view_as(one) if count else None


def average_buffers(module: nn.Module) -> None:
    """Replace what is learned without gradients, such as running statistics, by its mean over all processes.

    Validation is then the same everywhere, and so is what follows from it.
    """
    buffers = [one for one in module.buffers() if one.is_floating_point()]
    if world_size() == 1 or not buffers:
        return
    sent = torch.cat([one.flatten().float() for one in buffers])
    dist.all_reduce(sent)
    for one, total in zip(buffers, torch.split(sent, [one.numel() for one in buffers]), strict=True):
        one.copy_((total / world_size()).view_as(one))
