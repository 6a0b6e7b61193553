"""Runs the measures of `savor.grounding` on a trained method: where the truth is known, and on real data.

Where a data set comes with `regions.jsonl` (the toy kitchen), each ingredient's map is held against its mask.
On any data the pixels and the words that a correspondence names are removed and the pair is scored again,
and the weights of single words tell photos of recipes that list an ingredient from those that do not.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from savor import grounding, reranking, training
from savor.batch import gather
from savor.encoders.base import ImageStates, TextStates
from savor.errors import DataError, MethodError, PhotoError, UsageError
from savor.extraction import columns, encode_photos, encode_recipes
from savor.grounding import SHARES, Grounding, Measure, Row
from savor.layers import WordEmbedding
from savor.recipe import PARTS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from savor.batch import Batch
    from savor.datasets import Dataset
    from savor.explain import Correspondence, Word
    from savor.index.embedding import Embedder
    from savor.metrics import Floats
    from savor.recipe import Pair, Recipe
    from savor.runs import Run

REGIONS = "regions.jsonl"
RANDOM_ORDERS = 3
_CHUNK = 64  # photos or words embedded at a time
# A vocabulary's ingredients: how many at most, in how many training and how many held-out recipes at least.
_INGREDIENTS, _IN_TRAINING, _IN_SPLIT = 100, 20, 8


@dataclass(frozen=True)
class Sample:
    """A held-out pair; `regions` has the mask of each visible ingredient by its line, None if not known."""

    recipe: Recipe
    image: Image.Image
    regions: Mapping[int, NDArray[np.bool_]] | None = None


@dataclass(frozen=True)
class Words:
    """Ingredients asked for by themselves, and which of the photos' recipes list them `(photos, words)`."""

    names: tuple[str, ...]
    present: NDArray[np.bool_]


class HeldOut:
    """What a split offers to measure on: photos whose recipes are complete, drawn once for all runs.

    Args:
        dataset: where the photos and recipes are.
        split: the held-out split.
        photos: how many pairs at most are explained, drawn at random in the order of the ids.
        seed: of the draw.
    """

    def __init__(self, dataset: Dataset, split: str, *, photos: int = 100, seed: int = 0) -> None:
        self.dataset, self.split = dataset, split
        self.pairs: list[Pair] = []
        splits = set()
        for pair in dataset.pairs(on_problem=lambda problem: None):
            if pair.photos and not pair.recipe.missing:
                splits.add(pair.split)
                self.pairs += [pair] * (pair.split == split)
        if not self.pairs:
            known = ", ".join(sorted(splits)) or "none at all"
            raise UsageError(
                f"{dataset.path}: no complete recipe with a photo in {split!r}; there are such in {known}"
            )
        self.pairs.sort(key=lambda pair: pair.recipe.id)
        drawn = random.Random(seed).sample(range(len(self.pairs)), min(photos, len(self.pairs)))
        self._drawn = [self.pairs[k] for k in sorted(drawn)]
        self._seed = seed

    def facts(self) -> dict[str, Any]:
        """Return what somebody needs to draw the same pairs again."""
        return {
            "data": self.dataset.fingerprint(),
            "split": self.split,
            "photos": len(self._drawn),
            "photos of the split": len(self.pairs),
            "draw": self._seed,
        }

    @cached_property
    def samples(self) -> list[Sample]:
        """The pairs drawn, their photos opened; those that cannot be read are left out.

        Raises:
            DataError: not one of them can be read.
        """
        masks = read_regions(self.dataset.path)
        opened = [(pair, image) for pair in self._drawn if (image := _open(pair)) is not None]
        if not opened:
            raise DataError(f"{self.dataset.path}: no photo of {self.split!r} can be read")
        return [
            Sample(pair.recipe, image, None if masks is None else masks.get(pair.photos[0].id, {}))
            for pair, image in opened
        ]

    @cached_property
    def words(self) -> Words:
        """Ingredients that are frequent in the training split and neither rare nor everywhere in this one."""
        from savor.explain import ingredients

        counts = Counter(
            name
            for pair in self.dataset.pairs(on_problem=lambda problem: None)
            if pair.split == "train"
            for name in set(ingredients(pair.recipe))
        )
        listed = [set(ingredients(pair.recipe)) for pair in self.pairs]
        frequent = [name for name, count in counts.most_common() if count >= _IN_TRAINING]
        held = {name: sum(name in one for one in listed) for name in frequent}
        kept = [name for name in frequent if _IN_SPLIT <= held[name] <= len(listed) - _IN_SPLIT]
        names = tuple(kept[:_INGREDIENTS])
        return Words(
            names, np.array([[name in one for name in names] for one in listed]).reshape(len(listed), -1)
        )

    def photos(self) -> Iterator[Image.Image]:
        """Yield the first photo of every pair of the split, in the order of `pairs`; blank if unreadable."""
        from PIL import Image

        for pair in self.pairs:
            yield _open(pair) or Image.new("RGB", (64, 64))


