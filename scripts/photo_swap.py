"""Does a pair scorer look at the photo? `python scripts/photo_swap.py FEATURES RUN... [--split val]`.

Each photo ranks all recipes of the split by the pair score alone, no first stage before it. Then every query
gets the photo of another recipe instead of its own. Printed for each run, image to recipe:

- retrieval with the own photo and with the other one's; a scorer that looks at the photo falls to chance,
- the mean rank correlation (Spearman) between the lists of two different photos: 1 = the photo is ignored,
- the share of the scores' variance that is left when each recipe's and each photo's mean is taken out. The
  recipes' means are the same in every list: what sets one photo's list apart from another's is this share.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from savor import metrics
from savor.features import Features
from savor.reranking import PairScorer
from savor.runs import open_run


def correlation(scores: np.ndarray) -> float:
    """Return the mean rank correlation of different rows of `(n, m)`."""
    places = scores.argsort(axis=1).argsort(axis=1).astype(np.float64)
    places -= places.mean(axis=1, keepdims=True)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    n = len(places)
    return float(((places @ places.T).sum() - n) / (n * (n - 1)))


def pair_share(scores: np.ndarray) -> float:
    """Return the share of the variance of `(n, m)` that is neither the row's mean nor the column's."""
    left = scores - scores.mean(0) - scores.mean(1, keepdims=True) + scores.mean()
    return float(left.var() / scores.var())


def figures(scores: np.ndarray, truth: np.ndarray) -> str:
    """Format the retrieval of rows of scores whose own columns are `truth`."""
    ranks = metrics.ranks(scores, truth, "mean")
    return "   ".join(f"{name} {value:7.3f}" for name, value in metrics.summarise(ranks).items())


def main() -> None:
    """Print the figures of each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args()
    features = Features.open(arguments.features)
    rows = features.rows(arguments.split, photo=True, text=True)
    n = len(rows)
    print(f"torch {torch.__version__}, {features.fingerprint}, {arguments.split}, pool of {n}")
    for path in arguments.runs:
        scorer = PairScorer(open_run(path).method, features, rows)
        scores = scorer(*np.divmod(np.arange(n * n), n)).reshape(n, n).astype(np.float64)
        others = (np.arange(n) + np.random.default_rng(0).integers(1, n)) % n
        print(f"\n{path}")
        print(f"own photo        {figures(scores, np.arange(n))}")
        print(f"another's photo  {figures(scores[others], np.arange(n))}")
        print(f"rank correlation of two photos' lists {correlation(scores):.3f}")
        print(f"share of the scores' variance that is the pair's {pair_share(scores):.4f}")


if __name__ == "__main__":
    main()
