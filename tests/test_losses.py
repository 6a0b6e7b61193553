"""Losses: each beside a slow, obvious twin in plain loops, and beside values worked out by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from savor.errors import OptionError
from savor.losses import (
    MINING,
    active_share,
    batch_hard,
    between_parts,
    circle,
    classes_told,
    gradient_penalty,
    hard_negatives,
    info_nce,
    lifted_structure,
    listwise,
    pairwise,
    semantic_triplet,
    semantic_violations,
    standard_normal_divergence,
    taken_for_real,
    told_apart,
    total_correlation,
    triplet,
    triplet_mean,
    triplet_mean_all,
    triplet_soft,
    violations,
)

NAMES = (*MINING, "soft")


def unit(n: int, dim: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(
        torch.randn(n, dim, generator=generator, dtype=torch.float64), dim=-1
    )


def twin(image: Tensor, recipe: Tensor, margin: float, mining: str, temperature: float) -> float:
    """The loss by loops over anchors and negatives, one direction after the other."""
    n, total = len(image), 0.0
    for anchors, others in ((image, recipe), (recipe, image)):
        triplets = []
        for i in range(n):
            own = float(anchors[i] @ others[i])
            negatives = [float(anchors[i] @ others[j]) for j in range(n) if j != i]
            triplets.append([(margin + score - own, score < own) for score in negatives])
        flat = [max(0.0, v) for one in triplets for v, _ in one]
        active = [v for v in flat if v > 0]
        if mining == "mean":
            total += sum(flat) / max(1, len(flat))
        elif mining == "sum":
            total += sum(flat) / n
        elif mining == "active":
            total += sum(active) / len(active) if active else 0.0
        elif mining == "hardest":
            total += sum(max([0.0, *(v for v, _ in one)]) for one in triplets) / n
        elif mining == "semi_hard":
            total += sum(max([0.0, *(v for v, farther in one if farther)]) for one in triplets) / n
        else:
            smooth = [1 + sum(math.exp(v / temperature) for v, _ in one) for one in triplets]
            total += sum(temperature * math.log(value) for value in smooth) / n
    return total


@pytest.mark.parametrize("mining", NAMES)
@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), margin=st.floats(0.0, 1.0))
def test_each_loss_equals_its_twin(mining: str, n: int, seed: int, margin: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    value = triplet(image, recipe, margin, mining, 0.1)
    assert float(value) == pytest.approx(twin(image, recipe, margin, mining, 0.1), abs=1e-9)


# S = [[0.6, 0.8], [0.8, -0.6]] for these rows: photo 0 = (1, 0), photo 1 = (0, 1), recipes (0.6, 0.8) and
# (0.8, -0.6). With margin 0.3, violations to recipes: a_01 = 0.3 + 0.8 - 0.6 = 0.5 and
# a_10 = 0.3 + 0.8 + 0.6 = 1.7; to photos likewise (S is symmetric): b_01 = 0.5, b_10 = 1.7. So
# mean = sum = active = hardest = 2 (0.5 + 1.7) / 2 = 2.2; no negative is farther than the own item, so
# semi_hard = 0.
IMAGE, RECIPE = torch.eye(2), torch.tensor([[0.6, 0.8], [0.8, -0.6]])
# With a third pair (0, 0, 1) far from both: S_3j = 0, own 1. a_i3: 0.3 + 0 - 0.6 < 0 and 0.3 + 0 + 0.6 = 0.9
# (farther than the own item? S = 0 > -0.6: no); a_3j = 0.3 - 1 < 0. Each direction has active violations
# 0.5, 1.7, 0.9: mean = 2 * 3.1 / 6, sum = 2 * 3.1 / 3, active = 2 * 3.1 / 3, hardest = 2 (0.5 + 1.7) / 3.
FAR_IMAGE = torch.eye(3)
FAR_RECIPE = torch.tensor([[0.6, 0.8, 0.0], [0.8, -0.6, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("mining", "two", "three"),
    [
        ("mean", 2.2, 6.2 / 6),
        ("sum", 2.2, 6.2 / 3),
        ("active", 2.2, 6.2 / 3),
        ("hardest", 2.2, 4.4 / 3),
        ("semi_hard", 0.0, 0.0),
    ],
)
def test_values_by_hand(mining: str, two: float, three: float) -> None:
    assert float(triplet(IMAGE, RECIPE, 0.3, mining)) == pytest.approx(two, abs=1e-6)
    assert float(triplet(FAR_IMAGE, FAR_RECIPE, 0.3, mining)) == pytest.approx(three, abs=1e-6)


def test_semi_hard_by_hand() -> None:
    # Own cosines 1, the other 0.9: a = 0.2 + 0.9 - 1 = 0.1 for both anchors and directions.
    other = [0.9, math.sqrt(1 - 0.81)]
    rows = torch.tensor([[1.0, 0.0], other])
    assert float(triplet(rows, rows, 0.2, "semi_hard")) == pytest.approx(0.2, abs=1e-6)


def test_soft_by_hand() -> None:
    # Two equal pairs: every violation is the margin 0, so each anchor pays t log(1 + 1).
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(triplet_soft(rows, rows, 0.0, 0.5)) == pytest.approx(2 * 0.5 * math.log(2), abs=1e-6)


@pytest.mark.parametrize("mining", NAMES)
@given(n=st.integers(2, 6), seed=st.integers(0, 10**6))
def test_order_and_sides_do_not_matter(mining: str, n: int, seed: int) -> None:
    image, recipe = unit(n, 4, seed), unit(n, 4, seed + 1)
    value = float(triplet(image, recipe, 0.3, mining))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert float(triplet(image[order], recipe[order], 0.3, mining)) == pytest.approx(value, abs=1e-9)
    assert float(triplet(recipe, image, 0.3, mining)) == pytest.approx(value, abs=1e-9)


@given(st.integers(2, 6), st.integers(0, 10**6))
def test_soft_becomes_hardest_for_a_small_temperature(n: int, seed: int) -> None:
    image, recipe = unit(n, 4, seed), unit(n, 4, seed + 1)
    hardest = float(triplet(image, recipe, 0.3, "hardest"))
    differences = [float(triplet_soft(image, recipe, 0.3, t)) - hardest for t in (1.0, 0.1, 1e-3, 1e-5)]
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(differences))
    assert 0 <= differences[-1] + 1e-12 < 1e-3


@pytest.mark.parametrize("mining", NAMES)
@pytest.mark.parametrize("n", [1, 4])
def test_without_an_active_triplet_loss_and_gradient_vanish(mining: str, n: int) -> None:
    image = torch.eye(4)[:n].requires_grad_()
    loss = triplet(image, torch.eye(4)[:n], 0.2, mining, temperature=0.005)
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(image.grad).all()
    assert image.grad.abs().max() < 1e-6


@pytest.mark.parametrize("mining", NAMES)
def test_the_gradient_is_that_of_the_values(mining: str) -> None:
    image, recipe = unit(4, 3, 5).requires_grad_(), unit(4, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: triplet(a, b, 0.3, mining, 0.1), (image, recipe))


def test_violations_leave_the_own_pair_out() -> None:
    to_recipe, to_image = violations(FAR_IMAGE, FAR_RECIPE, 0.3)
    assert to_recipe[1].tolist() == pytest.approx([1.7, -1e4, 0.9])
    assert to_image[0].tolist() == pytest.approx([-1e4, 0.5, -0.3])


def test_an_unknown_mining_lists_those_there_are() -> None:
    with pytest.raises(
        OptionError, match="mining='hard': choose one of mean, sum, active, hardest, semi_hard, soft"
    ):
        triplet(IMAGE, RECIPE, 0.3, "hard")


def rows(n: int, width: int, seed: int) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def correlation_twin(x: Tensor, y: Tensor, ridge: float, floor: float) -> float:
    """Sum of sqrt(eigenvalues of S11^-1 S12 S22^-1 S21), covariances by loops over entries."""
    n = len(x)

    def covariance(one: Tensor, two: Tensor) -> Tensor:
        result = torch.zeros(one.shape[1], two.shape[1], dtype=torch.float64)
        for a in range(one.shape[1]):
            for b in range(two.shape[1]):
                mean_a, mean_b = float(one[:, a].mean()), float(two[:, b].mean())
                products = [(float(one[i, a]) - mean_a) * (float(two[i, b]) - mean_b) for i in range(n)]
                result[a, b] = sum(products) / (n - 1)
        return result

    def inverse(square: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(square + ridge * torch.eye(len(square)))
        return sum(
            torch.outer(v, v) / max(float(one), floor) for one, v in zip(values, vectors.T, strict=True)
        )

    between = covariance(x, y)
    product = inverse(covariance(x, x)) @ between @ inverse(covariance(y, y)) @ between.T
    return sum(math.sqrt(max(0.0, float(value))) for value in torch.linalg.eigvals(product).real)


@given(
    n=st.integers(2, 7),
    seed=st.integers(0, 10**6),
    ridge=st.floats(0.01, 2.0),
    floor=st.sampled_from([1e-9, 0.5, 3.0]),
)
def test_total_correlation_equals_its_twin(n: int, seed: int, ridge: float, floor: float) -> None:
    x, y = rows(n, 3, seed), rows(n, 2, seed + 1)
    expected = correlation_twin(x, y, ridge, floor)
    assert float(total_correlation(x, y, ridge, floor)) == pytest.approx(expected, abs=1e-5)


def test_total_correlation_by_hand() -> None:
    # Two uncorrelated columns of variance 4/3 and 16/3 against themselves: each s / (s + ridge).
    square = torch.tensor([[1.0, 2.0], [1.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]])
    expected = (4 / 3) / (4 / 3 + 0.5) + (16 / 3) / (16 / 3 + 0.5)
    assert float(total_correlation(square, square, 0.5)) == pytest.approx(expected, abs=1e-12)
    # A floor of 2 lifts 4/3 alone: (4/3) / 2 + 1.
    assert float(total_correlation(square, square, 0.0, 2.0)) == pytest.approx(5 / 3, abs=1e-12)


@given(n=st.integers(8, 20), seed=st.integers(0, 10**6))
def test_total_correlation_does_not_depend_on_the_axes(n: int, seed: int) -> None:
    x, y = rows(n, 3, seed), rows(n, 4, seed + 1)
    value = float(total_correlation(x, y, 0.0))
    assert 0 <= value <= 3 + 1e-9
    assert float(total_correlation(y, x, 0.0)) == pytest.approx(value, abs=1e-6)
    turned = x @ (torch.eye(3) * 3 + torch.ones(3, 3)).double() + 7
    assert float(total_correlation(turned, y, 0.0)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("n", "ridge", "floor"), [(12, 0.1, 1e-9), (12, 0.0, 1.0), (3, 0.1, 1e-9), (3, 0.0, 0.2)]
)
def test_the_gradient_of_the_correlation_is_that_of_its_values(n: int, ridge: float, floor: float) -> None:
    """Three pairs of five inputs have repeated eigenvalues, where the gradient of `eigh` is not finite."""
    x, y = rows(n, 5, 1).requires_grad_(), rows(n, 5, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: total_correlation(a, b, ridge, floor), (x, y))


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("n", [1, 5])
def test_outputs_that_do_not_vary_correlate_by_nothing(n: int, ridge: float) -> None:
    x = torch.full((n, 4), 3.0, requires_grad=True)
    value = total_correlation(x, rows(n, 4, 0).float(), ridge)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(x.grad).all()


def test_correlation_is_in_float64_whatever_comes_in() -> None:
    x, y = rows(50, 4, 0).float(), rows(50, 4, 1).float()
    value = total_correlation(x + 1000, y)
    assert value.dtype == torch.float64
    assert float(value) == pytest.approx(float(total_correlation((x + 1000).double(), y.double())), abs=1e-12)


def test_cosines_stay_precise_where_training_computes_in_bf16() -> None:
    image, recipe = unit(5, 64, 0).float(), unit(5, 64, 1).float()
    with torch.autocast("cpu", torch.bfloat16):
        rough, within = image @ recipe.T, violations(image, recipe, 0.3)
    assert rough.dtype == torch.bfloat16
    for one, two in zip(within, violations(image, recipe, 0.3), strict=True):
        assert torch.equal(one, two)


@given(n=st.integers(1, 5), k=st.integers(0, 4), seed=st.integers(0, 10**6), shift=st.floats(-5, 5))
def test_listwise_equals_its_twin(n: int, k: int, seed: int, shift: float) -> None:
    scores = torch.randn(n, 1 + k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    twin = sum(-math.log(math.exp(row[0]) / sum(map(math.exp, row))) for row in scores.tolist()) / n
    assert float(listwise(scores)) == pytest.approx(twin, abs=1e-9)
    assert float(listwise(scores + shift)) == pytest.approx(twin, abs=1e-9)


@given(n=st.integers(2, 7), count=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_hard_negatives_are_others_and_each_but_once(n: int, count: int, seed: int) -> None:
    torch.manual_seed(seed)
    drawn = hard_negatives(20 * torch.randn(n, n), count, 0.05)
    assert drawn.shape == (n, min(count, n - 1))
    for row, columns in enumerate(drawn.tolist()):
        assert row not in columns
        assert len(set(columns)) == len(columns)


def test_hard_negatives_are_drawn_by_the_softmax() -> None:
    torch.manual_seed(0)
    scores = torch.tensor([[9.0, 1.0, 0.0]]).expand(3, 3) * math.log(3)
    drawn = torch.cat([hard_negatives(scores, 1, 1.0)[0] for _ in range(4000)])
    assert (drawn == 1).double().mean() == pytest.approx(0.75, abs=0.03)


def cosines(image: Tensor, recipe: Tensor) -> tuple[list[list[float]], list[list[float]]]:
    """Both directions' scores as lists, anchors first."""
    scores = (image @ recipe.T).tolist()
    return scores, [list(column) for column in zip(*scores, strict=True)]


