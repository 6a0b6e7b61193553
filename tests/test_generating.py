"""Measures of generated pictures, and what methods that draw share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from savor.errors import MethodError, UsageError
from savor.features import Features
from savor.generating import first_photos, frechet_distance, grid, measure, variety
from savor.methods.acme import ACME
from savor.photos import open_photo
from savor.pixels import on_canvas

SMALL = {"dim": 8, "hidden": 16, "picture_size": 8, "picture_width": 8}


def photos(n: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randint(0, 256, (n, 3, 2, 2), generator=generator, dtype=torch.uint8)
    return cells.repeat_interleave(4, 2).repeat_interleave(4, 3)


def test_the_photos_themselves_are_perfect_pictures(fake_image) -> None:
    quality = measure(photos(), photos(), fake_image())
    assert quality.distance == pytest.approx(0, abs=1e-9)
    assert quality.error == 0
    assert quality.variety == 1
    assert quality.retrieval["medR"] == 1
    assert not quality.collapsed
    assert quality.mean_error > 0.1
    assert quality.mean_distance > 0.1


def test_the_mean_picture_is_its_own_baseline_and_has_collapsed(fake_image) -> None:
    mean = photos().double().mean(0, keepdim=True).round().to(torch.uint8).repeat(12, 1, 1, 1)
    quality = measure(mean, photos(), fake_image())
    assert quality.distance == pytest.approx(quality.mean_distance)
    assert quality.error == pytest.approx(quality.mean_error, abs=1e-3)
    assert quality.variety == 0
    assert quality.collapsed
    assert quality.retrieval["medR"] == pytest.approx(6.5, abs=3)
    found = quality.to_json()
    assert found["collapsed"] is True
    assert found["pictures"] == 12


def test_pictures_of_the_wrong_recipes_are_as_lifelike_and_not_found(fake_image) -> None:
    quality = measure(photos().roll(1, 0), photos(), fake_image())
    assert quality.distance == pytest.approx(0, abs=1e-9)
    assert quality.retrieval["R@1"] == 0
    assert quality.error > quality.mean_error


def test_one_picture_measures_nothing(fake_image) -> None:
    with pytest.raises(UsageError, match="1 recipes with a photo: pictures are measured on 2 or more"):
        measure(photos(1), photos(1), fake_image())


def test_the_distance_is_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), rng.normal(size=(30, 3)) + 1
    covariances = [np.cov(rows.T) for rows in (one, two)]
    # The eigenvalues of S_1 S_2 are real and not negative, though it is not symmetric.
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)).sum()
    expected = ((one.mean(0) - two.mean(0)) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * root
    assert frechet_distance(one, two) == pytest.approx(expected)
    assert frechet_distance(two, one) == pytest.approx(expected)


def test_the_distance_holds_with_fewer_rows_than_columns() -> None:
    rows = np.random.default_rng(0).normal(size=(4, 50))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 0.5) == pytest.approx(12.5)


def test_variety_by_hand() -> None:
    # Grey pictures of 3 x 1 x 1 at 0, 30 and 60: two pairs 30 apart and one 60, times sqrt(3) each.
    spread = torch.tensor([0, 30, 60], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    assert variety(spread // 3, spread) == pytest.approx(1 / 3)
    assert np.isnan(variety(spread, torch.zeros_like(spread)))


def test_the_sheet_has_rows_with_gaps() -> None:
    pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 4)
    sheet = grid(pictures, columns=3, gap=1)
    assert sheet.shape == (5, 14, 3)
    assert sheet[0, [0, 5, 10]].tolist() == [[0] * 3, [1] * 3, [2] * 3]
    assert sheet[3, [0, 5, 10]].tolist() == [[3] * 3, [4] * 3, [255] * 3]
    assert (sheet[2] == 255).all()


def test_first_photos_are_those_of_the_rows(toy_features: Path) -> None:
    features = Features.open(toy_features)
    rows = features.rows("val", photo=True)[:3]
    found = first_photos(features, rows, 16)
    assert found.shape == (3, 3, 16, 16)
    expected = on_canvas(open_photo(features.photos(int(rows[1]))[0], target=(16, 16)), (16, 16))
    assert np.array_equal(found[1].numpy(), expected)
    assert first_photos(features, rows[:0], 16).shape == (0, 3, 16, 16)


def test_a_seed_gives_the_same_picture_alone_and_in_company(toy_features: Path) -> None:
    features = Features.open(toy_features)
    method = ACME.build(features.dims, SMALL)
    rows = features.rows("val", photo=True, text=True)[:4]
    batch, alone = (features.batch(some, method.uses) for some in (rows, rows[1:2]))
    state = torch.get_rng_state()
    pictures = method.generate(batch, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert method.training
    assert (pictures.dtype, pictures.shape) == (torch.uint8, (4, 3, 8, 8))
    apart = (method.generate(alone, seed=3).int() - pictures[1:2].int()).abs()
    assert apart.max() <= 1  # rounding
    assert not torch.equal(method.generate(batch, seed=4), pictures)


def test_without_pictures_none_are_drawn(toy_features: Path) -> None:
    features = Features.open(toy_features)
    method = ACME.build(features.dims, {**SMALL, "picture_size": 0})
    batch = features.batch(features.rows("val"), method.uses)
    with pytest.raises(MethodError, match="picture_size=0 and draws no pictures; train it with --set pict"):
        method.generate(batch)
    assert method.samples(features, features.rows("val")) is None
