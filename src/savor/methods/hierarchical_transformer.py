"""Hierarchical transformers (H-T): words make lines, lines make parts, parts make recipes."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from savor.distributed import gather_batch, gathered, in_chunks, own_share
from savor.errors import OptionError
from savor.layers import SequenceEncoder, Standardise, WordEmbedding, drawn, given, projector, unit
from savor.losses import between_parts, check_mining, triplet, triplet_mean_all
from savor.methods.base import Method, above_zero, at_least, dropouts, photo_vectors
from savor.pixels import NO_WORD, RawInput
from savor.recipe import PARTS
from savor.schedules import Margin
from savor.training import TrainingOptions
from savor.vocabulary import END, START, Vocabulary, sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from savor.batch import Array, Batch
    from savor.features import Dims, Features
    from savor.recipe import Recipe

WORDS = {
    "both": ("image", "lines", "word_ids"),
    "encoder": ("image", "lines"),
    "learned": ("image", "word_ids"),
}
PUBLISHED = {"width": 512, "layers": 2, "inner": 2048, "min_count": 10}
OURS = {"width": 256, "layers": 1, "inner": 512, "min_count": 3}
LINES, LENGTH = 20, 15  # published limits: lines of a part, ids of a line with its start


class HierarchicalTransformer(Method):
    """Hierarchical transformers (H-T) with a bidirectional triplet loss and a self-supervised recipe loss.

    For a part with the lines l, which have the words w,

        `line = mean over w of T1(embedding(w))`, `part = mean over l of T2(line)`,

    each part with its own transformer encoders T1 and T2; a title is one line and has no T2. The word
    embedding is shared; its words are those of the training recipes and stay in the run's weights file. The
    three parts side by side go through the recipe head, the photo's vector through
    the image head.

        `L = L_pair(image, recipe) + recipe_weight mean over parts a != b of L_pair(e_a, P_ba e_b)`

    The second term, with six linear maps P, needs no photo. It is taken over the recipes that have both
    parts, so a recipe with nothing but a title enters the first term alone. After each step on pairs comes
    one on recipes that are not among the pairs: those of the same splits that have two parts or more.

    `faithful=True` is the method as published: post-norm encoders with ReLU; 512 wide, 2 layers, feed-forward
    of 2,048; heads of one layer and tanh; 20 lines a part, of which the first 15 ids are read, start and end
    of the line included; `triplet_mean_all`; its optimiser's settings are options of the training
    (`epochs=100 batch_size=128 learning_rate=1e-4 weight_decay=0`). What stays different: the encoder of the
    photos is frozen, pairs are shuffled, `1/2` is not restored from `12`, the words are those of
    `savor.vocabulary`, and a part that a recipe lacks is a learned vector.

    By default a line is the sum of what T1 makes of its words and of a linear map of its vector in the
    features, so that a few thousand recipes are enough to learn from. Nothing is cut away: a training step
    draws some lines of each part and some words of each line, and evaluation reads all. Negatives are weighed
    by `soft` mining, encoders are pre-norm and smaller, and heads have a hidden layer.

    Args:
        dims: widths of the features.
        faithful: as published.
        words: where line vectors come from: `learned` from words, steps split into sentences; `encoder`,
            those of the features, which leaves T2 only; `both`, their sum; empty: `both`, as published
            `learned`.
        dim: width of the shared space.
        width: width of the transformers; 0: 256, as published 512.
        layers: of each transformer; 0: 1, as published 2.
        inner: width of their feed-forward layers; 0: 512, as published 2048.
        heads: attention heads of each layer.
        min_count: how often a word occurs in the training recipes to have an id; 0: 3, as published 10.
        lines: lines of each part that a training step reads, drawn at random; 0: all, as in evaluation and
            as published.
        line_words: words of each line, likewise.
        hidden: width of the hidden layer of both heads; 0 none, as published.
        margin: margin of the triplet losses, in cosine; of a schedule the largest.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`; empty: `soft`, or as published.
        temperature: of `soft` mining, in cosine.
        recipe_weight: of the self-supervised loss.
        recipe_only: recipes of a step without photos, for each pair of the step before; 0 none.
        dropout: inside the transformers.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the parts' inputs and the recipe head's hidden units dropped.
        cache_chunk: recipes whose words are encoded at a time in a training step, so that memory does not
            grow with the batch (`savor.distributed.in_chunks`); 0: all at once.

    Example:
        >>> from savor.features import Dims
        >>> method = HierarchicalTransformer.build(Dims(image=8, text=4), {"dim": 3, "words": "encoder"})
        >>> method.uses
        ('image', 'lines')
    """

    paper: ClassVar[str] = "Salvador et al., CVPR 2021"
    loss: ClassVar[str] = "triplets of pairs and of the parts of a recipe, mined softly"
    uses: ClassVar[tuple[str, ...]] = WORDS["both"]
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=512, min_batches=8)

    recipe_tower: RecipeTower

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        words: str = "",
        dim: int = 1024,
        width: int = 0,
        layers: int = 0,
        inner: int = 0,
        heads: int = 4,
        min_count: int = 0,
        lines: int = 4,
        line_words: int = 8,
        hidden: int = 2048,
        margin: float = 0.3,
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "",
        temperature: float = 0.05,
        recipe_weight: float = 1.0,
        recipe_only: float = 2.0,
        dropout: float = 0.1,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
        cache_chunk: int = 0,
    ) -> None:
        super().__init__(dims)
        words = words or ("learned" if faithful else "both")
        published = PUBLISHED if faithful else OURS
        sizes = {"width": width, "layers": layers, "inner": inner, "min_count": min_count}
        at_least(0, **sizes)
        sizes = {name: value or published[name] for name, value in sizes.items()}
        _check(faithful, words, heads, sizes["width"])
        if mining:
            check_mining(mining)
        at_least(0, recipe_weight=recipe_weight, recipe_only=recipe_only, hidden=hidden)
        at_least(0, lines=lines, line_words=line_words, cache_chunk=cache_chunk)
        at_least(1, dim=dim)
        above_zero(temperature=temperature)
        dropouts(dropout=dropout, image_dropout=image_dropout, recipe_dropout=recipe_dropout)
        self.faithful, self.min_count = faithful, sizes.pop("min_count")
        self.margin = Margin(margin, margin_schedule, margin_start, margin_step)
        self.mining, self.temperature = mining, temperature
        self.recipe_weight, self.recipe_only, self.cache_chunk = recipe_weight, recipe_only, cache_chunk
        width, hidden = sizes["width"], 0 if faithful else hidden
        most = (0, 0) if faithful else (lines, line_words)
        encoder = partial(SequenceEncoder, heads=heads, dropout=dropout, norm_first=not faithful, **sizes)
        self.standardise = Standardise(dims.image)
        self.image_tower = _head(dims.image, hidden, dim, image_dropout, faithful)
        text = 0 if words == "learned" else dims.text
        self.recipe_tower = RecipeTower(encoder, width, text, *most, learned=words != "encoder")
        self.recipe_head = _head(len(PARTS) * width, hidden, dim, recipe_dropout, faithful)
        pairs = [(a, b) for a in PARTS for b in PARTS if a != b]
        self.projections = nn.ModuleDict({f"{b}_to_{a}": nn.Linear(width, width) for a, b in pairs})
        self._others: tuple[Features, Array] | None = None
        # Which fields are read is the choice of each instance here.
        self.uses = WORDS[words]  # type: ignore[misc]
        self.raw = RawInput(None, self.tokenize, lines_of=self.lines_of) if words != "encoder" else None

    @property
    def chunk(self) -> int:
        """Rows embedded at a time."""
        return 256

    def lines_of(self, recipe: Recipe, part: str) -> Sequence[str]:
        """Return what is read as the lines of a part: sentences (a title is one line), or as published."""
        lines = recipe.lines(part)
        if "lines" in self.uses:
            return lines  # as many as there are vectors
        if self.faithful or part == "title":
            return lines[:LINES]
        return [sentence for line in lines for sentence in sentences(line)]

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Turn lines into word ids; as published with start and end, cut at the limit."""
        assert self.recipe_tower.embedding is not None
        vocabulary = self.recipe_tower.embedding.vocabulary
        if self.faithful:
            return [[START, *vocabulary.ids(line), END][:LENGTH] for line in lines]
        return [vocabulary.ids(line) for line in lines]

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the statistics of the training photos' vectors, and the words of the training recipes."""
        if not self.faithful:
            self.standardise.learn(photo_vectors(features, rows))
        if self.recipe_tower.embedding is not None:
            recipes = (features.recipe(int(row)) for row in rows)
            lines = (line for recipe in recipes for part in PARTS for line in recipe.lines(part))
            self.recipe_tower.embedding.learn(Vocabulary.of(lines, self.min_count))

    def look_at(self, features: Features, rows: Array) -> None:
        """Find the recipes that steps without photos read: of the rows' splits, with two parts or more."""
        here = np.isin(features.splits, np.unique(features.splits[rows]))
        here[rows] = False
        every = np.arange(len(features))
        parts = np.sum([features.column(part).counts(every) > 0 for part in PARTS], axis=0)
        others = np.flatnonzero(here & (parts > 1))
        self._others = (features, others) if self.recipe_only and len(others) > 1 else None

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return unit(self.image_vectors(batch))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return self.merge(*self.recipe_tower(batch))

    def merge(self, parts: Tensor, present: Tensor) -> Tensor:
        """Make recipes of the vectors of their parts, `(b, 3, width), (b, 3) -> (b, dim)`, unit rows."""
        return unit(self.recipe_vectors(parts, present))

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' vectors before normalisation, `(b, dim)`."""
        return torch.as_tensor(self.image_tower(self.standardise(given(batch.image, "image"))))

    def recipe_vectors(self, parts: Tensor, present: Tensor) -> Tensor:
        """Return recipes' vectors before normalisation, `(b, 3, width), (b, 3) -> (b, dim)`."""
        filled = torch.where(present[..., None], parts, self.recipe_tower.missing)
        return torch.as_tensor(self.recipe_head(filled.flatten(1)))

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the loss of the pairs with that of their recipes, then the loss of recipes without photos."""
        whole, parts, present = self.encode_all(batch)
        loss = self.pair_loss(self.embed_image(whole), self.merge(parts, present), whole)
        own = self.recipe_loss(parts, present) if self.recipe_weight else None
        yield "towers", loss if own is None else loss + self.recipe_weight * own
        yield from self.recipe_step(len(whole), loss.device)

    def recipe_step(self, pairs: int, device: torch.device) -> Iterator[tuple[str, Tensor]]:
        """Yield the loss of recipes that are not among the pairs, where there are any."""
        others = self._draw(pairs) if self.recipe_weight else None
        if others is not None:
            alone = self.recipe_loss(*self.encode_all(others.to(device))[1:])
            if alone is not None:
                yield "towers", self.recipe_weight * alone

    def encode_all(self, batch: Batch, *names: str) -> tuple[Batch, Tensor, Tensor]:
        """Encode the recipes of a training batch in chunks, and join them over all processes.

        The transformers, which take the memory and the time, stop at the parts. The heads, whose batch norm
        needs the whole batch, come after the joining.

        Returns:
            the joined batch, of which the photos' vectors and the fields `names` are kept, the vectors of
            the parts `(b, 3, width)` and which of them there are `(b, 3)`.
        """
        parts, present = in_chunks(self.recipe_tower, batch, self.cache_chunk)
        return gather_batch(batch, "image", *names), gathered(parts), gathered(present)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the triplet loss of embeddings, `(b, dim)` each."""
        return self._triplet(image, recipe, self.margin(image, recipe))

    def recipe_loss(self, parts: Tensor, present: Tensor) -> Tensor | None:
        """Return the self-supervised loss, `(b, 3, width), (b, 3)`; None where no two recipes have a pair."""

        def project(a: int, b: int, values: Tensor) -> Tensor:
            return torch.as_tensor(self.projections[f"{PARTS[b]}_to_{PARTS[a]}"](values))

        loss = partial(self._triplet, margin=self.margin.now)
        return between_parts(parts, present, project, loss)

    def _triplet(self, one: Tensor, other: Tensor, margin: float) -> Tensor:
        if self.faithful and not self.mining:
            return triplet_mean_all(one, other, margin)
        return triplet(one, other, margin, self.mining or "soft", self.temperature)

    def _draw(self, pairs: int) -> Batch | None:
        """Draw recipes for a step without photos; None where there are none."""
        if self._others is None:
            return None
        features, rows = self._others
        # From torch's generator, whose state is saved with an unfinished training.
        chosen = torch.randperm(len(rows))[: math.ceil(self.recipe_only * pairs)].numpy()
        return features.batch(own_share(rows[chosen]), self.uses[1:], raw=self.raw)


class RecipeTower(nn.Module):
    """Words and line vectors of a batch to one vector a part, `(b, 3, width)`, and which are there, `(b, 3)`.

    Args:
        encoder: makes a transformer over sequences.
        width: of its vectors.
        text: width of the line vectors that are read; 0: none are.
        most: lines of a part read in training, drawn at random; 0: all, as in evaluation.
        most_words: words of a line, likewise.
        learned: read words.
    """

    def __init__(
        self,
        encoder: Callable[[], SequenceEncoder],
        width: int,
        text: int,
        most: int,
        most_words: int,
        *,
        learned: bool,
    ) -> None:
        super().__init__()
        self.width, self.most, self.most_words = width, most, most_words
        self.scale = text**0.5  # line vectors have unit length
        self.embedding = WordEmbedding(width) if learned else None
        self.lines = nn.ModuleDict({part: encoder() for part in PARTS if learned})
        self.vectors = nn.ModuleDict({part: nn.Linear(text, width) for part in PARTS if text})
        self.parts = nn.ModuleDict({part: encoder() for part in PARTS if part != "title"})
        self.missing: Tensor = nn.Parameter(torch.zeros(len(PARTS), width))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the parts of a batch.

        Raises:
            MethodError: the batch has none.
        """
        found = [self._part(batch, part) for part in PARTS]
        if all(one is None for one in found):
            given(None, "lines" if self.embedding is None else "word ids")
        zeros = self.missing.new_zeros(len(batch), self.width)
        absent = zeros, torch.zeros_like(zeros[:, 0], dtype=torch.bool)
        vectors, present = zip(*(one or absent for one in found), strict=True)
        return torch.stack(vectors, 1), torch.stack(present, 1)

    def _part(self, batch: Batch, part: str) -> tuple[Tensor, Tensor] | None:
        """Encode one part, `(b, width)`, and say which recipes have it, `(b,)`."""
        mask = getattr(batch, f"{part}_mask")
        if getattr(batch, part if self.vectors else f"{part}_ids") is None:
            return None
        if part == "title":
            lines = self._encode_lines(batch, part, mask)
            return lines.new_zeros(len(mask), self.width).index_copy(0, mask.nonzero()[:, 0], lines), mask
        if self.training and self.most:
            mask = drawn(mask, self.most)
        return self.parts[part](self._encode_lines(batch, part, mask), *_numbered(mask)), mask.any(1)

    def _encode_lines(self, batch: Batch, part: str, mask: Tensor) -> Tensor:
        """Encode the n unmasked lines of a part, from their vectors, their words or both: `(n, width)`."""
        found = []
        if self.vectors:
            found.append(self.vectors[part](getattr(batch, part)[mask] * self.scale).float())
        if self.embedding is not None:
            ids = given(getattr(batch, f"{part}_ids"), "word ids")[mask]
            words = self._some_words(ids) if self.training and self.most_words else (ids,)
            found.append(self.lines[part](self.embedding.weight, *words))
        return torch.stack(found).sum(0)

    def _some_words(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Draw words of lines `(n, t)`: ids, -1 behind them, and their places, `(n, most_words)` both."""
        chosen = drawn(ids >= 0, self.most_words)
        places = (~chosen).to(torch.uint8).argsort(dim=1, stable=True)[:, : self.most_words]
        return ids.masked_fill(~chosen, NO_WORD).gather(1, places), places


def _head(inputs: int, hidden: int, dim: int, dropout: float, published: bool) -> nn.Sequential:
    """Make a head, `(b, inputs) -> (b, dim)`: one layer and tanh as published, else a perceptron."""
    if published:
        return nn.Sequential(nn.Linear(inputs, dim), nn.Tanh())
    return projector(inputs, hidden, dim, dropout)


def _numbered(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return numbers of the unmasked places, row by row, -1 behind them, and where each is, `(b, n)` both.

    >>> _numbered(torch.tensor([[True, False, True], [False, False, True]]))
    (tensor([[ 0,  1, -1],
            [ 2, -1, -1]]), tensor([[0, 2, 1],
            [2, 0, 1]]))
    """
    numbers = (mask.flatten().cumsum(0) - 1).view_as(mask).masked_fill(~mask, -1)
    front = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    return numbers.gather(1, front), front


def _check(faithful: bool, words: str, heads: int, width: int) -> None:
    """Check the options that go together.

    Raises:
        OptionError: they do not.
    """
    if words not in WORDS:
        raise OptionError(f"words={words!r}: choose one of {', '.join(WORDS)}")
    if faithful and words != "learned":
        raise OptionError(f"words={words!r}: as published, words are learned; leave out faithful or words")
    at_least(1, heads=heads)
    if width % heads:
        raise OptionError(f"width={width}: must be a multiple of heads={heads}")
