"""TNLBT: H-T with games switched off, the gradients of the whole batch in chunks, pictures from recipes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from savor.batch import Batch
from savor.errors import MethodError, OptionError
from savor.features import Dims, Features
from savor.losses import batch_hard
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.methods.tnlbt import TNLBT
from savor.runs import describe, open_run, save_run
from savor.training import TrainingOptions

SMALL = {"dim": 12, "width": 16, "inner": 24, "hidden": 32, "min_count": 1}
GAMES = {"picture_size": 8, "picture_width": 8, "picture_batch": 4, "pictures": 12, "ingredients": 10}
STILL = {"dropout": 0.0, "image_dropout": 0.0, "recipe_dropout": 0.0, "lines": 0, "line_words": 0}
OPTIONS = TrainingOptions(epochs=2, batch_size=14, learning_rate=3e-3)


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


def make(dims: Dims | None = None, kind=TNLBT, **options) -> HierarchicalTransformer:
    torch.manual_seed(0)
    return kind.build(dims or Dims(12, 16, 5), {**SMALL, **options})


@pytest.fixture(scope="module")
def fitted(features: Features) -> TNLBT:
    method = make(features.dims, **GAMES, adversarial_from=1)
    return method.fit(features, options=OPTIONS, val_split=None)


def batch_of(features: Features, method: TNLBT, count: int = 10) -> Batch:
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    method.look_at(features, rows)
    return features.batch(rows[:count], method.uses, raw=method.raw)


def test_without_games_it_is_the_hierarchical_transformer(features: Features) -> None:
    plain = make(features.dims, HierarchicalTransformer, **STILL)
    both = make(features.dims, alignment_weight=0.0, picture_size=0, cache_chunk=0, recipe_only=2.0, **STILL)
    both.load_state_dict(plain.state_dict())
    found = []
    for method in (plain, both):
        torch.manual_seed(1)  # preparing gives the words random vectors
        batch = batch_of(features, method)
        torch.manual_seed(1)
        found.append([(player, loss.item()) for player, loss in method.losses(batch)])
    assert found[0] == found[1]
    assert list(both.players()) == ["towers"]


@pytest.mark.parametrize(
    "options", [{}, {"words": "learned"}, {"words": "encoder"}, {"faithful": True, "width": 16, "layers": 1}]
)
def test_gradients_in_chunks_are_those_of_the_batch(features: Features, options: dict) -> None:
    gradients = []
    for chunk in (0, 4):
        method = make(features.dims, **STILL, **options, cache_chunk=chunk, picture_size=0)
        batch = batch_of(features, method)
        torch.manual_seed(1)
        loss = next(loss for player, loss in method.losses(batch) if player == "towers")
        loss.backward()
        gradients.append({name: one.grad for name, one in method.named_parameters()})
    assert gradients[0]["recipe_tower.parts.ingredients.places"].abs().max() > 1e-9
    for name, one in gradients[0].items():
        if one is not None and not name.startswith("alignment"):
            assert torch.allclose(one, gradients[1][name], rtol=0, atol=1e-6), name


def test_the_players_take_turns(features: Features) -> None:
    method = make(features.dims, **GAMES)
    method.start_epoch(1, 4)
    steps = [player for player, loss in method.losses(batch_of(features, method)) if loss.backward() is None]
    assert steps[0] == "aligner"
    assert steps[1:5] == ["critic", "generator"] * 2  # 10 pairs, about 4 at a time
    assert set(steps[5:]) == {"towers"}
    assert method.translation.pull == method.alignment.pull == 0.0
    method.start_epoch(4, 4)
    assert (method.translation.pull, method.alignment.pull) == (0.002, 0.00005)


@pytest.mark.parametrize(("pictures", "steps"), [(4, 1), (8, 2), (0, 2)])
def test_the_translation_is_played_with_some_of_the_pairs(features, pictures: int, steps: int) -> None:
    method = make(features.dims, **{**GAMES, "pictures": pictures})
    players = [
        player for player, loss in method.losses(batch_of(features, method)) if loss.backward() is None
    ]
    assert players.count("generator") == steps


def test_published_triplets_and_layers() -> None:
    method = make(faithful=True, width=16, **GAMES)
    image, recipe = torch.nn.functional.normalize(torch.randn(2, 6, 12), dim=-1)
    batch = Batch(tuple("abcdef"))
    assert torch.equal(method.pair_loss(image, recipe, batch), batch_hard(image, recipe, 0.3))
    assert [type(one).__name__ for one in method.shared] == ["Linear", "BatchNorm1d", "Tanh"]
    assert "word_ids" in method.uses
    assert (method.ingredient_count, method.translation.reconstruction, method.alignment.begins) == (
        0,
        0.0,
        1,
    )


def test_pictures_are_drawn_from_the_recipe_alone(features: Features, fitted: TNLBT, tmp_path: Path) -> None:
    rows = features.rows("val")[:3]
    batch = features.batch(rows, ("lines", "word_ids"), raw=fitted.raw)
    pictures = fitted.generate(batch, seed=1)
    assert (pictures.shape, pictures.dtype) == ((3, 3, 8, 8), torch.uint8)
    save_run(tmp_path, fitted, describe("tnlbt", fitted, features))
    run = open_run(tmp_path)
    assert torch.equal(run.method.generate(batch, seed=1), pictures)
    for one, two in zip(fitted.embed(features, rows), run.method.embed(features, rows), strict=True):
        assert np.array_equal(one, two)
    with pytest.raises(MethodError, match="picture_size=0"):
        make(picture_size=0).generate(batch)


def test_every_player_learns(features: Features, fitted: TNLBT) -> None:
    before = dict(make(features.dims, **GAMES).named_parameters())
    after = dict(fitted.named_parameters())
    changed = {name.rpartition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    towers = {"image_tower.1", "recipe_head.1", "recipe_tower.vectors.title"}
    games = {"alignment.critic.layers.0", "translation.generator.start", "translation.critic.alone"}
    assert changed >= {*towers, *games, "translation.to_ingredients.0"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alignment_weight": -1.0}, "alignment_weight=-1.0: must be at least 0"),
        ({"adversarial_from": 0}, "adversarial_from=0: must be at least 1"),
        ({"cache_chunk": -1}, "cache_chunk=-1: must be at least 0"),
        ({"critic_rate": 0.0}, "critic_rate=0.0: must be above 0"),
        ({"picture_size": 9}, "picture_size=9"),
        ({"words": "encoder", "faithful": True}, "as published, words are learned"),
        ({"margin_schedule": "linear", "margin_step": 0.0}, "margin_step=0.0: must be above 0"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**options)
