"""Measure the memory and the time of large batches: `python benchmarks/gradient_cache.py [--chunk 64]`.

One training step of the Hierarchical Transformer over random word ids, in a process of its own for each size
of the batch, with gradient caching and without: the largest memory beyond that before the step, which holds
the batch, and the processor seconds. The batches and the n x n cosines of the loss grow with the batch
whatever is done; the activations of the transformers, by far the most, do not.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch

from savor.batch import Batch
from savor.features import Dims
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary

WORDS = Vocabulary((*SPECIAL, *(f"word{k}" for k in range(5000)), UNKNOWN))
LINES = {"title": 1, "ingredients": 10, "instructions": 10}


def memory() -> int:
    """Return the memory of this process without mapped files, in kB; Linux only."""
    status = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


def random_batch(n: int) -> Batch:
    """Return n pairs of random photo vectors and lines of ten words."""
    fields = {"image": torch.randn(n, 1280)}
    for part, lines in LINES.items():
        ids = torch.randint(4, 5000, (n, lines, 10))
        mask = torch.ones(n, lines, dtype=torch.bool)
        fields |= {f"{part}_ids": ids[:, 0] if part == "title" else ids}
        fields |= {f"{part}_mask": mask[:, 0] if part == "title" else mask}
    return Batch(tuple(map(str, range(n))), **fields)


def one_step(n: int, chunk: int) -> dict[str, float]:
    """Run one step; return its largest memory in MB and its seconds."""
    torch.manual_seed(0)
    method = HierarchicalTransformer.build(
        Dims(1280, 384), {"words": "learned", "cache_chunk": chunk, "recipe_weight": 0.0}
    )
    assert method.recipe_tower.embedding is not None
    method.recipe_tower.embedding.learn(WORDS)
    for _, loss in method.losses(random_batch(2)):  # warm up
        loss.backward()
    batch, before, over = random_batch(n), memory(), threading.Event()
    samples = [before]

    def sample() -> None:
        while not over.wait(0.01):
            samples.append(memory())

    thread = threading.Thread(target=sample)
    thread.start()
    start = time.process_time()
    for _, loss in method.losses(batch):
        loss.backward()
    seconds = time.process_time() - start
    over.set()
    thread.join()
    return {"MB": (max(samples) - before) / 1024, "seconds": seconds}


def in_child(n: int, chunk: int) -> dict[str, float]:
    """Measure one step in a process of its own."""
    command = [sys.executable, __file__, "--step", str(n), "--chunk", str(chunk)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def main() -> None:
    """Print what the figures depend on and a line for each size of the batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--plain-up-to", type=int, default=1024, help="largest batch without caching")
    parser.add_argument("--step", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(one_step(arguments.step, arguments.chunk)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, chunks of {arguments.chunk}")
    print(f"{'pairs':>6} {'cached MB':>10} {'s':>7} {'plain MB':>10} {'s':>7}")
    for n in arguments.sizes:
        cached = in_child(n, arguments.chunk)
        line = f"{n:6} {cached['MB']:10.0f} {cached['seconds']:7.1f}"
        if n <= arguments.plain_up_to:
            plain = in_child(n, 0)
            line += f" {plain['MB']:10.0f} {plain['seconds']:7.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
