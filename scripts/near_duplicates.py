"""Pairs of recipes with nearly the same photo or the same title: where to draw the line.

    python scripts/near_duplicates.py RUN FEATURES [--split S ...] [--examples 3]

Printed by cosine: how many pairs there are, and the first titles, with the cosine of the other side and how
many ingredient lines the two share.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch

from savor.features import Features
from savor.runs import open_run

Array = np.ndarray[Any, np.dtype[Any]]
LIMITS = (1.01, 0.999, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.92, 0.9, 0.8, 0.7)
BLOCK = 1024


def near(vectors: Array, least: float) -> list[tuple[int, int]]:
    """Return all pairs of rows whose cosine is at least so much."""
    pairs: list[tuple[int, int]] = []
    for start in range(0, len(vectors), BLOCK):
        first, second = np.nonzero(vectors[start : start + BLOCK] @ vectors.T >= least)
        pairs += [
            (start + a, b) for a, b in zip(first.tolist(), second.tolist(), strict=True) if start + a < b
        ]
    return pairs


def main() -> None:
    """Print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("features")
    parser.add_argument("--split", action="append")
    parser.add_argument("--examples", type=int, default=3)
    arguments = parser.parse_args()
    run, features = open_run(arguments.run), Features.open(arguments.features)
    splits = arguments.split or ["train", "val"]
    rows = np.concatenate([features.rows(split, photo=True, text=True) for split in splits])
    with torch.inference_mode():
        sides = [np.asarray(side, np.float32) for side in run.method.embed(features, rows)]
    if run.method.hubs is not None:
        sides = [side[:, :-4] for side in sides]
    photos, texts = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    recipes = [features.recipe(int(row)) for row in rows]
    titles = defaultdict(list)
    for place, recipe in enumerate(recipes):
        titles[recipe.title.casefold()].append(place)
    same = [pair for title, places in titles.items() if title for pair in combinations(places, 2)]
    print(f"{features.fingerprint}, {', '.join(splits)}, {len(rows)} recipes, {arguments.run}")
    for name, pairs, own, other in (
        ("photos", near(photos, LIMITS[-1]), photos, texts),
        ("texts of the same title", same, texts, photos),
    ):
        scored = sorted(((float(own[a] @ own[b]), a, b) for a, b in pairs), reverse=True)
        for above, below in pairwise(LIMITS):
            some = [one for one in scored if below <= one[0] < above]
            equal = sum(recipes[a].title.casefold() == recipes[b].title.casefold() for _, a, b in some)
            print(f"{name} {below} to {above}: {len(some)} pairs, {equal} of the same title")
            for cosine, a, b in some[: arguments.examples]:
                lines = [set(recipes[place].lines("ingredients")) for place in (a, b)]
                shared = f"{len(lines[0] & lines[1])} of {len(lines[0])} and {len(lines[1])} lines shared"
                print(f"  {cosine:.4f}, other side {float(other[a] @ other[b]):.3f}, {shared}:", end=" ")
                print(f"{recipes[a].title[:50]} | {recipes[b].title[:50]}")


if __name__ == "__main__":
    main()
