"""Model 2: what the repaired decoder learns and what the faithful one cannot."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.methods.patch_decoder import PatchDecoder

SMALL = {
    "dim": 8,
    "hidden": 16,
    "width": 16,
    "heads": 2,
    "decoder_width": 8,
    "decoder_heads": 2,
    "word_width": 0,
}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def started(features: Features, **options: object) -> PatchDecoder:
    torch.manual_seed(0)
    method = PatchDecoder.build(features.dims, {**SMALL, **options})
    method.prepare(features, features.rows("train", photo=True, text=True))
    return method.eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_width": 10, "decoder_heads": 4}, "decoder_width=10: must be a multiple"),
        ({"negatives": 0}, "negatives=0: must be at least 1"),
        ({"anchors": 0}, "anchors=0: must be at least 1"),
        ({"decoder_layers": 0}, "decoder_layers=0: must be at least 1"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PatchDecoder.build(Dims(8, 4), options)


@torch.no_grad()
def test_before_training_the_decoder_orders_as_the_first_stage_does(features: Features) -> None:
    method = started(features)
    batch = features.batch(features.rows("test"), method.uses)
    cosines = method.embed_image(batch) @ method.embed_recipe(batch).T
    assert torch.allclose(method.score(batch, batch), cosines / method.temperature, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("faithful", [False, True])
def test_attention_lies_on_the_words(faithful: bool, features: Features) -> None:
    method = started(features, faithful=faithful)
    batch = features.batch(features.rows("test", photo=True, complete=True), method.uses)
    weights = method.cross_attention(batch)
    assert weights.shape == (len(batch), 4, batch.words.shape[1])
    assert torch.allclose(weights.sum(2), torch.ones(weights.shape[:2]), atol=1e-5)
    assert (weights.transpose(1, 2)[~batch.words_mask] == 0).all()


@torch.no_grad()
def test_the_faithful_score_is_a_cosine_with_the_mean_of_the_words(features: Features) -> None:
    method = started(features, faithful=True)
    batch = features.batch(features.rows("test", photo=True, complete=True)[:3], method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    scores = method.pair_scores(images, recipes)
    for k in range(3):
        words = batch.words[k][batch.words_mask[k]]
        decoded = method.decoder(
            images.states[k : k + 1], method.memory(words)[None], torch.ones(1, len(words), dtype=torch.bool)
        )
        answer = method.head(decoded.mean(1))[0]
        assert torch.allclose(scores[k], torch.cosine_similarity(answer, words.mean(0), dim=0), atol=1e-5)


def test_the_loss_of_the_decoder_is_listwise_over_drawn_negatives(features: Features) -> None:
    method = started(features, anchors=5, negatives=3)
    batch = features.batch(features.rows("test", photo=True, complete=True), method.uses)
    ((player, loss),) = method.losses(batch)
    assert player == "towers"
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    towers = method.pair_loss(images.vectors, recipes.vectors, batch)
    # A decoder of zeros leaves each list of the own item and three others undecided, both directions.
    assert loss.item() == pytest.approx(towers.item() + method.pair_weight * 2 * math.log(4), abs=1e-5)
    loss.backward()
    assert method.head.weight.grad.abs().max() > 0


@torch.no_grad()
def test_masked_words_are_not_looked_at(features: Features) -> None:
    method = started(features)
    torch.nn.init.normal_(method.head.weight)
    batch = features.batch(features.rows("test", photo=True, complete=True), method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    other = replace(recipes, states=torch.where(recipes.mask[..., None], recipes.states, 5.0))
    assert torch.allclose(method.pair_scores(images, recipes), method.pair_scores(images, other), atol=1e-5)


def test_the_margin_of_the_towers_follows_its_schedule(features: Features) -> None:
    method = started(features, margin=0.3, margin_schedule="linear", margin_start=0.1, margin_step=0.05)
    method.start_epoch(2, 9)
    assert method.logged()["margin"] == pytest.approx(0.15)
    assert "margin.value" in method.state_dict()


def test_nothing_learns_from_the_pairs_kept_back_but_the_weights(features: Features) -> None:
    method = started(features, calibration=0.1)
    rows = features.rows("train", photo=True, text=True)
    method.look_at(features, rows)
    seen = np.concatenate(method.batches(features, rows, np.random.default_rng(0), 4))
    assert len(method.balance.held_out) == 30
    assert sorted([*seen, *method.balance.held_out]) == rows.tolist()
    torch.nn.init.normal_(method.head.weight)
    method.train()
    method.end_epoch(features, rows)
    assert method.training
    assert method.balance.weights.tolist() != [1 / method.temperature, 1.0]
    assert {"a", "b"} < set(method.logged())


@torch.no_grad()
def test_a_score_weighs_the_corrected_cosine_and_the_decoder(features: Features) -> None:
    method = started(features, hubs=8)
    method.end_epoch(features, features.rows("train", photo=True, text=True))
    torch.nn.init.normal_(method.head.weight)
    method.balance.weights.copy_(torch.tensor([3.0, 0.5]))
    batch = features.batch(features.rows("test", photo=True, complete=True)[:6], method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    cosines = 3 * (images.vectors * recipes.vectors).sum(1)  # a corrected row's products are a third
    expected = 3 * cosines + 0.5 * method.matching(images, recipes)
    assert torch.allclose(method.pair_scores(images, recipes), expected, atol=1e-5)
    faithful = started(features, faithful=True)
    faithful.look_at(features, features.rows("train", photo=True, text=True))
    assert not len(faithful.balance.held_out)
