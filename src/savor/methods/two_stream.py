"""Model 1: patches and words through self-attention encoders of their own, then a triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import AttentionPool, Hubs, Standardise, given, packed, rearranged, self_attention
from savor.losses import check_mining, triplet
from savor.methods.base import (
    TEXTS,
    Method,
    Perceptrons,
    above_zero,
    at_least,
    dropouts,
    even,
    mean_over_members,
    photo_vectors,
    scaled_by_member,
    unit_by_member,
)
from savor.recipe import PARTS
from savor.schedules import Margin
from savor.training import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from savor.batch import Array, Batch
    from savor.features import Dims, Features

PERCEPTRONS = ("beside", "added", "none")


class TwoStream(Method):
    """Model 1 of the student report: self-attention over patches and over words, FC + norm, triplet loss.

    With states h of a photo's patches and of a recipe's word pieces, each from an encoder of its own,

        `v = normalise(sum_p a_p W h_p + b)`, `r = normalise(sum over parts t, w in t of a_w W_t h_w + c_t)`

    where the weights a come from a learned query and sum to 1 over the patches and over each part. The
    parts' pooled features are concatenated before the fully connected layer (so each has its own `W_t`); a
    part that a recipe lacks is a learned vector. Lines are encoded one by one, so that no recipe is cut at
    the text encoder's limit.

    Beside them stand the members of MLP + triplet (`savor.methods.triplet_mlp`), which read the whole photo
    and the part vectors. An embedding is all of theirs and the streams' side by side, so that a cosine is the
    mean of theirs, and each has a loss of its own (`savor.methods.base.Perceptrons`): the streams are one
    more member, of another kind. `perceptrons=none` is the report's model, the streams alone.

    `perceptrons=added` adds what each member makes of the pair to the streams' sums before normalisation;
    `W` and `W_t`, of which each member has its own, start at zero. So the streams learn what patches and
    words add to their means, and the members hang together by their encoders.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        perceptrons: those of MLP + triplet stand `beside` the streams, are `added`, or there are `none`.
        width: width of the encoders.
        layers: of each encoder.
        heads: attention heads of each layer.
        text: `all`, or the one part that is read.
        margin: margin of the triplet loss, in cosine; of a schedule the largest.
        margin_schedule: `fixed`, `linear`, `cosine` or `adaptive` (`savor.schedules.Margin`).
        margin_start: the smallest margin of a schedule.
        margin_step: growth of a `linear` one in an epoch.
        mining: `mean`, `sum`, `active`, `hardest`, `semi_hard` or `soft`.
        temperature: of `soft` mining, in cosine.
        dropout: inside the encoders.
        image_dropout: share of the patches' inputs dropped.
        recipe_dropout: share of the words' inputs dropped.
        words: word pieces read of a recipe; of a longer one an even subset, while training a random one.
        members: pairs of perceptrons.
        hubs: training pairs kept to correct cosines for hubs (`savor.layers.Hubs`); 0: not corrected.

    Example:
        >>> from savor.features import Dims
        >>> TwoStream.build(Dims(image=8, text=4), {"dim": 3, "width": 16}).text
        'all'
    """

    paper: ClassVar[str] = "student report 2022, Model 1"
    loss: ClassVar[str] = "triplets, mined softly"
    uses: ClassVar[tuple[str, ...]] = ("image", "patches", "lines", "tokens")
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=1024, min_batches=8)

    image_tower: PhotoStream
    recipe_tower: TextStream

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        perceptrons: str = "beside",
        width: int = 256,
        layers: int = 1,
        heads: int = 4,
        text: str = "all",
        margin: float = 0.2,
        margin_schedule: str = "fixed",
        margin_start: float = 0.05,
        margin_step: float = 0.005,
        mining: str = "soft",
        temperature: float = 0.05,
        dropout: float = 0.0,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.3,
        words: int = 64,
        members: int = 4,
        hubs: int = 2048,
    ) -> None:
        super().__init__(dims)
        for name, value, choices in (("text", text, TEXTS), ("perceptrons", perceptrons, PERCEPTRONS)):
            if value not in choices:
                raise OptionError(f"{name}={value!r}: choose one of {', '.join(choices)}")
        check_mining(mining)
        above_zero(temperature=temperature)
        at_least(1, dim=dim, width=width, layers=layers, heads=heads, words=words, members=members)
        at_least(0, hubs=hubs)
        dropouts(dropout=dropout, image_dropout=image_dropout, recipe_dropout=recipe_dropout)
        if width % heads:
            raise OptionError(f"width={width}: must be a multiple of heads={heads}")
        self.text, self.words = text, words
        self.margin = Margin(margin, margin_schedule, margin_start, margin_step)
        self.mining, self.temperature = mining, temperature
        self.parts = PARTS if text == "all" else (text,)
        self.added = perceptrons == "added"
        self.members = {"beside": members + 1, "added": members, "none": 1}[perceptrons]
        self.whole: Perceptrons | None = None
        if perceptrons != "none":
            self.whole = Perceptrons(dims, dim=dim, text=text, members=members)
        self.hubs = Hubs(self.members * dim, hubs) if hubs else None
        dim *= self.members if self.added else 1
        self.image_tower = PhotoStream(dims.image, dim, width, heads, layers, dropout, image_dropout)
        self.recipe_tower = TextStream(
            dims.text, dim, width, heads, layers, dropout, recipe_dropout, self.parts
        )
        if self.added:
            for layer in (self.image_tower.fc, *self.recipe_tower.fcs):
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors."""
        self.image_tower.standardise.learn(photo_vectors(features, rows))
        if self.whole is not None:
            self.whole.prepare(features, rows)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return self.image_vectors(batch, *self.image_tower(batch))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return self.recipe_vectors(batch, *self.recipe_tower(batch))

    def image_vectors(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the states of the patches, `(b, p, width)` and `(b, p)`, to unit rows `(b, members dim)`."""
        vectors = self.image_tower.embed(states, weights)
        whole = None if self.whole is None else self.whole.image_vectors(batch)
        return unit_by_member(self._joined(vectors, whole), self.members)

    def recipe_vectors(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the words' states, `(b, w, width)` and `(b, w)`, to unit rows `(b, members dim)`."""
        vectors = self.recipe_tower.embed(batch, states, weights)
        whole = None if self.whole is None else self.whole.recipe_vectors(batch)
        return unit_by_member(self._joined(vectors, whole), self.members)

    def _joined(self, streams: Tensor, whole: Tensor | None) -> Tensor:
        """Join what the streams and the perceptrons make of the same things, before normalisation."""
        if whole is None:
            return streams
        return streams + whole if self.added else torch.cat([whole, streams], -1)

    def losses(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield the triplet loss of both towers."""
        image, recipe = self.embed_image(batch), self.embed_recipe(batch)
        yield "towers", self.pair_loss(image, recipe, batch)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the mean triplet loss of the members, streams included, of `(b, members dim)` each."""
        return mean_over_members(self._triplet, image, recipe, self.members)

    def _triplet(self, image: Tensor, recipe: Tensor) -> Tensor:
        return triplet(image, recipe, self.margin(image, recipe), self.mining, self.temperature)

    def embed_patches(self, batch: Batch) -> Tensor:
        """Return each patch's share of the photo's embedding, `(b, p, members dim)`.

        Its pooled state, and its share of what the perceptrons make of the photo (`patch_shares`).
        """
        states, weights = self.image_tower(batch)
        shares = torch.as_tensor(weights[..., None] * self.image_tower.fc(states))
        total = self.image_tower.embed(states, weights)
        shares = shares + even(total - shares.sum(1), torch.ones_like(weights, dtype=torch.bool))
        if self.whole is not None:
            shares = self._joined(shares, self.whole.patch_shares(batch))
            total = self._joined(total, self.whole.image_vectors(batch))
        return scaled_by_member(shares, total, self.members)

    def embed_words(self, batch: Batch) -> Tensor:
        """Return each word piece's share of the recipe's embedding, `(b, w, members dim)`.

        Its pooled state, and its share of what the perceptrons make of the recipe (`word_shares`); what
        missing parts add is shared out evenly.
        """
        states, weights = self.recipe_tower(batch)
        shares = self.recipe_tower.shares(batch, states, weights)
        total = self.recipe_tower.embed(batch, states, weights)
        shares = shares + even(total - shares.sum(1), weights > 0)
        if self.whole is not None:
            shares = self._joined(shares, self.whole.word_shares(batch))
            total = self._joined(total, self.whole.recipe_vectors(batch))
        return scaled_by_member(shares, total, self.members)

    def self_attention(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the pooling weights of word pieces `(b, w)` and of patches `(b, p)`; rows sum to 1."""
        (_, words), (_, patches) = self.recipe_tower(batch), self.image_tower(batch)
        return words / words.sum(1, keepdim=True).clamp(min=1e-9), patches


class PhotoStream(nn.Module):
    """Patches through a self-attention encoder: states `(b, p, width)` and pooling weights `(b, p)`.

    A patch enters as its own vector, that of the whole photo and its place on the grid.
    """

    def __init__(
        self, inputs: int, dim: int, width: int, heads: int, layers: int, dropout: float, drop: float
    ) -> None:
        super().__init__()
        self.standardise = Standardise(inputs)
        self.drop = nn.Dropout(drop)
        self.patch, self.whole = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.place = nn.Linear(4, width)
        self.encoder = self_attention(width, heads, layers, dropout)
        self.pool = AttentionPool(width)
        self.fc = nn.Linear(width, dim)
        self.pooled_drop = nn.Dropout(drop)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the patches of a batch."""
        patches, whole = given(batch.patches, "patches"), given(batch.image, "image")
        rows, columns = batch.grid or (1, patches.shape[1])
        # The same inputs are dropped for all patches of a photo: what one loses, its neighbour must not tell.
        kept = self.drop(torch.ones_like(whole))[:, None]
        states = self.encoder(
            self.patch(self.standardise(patches) * kept)
            + self.whole(self.standardise(whole) * kept[:, 0])[:, None]
            + self.place(places(rows, columns).to(patches.device))
        )
        everywhere = torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        return states, self.pool(states, everywhere)

    def embed(self, states: Tensor, weights: Tensor) -> Tensor:
        """Pool states and map them into the shared space, `(b, dim)`."""
        return torch.as_tensor(self.fc(self.pooled_drop((weights[..., None] * states).sum(1))))


class TextStream(nn.Module):
    """Word pieces through a self-attention encoder: states `(b, w, width)` and pooling weights `(b, w)`.

    A word piece enters as its own state, the vector of its line and its part. The weights sum to 1 over each
    part; those of absent words and of parts that are not read are 0.
    """

    def __init__(
        self,
        inputs: int,
        dim: int,
        width: int,
        heads: int,
        layers: int,
        dropout: float,
        drop: float,
        parts: tuple[str, ...],
    ) -> None:
        super().__init__()
        self.parts = parts
        self.scale = inputs**0.5  # line vectors have unit length
        self.norm, self.drop = nn.LayerNorm(inputs), nn.Dropout(drop)
        self.word, self.line = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.part = nn.Embedding(len(PARTS), width)
        self.encoder = self_attention(width, heads, layers, dropout)
        self.pools = nn.ModuleList(AttentionPool(width) for _ in parts)
        self.fcs = nn.ModuleList(nn.Linear(width, dim) for _ in parts)
        self.missing = nn.Parameter(torch.zeros(len(parts), dim))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the word pieces of a batch."""
        words, spans = given(batch.words, "words"), given(batch.words_spans, "words_spans")
        own = [self._inside(batch, part) for part in self.parts]
        mask = torch.stack(own).any(0)
        entered = (
            self.word(self.drop(self.norm(torch.where(mask[..., None], words, 0))))
            + self._own_line(batch, spans)
            + self.part(spans[..., 0])
        )
        states = packed(lambda some, padding: self.encoder(some, src_key_padding_mask=padding), entered, mask)
        weights = sum(pool(states, inside) for pool, inside in zip(self.pools, own, strict=True))
        return states, torch.as_tensor(weights)

    def _inside(self, batch: Batch, part: str) -> Tensor:
        """Return which word pieces stand in a part, `(b, w)`."""
        mask, spans = given(batch.words_mask, "words_mask"), given(batch.words_spans, "words_spans")
        if getattr(batch, part) is None:
            return torch.zeros_like(mask)
        return mask & (spans[..., 0] == PARTS.index(part))

    def _own_line(self, batch: Batch, spans: Tensor) -> Tensor:
        """Return the projected vector of each word piece's line, `(b, w, width)`."""
        lines, first, start = [], [], 0
        for part in PARTS:
            values, mask = getattr(batch, part), getattr(batch, f"{part}_mask")
            first.append(start)
            if values is not None:
                values, mask = (values[:, None], mask[:, None]) if part == "title" else (values, mask)
                lines.append(torch.where(mask[..., None], values, 0))
                start += values.shape[1]
        projected = self.line(self.drop(torch.cat(lines, 1) * self.scale))
        offsets = torch.tensor(first, device=spans.device)[spans[..., 0]]
        # Words of a part that the batch comes without have no line here; they are masked.
        return rearranged(projected, (offsets + spans[..., 1]).clamp(max=start - 1))

    def embed(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the states of each part and map them into the shared space, `(b, dim)`."""
        total = torch.zeros(())
        for number, (part, fc) in enumerate(zip(self.parts, self.fcs, strict=True)):
            inside = self._inside(batch, part)
            pooled = torch.einsum("bw,bwd->bd", weights * inside, states)
            total = total + torch.where(inside.any(1, keepdim=True), fc(pooled), self.missing[number])
        return total

    def shares(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Return what each word piece adds to `embed`, `(b, w, dim)`."""
        total = torch.zeros(())
        for part, fc in zip(self.parts, self.fcs, strict=True):
            total = total + (weights * self._inside(batch, part))[..., None] * fc(states)
        return total


def places(rows: int, columns: int) -> Tensor:
    """Centres of a grid's cells, row by row, `(rows * columns, 4)`: y, x in [-1, 1] and their squares."""
    y, x = ((torch.arange(n) + 0.5) / n * 2 - 1 for n in (rows, columns))
    centres = torch.cartesian_prod(y, x)
    return torch.cat([centres, centres.square()], 1)
