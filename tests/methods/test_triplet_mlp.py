"""MLP + triplet: what its options change, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.index.embedding import Embedder
from savor.layers import part_vectors, unit
from savor.losses import triplet
from savor.methods.triplet_mlp import TripletMLP
from savor.recipe import PARTS
from savor.runs import describe, open_run, save_run
from savor.vocabulary import Vocabulary

SMALL = {"dim": 8, "hidden": 16, "members": 1, "hubs": 0}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "hard"}, "mining='hard': choose one of mean, sum, .*, soft"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"text": "steps"}, "text='steps': choose one of all, title, ingredients, instructions"),
        ({"dim": 0}, "dim=0: must be at least 1"),
        ({"hidden": -3}, "hidden=-3"),
        ({"members": 0}, "members=0: must be at least 1"),
        ({"hubs": -1}, "hubs=-1: must be at least 0"),
        ({"image_dropout": 1.0}, "image_dropout=1.0: is a share"),
        ({"recipe_dropout": -0.1}, "recipe_dropout=-0.1"),
        ({"recipe_dropout": float("nan")}, "recipe_dropout"),
        ({"word_width": -1}, "word_width=-1: must be at least 0"),
        ({"word_width": 4, "min_count": 0}, "min_count=0: must be at least 1"),
        ({"word_width": 4, "word_dropout": 1.0}, "word_dropout=1.0: is a share"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TripletMLP.build(Dims(8, 4), options)


@pytest.mark.parametrize("mining", ["mean", "sum", "active", "hardest", "semi_hard", "soft"])
def test_the_loss_is_the_mining_asked_for(mining: str, features: Features) -> None:
    off = {"image_dropout": 0.0, "recipe_dropout": 0.0}
    method = TripletMLP.build(features.dims, {**SMALL, **off, "mining": mining, "margin": 0.4}).train()
    batch = features.batch(features.rows("val"), method.uses)
    ((player, loss),) = method.losses(batch)
    assert player == "towers"
    expected = triplet(method.embed_image(batch), method.embed_recipe(batch), 0.4, mining, 0.05)
    assert torch.allclose(loss, expected)


def test_prepare_standardises_the_photos_of_the_training_rows(features: Features) -> None:
    method = TripletMLP.build(features.dims, SMALL)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    images = features.batch(rows, ("image",)).image
    assert torch.allclose(method.standardise(images).mean(0), torch.zeros(features.dims.image), atol=1e-4)
    assert torch.allclose(method.standardise.spread, images.std(0, correction=0), rtol=1e-4)


def test_a_missing_part_is_its_learned_vector(features: Features) -> None:
    method = TripletMLP.build(features.dims, SMALL).eval()
    with torch.no_grad():
        method.missing.normal_()
    batch = features.batch(features.rows("val")[:4], method.uses)
    nothing = torch.zeros_like(batch.instructions_mask)
    missing = replace(batch, instructions=None, instructions_mask=None)
    filled = replace(
        batch,
        instructions=method.missing[2].detach().expand(4, 1, -1),
        instructions_mask=torch.ones(4, 1, dtype=torch.bool),
    )
    embeddings = [
        method.embed_recipe(one) for one in (missing, replace(batch, instructions_mask=nothing), filled)
    ]
    assert torch.allclose(embeddings[0], embeddings[1])
    assert torch.allclose(embeddings[0], embeddings[2], atol=1e-6)


def test_dropout_belongs_to_training_alone(features: Features) -> None:
    method = TripletMLP.build(features.dims, SMALL)
    batch = features.batch(features.rows("val"), method.uses)
    with torch.no_grad():
        for embed in (method.embed_image, method.embed_recipe):
            assert not torch.equal(embed(batch), embed(batch))
            method.eval()
            assert torch.equal(embed(batch), embed(batch))
            method.train()


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone_reads_no_other(part: str, features: Features) -> None:
    method = TripletMLP.build(features.dims, {**SMALL, "text": part}).eval()
    batch = features.batch(features.rows("val", complete=True), method.uses)
    others = {name: getattr(batch, name) + 9 for name in PARTS if name != part}
    with torch.no_grad():
        before = method.embed_recipe(batch)
        assert torch.equal(before, method.embed_recipe(replace(batch, **others)))
        own = {part: getattr(batch, part).flip(-1)}
        assert not torch.allclose(before, method.embed_recipe(replace(batch, **own)))


@pytest.mark.parametrize(
    ("schedule", "epoch", "expected"),
    [("fixed", 3, 0.4), ("linear", 3, 0.1 + 2 * 0.05), ("cosine", 3, 0.25), ("adaptive", 1, 0.1)],
)
def test_the_loss_has_the_margin_in_force(
    schedule: str, epoch: int, expected: float, features: Features
) -> None:
    off = {"image_dropout": 0.0, "recipe_dropout": 0.0, "mining": "mean"}
    options = {"margin": 0.4, "margin_schedule": schedule, "margin_start": 0.1, "margin_step": 0.05}
    method = TripletMLP.build(features.dims, {**SMALL, **off, **options})
    method.start_epoch(epoch, 5)
    batch = features.batch(features.rows("val"), method.uses)
    ((_, loss),) = method.losses(batch)
    assert torch.allclose(
        loss, triplet(method.embed_image(batch), method.embed_recipe(batch), expected, "mean")
    )
    assert method.logged() == {"margin": pytest.approx(expected)}


def test_a_margin_schedule_is_state_and_a_fixed_margin_is_not() -> None:
    fixed, linear, adaptive = (
        set(TripletMLP.build(Dims(8, 4), {**SMALL, "margin_schedule": schedule}).state_dict())
        for schedule in ("fixed", "linear", "adaptive")
    )
    assert linear - fixed == {"margin.value"}
    assert adaptive - fixed == {"margin.value", "margin.shares"}


def test_each_member_learns_from_a_loss_of_its_own(features: Features) -> None:
    off = {"image_dropout": 0.0, "recipe_dropout": 0.0}
    method = TripletMLP.build(features.dims, {**SMALL, **off, "members": 3}).train()
    batch = features.batch(features.rows("val"), method.uses)
    image, recipe = method.embed_image(batch), method.embed_recipe(batch)
    each = [
        triplet(
            *(torch.nn.functional.normalize(side[:, k * 8 : k * 8 + 8]) for side in (image, recipe)),
            0.2,
            "soft",
            0.05,
        )
        for k in range(3)
    ]
    assert torch.allclose(method.pair_loss(image, recipe, batch), sum(each) / 3, atol=1e-6)
    each[0].backward()
    others = [
        p.grad
        for tower in (method.image_tower, method.recipe_tower)
        for m in tower[1:]
        for p in m.parameters()
    ]
    assert not any(grad is not None and grad.any() for grad in others)


def test_a_cosine_is_the_mean_of_the_members(features: Features) -> None:
    method = TripletMLP.build(features.dims, {**SMALL, "members": 3}).eval()
    batch = features.batch(features.rows("val"), method.uses)
    with torch.no_grad():
        image, recipe = method.embed_image(batch), method.embed_recipe(batch)
    assert torch.allclose(image.norm(dim=1), torch.ones(len(image)), atol=1e-5)
    own = [
        torch.nn.functional.cosine_similarity(image[:, k * 8 : k * 8 + 8], recipe[:, k * 8 : k * 8 + 8])
        for k in range(3)
    ]
    assert torch.allclose((image * recipe).sum(1), sum(own) / 3, atol=1e-5)


def test_hubs_are_learned_from_the_training_rows_and_kept_in_the_state(features: Features) -> None:
    options = {**SMALL, "hubs": 50}
    method = TripletMLP.build(features.dims, options)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    method.end_epoch(features, rows)
    assert int(method.hubs.kept) == 50
    batch = features.batch(features.rows("val"), method.uses)
    method.eval()
    plain = method.embed_image(batch) @ method.embed_recipe(batch).T
    corrected = method.score(batch, batch)
    assert plain.shape == corrected.shape
    assert not torch.allclose(plain / 3, corrected, atol=1e-3)
    again = TripletMLP.build(features.dims, options).eval()
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.score(batch, batch), corrected)


@torch.no_grad()
@pytest.mark.parametrize("text", ["all", "ingredients"])
@pytest.mark.parametrize("members", [1, 2])
def test_patches_and_words_add_up_to_the_embedding(text: str, members: int, features: Features) -> None:
    torch.manual_seed(0)
    method = TripletMLP.build(features.dims, {**SMALL, "text": text, "members": members})
    method.prepare(features, features.rows("train", photo=True, text=True))
    batch = features.batch(
        features.rows("test", photo=True, complete=True), (*method.uses, "patches", "tokens")
    )
    method.eval()
    for embedding, shares in (
        (method.embed_image(batch), method.embed_patches(batch)),
        (method.embed_recipe(batch), method.embed_words(batch)),
    ):
        assert torch.allclose(shares.sum(1), embedding, atol=1e-5)
    outside = ~batch.words_mask | (False if text == "all" else batch.words_spans[..., 0] != 1)
    assert (method.embed_words(batch)[outside] == 0).all()


@torch.no_grad()
def test_a_patch_has_the_share_of_what_the_perceptron_makes_of_it_alone(features: Features) -> None:
    torch.manual_seed(0)
    method = TripletMLP.build(features.dims, SMALL).eval()
    batch = features.batch(features.rows("test", photo=True, complete=True)[:1], (*method.uses, "patches"))
    shares, total = method.embed_patches(batch)[0], method.image_vectors(batch)[0]
    alone = [
        method.image_vectors(replace(batch, image=batch.patches[:, place]))[0] for place in range(len(shares))
    ]
    expected = (alone[0] - alone[1]) / len(shares) / total.norm()
    assert torch.allclose(shares[0] - shares[1], expected, atol=1e-6)


@pytest.fixture
def reader(toy_features: Path) -> tuple[TripletMLP, Features]:
    """A method that reads words of the toy kitchen, as it stands before the first step."""
    torch.manual_seed(0)
    features = Features.open(toy_features)
    method = TripletMLP.build(features.dims, {**SMALL, "word_width": 4, "min_count": 2}).eval()
    method.prepare(features, features.rows("train", photo=True, text=True))
    return method, features


@torch.no_grad()
def test_the_words_of_a_part_are_read_beside_its_vector(reader: tuple[TripletMLP, Features]) -> None:
    method, features = reader
    rows = features.rows(complete=True)[:6]
    batch = features.batch(rows, method.uses, raw=method.raw)
    vectors, _ = part_vectors(batch)
    table, vocabulary = method.learned.embedding.weight, method.learned.embedding.vocabulary
    for k, row in enumerate(rows):
        recipe, read = features.recipe(int(row)), []
        for number, part in enumerate(PARTS):
            ids = [i for line in recipe.lines(part) for i in vocabulary.ids(line)]
            read += [vectors[k, number] * method.scale, table[ids].sum(0) / len(ids) ** 0.5]
        expected = unit(method.recipe_tower(torch.cat(read)[None]))[0]
        assert torch.allclose(method.embed_recipe(batch)[k], expected, atol=1e-5)
    train = [features.recipe(int(row)) for row in features.rows("train", photo=True, text=True)]
    assert (
        vocabulary.words
        == Vocabulary.of((line for one in train for part in PARTS for line in one.lines(part)), 2).words
    )


@torch.no_grad()
def test_no_word_of_a_line_that_is_not_there_is_read(reader: tuple[TripletMLP, Features]) -> None:
    method, features = reader
    batch = features.batch(features.rows(complete=True)[:6], method.uses, raw=method.raw)
    mask = batch.instructions_mask.clone()
    mask[:, 0] = False
    masked = replace(batch, instructions_mask=mask)
    assert not torch.allclose(method.embed_recipe(masked), method.embed_recipe(batch), atol=1e-3)
    other = replace(masked, instructions_ids=torch.where(mask[..., None], batch.instructions_ids, 3))
    assert torch.equal(method.embed_recipe(other), method.embed_recipe(masked))
    absent = {"instructions": None, "instructions_mask": None, "instructions_ids": None}
    nothing = replace(batch, instructions_mask=torch.zeros_like(mask))
    assert torch.allclose(
        method.embed_recipe(replace(batch, **absent)), method.embed_recipe(nothing), atol=1e-6
    )


@torch.no_grad()
def test_shares_of_a_reader_of_words_add_up(reader: tuple[TripletMLP, Features]) -> None:
    method, features = reader
    uses = (*method.uses, "tokens")
    batch = features.batch(features.rows(complete=True)[:6], uses, raw=method.raw)
    assert torch.allclose(method.embed_words(batch).sum(1), method.embed_recipe(batch), atol=1e-5)


def test_a_reader_of_words_finds_the_same_from_the_recipes_themselves(
    reader: tuple[TripletMLP, Features], tmp_path: Path, fake_text: type
) -> None:
    method, features = reader
    save_run(tmp_path, method, describe("triplet_mlp", method, features))
    rows = features.rows(complete=True)[:3]
    embedder = Embedder(open_run(tmp_path))
    embedder.__dict__["text_encoder"] = fake_text()
    found = embedder.recipes([features.recipe(int(row)) for row in rows])
    assert np.allclose(found, method.embed(features, rows)[1], atol=1e-3)
