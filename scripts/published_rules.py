"""The same embeddings under published evaluation rules and under Savor's own, as Markdown tables.

    python scripts/published_rules.py EMBEDDINGS.npz [--pool 1000] [--same 2]

EMBEDDINGS.npz is what `savor embed` writes. `--same N` gives each N pairs that follow one another by id the
vectors of the first of them, photo and recipe alike, to show what ties do; 0 gives all pairs the same.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from savor.errors import ProtocolError
from savor.evaluation import DIRECTIONS, Protocol, evaluate
from savor.published_rules import RULES, Scores, published_scores

METRICS = ("medR", "R@1", "R@5", "R@10")


def made_equal(vectors: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Give each `count` rows the vector of the first of them; 0: all rows."""
    rows = np.arange(len(vectors))
    return vectors[rows // count * count if count else rows * 0]


def line(name: str, scores: Scores) -> str:
    """Lay out one rule."""
    figures = [
        f"{scores[direction][metric] * (1 if metric == 'medR' else 100):.1f}"
        for direction in DIRECTIONS
        for metric in METRICS
    ]
    return f"| {name} | " + " | ".join(figures) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("embeddings")
    parser.add_argument("--pool", type=int, default=1000, help="pairs in a pool")
    parser.add_argument("--same", type=int, default=1, help="pairs that share vectors; 0 = all")
    arguments = parser.parse_args()
    with np.load(arguments.embeddings, allow_pickle=False) as stored:
        ids = stored["ids"]
        order = np.argsort(ids)
        sides = [made_equal(stored[side][order], arguments.same) for side in ("image", "recipe")]
    ours = Protocol("sampled", arguments.pool, 10)
    print(f"{len(ids):,} pairs, pools of {arguments.pool:,}\n")
    print("| rule | i2r " + " | ".join(METRICS) + " | r2i " + " | ".join(METRICS) + " |")
    print("|---" + "|---:" * 8 + "|")
    for tie_rule in ("mean", "optimistic", "pessimistic"):
        report = evaluate(*sides, ids=ids[order], protocol=ours, tie_rule=tie_rule, bootstrap=1)
        scores = {direction: dict(report.results[direction].values) for direction in DIRECTIONS}
        print(line(f"Savor, `{tie_rule}`", scores))
    for rule in RULES:
        try:
            print(line(rule, published_scores(*sides, rule, arguments.pool)))
        except ProtocolError as error:
            print(f"| {rule} |" + " – |" * 8)
            print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
