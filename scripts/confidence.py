"""Fit and measure the confidence of `savor.confidence`.

    python scripts/confidence.py RUN FEATURES [--split S] [--data FOLDER ...] [--pictures FOLDER ...] [--fit]

Photos that belong: those of the split, and of each FOLDER of recipes, each asked without its own recipe and
photo. Photos that do not: the two pictures that scikit-learn carries, those inside the wheel of scikit-image
if it is installed (nothing is downloaded), and those of folders given as `--pictures`. Of both kinds one half
is fitted on and the other measured on, in ten random halvings; printed is the mean. Then how many of either
kind get which level by the constants of `savor.confidence`; `--fit` prints what these should be.

Also printed: whether the best score tells photos whose recipe is in the index from such whose recipe is not
(both are dishes), and how well the likelihood of the first hit is calibrated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image

from savor import open_dataset
from savor.answers import Level
from savor.confidence import OFFSET, SLOPE, Calibration, calibrated, confidence, nearest_mean
from savor.features import Features
from savor.index.embedding import Embedder
from savor.runs import Run, open_run
from savor.search import as_picture

Array = np.ndarray[Any, np.dtype[Any]]
NO_DISHES = ("coffee.png",)  # pictures of the packages that may well be called food: left out
SUFFIXES = (".png", ".jpg")
HALVINGS = 10


class Pairs:
    """Photos and recipes of one collection, as an index has them."""

    def __init__(self, photos: Array, recipes: Array, hubs: bool) -> None:
        self.photos, self.recipes, self.hubs = photos, recipes, hubs

    def bare(self, rows: Array) -> Array:
        """Return unit embeddings without the correction for hubs."""
        rows = rows[..., :-4] if self.hubs else rows
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))

    def some(self, rows: Array) -> Pairs:
        """Return the pairs of some rows."""
        return Pairs(self.photos[rows], self.recipes[rows], self.hubs)

    def calibration(self) -> Calibration:
        """Return what an index of these would know."""
        return calibrated(self.photos, self.recipes, np.arange(len(self.photos)), self.bare)

    def own_z(self) -> Array:
        """Return how well each photo fits in without its own recipe and photo."""
        known = self.calibration()
        to_recipes, to_photos = known.photos @ known.recipes.T, known.photos @ known.photos.T
        np.fill_diagonal(to_recipes, -1)
        np.fill_diagonal(to_photos, -1)
        each = known.to_photos.z(to_photos), known.to_recipes.z(to_recipes)
        return np.asarray(np.logaddexp(2 * each[0], 2 * each[1]) / 2)


def of_features(run: Run, features: Features, split: str) -> Pairs:
    """Embed the pairs of a split."""
    with torch.inference_mode():
        photos, recipes = run.method.embed(features, features.rows(split, photo=True, text=True))
    return Pairs(np.asarray(photos), np.asarray(recipes), run.method.hubs is not None)


def of_data(run: Run, embedder: Embedder, folder: str, most: int = 300) -> Pairs:
    """Embed the first pairs of a data set."""
    pairs = [pair for pair in open_dataset(folder).pairs() if pair.photos and pair.recipe.lines("title")][
        :most
    ]
    photos = [embedder.photos([as_picture(pair.photos[0])]) for pair in pairs]
    recipes = embedder.recipes([pair.recipe for pair in pairs])
    return Pairs(np.concatenate(photos), recipes, run.method.hubs is not None)


def pictures(more: list[str]) -> Iterator[Path]:
    """Yield the pictures of other things."""
    packages = {"sklearn": "datasets/images", "skimage": "data"}
    found = {name: spec for name in packages if (spec := find_spec(name)) and spec.origin}
    folders = [Path(str(spec.origin)).parent / packages[name] for name, spec in found.items()]
    for folder in [*folders, *map(Path, more)]:
        for file in sorted(folder.iterdir()):
            if file.suffix in SUFFIXES and file.name not in NO_DISHES:
                yield file


def auc(good: Array, bad: Array) -> float:
    """Return how often a good one lies above a bad one."""
    return float((good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2)


def fitted(good: Array, bad: Array) -> tuple[float, float]:
    """Return slope and offset of a logistic regression in which both kinds weigh the same."""
    from sklearn.linear_model import LogisticRegression

    z = np.concatenate([good, bad])[:, None]
    kinds = np.repeat([1, 0], [len(good), len(bad)])
    model = LogisticRegression(C=100, class_weight="balanced").fit(z, kinds)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def calibration_error(chances: Array, truth: Array, weights: Array, bins: int = 5) -> float:
    """Return the expected calibration error over bins of equal weight."""
    order = np.argsort(chances)
    places = np.minimum((np.cumsum(weights[order]) / weights.sum() * bins).astype(int), bins - 1)
    gaps = [
        weights[order][places == k].sum()
        * abs(
            np.average(
                chances[order][places == k] - truth[order][places == k], weights=weights[order][places == k]
            )
        )
        for k in range(bins)
        if (places == k).any()
    ]
    return float(sum(gaps) / weights.sum())


def measured(good: Array, bad: Array) -> dict[str, float]:
    """Return AUC, Brier score and calibration error in ten halvings; both kinds weigh the same."""
    rng, rows = np.random.default_rng(0), []
    for _ in range(HALVINGS):
        halves = [np.array_split(rng.permutation(values), 2) for values in (good, bad)]
        slope, offset = fitted(halves[0][0], halves[1][0])
        held = [half[1] for half in halves]
        chances = 1 / (1 + np.exp(-(slope * np.concatenate(held) + offset)))
        truth = np.repeat([1.0, 0.0], [len(held[0]), len(held[1])])
        weights = np.repeat([0.5 / len(held[0]), 0.5 / len(held[1])], [len(held[0]), len(held[1])])
        brier = float((weights * (chances - truth) ** 2).sum())
        rows.append((auc(*held), brier, calibration_error(chances, truth, weights)))
    return dict(zip(("AUC", "Brier", "ECE"), np.mean(rows, 0).tolist(), strict=True))


def levels(z: Array) -> dict[str, float]:
    """Return how many get which level."""
    found = [confidence(float(1 / (1 + np.exp(-(SLOPE * one + OFFSET))))).level for one in z]
    return {level: found.count(level) / len(found) for level in get_args(Level)}


def with_or_without(pairs: Pairs) -> dict[str, float]:
    """Return whether the best score tells photos whose recipe is there from those whose recipe is not."""
    scores = pairs.photos @ pairs.recipes.T
    there = scores.max(1)
    np.fill_diagonal(scores, -9)
    return {"AUC": auc(there, scores.max(1))}


def first_hit(pairs: Pairs) -> dict[str, float]:
    """Return how well the likelihood of the first hit fits, the sharpness being that of the other half."""
    halves = np.array_split(np.random.default_rng(0).permutation(len(pairs.photos)), 2)
    chances, truth = [], []
    for known, asked in (halves, halves[::-1]):
        calibration, others = pairs.some(known).calibration(), pairs.some(asked)
        for row, scores in enumerate(others.photos @ others.recipes.T):
            best = np.argsort(-scores, kind="stable")[:20]
            chances.append(calibration.shares(scores[best].tolist())[0])
            truth.append(float(best[0] == row))
    got, right = np.array(chances), np.array(truth)
    return {
        "right": float(right.mean()),
        "AUC": auc(got[right == 1], got[right == 0]),
        "Brier": float(((got - right) ** 2).mean()),
        "ECE": calibration_error(got, right, np.ones(len(got))),
    }


def line(name: str, figures: Mapping[str, float]) -> str:
    """Return a row of the output."""
    return f"{name:52}" + "  ".join(f"{key} {value:.3f}" for key, value in figures.items())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("features")
    parser.add_argument("--split", default="val")
    parser.add_argument("--data", action="append", default=[])
    parser.add_argument("--pictures", action="append", default=[])
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    run, features = open_run(arguments.run), Features.open(arguments.features)
    embedder = Embedder(run)
    files = list(pictures(arguments.pictures))
    others = np.concatenate([embedder.photos([Image.open(file).convert("RGB")]) for file in files])
    real = of_features(run, features, arguments.split)
    print(f"{features.fingerprint}, {arguments.split}, {len(real.photos)} pairs, {arguments.run}")
    print(f"other pictures: {len(files)}")
    collections = {arguments.split: real, **{path: of_data(run, embedder, path) for path in arguments.data}}
    for name, pairs in collections.items():
        bad = pairs.calibration().z(pairs.bare(others))
        print(line(f"{name}: own photos, or other pictures", measured(pairs.own_z(), bad)))
        print(line(f"{name}: levels of own photos", levels(pairs.own_z())))
        print(line(f"{name}: levels of other pictures", levels(bad)))
        if pairs is not real:
            asked = pairs.calibration().z(pairs.bare(real.photos))
            print(line(f"{name}: real photos, or other pictures", measured(asked, bad)))
            print(line(f"{name}: levels of real photos", levels(asked)))
        print(line(f"{name}: the own recipe is there, or not", with_or_without(pairs)))
        print(line(f"{name}: the first hit is it", first_hit(pairs)))
    if arguments.fit:
        slope, offset = fitted(real.own_z(), real.calibration().z(real.bare(others)))
        known = real.some(np.arange(min(256, len(real.photos)))).calibration()
        bare = real.bare(real.photos) @ real.bare(real.recipes).T
        np.fill_diagonal(bare, -1)
        means = nearest_mean(bare)
        print(f"SLOPE, OFFSET = {slope:.2f}, {offset:.2f}")
        print(f"STARTER = Likeness({means.mean():.3f}, {means.std():.3f}); sharpness {known.sharpness:.0f}")


if __name__ == "__main__":
    main()