def _open(pair: Pair) -> Image.Image | None:
    from savor.photos import open_photo

    try:
        return open_photo(pair.photos[0])
    except PhotoError:
        return None


def read_regions(folder: Path) -> dict[str, dict[int, NDArray[np.bool_]]] | None:
    """Read the masks of a toy kitchen, photo id -> ingredient line -> mask; None where there is no truth.

    Raises:
        DataError: the file is damaged.
    """
    from savor.datasets.toy_kitchen import decode_rle

    file = folder / REGIONS
    if not file.is_file():
        return None
    found = {}
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                width, height = entry["size"]
                found[entry["photo"]] = {
                    int(one["line"]): decode_rle(one["rle"], (height, width))
                    for one in entry["regions"]
                    if one["line"] is not None
                }
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{file} line {number}: damaged ({error!r}); write the data again") from error
    return found


Progress = Callable[[str, int, int], None]


def measure(
    runs: Mapping[str, Run],
    held_out: HeldOut,
    *,
    ways: Sequence[str] = (),
    grid: tuple[int, int] = (5, 5),
    seed: int = 0,
    out: Path | None = None,
    on_progress: Progress = lambda row, done, total: None,
) -> Grounding:
    """Measure the correspondences of runs: a row a run and way.

    Where no way is asked for, those that a run's options rule out are passed over.

    Args:
        runs: name -> run.
        held_out: what to measure on.
        ways: which ways, of those that a run offers; all if left out.
        grid: rows and columns of the cells.
        seed: of the random orders, the untrained weights and the bootstrap.
        out: JSON file that every finished row is written to; those that it holds are not measured again.
        on_progress: called with the row's name, the pairs done and their number.

    Raises:
        UsageError: no run offers one of the ways, or `out` holds a report on other data or settings.
        ProtocolError: `out` is another file.
    """
    from savor import explain

    plan = {
        name: [way for way in explain.ways(run.method) if not ways or way in ways]
        for name, run in runs.items()
    }
    for way in ways:
        if not any(way in offered for offered in plan.values()):
            raise UsageError(f"way {way!r}: none of {', '.join(runs)} offers it; see docs/explain.md")
    facts = {**held_out.facts(), "grid": list(grid), "seed": seed}
    rows = _finished(out, facts)
    for name, run in runs.items():
        for way in plan[name]:
            if any((row.run, row.way, row.weights) == (name, way, run.fingerprint) for row in rows):
                continue
            rows = [row for row in rows if (row.run, row.way) != (name, way)]
            try:
                rows.append(_measure_way(name, run, way, held_out, grid, seed, on_progress))
            except MethodError:
                if ways:  # a way that the method has, but not with the options of this run
                    raise
            _write(out, Grounding(rows, facts))
    return Grounding(rows, facts)


def _finished(out: Path | None, facts: dict[str, Any]) -> list[Row]:
    if out is None or not out.exists():
        return []
    found = Grounding.load(out)
    for key, value in facts.items():
        if found.facts.get(key) != value:
            raise UsageError(
                f"{out}: holds a report with another {key} ({found.facts.get(key)}, now {value});"
                " name another file"
            )
    return list(found.rows)


def _write(out: Path | None, report: Grounding) -> None:
    if out is not None:
        text = json.dumps(report.to_json(), indent=1) + "\n"
        training.replace(out, lambda part: part.write_text(text, "utf-8"))


