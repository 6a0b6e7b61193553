"""Time the training of Models 1 and 2: `python benchmarks/training.py FEATURES [--rounds 3]`.

Compared with a plain PyTorch loop over the same layers in fp32: batches lie padded in memory before the clock
starts, the encoder runs over padded batches with a mask, one AdamW step a batch, nothing else. Savor's loop
reads its batches from the shards on disk while the clock runs, and computes in the given precision; neither
corrects for hubs or calibrates after its steps. Runs are interleaved and the ratios taken within a round.
Then the largest memory of one epoch over some pairs and over four times as many, each in its own process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from savor.batch import Batch
from savor.features import Features
from savor.layers import never_empty
from savor.methods.base import Method
from savor.methods.patch_decoder import PatchDecoder
from savor.methods.two_stream import TwoStream
from savor.training import TrainingOptions, train_rows

# Without what follows an epoch of steps, which the plain loop does not have.
MODELS: dict[str, tuple[type[Method], dict[str, Any]]] = {
    "two_stream": (TwoStream, {"hubs": 0}),
    "patch_decoder": (PatchDecoder, {"hubs": 0, "calibration": 0.0}),
}
BATCH, BATCHES = 512, 4


def padded(encoder: Callable[..., Tensor], values: Tensor, mask: Tensor) -> Tensor:
    """Encode the whole padded batch at once, as `savor.layers.packed` does without its packing."""
    return encoder(values, ~never_empty(mask)) * mask[..., None]


def plain_epoch(method: Method, batches: list[Batch]) -> float:
    """Train on batches in memory; return seconds."""
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-3)
    method.train()
    start = time.perf_counter()
    with mock.patch("savor.methods.two_stream.packed", padded):
        for batch in batches:
            for _, loss in method.losses(batch):
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    return time.perf_counter() - start


def made(name: str, features: Features) -> Method:
    """Make a model before its first step."""
    kind, options = MODELS[name]
    return kind.build(features.dims, options)


def savor_epoch(method: Method, features: Features, count: int, precision: str = "auto") -> float:
    """Train one epoch on the first pairs of the training split; return seconds, without preparation."""
    rows = features.rows("train", photo=True, text=True)[:count]
    options = TrainingOptions(epochs=1, batch_size=BATCH, precision=precision)
    return float(train_rows(method, features, rows, options)[0]["seconds"])


@contextmanager
def watched() -> Iterator[list[int]]:
    """Sample this process's memory while a block runs, in kB, twenty times a second; Linux only.

    Without mapped files: the shards that were read stay in memory as long as nobody else needs it.
    """
    samples, over = [0], threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            status = Path("/proc/self/status").read_text("utf-8").splitlines()
            samples.append(next(int(line.split()[1]) for line in status if line.startswith("RssAnon")))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


def peak(name: str, path: str, count: int) -> float:
    """Return the largest memory of one epoch over `count` pairs, in MB."""
    command = [sys.executable, __file__, path, "--memory-of", name, "--count", str(count)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print what the figures depend on, pairs per second, ratios and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=BATCH * BATCHES, help="pairs an epoch")
    arguments = parser.parse_args()
    features = Features.open(arguments.features)
    if arguments.memory_of:
        with watched() as samples:
            savor_epoch(made(arguments.memory_of, features), features, arguments.count)
        print(max(samples) / 1024)
        return
    rows = features.rows("train", photo=True, text=True)[: arguments.count]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {features.fingerprint}")
    print(f"{len(rows):,} pairs, batches of {BATCH}, {arguments.rounds} interleaved rounds\n")
    for name in MODELS:
        method = made(name, features)
        method.prepare(features, rows)
        batches = [
            features.batch(some, method.uses, words=method.words, raw=method.raw)
            for some in np.array_split(rows, len(rows) // BATCH)
        ]
        plain_epoch(method, batches[:1])  # warm up
        speeds: dict[str, list[float]] = {"plain": [], "fp32": [], "auto": []}
        for _ in range(arguments.rounds):
            for loop, found in speeds.items():
                fresh = made(name, features)
                fresh.prepare(features, rows)
                if loop == "plain":
                    seconds = plain_epoch(fresh, batches)
                else:
                    seconds = savor_epoch(fresh, features, arguments.count, loop)
                found.append(len(rows) / seconds)
        print(f"{name:14} plain loop {statistics.median(speeds['plain']):.0f} pairs/s")
        for precision in ("fp32", "auto"):
            ratios = [a / b for a, b in zip(speeds[precision], speeds["plain"], strict=True)]
            print(
                f"{'':14} savor, {precision} {statistics.median(speeds[precision]):.0f} pairs/s: ratio"
                f" {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                flush=True,
            )
        few, many = (peak(name, arguments.features, share * arguments.count) for share in (1, 4))
        print(f"{'':14} largest memory: {few:.0f} MB, with four times the pairs {many:.0f} MB", flush=True)
    print("\ntarget: a ratio of at least 1, memory bounded by the batch")


if __name__ == "__main__":
    main()
