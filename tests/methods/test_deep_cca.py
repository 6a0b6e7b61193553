"""Deep CCA: the linear CCA that stays with the weights, resuming, and what its options refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.layers import part_vectors
from savor.losses import total_correlation
from savor.methods.cca import CCA
from savor.methods.deep_cca import DeepCCA
from savor.recipe import PARTS
from savor.training import TrainingOptions, train

SMALL = {"dim": 8, "hidden": 16}
OPTIONS = TrainingOptions(epochs=4, batch_size=100, learning_rate=3e-3)


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def build(features: Features, seed: int = 0, **options) -> DeepCCA:
    torch.manual_seed(seed)
    return DeepCCA.build(features.dims, {**SMALL, **options})


def joined(method: DeepCCA, features: Features, rows: np.ndarray) -> list[torch.Tensor]:
    return [torch.cat(side) for side in zip(*method.outputs(features, rows), strict=True)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim=0: must be at least 1"),
        ({"hidden": -3}, "hidden=-3"),
        ({"ridge": -1.0}, "ridge=-1.0: must be a number from 0 up"),
        ({"linear_ridge": float("nan")}, "linear_ridge=nan"),
        ({"power": float("inf")}, "power=inf"),
        ({"floor": 0.0}, "floor=0.0: must be above 0"),
        ({"image_dropout": 1.0}, "image_dropout=1.0: is a share"),
        ({"recipe_dropout": -0.1}, "recipe_dropout=-0.1"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        DeepCCA.build(Dims(8, 4), options)


def test_the_loss_is_minus_the_correlation_of_the_networks(features: Features) -> None:
    method = build(features, image_dropout=0.0, recipe_dropout=0.0, ridge=0.2, floor=0.5).train()
    batch = features.batch(features.rows("val"), method.uses)
    ((player, loss),) = method.losses(batch)
    assert player == "towers"
    expected = total_correlation(method.image_output(batch), method.recipe_output(batch), 0.2, 0.5)
    assert torch.equal(loss, -expected)
    loss.backward()
    moved = {name for name, one in method.named_parameters() if one.grad is not None and one.grad.any()}
    assert "missing" in moved
    assert not any("linear" in name or "start" in name for name in moved)


def test_training_starts_at_ridge_cca(features: Features) -> None:
    """Before the first step the outputs are CCA's with the same ridges, but for one scale a side."""
    method, linear = build(features), CCA.build(features.dims, {"dim": 8, "power": 0.5}).fit(features)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    batch = features.batch(rows, method.uses)
    method.eval()
    with torch.no_grad():
        sides = method.image_output(batch), method.recipe_output(batch)
    for side, expected in zip(sides, (linear.embed_image(batch), linear.embed_recipe(batch)), strict=True):
        assert float(side.var(0, correction=0).mean()) == pytest.approx(1, rel=1e-4)
        assert torch.allclose(torch.nn.functional.normalize(side, dim=-1), expected, atol=1e-4)


def test_training_leaves_the_start_alone_and_moves_the_perceptrons(features: Features) -> None:
    method = build(features)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    train(method, features, options=OPTIONS)
    changed = {name for name, value in method.state_dict().items() if not torch.equal(value, before[name])}
    assert not any("start" in name for name in changed)
    assert {"image_tower.5.weight", "recipe_tower.5.weight", "missing"} <= changed


def test_the_width_is_at_most_that_of_either_side() -> None:
    assert DeepCCA.build(Dims(8, 4), {}).image_linear.out_features == 8
    assert DeepCCA.build(Dims(80, 4), {}).image_linear.out_features == 12


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_the_linear_maps_are_canonical_on_the_training_outputs(power: float, features: Features) -> None:
    """Unit variance but for the weights, each direction correlated with its partner alone."""
    method = build(features, linear_ridge=0.0, power=power)
    method.fit(features, options=OPTIONS)
    rows = features.rows("train", photo=True, text=True)
    with torch.no_grad():
        image, recipe = joined(method, features, rows)
        a, b = method.image_linear(image).double(), method.recipe_linear(recipe).double()
    covariance = torch.cat([a, b], 1).T.cov()
    rho = covariance.diagonal(8)[:8] / covariance.diagonal()[:8]
    assert (rho.sort(descending=True).values - rho).abs().max() < 1e-6
    assert 0.5 < rho[0] <= 1
    expected = torch.eye(16, dtype=torch.float64)
    expected[:8, 8:] = expected[8:, :8] = torch.diag(rho)
    weights = (rho**power).repeat(2)
    assert torch.allclose(covariance, expected * weights[:, None] * weights, atol=2e-3)
    assert torch.cat([a, b], 1).mean(0).abs().max() < 1e-3


