"""Image-text matching: what the module learns from, and how its logit joins the cosine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.methods.image_text_matching import ImageTextMatching

SMALL = {"dim": 8, "hidden": 16, "width": 8, "heads": 2}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def started(features: Features, **options: object) -> ImageTextMatching:
    torch.manual_seed(0)
    method = ImageTextMatching.build(features.dims, {**SMALL, **options})
    rows = features.rows("train", photo=True, text=True)
    method.look_at(features, rows)
    method.prepare(features, rows)
    return method.eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10, "heads": 4}, "width=10: must be a multiple of heads=4"),
        ({"anchors": 0}, "anchors=0: must be at least 1"),
        ({"recipe_layers": 0}, "recipe_layers=0: must be at least 1"),
        ({"calibration": 1.0}, "calibration=1.0: is a share"),
        ({"pair_weight": -1.0}, "pair_weight=-1.0: must be at least 0"),
        ({"mining": "best"}, "mining='best'"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ImageTextMatching.build(Dims(8, 4), options)


@torch.no_grad()
def test_a_score_is_the_cosine_and_the_logit_weighed(features: Features) -> None:
    method = started(features)
    method.balance.weights.copy_(torch.tensor([3.0, 0.5]))
    batch = features.batch(features.rows("test")[:6], method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    cosines = (method.embed_image(batch) * method.embed_recipe(batch)).sum(1)
    expected = 3 * cosines + 0.5 * method.matching(images, recipes)
    assert torch.allclose(method.pair_scores(images, recipes), expected, atol=1e-5)
    assert method.matching(images, recipes).std() > 0


@torch.no_grad()
def test_unused_at_test_as_published(features: Features) -> None:
    method = started(features, at_test=False)
    batch = features.batch(features.rows("test")[:6], method.uses)
    assert (method.reranks, len(method.balance.held_out), method.logged()) == (0, 0, {})
    cosines = method.embed_image(batch) @ method.embed_recipe(batch).T
    assert torch.allclose(method.score(batch, batch), cosines)


@torch.no_grad()
def test_padding_is_not_looked_at(features: Features) -> None:
    method = started(features)
    batch = features.batch(features.rows("test")[:9], method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    assert not recipes.mask.all()
    dirty = replace(recipes, states=torch.where(recipes.mask[..., None], recipes.states, 9.0))
    assert torch.allclose(method.matching(images, dirty), method.matching(images, recipes), atol=1e-5)
    for k in range(9):
        lines = recipes.states[k][recipes.mask[k]][None]
        alone = replace(recipes.rows(torch.tensor([k])), states=lines, mask=torch.ones(1, lines.shape[1]) > 0)
        expected = method.matching(images, recipes)[k]
        assert torch.allclose(method.matching(images.rows(torch.tensor([k])), alone)[0], expected, atol=1e-5)


def test_the_loss_is_that_of_a_pair_and_its_only_two_negatives(features: Features) -> None:
    method = started(features)
    batch = features.batch(features.rows("test", photo=True, text=True)[:2], method.uses)
    images, recipes = method.encode_images(batch), method.encode_recipes(batch)
    own, other = torch.tensor([0, 1]), torch.tensor([1, 0])
    matched = method.matching(images, recipes)
    wrong = method.matching(images.rows(own), recipes.rows(other))  # of two pairs, both kinds of negatives
    expected = -(logsigmoid(matched).sum() + 2 * logsigmoid(-wrong).sum()) / 6
    assert torch.allclose(method.matching_loss(images, recipes), expected, atol=1e-6)
    ((player, loss),) = method.losses(batch)
    pair = method.pair_loss(images.vectors, recipes.vectors, batch)
    assert player == "towers"
    assert torch.allclose(loss, pair + expected, atol=1e-6)


def test_the_module_teaches_the_towers(features: Features) -> None:
    method = started(features)
    batch = features.batch(features.rows("test", photo=True, text=True)[:8], method.uses)
    method.matching_loss(method.encode_images(batch), method.encode_recipes(batch)).backward()
    for tower in (method.image_tower, method.recipe_tower):
        assert tower[-1].weight.grad.abs().max() > 0


def test_nothing_learns_from_the_pairs_kept_back(features: Features) -> None:
    method = started(features, calibration=0.1)
    rows = features.rows("train", photo=True, text=True)
    seen = np.concatenate(method.batches(features, rows, np.random.default_rng(0), 4))
    assert len(method.balance.held_out) == 30
    assert not set(seen.tolist()) & set(method.balance.held_out.tolist())
    assert len(seen) == len(rows) - 30


def test_an_epoch_ends_with_weights_of_the_pairs_kept_back(features: Features) -> None:
    method = started(features, calibration=0.1)
    rows = features.rows("train", photo=True, text=True)
    before = method.balance.weights.clone()
    method.train()
    method.end_epoch(features, rows)
    assert method.training
    assert not torch.equal(method.balance.weights, before)
    assert method.logged() == {
        name: round(v, 6) for name, v in zip("ab", method.balance.weights.tolist(), strict=True)
    }
    assert "balance.weights" in method.state_dict()
    fixed = started(features, calibration=0.0)
    fixed.end_epoch(features, rows)
    assert torch.equal(fixed.balance.weights, before)
