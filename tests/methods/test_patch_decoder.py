"""Model 2: what the repaired decoder learns and what the faithful one cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import listwise
from savor.methods.patch_decoder import PatchDecoder

SMALL = {"dim": 8, "width": 16, "heads": 2, "decoder_width": 8, "decoder_heads": 2}


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
    assert torch.allclose(method.score(batch, batch), cosines * method.scale, atol=1e-4)


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
    # With a decoder of zeros the lists hold scaled cosines; bounds over all negatives enclose any draw.
    scores = method.scale * images.vectors @ recipes.vectors.T
    own = scores.diagonal()[:, None]
    every = torch.cat([own, scores.masked_fill(torch.eye(len(scores), dtype=torch.bool), -1e4)], 1)
    assert towers < loss < towers + method.pair_weight * 4 * listwise(every).clamp(min=1)
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
    assert method.logged() == {"margin": pytest.approx(0.15)}
    assert "margin.value" in method.state_dict()
