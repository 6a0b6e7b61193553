"""Layers: missing lines and parts never count, and an augmentation never takes everything."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as examples
from hypothesis import strategies as st

from savor.batch import Batch
from savor.errors import MethodError
from savor.layers import (
    Dropout,
    Hubs,
    LastState,
    LineLSTMs,
    SequenceEncoder,
    Standardise,
    WordSums,
    drawn,
    given,
    masked_mean,
    part_vectors,
    projector,
    unit,
)
from savor.recipe import PARTS, Recipe


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


@pytest.mark.parametrize("both_ways", [False, True])
@examples(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    before=st.integers(0, 2),
    behind=st.integers(0, 2),
    seed=st.integers(0, 10**6),
)
def test_the_last_state_is_that_of_each_sequence_alone(
    both_ways: bool, lengths: list[int], before: int, behind: int, seed: int
) -> None:
    torch.manual_seed(seed)
    encoder = LastState(3, 5, both_ways=both_ways)
    longest = max(lengths) + before + behind + 1
    places = torch.arange(longest)
    mask = torch.stack([(places >= before) & (places < before + length) for length in lengths])
    values = torch.randn(len(lengths), longest, 3).masked_fill(~mask[..., None], 77.0)
    states = encoder(values, mask)
    assert states.shape == (len(lengths), encoder.width)
    for state, row, inside in zip(states, values, mask, strict=True):
        if inside.any():
            _, (last, _) = encoder.lstm(row[inside][None])
            assert torch.allclose(state, last[:, 0].flatten(), atol=1e-6)
        else:
            assert not state.any()


def test_the_order_of_steps_matters_and_precision_is_kept() -> None:
    encoder = LastState(3, 5)
    values, mask = torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    states = encoder(values, mask)
    assert not torch.allclose(states, encoder(values.flip(1), mask), atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder(values, mask), states)


def test_line_lstms_read_steps_and_ingredients_but_no_title() -> None:
    encoder = LineLSTMs(4, ingredients=2, instructions=3)
    assert encoder.width == 7
    lines = {
        "ingredients": torch.randn(2, 3, 4),
        "ingredients_mask": torch.tensor([[True, True, False], [False] * 3]),
    }
    steps = {"instructions": torch.randn(2, 2, 4), "instructions_mask": torch.ones(2, 2, dtype=torch.bool)}
    title = {"title": torch.ones(2, 4), "title_mask": torch.ones(2, dtype=torch.bool)}
    states = encoder(Batch(("a", "b"), **lines, **steps))
    assert states.shape == (2, 7)
    assert states[0].all()
    assert not states[1, 3:].any()
    alone = encoder(Batch(("a", "b"), **steps))
    assert torch.equal(alone[:, :3], states[:, :3])
    assert not alone[:, 3:].any()
    assert not encoder(Batch(("a", "b"), **title)).any()
    with pytest.raises(MethodError, match="this batch holds no lines"):
        encoder(Batch(("a", "b")))


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_scales_the_others(share: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    values = torch.ones(401, 503, dtype=kind, requires_grad=True)
    dropout = Dropout(share)
    found = dropout(values)
    assert found.dtype == kind
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - share)], rel=0.01)
    dropped = (found == 0).float()
    assert dropped.mean().item() == pytest.approx(share, abs=0.005)
    assert dropped.mean(0).var().item() == pytest.approx(share * (1 - share) / 401, rel=0.2)
    found.sum().backward()
    assert torch.equal(values.grad, found)
    assert not torch.equal(dropout(values), found)
    torch.manual_seed(0)
    assert torch.equal(dropout(values), found)
    assert dropout.eval()(values) is values
    assert not Dropout(1.0)(values).any()


@pytest.mark.parametrize("norm_first", [True, False])
def test_sequences_are_encoded_as_if_each_were_alone(norm_first: bool) -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 2, 12, 0.1, norm_first=norm_first, longest=5).eval()
    table, lengths = torch.randn(9, 8), [3, 0, 7, 1, 6, 3, 7]
    ids = torch.full((7, 8), -1)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(9, (length,))
    found = encoder(table, ids)
    with torch.autocast("cpu", torch.bfloat16):  # where sequences of zeros fill up
        assert torch.allclose(encoder(table, ids), found, atol=0.05)
    for row, length in enumerate(lengths):
        places = encoder.places[torch.arange(length).clamp(max=4)]  # from the fifth on one and the same
        expected = (
            torch.zeros(8)
            if not length
            else encoder.encoder((table[ids[row, :length]] + places)[None])[0].mean(0)
        )
        assert torch.allclose(found[row], expected, atol=1e-5)
    assert encoder(table, ids[:0]).shape == (0, 8)
    assert not encoder(table, torch.full((2, 3), -1)).any()
    later = encoder(table, ids, torch.arange(1, 9).expand_as(ids))
    assert not torch.allclose(later[3], found[3], atol=1e-3)


@pytest.mark.parametrize("bf16", [False, True])
def test_gradients_reach_the_rows_that_were_read(bf16: bool) -> None:
    encoder = SequenceEncoder(8, 2, 1, 12, 0.0)
    table = torch.randn(4, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        encoder(table, torch.tensor([[0, 2, -1], [2, 2, 0]])).square().sum().backward()
    assert table.grad.any(1).tolist() == [True, False, True, False]
    assert encoder.places.grad.any(1).tolist() == [True] * 3 + [False] * 47


@examples(
    st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(1, 5)
)
def test_lines_are_drawn_from_those_there_are(rows: list[list[bool]], most: int) -> None:
    mask = torch.tensor(rows)
    kept = drawn(mask, most)
    assert not (kept & ~mask).any()
    assert kept.sum(1).tolist() == mask.sum(1).clamp(max=most).tolist()


@examples(st.integers(1, 12), st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_hubs_take_the_mean_of_the_nearest_from_both_sides(
    kept: int, nearest: int, rows: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, recipe, photos, recipes = (
        unit(torch.randn(n, 7, generator=generator)) for n in (kept, kept, rows, rows + 1)
    )
    hubs = Hubs(7, 12, nearest)
    hubs.learn(image, recipe)
    found = hubs.photos(photos) @ hubs.recipes(recipes).T
    for i, photo in enumerate(photos):
        for j, other in enumerate(recipes):
            to_recipes = sorted(float(photo @ one) for one in recipe)[-nearest:]
            to_photos = sorted(float(other @ one) for one in image)[-nearest:]
            expected = float(photo @ other)
            for near in (to_recipes, to_photos):
                expected -= sum(near) / len(near) / 2
            assert found[i, j].item() == pytest.approx(expected / 3, abs=2e-3)  # kept in half precision
    for side in (hubs.photos(photos), hubs.recipes(recipes)):
        assert torch.allclose(side.norm(dim=1), torch.ones(len(side)), atol=1e-5)


def test_hubs_change_no_order_before_they_are_learned() -> None:
    vectors = unit(torch.randn(4, 5))
    hubs = Hubs(5, 3)
    assert torch.allclose(hubs.photos(vectors) @ hubs.recipes(vectors).T, vectors @ vectors.T / 3, atol=1e-6)


def test_a_hub_no_longer_comes_before_the_right_answer() -> None:
    photo, own, hub = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.8, 0.6]]), torch.tensor([[0.9, -0.4359]])
    assert (photo @ hub.T).item() > (photo @ own.T).item()
    hubs = Hubs(2, 4, nearest=2)
    hubs.learn(torch.tensor([[0.9, -0.4359], [0.8, -0.6]]), torch.zeros(2, 2))
    found = hubs.photos(photo) @ torch.cat([hubs.recipes(own), hubs.recipes(hub)]).T
    assert found[0, 0] > found[0, 1]


def test_words_are_summed_over_the_root_of_their_number() -> None:
    torch.manual_seed(0)
    sums = WordSums(["title", "ingredients"], 5, min_count=2, dropout=0.5)
    recipe = Recipe("a", title="Salt and pepper", ingredients=["salt and sugar", "sugar, pepper"])
    sums.learn([recipe, Recipe("b", title="A cake", instructions=["cake"])])
    assert sums.embedding.vocabulary.words[3:-1] == ("and", "pepper", "salt", "sugar")
    table, ids = sums.embedding.weight, torch.tensor(sums.tokenize(["pepper and salt", "sugar salt salt"]))
    mask = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    ids = torch.cat([ids, ids[:1]])
    found = sums.eval()(ids, mask)
    assert torch.allclose(found[0], table[ids[0]].sum(0) / 3**0.5)
    assert torch.allclose(found[1], table[ids[1, [0, 2]]].sum(0) / 2**0.5)
    assert not found[2].any()
    found.sum().backward()
    assert sums.embedding.weight.grad[ids[0]].abs().min() > 0


def test_words_are_left_out_while_training_alone() -> None:
    torch.manual_seed(0)
    sums = WordSums(PARTS, 1, min_count=1, dropout=0.25)
    torch.nn.init.ones_(sums.embedding.weight)
    ids = torch.zeros(2, 4000, dtype=torch.long)
    with torch.no_grad():
        kept = sums(ids, torch.ones_like(ids, dtype=torch.bool)).square() / 4000  # n / sqrt(n), squared
        assert ((kept - 0.75).abs() < 0.03).all()
        assert kept[0] != kept[1]
        every = sums.eval()(ids, torch.ones_like(ids, dtype=torch.bool)).square() / 4000
    assert torch.allclose(every, torch.ones(2, 1))
