"""R2GAN: one generator, two critics, two rankings."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import classes_told, triplet
from savor.methods.r2gan import R2GAN
from savor.training import TrainingOptions, train

SMALL = {"dim": 8, "hidden": 16, "picture_size": 8, "picture_width": 8, "picture_batch": 16}
OPTIONS = TrainingOptions(epochs=2, batch_size=32)


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


def build(features: Features, **options) -> R2GAN:
    torch.manual_seed(0)
    return R2GAN.build(features.dims, {**SMALL, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "batch_hard"}, "mining='batch_hard': choose one of mean"),
        ({"picture_size": 48}, "picture_size=48: must be 8, 16"),
        ({"image_rank_weight": -1.0}, "image_rank_weight=-1.0"),
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        R2GAN.build(Dims(8, 4), options)


def test_embeddings_are_ranked_and_classified(features: Features) -> None:
    method = build(features, class_weight=0.5)
    batch = features.batch(features.rows("train", photo=True, text=True)[:6], method.uses)
    image, recipe = torch.nn.functional.normalize(torch.randn(2, 6, 8), dim=-1)
    classes = [classes_told(method.classifier(side) / 0.05, batch.category) for side in (image, recipe)]
    expected = triplet(image, recipe, 0.3, "soft", 0.05) + 0.5 * sum(classes)
    assert torch.allclose(method.pair_loss(image, recipe, batch), expected)


def test_one_generator_and_two_critics_have_players_of_their_own(features: Features) -> None:
    method = build(features)
    players = method.players()
    assert list(players) == ["towers", "generator", "critic"]
    owned = [*players["towers"], *players["generator"][0]["params"], *players["critic"][0]["params"]]
    assert {id(one) for one in owned} == {id(one) for one in method.parameters()}
    assert list(build(features, picture_size=0).players()) == ["towers"]


def test_the_second_critic_learns_where_a_picture_came_from(features: Features) -> None:
    game = build(features).game
    drawn = torch.cat([torch.full((6, 3, 8, 8), 0.5), torch.full((6, 3, 8, 8), -0.5)])
    drawn = drawn + 0.1 * torch.randn_like(drawn)
    optimiser = torch.optim.Adam(game.origin.parameters(), 1e-2)
    for _ in range(20):
        optimiser.zero_grad()
        game.critic_loss(drawn, torch.randn(6, 3, 8, 8)).backward()
        optimiser.step()
    from_photo, from_recipe = game.origin.real(game.origin(drawn)).chunk(2)
    assert from_photo.min() > from_recipe.max()


def test_pictures_are_ranked_by_the_photo_they_belong_to(features: Features) -> None:
    game = build(features, reconstruction=0.0, adversarial_weight=0.0).game
    photos = torch.randn(6, 3, 8, 8).clamp(-1, 1)
    right = game.generator_loss(torch.cat([photos, photos]), photos)
    wrong = game.generator_loss(torch.cat([photos, photos.roll(1, 0)]), photos)
    assert right < wrong


def test_the_generators_loss_leaves_the_critics_alone(features: Features) -> None:
    game = build(features).game
    drawn = torch.randn(8, 3, 8, 8, requires_grad=True)
    game.generator_loss(drawn, torch.randn(4, 3, 8, 8)).backward()
    assert drawn.grad.any()
    critics = [*game.lifelike.parameters(), *game.origin.parameters()]
    assert all(one.grad is None and one.requires_grad for one in critics)


@pytest.mark.parametrize("faithful", [False, True])
def test_it_trains_draws_and_goes_on_to_the_bit(faithful: bool, features: Features, tmp_path: Path) -> None:
    def stop(entry: dict) -> None:
        raise KeyboardInterrupt

    whole, resumed = (build(features, faithful=faithful) for _ in range(2))
    log = train(whole, features, options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(build(features, faithful=faithful), features, options=OPTIONS, folder=tmp_path, on_epoch=stop)
    train(resumed, features, options=OPTIONS, folder=tmp_path)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())
    assert set(log[-1]["loss"]) == {"towers", "generator", "critic"}
    assert {"told_apart", "origin_told", "picture_rank", "picture_variety"} <= set(log[-1])
    assert len(list((tmp_path / "samples").iterdir())) == 2
    assert whole.game.begins == (1 if faithful else 3)


def test_the_towers_feel_the_game_from_its_epoch_on(features: Features) -> None:
    rows, gradients = features.rows("train", photo=True, text=True)[:12], []
    for epoch in (1, 3):
        method = build(features, game_weight=0.5)
        method.look_at(features, rows)
        method.start_epoch(epoch, 4)
        torch.manual_seed(1)
        for _, loss in method.losses(features.batch(rows, method.uses)):
            method.zero_grad()
            loss.backward()
        gradients.append(method.recipe_tower[-1].weight.grad)
    assert not torch.allclose(*gradients, rtol=1e-3)
