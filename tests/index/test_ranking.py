"""Ranking: the best rows in order, whatever the filter, and looks that settle a beginning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.index import Match
from savor.index.ranking import Vectors, in_looks, top_k, unit


def one(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


vectors = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=n, max_size=n)
)


@given(vectors, st.tuples(*[st.integers(-2, 2)] * 3).filter(any), st.integers(1, 50), st.data())
def test_the_best_come_first_equal_ones_in_order_and_a_longer_answer_begins_with_the_shorter(
    rows, query, k, data
):
    matrix = np.stack([one(*row) for row in rows])
    among = data.draw(st.none() | st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    among = None if among is None else np.flatnonzero(among)
    found, scores = top_k(matrix, one(*query), k, among)
    exactly = [float((row.astype(np.float64) * one(*query)).sum()) for row in matrix]
    passing = range(len(rows)) if among is None else among.tolist()
    assert found.tolist() == sorted(passing, key=lambda row: (-exactly[row], row))[:k]
    assert scores.tolist() == [exactly[row] for row in found]
    shorter, _ = top_k(matrix, one(*query), max(1, k // 3), among)
    assert found[: len(shorter)].tolist() == shorter.tolist()


@pytest.mark.parametrize("share", [1, 0.5, 0.01])
def test_equal_vectors_tie_wherever_they_stand(share):
    noise = np.random.default_rng(0).normal(size=(1000, 333)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    same = [3, 70, 501, 999]
    noise[same] = noise[3]
    among = np.random.default_rng(1).random(1000) < share
    among[same] = True
    rows, scores = top_k(noise, noise[3], 4, np.flatnonzero(among))
    assert rows.tolist() == same
    assert len(set(scores.tolist())) == 1


@pytest.fixture(scope="module", params=["clusters", "everywhere", "line"])
def many(request):
    """Vectors in clusters of few directions, in all directions alike, and along one line."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((20_000, 256)).astype(np.float32)
    spread = {"clusters": 0.9 ** np.arange(256), "everywhere": np.ones(256), "line": 0.01 * np.ones(256)}
    centres = 3 * rng.standard_normal((200, 256))[rng.integers(200, size=len(noise))]
    vectors = (noise + (centres if request.param == "clusters" else 0)) * spread[request.param]
    vectors[:, 0] += 2
    vectors[700:740] = vectors[700]
    return request.param, Vectors(unit(vectors))


@pytest.mark.parametrize("share", [None, 0.5, 0.01])
def test_a_first_look_at_some_directions_changes_no_answer(many, share):
    name, vectors = many
    rng = np.random.default_rng(6)
    mask = None if share is None else rng.random(len(vectors.unit)) < share
    among = None if mask is None else np.flatnonzero(mask)
    noise = rng.standard_normal((12, 256)) / 16
    near = [*vectors.unit[rng.integers(20_000, size=10)], vectors.unit[700], np.zeros(256)]
    for query in unit(np.array(near) + np.linspace(0, 2, 12)[:, None] * noise):
        for k in (1, 10, 64, 65):
            right = top_k(vectors.unit, query, k, among)
            assert [part.tolist() for part in vectors.nearest(query, k, mask)] == [
                part.tolist() for part in right
            ]
    left = vectors._candidates(vectors._head, unit(noise[:1] + vectors.unit[5])[0], None)
    assert (left is None) == (name != "clusters")


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
