"""Large batches: chunked and gathered losses and gradients are those of the plain batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import savor
from savor.batch import Batch
from savor.cli import main
from savor.distributed import (
    average_buffers,
    average_gradients,
    gather_batch,
    gathered,
    in_chunks,
    is_main,
    own_share,
    processes,
    rank,
    world_size,
)
from savor.errors import MethodError
from savor.features import Features
from savor.layers import given as present
from savor.losses import triplet_hardest
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.methods.triplet_mlp import TripletMLP


class Encoder(nn.Module):
    """Photos to unit vectors and which of them point upwards, item by item."""

    def __init__(self, dropout: float = 0.0, width: int = 8, norm: bool = False) -> None:
        super().__init__()
        self.calls = 0
        self.layers = nn.Sequential(
            nn.Linear(6, width),
            nn.BatchNorm1d(width) if norm else nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(width, 4),
        )

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        vectors = nn.functional.normalize(self.layers(present(batch.image, "image")), dim=-1)
        return vectors, vectors[:, 0] > 0


def batch_of(n: int, dtype: torch.dtype = torch.float64) -> Batch:
    return Batch(tuple(map(str, range(n))), image=torch.randn(n, 6, dtype=dtype), grid=(1, 1))


def gradients(encoder: Encoder, vectors: torch.Tensor, other: torch.Tensor) -> list[torch.Tensor]:
    loss = triplet_hardest(vectors, other, 0.3)
    return [loss.detach(), *torch.autograd.grad(loss, list(encoder.parameters()))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=10)
@given(n=st.integers(2, 12), size=st.integers(0, 13))
def test_without_dropout_it_is_the_plain_batch(n: int, size: int, dtype: torch.dtype) -> None:
    torch.manual_seed(14 * n + size)
    encoder, batch = Encoder().to(dtype), batch_of(n, dtype)
    other = nn.functional.normalize(torch.randn(n, 4, dtype=dtype), dim=-1)
    (plain, up), (cached, also_up) = encoder(batch), in_chunks(encoder, batch, size)
    assert torch.equal(up, also_up)
    for one, two in zip(gradients(encoder, plain, other), gradients(encoder, cached, other), strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-6 * max(1, one.abs().max().item()))


@pytest.mark.parametrize("size", [1, 4, 5, 9])
def test_with_dropout_it_is_the_batch_under_the_same_random_numbers(size: int) -> None:
    encoder, batch, other = Encoder(0.5).double(), batch_of(10), torch.randn(10, 4, dtype=torch.float64)
    torch.manual_seed(1)
    cached = in_chunks(encoder, batch, size)[0]
    after = torch.rand(1)
    found = gradients(encoder, cached, other)
    assert torch.rand(1) != after  # going backwards repeats random numbers without taking any
    torch.manual_seed(1)
    whole = range(0, 10, size)
    parts = [encoder(Batch(batch.ids[k : k + size], image=batch.image[k : k + size]))[0] for k in whole]
    assert torch.equal(torch.rand(1), after)
    for one, two in zip(found, gradients(encoder, torch.cat(parts), other), strict=True):
        assert torch.allclose(one, two, rtol=0, atol=1e-12)


def test_each_chunk_is_encoded_twice_and_a_small_batch_once() -> None:
    encoder = Encoder().double()
    in_chunks(encoder, batch_of(10), 4)[0].sum().backward()
    assert encoder.calls == 6
    in_chunks(encoder, batch_of(4), 4)[0].sum().backward()
    assert encoder.calls == 7


def test_without_gradients_each_chunk_is_encoded_once() -> None:
    encoder = Encoder().double()
    with torch.no_grad():
        in_chunks(encoder, batch_of(10), 4)
    assert encoder.calls == 3


def test_one_tensor_and_methods_of_a_module_will_do() -> None:
    encoder = Encoder(norm=True).double()
    batch = batch_of(5)

    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def one(self, batch: Batch) -> torch.Tensor:
            return self.encoder(batch)[0]

    owner = Owner()
    for encode, name in ((encoder, "Encoder"), (owner.one, "Owner")):
        with pytest.raises(MethodError, match=f"{name} has batch norm, whose statistics over chunks"):
            in_chunks(encode, batch, 2)
    assert torch.allclose(in_chunks(owner.eval().one, batch, 2), owner.one(batch))


def largest_memory(n: int, size: int) -> int:
    """Return the most bytes that one step holds at a time beyond its batch."""
    encoder, batch = Encoder(width=512, dropout=0.1), batch_of(n, torch.float32)
    with torch.profiler.profile(profile_memory=True) as profile:
        in_chunks(encoder, batch, size)[0].square().sum().backward()
    events = profile.profiler.kineto_results.events()
    return max(accumulate(event.nbytes() for event in events if event.name() == "[memory]"))


def test_memory_is_that_of_a_chunk() -> None:
    few, many, plain = largest_memory(128, 64), largest_memory(512, 64), largest_memory(512, 0)
    assert many < 1.2 * few  # the encodings themselves are kept
    assert plain > 4 * many


def test_alone_nothing_is_shared_out() -> None:
    vectors, batch = torch.randn(3, 2), batch_of(3)
    with processes():
        assert (world_size(), rank(), is_main()) == (1, 0, True)
        assert gathered(vectors) is vectors
        assert gather_batch(batch, "category") is batch
        assert own_share(np.arange(3)).tolist() == [0, 1, 2]
        average_gradients([nn.Parameter(vectors)])


# Two processes


def joined_loss(encoder: Encoder, scale: nn.Parameter, batch: Batch, size: int) -> torch.Tensor:
    """Contrast photos with their classes' rows; `scale` comes after the gathering."""
    vectors, up = in_chunks(encoder, batch, size)
    whole, vectors, up = gather_batch(batch, "category"), gathered(vectors), gathered(up)
    assert len(whole) == len(vectors)
    assert whole.image is None or world_size() == 1
    targets = torch.eye(4, dtype=vectors.dtype)[whole.category]
    return triplet_hardest(scale * vectors, targets, 0.3) + (vectors * up[:, None]).sum()


