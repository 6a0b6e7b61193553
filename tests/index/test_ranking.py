"""Ranking: the best rows in order, whatever the filter, and looks that settle a beginning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.index import Match
from savor.index.ranking import in_looks, top_k, top_k_each


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


vectors = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=n, max_size=n)
)


@given(vectors, st.tuples(*[st.integers(-2, 2)] * 3).filter(any), st.integers(1, 50), st.data())
def test_the_best_come_first_equal_ones_in_order_and_a_longer_answer_begins_with_the_shorter(
    rows, query, k, data
):
    matrix = np.stack([unit(*row) for row in rows])
    among = data.draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    among = None if among is None else np.array(among)
    found, scores = top_k(matrix, unit(*query), k, among)
    exactly = [float((row.astype(np.float64) * unit(*query)).sum()) for row in matrix]
    passing = [row for row in range(len(rows)) if among is None or among[row]]
    assert found.tolist() == sorted(passing, key=lambda row: (-exactly[row], row))[:k]
    assert scores.tolist() == [exactly[row] for row in found]
    shorter, _ = top_k(matrix, unit(*query), max(1, k // 3), among)
    assert found[: len(shorter)].tolist() == shorter.tolist()


@pytest.mark.parametrize("share", [None, 1, 0.5, 0.01, 0])
def test_several_queries_together_are_answered_as_one_by_one(share):
    rng = np.random.default_rng(0)
    matrix, queries = (rng.integers(-2, 3, (rows, 6)) + 0.5 for rows in (500, 4))
    matrix, queries = (
        (one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for one in (matrix, queries)
    )
    among = None if share is None else rng.random(500) < share
    together = top_k_each(matrix, queries, 20, among)
    assert len(together) == 4
    for (rows, scores), query in zip(together, queries, strict=True):
        alone, exactly = top_k(matrix, query, 20, among)
        assert (rows.tolist(), scores.tolist()) == (alone.tolist(), exactly.tolist())


@pytest.mark.parametrize("share", [1, 0.5, 0.01])
def test_equal_vectors_tie_wherever_they_stand(share):
    noise = np.random.default_rng(0).normal(size=(1000, 333)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    same = [3, 70, 501, 999]
    noise[same] = noise[3]
    among = np.random.default_rng(1).random(1000) < share
    among[same] = True
    rows, scores = top_k(noise, noise[3], 4, among)
    assert rows.tolist() == same
    assert len(set(scores.tolist())) == 1


@given(st.permutations(range(300)), st.integers(1, 400), st.integers(1, 400), st.integers(0, 40))
def test_an_answer_in_looks_is_a_beginning_of_one_list_though_the_engine_errs(order, k, fewer, blur):
    """The engine knows the order only to within some places, so that what is near its end comes and goes."""

    def look(depth):
        taken = sorted(range(300), key=lambda place: place + order[place] * blur / 300)[:depth]
        return [Match(-place, f"{place:03d}") for place in sorted(taken)], depth >= 300

    answer = in_looks(look, k)
    assert len(answer) == len(set(answer)) == min(k, 300)
    assert in_looks(look, fewer)[: len(answer)] == answer[:fewer]
    if k <= 24:
        assert [int(match.recipe_id) for match in answer] == list(range(k))