def _measure_way(
    name: str, run: Run, way: str, held_out: HeldOut, grid: tuple[int, int], seed: int, on_progress: Progress
) -> Row:
    from savor.index.embedding import Embedder

    trained, fresh = Embedder(run, grid), Embedder(untrained(run, seed), grid)
    own_encoders = "pixels" in run.method.uses
    memory = [] if own_encoders else _share_encoders(trained, fresh)
    results = []
    for done, sample in enumerate(held_out.samples):
        on_progress(f"{name}, {way}", done, len(held_out.samples))
        results.append(_measure_pair(trained, fresh, sample, way, np.random.default_rng([seed, done])))
        for one in memory:
            one.forget()
    measures = _collect(results, seed)
    # A run with encoders of its own has no features to take patches and word pieces from.
    if way == "similarity" and not own_encoders and held_out.words.names:
        measures["presence"] = presence(trained, fresh, held_out, seed=seed)
    return Row(name, way, measures, run.fingerprint)


def untrained(run: Run, seed: int = 0) -> Run:
    """Return the run with the weights that its method has before training, and the words that it has learned.

    A map that stays as good without what was learned explains the encoders, or the measure, not the method.
    Source: Adebayo et al., Sanity checks for saliency maps (NeurIPS 2018).
    """
    from savor.features import Dims
    from savor.methods import find

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        method = find(run.config["method"]).build(Dims(**run.config["dims"]), run.config["options"])
        own = dict(method.named_modules())
        for name, module in run.method.named_modules():
            fresh = own[name]
            if isinstance(module, WordEmbedding) and isinstance(fresh, WordEmbedding):
                fresh.learn(module.vocabulary)
    return replace(run, method=method.eval())


# For each measure, what the map and each baseline score on one pair.
Results = dict[str, dict[str, float]]
# Measures of which less is better.
_LOWER = ("cells deleted", "words deleted")


def _measure_pair(
    trained: Embedder, fresh: Embedder, sample: Sample, way: str, rng: np.random.Generator
) -> Results:
    from savor.explain import correspond

    found = correspond(trained, sample.image, sample.recipe, way)
    control = correspond(fresh, sample.image, sample.recipe, way)
    results = cell_curves(trained, sample, found, control, rng) | word_curves(
        trained, sample, found, control, rng
    )
    return results | localisation(sample, found, control, rng)


def _collect(results: Sequence[Results], seed: int) -> dict[str, Measure]:
    """Turn the figures of single pairs into measures with intervals over the pairs."""
    measures = {}
    for name in dict.fromkeys(name for one in results for name in one):
        pairs = [one[name] for one in results if name in one]
        baselines = list(dict.fromkeys(each for one in pairs for each in one if each != "map"))
        values = {each: [one.get(each, np.nan) for one in pairs] for each in ("map", *baselines)}
        own = values.pop("map")
        measures[name] = grounding.compare(
            own, values, unit="photos", lower_is_better=name in _LOWER, seed=seed
        )
    return measures


def localisation(
    sample: Sample, found: Correspondence, control: Correspondence, rng: np.random.Generator
) -> Results:
    """Hold each visible ingredient's map against its mask; means over the ingredients of the photo.

    Beside the map stand: chance (a constant map), the middle of the photo, the method's own saliency (one map
    for all words), the photo's colour contrast, the maps of the photo's other ingredients, the map with its
    cells shuffled, that of untrained weights, and the best that any map on this grid can do.
    """
    targets = []
    for line, mask in sorted((sample.regions or {}).items()):
        own, other = ingredient_map(found, line), ingredient_map(control, line)
        coverage = grounding.cell_means(mask, found.boxes)
        if own is not None and other is not None and coverage.sum() > 0:
            truth = {
                "pointing": grounding.centres_inside(mask, found.boxes),
                "overlap": coverage,
                "average precision": coverage,
            }
            targets.append((own, other, truth))
    colours = np.asarray(sample.image)
    same = {
        "chance": np.zeros(len(found.boxes)),
        "centre": grounding.centre_prior(found.boxes),
        "saliency": found.cell_weights,
        "contrast": grounding.contrast(colours, found.boxes),
    }
    sums: dict[str, dict[str, list[float]]] = {}
    for index, (own, other, truth) in enumerate(targets):
        maps = {"map": own, **same, "shuffled": rng.permutation(own), "untrained": other}
        rivals = [rival for k, (rival, _, _) in enumerate(targets) if k != index]
        for name, against in truth.items():
            score = grounding.average_precision if name == "average precision" else grounding.pointing
            scores = {each: score(weights, against) for each, weights in maps.items()}
            if rivals:
                scores["other word"] = float(np.mean([score(rival, against) for rival in rivals]))
            scores["best on this grid"] = score(against, against)
            for each, value in scores.items():
                sums.setdefault(name, {}).setdefault(each, []).append(value)
    return {
        name: {each: float(np.mean(values)) for each, values in one.items()} for name, one in sums.items()
    }


