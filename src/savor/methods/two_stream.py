"""Model 1: patches and words through self-attention encoders of their own, then a triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from savor.errors import OptionError
from savor.layers import (
    AttentionPool,
    Dropout,
    Hubs,
    Standardise,
    WordSums,
    given,
    packed,
    projector,
    self_attention,
)
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
from savor.pixels import RawInput
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

        `v = normalise(f(sum of a_p h_p over p, x))`, `r = normalise(g(sum of a_w h_w over w of a part, y))`

    where the weights a come from a learned query and sum to 1 over the patches and over each part. Lines are
    encoded one by one, so that no recipe is cut at the text encoder's limit; a part that a recipe lacks is a
    learned vector.

    Beyond the report: f and g have a hidden layer; x is the vector of the whole photo, y for each part the
    sum of the vectors that are learned for its words (`savor.layers.WordSums`); and beside the streams stand
    perceptrons as those of MLP + triplet (`savor.methods.triplet_mlp`), which read the whole photo and the
    part vectors. An embedding is all of theirs and the streams' side by side, so that a cosine is the mean of
    theirs, and each has a loss of its own (`savor.methods.base.Perceptrons`): the streams are one more
    member, of another kind. `perceptrons=none hidden=0 word_width=0 hubs=0` is without, but for x.

    `perceptrons=added` adds what each member makes of the pair to the streams' vectors before normalisation;
    f and g are then linear maps, without x and y, which start at zero. So the streams learn what patches and
    words add to their means, and the members hang together by their encoders.

    Args:
        dims: widths of the features.
        dim: width of the shared space.
        perceptrons: those of MLP + triplet stand `beside` the streams, are `added`, or there are `none`.
        hidden: width of the hidden layers of f and g; 0: they have none, as in the report.
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
        image_dropout: share of the patches' inputs and of f's dropped.
        recipe_dropout: share of the words' inputs and of g's dropped.
        words: word pieces read of a recipe; of a longer one an even subset, while training a random one.
        word_width: width of the learned vectors of words; 0: there is no y.
        min_count: how often a word occurs in the training recipes to have one.
        word_dropout: share of these words left out while training.
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
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=12, batch_size=512, min_batches=8)

    image_tower: PhotoStream
    recipe_tower: TextStream

    def __init__(
        self,
        dims: Dims,
        *,
        dim: int = 1024,
        perceptrons: str = "beside",
        hidden: int = 2048,
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
        recipe_dropout: float = 0.1,
        words: int = 64,
        word_width: int = 256,
        min_count: int = 3,
        word_dropout: float = 0.3,
        members: int = 1,
        hubs: int = 2048,
    ) -> None:
        super().__init__(dims)
        for name, value, choices in (("text", text, TEXTS), ("perceptrons", perceptrons, PERCEPTRONS)):
            if value not in choices:
                raise OptionError(f"{name}={value!r}: choose one of {', '.join(choices)}")
        check_mining(mining)
        above_zero(temperature=temperature)
        at_least(1, dim=dim, width=width, layers=layers, heads=heads, words=words, members=members)
        at_least(1, min_count=min_count)
        at_least(0, hubs=hubs, hidden=hidden, word_width=word_width)
        dropouts(dropout=dropout, image_dropout=image_dropout)
        dropouts(recipe_dropout=recipe_dropout, word_dropout=word_dropout)
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
        self.image_tower = PhotoStream(dims.image, width, heads, layers, dropout, image_dropout)
        self.recipe_tower = TextStream(dims.text, width, heads, layers, dropout, recipe_dropout, self.parts)
        self.learned: WordSums | None = None
        texts = len(self.parts) * width
        if self.added:
            self.image_head = projector(width, 0, self.members * dim, image_dropout)
            self.recipe_head = projector(texts, 0, self.members * dim, 0.0)
            for head in (self.image_head, self.recipe_head):
                for parameter in head.parameters():
                    nn.init.zeros_(parameter)
        else:
            if word_width:
                self.learned = WordSums(self.parts, word_width, min_count, word_dropout)
                self.raw = RawInput(None, self.learned.tokenize)
                # Which fields are read is the choice of each instance here.
                self.uses = (*self.uses, "word_ids")  # type: ignore[misc]
            self.image_head = projector(width + dims.image, hidden, dim, image_dropout)
            self.recipe_head = projector(texts + len(self.parts) * word_width, hidden, dim, recipe_dropout)

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the mean and spread of the training photos' vectors, and the words of their recipes."""
        self.image_tower.standardise.learn(photo_vectors(features, rows))
        if self.whole is not None:
            self.whole.prepare(features, rows)
        if self.learned is not None:
            self.learned.learn(features.recipe(int(row)) for row in rows)

    def embed_image(self, batch: Batch) -> Tensor:
        """Embed photos, `(b, dim)`, unit rows."""
        return self.image_vectors(batch, *self.image_tower(batch))

    def embed_recipe(self, batch: Batch) -> Tensor:
        """Embed recipes, `(b, dim)`, unit rows."""
        return self.recipe_vectors(batch, *self.recipe_tower(batch))

    def image_vectors(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the states of the patches, `(b, p, width)` and `(b, p)`, to unit rows `(b, members dim)`."""
        streams = self._photos(batch, states, weights)
        whole = None if self.whole is None else self.whole.image_vectors(batch)
        return unit_by_member(self._joined(streams, whole), self.members)

    def recipe_vectors(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the words' states, `(b, w, width)` and `(b, w)`, to unit rows `(b, members dim)`."""
        streams = self._recipe_head(*self._read(batch, states, weights))
        whole = None if self.whole is None else self.whole.recipe_vectors(batch)
        return unit_by_member(self._joined(streams, whole), self.members)

    def _photos(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Return what f makes of photos, `(b, dim)`."""
        return self._photo_head((weights[..., None] * states).sum(1), given(batch.image, "image"))

    def _photo_head(self, pooled: Tensor, whole: Tensor) -> Tensor:
        """Map pooled states `(n, width)` and vectors of whole photos `(n, d_image)` to `(n, dim)`."""
        if not self.added:
            pooled = torch.cat([pooled, self.image_tower.standardise(whole)], 1)
        return torch.as_tensor(self.image_head(pooled))

    def _read(self, batch: Batch, states: Tensor, weights: Tensor) -> list[Tensor]:
        """Return the pooled states of the parts `(b, parts, width)`, and the sums of their words, if read."""
        pooled = self.recipe_tower.pooled(batch, states, weights)
        return [pooled] if self.learned is None else [pooled, self.learned.of_parts(batch)]

    def _recipe_head(self, *read: Tensor) -> Tensor:
        """Map what `_read` returns into the shared space, `(b, dim)`."""
        return torch.as_tensor(self.recipe_head(torch.cat([one.flatten(1) for one in read], 1)))

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

        Its weight times what f makes of the patch alone, and its share of what the perceptrons make of the
        photo (`patch_shares`); what is then left of f of the photo is shared out evenly.
        """
        states, weights = self.image_tower(batch)
        total, patches = self._photos(batch, states, weights), given(batch.patches, "patches")
        alone = self._photo_head(states.flatten(0, 1), patches.flatten(0, 1)).view(*weights.shape, -1)
        shares = _completed(weights[..., None] * alone, total, torch.ones_like(weights, dtype=torch.bool))
        if self.whole is not None:
            shares = self._joined(shares, self.whole.patch_shares(batch))
            total = self._joined(total, self.whole.image_vectors(batch))
        return scaled_by_member(shares, total, self.members)

    def embed_words(self, batch: Batch) -> Tensor:
        """Return each word piece's share of the recipe's embedding, `(b, w, members dim)`.

        Its weight times what g makes of the recipe when the piece, with the words of its line, is all that
        its part holds, and its share of what the perceptrons make of the recipe (`word_shares`); what is then
        left of g of the recipe is shared out evenly.
        """
        states, weights = self.recipe_tower(batch)
        inside, spans = weights > 0, given(batch.words_spans, "words_spans")
        read = self._read(batch, states, weights)
        total = self._recipe_head(*read)
        row, piece = inside.nonzero(as_tuple=True)
        own = [states[row, piece]]
        if self.learned is not None:
            own.append(self.learned.of_lines(batch, row, spans[row, piece]))
        where = torch.arange(len(row)), self.recipe_tower.part_of(batch)[row, piece]
        alone = [some[row].index_put(where, one) for some, one in zip(read, own, strict=True)]
        shares = total.new_zeros(*weights.shape, total.shape[1])
        shares[row, piece] = weights[row, piece, None] * self._recipe_head(*alone)
        shares = _completed(shares / weights.sum(1).clamp(min=1)[:, None, None], total, inside)
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

    def __init__(self, inputs: int, width: int, heads: int, layers: int, dropout: float, drop: float) -> None:
        super().__init__()
        self.standardise = Standardise(inputs)
        self.drop = Dropout(drop)
        self.patch, self.whole = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.place = nn.Linear(4, width)
        self.encoder = self_attention(width, heads, layers, dropout)
        self.pool = AttentionPool(width)

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


class TextStream(nn.Module):
    """Word pieces through a self-attention encoder: states `(b, w, width)` and pooling weights `(b, w)`.

    A word piece enters as its own state, the vector of its line and its part. The weights sum to 1 over each
    part; those of absent words and of parts that are not read are 0.
    """

    def __init__(
        self,
        inputs: int,
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
        self.norm, self.drop = nn.LayerNorm(inputs), Dropout(drop)
        self.word, self.line = nn.Linear(inputs, width), nn.Linear(inputs, width)
        self.part = nn.Embedding(len(PARTS), width)
        self.encoder = self_attention(width, heads, layers, dropout)
        self.pools = nn.ModuleList(AttentionPool(width) for _ in parts)
        self.missing = nn.Parameter(torch.zeros(len(parts), width))

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the word pieces of a batch."""
        words, spans = given(batch.words, "words"), given(batch.words_spans, "words_spans")
        own = [self._inside(batch, part) for part in self.parts]
        mask = torch.stack(own).any(0)
        inside = spans[mask]
        pieces = (
            self.word(self.drop(self.norm(words[mask])))
            + self._lines(batch)[self._own_line(batch, mask.nonzero()[:, 0], inside)]
            + self.part(inside[:, 0])
        )
        entered = pieces.new_zeros(*mask.shape, pieces.shape[1]).index_put((mask,), pieces)
        states = packed(lambda some, padding: self.encoder(some, src_key_padding_mask=padding), entered, mask)
        weights = sum(pool(states, inside) for pool, inside in zip(self.pools, own, strict=True))
        return states, torch.as_tensor(weights)

    def _inside(self, batch: Batch, part: str) -> Tensor:
        """Return which word pieces stand in a part, `(b, w)`."""
        mask, spans = given(batch.words_mask, "words_mask"), given(batch.words_spans, "words_spans")
        if getattr(batch, part) is None:
            return torch.zeros_like(mask)
        return mask & (spans[..., 0] == PARTS.index(part))

    def _lines(self, batch: Batch) -> Tensor:
        """Return the projected vectors of all lines, part after part, without padding, `(lines, width)`."""
        found = []
        for part, mask in _line_masks(batch):
            values = getattr(batch, part)[mask[:, 0] if part == "title" else mask]
            found.append(values)
        return torch.as_tensor(self.line(self.drop(torch.cat(found) * self.scale)))

    def _own_line(self, batch: Batch, row: Tensor, spans: Tensor) -> Tensor:
        """Say where among `_lines` the line of each of n pieces is, by its row `(n,)` and span `(n, 4)`."""
        first, numbers = [0] * len(PARTS), []
        before = width = 0
        for part, mask in _line_masks(batch):
            first[PARTS.index(part)] = width
            numbers.append((mask.flatten().cumsum(0) - 1).view_as(mask) + before)
            before, width = before + int(mask.sum()), width + mask.shape[1]
        offsets = torch.tensor(first, device=spans.device)[spans[:, 0]]
        return torch.cat(numbers, 1)[row, offsets + spans[:, 1]]

    def pooled(self, batch: Batch, states: Tensor, weights: Tensor) -> Tensor:
        """Pool the states of each part, `(b, parts, width)`; a part that is not there is a learned vector."""
        inside = torch.stack([self._inside(batch, part) for part in self.parts], 1)
        pooled = torch.einsum("bw,bpw,bwd->bpd", weights, inside.to(weights.dtype), states)
        return torch.where(inside.any(2, keepdim=True), pooled, self.missing.to(pooled.dtype))

    def part_of(self, batch: Batch) -> Tensor:
        """Return where among the parts that are read that of each word piece is, `(b, w)`; 0 elsewhere."""
        spans = given(batch.words_spans, "words_spans")
        own = torch.stack([spans[..., 0] == PARTS.index(part) for part in self.parts], -1)
        return own.to(torch.uint8).argmax(-1)


def _completed(shares: Tensor, total: Tensor, mask: Tensor) -> Tensor:
    """Share out evenly what shares `(b, n, d)` lack to their total `(b, d)`, over the unmasked places."""
    return shares + even(total - shares.sum(1), mask)


def _line_masks(batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Yield the parts that a batch has with the masks of their lines, `(b, lines)`; a title is one line."""
    for part in PARTS:
        if getattr(batch, part) is not None:
            mask = getattr(batch, f"{part}_mask")
            yield part, mask[:, None] if part == "title" else mask


def places(rows: int, columns: int) -> Tensor:
    """Centres of a grid's cells, row by row, `(rows * columns, 4)`: y, x in [-1, 1] and their squares."""
    y, x = ((torch.arange(n) + 0.5) / n * 2 - 1 for n in (rows, columns))
    centres = torch.cartesian_prod(y, x)
    return torch.cat([centres, centres.square()], 1)
