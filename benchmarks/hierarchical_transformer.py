"""Time a training step of H-T as published: `python benchmarks/hierarchical_transformer.py [FEATURES]`.

Compared with a plain PyTorch transcription of the paper in fp32: 20 lines of 15 word ids a part, padded,
through `nn.TransformerEncoder` with masks, lines then joined likewise, one AdamW step a batch. Both take the
same batches from memory: 128 pairs, then 256 recipes without photos; pairs are counted. Savor's side is
`HierarchicalTransformer(faithful=True)` in the given precision. Rounds are interleaved and the ratios taken
within a round. Then where Savor's time goes, from PyTorch's profiler.

Without FEATURES the texts are made of random words, with lengths like those of Recipe1M: some nine
ingredients of five words, ten steps of twelve, titles of five; photos are random vectors, as of ResNet-50.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import permutations
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from savor.batch import Batch
from savor.features import Dims, Features
from savor.hardware import cpu_multiplies_bf16
from savor.layers import SequenceEncoder
from savor.losses import triplet_mean_all
from savor.methods.hierarchical_transformer import LENGTH, LINES, HierarchicalTransformer
from savor.recipe import PARTS, Recipe
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary

PAIRS, ALONE, WORDS, PHOTO = 128, 256, 16303, 2048
TARGET = 1.5


class PlainEncoder(nn.Module):
    """A padded transformer encoder and the mean of its unmasked states, as the paper has it."""

    def __init__(self, width: int, heads: int, layers: int, inner: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, inner, 0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.places = nn.Embedding(50, width)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Encode sequences, `(n, t, width), (n, t) -> (n, width)`."""
        values = values + self.places.weight[: values.shape[1]]
        open_first = mask.clone()
        open_first[:, 0] = True  # a softmax over nothing is not a number
        states = self.encoder(values, src_key_padding_mask=~open_first)
        weights = open_first[..., None].float()
        return (states * weights).sum(1) / weights.sum(1)


class Plain(nn.Module):
    """H-T written down as in the paper, of padded ids `(b, lines, words)` a part; 0 is padding."""

    def __init__(
        self, image: int, words: int, dim: int, width: int, heads: int, layers: int, inner: int
    ) -> None:
        super().__init__()
        encoder = partial(PlainEncoder, width, heads, layers, inner)
        self.embedding = nn.Embedding(words, width, padding_idx=0)
        self.lines = nn.ModuleDict({part: encoder() for part in PARTS})
        self.parts = nn.ModuleDict({part: encoder() for part in PARTS[1:]})
        self.image_head = nn.Sequential(nn.Linear(image, dim), nn.Tanh())
        self.recipe_head = nn.Sequential(nn.Linear(3 * width, dim), nn.Tanh())
        self.projections = nn.ModuleDict(
            {f"{b}_{a}": nn.Linear(width, width) for a, b in permutations(PARTS, 2)}
        )

    def part(self, name: str, ids: Tensor) -> Tensor:
        """Encode one part, `(b, lines, words) -> (b, width)`."""
        count, lines, _ = ids.shape
        flat = ids.flatten(0, 1)
        vectors = self.lines[name](self.embedding(flat), flat > 0).view(count, lines, -1)
        return vectors[:, 0] if name == "title" else self.parts[name](vectors, (ids > 0).any(2))

    def loss(self, image: Tensor | None, ids: dict[str, Tensor]) -> Tensor:
        """Return the loss of a batch, with photos or without."""
        found = {part: self.part(part, ids[part]) for part in PARTS}
        unit = nn.functional.normalize
        own = [
            triplet_mean_all(unit(found[a]), unit(self.projections[f"{b}_{a}"](found[b])), 0.3)
            for a, b in permutations(PARTS, 2)
        ]
        total = torch.stack(own).mean()
        if image is not None:
            recipe = self.recipe_head(torch.cat([found[part] for part in PARTS], 1))
            total = total + triplet_mean_all(unit(self.image_head(image)), unit(recipe), 0.3)
        return total


