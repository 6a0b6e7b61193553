"""Cross Decoder: what pictures are drawn from, what of the photo is hidden, and a margin that grows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import FeaturesError, OptionError
from savor.features import Dims, Features
from savor.methods.cross_decoder import CrossDecoder
from savor.methods.tnlbt import TNLBT
from savor.training import TrainingOptions, train

SMALL = {"dim": 12, "width": 16, "inner": 24, "hidden": 32, "dropout": 0.0}
GAMES = {"picture_size": 8, "picture_width": 8, "picture_batch": 8, "pictures": 12, "ingredients": 10}
OPTIONS = TrainingOptions(epochs=2, batch_size=20, learning_rate=3e-3)


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


def make(dims: Dims | None = None, kind=CrossDecoder, **options) -> CrossDecoder:
    torch.manual_seed(0)
    return kind.build(dims or Dims(12, 16, 5), {**SMALL, **GAMES, **options})


def inputs(n: int = 4) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    present = torch.ones(n, 3, dtype=torch.bool)
    present[0, 1:] = False
    return torch.randn(n, 12), torch.randn(n, 3, 16), present, torch.randn(n, 9, 12)


@torch.no_grad()
def test_a_dropped_photo_leaves_the_recipe() -> None:
    recipe, parts, present, patches = inputs()
    assert torch.equal(make(photo_drop=1.0).fused(recipe, parts, present, patches), recipe)
    method = make(photo_drop=0.0, patch_drop=0.0)
    found = method.fused(recipe, parts, present, patches)
    assert (found != recipe).any(1).all()
    assert torch.allclose(method.fused(recipe, parts, present, patches.flip(1)), found, atol=1e-5)
    parts[0, 1:] = 77.0  # parts that the recipe lacks
    assert torch.equal(method.fused(recipe, parts, present, patches)[0], found[0])


@torch.no_grad()
def test_what_is_hidden_is_not_read() -> None:
    recipe, parts, present, patches = inputs(50)
    method = make(photo_drop=0.5, patch_drop=0.5)
    torch.manual_seed(2)
    found = method.fused(recipe, parts, present, patches)
    torch.manual_seed(2)
    seen, shown = torch.rand(50, 9) >= 0.5, torch.rand(50, 1) >= 0.5
    assert torch.equal((found != recipe).any(1), shown[:, 0])
    torch.manual_seed(2)
    dirty = torch.where(seen[..., None], patches, 77.0)
    kept = seen.any(1)  # where all are hidden, a softmax still needs one
    assert torch.allclose(method.fused(recipe, parts, present, dirty)[kept], found[kept], atol=1e-5)


def test_the_ablations_are_settings() -> None:
    tnlbt = make(kind=TNLBT)
    both_off = make(decoder_layers=0, margin_schedule="fixed")
    assert {name: value.shape for name, value in both_off.state_dict().items()} == {
        name: value.shape for name, value in tnlbt.state_dict().items()
    }
    margin_only = make(decoder_layers=0)
    assert set(margin_only.state_dict()) - set(tnlbt.state_dict()) == {"margin.value"}
    assert make(margin_schedule="fixed").decoder is not None
    assert make(picture_size=0).decoder is None


def test_it_learns_with_a_growing_margin_and_retrieves_without_patches(features: Features) -> None:
    method = make(features.dims, adversarial_from=1)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    log = train(method, features, options=OPTIONS, val_split=None)
    assert [entry["margin"] for entry in log] == [0.05, 0.08]
    assert method.state_dict()["margin.value"].item() == pytest.approx(0.08)
    after = method.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed >= {"fuse.weight", "memory.weight", "decoder.layers.0.forward_layer.0.weight"}
    assert "patches" not in method.uses
    batch = features.batch(np.arange(3), ("lines", "word_ids"), raw=method.raw)
    assert method.generate(batch).shape == (3, 3, 8, 8)
    alone = replace(batch, ids=("", "", ""))  # recipes that nobody trained on
    assert torch.equal(method.generate(alone), method.generate(batch))


def test_the_margin_grows_as_published() -> None:
    method = make(faithful=True, words="learned")
    method.start_epoch(3, 100)
    assert method.margin.now == pytest.approx(0.06)


def test_features_without_patches_are_named(write_features, tmp_path: Path) -> None:
    parts = {part: [np.ones((1, 16))] * 4 for part in ("title", "ingredients", "instructions")}
    features = Features.open(write_features(tmp_path / "features", [np.ones((1, 12))] * 4, parts))
    with pytest.raises(FeaturesError, match="patches"):
        make(features.dims).look_at(features, np.arange(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photo_drop": 1.5}, "photo_drop=1.5: is a share, from 0 to 1"),
        ({"patch_drop": 1.0}, "patch_drop=1.0: is a share"),
        ({"decoder_layers": -1}, "decoder_layers=-1: must be at least 0"),
        ({"decoder_heads": 3}, "width=16: must be a multiple of decoder_heads=3"),
        ({"margin_step": -1.0}, "margin_step=-1.0: must be at least 0"),
        ({"margin_schedule": "steep"}, "margin_schedule='steep'"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**options)