def step(ids: np.ndarray) -> tuple[list[torch.Tensor], tuple[str, ...]]:
    torch.manual_seed(0)
    encoder, scale, unused = Encoder().double(), nn.Parameter(torch.ones((), dtype=torch.float64)), None
    unused = nn.Parameter(torch.ones(2, dtype=torch.float64))
    images = torch.randn(8, 6, dtype=torch.float64)
    batch = Batch(tuple(f"r{k}" for k in ids), image=images[ids], category=torch.tensor(ids % 4))
    loss = joined_loss(encoder, scale, batch, 2)
    loss.backward()
    owned = [*encoder.parameters(), scale, unused]
    average_gradients(owned)
    assert unused.grad is None
    return [loss.detach(), *(one.grad for one in owned[:-1])], gather_batch(batch).ids


def in_process(folder: Path, features: str, number: int) -> None:
    """Do what one of two processes does, as the test below starts it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meeting", rank=number, world_size=2)
    found, ids = step(own_share(np.arange(9)))
    assert ids == tuple(f"r{k}" for k in range(8))
    assert is_main() == (number == 0)
    norm = nn.BatchNorm1d(2)
    norm.running_mean.fill_(number)
    average_buffers(norm)
    assert norm.running_mean.tolist() == [0.5, 0.5]
    torch.save([*found, *method_step(features)], folder / f"step{number}.pt")
    dist.destroy_process_group()
    assert main(command(features, folder / "both")) == 0


def method_step(path: str) -> list[torch.Tensor]:
    """Return the loss of a method and its gradients, in every process those of the whole batch."""
    torch.manual_seed(0)
    features = Features.open(path)
    rows = features.rows("train", photo=True, text=True)[:40]
    small = {"dim": 8, "hidden": 16, "width": 8, "inner": 8, "lines": 0, "words": "encoder", "cache_chunk": 6}
    still = {"dropout": 0.0, "image_dropout": 0.0, "recipe_dropout": 0.0}
    method = HierarchicalTransformer.build(features.dims, {**small, **still})
    _, loss = next(method.losses(features.batch(own_share(rows), method.uses)))
    loss.backward()
    average_gradients(method.parameters())
    return [loss.detach(), *(one.grad for one in method.parameters() if one.grad is not None)]


def command(features: str, out: Path) -> list[str]:
    """Train without what differs between processes: dropout and random lines."""
    small = "dim=8 hidden=16 width=8 inner=8 lines=0 words=encoder cache_chunk=40 epochs=3 batch_size=150"
    still = "dropout=0 image_dropout=0 recipe_dropout=0 recipe_only=0 precision=fp32 weight_decay=0"
    settings = [part for one in f"{small} {still}".split() for part in ("--set", one)]
    return ["train", "hierarchical_transformer", "--features", features, "--out", str(out), *settings]


def losses(log: Path) -> list[float]:
    return [json.loads(line)["loss"]["towers"] for line in log.read_text().splitlines()]


def test_two_processes_are_one(pairs_features: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    running = []
    for number in range(2):
        told = {"RANK": number, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **{key: str(value) for key, value in told.items()}}
        arguments = [sys.executable, __file__, str(tmp_path), str(pairs_features), str(number)]
        running.append(subprocess.Popen(arguments, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    alone, ids = step(np.arange(8))
    alone += method_step(str(pairs_features))
    assert len(ids) == 8
    for number in range(2):
        for one, two in zip(alone, torch.load(tmp_path / f"step{number}.pt"), strict=True):
            assert torch.allclose(one, two, rtol=0, atol=1e-6)
    assert main(command(str(pairs_features), tmp_path / "one")) == 0
    one, both = (losses(tmp_path / name / "log.jsonl") for name in ("one", "both"))
    assert len(one) == 3
    assert both == pytest.approx(one, rel=1e-2)  # Adam makes whole steps of rounding
    assert "trained" in errors[0]
    assert "epoch" not in errors[1]  # only the first process reports


def test_nobody_else_knows_of_processes() -> None:
    files = Path(savor.__file__).parent.rglob("*.py")
    knowing = {file.name for file in files if "torch.distributed" in file.read_text("utf-8")}
    assert knowing == {"distributed.py"}


def test_the_perceptrons_gather(monkeypatch, pairs_features: Path) -> None:
    seen = []
    monkeypatch.setattr("savor.methods.base.gathered", lambda rows: seen.append(rows.shape) or rows)
    features = Features.open(pairs_features)
    method = TripletMLP.build(features.dims, {"dim": 8, "hidden": 16, "members": 1})
    list(method.losses(features.batch(np.arange(4), method.uses)))
    assert seen == [(4, 8), (4, 8)]


if __name__ == "__main__":
    in_process(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