def test_every_validation_sees_the_maps_of_its_epoch(features: Features, monkeypatch) -> None:
    method = build(features)
    solved, seen = [], []
    end_epoch, embed = DeepCCA.end_epoch, DeepCCA.embed

    def solve(self, *arguments):
        end_epoch(self, *arguments)
        solved.append(self.image_linear.weight.clone())

    def look(self, *arguments):
        seen.append(self.image_linear.weight.clone())
        return embed(self, *arguments)

    monkeypatch.setattr(DeepCCA, "end_epoch", solve)
    monkeypatch.setattr(DeepCCA, "embed", look)
    train(method, features, options=OPTIONS)
    assert len(solved) == len(seen) == 4
    assert all(torch.equal(one, two) for one, two in zip(solved, seen, strict=True))
    assert not torch.equal(solved[0], solved[1])


@pytest.mark.parametrize("val_split", ["val", None])
def test_what_is_kept_embeds_with_the_maps_of_its_own_networks(val_split, features: Features) -> None:
    method = build(features)
    train(method, features, options=replace(OPTIONS, validate_every=2), val_split=val_split)
    rows = features.rows("test", photo=True, text=True)
    before = method.embed(features, rows)
    method.end_epoch(features, features.rows("train", photo=True, text=True))
    for one, two in zip(before, method.embed(features, rows), strict=True):
        assert np.array_equal(one, two)


def test_resumed_equals_uninterrupted_to_the_bit(features: Features, tmp_path: Path) -> None:
    for name in ("whole", "run"):
        (tmp_path / name).mkdir()
    whole = build(features)
    log = train(whole, features, options=OPTIONS, folder=tmp_path / "whole")

    def stop(entry: dict) -> None:
        if entry["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build(features), features, options=OPTIONS, folder=tmp_path / "run", on_epoch=stop)
    torch.manual_seed(99)
    resumed = build(features, seed=8)
    again = train(resumed, features, options=OPTIONS, folder=tmp_path / "run")
    assert [entry["selection"] for entry in again] == [entry["selection"] for entry in log]
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_solving_draws_nothing_and_leaves_the_mode(features: Features) -> None:
    method = build(features).train()
    rows = features.rows("train", photo=True, text=True)
    before = torch.get_rng_state()
    first = joined(method, features, rows)
    assert method.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*sides) for sides in zip(first, joined(method, features, rows), strict=True))


def test_fewer_pairs_than_directions_stay_finite(write_features, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [rng.standard_normal((1, 16)) for _ in range(12)]
    parts = {"title": rows, "ingredients": rows, "instructions": [np.zeros((0, 16))] * 12}
    splits = ["train"] * 8 + ["val"] * 4
    few = Features.open(write_features(tmp_path / "f", rows, parts, splits=splits))
    method = build(few, dim=14)
    assert method.image_linear.out_features == 14
    log = train(method, few, options=OPTIONS)
    assert all(np.isfinite(entry["loss"]["towers"]) for entry in log)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_a_missing_part_is_its_learned_vector(features: Features) -> None:
    method = build(features).eval()
    with torch.no_grad():
        method.missing.normal_()
    batch = features.batch(features.rows("val")[:4], method.uses)
    missing = replace(batch, instructions=None, instructions_mask=None)
    filled = replace(
        batch,
        instructions=method.missing[2].detach().expand(4, 1, -1),
        instructions_mask=torch.ones(4, 1, dtype=torch.bool),
    )
    assert part_vectors(missing)[1].sum() < part_vectors(filled)[1].sum()
    assert torch.allclose(method.embed_recipe(missing), method.embed_recipe(filled), atol=1e-6)


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone_reads_no_other(part: str, features: Features) -> None:
    method = DeepCCA.build(features.dims, {"dim": 4, "hidden": 16, "text": part})
    rows = features.rows("train", photo=True, complete=True)
    method.prepare(features, rows)
    batch = features.batch(rows[:9], method.uses)
    others = {name: getattr(batch, name) + 1 for name in PARTS if name != part}
    method.eval()
    before = method.embed_recipe(batch)
    assert torch.equal(before, method.embed_recipe(replace(batch, **others)))
    changed = replace(batch, **{part: getattr(batch, part).flip(-1)})
    assert not torch.allclose(before, method.embed_recipe(changed), atol=1e-3)