@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), margin=st.floats(0.0, 1.0))
def test_active_share_equals_its_twin(n: int, seed: int, margin: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    active = [
        margin + rows[i][j] - rows[i][i] > 0
        for rows in cosines(image, recipe)
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    expected = sum(active) / max(1, len(active))
    assert float(active_share(image, recipe, margin)) == pytest.approx(expected, abs=1e-6)


@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), temperature=st.floats(0.05, 2.0))
def test_info_nce_equals_its_twin(n: int, seed: int, temperature: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    losses = [
        math.log(sum(math.exp((score - row[i]) / temperature) for score in row))
        for rows in cosines(image, recipe)
        for i, row in enumerate(rows)
    ]
    assert float(info_nce(image, recipe, temperature)) == pytest.approx(sum(losses) / (2 * n), abs=1e-9)


def test_info_nce_by_hand() -> None:
    # S / 0.2 = [[3, 4], [4, -3]], symmetric: log(1 + e^1) and log(1 + e^7) in both directions.
    expected = (math.log(1 + math.e) + math.log(1 + math.e**7)) / 2
    assert float(info_nce(IMAGE, RECIPE, 0.2)) == pytest.approx(expected, abs=1e-6)


def test_info_nce_teaches_its_temperature() -> None:
    temperature = torch.tensor(0.2, requires_grad=True)
    info_nce(IMAGE, RECIPE, temperature).backward()
    # d/dt of (log(1 + e^(0.2 / t)) + log(1 + e^(1.4 / t))) / 2 = -sum of s(x) x / (2 t), x = 1 and 7.
    expected = -(1 / (1 + math.e**-1) * 1 + 1 / (1 + math.e**-7) * 7) / (2 * 0.2)
    assert float(temperature.grad) == pytest.approx(expected, abs=1e-4)


@given(
    n=st.integers(1, 6), seed=st.integers(0, 10**6), margin=st.floats(0.0, 0.5), scale=st.floats(0.1, 64.0)
)
def test_circle_equals_its_twin(n: int, seed: int, margin: float, scale: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    total = 0.0
    for rows in cosines(image, recipe):
        for i, row in enumerate(rows):
            pull = max(0.0, 1 + margin - row[i]) * (row[i] - (1 - margin))
            pushes = [max(0.0, row[j] + margin) * (row[j] - margin) for j in range(n) if j != i]
            total += math.log(1 + sum(math.exp(scale * (push - pull)) for push in pushes)) / n
    assert float(circle(image, recipe, margin, scale)) == pytest.approx(total, abs=1e-9, rel=1e-9)


def test_circle_by_hand() -> None:
    # m = 0.25. Both anchors' negative has s = 0.8: 1.05 * 0.55 = 0.5775. Own s = 0.6: 0.65 * -0.15 = -0.0975,
    # and s = -0.6: 1.85 * -1.35 = -2.4975. With g = 2 the exponents are 1.35 and 6.15, twice (S = S').
    expected = math.log(1 + math.exp(1.35)) + math.log(1 + math.exp(6.15))
    recipe = RECIPE.clone().requires_grad_()
    loss = circle(IMAGE, recipe, 0.25, 2.0)
    assert float(loss.detach()) == pytest.approx(expected, abs=1e-5)
    loss.backward()
    # As photos are the axes, the gradient is dL/dS transposed: g times the weight times the sigmoid.
    first, second = 1 / (1 + math.exp(-1.35)), 1 / (1 + math.exp(-6.15))
    assert float(recipe.grad[0, 0]) == pytest.approx(-2 * 0.65 * first, abs=1e-5)
    assert float(recipe.grad[1, 0]) == pytest.approx(2 * 1.05 * (first + second) / 2, abs=1e-5)


@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), margin=st.floats(0.0, 1.0))
def test_lifted_structure_equals_its_twin(n: int, seed: int, margin: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    scores, _ = cosines(image, recipe)
    total = 0.0
    for i in range(n):
        others = [1 - scores[i][j] for j in range(n) if j != i] + [
            1 - scores[j][i] for j in range(n) if j != i
        ]
        if others:
            smooth = math.log(sum(math.exp(margin - distance) for distance in others)) + 1 - scores[i][i]
            total += max(0.0, smooth) ** 2 / (2 * n)
    assert float(lifted_structure(image, recipe, margin)) == pytest.approx(total, abs=1e-9)


def test_lifted_structure_by_hand() -> None:
    # Violations 0.5 twice for the first pair, 1.7 twice for the second: J = 0.5 + log 2 and 1.7 + log 2.
    expected = ((0.5 + math.log(2)) ** 2 + (1.7 + math.log(2)) ** 2) / 4
    assert float(lifted_structure(IMAGE, RECIPE, 0.3)) == pytest.approx(expected, abs=1e-6)


@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), positive=st.floats(0, 1), negative=st.floats(0, 2))
def test_pairwise_equals_its_twin(n: int, seed: int, positive: float, negative: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    matched = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5
    total = 0.0
    for k in range(n):
        distance = 1 - float(image[k] @ recipe[k])
        total += max(0.0, distance - positive) if matched[k] else max(0.0, negative - distance)
    assert float(pairwise(image, recipe, matched, positive, negative)) == pytest.approx(total / n, abs=1e-9)


def test_pairwise_of_je_is_the_cosine_embedding_loss() -> None:
    image, recipe = unit(9, 4, 0), unit(9, 4, 1)
    matched = torch.arange(9) % 3 == 0
    expected = torch.nn.functional.cosine_embedding_loss(image, recipe, 2 * matched.long() - 1, margin=0.1)
    assert torch.allclose(pairwise(image, recipe, matched, 0.0, 0.9), expected)


def semantic_twin(
    image: Tensor, recipe: Tensor, category: list[int], margin: float, active: bool, equal: bool
) -> float:
    """The semantic loss by loops: anchors, their first positive, their negatives."""
    n, total = len(category), 0.0
    positive = {
        i: next(j for j in range(n) if j != i and category[j] == category[i])
        for i in range(n)
        if category[i] > 0 and category.count(category[i]) > 1
    }
    negatives = {i: [j for j in range(n) if category[j] > 0 and category[j] != category[i]] for i in positive}
    if equal:
        fewest = min((len(some) for some in negatives.values()), default=0)
        negatives = {i: some[:fewest] for i, some in negatives.items()}
    for rows in cosines(image, recipe):
        costs = [max(0.0, margin + rows[i][j] - rows[i][positive[i]]) for i in positive for j in negatives[i]]
        counted = [cost for cost in costs if cost > 0] if active else costs
        total += sum(counted) / max(1, len(counted))
    return total


@given(
    category=st.lists(st.integers(0, 3), min_size=1, max_size=9),
    seed=st.integers(0, 10**6),
    margin=st.floats(0.0, 1.0),
    active=st.booleans(),
    equal=st.booleans(),
)
def test_semantic_triplet_equals_its_twin(
    category: list[int], seed: int, margin: float, active: bool, equal: bool
) -> None:
    image, recipe = unit(len(category), 3, seed), unit(len(category), 3, seed + 1)
    value = semantic_triplet(image, recipe, torch.tensor(category), margin, active=active, equal=equal)
    assert float(value) == pytest.approx(
        semantic_twin(image, recipe, category, margin, active, equal), abs=1e-9
    )


def test_semantic_triplet_by_hand() -> None:
    scores = torch.tensor(
        [[0.9, 0.5, 0.4, 0.7], [0.1, 0.8, 0.6, 0.9], [0.2, 0.1, 0.7, 0.9], [0.5, 0.6, 0.7, 0.8]]
    )
    # Photos are the axes. Of classes 1, 1, 2 and none, 0 and 1 are each other's positive, 2 is the negative.
    # To recipes: 0.3 + 0.4 - 0.5 = 0.2 and 0.3 + 0.6 - 0.1 = 0.8; to photos: 0.3 + 0.2 - 0.1 = 0.4 and
    # 0.3 + 0.1 - 0.5 = -0.1.
    image, recipe, category = torch.eye(4), scores.T, torch.tensor([1, 1, 2, 0])
    to_recipe, to_image = semantic_violations(image, recipe, category, 0.3)
    assert to_recipe[0].tolist() == pytest.approx([-1e4, -1e4, 0.2, -1e4])
    assert to_recipe[2:].tolist() == [[-1e4] * 4] * 2
    assert to_image[:2, 2].tolist() == pytest.approx([0.4, -0.1])
    assert float(semantic_triplet(image, recipe, category, 0.3)) == pytest.approx(0.5 + 0.4)
    assert float(semantic_triplet(image, recipe, category, 0.3, active=False)) == pytest.approx(0.5 + 0.2)


def test_equal_negatives_are_as_many_as_the_anchor_with_the_fewest_has() -> None:
    category = torch.tensor([1, 1, 1, 2, 2])
    image, recipe = unit(5, 3, 0), unit(5, 3, 1)
    for violations_of, counts in (
        (semantic_violations(image, recipe, category, 0.3), [2, 2, 2, 3, 3]),
        (semantic_violations(image, recipe, category, 0.3, equal=True), [2, 2, 2, 2, 2]),
    ):
        for direction in violations_of:
            assert (direction > -1e4).sum(1).tolist() == counts


@pytest.mark.parametrize("category", [[0, 0, 0], [1, 2, 3], [1, 1, 1], [1, 1, 0], [4]])
@pytest.mark.parametrize("equal", [False, True])
def test_without_a_semantic_triplet_loss_and_gradient_vanish(category: list[int], equal: bool) -> None:
    image = unit(len(category), 3, 0).requires_grad_()
    loss = semantic_triplet(image, unit(len(category), 3, 1), torch.tensor(category), 0.3, equal=equal)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not image.grad.any()


BY_PAIRS = {
    "lifted": lambda a, b: lifted_structure(a, b, 0.3),
    "pairwise": lambda a, b: pairwise(a, b, torch.tensor([True, False, True, False])),
    "semantic": lambda a, b: semantic_triplet(a, b, torch.tensor([1, 1, 2, 2]), 0.3),
    "info_nce": lambda a, b: info_nce(a, b, 0.1),
}


@pytest.mark.parametrize("loss", BY_PAIRS)
def test_the_gradients_are_those_of_the_values(loss: str) -> None:
    image, recipe = unit(4, 3, 5).requires_grad_(), unit(4, 3, 6).requires_grad_()
    assert torch.autograd.gradcheck(BY_PAIRS[loss], (image, recipe))


@pytest.mark.parametrize("loss", [lifted_structure, circle, lambda a, b, _: info_nce(a, b, 0.1)])
def test_a_single_pair_has_no_negatives(loss) -> None:
    image = unit(1, 3, 0).requires_grad_()
    value = loss(image, unit(1, 3, 1), 0.3)
    value.backward()
    assert float(value.detach()) == 0
    assert torch.isfinite(image.grad).all()


@given(n=st.integers(1, 6), seed=st.integers(0, 2**31), margin=st.floats(0, 1))
def test_the_mean_over_all_entries_counts_the_diagonal(n: int, seed: int, margin: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    found = float(triplet_mean_all(image, recipe, margin))
    assert found == pytest.approx(float(triplet_mean(image, recipe, margin)) * (n - 1) / n)
    assert found == pytest.approx(twin(image, recipe, margin, "mean", 1) * (n - 1) / n)


def test_parts_are_compared_in_both_orders_where_both_are_there() -> None:
    vectors, seen = torch.arange(24.0).view(4, 3, 2) + 1, []
    present = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0]]).bool()

    def loss(query: Tensor, value: Tensor) -> Tensor:
        assert torch.allclose(query.norm(dim=1), torch.ones(len(query)))
        seen.append(len(query))
        return (query - value).abs().sum()

    found = between_parts(vectors, present, lambda a, b, values: values * (a + 2 * b + 1), loss)
    assert seen == [2, 2]  # title and ingredients, two recipes; one recipe has instructions
    one, two = (torch.nn.functional.normalize(vectors[:2, k], dim=-1) for k in (0, 1))
    assert torch.allclose(found, (one - two).abs().sum())
    assert between_parts(vectors, present & torch.tensor([True, False, True]), None, loss) is None


