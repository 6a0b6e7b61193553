import doctest
import json
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from savor import evaluation
from savor.errors import ProtocolError
from savor.evaluation import DIRECTIONS, PROTOCOLS, Protocol, QueryRanks, evaluate, protocol
from savor.metrics import METRICS, ranks


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def related(n, d=16, noise=0.7, seed=0):
    """Return image and recipe rows that find each other most of the time."""
    rng = np.random.default_rng(seed)
    meaning = rng.standard_normal((n, d))
    return tuple(unit(meaning + noise * rng.standard_normal((n, d))) for _ in range(2))


def with_duplicates(n, d=64):
    """Return rows of which every third recipe and every fourth image stands there twice or more."""
    image, recipe = related(n, d)
    recipe[::3] = recipe[0]
    image[::4] = image[1]
    return image, recipe


# Draws


def test_golden_draws_of_the_published_evaluation():
    first = protocol("1k").draw(51304)[0].tolist()
    assert (first[:5], first[-5:]) == (
        [50997, 28883, 7657, 490, 5940],
        [27747, 11221, 40961, 28346, 45941],
    )
    first = protocol("10k").draw(51304)[0].tolist()
    assert (first[:5], first[-5:]) == (
        [50997, 28883, 7657, 490, 5940],
        [15504, 31565, 2283, 2389, 5208],
    )


def test_golden_draw_that_follows_ten_others():
    rng = random.Random(1234)
    for _ in range(10):
        rng.sample(range(51304), 1000)
    drawn = rng.sample(range(51304), 10000)
    assert drawn[:5] == [39039, 12843, 31909, 1871, 47241]
    assert drawn[-5:] == [26076, 2964, 5053, 36341, 466]


@pytest.mark.parametrize(("name", "pool"), [("1k", 1000), ("10k", 10000)])
def test_sampled_pools(name, pool):
    draws = protocol(name).draw(12000)
    assert [len(set(rows.tolist())) for rows in draws] == [pool] * 10
    assert len({tuple(rows.tolist()) for rows in draws}) == 10
    again = protocol(name).draw(12000)
    assert all(np.array_equal(a, b) for a, b in zip(draws, again, strict=True))


@pytest.mark.parametrize(
    ("name", "n", "bags", "pool"),
    [
        ("adamine-1k", 51304, 10, 1000),
        ("adamine-1k", 3500, 3, 1000),
        ("adamine-10k", 51304, 5, 10000),
        ("adamine-10k", 19999, 1, 10000),
    ],
)
def test_bags_are_disjoint_and_as_many_as_fit(name, n, bags, pool):
    draws = protocol(name).draw(n)
    assert [len(rows) for rows in draws] == [pool] * bags
    assert len(set(np.concatenate(draws).tolist())) == bags * pool


@pytest.mark.parametrize("name", ["1k", "adamine-1k", "full"])
def test_pool_of_the_whole_split_is_drawn_once(name):
    draws = protocol(name).draw(1000)
    assert len(draws) == 1
    assert sorted(draws[0].tolist()) == list(range(1000))


@pytest.mark.parametrize("name", ["1k", "adamine-1k"])
def test_pool_larger_than_the_split(name):
    with pytest.raises(
        ProtocolError, match=r"pool of 1000 pairs, but the split has 999; use --protocol full"
    ):
        protocol(name).draw(999)


def test_unknown_protocol_lists_the_known():
    with pytest.raises(
        ProtocolError, match="'5k' is unknown; use one of full, 1k, 10k, adamine-1k, adamine-10k"
    ):
        protocol("5k")
    assert {name: plan.name for name, plan in PROTOCOLS.items()} == {name: name for name in PROTOCOLS}


# Ranks


@pytest.mark.parametrize("tie_rule", ["mean", "optimistic", "pessimistic"])
def test_equals_ranks_of_the_whole_table(tie_rule):
    image, recipe = related(300)
    scores = image @ recipe.T
    report = evaluate(image, recipe, tie_rule=tie_rule)
    assert np.array_equal(report.ranks["image_to_recipe"][0], ranks(scores, tie_rule=tie_rule))
    assert np.array_equal(report.ranks["recipe_to_image"][0], ranks(scores.T, tie_rule=tie_rule))


