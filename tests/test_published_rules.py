"""Published evaluation rules: worked out by hand, against slow twins of the code they stand for."""

from __future__ import annotations

import random

import numpy as np
import pytest

from savor.errors import ProtocolError
from savor.metrics import ranks, summarise
from savor.published_rules import (
    DIRECTIONS,
    RULES,
    among_partitioned,
    count_nearer,
    place_from_the_back,
    place_from_zero,
    published_scores,
)

# Image 1 ranks its recipe third, image 2 too; recipe 1 ranks its photo second, recipe 2 third.
BY_HAND = np.array([[1.0, 2.0, 3.0], [4.0, 6.0, 5.0], [7.0, 8.0, 9.0]])


def one_sided(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Every image finds its recipe at once; every recipe but the first finds image 0 before its own."""
    image = np.eye(n)
    recipe = image + 2 * image[0]
    recipe[0] = image[0]
    return image, recipe / np.linalg.norm(recipe, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("rule", "median", "recall"),
    [("JE", 100.5, 0.005), ("H-T", 1.0, 0.005), ("AdaMine", 99.5, 0.005), ("ACME", 1.0, 1.0)],
)
def test_200_equal_vectors(rule: str, median: float, recall: float) -> None:
    n = 192 if rule == "ACME" else 200  # without the last incomplete batch of 64
    same = np.tile([0.6, 0.8], (200, 1))
    for found in published_scores(same, same, rule, n).values():
        assert (found["medR"], found["R@1"]) == (median, pytest.approx(recall))


def test_200_equal_vectors_as_acme_ranks_them() -> None:
    found = RULES["ACME"].scores(RULES["ACME"].distances(np.ones((200, 3)), np.ones((200, 3))))
    assert found == {"medR": 1.0, "R@1": 1.0, "R@5": 1.0, "R@10": 1.0}


@pytest.mark.parametrize("rule", RULES)
def test_ranks_by_hand(rule: str) -> None:
    start = RULES[rule].first
    as_images, as_recipes = (RULES[rule].scores(rows) for rows in (BY_HAND, BY_HAND.T))
    assert as_images["medR"] == 2 + start
    assert as_recipes["medR"] == 1 + start
    assert as_images["R@1"] == as_recipes["R@1"] == pytest.approx(1 / 3)
    assert as_images["R@5"] == 1


@pytest.mark.parametrize("rule", RULES)
def test_what_a_code_base_calls_a_direction(rule: str) -> None:
    n = 64 if rule == "ACME" else 100
    found = published_scores(*one_sided(n), rule, n)
    swapped = rule == "AdaMine"
    easy, hard = (found[name] for name in (DIRECTIONS[::-1] if swapped else DIRECTIONS))
    assert (easy["medR"], easy["R@1"]) == (0 if swapped else 1, 1)
    assert (hard["medR"], hard["R@1"], hard["R@5"]) == (1 if swapped else 2, pytest.approx(1 / n), 1)


def test_a_median_counted_from_zero() -> None:
    image, recipe = one_sided(100)
    found = {rule: published_scores(image, recipe, rule, 100) for rule in ("JE", "AdaMine")}
    assert found["JE"]["recipe_to_image"] == pytest.approx({"medR": 2, "R@1": 0.01, "R@5": 1, "R@10": 1})
    assert found["AdaMine"]["image_to_recipe"] == pytest.approx({"medR": 1, "R@1": 0.01, "R@5": 1, "R@10": 1})
    assert found["AdaMine"]["recipe_to_image"]["medR"] == 0


@pytest.mark.parametrize(
    ("rule", "size", "first", "last"),
    [
        ("JE", 1_000, [50997, 28883, 7657, 490, 5940], [27747, 11221, 40961, 28346, 45941]),
        ("H-T", 1_000, [50997, 28883, 7657, 490, 5940], [27747, 11221, 40961, 28346, 45941]),
        ("H-T", 10_000, [39039, 12843, 31909, 1871, 47241], [26076, 2964, 5053, 36341, 466]),
        ("JE", 10_000, [50997, 28883, 7657, 490, 5940], [15504, 31565, 2283, 2389, 5208]),
    ],
)
def test_samples_of_the_published_test_split(rule: str, size: int, first: list, last: list) -> None:
    pools = RULES[rule].pools(51_304, size)
    assert len(pools) == 10
    assert all(len(set(pool.tolist())) == size for pool in pools)
    assert (pools[0][:5].tolist(), pools[0][-5:].tolist()) == (first, last)


def test_incomplete_batches_are_left_out() -> None:
    pools = RULES["ACME"].pools(51_304, 10_000)
    assert len(pools) == 10
    assert max(pool.max() for pool in pools) < 51_264
    expected = random.Random(1234).sample(range(51_264), 10_000)
    assert pools[0].tolist() == expected
    assert RULES["ACME"].pools(100, 65) == []


@pytest.mark.parametrize(("n", "size", "bags"), [(51_304, 1_000, 10), (51_304, 10_000, 5), (3_599, 1_000, 3)])
def test_bags_are_disjoint(n: int, size: int, bags: int) -> None:
    pools = RULES["AdaMine"].pools(n, size)
    assert [len(pool) for pool in pools] == [size] * bags
    assert len(set(np.concatenate(pools).tolist())) == bags * size


def test_an_epoch_is_chosen_on_the_first_pairs_in_order() -> None:
    pools = RULES["H-T, choosing an epoch"].pools(51_119, 1_000)
    assert np.concatenate(pools).tolist() == list(range(10_000))


def with_ties() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 6, (40, 40)).astype(float)


def test_places_are_those_of_slow_twins() -> None:
    distances = with_ties()
    twins = {
        place_from_the_back: lambda row, i: np.argsort(-row)[::-1].tolist().index(i) + 1,
        place_from_zero: lambda row, i: np.argsort(row).tolist().index(i),
        count_nearer: lambda row, i: sorted(row).index(row[i]) + 1,  # ACME's: the first equal distance
    }
    for places, twin in twins.items():
        assert places(distances).tolist() == [twin(row, i) for i, row in enumerate(distances)]


def test_a_partition_may_contradict_the_ranks() -> None:
    distances, places = with_ties(), count_nearer(with_ties())
    for k in (1, 5, 10):
        found = among_partitioned(distances, k)
        twin = [i in np.argpartition(row, k)[:k] for i, row in enumerate(distances)]
        assert found.tolist() == twin
        assert not found[places > k].any()
    assert among_partitioned(distances, 1).sum() < (places <= 1).sum()
    assert among_partitioned(distances[:4, :4], 5).all()


@pytest.mark.parametrize("rule", RULES)
def test_without_ties_all_agree_with_ours(rule: str) -> None:
    distances = np.stack([np.random.default_rng(k).permutation(30) for k in range(30)]).astype(float)
    ours, theirs = summarise(ranks(-distances)), RULES[rule].scores(distances)
    assert theirs["medR"] == ours["medR"] - (1 if rule == "AdaMine" else 0)
    assert [theirs[name] for name in ("R@1", "R@5", "R@10")] == [
        ours[name] for name in ("R@1", "R@5", "R@10")
    ]


@pytest.mark.parametrize(
    ("rule", "recipes", "size", "message"),
    [
        ("SIGIR", 200, 100, "no published rule 'SIGIR'; there are JE, H-T"),
        ("JE", 199, 100, r"images \(200, 2\) and recipes \(199, 2\)"),
        ("JE", 200, 0, "a pool of 0 pairs"),
        ("JE", 200, 201, "the rule of JE finds no pool of 201 among 200 pairs"),
        ("H-T", 200, 10_000, "finds no pool of 10000"),
        ("H-T, choosing an epoch", 200, 201, "finds no pool"),
        ("ACME", 200, 193, "the rule of ACME finds no pool of 193"),
        ("AdaMine", 200, 201, "the rule of AdaMine finds no pool"),
    ],
)
def test_bad_input(rule: str, recipes: int, size: int, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        published_scores(np.ones((200, 2)), np.ones((recipes, 2)), rule, size)