def ingredient_map(found: Correspondence, line: int) -> Floats | None:
    """Average the maps of an ingredient line's words, `(cells,)`; None where it has no word that counts.

    Words recognised as the ingredient stand for the line if there are such, else all its words.
    """
    inside = [k for k, word in enumerate(found.words) if word.part == "ingredients" and word.line == line]
    named = [k for k in inside if found.words[k].kind == "ingredient"]
    chosen = named or inside
    return found.weights[chosen].mean(0, dtype=np.float64) if chosen else None


def cell_curves(
    embedder: Embedder,
    sample: Sample,
    found: Correspondence,
    control: Correspondence,
    rng: np.random.Generator,
) -> Results:
    """Paint cells over in the order of their weight and score the pair again: areas under both curves.

    Deleted: the first cells of the order are filled with the photo's mean colour; inserted: all the others
    are. Random orders, the middle first, and the order of untrained weights are scored on the same pair.
    """
    cells = len(found.boxes)
    orders = {
        "map": [grounding.ranking(found.cell_weights, rng)],
        "random": [rng.permutation(cells) for _ in range(RANDOM_ORDERS)],
        "centre": [grounding.ranking(grounding.centre_prior(found.boxes), rng)],
        "untrained": [grounding.ranking(control.cell_weights, rng)],
    }
    counts = grounding.steps(cells)
    deleted = _sets(orders, lambda order: [order[:k] for k in counts])
    inserted = _sets(orders, lambda order: [order[k:] for k in counts])
    wanted = sorted({one for sets in (deleted, inserted) for one in _flat(sets)}, key=sorted)
    images = [painted(sample.image, found.boxes[sorted(one)]) for one in wanted]
    scores = dict(zip(wanted, score_pairs(embedder, images, [sample.recipe]), strict=True))
    return {"cells deleted": _areas(deleted, scores), "cells inserted": _areas(inserted, scores)}


def word_curves(
    embedder: Embedder,
    sample: Sample,
    found: Correspondence,
    control: Correspondence,
    rng: np.random.Generator,
) -> Results:
    """Take words out in the order of their weight and score the pair again: the area under the curve.

    Random orders, the order of reading (title first), and that of untrained weights are scored beside it.
    """
    words = len(found.words)
    if words < 2 or len(control.words) != words:
        return {}
    orders = {
        "map": [grounding.ranking(found.word_weights, rng)],
        "random": [rng.permutation(words) for _ in range(RANDOM_ORDERS)],
        "reading order": [np.array(_in_reading_order(found.words))],
        "untrained": [grounding.ranking(control.word_weights, rng)],
    }
    deleted = _sets(orders, lambda order: [order[:k] for k in grounding.steps(words)])
    wanted = sorted(set(_flat(deleted)), key=sorted)
    recipes = [without(sample.recipe, [found.words[k] for k in sorted(one)]) for one in wanted]
    scores = dict(zip(wanted, score_pairs(embedder, [sample.image], recipes), strict=True))
    return {"words deleted": _areas(deleted, scores)}


# For each order's name, the sets removed at each step of each of its orders.
_Sets = dict[str, list[list[frozenset[int]]]]


def _sets(orders: Mapping[str, Sequence[Any]], removed: Callable[[Any], Sequence[Any]]) -> _Sets:
    return {
        name: [[frozenset(one.tolist()) for one in removed(order)] for order in some]
        for name, some in orders.items()
    }


