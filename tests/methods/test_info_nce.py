"""InfoNCE: its temperature, fixed or learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import info_nce
from savor.methods.info_nce import SHARPEST, InfoNCE
from savor.training import TrainingOptions, train

SMALL = {"dim": 8, "hidden": 16}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature=0.0: must be above 0"),
        ({"text": "steps"}, "text='steps': choose one of all, title, ingredients, instructions"),
        ({"dim": 0}, "dim=0"),
        ({"recipe_dropout": 1.0}, "recipe_dropout=1.0"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        InfoNCE.build(Dims(8, 4), options)


@pytest.mark.parametrize("learned", [False, True])
def test_the_loss_is_that_of_the_embeddings(learned: bool, features: Features) -> None:
    options = {"image_dropout": 0.0, "recipe_dropout": 0.0, "temperature": 0.2, "learned": learned}
    method = InfoNCE.build(features.dims, {**SMALL, **options})
    batch = features.batch(features.rows("val"), method.uses)
    ((_, loss),) = method.losses(batch)
    assert torch.allclose(loss, info_nce(method.embed_image(batch), method.embed_recipe(batch), 0.2))


def test_a_learned_temperature_moves_is_logged_and_saved(features: Features) -> None:
    options = TrainingOptions(epochs=3, batch_size=50, learning_rate=0.01)
    fixed, learned = (InfoNCE.build(features.dims, {**SMALL, "learned": one}) for one in (False, True))
    logs = [train(method, features, options=options) for method in (fixed, learned)]
    assert [entry["temperature"] for entry in logs[0]] == [0.05] * 3
    moved = [entry["temperature"] for entry in logs[1]]
    assert len(set(moved)) > 1
    assert min(abs(value - learned.temperature.item()) for value in moved) < 1e-5
    assert "sharpness" in learned.state_dict()
    assert "sharpness" not in fixed.state_dict()


def test_a_learned_temperature_never_gets_sharper_than_the_limit() -> None:
    method = InfoNCE.build(Dims(8, 4), {**SMALL, "learned": True})
    with torch.no_grad():
        method.sharpness.fill_(9.0)
    assert method.temperature.item() == pytest.approx(SHARPEST)
