"""Generator and critics: shapes, modes, who gets which gradient, and the two games."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from savor.errors import OptionError
from savor.generators import (
    Alignment,
    EmbeddingCritic,
    PictureCritic,
    PictureGenerator,
    Translation,
    doublings,
    eased,
    evened,
    mirrored,
    unlearning,
)

DIM, CLASSES = 6, 3


def translation(**options) -> Translation:
    small = {"size": 8, "code": 4, "noise": 3, "width": 8, "ingredients": 5, "at_once": 4}
    return Translation(DIM, CLASSES, **{**small, **options})


def example(n: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Recipes, photos' vectors, photos, classes and ingredient words."""
    recipe, image = torch.nn.functional.normalize(torch.randn(2, n, DIM), dim=-1)
    words = (torch.rand(n, 5) < 0.3).float(), torch.arange(n) % 2 == 0
    return (
        recipe.requires_grad_(),
        image.requires_grad_(),
        torch.rand(n, 3, 8, 8) * 2 - 1,
        torch.arange(n) % CLASSES,
        words,
    )


@pytest.mark.parametrize("size", [8, 16, 64])
def test_pictures_and_judgements_have_the_shape_asked_for(size: int) -> None:
    generator = PictureGenerator(DIM, size=size, code=4, noise=3, width=8)
    critic = PictureCritic(4, size=size, classes=CLASSES, width=8)
    drawn = generator(torch.randn(2, DIM))
    assert drawn.pictures.shape == (2, 3, size, size)
    assert drawn.mean.shape == drawn.log_variance.shape == (2, 4)
    assert drawn.pictures.abs().max() <= 1
    states = critic(drawn.pictures)
    assert critic.real(states).shape == critic.matching(states, drawn.mean).shape == (2,)
    assert critic.classes(states).shape == (2, CLASSES)


@pytest.mark.parametrize("size", [-4, 0, 4, 12, 63, 100])
def test_a_size_that_doubling_does_not_reach(size: int) -> None:
    with pytest.raises(OptionError, match=f"picture_size={size}: must be 8, 16, 32"):
        doublings(size)


def test_a_batch_of_one_is_trained_on_and_drawn() -> None:
    generator = PictureGenerator(DIM, size=8, code=4, noise=3, width=8)
    generator(torch.randn(1, DIM)).pictures.sum().backward()
    pictures = generator.eval()(torch.randn(1, DIM)).pictures
    assert torch.isfinite(pictures).all()


def test_in_evaluation_a_picture_is_the_same_alone_and_in_company() -> None:
    generator = PictureGenerator(DIM, size=8, code=4, noise=3, width=8).eval()
    vectors, noise = torch.randn(5, DIM), torch.randn(5, 3)
    together = generator(vectors, noise).pictures
    assert torch.allclose(generator(vectors[2:3], noise[2:3]).pictures, together[2:3], atol=1e-5)
    assert torch.allclose(
        generator(7 * vectors, noise).pictures, together, atol=1e-3
    )  # only directions count
    assert not torch.allclose(generator(vectors, noise + 1).pictures, together, atol=1e-3)


def test_codes_are_drawn_in_training_alone() -> None:
    generator = PictureGenerator(DIM, size=8, code=4, noise=3, width=8)
    vectors, noise = torch.randn(2, DIM), torch.zeros(2, 3)
    one, two = (generator(vectors, noise).pictures for _ in range(2))
    assert not torch.equal(one, two)
    generator.scattered = False
    one, two = (generator(vectors, noise).pictures for _ in range(2))
    assert torch.equal(one, two)


def test_it_runs_under_bf16_and_gives_fp32() -> None:
    game, critic = translation(), EmbeddingCritic(DIM)
    recipe, image, photos, category, words = example()
    with torch.autocast("cpu", torch.bfloat16):
        drawn = game.draw(recipe)
        losses = game.critic_loss(drawn, photos, category), game.loss(drawn, photos, image, category, words)
        score = critic(recipe)
    assert {one.dtype for one in (*drawn, *losses, score)} == {torch.float32}
    sum(losses).backward()
    assert torch.isfinite(recipe.grad).all()


def test_a_critic_that_is_unlearning_passes_gradients_on() -> None:
    critic, vectors = EmbeddingCritic(DIM), torch.randn(3, DIM, requires_grad=True)
    with unlearning(critic):
        loss = critic(vectors).sum()
    loss.backward()
    assert vectors.grad.any()
    assert all(one.grad is None and one.requires_grad for one in critic.parameters())


