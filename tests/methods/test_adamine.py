"""AdaMine: its four terms, the batches it draws, and the published towers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import MethodError, OptionError
from savor.features import Dims, Features
from savor.losses import lifted_structure, semantic_triplet, triplet
from savor.methods.adamine import (
    MISMATCHED,
    STRATEGIES,
    AdaMine,
    class_pairs,
    half_named,
    mismatched,
    side_by_side,
)
from savor.training import TrainingOptions, train, validation_scores

SMALL = {"dim": 8, "hidden": 16}
OFF = {"image_dropout": 0.0, "recipe_dropout": 0.0}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    opened = Features.open(pairs_features)
    # Every third recipe without a class, the others of seven classes.
    rows = np.arange(len(opened))
    opened.categories = np.where(rows % 3 == 0, 0, 1 + rows % 7)
    return opened


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "soft"}, "mining='soft': choose one of mean, .*, lifted, pairwise"),
        ({"semantic_weight": -0.1}, "semantic_weight=-0.1: must be at least 0"),
        ({"margin_schedule": "growing"}, "margin_schedule='growing'"),
        ({"image_dropout": 1.0}, "image_dropout=1.0"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        AdaMine.build(Dims(8, 4), options)


@pytest.mark.parametrize("mining", STRATEGIES[:-1])
def test_the_loss_is_the_mean_of_its_four_terms(mining: str, features: Features) -> None:
    options = {**SMALL, **OFF, "mining": mining, "margin": 0.4, "semantic_weight": 0.3}
    method = AdaMine.build(features.dims, options)
    batch = features.batch(features.rows("val"), method.uses)
    ((player, loss),) = method.losses(batch)
    assert player == "towers"
    image, recipe = method.embed_image(batch), method.embed_recipe(batch)
    if mining == "lifted":
        instances = lifted_structure(image, recipe, 0.4)
    else:
        instances = triplet(image, recipe, 0.4, mining)
    semantic = semantic_triplet(image, recipe, batch.category, 0.4, active=mining != "mean")
    assert semantic > 0
    assert torch.allclose(loss, (instances + 0.3 * semantic) / 4)


def test_the_adaptive_loss_by_hand() -> None:
    # Photos and recipes are the axes, so S is the identity: with margin 1.5 every violation is 0.5, those
    # of instances (own cosine 1). Semantic ones have a positive of cosine 0: 1.5 each.
    method = AdaMine.build(Dims(8, 4), {**SMALL, "margin": 1.5, "semantic_weight": 0.1})
    rows = torch.eye(4)
    batch = type("Batch", (), {"category": torch.tensor([1, 1, 2, 0])})
    assert float(method.pair_loss(rows, rows, batch)) == pytest.approx((0.5 + 0.5 + 0.1 * (1.5 + 1.5)) / 4)


def test_without_an_active_triplet_the_loss_is_0() -> None:
    method = AdaMine.build(Dims(8, 4), {**SMALL, "margin": 0.3, "semantic_weight": 0.0})
    rows = torch.eye(4).requires_grad_()
    loss = method.pair_loss(rows, torch.eye(4), type("Batch", (), {"category": torch.zeros(4).long()}))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not rows.grad.any()


def test_a_batch_without_classes_is_refused(features: Features) -> None:
    method = AdaMine.build(features.dims, SMALL)
    batch = features.batch(features.rows("val"), ("image", "lines"))
    with pytest.raises(MethodError, match="this batch holds no category"):
        next(method.losses(batch))


def test_mismatched_recipes_get_another_photo() -> None:
    rows = torch.arange(4000.0)[:, None]
    photos, recipes, matched = mismatched(rows, rows)
    assert torch.equal(matched, (photos == recipes)[:, 0])
    assert float((~matched).float().mean()) == pytest.approx(MISMATCHED, abs=0.03)
    assert mismatched(rows[:1], rows[:1])[2].all()


CATEGORIES = st.lists(st.integers(0, 3), min_size=2, max_size=40)


@given(CATEGORIES, st.integers(0, 10**6))
def test_class_pairs_are_all_there_are(categories: list[int], seed: int) -> None:
    rows, kinds = 10 + np.arange(len(categories)), np.array(categories)
    pairs, singles = class_pairs(rows, kinds, np.random.default_rng(seed))
    assert sorted([*pairs.ravel().tolist(), *singles.tolist()]) == rows.tolist()
    of = dict(zip(rows.tolist(), categories, strict=True))
    assert all(of[one] == of[two] > 0 for one, two in pairs.tolist())
    assert len(pairs) == sum(categories.count(kind) // 2 for kind in set(categories) - {0})


@given(CATEGORIES, st.integers(0, 10**6))
def test_side_by_side_is_an_order_that_keeps_the_pairs_together(categories: list[int], seed: int) -> None:
    rows, kinds = np.arange(len(categories)), np.array(categories)
    order = side_by_side(rows, kinds, np.random.default_rng(seed)).tolist()
    assert sorted(order) == rows.tolist()
    neighbours = {frozenset(pair) for pair in pairwise(order)}
    pairs, _ = class_pairs(rows, kinds, np.random.default_rng(seed))  # the same draw
    assert {frozenset(pair) for pair in pairs.tolist()} <= neighbours


def test_side_by_side_is_random() -> None:
    rows, kinds = np.arange(30), np.arange(30) % 4
    orders = {tuple(side_by_side(rows, kinds, np.random.default_rng(seed))) for seed in range(20)}
    assert len(orders) == 20
    first = [order[0] for order in orders]
    assert {kinds[row] for row in first} == {0, 1, 2, 3}


@given(CATEGORIES, st.integers(4, 12), st.integers(0, 10**6))
def test_half_of_a_faithful_batch_has_classes_in_pairs(categories: list[int], size: int, seed: int) -> None:
    rows, kinds = np.arange(len(categories)), np.array(categories)
    batches = half_named(rows, kinds, np.random.default_rng(seed), size, 100)
    seen = [row for batch in batches for row in batch.tolist()]
    assert len(seen) == len(set(seen))
    for batch in batches:
        assert len(batch) == size
        named = 2 * (size // 4)
        assert (kinds[batch[:named:2]] == kinds[batch[1:named:2]]).all()
        assert (kinds[batch[:named]] > 0).all()
        assert (kinds[batch[named:]] == 0).all()
    pairs = sum(categories.count(kind) // 2 for kind in set(categories) - {0})
    assert len(batches) == min(pairs // (size // 4), categories.count(0) // (size - 2 * (size // 4)))
    assert len(half_named(rows, kinds, np.random.default_rng(seed), size, 1)) == min(1, len(batches))


@pytest.mark.parametrize("faithful", [False, True])
def test_batches_of_the_training_rows(faithful: bool, features: Features) -> None:
    method = AdaMine.build(features.dims, {**SMALL, "faithful": faithful})
    rows = features.rows("train", photo=True, text=True)
    batches = method.batches(features, rows, np.random.default_rng(0), 6)
    seen = np.concatenate(batches).tolist()
    assert len(seen) == len(set(seen))
    assert set(seen) <= set(rows.tolist())
    if faithful:
        assert 1 <= len(batches) <= 6
        assert {len(batch) for batch in batches} == {len(rows) // 6}
    else:
        assert len(seen) == len(rows)
        assert [len(batch) for batch in batches] == [len(part) for part in np.array_split(rows, 6)]


@pytest.mark.parametrize("kinds", [np.zeros(444, int), np.ones(444, int)])
def test_without_a_class_or_with_nothing_else_batches_are_plain(kinds, pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    features.categories = kinds
    method = AdaMine.build(features.dims, {**SMALL, "faithful": True})
    rows = features.rows("train", photo=True, text=True)
    batches = method.batches(features, rows, np.random.default_rng(0), 6)
    assert sorted(np.concatenate(batches).tolist()) == sorted(rows.tolist())


@pytest.mark.parametrize("mining", STRATEGIES)
def test_it_learns_by_every_strategy(mining: str, features: Features) -> None:
    torch.manual_seed(0)
    method = AdaMine.build(features.dims, {"dim": 16, "hidden": 64, **OFF, "mining": mining})
    options = TrainingOptions(epochs=8, batch_size=50, learning_rate=3e-3)
    train(method, features, options=options, val_split=None)
    scores = validation_scores(method, features, features.rows("val", photo=True, text=True))["val"]
    assert scores["image_to_recipe"]["medR"] < 22  # 30 by chance
    assert scores["recipe_to_image"]["medR"] < 22


def test_the_published_towers_learn_and_stop_and_go_on(features: Features, tmp_path: Path) -> None:
    options = TrainingOptions(epochs=2, batch_size=150, clip=8.0)

    def build() -> AdaMine:
        torch.manual_seed(0)
        return AdaMine.build(features.dims, {"faithful": True, "dim": 8, "margin_schedule": "cosine"})

    def stop(entry: dict) -> None:
        if entry["epoch"] == 1:
            raise KeyboardInterrupt

    whole, resumed = build(), build()
    before = {name: value.clone() for name, value in whole.named_parameters()}
    log = train(whole, features, options=options)
    with pytest.raises(KeyboardInterrupt):
        train(build(), features, options=options, folder=tmp_path, on_epoch=stop)
    train(resumed, features, options=options, folder=tmp_path)
    state = resumed.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in whole.state_dict().items())
    assert not [name for name, value in whole.named_parameters() if torch.equal(value, before[name])]
    assert [entry["margin"] for entry in log] == [0.05, 0.3]


@torch.no_grad()
def test_the_published_towers_read_what_stands_under_the_mask_alone(features: Features) -> None:
    method = AdaMine.build(features.dims, {"faithful": True, "dim": 8}).eval()
    batch = features.batch(features.rows("val"), method.uses)
    vectors = method.embed_recipe(batch)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(batch)), atol=1e-5)
    dirty = {
        part: torch.where(getattr(batch, f"{part}_mask")[..., None], getattr(batch, part), 77.0)
        for part in ("ingredients", "instructions")
    }
    assert torch.allclose(method.embed_recipe(replace(batch, **dirty)), vectors, atol=1e-6)
    alone = features.batch(features.rows("val")[:1], method.uses)
    assert torch.allclose(method.embed_recipe(alone), vectors[:1], atol=1e-6)
    titles = replace(batch, title=batch.title + 1)
    assert torch.equal(method.embed_recipe(titles), vectors)
    no_text = {
        key: None for part in ("title", "ingredients", "instructions") for key in (part, f"{part}_mask")
    }
    with pytest.raises(MethodError, match="this batch holds no lines"):
        method.embed_recipe(replace(batch, **no_text))
