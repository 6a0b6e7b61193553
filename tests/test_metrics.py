import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor import metrics
from savor.errors import ProtocolError
from savor.metrics import TIE_RULES, contradicts, ranks, recall_at, summarise

# Small integers make ties common; floats hardly ever tie.
tables = st.integers(1, 7).flatmap(
    lambda n: st.lists(st.lists(st.integers(-2, 2), min_size=n, max_size=n), min_size=n, max_size=n)
)


def slow_ranks(scores, tie_rule):
    """Say the definition in loops, with nothing clever."""
    result = []
    for i, row in enumerate(scores):
        better = sum(1 for score in row if score > row[i])
        tied = sum(1 for j, score in enumerate(row) if j != i and score == row[i])
        result.append(1 + better + {"mean": tied / 2, "optimistic": 0, "pessimistic": tied}[tie_rule])
    return result


def test_hand_made_table():
    scores = [[9, 1, 2, 3], [5, 5, 5, 1], [8, 9, 7, 7], [4, 4, 4, 4]]
    assert ranks(scores).tolist() == [1, 2, 3.5, 2.5]
    assert ranks(scores, tie_rule="optimistic").tolist() == [1, 1, 3, 1]
    assert ranks(scores, tie_rule="pessimistic").tolist() == [1, 3, 4, 4]


def test_truth_columns_point_anywhere():
    scores = [[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]]
    assert ranks(scores, truth=[2, 0]).tolist() == [2, 1]


@pytest.mark.parametrize("tie_rule", TIE_RULES)
@pytest.mark.parametrize("kind", ["random", "tied", "constant", "perfect", "reversed"])
def test_equals_the_loops(kind, tie_rule):
    rng = np.random.default_rng(3)
    scores = {
        "random": rng.random((23, 23)),
        "tied": rng.integers(0, 4, (23, 23)),
        "constant": np.full((23, 23), 0.25),
        "perfect": np.eye(23),
        "reversed": -np.eye(23),
    }[kind]
    assert ranks(scores, tie_rule=tie_rule).tolist() == slow_ranks(scores.tolist(), tie_rule)


def test_constant_scores_are_chance_under_the_mean_rule_only():
    scores = np.zeros((200, 200))
    assert set(ranks(scores)) == {100.5}
    assert set(ranks(scores, tie_rule="optimistic")) == {1}
    assert set(ranks(scores, tie_rule="pessimistic")) == {200}


@given(tables, st.randoms(use_true_random=False))
def test_order_of_the_candidates_does_not_matter(table, random):
    columns = list(range(len(table)))
    random.shuffle(columns)
    shuffled = np.array(table)[:, columns]
    truth = [columns.index(i) for i in range(len(table))]
    assert ranks(shuffled, truth).tolist() == ranks(table).tolist()


@given(tables)
def test_rules_are_ordered_and_ranks_lie_in_the_pool(table):
    low, mid, high = (ranks(table, tie_rule=rule) for rule in ("optimistic", "mean", "pessimistic"))
    assert (low >= 1).all()
    assert (low <= mid).all()
    assert (mid <= high).all()
    assert (high <= len(table)).all()
    assert np.array_equal(low + high, 2 * mid)


@given(tables, st.sampled_from([0.25, 2.0, 1024.0]), st.integers(-3, 3))
def test_increasing_maps_change_nothing(table, factor, shift):
    assert ranks(np.array(table) * factor + shift).tolist() == ranks(table).tolist()


def test_summary_by_hand():
    assert summarise([1, 2, 4, 8]) == {
        "medR": 3.0,
        "MRR": (1 + 1 / 2 + 1 / 4 + 1 / 8) / 4,
        "R@1": 0.25,
        "R@5": 0.75,
        "R@10": 1.0,
    }


def test_a_tie_for_the_first_place_is_not_found_at_one():
    assert recall_at([1.5], 1) == 0
    assert recall_at([1.5], 2) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=25))
def test_integer_ranks_never_contradict_themselves(values):
    figures = summarise(values)
    assert not contradicts(figures["medR"], figures["R@1"])


