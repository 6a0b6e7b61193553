"""How much do methods gain from more recipes? `python scripts/training_size.py FEATURES [--method NAME ...]`.

Trains each method with its defaults on random shares of the training pairs, the same for all methods, and on
the pairs whose recipes have all three parts; the last epoch's weights rank the validation split in one pool.
`--set` sets options of one of them: `hierarchical_transformer:words=learned`. The test split is never read.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np
import torch

from savor.cli.options import parse_settings, split_settings
from savor.features import Features
from savor.methods import find
from savor.training import retrieval_scores, train_rows

DEFAULT = ("triplet_mlp", "joint_embedding", "adamine", "hierarchical_transformer")
ALONE = {"triplet_mlp": ["members=1", "hubs=0"]}


def main() -> None:
    """Print one line for each method and share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--method", action="append", metavar="NAME")
    parser.add_argument("--set", action="append", default=[], metavar="METHOD:KEY=VALUE")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    features = Features.open(arguments.features)
    settings: dict[str, list[str]] = defaultdict(list, {name: list(of) for name, of in ALONE.items()})
    for one in arguments.set:
        name, setting = one.split(":", 1)
        settings[name].append(setting)
    every = np.random.default_rng(arguments.seed).permutation(features.rows("train", photo=True, text=True))
    complete = features.rows("train", photo=True, text=True, complete=True)
    subsets = {f"{share:.0%} of the pairs": every[: round(share * len(every))] for share in arguments.shares}
    subsets["complete recipes"] = complete
    val = features.rows("val", photo=True, text=True)
    print(
        f"torch {torch.__version__}, {features.fingerprint}, seed {arguments.seed}, val, pool of {len(val)}"
    )
    for name in arguments.method or DEFAULT:
        method = find(name)
        options, training = split_settings(method, parse_settings(settings[name]))
        assert training is not None
        for label, rows in subsets.items():
            torch.manual_seed(arguments.seed)
            built, start = method.build(features.dims, options), time.perf_counter()
            train_rows(built, features, np.sort(rows), training, arguments.seed)
            scores = retrieval_scores(*built.embed(features, val))
            figures = "   ".join(
                f"MRR {scores[way]['MRR']:.3f} R@10 {100 * scores[way]['R@10']:.1f}"
                for way in ("image_to_recipe", "recipe_to_image")
            )
            seconds = time.perf_counter() - start
            print(f"{name:26} {label:20} {len(rows):6}   {figures}   {seconds:4.0f} s", flush=True)


if __name__ == "__main__":
    main()
