"""Model 1: its shares add up, its words are not cut, its parts are the parts asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import triplet
from savor.methods.triplet_mlp import TripletMLP
from savor.methods.two_stream import PERCEPTRONS, TEXTS, TwoStream, places

SMALL = {"dim": 8, "hidden": 16, "width": 16, "heads": 2, "word_width": 0}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def started(features: Features, **options: object) -> TwoStream:
    """Return a method as it stands before the first step, its outer layers no longer zero."""
    torch.manual_seed(0)
    method = TwoStream.build(features.dims, {**SMALL, **options})
    method.prepare(features, features.rows("train", photo=True, text=True))
    for head in (method.image_head, method.recipe_head):
        torch.nn.init.normal_(head[-1].weight)
        torch.nn.init.normal_(head[-1].bias)
    torch.nn.init.normal_(method.recipe_tower.missing)
    return method.eval()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": "steps"}, "text='steps': choose one of all, title, ingredients, instructions"),
        ({"perceptrons": "both"}, "perceptrons='both': choose one of beside, added, none"),
        ({"mining": "hard"}, "mining='hard': choose one of"),
        ({"dropout": 1.0}, "dropout=1.0: is a share, from 0 to below 1"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"layers": 0}, "layers=0: must be at least 1"),
        ({"width": 10, "heads": 4}, "width=10: must be a multiple of heads=4"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TwoStream.build(Dims(8, 4), options)


@torch.no_grad()
@pytest.mark.parametrize("perceptrons", PERCEPTRONS)
@pytest.mark.parametrize("text", TEXTS)
def test_words_and_patches_add_up_to_the_score(text: str, perceptrons: str, features: Features) -> None:
    method = started(features, text=text, perceptrons=perceptrons)
    complete = features.rows("test", photo=True, complete=True)
    batch = features.batch(complete, method.uses)
    sides = (
        (method.embed_image(batch), method.embed_patches(batch)),
        (method.embed_recipe(batch), method.embed_words(batch)),
    )
    for embedding, shares in sides:
        assert torch.allclose(shares.sum(1), embedding, atol=2e-3)


@torch.no_grad()
def test_a_cosine_is_the_mean_of_perceptrons_and_streams(features: Features) -> None:
    method = started(features, members=2, hubs=0)
    perceptrons = TripletMLP.build(features.dims, {"dim": 8, "members": 2, "hubs": 0}).eval()
    perceptrons.load_state_dict(method.whole.state_dict())
    streams = TwoStream.build(features.dims, {**SMALL, "perceptrons": "none", "hubs": 0}).eval()
    own = {name: value for name, value in method.state_dict().items() if not name.startswith("whole.")}
    streams.load_state_dict(own)
    batch = features.batch(features.rows("test", photo=True, text=True), method.uses)
    both, plain, patches = (
        one.embed_image(batch) @ one.embed_recipe(batch).T for one in (method, perceptrons, streams)
    )
    assert torch.allclose(both, (2 * plain + patches) / 3, atol=1e-5)


@torch.no_grad()
def test_attention_sums_to_one_and_lies_on_the_parts_that_are_read(features: Features) -> None:
    method = started(features, text="instructions")
    batch = features.batch(features.rows("test", photo=True, complete=True), method.uses)
    words, patches = method.self_attention(batch)
    assert torch.allclose(words.sum(1), torch.ones(len(batch)))
    assert torch.allclose(patches.sum(1), torch.ones(len(batch)))
    assert (words[batch.words_spans[..., 0] != 2] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("part", ["title", "ingredients", "instructions"])
def test_one_part_alone_reads_no_other(part: str, features: Features) -> None:
    method = started(features, text=part)
    batch = features.batch(features.rows("test", photo=True, complete=True), method.uses)
    number = ["title", "ingredients", "instructions"].index(part)
    others = batch.words_spans[..., 0] != number
    changed = {"words": torch.where(others[..., None], 9.0, batch.words)}
    changed |= {
        name: getattr(batch, name) + 9 for name in ("title", "ingredients", "instructions") if name != part
    }
    before, after = method.embed_recipe(batch), method.embed_recipe(replace(batch, **changed))
    assert torch.allclose(before, after, atol=1e-6)
    changed = {"words": torch.where(others[..., None], batch.words, batch.words.flip(-1))}
    assert not torch.allclose(before, method.embed_recipe(replace(batch, **changed)), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("text", TEXTS)
def test_learned_words_leave_shares_that_add_up(text: str, toy_features: Path) -> None:
    features = Features.open(toy_features)
    method = started(features, text=text, word_width=4)
    batch = features.batch(features.rows(complete=True)[:5], method.uses, raw=method.raw)
    embedding = method.embed_recipe(batch)
    assert torch.allclose(method.embed_words(batch).sum(1), embedding, atol=2e-3)
    method.learned.embedding.weight.zero_()
    assert not torch.allclose(embedding, method.embed_recipe(batch), atol=1e-3)


@torch.no_grad()
def test_where_a_patch_lies_counts(features: Features) -> None:
    method = started(features)
    batch = features.batch(features.rows("test", photo=True, text=True), method.uses)
    turned = replace(batch, patches=batch.patches.flip(1))
    assert not torch.allclose(method.embed_image(batch), method.embed_image(turned), atol=1e-4)


def test_at_most_so_many_words_are_read_while_training(features: Features) -> None:
    method = TwoStream.build(features.dims, {**SMALL, "words": 3})
    batch = features.batch(features.rows("test"), method.uses, words=method.words)
    assert batch.words.shape[1] == 3


def test_places_are_centred_and_symmetric() -> None:
    grid = places(2, 3)
    assert grid.shape == (6, 4)
    assert torch.allclose(grid[:, :2], -grid[:, :2].flip(0))
    assert torch.allclose(grid[:, 2:], grid[:, :2].square())
    assert grid[0, :2].tolist() == pytest.approx([-0.5, -2 / 3])


def test_the_margin_follows_its_schedule(features: Features) -> None:
    method = TwoStream.build(features.dims, {**SMALL, "margin_schedule": "cosine", "margin_start": 0.1})
    method.start_epoch(2, 3)
    assert method.logged() == {"margin": pytest.approx(0.15)}
    vectors = torch.eye(8)
    method.members = 1
    expected = triplet(vectors, vectors, 0.15, "soft", 0.05)
    assert torch.allclose(method.pair_loss(vectors, vectors, None), expected)
