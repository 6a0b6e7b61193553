"""What words beside a photo are worth, and how much they should weigh.

    python scripts/photo_and_words.py RUN FEATURES [--split val]

Each photo asks for its recipe together with two words drawn from the recipe's ingredients. Printed for every
weight of the words: rows added as retrieval compares them (`savor.search.TEXT_WEIGHT`), and, for a method
that corrects for hubs, embeddings added first and the sum corrected as a photo.
"""

from __future__ import annotations

import argparse
import random
from typing import Any

import numpy as np
import torch

from savor import Recipe
from savor.features import Features
from savor.index.embedding import Embedder
from savor.reasons import terms_of_lines
from savor.runs import open_run

Array = np.ndarray[Any, np.dtype[Any]]
WEIGHTS = (0.0, 0.25, 0.5, 0.7, 1.0, 1.5, 2.0)


def figures(scores: Array, own: Array) -> str:
    """Return MRR and recalls of scores `(n, m)` whose right answers are `own (n,)`."""
    ranks = 1 + (scores > scores[np.arange(len(own)), own][:, None]).sum(1)
    return f"MRR {(1 / ranks).mean():.3f} R@1 {(ranks == 1).mean():.3f} R@10 {(ranks <= 10).mean():.3f}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("features")
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args()
    run, features, rng = open_run(arguments.run), Features.open(arguments.features), random.Random(0)
    rows = features.rows(arguments.split, photo=True, text=True)
    foods = [terms_of_lines(features.recipe(int(row)).lines("ingredients")) for row in rows]
    own = np.array([place for place, words in enumerate(foods) if len(words) > 1])
    words = Embedder(run).recipes([Recipe("", " and ".join(rng.sample(foods[place], 2))) for place in own])
    hubs = run.method.hubs
    with torch.inference_mode():
        photos, recipes = (np.asarray(side) for side in run.method.embed(features, rows))
        print(f"{features.fingerprint}, {arguments.split}, {len(own)} of {len(rows)} photos, {arguments.run}")
        print(f"{'words alone':32} {figures(words @ recipes.T, own)}")
        for weight in WEIGHTS:
            added = figures((photos[own] + weight * words) @ recipes.T, own)
            print(f"{f'rows, words times {weight}':32} {added}")
            if hubs is not None:
                plain = torch.from_numpy(photos[own] + weight * words)[:, :-4]
                corrected = hubs.photos(torch.nn.functional.normalize(plain)).numpy()
                print(f"{f'corrected after, words times {weight}':32} {figures(corrected @ recipes.T, own)}")


if __name__ == "__main__":
    main()
