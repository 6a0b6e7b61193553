"""Deep CCA against cca-zoo's on the same features: `python benchmarks/deep_cca.py FEATURES [--seeds 3]`.

cca-zoo's `DCCA` is a Lightning module, which its package offers only where Lightning is installed. Its loss
(`cca_zoo.deep.objectives.CCALoss`) needs torch alone, so it runs in our loop, with what `DCCA` adds to it:
Adam at 1e-3 without weight decay and, as its documentation says, linear CCA of cca-zoo's on the outputs for
the training split afterwards, compared by cosine. It runs twice: `cca-zoo` with its default `reg_covar` of
1e-6 and no ridge in the linear CCA, and `ridged`, with ridges about as large as ours in both places, which
tells how much of the difference is regularisation alone. Both have the number of outputs that did best for
them on the validation split, 32 and 64 (of 32, 64 and 256), where ours has 256. All else is the same for all
three: hidden layers and linear start, batches, largest number of epochs, stopping by retrieval. `--set` sets
options of the method for all. Prints retrieval on the validation split, by which each run's epoch and our
defaults were chosen, ours from more trials than cca-zoo's; the test split is never read.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from cca_zoo import __version__
from cca_zoo.deep.objectives import CCALoss
from cca_zoo.linear import RidgeCCA

from savor.features import Features
from savor.methods.deep_cca import DeepCCA
from savor.training import TrainingOptions, selection_score, train

DIRECTIONS = {"image_to_recipe": "i2r", "recipe_to_image": "r2i"}
METRICS = ("medR", "MRR", "R@1", "R@10")


class Zoo(DeepCCA):
    """Our networks under cca-zoo's loss and its linear CCA, both with cca-zoo's defaults."""

    label, dim, reg_covar, shrinkage = "cca-zoo", 32, 1e-6, 0.0

    def losses(self, batch):  # noqa: ANN001, ANN201
        """Yield minus the sum of the squared correlations, in the networks' float32."""
        yield "towers", CCALoss(self.reg_covar)([self.image_output(batch), self.recipe_output(batch)])

    @torch.no_grad()
    def end_epoch(self, features, rows) -> None:  # noqa: ANN001
        """Fit cca-zoo's linear CCA (without shrinkage; else canonical ridge) to all training outputs."""
        sides = [torch.cat(side).double().numpy() for side in zip(*self.outputs(features, rows), strict=True)]
        layers = self.image_linear, self.recipe_linear
        model = RidgeCCA(n_components=layers[0].out_features, shrinkage=self.shrinkage).fit(sides)
        for layer, side, weights in zip(layers, sides, model.weights_, strict=True):
            layer.weight.copy_(torch.from_numpy(weights.T))
            layer.bias.copy_(torch.from_numpy(-side.mean(0) @ weights))


class RidgedZoo(Zoo):
    """As `Zoo`, with a ridge of 1 in the loss and of 2 = c / (1 - c) in the linear CCA."""

    label, dim, reg_covar, shrinkage = "ridged", 64, 1.0, 2 / 3


def run(
    kind: type[DeepCCA], features: Features, options: TrainingOptions, settings: dict[str, Any], seed: int
) -> dict[str, dict[str, float]]:
    """Train once, print the best validation scores and return them."""
    torch.manual_seed(seed)
    method, start = kind.build(features.dims, settings), time.perf_counter()
    log = train(method, features, options=options, seed=seed)
    best = max(log, key=lambda entry: entry["selection"])
    figures = "   ".join(
        f"{short} " + " ".join(f"{name} {best['val'][direction][name]:6.3f}" for name in METRICS)
        for direction, short in DIRECTIONS.items()
    )
    name = getattr(kind, "label", "savor")
    seconds = time.perf_counter() - start
    print(
        f"{name:8} seed {seed}   {figures}   epoch {best['epoch']:2} of {len(log):2}, {seconds:4.0f} s",
        flush=True,
    )
    return best["val"]


def main() -> None:
    """Print what the figures depend on, the retrieval of both, and the ratios over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    features = Features.open(arguments.features)
    settings = {key: ast.literal_eval(value) for key, value in (one.split("=", 1) for one in arguments.set)}
    ours = DeepCCA.trains_with
    theirs = replace(ours, learning_rate=1e-3, weight_decay=0.0)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, cca-zoo {__version__}")
    print(f"{features.fingerprint}\n{ours}\n{settings or 'defaults'}\n")
    ratios: dict[str, list[list[float]]] = {Zoo.label: [], RidgedZoo.label: []}
    for seed in range(arguments.seeds):
        a = run(DeepCCA, features, ours, settings, seed)
        for kind in (Zoo, RidgedZoo):
            b = run(kind, features, theirs, {"dim": kind.dim, **settings}, seed)
            directions = [a[direction]["MRR"] / b[direction]["MRR"] for direction in DIRECTIONS]
            ratios[kind.label].append([*directions, selection_score(a) / selection_score(b)])
    for label, rows in ratios.items():
        for name, values in zip((*DIRECTIONS.values(), "both"), zip(*rows, strict=True), strict=True):
            print(f"\nMRR savor / {label:7}, {name:4} {statistics.mean(values):.3f}", end="")
            print(f"   (from {min(values):.3f} to {max(values):.3f})", end="")
    print("\ntarget: at least 1")


if __name__ == "__main__":
    main()
