"""Time searching an index alone: `python benchmarks/index.py [--entries 100000] [--backends exact lance]`.

Recipes are made up: vectors in clusters whose directions count as unequally as those of a trained run, titles
and ingredients of words as frequent as words are, categories, sources and times. Queries are entries with
noise and an offset, as photos lie apart from recipes. Of every backend: how long it takes to write, to open
anew and answer once, how large it is on disk, and for searches without and with filters p50, p95, the time of
all processors (which depends less on what else they do) with its ratio to the first backend's, and recall@10
against comparing all vectors in float64. Encoding a query is no part of it. Times are those of this machine
as busy as it was; set OMP_NUM_THREADS to the number of cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from savor.index import EVERYTHING, Filter, backends, folder, open_index
from savor.index.filters import facts_of
from savor.index.ranking import unit

Array = np.ndarray[Any, np.dtype[Any]]
CLUSTERS, WORDS, K = 2_000, 5_000, 10
FACTS = {"run": "none", "method": "none", "encoders": {}, "grid": [7, 7]}
FILTERS = {
    "no filter": EVERYTHING,
    "have a frequent word": Filter(have=("word d",)),
    "have two words": Filter(have=("word d", "word ba")),
    "have a rare word": Filter(have=("word dcba",)),
    "avoid three words": Filter(avoid=("word b", "word ba", "word dcba")),
    "category and time": Filter(category="course 3", minutes=45),
}


def spelt(number: int) -> str:
    """Return a word of letters for a number; digits are no part of words."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


def recipes(entries: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Make up recipes of eight ingredients with frequent and rare words, and of five steps."""
    ranks = np.minimum(rng.zipf(1.3, (entries, 8)), WORDS) - 1
    rest = rng.integers(0, WORDS, (entries, 60))
    minutes, courses = rng.integers(5, 180, entries), rng.integers(0, 12, entries)
    for k in range(entries):
        yield {
            "id": f"{k:07d}",
            "title": f"{spelt(rest[k, 0])} with {spelt(ranks[k, 0])}",
            "ingredients": [f"{1 + k % 3} cups word {spelt(rank)}, chopped" for rank in ranks[k]],
            "instructions": [" ".join(map(spelt, rest[k, step * 12 : step * 12 + 12])) for step in range(5)],
            "category": f"Course {courses[k]}",
            "source": f"book {k % 40}",
            "times": {"total": f"{minutes[k]} min"},
            "photos": [],
            "content": str(k),
        }


def clustered(entries: int, dim: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return stored vectors `(entries, dim)` float16 and 200 queries `(200, dim)` near some of them."""
    spread = np.arange(1, dim + 1, dtype=np.float32) ** -0.75  # 64 directions hold 93 % of the variance
    centres = rng.standard_normal((CLUSTERS, dim), np.float32)
    vectors = centres[rng.integers(CLUSTERS, size=entries)]
    vectors += 0.7 * rng.standard_normal((entries, dim), np.float32)
    vectors = unit(vectors * spread)
    offset = rng.standard_normal(dim).astype(np.float32) / dim**0.5
    noise = unit(rng.standard_normal((200, dim)).astype(np.float32) * spread)
    return vectors.astype(np.float16), unit(vectors[rng.integers(entries, size=200)] + noise + offset)


def truth(vectors: Array, queries: Array, mask: Array) -> list[set[str]]:
    """Return the ids of the K nearest that pass, all compared."""
    rows = np.flatnonzero(mask)
    near = unit(vectors[rows]).astype(np.float64) @ queries.T.astype(np.float64)
    return [{f"{row:07d}" for row in rows[np.argsort(-column)[:K]]} for column in near.T]


def opening(path: Path) -> float:
    """Return the seconds in which a new process opens an index and answers once, imports and all."""
    code = (
        "import sys, numpy as np; from savor.index import open_index; index = open_index(sys.argv[1]);"
        " index.nearest('recipes', np.eye(1, index.manifest['dim'], dtype=np.float32)[0], 10)"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return time.perf_counter() - start


def measure(
    index: Any, queries: Array, where: Filter, answers: Sequence[set[str]]
) -> tuple[Array, float, float]:
    """Return milliseconds of each query, those of all processors on average, and recall@K.

    What a filter lets pass is looked up before.
    """
    index.nearest("recipes", queries[0], K, where)
    times, found, before = [], [], time.process_time()
    for query in queries:
        start = time.perf_counter()
        found.append({match.recipe_id for match in index.nearest("recipes", query, K, where)})
        times.append(1000 * (time.perf_counter() - start))
    used = 1000 * (time.process_time() - before) / len(queries)
    recalls = [len(right & some) / max(1, len(right)) for right, some in zip(answers, found, strict=True)]
    return np.array(times), used, float(np.mean(recalls))


def main() -> None:
    """Build an index with each backend and search it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=516)
    parser.add_argument("--backends", nargs="+", default=["exact", "lance"], choices=backends.BACKENDS)
    options = parser.parse_args()
    settings = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE")}
    load = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{options.entries:,} x {options.dim}, {os.cpu_count()} cores, {settings}, {load}")
    rng = np.random.default_rng(0)
    vectors, queries = clustered(options.entries, options.dim, rng)
    records = list(recipes(options.entries, rng))
    facts = [facts_of(folder.recipe_from_json(record)) for record in records]
    masks = {name: np.array([where.passes(one) for one in facts]) for name, where in FILTERS.items()}
    answers = {name: truth(vectors, queries, mask) for name, mask in masks.items()}
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work:
        for backend in options.backends:
            path = write(Path(work), backend, records, vectors)
            index = open_index(path)
            for name, where in FILTERS.items():
                looked_up = milliseconds(index.count, "recipes", where)
                times, used, recall = measure(index, queries, where, answers[name])
                p50, p95 = np.percentile(times, [50, 95])
                ratio = used / first.setdefault(name, used)
                print(
                    f"  {name:20} {masks[name].mean():7.2%} pass  p50 {p50:5.1f} ms  p95 {p95:5.1f} ms"
                    f"  processors {used:5.1f} ms (x {ratio:.1f})  recall@{K} {recall:.4f}"
                    f"  filter looked up in {looked_up:.0f} ms",
                    flush=True,
                )
            texts = [f"{spelt(query)} {spelt(query * 37)}" for query in range(20)]
            times = [milliseconds(index.words, text, K) for text in texts]
            print(f"  two words: p50 {np.median(times):.1f} ms")


def write(work: Path, backend: backends.Backend, records: Sequence[dict[str, Any]], vectors: Array) -> Path:
    """Write an index and say how long it took and how large it is."""
    path, run = work / backend, work / "run"
    run.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        (run / name).write_text("{}")
    folder.begin(path, run)
    start = time.perf_counter()
    index = backends.create(path, backend, vectors.shape[1], **FACTS)
    index.add({"recipes": list(zip(records, vectors, strict=True)), "photos": []}, set(), data=[])
    written = time.perf_counter() - start
    index.close()
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
    opened = opening(path)
    print(f"\n{backend}: written in {written:.1f} s, {size:.0f} MB, first answer after {opened:.1f} s")
    return path


def milliseconds(ask: Callable[..., object], *question: Any) -> float:
    """Return how long a question takes."""
    start = time.perf_counter()
    ask(*question)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
