"""Losses: pure functions of tensors; rows are unit vectors, so a score is a cosine.

The triplet losses share one definition of a violation. With `S = V R'`, `(n, n)`, and margin m,

    `a_ij = m + S_ij - S_ii` (photo i as anchor, recipe j as negative), `b_ij = m + S_ij - S_jj` (recipe j as
    anchor, photo i as negative), for i != j,

a triplet is active where its violation is above 0. They differ in which violations count (the mining).
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import normalize

from savor.errors import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

# What stands on the diagonal instead of a violation: low enough never to be active.
_NONE = -1e4


def violations(image: Tensor, recipe: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Violations of both directions, `(n, dim), (n, dim) -> (n, n), (n, n)`; anchors are rows of both.

    >>> unit = torch.eye(2)
    >>> violations(unit, unit, margin=0.3)[0]
    tensor([[-1.0000e+04, -7.0000e-01],
            [-7.0000e-01, -1.0000e+04]])
    """
    scores = _cosines(image, recipe)
    own = scores.diagonal()[:, None]
    same = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    to_recipe = (margin + scores - own).masked_fill(same, _NONE)
    to_image = (margin + scores.T - own).masked_fill(same, _NONE)
    return to_recipe, to_image


def _cosines(image: Tensor, recipe: Tensor) -> Tensor:
    """`V R'` in fp32 or better also where training computes in bf16, whose steps are 1/256 near 1."""
    with torch.autocast(image.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(image.dtype, recipe.dtype), torch.float32)
        return image.to(kind) @ recipe.to(kind).T