def batch_hard_twin(image: Tensor, recipe: Tensor, margin: float) -> float:
    rows = [(k, row) for side in (image, recipe) for k, row in enumerate(side)]
    total = 0.0
    for place, (pair, row) in enumerate(rows):
        partner = rows[(place + len(image)) % len(rows)][1]
        strangers = [float((row - other).norm()) for k, other in rows if k != pair]
        if strangers:
            total += max(0.0, margin + float((row - partner).norm()) - min(strangers))
    return total / len(rows)


@given(n=st.integers(1, 6), seed=st.integers(0, 10**6), margin=st.floats(0.0, 1.0))
def test_batch_hard_equals_its_twin(n: int, seed: int, margin: float) -> None:
    image, recipe = unit(n, 3, seed), unit(n, 3, seed + 1)
    found = float(batch_hard(image, recipe, margin))
    assert found == pytest.approx(batch_hard_twin(image, recipe, margin), abs=1e-5)


def test_batch_hard_looks_within_a_modality_too() -> None:
    # Each pair is one point, sqrt(2) from the other's photo and recipe alike: 1.5 + 0 - sqrt(2).
    rows = torch.eye(2, dtype=torch.float64)
    assert float(batch_hard(rows, rows, 1.5)) == pytest.approx(1.5 - math.sqrt(2), abs=1e-5)
    # Equal photos of two pairs: an anchor's nearest stranger is the other photo at distance 0.
    same = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    value = batch_hard(same, torch.eye(2), 0.3)
    value.backward()
    # Photos: 0.3 + 0 and 0.3 + sqrt(2); recipes: their nearest stranger is sqrt(2) or 0 away.
    assert float(value.detach()) == pytest.approx((0.3 + 0.3 + math.sqrt(2) + 0.3 + 0.3) / 4, abs=1e-5)
    assert torch.isfinite(same.grad).all()


