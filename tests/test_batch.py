"""Batches: what is gathered from ragged columns is what a plain loop over lists would gather."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from savor.batch import Batch, Column, gather
from savor.errors import MethodError, OptionError


def column(*shards: list[list[list[float]]]) -> Column:
    """Make a column of shards, each a list of recipes, each a list of values."""
    width = 2
    parts = [
        np.array([v for recipe in shard for v in recipe], np.float16).reshape(-1, width) for shard in shards
    ]
    offsets = [np.cumsum([0, *(len(recipe) for recipe in shard)]) for shard in shards]
    return Column(parts, offsets)


PHOTOS = column([[[1, 1]], []], [[[2, 2], [3, 3], [4, 4]]])
LINES = column([[[1, 0], [2, 0]], []], [[[3, 0]]])


def test_padding_stands_behind_the_lines_and_under_a_false_mask() -> None:
    values, mask = LINES.padded(np.array([2, 0, 1]))
    assert values.tolist() == [[[3, 0], [0, 0]], [[1, 0], [2, 0]], [[0, 0], [0, 0]]]
    assert mask.tolist() == [[True, False], [True, True], [False, False]]


def test_without_a_single_line_there_is_one_masked_column() -> None:
    values, mask = LINES.padded(np.array([1]))
    assert values.tolist() == [[[0, 0]]]
    assert mask.tolist() == [[False]]


def test_the_first_photo_is_taken_unless_one_is_drawn() -> None:
    columns = {"image": PHOTOS}
    rows = np.array([2, 1, 0])
    first = gather(columns.__getitem__, "cba", rows, ("image",))
    assert first.image.tolist() == [[2, 2], [0, 0], [1, 1]]
    assert first.image_mask.tolist() == [True, False, True]
    seen = set()
    for seed in range(20):
        drawn = gather(columns.__getitem__, "cba", rows, ("image",), rng=np.random.default_rng(seed)).image
        assert drawn[1:].tolist() == [[0, 0], [1, 1]]
        seen.add(drawn[0, 0].item())
    assert seen == {2, 3, 4}


def test_image_and_patches_come_from_the_same_photo() -> None:
    patches = Column(
        [part[:, None].repeat(4, 1) for part in PHOTOS.parts], [np.array([0, 1, 1]), np.array([0, 3])]
    )
    columns = {"image": PHOTOS, "patches": patches}
    for seed in range(9):
        rng = np.random.default_rng(seed)
        batch = gather(columns.__getitem__, "a", np.array([2]), ("image", "patches"), rng=rng, grid=(2, 2))
        assert batch.grid == (2, 2)
        assert torch.equal(batch.patches, batch.image[:, None].repeat(1, 4, 1))


PIECES = {
    "words": Column.of(np.arange(24, dtype=np.float16).reshape(12, 2), np.array([9, 0, 3])),
    "words_spans": Column.of(np.arange(48, dtype=np.int32).reshape(12, 4), np.array([9, 0, 3])),
}


def pieces(rows: list[int], words: int, seed: int | None = None) -> Batch:
    rng = None if seed is None else np.random.default_rng(seed)
    ids = [str(row) for row in rows]
    return gather(PIECES.__getitem__, ids, np.array(rows), ("tokens",), words=words, rng=rng)


def test_of_a_long_recipe_an_evenly_spread_subset_of_its_words_is_read() -> None:
    batch = pieces([2, 0, 1], 4)
    assert batch.words_mask.tolist() == [[True] * 3 + [False], [True] * 4, [False] * 4]
    assert batch.words[:2, :, 0].tolist() == [[18, 20, 22, 0], [2, 6, 10, 14]]
    assert batch.words_spans[1, :, 0].tolist() == [4, 12, 20, 28]


@pytest.mark.parametrize("words", [0, 9, 100])
def test_without_a_limit_or_below_it_every_word_is_read(words: int) -> None:
    for seed in (None, 1):
        assert pieces([0, 2], words, seed).words[0, :, 0].tolist() == list(range(0, 18, 2))


@given(words=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_random_subset_keeps_the_order_and_the_spans_of_its_words(words: int, seed: int) -> None:
    batch = pieces([0, 1, 2], words, seed)
    for row, count in enumerate((9, 0, 3)):
        kept = batch.words[row][batch.words_mask[row]][:, 0]
        assert len(kept) == min(words, count)
        assert (kept.diff() > 0).all()
        assert torch.equal(batch.words_spans[row][batch.words_mask[row]][:, 0].float(), 2 * kept)


def test_random_subsets_reach_every_word_and_follow_the_seed() -> None:
    drawn = [pieces([0], 2, seed).words[0, :, 0].tolist() for seed in range(40)]
    assert {place for one in drawn for place in one} == set(range(0, 18, 2))
    assert drawn == [pieces([0], 2, seed).words[0, :, 0].tolist() for seed in range(40)]


def test_a_negative_number_of_words_is_refused() -> None:
    with pytest.raises(OptionError, match=r"words=-1: must be 0 \(all"):
        pieces([0], -1)


def test_only_what_is_used_is_read() -> None:
    def refuse(name: str) -> Column:
        raise AssertionError(f"{name} was read")

    assert gather(refuse, "ab", np.array([0, 1]), ()) == Batch(ids=("a", "b"))


def test_an_unknown_use_is_named() -> None:
    with pytest.raises(MethodError, match="'smell'; known: image, patches, lines"):
        gather(lambda name: PHOTOS, "a", np.array([0]), ("smell",))


def test_a_batch_moves_with_all_its_tensors() -> None:
    batch = gather({"image": PHOTOS}.__getitem__, "a", np.array([0]), ("image",)).to("meta")
    assert {batch.image.device.type, batch.image_mask.device.type} == {"meta"}
    assert (len(batch), batch.ids, batch.title) == (1, ("a",), None)


ragged = st.lists(
    st.lists(st.lists(st.integers(-9, 9), min_size=2, max_size=2), max_size=3), min_size=1, max_size=5
)


@given(st.lists(ragged, min_size=1, max_size=4), st.data())
def test_many_shards_equal_one_list(shards: list[list[list[list[float]]]], data: st.DataObject) -> None:
    recipes = [recipe for shard in shards for recipe in shard]
    rows = np.array(data.draw(st.lists(st.integers(0, len(recipes) - 1), max_size=6)), np.int64)
    values, mask = column(*shards).padded(rows)
    longest = max([1, *(len(recipes[row]) for row in rows)])
    assert values.shape == (len(rows), longest, 2)
    for row, vectors, there in zip(rows, values, mask, strict=True):
        assert there.tolist() == [k < len(recipes[row]) for k in range(longest)]
        assert vectors[there].tolist() == recipes[row]
        assert not vectors[~there].any()