def triplet_mean(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over all triplets, active or not, summed over both directions (H-T without its diagonal zeros)."""
    count = max(1, len(image) * (len(image) - 1))
    to_recipe, to_image = violations(image, recipe, margin)
    return (to_recipe.clamp(min=0).sum() + to_image.clamp(min=0).sum()) / count


def triplet_sum(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over the anchors of the sum of their active violations, summed over both directions."""
    to_recipe, to_image = violations(image, recipe, margin)
    return (to_recipe.clamp(min=0).sum() + to_image.clamp(min=0).sum()) / len(image)


def triplet_active(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over the active triplets, summed over both directions (AdaMine's adaptive mining).

    Without an active triplet a direction gives 0, not 0/0.
    """

    def mean(violation: Tensor) -> Tensor:
        return violation.clamp(min=0).sum() / (violation > 0).sum().clamp(min=1)

    to_recipe, to_image = violations(image, recipe, margin)
    return mean(to_recipe) + mean(to_image)


def triplet_hardest(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over the anchors of their largest violation, summed over both directions (batch-hard, VSE++)."""
    to_recipe, to_image = violations(image, recipe, margin)
    return to_recipe.amax(1).clamp(min=0).mean() + to_image.amax(1).clamp(min=0).mean()


def triplet_semi_hard(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """As `triplet_hardest`, over the negatives that are still farther than the own item (FaceNet)."""

    def hardest(violation: Tensor) -> Tensor:
        farther = violation < margin
        return torch.where(farther, violation, _NONE).amax(1).clamp(min=0).mean()

    to_recipe, to_image = violations(image, recipe, margin)
    return hardest(to_recipe) + hardest(to_image)


def triplet_soft(image: Tensor, recipe: Tensor, margin: float, temperature: float) -> Tensor:
    """Smooth maximum over all negatives, `t log(1 + sum_j exp(a_ij / t))`, averaged, both directions.

    For t towards 0 it becomes `triplet_hardest`; at any t every negative pulls with its softmax weight.
    """

    def smooth(violation: Tensor) -> Tensor:
        pulled = torch.nn.functional.softplus(torch.logsumexp(violation / temperature, 1))
        return (temperature * pulled).mean()

    to_recipe, to_image = violations(image, recipe, margin)
    return smooth(to_recipe) + smooth(to_image)


def active_share(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Share of the triplets of both directions that are active at a margin, from 0 to 1."""
    both = torch.cat(violations(image, recipe, margin))
    return (both > 0).float().sum() / max(1, len(both) * (both.shape[1] - 1))


def lifted_structure(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Squared smooth maximum over the negatives of both items of a pair, averaged over the pairs.

        `J_i = log sum over j != i of (exp(m + d_ii - d_ij) + exp(m + d_ii - d_ji))`, `L = mean [J_i]+^2 / 2`

    with `d = 1 - S`, so the exponents are the violations. (AdaMine's code multiplies by n where the paper
    divides by it.)

    Source: Song, Xiang, Jegelka and Savarese, Deep metric learning via lifted structured feature embedding,
    CVPR 2016, equation 4.
    """
    smooth = torch.logsumexp(torch.cat(violations(image, recipe, margin), 1), 1)
    return smooth.clamp(min=0).square().mean() / 2


def pairwise(
    image: Tensor, recipe: Tensor, matched: Tensor, positive_margin: float = 0.3, negative_margin: float = 0.9
) -> Tensor:
    """Mean over n given pairs, row by row, some of which do not match, `(n, dim), (n, dim), (n,) -> ()`.

        `[d - p]+` where `matched`, `[q - d]+` elsewhere, `d = 1 - s`

    With p = 0.3 and q = 0.9 this is PWC++ of AdaMine (Carvalho et al., SIGIR 2018); p = 0 and q = 1 - 0.1
    is the cosine embedding loss with margin 0.1 of JE (Salvador et al., CVPR 2017).

    >>> here, there = torch.eye(2), torch.tensor([[1.0, 0.0], [0.8, 0.6]])
    >>> pairwise(here, there, torch.tensor([True, False]))  # (0 + 0.9 - 0.4) / 2
    tensor(0.2500)
    """
    distances = 1 - (image * recipe).sum(1)
    costs = torch.where(matched, distances - positive_margin, negative_margin - distances)
    return costs.clamp(min=0).mean()


def semantic_violations(
    image: Tensor, recipe: Tensor, category: Tensor, margin: float, *, equal: bool = False
) -> tuple[Tensor, Tensor]:
    """Violations of AdaMine's semantic triplets, both directions, `(n, n)` each; anchors are rows of both.

        `m + S_ij - S_ip`, p the first other item of i's class, j the items of other classes

    Class 0 is no class: such items are neither anchor nor positive nor negative. Where there is no triplet,
    as in the row of an item alone in its class, stands a number too low to be active.

    Args:
        image: `(n, dim)`.
        recipe: `(n, dim)`.
        category: `(n,)`.
        margin: m, in cosine.
        equal: keep only the first negatives of each anchor, as many as the anchor with the fewest has.

    Source: Carvalho et al., Cross-modal retrieval in the cooking context, SIGIR 2018, section 3; p and
    `equal` as in its code.
    """
    scores = _cosines(image, recipe)
    named = category > 0
    alike = category[:, None] == category
    same = alike & named & ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    paired = same.any(1)
    negative = ~alike & named & paired[:, None]
    if equal and paired.any():
        negative &= negative.cumsum(1) <= negative.sum(1)[paired].min()
    first = same.to(torch.uint8).argmax(1, keepdim=True)
    to_recipe, to_image = (
        (margin + rows - rows.gather(1, first)).masked_fill(~negative, _NONE) for rows in (scores, scores.T)
    )
    return to_recipe, to_image


def semantic_triplet(
    image: Tensor,
    recipe: Tensor,
    category: Tensor,
    margin: float,
    *,
    active: bool = True,
    equal: bool = False,
) -> Tensor:
    """AdaMine's semantic loss, summed over both directions: the mean over the active triplets, or over all.

    Arguments as in `semantic_violations`. Without a triplet a direction gives 0, not 0/0.
    """

    def mean(violation: Tensor) -> Tensor:
        counted = violation > 0 if active else violation > _NONE
        return violation.clamp(min=0).sum() / counted.sum().clamp(min=1)

    to_recipe, to_image = semantic_violations(image, recipe, category, margin, equal=equal)
    return mean(to_recipe) + mean(to_image)


def info_nce(image: Tensor, recipe: Tensor, temperature: float | Tensor) -> Tensor:
    """Cross-entropy of the own item against the whole batch, averaged over both directions.

        `L = -mean over i of (log softmax_j(S_ij / t)_i + log softmax_j(S_ji / t)_i) / 2`

    Source: van den Oord, Li and Vinyals, arXiv 1807.03748 (InfoNCE); both directions as in CLIP (Radford et
    al., ICML 2021).

    >>> info_nce(torch.ones(4, 1), torch.ones(4, 1), 0.1).exp()
    tensor(4.)
    """
    logits = _cosines(image, recipe) / temperature
    own = torch.arange(len(logits), device=logits.device)
    to_recipe, to_image = (torch.nn.functional.cross_entropy(rows, own) for rows in (logits, logits.T))
    return (to_recipe + to_image) / 2


def circle(image: Tensor, recipe: Tensor, margin: float = 0.25, scale: float = 32.0) -> Tensor:
    """Circle loss with the own item as the only positive, averaged over the anchors, both directions summed.

        `L_i = log(1 + sum over j != i of exp(g (a_j (S_ij - m) - p (S_ii - 1 + m))))`

    with the weights `a_j = [S_ij + m]+` and `p = [1 + m - S_ii]+`, which carry no gradient: a score is
    pulled the harder the farther it is from where it should be.

    Source: Sun et al., Circle loss, CVPR 2020, equations 6 and 8; g = 32 and m = 0.25 as in DAR.
    """

    def anchors(scores: Tensor) -> Tensor:
        own = scores.diagonal()
        pull = (1 + margin - own.detach()).clamp(min=0) * (own - 1 + margin)
        push = (scores.detach() + margin).clamp(min=0) * (scores - margin)
        same = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        exponents = (scale * (push - pull[:, None])).masked_fill(same, _NONE)
        return torch.nn.functional.softplus(torch.logsumexp(exponents, 1)).mean()

    scores = _cosines(image, recipe)
    return anchors(scores) + anchors(scores.T)


def listwise(scores: Tensor) -> Tensor:
    """Cross-entropy of the first column, `(n, 1 + k) -> ()`: the own item against k negatives.

    `L = mean over rows of -log softmax(s_i)_0`; any common shift of a row leaves it unchanged.

    >>> listwise(torch.zeros(2, 4)).exp()
    tensor(4.)
    """
    return -torch.log_softmax(scores, 1)[:, 0].mean()


def hard_negatives(scores: Tensor, count: int, temperature: float) -> Tensor:
    """Draw columns other than the row's own, likelier the higher they score, `(n, n) -> (n, count)`.

    Drawn without repetition from `softmax(s / t)` with the diagonal left out (Li et al., ALBEF, NeurIPS
    2021, section 3.2); fewer come where a row has fewer.
    """
    same = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    likely = (scores.detach() / temperature).masked_fill(same, -torch.inf).softmax(1)
    # A floor, so that as many can be drawn as there are, however sharp the softmax.
    likely = (likely + 1e-9).masked_fill(same, 0)
    return likely.multinomial(min(count, len(scores) - 1))


MINING: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mean": triplet_mean,
    "sum": triplet_sum,
    "active": triplet_active,
    "hardest": triplet_hardest,
    "semi_hard": triplet_semi_hard,
}


def triplet(
    image: Tensor, recipe: Tensor, margin: float, mining: str = "mean", temperature: float = 0.05
) -> Tensor:
    """Bidirectional triplet loss over a batch of n pairs, `(n, dim), (n, dim) -> ()`, with a mining by name.

    Raises:
        OptionError: an unknown mining; the message lists those there are.
    """
    check_mining(mining)
    if mining == "soft":
        return triplet_soft(image, recipe, margin, temperature)
    return MINING[mining](image, recipe, margin)


def check_mining(mining: str) -> None:
    """Check the name of a mining.

    Raises:
        OptionError: there is none of that name; the message lists those there are.
    """
    if mining not in (*MINING, "soft"):
        raise OptionError(f"mining={mining!r}: choose one of {', '.join([*MINING, 'soft'])}")


def total_correlation(image: Tensor, recipe: Tensor, ridge: float = 1e-3, floor: float = 1e-9) -> Tensor:
    """Sum of the canonical correlations of n pairs, to be maximised, `(n, p), (n, q) -> ()`.

        `T = S11^(-1/2) S12 S22^(-1/2)`, `corr = sum of the singular values of T`

    with the covariances of the centred rows, `S12 = X'Y / (n - 1)`, `S11 = X'X / (n - 1) + ridge I` and S22
    likewise; eigenvalues of S11 and S22 below `floor` (above 0) count as `floor`. Rows need no unit length.
    All of it is in float64, gradients included. Each correlation is at most 1; with n not well above p + q
    they are large by chance.

    Source: Andrew, Arora, Bilmes and Livescu, Deep canonical correlation analysis, ICML 2013.

    >>> rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    >>> total_correlation(rows, 3 * rows, ridge=0.0)
    tensor(2., dtype=torch.float64)
    """
    x, y = (rows.double() - rows.double().mean(0) for rows in (image, recipe))
    degrees = max(1, len(x) - 1)
    root_x, root_y = (_inverse_root(rows.T @ rows / degrees, ridge, floor) for rows in (x, y))
    return torch.as_tensor(torch.linalg.svdvals(root_x @ (x.T @ y / degrees) @ root_y).sum())


def _inverse_root(covariance: Tensor, ridge: float, floor: float) -> Tensor:
    """`max(S + ridge I, floor)^(-1/2)` of a symmetric S, `(d, d) -> (d, d)`.

    The gradient that `eigh` has of itself divides by the differences of eigenvalues, so it is not finite
    where two are equal, as for a batch smaller than d. That of a function f of the matrix is: by Daleckii
    and Krein, `df(S) = V (F * (V' dS V)) V'` with the divided differences F of f at the eigenvalues.
    """
    values, vectors = torch.linalg.eigh(covariance.detach())
    values = values + ridge
    floored = values.clamp(min=floor)
    roots = floored.sqrt()
    steps, floored_steps = values[:, None] - values, floored[:, None] - floored
    # (f(a) - f(b)) / (a - b) without cancellation; the factor is 1 above the floor, 0 below it.
    slopes = -1 / (roots[:, None] * roots * (roots[:, None] + roots))
    share = torch.where(steps == 0, (values > floor).double(), floored_steps / steps)
    # Zero, but it carries the gradient.
    change = vectors.T @ (covariance - covariance.detach()) @ vectors
    return torch.as_tensor(vectors @ (roots.reciprocal().diag() + slopes * share * change) @ vectors.T)


# Hierarchical transformers (Salvador et al., CVPR 2021)


def triplet_mean_all(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over all n^2 entries, zeros on the diagonal, summed over both directions (H-T as published).

    It is `triplet_mean` times `(n - 1) / n`.

    >>> triplet_mean_all(torch.ones(2, 1), torch.ones(2, 1), margin=0.5)
    tensor(0.5000)
    """
    to_recipe, to_image = violations(image, recipe, margin)
    return (to_recipe.clamp(min=0) + to_image.clamp(min=0)).mean()


def between_parts(
    vectors: Tensor,
    present: Tensor,
    project: Callable[[int, int, Tensor], Tensor],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor | None:
    """Self-supervised loss of recipes: each part is to find the others of its own recipe, from n recipes.

        `L = mean over ordered pairs of parts a != b of loss(e_a, P_ba(e_b))`

    Only the recipes that have both parts enter a pair's term; a pair that fewer than two recipes have has
    none, and without any term the result is None.

    Args:
        vectors: of the parts, `(n, parts, d)`.
        present: which parts a recipe has, `(n, parts)`.
        project: `(a, b, e_b)` -> `P_ba(e_b)`, `(m, d) -> (m, d)`.
        loss: of two sides of m pairs, unit rows.

    Source: Salvador et al. (CVPR 2021), the recipe loss; there every recipe has every part.
    """
    terms = []
    for a, b in permutations(range(vectors.shape[1]), 2):
        both = present[:, a] & present[:, b]
        if both.sum() > 1:
            query, value = vectors[both, a], project(a, b, vectors[both, b])
            terms.append(loss(normalize(query.float(), dim=-1), normalize(value.float(), dim=-1)))
    return torch.stack(terms).mean() if terms else None


# Adversarial methods: ACME (Wang et al., CVPR 2019) and those built on it


def batch_hard(image: Tensor, recipe: Tensor, margin: float) -> Tensor:
    """Mean over 2n anchors of the violation by the nearest stranger among all 2n rows, in Euclidean distance.

        `[m + d(a, p) - min over strangers s of d(a, s)]+`, `d(a, b) = sqrt(2 - 2 a'b)` for unit rows

    Photos and recipes, `(n, dim)` each, are anchors alike; p is the anchor's partner, strangers are the rows
    of either kind that belong to other pairs. A single pair gives 0.

    Source: ACME's code (Wang et al., CVPR 2019), after Hermans et al., arXiv 1703.07737.

    >>> batch_hard(torch.eye(2), torch.eye(2), margin=2.0)  # 2 + 0 - sqrt(2)
    tensor(0.5858)
    """
    rows = torch.cat([image, recipe])
    # The floor keeps the square root's gradient finite where two rows are equal.
    distances = (2 - 2 * _cosines(rows, rows)).clamp(min=1e-12).sqrt()
    pair = torch.arange(len(image), device=rows.device).repeat(2)
    own = distances.diagonal(len(image)).repeat(2)
    strangers = distances.masked_fill(pair[:, None] == pair, -_NONE)
    return (margin + own - strangers.amin(1)).clamp(min=0).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Mean of `(|gradient of the critic at x| - 1)^2`, x at random between real and fake rows, in fp32.

    `x_i = u_i real_i + (1 - u_i) fake_i`, u uniform; `(n, d), (n, d) -> ()`.

    Source: Gulrajani et al., Improved training of Wasserstein GANs, NeurIPS 2017, algorithm 1.

    >>> gradient_penalty(lambda rows: (3 * rows).sum(1), torch.ones(2, 1), torch.zeros(2, 1))
    tensor(4.)
    """
    with torch.autocast(real.device.type, enabled=False):
        real, fake = real.detach().float(), fake.detach().float()
        share = torch.rand(len(real), 1, device=real.device)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return torch.as_tensor((gradient.norm(dim=1) - 1).square().mean())


def told_apart(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of a critic that says real or fake, from logits of any shape, averaged over both.

    `L = (mean of -log s(real) + mean of -log(1 - s(fake))) / 2`, s the logistic function; log 2 for a critic
    that cannot tell.

    >>> told_apart(torch.zeros(3), torch.zeros(3)).exp()
    tensor(2.)
    """
    softplus = torch.nn.functional.softplus
    return (softplus(-real.float()).mean() + softplus(fake.float()).mean()) / 2


def taken_for_real(fake: Tensor) -> Tensor:
    """Loss of a generator under `told_apart`, the non-saturating one: mean of `-log s(fake)`.

    Source: Goodfellow et al., Generative adversarial nets, NIPS 2014, section 3.

    >>> taken_for_real(torch.zeros(3)).exp()
    tensor(2.)
    """
    return torch.nn.functional.softplus(-fake.float()).mean()


def standard_normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of `N(mean, exp(log_variance))` from N(0, 1), averaged over all entries.

        `(mean^2 + exp(log_variance) - 1 - log_variance) / 2`

    Source: StackGAN's conditioning augmentation (Zhang et al., ICCV 2017, equation 2); the code averages.

    >>> standard_normal_divergence(torch.full((2, 3), 2.0), torch.zeros(2, 3))
    tensor(2.)
    """
    mean, log_variance = mean.float(), log_variance.float()
    return (mean.square() + log_variance.exp() - 1 - log_variance).mean() / 2


def classes_told(logits: Tensor, category: Tensor) -> Tensor:
    """Cross-entropy over title classes, `(n, classes), (n,) -> ()`, averaged over the items that have one.

    Class 0 is no class; without any named item the loss is 0.
    """
    named = category > 0
    losses = torch.nn.functional.cross_entropy(logits.float(), category, reduction="none")
    return (losses * named).sum() / named.sum().clamp(min=1)
