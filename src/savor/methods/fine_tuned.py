"""Model 3: the encoders' own networks trained together with the attention layers on top of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from savor.batch import Batch, places
from savor.errors import OptionError
from savor.ingredient_words import as_targets, ingredient_words
from savor.layers import drawn, given
from savor.methods.base import Method, at_least
from savor.methods.triplet_mlp import TripletMLP
from savor.methods.two_stream import TwoStream
from savor.networks import LineNetwork, PhotoNetwork
from savor.pixels import NO_WORD, RawInput
from savor.recipe import PARTS
from savor.training import TrainingOptions, train_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Array
    from savor.features import Dims, Features

HEADS: dict[str, type[TwoStream | TripletMLP]] = {"two_stream": TwoStream, "triplet_mlp": TripletMLP}


class FineTuned(Method):
    """Model 3 of the student report: both encoders are trained with the layers on top of them.

    `L = L_triplet + class_weight (CE(photo) + CE(recipe)) + ingredient_weight (BCE(photo) + BCE(recipe))`

    on title classes (those without one are left out) and, where asked for, on the most frequent words of
    the ingredients; one linear classifier reads both sides. The head is another method, with one member, to
    which Model 1's streams are added, and no correction for hubs. It is first trained on the features alone,
    then all is trained on augmented pixels and on a few lines of each recipe, the encoders at smaller
    learning rates, `encoder_rate decay^d` for the stage d from the top.

    Args:
        dims: widths of the features.
        head: the method on top: `two_stream` (Model 1) or `triplet_mlp`.
        head_epochs: of the head's training on the features; 0 leaves it as it starts.
        image_encoder: the encoder of the features; a bundled one, a folder or a Hugging Face id.
        text_encoder: likewise.
        dim: width of the shared space; 0 as the head has it.
        margin: margin of the triplet loss, in cosine; 0 as the head has it.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`; as the head has it if empty.
        temperature: of `soft` mining, in cosine, and of the classifiers; 0 as the head has it.
        class_weight: of the cross-entropy on title classes.
        ingredient_weight: of the binary cross-entropy on ingredient words.
        ingredients: how many ingredient words are told apart; 0 none.
        encoder_rate: learning rate of the encoders' topmost stage, relative to the head's.
        decay: of the learning rate from stage to stage downwards.
        frozen_image: share of the image network's stages that stay as they are, from the input on.
        frozen_text: share of the text network's.
        lines: lines of each part that a training step reads, drawn at random; evaluation reads all.
        pieces: word pieces read of a line.
        grid: rows and columns of patches.
        height: of the canvas that all photos are put on, in pixels; 0 leaves it to the encoder.
        width: likewise.
        train_height: of the canvas in training; 0 leaves it to the encoder.
        train_width: likewise.
        checkpointing: save memory by computing states twice; the gradients stay the same.
        dtype: `auto`, `bf16` or `fp32`: what the networks compute in.
    """

    paper: ClassVar[str] = "student report 2022, Model 3"
    loss: ClassVar[str] = "that of its head; cross-entropy of classes and of ingredients"
    uses: ClassVar[tuple[str, ...]] = ("pixels", "word_ids", "category")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(
        epochs=3, batch_size=128, learning_rate=3e-4, clip=1.0
    )

    image_tower: PhotoNetwork
    recipe_tower: LineNetwork
    ingredient_classifier: nn.Linear | None

    def __init__(
        self,
        dims: Dims,
        *,
        head: str = "two_stream",
        head_epochs: int = 8,
        image_encoder: str = "efficientnet-lite2",
        text_encoder: str = "minilm",
        dim: int = 0,
        margin: float = 0.0,
        mining: str = "",
        temperature: float = 0.0,
        class_weight: float = 0.02,
        ingredient_weight: float = 0.1,
        ingredients: int = 0,
        encoder_rate: float = 0.2,
        decay: float = 0.9,
        frozen_image: float = 0.5,
        frozen_text: float = 0.5,
        lines: int = 3,
        pieces: int = 128,
        grid: int = 5,
        height: int = 0,
        width: int = 0,
        train_height: int = 0,
        train_width: int = 0,
        checkpointing: bool = False,
        dtype: str = "auto",
    ) -> None:
        super().__init__(dims)
        if head not in HEADS:
            raise OptionError(f"head={head!r}: choose one of {', '.join(HEADS)}")
        at_least(1, lines=lines, grid=grid)
        at_least(3, pieces=pieces)  # a word between the two special ones
        at_least(0, dim=dim, margin=margin, temperature=temperature)
        at_least(0, head_epochs=head_epochs, ingredients=ingredients, height=height, width=width)
        at_least(0, train_height=train_height, train_width=train_width)
        at_least(0, class_weight=class_weight, ingredient_weight=ingredient_weight, encoder_rate=encoder_rate)
        _shares(decay=decay, frozen_image=frozen_image, frozen_text=frozen_text)
        self.lines, self.grid = lines, (grid, grid)
        self.class_weight, self.ingredient_weight = class_weight, ingredient_weight
        self.encoder_rate, self.decay, self.head_epochs = encoder_rate, decay, head_epochs
        shared: dict[str, Any] = {"dtype": dtype, "checkpointing": checkpointing}
        self.image_tower = PhotoNetwork(image_encoder, frozen=frozen_image, **shared)
        self.recipe_tower = LineNetwork(text_encoder, limit=pieces, frozen=frozen_text, **shared)
        for name, tower, wanted in (
            (f"image_encoder={image_encoder}", self.image_tower, dims.image),
            (f"text_encoder={text_encoder}", self.recipe_tower, dims.text),
        ):
            if tower.encoder.dim != wanted:
                raise OptionError(
                    f"{name}: gives {tower.encoder.dim} numbers, the features have {wanted}; name the"
                    " encoder they were made with"
                )
        options = {"dim": dim, "margin": margin, "mining": mining, "temperature": temperature}
        chosen = {name: value for name, value in options.items() if value}
        # There is one pair of encoders, so one member on top of it.
        joined = {"perceptrons": "added", "recipe_dropout": 0.3}
        own = joined if head == "two_stream" else {}
        self.head = HEADS[head].build(dims, {**chosen, **own, "members": 1, "hubs": 0})
        dim = _width(self.head)
        self.classifier = nn.Linear(dim, dims.categories)
        self.ingredient_classifier = nn.Linear(dim, ingredients) if ingredients else None
        self._words_of: dict[str, list[int]] = {}
        self.raw = RawInput(
            self.image_tower.canvas(height, width, training=False),
            self.recipe_tower.tokenize,
            self.image_tower.canvas(train_height, train_width, training=True),
        )

    @property
    def chunk(self) -> int:
        """Rows embedded at a time."""
        return 64

    def prepare(self, features: Features, rows: Array) -> None:
        """Train the head on the features."""
        if self.head_epochs == 0:
            self.head.prepare(features, rows)
        elif self.head.trains_with is not None:
            options = replace(self.head.trains_with, epochs=self.head_epochs)
            train_rows(self.head, features, rows, options, seed=torch.initial_seed() % 2**32)

    def look_at(self, features: Features, rows: Array) -> None:
        """Check that the features are of these encoders, and count the ingredient words.

        Raises:
            OptionError: the features were made with other encoders.
        """
        for kind, encoder in (("image", self.image_tower.encoder), ("text", self.recipe_tower.encoder)):
            made_with, own = features.manifest["encoders"][kind], encoder.describe()
            if made_with["weights"] != own["weights"]:
                raise OptionError(
                    f"{kind}_encoder={own['name']}: the features come from {made_with['name']}; set"
                    f" {kind}_encoder to it, or extract features with {own['name']}"
                )
        if self.ingredient_classifier is not None:
            self._words_of = ingredient_words(features, rows, self.ingredient_classifier.out_features)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return self.head.embed_image(self.see(batch))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return self.head.embed_recipe(self.read(batch))

    def see(self, batch: Batch) -> Batch:
        """Fill `image` and `patches` from `pixels`."""
        pooled, maps = self.image_tower(given(batch.pixels, "pixels"))
        patches = F.adaptive_avg_pool2d(maps, self.grid).flatten(2).mT
        return replace(batch, image=pooled, patches=patches, grid=self.grid)

    def read(self, batch: Batch) -> Batch:
        """Fill the line vectors and the word states from the word ids; in training, of some lines only."""
        given_parts = [part for part in PARTS if getattr(batch, f"{part}_ids") is not None]
        if not given_parts:
            given(None, "word ids")
        masks = {part: self._drawn(part, _lines(batch, part)[1]) for part in given_parts}
        places_of = {part: masks[part].nonzero() for part in given_parts}
        ids = _stacked([_lines(batch, part)[0][masks[part]] for part in given_parts])
        pooled, states = self.recipe_tower(ids)
        fields: dict[str, Any] = {}
        start = 0
        for part in given_parts:
            mask = masks[part]
            values = pooled.new_zeros(*mask.shape, pooled.shape[-1])
            count = len(places_of[part])
            values[mask] = pooled[start : start + count]
            start += count
            if part == "title":
                values, mask = values[:, 0], mask[:, 0]
            fields |= {part: values, f"{part}_mask": mask}
        where = torch.cat(
            [F.pad(places_of[part], (1, 0), value=PARTS.index(part)) for part in given_parts]
        )  # part, row, line
        fields |= self._words(states, self.recipe_tower.own(ids), where, len(batch))
        return replace(batch, **fields)

    def _drawn(self, part: str, mask: Tensor) -> Tensor:
        """Keep `lines` random lines of each recipe's part while training, all of them otherwise."""
        return drawn(mask, self.lines) if self.training and part != "title" else mask

    def _words(self, states: Tensor, own: Tensor, where: Tensor, count: int) -> dict[str, Tensor]:
        """Lay out the states of the lines' words by recipe, at most `head.words` of each, evenly spread.

        Args:
            states: `(n, t, d)`.
            own: which states are words, `(n, t)`.
            where: part, row and line of each line, `(n, 3)`.
            count: recipes.
        """
        line = own.nonzero()[:, 0]
        order = where[line, 1].argsort(stable=True)
        line, flat = line[order], states[own][order]
        counts = torch.bincount(where[line, 1], minlength=count)
        chosen, mask = (torch.from_numpy(one) for one in places(counts.cpu().numpy(), self.head.words))
        chosen, mask = chosen.to(flat.device), mask.to(flat.device)
        index = ((counts.cumsum(0) - counts)[:, None] + chosen)[mask]
        words = flat.new_zeros(*mask.shape, flat.shape[-1])
        words[mask] = flat[index]
        spans = torch.zeros(*mask.shape, 4, dtype=torch.long, device=flat.device)
        spans[mask] = F.pad(where[line[index]][:, [0, 2]], (0, 2))
        return {"words": words, "words_mask": mask, "words_spans": spans}

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the triplet loss with the classification losses."""
        image, recipe = self.embed_image(batch), self.embed_recipe(batch)
        yield "towers", self.pair_loss(image, recipe, batch)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the loss of embeddings, `(b, dim)` each."""
        total = self.head.pair_loss(image, recipe, batch)
        for side in (image, recipe):
            if self.class_weight:
                total = total + self.class_weight * self._class_loss(side, given(batch.category, "category"))
            if self.ingredient_classifier is not None:
                total = total + self.ingredient_weight * self._ingredient_loss(side, batch)
        return total

    def _class_loss(self, side: Tensor, category: Tensor) -> Tensor:
        named = category > 0
        logits = self.classifier(side).float() / self.head.temperature
        losses = F.cross_entropy(logits, category, reduction="none")
        return (losses * named).sum() / named.sum().clamp(min=1)

    def _ingredient_loss(self, side: Tensor, batch: Batch) -> Tensor:
        assert self.ingredient_classifier is not None
        logits = self.ingredient_classifier(side).float() / self.head.temperature
        truth, known = as_targets(self._words_of, batch.ids, logits.shape[1], side.device)
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
        return (losses * known).sum() / known.sum().clamp(min=1)

    def players(self) -> dict[str, list[nn.Parameter] | list[dict[str, Any]]]:
        """Return one player whose groups have learning rates of their own."""
        heads = [self.head, self.classifier, self.ingredient_classifier]
        groups: list[dict[str, Any]] = [
            {"params": [p for one in heads if one is not None for p in one.parameters()], "factor": 1.0}
        ]
        for tower in (self.image_tower, self.recipe_tower):
            for share, stage in tower.groups(self.decay):
                groups.append({"params": stage, "factor": self.encoder_rate * share})
        return {"towers": groups}


@torch.no_grad()
def _width(head: Method) -> int:
    """Return the width of a head's shared space, found by embedding a photo of zeros."""
    vector, training = torch.zeros(1, head.dims.image), head.training
    zeros = Batch(("",), image=vector, image_mask=torch.ones(1, dtype=torch.bool), patches=vector[:, None])
    width = head.eval().embed_image(replace(zeros, grid=(1, 1))).shape[1]
    head.train(training)
    return width


def _shares(**options: float) -> None:
    for name, value in options.items():
        if not 0 <= value <= 1:
            raise OptionError(f"{name}={value}: is a share, from 0 to 1")


def _lines(batch: Batch, part: str) -> tuple[Tensor, Tensor]:
    """Return the ids `(b, n, t)` of a part's lines and their mask `(b, n)`; a title is one line."""
    ids, mask = getattr(batch, f"{part}_ids"), getattr(batch, f"{part}_mask")
    return (ids[:, None], mask[:, None]) if part == "title" else (ids, mask)


def _stacked(ids: list[Tensor]) -> Tensor:
    """Put lines of several parts, `(n, t)` each, under each other, padded to the longest."""
    longest = max(one.shape[1] for one in ids)
    return torch.cat([F.pad(one, (0, longest - one.shape[1]), value=NO_WORD) for one in ids])
