"""Layers: missing lines and parts never count, and an augmentation never takes everything."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as examples
from hypothesis import strategies as st

from savor.batch import Batch
from savor.errors import MethodError
from savor.layers import Standardise, given, masked_mean, part_vectors, projector, unit


def batch(**changes) -> Batch:
    """Two recipes: a title and two ingredients; one ingredient and nothing else."""
    fields = {
        "title": torch.tensor([[1.0, 1.0], [0.0, 0.0]]),
        "title_mask": torch.tensor([True, False]),
        "ingredients": torch.tensor([[[2.0, 0.0], [4.0, 2.0]], [[5.0, 5.0], [9.0, 9.0]]]),
        "ingredients_mask": torch.tensor([[True, True], [True, False]]),
    }
    return Batch(ids=("a", "b"), **{**fields, **changes})


def test_a_field_that_must_be_there() -> None:
    here = torch.zeros(1)
    assert given(here, "image") is here
    with pytest.raises(MethodError, match="holds no image"):
        given(None, "image")


@examples(st.integers(1, 4), st.integers(1, 5), st.integers(0, 10**6))
def test_masked_mean_is_the_mean_of_what_is_there(rows: int, lines: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, lines, 3, generator=generator, dtype=torch.float64)
    mask = torch.rand(rows, lines, generator=generator) < 0.5
    result = masked_mean(values, mask)
    for row in range(rows):
        some = [values[row, line] for line in range(lines) if mask[row, line]]
        expected = sum(some) / len(some) if some else torch.zeros(3, dtype=torch.float64)
        assert torch.allclose(result[row], expected)


def test_part_vectors_are_means_and_absent_parts_are_missing() -> None:
    vectors, mask = part_vectors(batch())
    assert vectors.tolist() == [[[1, 1], [3, 1], [0, 0]], [[0, 0], [5, 5], [0, 0]]]
    assert mask.tolist() == [[True, True, False], [False, True, False]]
    vectors, mask = part_vectors(batch(), ("instructions", "ingredients"))
    assert mask.tolist() == [[False, True], [False, True]]


def test_no_part_at_all_is_an_error() -> None:
    with pytest.raises(MethodError, match="none of instructions"):
        part_vectors(batch(), ("instructions",))


def test_standardise_learns_mean_and_spread_over_batches() -> None:
    values = 1000 + 3 * torch.randn(500, 4)
    layer = Standardise(4)
    layer.learn(values.split(64))
    assert torch.allclose(layer.mean, values.double().mean(0).float())
    assert torch.allclose(layer.spread, values.double().std(0, correction=0).float(), rtol=1e-4)
    standard = layer(values)
    assert standard.mean(0).abs().max() < 1e-3
    assert (standard.std(0) - 1).abs().max() < 0.01
    assert not list(layer.parameters())
    assert set(layer.state_dict()) == {"mean", "spread"}


@pytest.mark.parametrize("constant", [0.0, 0.1, -3.7, 1234.567, 60000.1])
def test_a_constant_input_keeps_spread_1(constant: float) -> None:
    layer = Standardise(2)
    layer.learn(torch.full((10_007, 2), constant).split(500))
    assert layer.spread.tolist() == [1, 1]
    assert layer(torch.full((1, 2), constant)).abs().max() < 1e-2


def test_projector_shapes() -> None:
    assert projector(5, 7, 3, 0.1)(torch.randn(4, 5)).shape == (4, 3)


def test_unit_rows_are_precise_whatever_the_input() -> None:
    rows = torch.randn(6, 100)
    assert torch.equal(unit(rows), torch.nn.functional.normalize(rows, dim=-1))
    assert (unit(rows.bfloat16()).norm(dim=-1) - 1).abs().max() < 1e-6
    assert unit(rows.double()).dtype == torch.float64
    assert unit(torch.zeros(1, 3)).tolist() == [[0, 0, 0]]
