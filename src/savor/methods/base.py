"""Method: the base class of all methods, from closed form to adversarial."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.training import TrainingOptions, train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from savor.batch import Batch
    from savor.features import Dims, Features

Array = np.ndarray[Any, np.dtype[Any]]


class Method(nn.Module):
    """Maps photos and recipes into one space where matching pairs lie close.

    A subclass sets `image_tower` and `recipe_tower`, writes `embed_image` and `embed_recipe`, and either
    `losses` (trained by the shared loop) or `fit` (closed form). Its constructor takes the widths of the
    features and keyword options, which become options on the command line.
    """

    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    paper: ClassVar[str] = ""
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions()

    image_tower: nn.Module
    recipe_tower: nn.Module

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.options: dict[str, Any] = {}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the constructor's keyword options and their defaults."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    @classmethod
    def build(cls, dims: Dims, options: Mapping[str, Any]) -> Self:
        """Make an untrained method and keep the resolved options with it.

        Raises:
            OptionError: an option that the method does not know; the message lists those it does.
        """
        known = cls.defaults()
        for name in options:
            if name not in known:
                listed = ", ".join(f"{key} ({value!r})" for key, value in known.items())
                raise OptionError(f"no option {name!r}; this method has {listed}")
        resolved = {**known, **options}
        method = cls(dims, **resolved)
        method.options = resolved
        return method

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed the photos of a batch, `(b, dim)`, unit rows."""
        raise NotImplementedError

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed the recipes of a batch, `(b, dim)`, unit rows."""
        raise NotImplementedError

    def score(self, queries: Batch, candidates: Batch) -> Tensor:
        """Score photos against recipes, `(n, m)`: the cosine of their embeddings."""
        return self.embed_image(queries) @ self.embed_recipe(candidates).T

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn statistics of the training rows before the first step; most methods need none."""

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield `(player, loss)`; after each the loop steps that player, then the body goes on."""
        raise NotImplementedError

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return who owns which parameters: one optimiser a player."""
        return {"towers": list(self.parameters())}

    def fit(self, features: Features, **options: Any) -> Self:
        """Train on a split of the features with the shared loop; `options` as in `savor.training.train`."""
        train(self, features, **options)
        return self

    @torch.no_grad()
    def embed(self, features: Features, rows: Sequence[int] | Array, size: int = 1024) -> tuple[Array, Array]:
        """Embed the first photo and the recipe of some rows, `(n, dim)` float32 each, in evaluation mode."""
        training, device = self.training, next(self.parameters()).device
        self.eval()
        images, recipes = [], []
        for start in range(0, max(1, len(rows)), size):
            batch = features.batch(np.asarray(rows[start : start + size]), self.uses).to(device)
            images.append(self.embed_image(batch).float().cpu().numpy())
            recipes.append(self.embed_recipe(batch).float().cpu().numpy())
        self.train(training)
        return np.concatenate(images), np.concatenate(recipes)
