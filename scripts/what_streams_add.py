"""What patches and words add to the means that Model 1's perceptrons read.

    python scripts/what_streams_add.py FEATURES RUN [--split val]

RUN is one of `two_stream` with perceptrons. Printed for both directions: retrieval as it is; with every
patch, or every word of a part, replaced by their mean; without the streams; and of the streams alone, where
they stand beside the perceptrons, or with one of them left out, where they are added.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from savor.batch import Batch
from savor.features import Features
from savor.layers import masked_mean, unit
from savor.methods.two_stream import TwoStream
from savor.recipe import PARTS
from savor.runs import open_run
from savor.training import retrieval_scores

Embed = Callable[[Batch], torch.Tensor]


def mean_patches(batch: Batch) -> Batch:
    """Put the mean of a photo's patches in place of each."""
    return replace(batch, patches=batch.patches.mean(1, keepdim=True).expand_as(batch.patches))


def mean_words(batch: Batch) -> Batch:
    """Put the mean of a part's words in place of each."""
    words = batch.words.clone()
    for number in range(len(PARTS)):
        inside = batch.words_mask & (batch.words_spans[..., 0] == number)
        words = torch.where(inside[..., None], masked_mean(batch.words, inside)[:, None], words)
    return replace(batch, words=words)


def alone_of(method: TwoStream) -> Callable[[Embed], Embed]:
    """Return what makes an embedding that of the streams, the last member."""

    def alone(embed: Embed) -> Embed:
        return lambda batch: unit(embed(batch).chunk(method.members, 1)[-1])

    return alone


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("features")
    parser.add_argument("run")
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args()
    features, method = Features.open(arguments.features), open_run(arguments.run).method
    assert isinstance(method, TwoStream)
    assert method.whole is not None, f"{arguments.run} has no perceptrons"
    rows = features.rows(arguments.split, photo=True, text=True)
    photo, recipe, whole = method.embed_image, method.embed_recipe, method.whole
    sides: dict[str, tuple[Embed, Embed]] = {
        "as it is": (photo, recipe),
        "all patches their mean": (lambda batch: photo(mean_patches(batch)), recipe),
        "all words their part's mean": (photo, lambda batch: recipe(mean_words(batch))),
        "perceptrons alone": (whole.embed_image, whole.embed_recipe),
    }
    if method.added:
        sides["patches left out"] = (whole.embed_image, recipe)
        sides["words left out"] = (photo, whole.embed_recipe)
    else:
        alone = alone_of(method)
        sides["streams alone"] = alone(photo), alone(recipe)
        sides["streams alone, all patches their mean"] = (
            alone(sides["all patches their mean"][0]),
            alone(recipe),
        )
        sides["streams alone, all words their part's mean"] = (
            alone(photo),
            alone(sides["all words their part's mean"][1]),
        )
    print(f"{features.fingerprint}, {arguments.split}, pool of {len(rows)}, {arguments.run}")
    with torch.inference_mode():
        batches = [
            features.batch(some, method.uses, words=method.words, raw=method.raw)
            for some in np.array_split(rows, -(-len(rows) // 256))
        ]
        for name, functions in sides.items():
            image, text = (
                torch.cat([function(batch) for batch in batches]).numpy() for function in functions
            )
            scores = retrieval_scores(image, text)
            figures = " | ".join(
                f"MRR {one['MRR']:.3f} R@1 {one['R@1']:.3f} R@10 {one['R@10']:.3f}" for one in scores.values()
            )
            print(f"{name:42} {figures}")


if __name__ == "__main__":
    main()
