"""CCA: the correlations of theory and of cca-zoo, sums that lose no digits, data short of rank."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from savor.errors import OptionError, UsageError
from savor.features import Dims, Features
from savor.layers import part_vectors
from savor.methods.cca import CCA, TEXTS, joint_covariance, part_means, solve_cca, whitening

PARTS = ("title", "ingredients", "instructions")


def sample(n: int, rho: list[float], p: int = 5, q: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw rows whose canonical correlations are `rho`, behind an invertible map on either side."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    for k, one in enumerate(rho):
        y[:, k] = one * x[:, k] + np.sqrt(1 - one * one) * y[:, k]
    sides = x @ rng.standard_normal((p, p)) + 3, y @ rng.standard_normal((q, q)) - 5
    return torch.from_numpy(sides[0]), torch.from_numpy(sides[1])


def solve(
    x: Tensor, y: Tensor, k: int = 3, ridge: float = 0.0, power: float = 0.0, batch: int = 10**6
) -> tuple[nn.Linear, nn.Linear, Tensor]:
    layers = nn.Linear(x.shape[1], k).to(x.dtype), nn.Linear(y.shape[1], k).to(y.dtype)
    rho = solve_cca(
        *layers, lambda: zip(x.split(batch), y.split(batch), strict=True), ridges=(ridge, ridge), power=power
    )
    return *layers, rho


def test_known_correlations_are_found() -> None:
    *_, rho = solve(*sample(200_000, [0.9, 0.5, 0.2]))
    assert rho.tolist() == pytest.approx([0.9, 0.5, 0.2, 0.0], abs=0.01)


@torch.no_grad()
def test_variates_have_unit_variance_and_correlate_pairwise_only() -> None:
    x, y = sample(3000, [0.9, 0.5, 0.2])
    a, b, rho = solve(x, y, k=4)
    variates = torch.cat([a(x), b(y)], 1)
    assert variates.mean(0).abs().max() < 1e-9
    expected = torch.eye(8, dtype=torch.float64)
    expected[:4, 4:] = expected[4:, :4] = torch.diag(rho)
    assert torch.allclose(variates.T.cov(), expected, atol=1e-9)


@torch.no_grad()
def test_power_weighs_the_directions() -> None:
    x, y = sample(3000, [0.9, 0.5, 0.2])
    a, b, rho = solve(x, y, k=3, power=2.0)
    assert torch.allclose(a(x).std(0), rho[:3] ** 2)
    assert torch.allclose(b(y).std(0), rho[:3] ** 2)


def test_equal_to_cca_zoo() -> None:
    linear = pytest.importorskip("cca_zoo.linear")
    x, y = sample(5000, [0.8, 0.6, 0.3, 0.1], p=30, q=20)
    *_, rho = solve(x, y, batch=700)
    model = linear.CCA(n_components=10).fit([x.numpy(), y.numpy()])
    a, b = model.transform([x.numpy(), y.numpy()])
    theirs = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(10)]
    assert rho[:10].tolist() == pytest.approx(theirs, abs=1e-9)


@torch.no_grad()
def test_ridge_as_in_its_formula() -> None:
    x, y = sample(400, [0.9, 0.5])
    a, _, rho = solve(x, y, k=2, ridge=0.7)
    left, right = (side - side.mean(0) for side in (x, y))
    sxx, syy, sxy = left.T @ left / 399, right.T @ right / 399, left.T @ right / 399

    def inverse(s: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(s)
        return (vectors / (values + 0.7 * values.mean())) @ vectors.T

    squares = (
        torch.linalg.eigvals(inverse(sxx) @ sxy @ inverse(syy) @ sxy.T).real.sort(descending=True).values
    )
    assert torch.allclose(rho.square(), squares[:4])
    # A solves the same eigenvalue problem.
    product = inverse(sxx) @ sxy @ inverse(syy) @ sxy.T @ a.weight.T
    assert torch.allclose(product, a.weight.T * rho[:2].square())


def test_batches_make_no_difference() -> None:
    x, y = sample(1000, [0.7, 0.4])
    whole = joint_covariance(lambda: iter([(x, y)]))
    parts = joint_covariance(lambda: zip(x.split(64), y.split(64), strict=True))
    expected = torch.cat([x, y], 1)
    for found in (whole, parts):
        assert torch.allclose(found[0], expected.mean(0))
        assert torch.allclose(found[1], expected.T.cov(), rtol=1e-12, atol=1e-12)


def test_wider_than_a_block_is_still_symmetric(monkeypatch) -> None:
    monkeypatch.setattr("savor.methods.cca._BLOCK", 4)
    x, y = sample(500, [0.7], p=7, q=6)
    _, covariance = joint_covariance(lambda: iter([(x, y)]))
    assert torch.equal(covariance, covariance.T)
    assert torch.allclose(covariance, torch.cat([x, y], 1).T.cov())


def test_a_large_offset_costs_no_digits() -> None:
    x, y = sample(2000, [0.9, 0.5, 0.2])
    *_, rho = solve(x, y)
    *_, shifted = solve(x + 1e6, y - 1e6)
    assert torch.allclose(rho, shifted, atol=1e-8)


def test_float32_rows_are_summed_in_float64() -> None:
    x, y = (side.float() for side in sample(20_000, [0.9, 0.5]))
    mean, covariance = joint_covariance(lambda: zip(x.split(512), y.split(512), strict=True))
    exact = torch.cat([x, y], 1).double()
    assert covariance.dtype == torch.float64
    assert torch.allclose(mean, exact.mean(0), rtol=1e-13)
    assert torch.allclose(covariance, exact.T.cov(), rtol=1e-11)


def test_memory_does_not_grow_with_the_pairs() -> None:
    peaks = []
    for batches in (4, 40):

        def stream(count: int = batches) -> Iterator[tuple[Tensor, Tensor]]:
            # NumPy's memory is what tracemalloc sees; torch would hold on to the arrays it was lent.
            for seed in range(count):
                rows = np.random.default_rng(seed).standard_normal((1000, 40))
                yield torch.from_numpy(rows[:, :25]), torch.from_numpy(rows[:, 25:])

        tracemalloc.start()
        joint_covariance(stream)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("ridge", [0.0, 0.1, 3.0])
def test_fewer_pairs_than_inputs_stay_finite(ridge: float) -> None:
    x, y = torch.randn(10, 30, dtype=torch.float64), torch.randn(10, 20, dtype=torch.float64)
    a, b, rho = solve(x, y, k=20, ridge=ridge)
    assert rho.max() <= 1
    for layer in (a, b):
        assert torch.isfinite(layer.weight).all()
    if ridge == 0:
        # Nine dimensions hold ten centred pairs: all correlate fully, nothing else is looked at.
        assert torch.allclose(rho, torch.tensor([1.0] * 9 + [0.0] * 11, dtype=torch.float64), atol=1e-6)
        assert a.weight[:9].abs().max() < 100


def test_a_repeated_and_a_constant_input_change_nothing() -> None:
    x, y = sample(2000, [0.9, 0.5, 0.2])
    *_, rho = solve(x, y)
    repeated = torch.cat([x, x[:, :2], torch.full((2000, 1), 7.0, dtype=torch.float64)], 1)
    a, _, again = solve(repeated, y)
    assert torch.allclose(rho, again, atol=1e-6)
    assert torch.isfinite(a.weight).all()


def test_identical_sides_correlate_by_one_and_no_more() -> None:
    x, _ = sample(500, [])
    *_, rho = solve(x, x @ torch.randn(5, 5, dtype=torch.float64))
    assert rho.max() <= 1
    assert rho.min() > 1 - 1e-9


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("rank", [3, 6])
def test_whitening_whitens(ridge: float, rank: int) -> None:
    rows = torch.randn(50, rank, dtype=torch.float64) @ torch.randn(rank, 6, dtype=torch.float64)
    covariance = rows.T.cov()
    ridged = covariance + ridge * covariance.diagonal().mean() * torch.eye(6, dtype=torch.float64)
    maps = whitening(covariance, ridge)
    white = maps.T @ ridged @ maps
    kept = 6 if ridge else rank
    assert torch.allclose(
        torch.linalg.eigvalsh(white), torch.tensor([0.0] * (6 - kept) + [1.0] * kept).double()
    )


def test_nothing_that_varies_gives_nothing() -> None:
    assert not whitening(torch.zeros(3, 3, dtype=torch.float64), 0.0).any()


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def test_part_means_are_over_the_recipes_that_have_the_part(features: Features) -> None:
    rows = features.rows("train")
    batch = features.batch(rows, CCA.uses)
    vectors, mask = part_vectors(batch)
    means = part_means(
        lambda: iter([features.batch(rows[:99], CCA.uses), features.batch(rows[99:], CCA.uses)]), 16
    )
    for index in range(3):
        assert torch.allclose(means[index], vectors[mask[:, index], index].mean(0), atol=1e-6)
    assert not mask.all()


def test_a_missing_part_stands_at_its_mean(features: Features) -> None:
    method = CCA.build(features.dims, {"dim": 4}).fit(features)
    batch = features.batch(features.rows("val")[:5], method.uses)
    only_title = replace(
        batch, ingredients=None, ingredients_mask=None, instructions=None, instructions_mask=None
    )
    vector = method.recipe_vector(only_title).reshape(5, 3, 16)
    assert torch.equal(vector[:, 0], batch.title)
    for index in (1, 2):
        assert torch.equal(vector[:, index], method.part_means[index].expand(5, 16))


def test_the_average_is_over_the_parts_there_are(features: Features) -> None:
    method = CCA.build(features.dims, {"dim": 4, "text": "average"}).fit(features)
    batch = features.batch(features.rows("val"), method.uses)
    vectors, mask = part_vectors(batch)
    for row in range(len(batch)):
        assert torch.allclose(method.recipe_vector(batch)[row], vectors[row, mask[row]].mean(0), atol=1e-6)
    nothing = {f"{part}_mask": torch.zeros_like(getattr(batch, f"{part}_mask")) for part in PARTS}
    empty = method.recipe_vector(replace(batch, **nothing))
    assert torch.allclose(empty, method.part_means.mean(0).expand_as(empty), atol=1e-6)


@torch.no_grad()
def test_patches_add_up_to_their_photo(features: Features) -> None:
    method = CCA.build(features.dims, {"dim": 4}).fit(features)
    batch = features.batch(features.rows("val"), ("image", "patches"))
    shares = method.embed_patches(batch)
    assert shares.shape == (60, 4, 4)
    assert torch.allclose(shares.sum(1), method.image_tower(batch.patches.mean(1)), atol=1e-4)
    # The fixture's patches average to the photo, up to the rounding of float16.
    assert torch.allclose(F.normalize(shares.sum(1), dim=-1), method.embed_image(batch), atol=2e-3)
    assert not torch.allclose(shares[:, 0], shares[:, 1], atol=1e-2)


@torch.no_grad()
@pytest.mark.parametrize("text", TEXTS)
def test_words_add_up_to_their_recipe(text: str, features: Features) -> None:
    method = CCA.build(features.dims, {"dim": 4, "text": text}).fit(features)
    batch = features.batch(features.rows("val"), ("lines", "tokens"))
    shares = method.embed_words(batch)
    assert shares.shape == (*batch.words.shape[:2], 4)
    read = part_vectors(batch, method.parts)[1].any(1)
    assert bool(read.all()) == (text not in ("ingredients", "instructions"))
    expected = method.recipe_tower(method.recipe_vector(batch))
    assert torch.allclose(shares.sum(1)[read], expected[read], atol=1e-4)
    assert not shares[~batch.words_mask].any()
    others = ~torch.isin(batch.words_spans[..., 0], torch.tensor([PARTS.index(p) for p in method.parts]))
    assert not shares[others].any()


@torch.no_grad()
def test_a_word_s_share_is_its_own(features: Features) -> None:
    """Another state of one piece of a line of two moves the shares in that line, and in no other."""
    method = CCA.build(features.dims, {"dim": 4}).fit(features)
    batch = features.batch(features.rows("val")[1:2], ("lines", "tokens"))
    words = batch.words.clone()
    words[0, 0] += 3
    moved = (method.embed_words(replace(batch, words=words)) - method.embed_words(batch))[0].norm(dim=-1)
    assert len(moved) > 4
    assert moved[:2].min() > 0.01
    assert not moved[2:].any()


@pytest.mark.parametrize("part", PARTS)
def test_one_part_alone_is_fitted_where_it_is_there(part: str, features: Features) -> None:
    method = CCA.build(features.dims, {"dim": 4, "text": part, "ridge_image": 0.0, "ridge_recipe": 0.0})
    method.fit(features)
    assert method.recipe_tower.in_features == 16
    rows = features.rows("train", photo=True, text=True)
    batch = features.batch(rows, method.uses)
    vectors, mask = part_vectors(batch, (part,))
    there = mask[:, 0]
    assert bool(there.all()) == (part == "title")
    *_, rho = solve(batch.image[there].double(), vectors[there, 0].double(), k=4)
    with torch.no_grad():
        a = method.image_tower(batch.image[there])
    assert torch.allclose(a.std(0).double(), rho[:4] ** method.power, rtol=1e-3)


def test_a_part_that_no_recipe_has_is_an_error(write_features, tmp_path: Path) -> None:
    rows = [np.random.default_rng(k).standard_normal((1, 4)) for k in range(6)]
    parts = {"title": rows, "ingredients": rows, "instructions": [np.zeros((0, 4))] * 6}
    few = Features.open(write_features(tmp_path / "f", rows, parts))
    CCA.build(few.dims, {"dim": 2}).fit(few)
    with pytest.raises(UsageError, match="at least 2 recipes with a photo and instructions; train has 0"):
        CCA.build(few.dims, {"dim": 2, "text": "instructions"}).fit(few)


def test_it_learns_from_the_splits_it_is_told(features: Features, monkeypatch) -> None:
    read: set[str] = set()
    original = Features.batch

    def spy(self, rows, uses, **options):
        read.update(self.splits[rows].tolist())
        return original(self, rows, uses, **options)

    monkeypatch.setattr(Features, "batch", spy)
    CCA.build(features.dims, {"dim": 2}).fit(features)
    assert read == {"train"}
    CCA.build(features.dims, {"dim": 2}).fit(features, splits=("train", "val"))
    assert read == {"train", "val"}


def test_the_width_is_at_most_that_of_either_side() -> None:
    assert CCA.build(Dims(8, 4), {}).image_tower.out_features == 8
    assert CCA.build(Dims(8, 4), {"text": "title"}).image_tower.out_features == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"text": "titles"},
            "text='titles': choose one of concat, average, title, ingredients, instructions",
        ),
        ({"dim": 0}, "dim=0: must be at least 1"),
        ({"ridge_image": -1.0}, "ridge_image=-1.0"),
        ({"ridge_recipe": float("nan")}, "ridge_recipe=nan"),
        ({"power": -0.5}, "power=-0.5: must be a number from 0 up"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        CCA.build(Dims(8, 4), options)