def _flat(sets: _Sets) -> Iterator[frozenset[int]]:
    return (one for curves in sets.values() for curve in curves for one in curve)


def _areas(sets: _Sets, scores: Mapping[frozenset[int], float]) -> dict[str, float]:
    return {
        name: float(
            np.mean([grounding.curve_area([scores[one] for one in curve], SHARES) for curve in curves])
        )
        for name, curves in sets.items()
    }


def _in_reading_order(words: Sequence[Word]) -> list[int]:
    return sorted(
        range(len(words)), key=lambda k: (PARTS.index(words[k].part), words[k].line, words[k].start)
    )


def painted(image: Image.Image, boxes: Floats) -> Image.Image:
    """Return the photo with some boxes (fractions) filled with its mean colour."""
    pixels = np.array(image)
    colour = np.round(pixels.mean((0, 1))).astype(np.uint8)
    height, width = pixels.shape[:2]
    edges = np.round(np.asarray(boxes).reshape(-1, 4) * (width, height, width, height)).astype(int).clip(0)
    for left, top, right, bottom in edges:
        pixels[top:bottom, left:right] = colour
    from PIL import Image

    return Image.fromarray(pixels)


def without(recipe: Recipe, words: Sequence[Word]) -> Recipe:
    """Return a recipe with some words taken out of its lines; the last of all leave an ellipsis behind."""
    lines = {part: list(recipe.lines(part)) for part in PARTS}
    for word in words:
        line = lines[word.part][word.line]
        lines[word.part][word.line] = line[: word.start] + " " * (word.end - word.start) + line[word.end :]
    kept = {
        part: tuple(line for line in some if any(letter.isalnum() for letter in line))
        for part, some in lines.items()
    }
    shorter = replace(
        recipe,
        title="".join(kept["title"]),
        ingredients=kept["ingredients"],
        instructions=kept["instructions"],
    )
    return replace(shorter, title="…") if shorter.missing == PARTS else shorter


def score_pairs(embedder: Embedder, images: Sequence[Image.Image], recipes: Sequence[Recipe]) -> Floats:
    """Score pairs, `(n,)`: as many photos as recipes, or one of either with all of the other."""
    photos, texts = embedder.encode_photos(images), embedder.encode_recipes(recipes)
    rows = np.arange(max(len(images), len(recipes)))
    first, second = rows % len(images), rows % len(recipes)
    if not embedder.run.method.reranks:
        return np.asarray((photos.vectors[first] * texts.vectors[second]).sum(1, dtype=np.float64))
    return reranking.score_pairs(embedder.run.method, photos, texts, first, second).astype(np.float64)


def presence(trained: Embedder, fresh: Embedder, held_out: HeldOut, *, seed: int = 0) -> Measure:
    """Tell which photos show an ingredient by the best cell's weight for its name alone: AUC per ingredient.

    The photos are all those of the split, the truth is whether the recipe lists the ingredient. Beside the
    best cell stand: the mean over the cells, the whole photo's cosine with the word, the same best cell for
    other ingredients' names, that of untrained weights, and chance.
    """
    words = held_out.words
    own, control = _word_scores(trained, held_out), _word_scores(fresh, held_out)

    def aucs(scores: Floats) -> Floats:
        return np.array(
            [grounding.presence_auc(*pair) for pair in zip(scores.T, words.present.T, strict=True)]
        )

    best = own["best cell"]
    others = [aucs(np.roll(best, shift, axis=1)) for shift in range(1, len(words.names))]
    baselines = {
        "chance": np.full(len(words.names), 0.5),
        "mean of cells": aucs(own["mean of cells"]),
        "whole photo": aucs(own["whole photo"]),
        "untrained": aucs(control["best cell"]),
    }
    if others:
        baselines["other word"] = np.mean(others, axis=0)
    return grounding.compare(aucs(best), baselines, unit="ingredients", seed=seed)


