"""ACME: its wiring, published and repaired, its players, and a training that draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from savor.errors import FeaturesError, OptionError
from savor.features import Dims, Features
from savor.losses import batch_hard, triplet
from savor.methods.acme import ACME
from savor.training import TrainingOptions, train

SMALL = {"dim": 8, "hidden": 16, "picture_size": 8, "picture_width": 8, "picture_batch": 16, "ingredients": 4}
OPTIONS = TrainingOptions(epochs=2, batch_size=32)


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


def build(features: Features, **options) -> ACME:
    torch.manual_seed(0)
    return ACME.build(features.dims, {**SMALL, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "hard"}, "mining='hard': choose one of soft, batch_hard, mean"),
        ({"picture_size": 30}, "picture_size=30: must be 8, 16"),
        ({"picture_size": -1}, "picture_size=-1"),
        ({"picture_width": 4}, "picture_width=4"),
        ({"translation_weight": -1.0}, "translation_weight=-1.0"),
        ({"adversarial_from": 0}, "adversarial_from=0"),
        ({"generator_rate": 0.0}, "generator_rate=0.0: must be above 0"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ACME.build(Dims(8, 4), options)


def test_the_mining_is_soft_and_as_published_the_hardest() -> None:
    image, recipe = torch.nn.functional.normalize(torch.randn(2, 5, 3), dim=-1)
    method = ACME.build(Dims(8, 4), SMALL)
    assert torch.equal(method.pair_loss(image, recipe, None), triplet(image, recipe, 0.3, "soft", 0.05))
    method = ACME.build(Dims(8, 4), {**SMALL, "faithful": True})
    assert torch.equal(method.pair_loss(image, recipe, None), batch_hard(image, recipe, 0.3))
    method = ACME.build(Dims(8, 4), {**SMALL, "faithful": True, "mining": "mean"})
    assert torch.equal(method.pair_loss(image, recipe, None), triplet(image, recipe, 0.3, "mean"))


def test_the_players_share_out_the_weights(features: Features) -> None:
    method = build(features)
    players = method.players()
    assert list(players) == ["towers", "aligner", "generator", "critic"]
    named = {id(one): name.split(".")[0] for name, one in method.named_parameters()}
    towers = {named[id(one)] for one in players["towers"]}
    assert towers == {"image_tower", "recipe_tower", "missing", "shared"}
    assert list(build(features, picture_size=0).players()) == ["towers", "aligner"]


def test_the_published_shared_layer_keeps_its_first_weights(features: Features) -> None:
    method = build(features, faithful=True)
    before = {name: value.clone() for name, value in method.named_parameters()}
    train(method, features, options=TrainingOptions(epochs=3, batch_size=16), val_split=None)
    moved = {name.split(".")[0] for name, value in method.named_parameters() if (value != before[name]).any()}
    assert moved == {"image_tower", "recipe_tower", "alignment", "translation"}
    assert method.translation.to_ingredients is None
    assert method.translation.balanced
    assert method.translation.reconstruction == 0
    assert method.translation.pull == 0.002


def test_training_draws_logs_and_goes_on_to_the_bit(features: Features, tmp_path: Path) -> None:
    def stop(entry: dict) -> None:
        raise KeyboardInterrupt

    whole, resumed = build(features), build(features)
    log = train(whole, features, options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(build(features), features, options=OPTIONS, folder=tmp_path, on_epoch=stop)
    train(resumed, features, options=OPTIONS, folder=tmp_path)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())
    assert set(log[-1]["loss"]) == {"towers", "aligner", "generator", "critic"}
    curves = {"modality_gap", "told_apart", "taken_for_real", "picture_error", "picture_variety"}
    assert curves <= set(log[-1])
    assert 0 < log[-1]["picture_variety"] < 5
    written = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["picture_error"] for entry in written] == [entry["picture_error"] for entry in log]
    shown = [np.asarray(Image.open(file)) for file in sorted((tmp_path / "samples").iterdir())]
    assert [one.shape[2] for one in shown] == [3, 3]
    assert not np.array_equal(*shown)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"picture_error", "picture_variety", "loss/critic"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["samples"]


def test_a_trained_method_embeds_without_photos(features: Features, monkeypatch) -> None:
    method = build(features)
    train(method, features, options=TrainingOptions(epochs=1, batch_size=32))
    monkeypatch.setattr(Features, "photos", None)
    image, recipe = method.embed(features, features.rows("val", photo=True, text=True))
    assert np.isfinite(image).all()
    assert np.isfinite(recipe).all()


def test_the_towers_feel_the_games_by_their_weights(features: Features) -> None:
    rows, gradients = features.rows("train", photo=True, text=True)[:12], []
    for weight in (0.0, 0.5):
        method = build(features, alignment_weight=weight, translation_weight=weight, adversarial_from=1)
        method.look_at(features, rows)
        torch.manual_seed(1)
        for _, loss in method.losses(features.batch(rows, method.uses)):
            method.zero_grad()
            loss.backward()
        gradients.append(method.recipe_tower[-1].weight.grad)
    assert not torch.allclose(*gradients, rtol=1e-3)


def test_training_without_the_photos_says_what_is_missing(pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    with pytest.raises(FeaturesError, match="the photos themselves are needed"):
        train(build(features), features, options=OPTIONS)