Step = tuple[Batch, Batch]  # pairs, then recipes without photos


def generated(count: int, rng: np.random.Generator) -> list[Recipe]:
    """Make recipes of random words, frequent ones more often, with lengths like those of Recipe1M."""

    def lines(typical: float, words: float) -> tuple[str, ...]:
        lengths = 1 + rng.poisson(rng.gamma(4, words / 4, max(1, rng.poisson(rng.gamma(5, typical / 5)))))
        # Zipf's law, as in any text; what is beyond the vocabulary is unknown.
        return tuple(" ".join(f"w{n}" for n in rng.zipf(1.2, length).tolist()) for length in lengths)

    return [Recipe(str(k), lines(0, 4)[0], lines(9, 4), lines(10, 11)) for k in range(count)]


def batches(recipes: Sequence[Recipe], image: Tensor, method: HierarchicalTransformer) -> list[Step]:
    """Divide recipes into steps, the first of each with photos."""
    assert method.raw is not None
    found = []
    size = PAIRS + ALONE
    for start in range(0, len(recipes) - size + 1, size):
        some = recipes[start : start + size]
        pairs, alone = (
            Batch(tuple(recipe.id for recipe in part), **method.raw.recipes(part))
            for part in (some[:PAIRS], some[PAIRS:])
        )
        found.append((replace(pairs, image=image[start : start + PAIRS]), alone))
    return found


def padded(batch: Batch) -> dict[str, Tensor]:
    """Return the ids of a batch as the paper has them, `(b, lines, 15)` with 0 for padding."""
    found = {}
    for part in PARTS:
        ids = getattr(batch, f"{part}_ids")
        ids = ids[:, None] if part == "title" else ids
        lines = 1 if part == "title" else LINES
        grown = nn.functional.pad(ids, (0, LENGTH - ids.shape[2], 0, lines - ids.shape[1]), value=-1)
        found[part] = grown.clamp(min=0)
    return found


def plain_losses(model: Plain, steps: Sequence[Step]) -> Iterator[Callable[[], Tensor]]:
    """Yield what computes each loss of the transcription; the padded ids are made before the clock starts."""
    inputs = (
        [(pairs.image, padded(pairs)) for pairs, _ in steps],
        [(None, padded(alone)) for _, alone in steps],
    )
    for pair, alone in zip(*inputs, strict=True):
        yield partial(model.loss, *pair)
        yield partial(model.loss, *alone)


def train_plain(model: Plain, steps: Sequence[Step]) -> float:
    """Train the transcription on some steps; return seconds."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0)
    losses = list(plain_losses(model.train(), steps))
    start = time.perf_counter()
    for loss in losses:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    return time.perf_counter() - start


def train_savor(method: HierarchicalTransformer, steps: Sequence[Step], precision: str) -> float:
    """Train Savor's method on some steps as `savor.training` does; return seconds."""
    fast = precision == "bf16" or (precision == "auto" and cpu_multiplies_bf16())
    optimiser = torch.optim.AdamW(method.parameters(), lr=1e-4, weight_decay=0)
    method.train()
    start = time.perf_counter()
    for pairs, alone in steps:
        with mock.patch.object(method, "_draw", lambda count, alone=alone: alone):
            losses = method.losses(pairs)
            while True:
                with torch.autocast("cpu", torch.bfloat16, fast):
                    _, loss = next(losses, (None, None))
                if loss is None:
                    break
                optimiser.zero_grad()
                loss.backward()
                with record_function("savor: optimiser"):
                    optimiser.step()
    return time.perf_counter() - start


