"""Time CCA against cca-zoo at 40,000 x (2048 + 768), 64 components: `python benchmarks/cca.py [--quick]`.

Both get the same float32 rows in memory; ours reads them in batches and sums in float64, cca-zoo works in the
type it is given, so it is timed in float64 (the same precision) and in float32. Runs are interleaved and the
ratios taken within a round, so that other load on the machine hits all of them alike. The peak memory of
ours is measured in a process of its own for each n, fed by a generator.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from savor.methods.cca import solve_cca

COMPONENTS, FACTORS, BATCH = 64, 96, 2048


def batches(n: int, widths: tuple[int, int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield float32 rows of x and y in batches; 96 shared factors, ever weaker, give correlations below 1."""
    fixed = torch.Generator().manual_seed(0)
    strengths = torch.linspace(1.0, 0.1, FACTORS)
    maps = [torch.randn(FACTORS, width, generator=fixed) * strengths[:, None] for width in widths]
    for start in range(0, n, BATCH):
        noise = torch.Generator().manual_seed(start + 1)
        size = min(BATCH, n - start)
        factors = torch.randn(size, FACTORS, generator=noise)
        x, y = (factors @ one + 8 * torch.randn(size, one.shape[1], generator=noise) for one in maps)
        yield x, y


def ours(pairs: Callable[[], Iterator[tuple[Tensor, Tensor]]], widths: tuple[int, int]) -> np.ndarray:
    """Fit two layers without ridge and return their canonical correlations."""
    layers = [nn.Linear(width, min(COMPONENTS, *widths)) for width in widths]
    return solve_cca(*layers, pairs, ridges=(0.0, 0.0))[:COMPONENTS].numpy()


def zoo(x: np.ndarray, y: np.ndarray, k: int = COMPONENTS) -> np.ndarray:
    """Fit cca-zoo's CCA and return its canonical correlations on the rows it was fitted on."""
    from cca_zoo.linear import CCA

    model = CCA(n_components=k).fit([x, y])
    a, b = ((rows - rows.mean(0)) @ weights for rows, weights in zip((x, y), model.weights_, strict=True))
    return (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0))


def compare(n: int, widths: tuple[int, int], rounds: int) -> None:
    """Print seconds, ratios and the largest difference of the correlations."""
    kept = list(batches(n, widths))
    x, y = (torch.cat(side).numpy() for side in zip(*kept, strict=True))
    wide = x.astype(np.float64), y.astype(np.float64)
    runs: dict[str, Callable[[], np.ndarray]] = {
        "savor": lambda: ours(lambda: iter(kept), widths),
        "cca-zoo float64": lambda: zoo(*wide),
        "cca-zoo float32": lambda: zoo(x, y),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, np.ndarray] = {}
    warm = list(batches(4 * BATCH, (32, 16)))
    ours(lambda: iter(warm), (32, 16))
    zoo(*(torch.cat(side).numpy() for side in zip(*warm, strict=True)), k=16)
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            found[name] = run()
            times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        print(
            f"{name:16} {statistics.median(values):8.2f} s   " + " ".join(f"{value:.2f}" for value in values)
        )
    for name in ("cca-zoo float64", "cca-zoo float32"):
        ratios = sorted(b / a for a, b in zip(times["savor"], times[name], strict=True))
        difference = np.abs(found[name] - found["savor"]).max()
        print(
            f"{name} / savor {statistics.median(ratios):6.2f}   (from {ratios[0]:.2f} to {ratios[-1]:.2f};"
            f" correlations differ by at most {difference:.1e})"
        )
    print("targets: at least 1.5 times as fast, correlations within 1e-3")


def memory(n: int, widths: tuple[int, int]) -> None:
    """Print by how many MB a fit fed by a generator raises the peak of this process, on Linux."""
    ours(lambda: batches(BATCH, (32, 16)), (32, 16))  # libraries take their share first
    before = _peak()
    ours(lambda: batches(n, widths), widths)
    print(round((_peak() - before) / 1024))


def _peak() -> int:
    """Peak memory in KiB; `ru_maxrss` would count the parent's, which outlives the exec."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def main() -> None:
    """Print a header with what the figures depend on, then times, ratios and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8,000 x (512 + 256)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n, widths = (8_000, (512, 256)) if arguments.quick else (40_000, (2048, 768))
    if arguments.memory:
        memory(arguments.memory, widths)
        return
    facts = (
        platform.machine(),
        f"{os.cpu_count()} cores",
        f"torch threads {torch.get_num_threads()}",
        f"numpy {np.__version__}",
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})",
        f"OPENBLAS_CORETYPE {os.environ.get('OPENBLAS_CORETYPE', 'unset')}",
    )
    print(", ".join(facts))
    print(f"{n:,} x ({widths[0]} + {widths[1]}), {COMPONENTS} components, {arguments.rounds} rounds\n")
    compare(n, widths, arguments.rounds)
    print("\npeak memory of savor, fed by a generator:")
    for size in (n // 4, n // 2, n):
        command = [sys.executable, __file__, "--memory", str(size), *(["--quick"] if arguments.quick else [])]
        grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"n = {size:6,}   {grown} MB")


if __name__ == "__main__":
    main()