@torch.inference_mode()
def _word_scores(embedder: Embedder, held_out: HeldOut) -> dict[str, Floats]:
    """Score every photo of a split for every word: `(photos, words)` for each way to read them."""
    from savor.recipe import Recipe

    method = embedder.run.method
    names = [Recipe(name, title=name) for name in held_out.words.names]
    batch = _batch(encode_recipes(names, embedder.text_encoder, tokens=True), ("lines", "tokens"), len(names))
    batch = embedder.with_word_ids(batch, names)
    assert batch.words_mask is not None
    pieces = method.embed_words(batch) * batch.words_mask[..., None]
    words = torch.nn.functional.normalize(pieces.sum(1), dim=-1)
    whole_words = method.embed_recipe(batch)
    found: dict[str, list[Any]] = {"best cell": [], "mean of cells": [], "whole photo": []}
    for some in _chunks(held_out.photos(), _CHUNK):
        states = encode_photos([[image] for image in some], embedder.image_encoder, grid=embedder.grid)
        photos = _batch(states, ("image", "patches"), len(some), embedder.grid)
        weights = method.embed_patches(photos) @ words.T  # (b, p, words)
        found["best cell"].append(weights.amax(1).double().numpy())
        found["mean of cells"].append(weights.mean(1).double().numpy())
        found["whole photo"].append((method.embed_image(photos) @ whole_words.T).double().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _batch(
    fields: dict[str, Any], uses: Sequence[str], count: int, grid: tuple[int, int] | None = None
) -> Batch:
    return gather(columns(fields).__getitem__, [""] * count, np.arange(count), uses, grid=grid)


def _chunks(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    from itertools import islice

    while some := list(islice(items, size)):
        yield some


class _Remembered:
    """An encoder that encodes nothing twice until told to forget; all but `encode` is the encoder's own.

    The variants of one pair share most of their lines and many of their pictures.
    """

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._known: dict[Any, tuple[Any, ...]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def forget(self) -> None:
        """Free the memory; what comes next has little in common with what was encoded."""
        self._known.clear()

    def _look_up(
        self, keys: Sequence[Any], items: Sequence[Any], encode: Callable[[list[Any]], Iterator[Any]]
    ) -> list[tuple[Any, ...]]:
        new = {key: item for key, item in zip(keys, items, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, encode(list(new.values())), strict=True))
        return [self._known[key] for key in keys]


class _RememberedPhotos(_Remembered):
    def encode(self, images: Sequence[Image.Image], *, patches: tuple[int, int] | None = None) -> ImageStates:
        if not images:
            return cast("ImageStates", self._encoder.encode(images, patches=patches))

        def encode(some: list[Image.Image]) -> Iterator[tuple[Any, Any]]:
            states = self._encoder.encode(some, patches=patches)
            return zip(states.pooled, [None] * len(some) if patches is None else states.patches, strict=True)

        keys = [(patches, image.size, blake2b(image.tobytes()).digest()) for image in images]
        pooled, regions = zip(*self._look_up(keys, images, encode), strict=True)
        stacked = torch.stack(pooled)
        return (
            ImageStates(stacked) if patches is None else ImageStates(stacked, torch.stack(regions), patches)
        )


class _RememberedLines(_Remembered):
    def encode(self, lines: Sequence[str], *, tokens: bool = False) -> TextStates:
        if not lines:
            return cast("TextStates", self._encoder.encode(lines, tokens=tokens))

        def encode(some: list[str]) -> Iterator[tuple[Any, Any, Any]]:
            states = self._encoder.encode(some, tokens=tokens)
            none = [None] * len(some)
            return zip(states.pooled, states.tokens or none, states.spans or none, strict=True)

        found = self._look_up([(tokens, line) for line in lines], lines, encode)
        pooled, states, spans = zip(*found, strict=True)
        stacked = torch.stack(pooled)
        return TextStates(stacked, list(states), list(spans)) if tokens else TextStates(stacked)


def _share_encoders(trained: Embedder, fresh: Embedder) -> list[_Remembered]:
    """Give both embedders the same encoders, with a memory for the variants of a pair."""
    photos, lines = _RememberedPhotos(trained.image_encoder), _RememberedLines(trained.text_encoder)
    for embedder in (trained, fresh):
        embedder.image_encoder, embedder.text_encoder = cast("Any", photos), cast("Any", lines)
    return [photos, lines]
