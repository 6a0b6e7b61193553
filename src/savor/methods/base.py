"""Method: the base class of all methods, from closed form to adversarial."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from savor.batch import Encoded
from savor.distributed import gather_batch, gathered
from savor.errors import MethodError, OptionError
from savor.layers import Hubs, Standardise, WordSums, given, part_vectors, projector, unit
from savor.pixels import RawInput
from savor.recipe import PARTS
from savor.schedules import Margin
from savor.training import TrainingOptions, train

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from savor.batch import Batch
    from savor.calibration import Balance
    from savor.features import Dims, Features

Array = np.ndarray[Any, np.dtype[Any]]

TEXTS = ("all", *PARTS)

__all__ = [
    "TEXTS",
    "Calibrated",
    "Encoded",
    "Method",
    "Perceptrons",
    "above_zero",
    "at_least",
    "dropouts",
    "photo_vectors",
]


class Method(nn.Module):
    """Maps photos and recipes into one space where matching pairs lie close.

    A subclass sets `image_tower` and `recipe_tower`, writes `embed_image` and `embed_recipe`, and either
    `losses` (trained by the shared loop) or `fit` (closed form). Its constructor takes the widths of the
    features and keyword options, which become options on the command line.
    """

    uses: ClassVar[tuple[str, ...]] = ("image", "lines")
    paper: ClassVar[str] = ""  # its authors, where it appeared and the year
    loss: ClassVar[str] = ""  # what the towers learn from, in a few words
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions()
    # How many of the best a pair scorer orders again unless told otherwise; 0: `score` is the cosine.
    reranks: int = 0
    # What the training reads besides: "pixels" where it looks at the photos themselves.
    training_uses: tuple[str, ...] = ()
    # Word pieces read of a recipe, for methods that use "tokens"; 0: all.
    words: int = 0
    # How photos and lines are read, for methods that use "pixels" and "word_ids".
    raw: RawInput | None = None

    image_tower: nn.Module
    recipe_tower: nn.Module
    # Corrects what retrieval compares for hubs; None: the embeddings are compared as they are.
    hubs: Hubs | None

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.hubs = None
        self.options: dict[str, Any] = {}

    @property
    def chunk(self) -> int:
        """Rows embedded at a time: fewer where word pieces are read, of which some recipes have hundreds."""
        return 128 if "tokens" in self.uses else 1024

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the constructor's keyword options and their defaults."""
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}

    @classmethod
    def year(cls) -> int | None:
        """Return the first year that `paper` names; None where it names none."""
        found = re.search(r"\b(1[89]|20)\d\d\b", cls.paper)
        return int(found[0]) if found else None

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
        """Score photos against recipes, `(n, m)`: the cosine of their embeddings, unless it scores pairs."""
        if not self.reranks:
            return self.place_images(queries) @ self.place_recipes(candidates).T
        images, recipes = self.encode_images(queries), self.encode_recipes(candidates)
        n, m = len(images.vectors), len(recipes.vectors)
        every = torch.arange(m, device=recipes.vectors.device)
        rows = [self.pair_scores(images.rows(torch.full_like(every, k)), recipes) for k in range(n)]
        return torch.stack(rows) if rows else images.vectors.new_zeros(0, m)

    def place_images(self, batch: Batch) -> Tensor:
        """Embed the photos of a batch as retrieval compares them: corrected for hubs, where a method does."""
        vectors = self.embed_image(batch)
        return vectors if self.hubs is None else self.hubs.photos(vectors)

    def place_recipes(self, batch: Batch) -> Tensor:
        """Embed the recipes of a batch as retrieval compares them."""
        vectors = self.embed_recipe(batch)
        return vectors if self.hubs is None else self.hubs.recipes(vectors)

    def encode_images(self, batch: Batch) -> Encoded:
        """Encode the photos of a batch, once for all the pairs they will be scored in."""
        return Encoded(self.place_images(batch))

    def encode_recipes(self, batch: Batch) -> Encoded:
        """Encode the recipes of a batch, once for all the pairs they will be scored in."""
        return Encoded(self.place_recipes(batch))

    def pair_scores(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Score n pairs, row by row, `(n,)`."""
        return (images.vectors * recipes.vectors).sum(-1)

    def embed_patches(self, batch: Batch) -> Tensor:
        """Embed each patch into the shared space, `(b, p, dim)`, so that patches add up to their photo.

        Raises:
            MethodError: the method has no such vectors.
        """
        raise MethodError(f"{type(self).__name__} embeds photos only as a whole")

    def embed_words(self, batch: Batch) -> Tensor:
        """Embed each word piece into the shared space, `(b, w, dim)`, so that they add up to their recipe.

        Raises:
            MethodError: the method has no such vectors.
        """
        raise MethodError(f"{type(self).__name__} embeds recipes only as a whole")

    def self_attention(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Weigh word pieces `(b, w)` and patches `(b, p)`, each side by itself; rows sum to 1.

        Raises:
            MethodError: the method pools without attention.
        """
        raise MethodError(f"{type(self).__name__} has no attention over words and patches")

    def cross_attention(self, batch: Batch) -> Tensor:
        """Weigh the word pieces for each patch of the same pair, `(b, p, w)`; rows sum to 1.

        Raises:
            MethodError: the method never looks from patches to words.
        """
        raise MethodError(f"{type(self).__name__} has no cross-attention")

    def generate(self, batch: Batch, seed: int = 0) -> Tensor:
        """Draw a picture of each recipe of a batch, uint8 `(b, 3, h, w)`; a seed gives the same ones again.

        Raises:
            MethodError: the method draws no pictures.
        """
        raise MethodError(f"{type(self).__name__} draws no pictures")

    def samples(self, features: Features, rows: Array) -> Array | None:
        """Return a picture for the run that shows what was learned, uint8 `(h, w, 3)`; None: there is none.

        Called after an epoch with the validation rows, or without any with those of the training; it must
        not change what follows, random numbers included.
        """
        return None

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn what the first step needs, such as statistics of the training rows; most need nothing.

        What it learns must be in the state: a resumed training does not call it.
        """

    def look_at(self, features: Features, rows: Array) -> None:
        """Check the training rows, and keep what the losses need of them that is no weight.

        Called before every training, a resumed one too.
        """

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Set what changes from epoch to epoch, counted from 1: the margin, where a schedule says so.

        What it sets must follow from its arguments and the state: it is called on resuming, too.
        """
        for module in self.modules():
            if isinstance(module, Margin):
                module.start_epoch(epoch, epochs)

    def batches(
        self, features: Features, rows: Array, rng: np.random.Generator, count: int
    ) -> Sequence[Array]:
        """Divide the training rows into the batches of an epoch: `count`, or fewer, of two rows or more."""
        return np.array_split(rng.permutation(rows), count)

    def logged(self) -> dict[str, float]:
        """Return what joins the log entry of an epoch: the margin that was in force, where there is one."""
        margins = [module for module in self.modules() if isinstance(module, Margin)]
        return {"margin": round(margins[0].now, 6)} if margins else {}

    def end_epoch(self, features: Features, rows: Array) -> None:
        """Solve for what follows from the weights and the training rows, before validation."""
        if self.hubs is not None:
            hubs, self.hubs = self.hubs, None
            chosen = np.random.default_rng(0).permutation(rows)[: hubs.size]
            hubs.learn(*self.embed(features, chosen))
            self.hubs = hubs

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield `(player, loss)`; after each the loop steps that player, then the body goes on."""
        raise NotImplementedError

    def players(self) -> dict[str, list[nn.Parameter] | list[dict[str, Any]]]:
        """Return who owns which parameters: one optimiser a player.

        A player is a list of parameters, or of groups `{"params": [...], "factor": f}` whose learning rate
        is the training's times f.
        """
        return {"towers": list(self.parameters())}

    def fit(self, features: Features, **options: Any) -> Self:
        """Train on a split of the features with the shared loop; `options` as in `savor.training.train`."""
        train(self, features, **options)
        return self

    @torch.no_grad()
    def embed(
        self, features: Features, rows: Sequence[int] | Array, size: int | None = None
    ) -> tuple[Array, Array]:
        """Embed the first photo and the recipe of some rows, `(n, dim)` float32 each, in evaluation mode.

        `size` rows are read at a time, `chunk` unless told otherwise.
        """
        training, device = self.training, next(self.parameters()).device
        self.eval()
        images, recipes = [], []
        size = size or self.chunk
        for start in range(0, max(1, len(rows)), size):
            some = np.asarray(rows[start : start + size])
            batch = features.batch(some, self.uses, words=self.words, raw=self.raw).to(device)
            images.append(self.place_images(batch).float().cpu().numpy())
            recipes.append(self.place_recipes(batch).float().cpu().numpy())
        self.train(training)
        return np.concatenate(images), np.concatenate(recipes)


class Perceptrons(Method):
    """Two separate perceptrons on frozen features, for any loss of pairs.

    The recipe is its three part vectors side by side, each the mean of the part's line vectors. A part that
    a recipe lacks is a learned vector, so that recipes of which only the title is known take part.

    Of several members each has perceptrons of its own, which differ by their first weights and by what
    dropout hides from them, and learns from a loss of its own. An embedding is those of the members
    side by side, so that a cosine is the mean of theirs: a deep ensemble in one run.

    Args:
        dims: widths of the features.
        dim: width of each member's space.
        text: `all`, or the one part that is read.
        hidden: width of the hidden layers.
        image_dropout: share of the photo's inputs and hidden units dropped.
        recipe_dropout: share of the recipe's.
        members: pairs of perceptrons.
        hubs: training pairs kept to correct cosines for hubs (`savor.layers.Hubs`); 0: not corrected.
        word_width: width of learned vectors of words, of which the sum over each part's words is read beside
            the part's vector (`savor.layers.WordSums`); 0: none are.
        min_count: how often a word occurs in the training recipes to have one.
        word_dropout: share of the words left out while training.

    Source: members, Lakshminarayanan et al., Deep ensembles (NeurIPS 2017).
    """

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        text: str = "all",
        hidden: int = 2048,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
        members: int = 1,
        hubs: int = 0,
        word_width: int = 0,
        min_count: int = 3,
        word_dropout: float = 0.3,
    ) -> None:
        super().__init__(dims)
        if text not in TEXTS:
            raise OptionError(f"text={text!r}: choose one of {', '.join(TEXTS)}")
        at_least(1, dim=dim, hidden=hidden, members=members, min_count=min_count)
        at_least(0, hubs=hubs, word_width=word_width)
        dropouts(image_dropout=image_dropout, recipe_dropout=recipe_dropout, word_dropout=word_dropout)
        self.parts = PARTS if text == "all" else (text,)
        self.members = members
        self.standardise = Standardise(dims.image)
        texts = len(self.parts) * (dims.text + word_width)
        self.image_tower = _members(members, lambda: projector(dims.image, hidden, dim, image_dropout))
        self.recipe_tower = _members(members, lambda: projector(texts, hidden, dim, recipe_dropout))
        self.hubs = Hubs(members * dim, hubs) if hubs else None
        self.missing = nn.Parameter(torch.zeros(len(self.parts), dims.text))
        # Sentence vectors have unit length, entries of size 1 / sqrt(d); the photo's are standardised to 1.
        self.scale = dims.text**0.5
        self.learned = WordSums(self.parts, word_width, min_count, word_dropout) if word_width else None
        if self.learned is not None:
            self.raw = RawInput(None, self.learned.tokenize)
            # Which fields are read is the choice of each instance here.
            self.uses = (*self.uses, "word_ids")  # type: ignore[misc]

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors, and the words of their recipes."""
        self.standardise.learn(photo_vectors(features, rows))
        if self.learned is not None:
            self.learned.learn(features.recipe(int(row)) for row in rows)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, members dim)`, unit rows."""
        return unit_by_member(self.image_vectors(batch), self.members)

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, members dim)`, unit rows."""
        return unit_by_member(self.recipe_vectors(batch), self.members)

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' vectors before normalisation, `(b, members dim)`."""
        return torch.as_tensor(self.image_tower(self.standardise(given(batch.image, "image"))))

    def recipe_vectors(self, batch: Batch) -> Tensor:
        """Return the recipes' vectors before normalisation, `(b, members dim)`."""
        return torch.as_tensor(self.recipe_tower(torch.cat(self._read(batch), -1).flatten(1)))

    def _read(self, batch: Batch) -> list[Tensor]:
        """Return the vectors of the parts `(b, parts, d_text)`, and the sums of their words, if read."""
        vectors, mask = part_vectors(batch, self.parts)
        read = [torch.where(mask[..., None], vectors, self.missing) * self.scale]
        if self.learned is not None:
            read.append(self.learned.of_parts(batch))
        return read

    def patch_shares(self, batch: Batch) -> Tensor:
        """Return each patch's share of `image_vectors`, `(b, p, members dim)`.

        A perceptron f is no sum over patches: a share is what f makes of the patch alone, `f(x_p) / p`; what
        all of them lack to `f(x)` of the whole photo is shared out evenly, so that they add up.
        """
        patches = given(batch.patches, "patches")
        alone = torch.as_tensor(self.image_tower(self.standardise(patches.flatten(0, 1))))
        shares = alone.view(*patches.shape[:2], -1) / patches.shape[1]
        everywhere = torch.ones_like(shares[..., 0], dtype=torch.bool)
        return shares + even(self.image_vectors(batch) - shares.sum(1), everywhere)

    def word_shares(self, batch: Batch) -> Tensor:
        """Return each word piece's share of `recipe_vectors`, `(b, w, members dim)`.

        Likewise what the perceptron makes of the recipe when the piece's state, at unit length, and the words
        of its line are all that its part holds; the pieces of a part that is not read have no share.
        """
        words, spans = given(batch.words, "words"), given(batch.words_spans, "words_spans")
        of_part = torch.stack([spans[..., 0] == PARTS.index(part) for part in self.parts], -1)
        _, mask = part_vectors(batch, self.parts)
        inside = given(batch.words_mask, "words_mask") & (of_part & mask[:, None]).any(-1)
        row, piece = inside.nonzero(as_tuple=True)
        own, others = of_part[row, piece][..., None], [read[row] for read in self._read(batch)]
        alone = [unit(words[row, piece]) * self.scale]
        if self.learned is not None:
            alone.append(self.learned.of_lines(batch, row, spans[row, piece]))
        kept = [torch.where(own, one[:, None], other) for one, other in zip(alone, others, strict=True)]
        made = torch.as_tensor(self.recipe_tower(torch.cat(kept, -1).flatten(1)))
        shares = made.new_zeros(*inside.shape, made.shape[1])
        shares[row, piece] = made
        shares = shares / inside.sum(1).clamp(min=1)[:, None, None]
        return shares + even(self.recipe_vectors(batch) - shares.sum(1), inside)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the loss of both towers."""
        image, recipe = gathered(self.embed_image(batch)), gathered(self.embed_recipe(batch))
        yield "towers", self.pair_loss(image, recipe, gather_batch(batch, "category"))

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of the members, of embeddings `(b, members dim)` each."""
        return mean_over_members(lambda a, b: self.member_loss(a, b, batch), image, recipe, self.members)

    def member_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the loss of one member's embeddings, `(b, dim)` each, unit rows."""
        raise NotImplementedError