def test_swapping_the_sides_swaps_the_directions():
    image, recipe = with_duplicates(301)
    there, back = evaluate(image, recipe), evaluate(recipe, image)
    assert np.array_equal(there.ranks["image_to_recipe"], back.ranks["recipe_to_image"])
    assert np.array_equal(there.ranks["recipe_to_image"], back.ranks["image_to_recipe"])


@pytest.mark.parametrize("rows_at_once", [1, 7, 254, 256, 777])
@pytest.mark.parametrize("d", [16, 512])
def test_block_size_does_not_matter(rows_at_once, d):
    image, recipe = with_duplicates(777, d)
    whole = evaluation._count(image, recipe)
    blocks = evaluation._count(image, recipe, block_bytes=4 * 777 * rows_at_once)
    for direction in DIRECTIONS:
        assert np.array_equal(whole[direction], blocks[direction])


@pytest.mark.parametrize("n", [2, 17, 255, 256, 513, 1021])
@pytest.mark.parametrize("d", [3, 64, 512, 1024])
def test_duplicates_tie_wherever_they_stand(n, d):
    one = unit(np.random.default_rng(n).standard_normal((1, d)))
    image = unit(one + 0.1)
    report = evaluate(np.repeat(image, n, axis=0), np.repeat(one, n, axis=0), bootstrap=10)
    for direction in DIRECTIONS:
        assert set(report.ranks[direction].ravel()) == {1 + (n - 1) / 2}


def test_duplicate_recipes_share_a_half_rank():
    image = unit(np.eye(40, 64))
    recipe = image.copy()
    recipe[33] = image[33] = image[5]
    report = evaluate(image, recipe)
    expected = np.ones(40)
    expected[[5, 33]] = 1.5
    for direction in DIRECTIONS:
        assert np.array_equal(report.ranks[direction][0], expected)
        assert report.results[direction].values["R@1"] == 38 / 40