def test_the_gradient_penalty_is_that_of_the_slope() -> None:
    # A linear critic of slope (3, 4) has a gradient of length 5 everywhere: (5 - 1)^2.
    slope = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    value = gradient_penalty(lambda rows: rows @ slope, torch.randn(5, 2), torch.randn(5, 2))
    assert float(value.detach()) == pytest.approx(16, rel=1e-5)
    value.backward()
    assert torch.allclose(slope.grad, 2 * 4 * slope.detach() / 5, rtol=1e-4)


def test_the_gradient_penalty_looks_between_real_and_fake() -> None:
    seen = []

    def critic(rows: Tensor) -> Tensor:
        seen.append(rows.detach())
        return (2 * rows).sum(1)

    gradient_penalty(critic, torch.full((50, 1), 3.0), torch.full((50, 1), 7.0))
    assert 3 < seen[0].min() < 4 < 6 < seen[0].max() < 7


def test_a_critic_and_its_generator_by_hand() -> None:
    real, fake = torch.tensor([math.log(3.0)]), torch.tensor([-math.log(3.0), math.log(3.0)])
    # s(log 3) = 3/4 and s(-log 3) = 1/4.
    right, wrong = -math.log(3 / 4), -math.log(1 / 4)
    assert float(told_apart(real, fake)) == pytest.approx((right + (right + wrong) / 2) / 2)
    assert float(taken_for_real(fake)) == pytest.approx((wrong + right) / 2)


@given(mean=st.floats(-3, 3), log_variance=st.floats(-3, 3))
def test_the_divergence_is_that_of_torch(mean: float, log_variance: float) -> None:
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, math.exp(log_variance / 2)), normal(0.0, 1.0))
    found = standard_normal_divergence(torch.tensor([[mean]]), torch.tensor([[log_variance]]))
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


def test_items_without_a_class_do_not_count() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0], [9.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    expected = torch.nn.functional.cross_entropy(logits[[0, 2]], torch.tensor([2, 1]))
    assert torch.allclose(classes_told(logits, torch.tensor([2, 0, 1])), expected)
    assert float(classes_told(logits, torch.zeros(3, dtype=torch.long))) == 0
