"""MLP + triplet: what its options change, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import triplet
from savor.methods.cca import CCA
from savor.methods.triplet_mlp import TripletMLP
from savor.training import TrainingOptions

SMALL = {"dim": 8, "hidden": 16}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "hard"}, "mining='hard': choose one of mean, sum, .*, soft"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"dim": 0}, "dim=0: must be at least 1"),
        ({"hidden": -3}, "hidden=-3"),
        ({"image_dropout": 1.0}, "image_dropout=1.0: is a share"),
        ({"recipe_dropout": -0.1}, "recipe_dropout=-0.1"),
        ({"recipe_dropout": float("nan")}, "recipe_dropout"),
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
    expected = triplet(method.embed_image(batch), method.embed_recipe(batch), 0.4, mining, 0.07)
    assert torch.allclose(loss, expected)


def test_prepare_standardises_the_photos_of_the_training_rows(features: Features) -> None:
    method = TripletMLP.build(features.dims, SMALL)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    images = features.batch(rows, ("image",)).image
    assert torch.allclose(method.standardise(images).mean(0), torch.zeros(features.dims.image), atol=1e-4)
    assert torch.allclose(method.standardise.spread, images.std(0, correction=0), rtol=1e-4)


def test_a_missing_part_is_its_learned_vector(features: Features) -> None:
    method = TripletMLP.build(features.dims, {**SMALL, "linear_start": False}).eval()
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
    method = TripletMLP.build(features.dims, {**SMALL, "linear_start": False})
    batch = features.batch(features.rows("val"), method.uses)
    with torch.no_grad():
        for embed in (method.embed_image, method.embed_recipe):
            assert not torch.equal(embed(batch), embed(batch))
            method.eval()
            assert torch.equal(embed(batch), embed(batch))
            method.train()


def test_training_starts_where_cca_ends(features: Features) -> None:
    rows = features.rows("train", photo=True, text=True)
    method = TripletMLP.build(features.dims, SMALL)
    method.prepare(features, rows)
    cca = CCA.build(features.dims, {"dim": SMALL["dim"]}).fit(features)
    for started, solved in zip(method.embed(features, rows), cca.embed(features, rows), strict=True):
        assert np.allclose(started, solved, atol=1e-4)


def test_training_leaves_the_linear_map_alone(features: Features) -> None:
    rows = features.rows("train", photo=True, text=True)
    method = TripletMLP.build(features.dims, SMALL)
    method.prepare(features, rows)
    before = {name: value.clone() for name, value in method.start.state_dict().items()}
    method.fit(features, options=TrainingOptions(epochs=2, batch_size=100))
    assert all(torch.equal(value, before[name]) for name, value in method.start.state_dict().items())
    assert method.image_tower[-1].weight.abs().max() > 0


def test_without_the_linear_start_there_is_none(features: Features) -> None:
    method = TripletMLP.build(features.dims, {**SMALL, "linear_start": False, "dim": 40})
    assert method.start is None
    assert method.image_tower[-1].out_features == 40
    assert TripletMLP.build(features.dims, {**SMALL, "dim": 40}).image_tower[-1].out_features == 24
