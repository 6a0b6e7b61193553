"""Circle loss: what its options change, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from savor.errors import OptionError
from savor.features import Dims, Features
from savor.losses import circle
from savor.methods.circle import Circle

SMALL = {"dim": 8, "hidden": 16}


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -0.1}, "margin=-0.1: must be at least 0"),
        ({"scale": 0.0}, "scale=0.0: must be above 0"),
        ({"hidden": 0}, "hidden=0"),
        ({"image_dropout": -0.1}, "image_dropout=-0.1"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Circle.build(Dims(8, 4), options)


@pytest.mark.parametrize(("margin", "scale"), [(0.25, 32.0), (0.4, 8.0)])
def test_the_loss_is_that_of_the_embeddings(margin: float, scale: float, features: Features) -> None:
    options = {"image_dropout": 0.0, "recipe_dropout": 0.0, "margin": margin, "scale": scale}
    method = Circle.build(features.dims, {**SMALL, **options})
    batch = features.batch(features.rows("val"), method.uses)
    ((player, loss),) = method.losses(batch)
    assert player == "towers"
    expected = circle(method.embed_image(batch), method.embed_recipe(batch), margin, scale)
    assert torch.allclose(loss, expected)