def test_a_critic_of_embeddings_learns_to_tell_and_the_recipe_gives_way() -> None:
    game = Alignment(DIM, weight=0.1)
    image, recipe = torch.randn(64, DIM) + 1, (torch.randn(64, DIM) - 1).requires_grad_()
    optimiser = torch.optim.Adam(game.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        game.critic_loss(image, recipe).backward()
        optimiser.step()
    assert recipe.grad is None
    assert game.critic(image).mean() > game.critic(recipe).mean() + 0.5
    game.recipe_loss(recipe).backward()
    # To look like photos, recipes move up.
    assert (recipe.grad.mean(0) < 0).float().mean() > 0.8
    moved = recipe.grad.clone()
    game.weight, recipe.grad = 0.2, None
    game.start_epoch(1)
    game.recipe_loss(recipe).backward()
    assert torch.allclose(recipe.grad, 2 * moved)


def test_the_critics_loss_reaches_neither_generator_nor_towers() -> None:
    game = translation()
    recipe, _, photos, category, _ = example()
    game.critic_loss(game.draw(recipe), photos, category).backward()
    assert recipe.grad is None
    assert all(one.grad is None for one in game.generator.parameters())
    assert all(one.grad is not None for one in game.critic.parameters())


def test_the_generators_loss_reaches_all_but_the_critic_and_the_towers_by_the_weight() -> None:
    recipe, image, photos, category, words = example()
    gradients = []
    for weight in (0.0, 0.1, 0.2):
        torch.manual_seed(1)
        game = translation(weight=weight)
        torch.manual_seed(2)
        recipe.grad = image.grad = None
        game.loss(game.draw(recipe), photos, image, category, words).backward()
        assert all(one.grad is None for one in game.critic.parameters())
        own = [one for name, one in game.named_parameters() if not name.startswith("critic.")]
        assert all(one.grad is not None for one in own)
        gradients.append((recipe.grad, image.grad, own[0].grad.clone()))
    nothing, once, twice = gradients
    assert not nothing[0].any()
    assert not nothing[1].any()
    for side in (0, 1):
        assert torch.allclose(2 * once[side], twice[side], rtol=1e-4)
    assert torch.allclose(once[2], twice[2], rtol=1e-4)  # the generator learns alike


def test_ingredients_count_where_they_are_known() -> None:
    game = translation()
    _, image, _, category, (truth, known) = example()
    full = game.naming_loss(image, category, (truth, known))
    other = torch.where(known[:, None], truth, 1 - truth)
    assert torch.equal(game.naming_loss(image, category, (other, known)), full)
    plain = game.naming_loss(image, category)
    logits = game.to_ingredients(torch.nn.functional.layer_norm(image, (DIM,)))
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits[known], truth[known])
    assert torch.allclose(full, plain + entropy)


def test_a_game_of_several_steps_gives_the_towers_the_gradient_of_them_all() -> None:
    recipe, image, photos, category, words = example()
    torch.manual_seed(1)
    game = translation(weight=0.3)
    torch.manual_seed(2)
    plays = game.play(recipe, image, photos, category, words)
    players = []
    try:
        while True:
            player, loss = next(plays)
            players.append(player)
            loss.backward()
    except StopIteration as end:
        felt = end.value
    assert players == ["critic", "generator"] * 2
    assert float(felt.detach()) == 0
    felt.backward()
    found = recipe.grad, image.grad
    recipe.grad = image.grad = None
    torch.manual_seed(2)  # the same codes and noise, and no steps were taken in between
    for part in torch.arange(8).chunk(2):
        drawn = game.draw(recipe[part])
        some = words[0][part], words[1][part]
        (game.loss(drawn, photos[part], image[part], category[part], some) / 2).backward()
    assert found[0].any()
    assert torch.allclose(found[0], recipe.grad, atol=1e-6)
    assert torch.allclose(found[1], image.grad, atol=1e-6)


def test_towers_feel_a_game_from_its_epoch_on() -> None:
    game = translation(weight=0.3, begins=3)
    for epoch, pull in ((1, 0.0), (2, 0.0), (3, 0.3), (4, 0.3)):
        game.start_epoch(epoch)
        assert game.pull == pull


def test_curves_are_means_of_an_epoch() -> None:
    game = Alignment(DIM)
    for value in (1.0, 2.0):
        game.note(gap=torch.tensor(value))
    assert game.curves() == {"gap": 1.5}
    game.start_epoch(2)
    assert game.curves() == {}


def test_every_parameter_of_a_translation_has_one_player() -> None:
    game = translation()
    players = game.players(0.5, 2.0)
    owned = [id(one) for groups in players.values() for group in groups for one in group["params"]]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(one) for one in game.parameters()}
    assert [groups[0]["factor"] for groups in players.values()] == [0.5, 2.0]


def test_a_generator_with_reconstruction_learns_the_photos_of_its_recipes() -> None:
    game = translation(ingredients=0, reconstruction=10.0, adversarial=0.1)
    recipe = torch.eye(DIM)[:4]
    photos = torch.tensor([-0.8, -0.3, 0.3, 0.8]).view(4, 1, 1, 1).expand(4, 3, 8, 8)
    optimiser = torch.optim.Adam(game.generator.parameters(), 1e-2)
    for _ in range(80):
        optimiser.zero_grad()
        game.picture_loss(game.draw(recipe), photos, torch.zeros(4, dtype=torch.long)).backward()
        optimiser.step()
    error = (game.eval().draw(recipe).pictures - photos).abs().mean()
    assert error < 0.7 * (photos.mean(0) - photos).abs().mean()


def test_evened_losses_are_equal_and_keep_their_gradients_apart() -> None:
    one, two = torch.tensor(4.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    sum(evened(one, two)).backward()
    assert float(one.grad) == 0.25
    assert float(two.grad) == 1


def test_easing_keeps_the_values_to_the_bit() -> None:
    vectors = torch.randn(20, 20)
    assert torch.equal(eased(vectors, 0.002), vectors)


def test_about_half_of_the_pictures_are_mirrored() -> None:
    pictures = torch.arange(4.0).expand(200, 3, 2, 4)
    turned = (mirrored(pictures)[:, 0, 0, 0] == 3).sum()
    assert 60 < turned < 140
