"""Time `savor.evaluate` on ten draws of 10,000, both directions: `python benchmarks/evaluation.py [--quick]`.

Compared with the ten matrix products alone (the faster of NumPy's and torch's) and with a plain evaluation
that sorts every row and every column (timed on one draw, times ten). Runs are interleaved and the ratios
taken within a round, so that other load on the machine hits all of them alike.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from savor.evaluation import DIRECTIONS, Protocol, evaluate

DIM, DRAWS = 512, 10


def embeddings(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return image and recipe rows `(n, 512)` of unit length that find each other at middling ranks."""
    rng = np.random.default_rng(0)
    meaning = rng.standard_normal((n, DIM), dtype=np.float32)
    noisy = [meaning + 2.5 * rng.standard_normal((n, DIM), dtype=np.float32) for _ in range(2)]
    image, recipe = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in noisy)
    return image, recipe


def numpy_product(image: np.ndarray, recipe: np.ndarray, draws: list[np.ndarray]) -> None:
    """Compute the score matrix of every draw and nothing else."""
    scores = np.empty((len(draws[0]),) * 2, np.float32)
    for rows in draws:
        np.matmul(image[rows], recipe[rows].T, out=scores)


def torch_product(image: np.ndarray, recipe: np.ndarray, draws: list[np.ndarray]) -> None:
    """Do as `numpy_product` does, in torch."""
    a, b = torch.from_numpy(image), torch.from_numpy(recipe)
    scores = torch.empty((len(draws[0]),) * 2)
    for rows in draws:
        torch.mm(a[rows], b[rows].T, out=scores)


def argsort_evaluation(image: np.ndarray, recipe: np.ndarray, draws: list[np.ndarray]) -> list[np.ndarray]:
    """Rank by sorting all candidates of every query, as most published evaluations do."""
    ranks = []
    for rows in draws:
        scores = image[rows] @ recipe[rows].T
        for table in (scores, scores.T):
            order = np.argsort(-table, axis=1)
            ranks.append(np.argmax(order == np.arange(len(rows))[:, None], axis=1) + 1)
    return ranks


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    """Print a header with what the figures depend on, then seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="draws of 2,000 instead of 10,000")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    pool = 2_000 if arguments.quick else 10_000
    plan = Protocol(f"{pool}", pool, DRAWS)
    image, recipe = embeddings(2 * pool)
    draws = plan.draw(len(image))
    facts = (
        platform.machine(),
        f"{os.cpu_count()} cores",
        f"torch threads {torch.get_num_threads()}",
        f"numpy {np.__version__}",
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})",
        f"OPENBLAS_CORETYPE {os.environ.get('OPENBLAS_CORETYPE', 'unset')}",
    )
    print(", ".join(facts))
    print(f"{DRAWS} draws of {pool:,} x {DIM}, both directions, {arguments.rounds} interleaved rounds\n")

    runs: dict[str, Callable[[], object]] = {
        "numpy product": lambda: numpy_product(image, recipe, draws),
        "torch product": lambda: torch_product(image, recipe, draws),
        "savor.evaluate": lambda: evaluate(image, recipe, protocol=plan),
        "plain argsort": lambda: argsort_evaluation(image, recipe, draws[:1]),
    }
    check(image, recipe, draws, plan)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run) * (DRAWS if name == "plain argsort" else 1))
    for name, values in times.items():
        print(
            f"{name:16} {statistics.median(values):8.2f} s   " + " ".join(f"{value:.2f}" for value in values)
        )
    product = [min(pair) for pair in zip(times["numpy product"], times["torch product"], strict=True)]
    ours = times["savor.evaluate"]
    print(f"\nsavor / product alone  {_ratio(ours, product)}   (target: at most 2)")
    ratio = _ratio(times["plain argsort"], ours)
    print(f"argsort / savor        {ratio}   (argsort: one draw timed, times {DRAWS})")


def check(image: np.ndarray, recipe: np.ndarray, draws: list[np.ndarray], plan: Protocol) -> None:
    """Warm up, and make sure that what is timed gives the same ranks."""
    report = evaluate(image, recipe, protocol=plan, bootstrap=10)
    expected = argsort_evaluation(image, recipe, draws[:1])
    for direction, ranks in zip(DIRECTIONS, expected, strict=True):
        worst = np.abs(report.ranks[direction][0] - ranks).max()
        assert worst <= 1, f"{direction}: a rank differs by {worst}"


def _ratio(above: list[float], below: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(above, below, strict=True))
    return f"{statistics.median(ratios):6.2f}   (from {ratios[0]:.2f} to {ratios[-1]:.2f})"


if __name__ == "__main__":
    main()