class Calibrated(Method):
    """A pair scorer whose logit is weighed beside the cosine of its first stage: `a cosine + b logit`.

    A subclass names this class before that of its first stage, sets `balance` and writes `matching`.
    """

    balance: Balance

    def matching(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Return the logit of n pairs, row by row, `(n,)`."""
        raise NotImplementedError

    def pair_scores(self, images: Encoded, recipes: Encoded) -> Tensor:
        """Score n pairs, row by row, `(n,)`."""
        products = (images.vectors * recipes.vectors).sum(-1)
        cosines = self._cosines(products, images.vectors.shape[1])
        return torch.as_tensor(self.balance(cosines, self.matching(images, recipes)))

    def _cosines(self, products: Tensor, width: int) -> Tensor:
        """Return the cosines behind products of the first stage's rows, corrected for hubs or not."""
        return products if self.hubs is None else self.hubs.unscaled(products, width)

    def look_at(self, features: Features, rows: Array) -> None:
        """Keep some of the training rows back."""
        super().look_at(features, rows)
        self.balance.keep_back(rows)

    def batches(
        self, features: Features, rows: Array, rng: np.random.Generator, count: int
    ) -> Sequence[Array]:
        """Divide the training rows that are not kept back into batches."""
        return super().batches(features, self.balance.learned_from(rows), rng, count)

    @torch.no_grad()
    def end_epoch(self, features: Features, rows: Array) -> None:
        """Correct for hubs, then weigh cosine and logit against each other on the rows kept back."""
        super().end_epoch(features, rows)
        held_out = self.balance.held_out
        if len(held_out) < 2:
            return
        training = self.training
        self.eval()
        batch = features.batch(held_out, self.uses, words=self.words, raw=self.raw)
        batch = batch.to(self.balance.weights.device)
        images, recipes = self.encode_images(batch), self.encode_recipes(batch)
        self.balance.fit(
            self._cosines(images.vectors @ recipes.vectors.T, images.vectors.shape[1]),
            lambda photos, others: self.matching(images.rows(photos), recipes.rows(others)),
        )
        self.train(training)

    def logged(self) -> dict[str, float]:
        """Return the margin, where there is one, and a and b, where they are fitted."""
        return {**super().logged(), **self.balance.logged()}


class SideBySide(nn.ModuleList):
    """Networks that read the same input, their outputs side by side, `(b, inputs) -> (b, sum of outputs)`."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the outputs."""
        return torch.cat([network(values) for network in self], 1)


def _members(count: int, make: Callable[[], nn.Module]) -> nn.Module:
    """Make one network, or several side by side."""
    return make() if count == 1 else SideBySide(make() for _ in range(count))


def mean_over_members(
    loss: Callable[[Tensor, Tensor], Tensor], image: Tensor, recipe: Tensor, members: int
) -> Tensor:
    """Take unit rows `(b, members dim)` apart into those of the members and average their losses."""
    own = zip(*((side * members**0.5).chunk(members, 1) for side in (image, recipe)), strict=True)
    return torch.stack([loss(*sides) for sides in own]).mean()


def unit_by_member(vectors: Tensor, members: int) -> Tensor:
    """Scale rows to unit length of which each member has an equal share, `(b, members dim)`.

    >>> unit_by_member(torch.tensor([[3.0, 4.0, 0.0, 2.0]]), 2).square()
    tensor([[0.1800, 0.3200, 0.0000, 0.5000]])
    """
    own = vectors.view(len(vectors), members, vectors.shape[1] // members)
    return torch.as_tensor(unit(own).flatten(1) / members**0.5)


def scaled_by_member(shares: Tensor, total: Tensor, members: int) -> Tensor:
    """Scale shares `(b, n, d)` of vectors `(b, d)` as `unit_by_member` scales those."""
    own = (members, total.shape[1] // members)
    lengths = total.view(len(total), *own).norm(dim=-1).clamp(min=1e-12)
    scale = lengths.reciprocal()[:, None, :, None] / members**0.5
    return torch.as_tensor((shares.view(*shares.shape[:2], *own) * scale).flatten(2))


def even(vectors: Tensor, mask: Tensor) -> Tensor:
    """Share vectors out evenly over the unmasked places, `(b, d), (b, n) -> (b, n, d)`."""
    return vectors[:, None] * (mask / mask.sum(1, keepdim=True).clamp(min=1))[..., None]


def at_least(least: float, **options: float) -> None:
    """Check that options are not too small.

    Raises:
        OptionError: one of them is, or is not a number.
    """
    for name, value in options.items():
        if not value >= least:
            raise OptionError(f"{name}={value}: must be at least {least}")


def above_zero(**options: float) -> None:
    """Check that options are positive.

    Raises:
        OptionError: one of them is not.
    """
    for name, value in options.items():
        if not value > 0:
            raise OptionError(f"{name}={value}: must be above 0")


def dropouts(**options: float) -> None:
    """Check that options are shares that dropout can take.

    Raises:
        OptionError: one of them is not.
    """
    for name, value in options.items():
        if not 0 <= value < 1:
            raise OptionError(f"{name}={value}: is a share, from 0 to below 1")


def photo_vectors(features: Features, rows: Array) -> Iterator[Tensor]:
    """Yield the pooled vectors of the photos of some rows in batches, `(b, d_image)`."""
    for start in range(0, len(rows), 4096):
        yield given(features.batch(rows[start : start + 4096], ("image",)).image, "image")