@given(st.integers(2, 40), st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_rows_does_not_matter(n, seed):
    image, recipe = related(n, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(n)
    ids = np.array([f"{i:03}" for i in range(n)])
    plain = evaluate(image, recipe, ids=ids, bootstrap=5)
    mixed = evaluate(image[shuffled], recipe[shuffled], ids=ids[shuffled], bootstrap=5)
    assert np.array_equal(plain.queries.ids, mixed.queries.ids)
    assert plain.to_json() == mixed.to_json()


def test_draws_are_made_from_ids_sorted_by_code_point():
    image, recipe = related(30)
    ids = ["é", "z", "Z", "a", *(f"m{i}" for i in range(26))]
    plan = Protocol("small", 10, 3)
    report = evaluate(image, recipe, ids=ids, protocol=plan)
    in_order = sorted(ids)
    assert in_order[0] == "Z"
    assert in_order[-1] == "é"
    for drawn, positions, found in zip(
        report.queries.ids, plan.draw(30), report.ranks["image_to_recipe"], strict=True
    ):
        assert drawn.tolist() == [in_order[i] for i in positions]
        rows = [ids.index(name) for name in drawn]
        assert np.array_equal(found, ranks(image[rows] @ recipe[rows].T))


def test_memory_is_bounded_by_the_block_not_by_the_table():
    n = 6000
    image, recipe = related(n, d=8)
    tracemalloc.start()
    evaluation._count(image, recipe, block_bytes=4 * n * 100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000  # 2.4 MB of product, 0.6 MB of comparisons, counts; the table would be 144 MB


# Reports


def test_json_has_the_agreed_keys_and_survives_a_round_trip():
    report = evaluate(*related(50), protocol=Protocol("some", 20, 4), seed=3)
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    facts = "pool draws protocol tie_rule seed train_seed split data encoders scorer command alarms"
    assert set(found) == {*DIRECTIONS, *facts.split()}
    assert set(found["image_to_recipe"]) == {*METRICS, "ci95", "spread"}
    assert (found["pool"], found["draws"], found["protocol"], found["seed"]) == (20, 4, "some", 3)
    assert (found["tie_rule"], found["scorer"], found["alarms"]) == ("mean", "cosine", [])


def test_values_are_means_over_the_draws_with_their_spread():
    report = evaluate(*related(80, noise=1.2), protocol=Protocol("some", 40, 6))
    for direction in DIRECTIONS:
        result = report.results[direction]
        medians = np.median(report.ranks[direction], axis=1)
        found = (report.ranks[direction] <= 5).mean(axis=1)
        assert result.values["medR"] == pytest.approx(medians.mean())
        assert result.values["R@5"] == pytest.approx(found.mean())
        assert result.spread["R@5"] == pytest.approx(found.std(ddof=1))
    assert evaluate(*related(80)).results["image_to_recipe"].spread is None


def test_intervals_hold_the_value_and_shrink_with_the_split():
    widths = []
    for n in (100, 1600):
        result = evaluate(*related(n, d=12, noise=1.0)).results["image_to_recipe"]
        for name in METRICS:
            low, high = result.ci95[name]
            assert low <= result.values[name] <= high
        low, high = result.ci95["R@5"]
        widths.append(high - low)
    assert widths[0] > 2.5 * widths[1]  # sixteen times the queries: a quarter of the width, or less


def test_equal_seeds_give_equal_reports():
    pairs = related(120, noise=1.0)
    assert evaluate(*pairs, seed=1).to_json() == evaluate(*pairs, seed=1).to_json()
    first, second = (evaluate(*pairs, seed=seed).results["image_to_recipe"] for seed in (1, 2))
    assert first.values == second.values
    assert first.ci95 != second.ci95


def test_text_and_markdown():
    report = evaluate(np.eye(4), np.eye(4)[[0, 1, 3, 2]], protocol=Protocol("full"), bootstrap=20)
    text, table = report.to_text(), report.to_markdown()
    assert text.splitlines()[0].split() == ["medR", "MRR", "R@1", "%", "R@5", "%", "R@10", "%"]
    row = text.splitlines()[1]
    assert row.startswith("image to recipe  2.0 [1.0, 3.0]  0.667 [")
    assert "50.0 [" in row
    assert "protocol full: 1 draw of 4 pairs; scorer cosine; tie rule mean" in text
    assert table.splitlines()[1] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert table.splitlines()[3].startswith("| recipe to image | 2.0 [1.0, 3.0] | ")
    assert "ALARM" in text


def test_ranks_survive_a_file(tmp_path):
    queries = evaluate(*related(30), ids=[f"é{i}" for i in range(30)], protocol=Protocol("p", 10, 2)).queries
    path = tmp_path / "scores"
    queries.save(path)
    found = QueryRanks.load(path)
    assert np.array_equal(found.ids, queries.ids)
    assert (found.protocol, found.tie_rule) == ("p", "mean")
    assert all(np.array_equal(found.ranks[name], queries.ranks[name]) for name in DIRECTIONS)


def test_files_with_something_else_are_named(tmp_path):
    text, other, cut = tmp_path / "a.txt", tmp_path / "b.npz", tmp_path / "c.npz"
    text.write_text("ranks")
    np.savez(other, ids=np.array(["a"]))
    cut.write_bytes(other.read_bytes()[:60])
    array = tmp_path / "d.npy"
    np.save(array, np.ones(3))
    pickled = tmp_path / "e.npz"
    np.savez(pickled, ids=np.array([{}], dtype=object))
    empty = tmp_path / "f.npz"
    empty.touch()
    for path in (text, other, cut, array, pickled, empty, tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(ProtocolError, match="holds no per-query ranks"):
            QueryRanks.load(path)


# Alarms


def test_good_embeddings_raise_no_alarm():
    assert evaluate(*related(200)).alarms == ()


def test_collapsed_embeddings_are_called_so():
    image, recipe = related(200)
    point = unit(np.ones((1, 16)))
    collapsed = evaluate(np.repeat(point, 200, axis=0), recipe)
    assert any("two images is 1.0000" in alarm for alarm in collapsed.alarms)
    assert any("recipe to image, 100.0 % of the other candidates tie" in alarm for alarm in collapsed.alarms)
    assert not any("two recipes" in alarm for alarm in collapsed.alarms)
    nearly = evaluate(unit(image + 80), unit(recipe + 80))
    assert sum("above 0.99" in alarm for alarm in nearly.alarms) == 3


def test_many_ties_alone_raise_the_alarm():
    corners = np.eye(16)[np.arange(200) % 16]
    assert [alarm for alarm in evaluate(corners, corners).alarms if "tie" in alarm]


def test_a_few_duplicates_are_no_collapse():
    image, recipe = related(300, d=64)
    recipe[7] = recipe[8]
    assert evaluate(image, recipe).alarms == ()


# Pair scorers


class Oracle:
    """Score true pairs above all others, and remember what was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, images, recipes):
        self.asked.append(set(zip(images.tolist(), recipes.tolist(), strict=True)))
        assert len(self.asked[-1]) == len(images)
        return (images == recipes).astype(float)


def test_pair_scorer_orders_the_best_of_the_first_stage_again():
    image, recipe = related(120, noise=1.5)
    first = evaluate(image, recipe)
    oracle = Oracle()
    second = evaluate(image, recipe, score=oracle, rerank=10)
    assert second.scorer == "Oracle, top 10"
    scores = image @ recipe.T
    wanted = set()
    for table, pair in ((scores, lambda i, j: (i, j)), (scores.T, lambda i, j: (j, i))):
        for query in range(120):
            best = np.argsort(-table[query])[:10].tolist()
            wanted |= {pair(query, candidate) for candidate in best if query in best}
    assert oracle.asked == [wanted]  # each pair once, whoever asks for it, and none that decides nothing
    for direction in DIRECTIONS:
        before, after = first.ranks[direction], second.ranks[direction]
        assert np.array_equal(after, np.where(before <= 10, 1, before))
        assert (before > 10).any()


def test_pair_scorer_that_repeats_the_cosine_changes_nothing():
    image, recipe = related(90, noise=1.5)
    order = np.random.default_rng(0).permutation(90)
    ids = np.array([f"{i:02}" for i in range(90)])[order]
    settings = {"ids": ids, "protocol": Protocol("some", 50, 2)}

    def cosine_again(images, recipes):
        return (image[images] * recipe[recipes]).sum(1)

    first = evaluate(image, recipe, **settings)
    second = evaluate(image, recipe, **settings, score=cosine_again, rerank=1000)
    assert second.scorer == "cosine_again, top 50"
    for direction in DIRECTIONS:
        assert np.array_equal(first.ranks[direction], second.ranks[direction])


def test_pair_scorer_that_cannot_tell_gets_half_of_the_top():
    image, recipe = related(60, noise=0.1)
    report = evaluate(image, recipe, score=lambda a, b: np.zeros(len(a)), rerank=5)
    assert set(report.ranks["image_to_recipe"].ravel()) == {3.0}


def slow_reranks(image, recipe, table, k):
    """Rank one query after the other, by sorting lists."""
    first = evaluate(image, recipe).ranks["image_to_recipe"][0]
    found = []
    for query, rank in enumerate(first):
        by_cosine = sorted(range(len(recipe)), key=lambda j: (-float(image[query] @ recipe[j]), j))
        own = table[query, query]
        others = [table[query, j] for j in by_cosine[:k] if j != query]
        better, tied = sum(one > own for one in others), sum(one == own for one in others)
        found.append(rank if rank > k else 1 + better + tied / 2)
    return found


@pytest.mark.parametrize("k", [1, 7, 40, 99])
def test_reranking_equals_sorting_query_by_query(k):
    image, recipe = related(40, noise=1.5)
    table = np.random.default_rng(k).integers(0, 6, (40, 40)).astype(float)
    ranks = evaluate(image, recipe, score=lambda a, b: table[a, b], rerank=k).ranks
    assert ranks["image_to_recipe"][0].tolist() == slow_reranks(image, recipe, table, k)
    assert ranks["recipe_to_image"][0].tolist() == slow_reranks(recipe, image, table.T, k)


def test_of_equal_cosines_the_first_of_the_pool_are_ranked_again():
    image = unit(np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1]]))
    recipe = unit(np.array([[1.0, 0.5, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]]))
    asked = []

    def score(images, recipes):
        asked.extend(zip(images.tolist(), recipes.tolist(), strict=True))
        return np.zeros(len(images))

    # Photo 0 finds recipes 2, 3 and 4 equally near, its own comes fourth: with k = 3 it asks for nothing.
    evaluate(image, recipe, score=score, rerank=3)
    assert not [pair for pair in asked if pair[0] == 0 and pair[1] != 0]
    recipe[0] = recipe[2]  # now all four are equally near, and by the mean tie rule its own is in
    evaluate(image, recipe, score=score, rerank=3)
    assert {pair[1] for pair in asked if pair[0] == 0} == {0, 2, 3}


def test_where_no_truth_is_among_the_best_nothing_is_scored():
    image = np.eye(6)
    first, second = (evaluate(image, np.roll(image, 1, 0), score=one, rerank=1) for one in (None, Oracle()))
    assert np.array_equal(first.ranks["recipe_to_image"], second.ranks["recipe_to_image"])


@pytest.mark.parametrize(
    ("score", "rerank", "message"),
    [
        (lambda a, b: np.zeros(3), 5, r"returned \(3,\) for \d+ pairs"),
        (lambda a, b: np.zeros((len(a), len(b))), 5, r"for \d+ pairs"),
        (lambda a, b: np.full(len(a), np.nan), 5, "gave image 0 and recipe 0 the score nan"),
        (Oracle(), 0, "re-ranking the best 0"),
    ],
)
def test_pair_scorers_that_misbehave(score, rerank, message):
    with pytest.raises(ProtocolError, match=message):
        evaluate(*related(20), score=score, rerank=rerank)


# Bad input


def spoiled(value, row=3):
    rows = unit(np.eye(6))
    rows[row] = value
    return rows


@pytest.mark.parametrize(
    ("image", "recipe", "options", "message"),
    [
        (np.eye(6), spoiled(np.nan), {}, "1 of 6 recipe embeddings .* row 3 has length nan"),
        (spoiled(np.inf), np.eye(6), {}, "1 of 6 image .* row 3 has length inf"),
        (spoiled(0.0), np.eye(6), {}, "1 of 6 image .* row 3 has length 0"),
        (2 * np.eye(6), np.eye(6), {}, "6 of 6 image .* row 0 has length 2"),
        (np.eye(6), np.eye(6)[:5], {}, r"image \(6, 6\) and recipe \(5, 6\) do not pair"),
        (np.zeros((0, 6)), np.zeros((0, 6)), {}, r"shape \(0, 6\) cannot be ranked"),
        (np.eye(6)[0], np.eye(6)[0], {}, r"shape \(6,\) cannot be ranked"),
        (np.eye(6)[:1], np.eye(6)[:1], {}, "split of 1 pairs"),
        (np.eye(6), np.eye(6), {"ids": list("abcabd")}, "id 'a' occurs twice"),
        (np.eye(6), np.eye(6), {"ids": list("abc")}, "3 ids for 6 pairs"),
        (np.eye(6), np.eye(6), {"protocol": "1k"}, "pool of 1000 pairs, but the split has 6"),
        (np.eye(6), np.eye(6), {"protocol": "2k"}, "'2k' is unknown"),
        (np.eye(6), np.eye(6), {"tie_rule": "best"}, "'best' is unknown"),
        (np.eye(6), np.eye(6), {"bootstrap": 0}, "0 bootstrap samples"),
    ],
)
def test_bad_input_is_named(image, recipe, options, message):
    with pytest.raises(ProtocolError, match=message):
        evaluate(image, recipe, **options)


def test_half_precision_rows_are_unit_enough():
    image, recipe = (rows.astype(np.float16) for rows in related(50, d=64))
    assert evaluate(image, recipe).alarms == ()


# The page about all this


def test_every_number_on_the_protocol_page():
    page = Path(__file__).parents[1] / "docs" / "protocol.md"
    outcome = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert outcome.attempted > 10
    assert outcome.failed == 0
    printed = [
        line for line in page.read_text("utf-8").splitlines() if line.startswith("| ") and "like:" in line
    ]
    assert printed[:3] == printed[3:]
