import dataclasses

import numpy as np
import pytest

from savor.compare import PAIRED_METRICS, Difference, ahead, compare_queries, paired_difference
from savor.errors import ProtocolError
from savor.evaluation import DIRECTIONS, Protocol, evaluate
from savor.metrics import median_rank, recall_at


def some_ranks(n=400, seed=0):
    return np.ceil(np.random.default_rng(seed).exponential(20, n)).astype(float)


def test_difference_is_that_of_the_metrics_and_better_is_positive():
    better, worse = some_ranks(), some_ranks() + 3
    found = paired_difference(better, worse)
    assert tuple(found) == PAIRED_METRICS
    assert found["-medR"].mean == median_rank(worse) - median_rank(better) == 3
    assert found["R@5"].mean == pytest.approx(recall_at(better, 5) - recall_at(worse, 5))
    assert all(value.low <= value.mean <= value.high for value in found.values())


def test_pairing_sees_what_the_separate_intervals_do_not():
    better, worse = some_ranks(), some_ranks() + 1
    assert ahead(better, worse, "-medR")
    assert not ahead(worse, better, "-medR")
    unpaired = paired_difference(better, np.random.default_rng(1).permutation(worse))
    assert not unpaired["-medR"].ahead


def test_swapping_turns_the_sign():
    a, b = some_ranks(seed=1), some_ranks(seed=2)
    there, back = paired_difference(a, b), paired_difference(b, a)
    for name in PAIRED_METRICS:
        assert there[name].mean == pytest.approx(-back[name].mean)
        assert there[name].low == pytest.approx(-back[name].high)


def test_nobody_is_ahead_of_himself():
    a = some_ranks()
    assert set(paired_difference(a, a).values()) == {Difference(0.0, 0.0, 0.0)}
    assert not any(ahead(a, a, name) for name in PAIRED_METRICS)


def test_chance_is_called_ahead_about_as_often_as_promised():
    false_alarms = sum(
        ahead(some_ranks(150, seed), some_ranks(150, 1000 + seed), "MRR", bootstrap=200)
        for seed in range(120)
    )
    assert false_alarms <= 10  # 2.5 % on one side: 3 expected


def test_unknown_metric_and_other_queries_are_refused():
    with pytest.raises(ProtocolError, match="use one of -medR, MRR, R@1, R@5, R@10"):
        ahead([1.0], [1.0], "medR")
    with pytest.raises(ProtocolError, match=r"\(1, 3\) and \(1, 2\)"):
        paired_difference([1.0, 2.0, 3.0], [1.0, 2.0])


@pytest.fixture
def two_evaluations():
    rng = np.random.default_rng(0)
    meaning = rng.standard_normal((60, 16))

    def unit(noise):
        rows = meaning + noise * rng.standard_normal((60, 16))
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    plan, ids = Protocol("some", 40, 5), [f"r{i}" for i in range(60)]
    good = evaluate(unit(0.2), unit(0.2), ids=ids, protocol=plan)
    poor = evaluate(unit(2.0), unit(2.0), ids=ids, protocol=plan)
    return good.queries, poor.queries


def test_two_evaluations_in_both_directions(two_evaluations):
    good, poor = two_evaluations
    found = compare_queries(good, poor)
    assert tuple(found) == DIRECTIONS
    assert all(found[direction]["MRR"].ahead for direction in DIRECTIONS)
    again = compare_queries(good, poor)
    assert again == found


def test_evaluations_of_something_else_are_refused(two_evaluations):
    good, poor = two_evaluations
    with pytest.raises(ProtocolError, match="tie rule 'mean', the other 'optimistic'"):
        compare_queries(good, dataclasses.replace(poor, tie_rule="optimistic"))
    with pytest.raises(ProtocolError, match="protocol 'some', the other 'full'"):
        compare_queries(good, dataclasses.replace(poor, protocol="full"))
    renamed = np.char.add(poor.ids, "x")
    with pytest.raises(ProtocolError, match="rank different pairs"):
        compare_queries(good, dataclasses.replace(poor, ids=renamed))