def test_published_median_counted_from_zero_is_found_out():
    assert contradicts(1.0, 0.398)
    assert not contradicts(2.0, 0.398)
    assert not contradicts(1.0, 0.518)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_named(bad):
    with pytest.raises(ProtocolError, match=r"query 1 scores candidate 0 with (nan|inf|-inf)"):
        ranks([[1.0, 0.0], [bad, 1.0]])


@pytest.mark.parametrize("empty", [[], [[]], np.zeros((0, 3)), np.zeros(4)])
def test_nothing_to_rank(empty):
    with pytest.raises(ProtocolError, match="non-empty"):
        ranks(empty)


@pytest.mark.parametrize("truth", [[0], [0, 2], [-1, 0], [0.0, 1.0]])
def test_truth_outside_the_table(truth):
    with pytest.raises(ProtocolError, match="from 0 to 1"):
        ranks(np.eye(2), truth)


def test_more_queries_than_candidates_need_a_truth():
    with pytest.raises(ProtocolError, match="one true column per query"):
        ranks(np.zeros((3, 2)))


def test_unknown_tie_rule_lists_the_known():
    with pytest.raises(ProtocolError, match=r"'best' is unknown; use one of mean, optimistic, pessimistic"):
        ranks(np.eye(2), tie_rule="best")


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [[1.0]], [math.nan]])
def test_what_is_no_rank_is_refused(values):
    with pytest.raises(ProtocolError, match="are no ranks"):
        summarise(values)


def test_recall_at_nothing():
    with pytest.raises(ProtocolError, match="k starts at 1"):
        recall_at([1.0], 0)


def slow_replicates(values, queries, bootstrap, seed):
    """Pick queries one by one and repeat their ranks in every draw."""
    rng = np.random.default_rng(seed)
    names = sorted({name for row in queries for name in row})
    result = []
    for _ in range(bootstrap):
        picked = [names[i] for i in rng.integers(len(names), size=len(names))]
        by_draw = []
        for row, asked in zip(values, queries, strict=True):
            repeated = [
                rank for rank, name in zip(row, asked, strict=True) for _ in range(picked.count(name))
            ]
            by_draw.append(list(summarise(repeated).values()))
        result.append(np.mean(by_draw, axis=0))
    return np.array(result)


@pytest.mark.parametrize("seed", [0, 1])
def test_replicates_equal_the_loops_where_draws_overlap(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(2, 50, (3, 12)) / 2
    queries = np.stack([rng.permutation(list("abcdefghijklmnop"))[:12] for _ in range(3)])
    fast = metrics.bootstrap_replicates(values, queries, bootstrap=60, seed=seed)
    np.testing.assert_allclose(fast, slow_replicates(values, queries, 60, seed), rtol=1e-12)


def test_repeating_a_draw_adds_no_evidence():
    once = np.random.default_rng(0).integers(1, 40, (1, 200)).astype(float)
    queries = np.arange(200)[None]
    ten_times = metrics.bootstrap_replicates(np.tile(once, (10, 1)), np.tile(queries, (10, 1)))
    np.testing.assert_allclose(ten_times, metrics.bootstrap_replicates(once, queries))


def test_interval_of_a_recall_is_the_binomial_one():
    values = np.where(np.arange(400) < 120, 1.0, 9.0)[None]
    low, high = metrics.interval(metrics.bootstrap_replicates(values))[:, metrics.METRICS.index("R@1")]
    width = 2 * 1.96 * math.sqrt(0.3 * 0.7 / 400)
    assert low < 0.3 < high
    assert high - low == pytest.approx(width, rel=0.1)


def test_replicates_refuse_what_does_not_fit():
    with pytest.raises(ProtocolError, match="0 bootstrap samples"):
        metrics.bootstrap_replicates(np.ones((1, 3)), bootstrap=0)
    with pytest.raises(ProtocolError, match=r"\(draws, pool\)"):
        metrics.bootstrap_replicates(np.ones((1, 3)), np.ones((1, 2)))
    with pytest.raises(ProtocolError, match=r"\(draws, pool\)"):
        metrics.bootstrap_replicates(np.ones((0, 3)))