def named(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return a function that does as `call` does, under a name in the profile."""

    def recorded(*arguments: Any, **options: Any) -> Any:
        with record_function(name):
            return call(*arguments, **options)

    return recorded


def shares(method: HierarchicalTransformer, steps: Sequence[Step], precision: str) -> dict[str, float]:
    """Return the share of the time of each stage: forward by name, backward and optimiser as a whole."""
    tower = method.recipe_tower
    encoders = {f"words of {part}": tower.lines[part] for part in PARTS}
    encoders |= {f"lines of {part}": tower.parts[part] for part in PARTS[1:]}
    with ExitStack() as stack:
        for name, encoder in encoders.items():
            assert isinstance(encoder, SequenceEncoder)
            stack.enter_context(
                mock.patch.object(encoder, "forward", named(encoder.forward, f"savor: {name}, forward"))
            )
        for name in ("pair_loss", "recipe_loss"):
            stack.enter_context(
                mock.patch.object(method, name, named(getattr(method, name), f"savor: {name}, forward"))
            )
        stack.enter_context(
            mock.patch.object(Tensor, "backward", named(Tensor.backward, "savor: backward of all"))
        )
        recorded = stack.enter_context(profile(activities=[ProfilerActivity.CPU]))
        seconds = train_savor(method, steps, precision)
    events = {event.key: event.cpu_time_total / 1e6 for event in recorded.key_averages()}
    kept = ("aten::embedding_dense_backward", "aten::_foreach_addcdiv_")
    return {
        key.removeprefix("savor: "): value / seconds
        for key, value in sorted(events.items(), key=lambda item: -item[1])
        if key.startswith("savor: ") or key in kept
    }


def load(path: Path | None, sizes: dict[str, int], steps: int) -> tuple[HierarchicalTransformer, list[Step]]:
    """Make the method and its batches, of features or of generated recipes."""
    count = steps * (PAIRS + ALONE)
    if path is None:
        rng = np.random.default_rng(0)
        method = HierarchicalTransformer.build(Dims(PHOTO, 4), {"faithful": True, **sizes})
        assert method.recipe_tower.embedding is not None
        words = (*SPECIAL, *(f"w{n}" for n in range(1, WORDS - len(SPECIAL))), UNKNOWN)
        method.recipe_tower.embedding.learn(Vocabulary(words))
        recipes, image = generated(count, rng), torch.randn(count, PHOTO)
    else:
        features = Features.open(path)
        method = HierarchicalTransformer.build(features.dims, {"faithful": True, **sizes})
        rows = features.rows("train", photo=True, complete=True)
        method.prepare(features, rows)
        recipes = [features.recipe(int(row)) for row in rows[:count]]
        image = features.batch(rows[:count], ("image",)).image
        assert image is not None
    return method, batches(recipes, image, method)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what the figures depend on, pairs per second, the ratio, and where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=3, help="of a round; each is one with photos, one without"
    )
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    given = parser.parse_args(arguments)
    sizes = {"width": given.width, "layers": 2, "inner": 4 * given.width}
    method, steps = load(given.features, sizes, given.steps)
    table = method.recipe_tower.embedding
    assert table is not None
    shown = steps[0][0]
    filled = [float((padded(shown)[part] > 0).float().mean()) for part in PARTS]
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.precision}")
    print(f"{len(steps)} steps a round of {PAIRS} pairs and {ALONE} recipes, {len(table.vocabulary):,} words")
    print(
        "not padding: " + ", ".join(f"{part} {share:.0%}" for part, share in zip(PARTS, filled, strict=True))
    )
    plain = Plain(method.dims.image, len(table.vocabulary), 1024, given.width, 4, 2, sizes["inner"])
    pairs = len(steps) * PAIRS
    speeds: dict[str, list[float]] = {"plain": [], "savor": []}
    for number in range(given.rounds + 1):
        found = pairs / train_plain(plain, steps), pairs / train_savor(method, steps, given.precision)
        if number:  # the first warms up
            for name, speed in zip(speeds, found, strict=True):
                speeds[name].append(speed)
    ratios = [savor / plain for savor, plain in zip(speeds["savor"], speeds["plain"], strict=True)]
    for name, found_speeds in speeds.items():
        print(f"{name:6} {statistics.median(found_speeds):6.1f} pairs/s")
    print(
        f"ratio  {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), target {TARGET}\n"
    )
    for name, share in shares(method, steps[:1], given.precision).items():
        print(f"{share:6.1%} {name}")


if __name__ == "__main__":
    main()
