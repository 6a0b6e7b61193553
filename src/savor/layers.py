"""Layers that several methods share; shapes stand in the docstrings."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from savor.errors import DataError, MethodError
from savor.recipe import PARTS
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import ArrayLike

    from savor.batch import Batch
    from savor.recipe import Recipe


def given(field: Tensor | None, name: str) -> Tensor:
    """Return a field of a batch that a method cannot do without.

    Raises:
        MethodError: the batch comes without it.
    """
    if field is None:
        raise MethodError(f"this batch holds no {name}; the method reads it, so it must be encoded first")
    return field


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the second axis of the values whose mask is True, `(b, n, d), (b, n) -> (b, d)`.

    A row without any True gives zeros.

    >>> masked_mean(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """
    weights = mask.to(values.dtype)[..., None]
    return (values * weights).sum(1) / weights.sum(1).clamp(min=1)


def part_vectors(batch: Batch, parts: Sequence[str] = PARTS) -> tuple[Tensor, Tensor]:
    """One vector a part, the mean of its line vectors: `(b, parts, d_text)`, and their mask `(b, parts)`.

    A part that the whole batch lacks counts as missing in every row.

    Raises:
        MethodError: the batch has none of the parts.
    """
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part in parts:
        values, mask = getattr(batch, part), getattr(batch, f"{part}_mask")
        if values is not None:
            found[part] = (values, mask) if part == "title" else (masked_mean(values, mask), mask.any(1))
    if not found:
        raise MethodError(f"this batch holds none of {', '.join(parts)}; a recipe needs text to be embedded")
    some, _ = next(iter(found.values()))
    absent = torch.zeros_like(some), torch.zeros(len(some), dtype=torch.bool, device=some.device)
    columns = [found.get(part, absent) for part in parts]
    return torch.stack([vector for vector, _ in columns], 1), torch.stack([mask for _, mask in columns], 1)


class Standardise(nn.Module):
    """Shift and scale each input by statistics of the training split, `(b, d) -> (b, d)`.

    They are buffers: learned once before training, saved with the weights, the same for every batch.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))

    def learn(self, batches: Iterable[Tensor]) -> None:
        """Learn the statistics from batches `(b, d)`, summed in float64; a constant input keeps spread 1."""
        count = 0
        total = squares = torch.zeros(len(self.mean), dtype=torch.float64)
        for values in batches:
            count += len(values)
            total = total + values.double().sum(0)
            squares = squares + values.double().square().sum(0)
        mean = total / count
        spread = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        # The threshold grows with the mean: so does the rounding of a constant input's squares.
        varies = spread > 1e-6 * (1 + mean.abs())
        self.spread.copy_(torch.where(varies, spread, torch.ones_like(spread)))

    def forward(self, values: Tensor) -> Tensor:
        """Return `(values - mean) / spread`."""
        return (values - self.mean) / self.spread


class Dropout(nn.Dropout):
    """Dropout that draws 16 random bits an element on a CPU, far faster there than `Tensor.bernoulli_`.

    The share dropped is p to a 65,536th.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Set a share of the values to 0 and scale the others by `1 / (1 - p)`."""
        if not self.training or not 0 < self.p < 1 or values.device.type != "cpu":
            return super().forward(values)
        count = values.numel()
        bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = bits[:count].view(values.shape) >= round(self.p * 2**16) - 2**15
        return values * kept * (1 / (1 - self.p))


def projector(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Two-layer perceptron with batch norm, `(b, inputs) -> (b, outputs)`; dropout before each layer.

    `hidden=0` leaves one layer.
    """
    if not hidden:
        return nn.Sequential(Dropout(dropout), nn.Linear(inputs, outputs))
    return nn.Sequential(
        Dropout(dropout),
        nn.Linear(inputs, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        Dropout(dropout),
        nn.Linear(hidden, outputs),
    )


def self_attention(width: int, heads: int, layers: int, dropout: float) -> nn.TransformerEncoder:
    """Pre-norm transformer encoder, `(b, n, width) -> (b, n, width)`, feed-forward of 2 x width.

    Reference: Vaswani et al. (NeurIPS 2017); norm first as in Xiong et al. (ICML 2020).
    """
    return _encoder(width, heads, layers, 2 * width, dropout, norm_first=True)


def _encoder(
    width: int, heads: int, layers: int, inner: int, dropout: float, *, norm_first: bool
) -> nn.TransformerEncoder:
    """Make a transformer encoder: pre-norm with GELU and a last norm, or post-norm with ReLU."""
    activation, norm = ("gelu", nn.LayerNorm(width)) if norm_first else ("relu", None)
    layer = nn.TransformerEncoderLayer(
        width, heads, inner, dropout, activation, batch_first=True, norm_first=norm_first
    )
    layer.dropout, layer.dropout1, layer.dropout2 = (Dropout(dropout) for _ in range(3))
    return nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)


def never_empty(mask: Tensor) -> Tensor:
    """Open the first place of rows without any True, so that a softmax over them stays finite, `(b, n)`."""
    first = torch.zeros_like(mask)
    first[:, 0] = True
    return mask | (first & ~mask.any(1, keepdim=True))


def packed(encoder: Callable[..., Tensor], values: Tensor, mask: Tensor, size: int = 64) -> Tensor:
    """Encode the unmasked values of rows, `(b, n, d), (b, n) -> (b, n, d')`; zeros under the mask.

    Equal to one call over the padded batch, without computing most of its padding: each row's values move
    to its front, and rows of similar length go through `encoder(values, padding)` together, at most `size`
    at a time. The encoder treats its rows one by one.
    """
    lengths, by_length = mask.sum(1).sort()
    front = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[by_length]
    # Split, not indexed chunk by chunk: then the gradients of the chunks are joined once.
    chunks = torch.split(rearranged(values[by_length], front), size)
    insides = torch.split(never_empty(mask[by_length].gather(1, front)), size)
    encoded = []
    for some, inside, counts in zip(chunks, insides, torch.split(lengths, size), strict=True):
        longest = max([1, *counts[-1:].tolist()])
        states = encoder(some[:, :longest], ~inside[:, :longest])
        encoded.append(nn.functional.pad(states, (0, 0, 0, mask.shape[1] - longest)))
    states = rearranged(torch.cat(encoded), front.argsort(1))
    return states[by_length.argsort()] * mask[..., None]


def unit(vectors: Tensor) -> Tensor:
    """Scale rows to unit length, `(..., d) -> (..., d)`, in fp32 or better; zeros stay zeros.

    In bf16, which training may compute in, cosines would be off by up to 1/128.
    """
    return nn.functional.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=-1)


class Hubs(nn.Module):
    """Takes from each cosine how near both sides are to everything (CSLS), `(b, dim) -> (b, dim + 4)`.

        `s'(v, r) = (s(v, r) - h(v) / 2 - h(r) / 2) / 3`

    h(v) is the mean cosine of a photo with the `nearest` of the recipes kept from training, h(r) that of a
    recipe with the photos kept. Hubs, items that are near to everything, push the right answer down in many
    lists; h takes that back. Four more numbers make the corrected score a cosine of unit rows again:

        `[v, 1, -h(v)/2, sqrt(1 - h(v)^2/4), 0] / sqrt 3`, `[r, -h(r)/2, 1, 0, sqrt(1 - h(r)^2/4)] / sqrt 3`

    Before `learn`, h is 0. What is kept is the state: embeddings, no texts and no pictures.

    Args:
        dim: width of the embeddings.
        size: pairs kept, at most.
        nearest: how many of them count, fewer where fewer were kept.

    Source: Conneau et al., Word translation without parallel data (ICLR 2018), equation 2; with a bank of
    training queries, Bogolin et al., Querybank normalisation (CVPR 2022).
    """

    kept_images: Tensor
    kept_recipes: Tensor
    kept: Tensor

    def __init__(self, dim: int, size: int, nearest: int = 30) -> None:
        super().__init__()
        self.size, self.nearest = size, nearest
        for name in ("kept_images", "kept_recipes"):
            self.register_buffer(name, torch.zeros(size, dim, dtype=torch.float16))
        self.register_buffer("kept", torch.tensor(0))

    def learn(self, images: ArrayLike, recipes: ArrayLike) -> None:
        """Keep the embeddings of at most `size` pairs, `(n, dim)` unit rows each."""
        for bank, vectors in ((self.kept_images, images), (self.kept_recipes, recipes)):
            rows = torch.as_tensor(vectors)[: self.size]
            bank.zero_()
            bank[: len(rows)] = rows.to(bank)
        self.kept.fill_(len(rows))

    def photos(self, vectors: Tensor) -> Tensor:
        """Return the corrected rows of photos, `(b, dim + 4)`, unit rows."""
        one, half, rest, zero = self._columns(vectors, self.kept_recipes)
        return torch.cat([vectors, one, half, rest, zero], 1) / 3**0.5

    def recipes(self, vectors: Tensor) -> Tensor:
        """Return the corrected rows of recipes, `(b, dim + 4)`, unit rows."""
        one, half, rest, zero = self._columns(vectors, self.kept_images)
        return torch.cat([vectors, half, one, zero, rest], 1) / 3**0.5

    def unscaled(self, products: Tensor, width: int) -> Tensor:
        """Bring products of rows of a width to the scale of cosines: those of corrected rows are a third."""
        return 3 * products if width == self.kept_images.shape[1] + 4 else products

    def _columns(self, vectors: Tensor, bank: Tensor) -> tuple[Tensor, ...]:
        """Return columns `(b, 1)`: ones, -h / 2, what then lacks to length 1, and zeros."""
        one = vectors.new_ones(len(vectors), 1)
        count = int(self.kept)
        half = torch.zeros_like(one)
        if count:
            cosines = vectors @ bank[:count].to(vectors.dtype).T
            half = cosines.topk(min(self.nearest, count), 1).values.mean(1, keepdim=True) / 2
        return one, -half, (1 - half.square()).clamp(min=0).sqrt(), torch.zeros_like(one)


def rearranged(values: Tensor, positions: Tensor) -> Tensor:
    """Pick values along the second axis, `(b, n, d), (b, m) -> (b, m, d)`."""
    return values.gather(1, positions[..., None].expand(-1, -1, values.shape[-1]))


class AttentionPool(nn.Module):
    """Weights over n states by a learned query, `(b, n, width), (b, n) -> (b, n)`, rows sum to 1.

    `w = softmax over the unmasked of (h' q)`; a row without any unmasked state has weights 0.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the weights of the states."""
        scores = self.query(states)[..., 0].masked_fill(~never_empty(mask), -torch.inf)
        return torch.as_tensor(scores.softmax(1) * mask)


class WordEmbedding(nn.Module):
    """One learned vector a word; the vocabulary is part of the state, so that a run needs no other file."""

    letters: Tensor
    vocabulary: Vocabulary

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(0, width))
        self.register_buffer("letters", torch.empty(0, dtype=torch.uint8))
        self.learn(Vocabulary((*SPECIAL, UNKNOWN)))

    def learn(self, vocabulary: Vocabulary) -> None:
        """Take a vocabulary, with random vectors."""
        self.vocabulary = vocabulary
        text = np.frombuffer(vocabulary.to_json().encode(), np.uint8)
        self.letters = torch.from_numpy(text.copy()).to(self.weight.device)
        # In place: an optimiser may own the parameter already.
        self.weight.data = torch.randn(len(vocabulary), self.weight.shape[1], device=self.weight.device)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Take the vocabulary of the state first: its size is that of the weights."""
        letters = state_dict.get(f"{prefix}letters")
        if letters is not None:
            try:
                self.learn(Vocabulary.from_json(letters.cpu().numpy().tobytes()))
            except DataError as error:
                raise MethodError(f"the vocabulary in the weights is damaged ({error})") from error
        super()._load_from_state_dict(state_dict, prefix, *others)


class WordSums(nn.Module):
    """Learned vectors of words, summed: `y = sum of embedding(w) over n words w / sqrt(n)`, zeros of none.

    So the entries of a sum have size 1 at the start. While training a share of the words is left out.

    Args:
        parts: of recipes, whose words are read.
        width: of the vectors.
        min_count: how often a word occurs in the training recipes to have one.
        dropout: share of the words left out.
    """

    def __init__(self, parts: Sequence[str], width: int, min_count: int, dropout: float) -> None:
        super().__init__()
        self.parts, self.min_count, self.dropout = parts, min_count, dropout
        self.embedding = WordEmbedding(width)

    def learn(self, recipes: Iterable[Recipe]) -> None:
        """Take the words of the training recipes, with random vectors."""
        lines = (line for recipe in recipes for part in self.parts for line in recipe.lines(part))
        self.embedding.learn(Vocabulary.of(lines, self.min_count))

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Turn lines into word ids."""
        return [self.embedding.vocabulary.ids(line) for line in lines]

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Sum the unmasked words of each row, `(n, t), (n, t) -> (n, width)`."""
        if self.training:
            mask = mask & (torch.rand(ids.shape, device=ids.device) >= self.dropout)
        counts = mask.sum(1)
        sums = nn.functional.embedding_bag(
            ids[mask], self.embedding.weight, counts.cumsum(0) - counts, mode="sum"
        )
        return sums / counts.clamp(min=1).sqrt()[:, None]

    def of_parts(self, batch: Batch) -> Tensor:
        """Sum the words of each part, `(b, parts, width)`."""
        return torch.stack(
            [self(*(one.flatten(1) for one in word_ids(batch, part))) for part in self.parts], 1
        )

    def of_lines(self, batch: Batch, row: Tensor, spans: Tensor) -> Tensor:
        """Sum the words of the lines that n word pieces stand in, `(n,), (n, 4) -> (n, width)`."""
        sums = self.embedding.weight.new_zeros(len(row), self.embedding.weight.shape[1])
        for part in self.parts:
            here = spans[:, 0] == PARTS.index(part)
            ids, mask = word_ids(batch, part)
            line = row[here], spans[here, 1]
            sums = sums.index_put((here,), self(ids[line], mask[line]))
        return sums


def word_ids(batch: Batch, part: str) -> tuple[Tensor, Tensor]:
    """Return the word ids of a part's lines and which there are, `(b, n, t)` both; a title is one line."""
    if getattr(batch, part) is None:  # a part that the whole batch lacks
        nothing = torch.zeros(len(batch), 1, 1, dtype=torch.long)
        return nothing, nothing > 0
    ids, mask = given(getattr(batch, f"{part}_ids"), "word ids"), getattr(batch, f"{part}_mask")
    ids, mask = (ids[:, None], mask[:, None]) if part == "title" else (ids, mask)
    return ids, (ids >= 0) & mask[..., None]


class SequenceEncoder(nn.Module):
    """Transformer encoder over sequences of table rows, then their mean: `(v, width), (n, t) -> (n, width)`.

    `x = drop(table[ids] + places)`, `output = mean over the sequence of encoder(x)`; an empty sequence gives
    zeros. The table holds word embeddings, or the vectors of lines that this encoder puts together. Places
    from `longest` on share one vector.

    Sequences of similar length pass together, so that little padding is computed: an eighth on average where
    all lengths are as frequent.

    Args:
        width: width of the rows and of the encoder.
        heads: attention heads of each layer.
        layers: of the encoder.
        inner: width of the feed-forward layers.
        dropout: inside the encoder and on what enters it.
        norm_first: pre-norm with GELU and a last norm; otherwise post-norm with ReLU, as H-T has it.
        longest: how many places have vectors of their own.

    Source: Salvador et al., Revamping cross-modal recipe retrieval with hierarchical transformers and
    self-supervised learning (CVPR 2021), and its public code.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        layers: int,
        inner: int,
        dropout: float,
        *,
        norm_first: bool = True,
        longest: int = 50,
    ) -> None:
        super().__init__()
        self.encoder = _encoder(width, heads, layers, inner, dropout, norm_first=norm_first)
        self.places = nn.Parameter(nn.init.xavier_normal_(torch.empty(longest, width)))
        self.drop = Dropout(dropout)

    def forward(self, table: Tensor, ids: Tensor, places: Tensor | None = None) -> Tensor:
        """Encode sequences; in each row of `ids` -1 stands behind the last number of a table row.

        `places (n, t)` says where in the sequence each stands, if not one behind the other from 0 on.
        """
        if places is None:
            places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        lengths, order = (ids >= 0).sum(1).sort(stable=True)
        ids, places = ids[order], places[order].clamp(max=len(self.places) - 1)
        inside = ids >= 0
        embed = nn.functional.embedding
        entered = self.drop(embed(ids[inside], table) + embed(places[inside], self.places))
        empty = int((lengths == 0).sum())
        runs = list(_alike(lengths.tolist(), empty))
        parts = torch.split(entered, [int(lengths[start:end].sum()) for start, end in runs])
        means = [table.new_zeros(empty, table.shape[1])]
        for (start, end), values in zip(runs, parts, strict=True):
            means.append(self._means(values, inside[start:end, : int(lengths[end - 1])]))
        return torch.cat(means)[order.argsort()]

    def _means(self, values: Tensor, inside: Tensor) -> Tensor:
        """Lay values out as sequences and encode them, `(k, width), (n, t) -> (n, width)`."""
        count = len(inside)
        if torch.is_autocast_enabled(values.device.type):
            # In bf16 a CPU compiles its products anew for every shape, which costs more than to fill up with
            # sequences of one zero, so that few numbers of them occur; from 64 on by less than a quarter.
            filling = -count % max(16, (1 << count.bit_length()) >> 3)
            first = torch.arange(inside.shape[1], device=inside.device) == 0
            inside = torch.cat([inside, first.expand(filling, -1)])
            values = torch.cat([values, values.new_zeros(filling, values.shape[1])])
        padded = values.new_zeros(*inside.shape, values.shape[1]).masked_scatter(inside[..., None], values)
        states = self.encoder(padded, src_key_padding_mask=None if inside.all() else ~inside)
        return masked_mean(states.to(values.dtype), inside)[:count]


def _alike(lengths: Sequence[int], start: int) -> Iterator[tuple[int, int]]:
    """Cut rising lengths from `start` on into runs in which the longest has at most a quarter more.

    >>> list(_alike([0, 1, 4, 4, 5, 6], 1))
    [(1, 2), (2, 5), (5, 6)]
    """
    while start < len(lengths):
        end = bisect_right(lengths, lengths[start] * 5 // 4, start)
        yield start, end
        start = end


def drawn(mask: Tensor, most: int) -> Tensor:
    """Keep at most `most` random places of each row of a mask, `(b, n) -> (b, n)`."""
    if mask.shape[1] <= most:
        return mask
    chosen = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1).topk(most, dim=1).indices
    return torch.zeros_like(mask).scatter(1, chosen, True) & mask


class CrossDecoder(nn.Module):
    """Transformer decoder without a causal mask: n queries look at themselves and at m memories.

    Layers are pre-norm: self-attention, cross-attention, feed-forward of 2 x width.

    Reference: Vaswani et al. (NeurIPS 2017), section 3.1.
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return the decoded queries, `(b, n, width), (b, m, width), (b, m) -> (b, n, width)`."""
        padding = ~never_empty(mask)
        for layer in self.layers:
            queries, _ = layer(queries, memory, padding, weigh=False)
        return torch.as_tensor(self.norm(queries))

    def attention(self, queries: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        """Return `softmax(Q K' / sqrt(d))` of each layer and head, `(b, layers, heads, n, m)`."""
        padding, found = ~never_empty(mask), []
        for layer in self.layers:
            queries, weights = layer(queries, memory, padding, weigh=True)
            found.append(weights)
        return torch.stack(found, 1)


class _DecoderLayer(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.own = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.forward_layer = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = Dropout(dropout)

    def forward(
        self, queries: Tensor, memory: Tensor, padding: Tensor, *, weigh: bool
    ) -> tuple[Tensor, Tensor | None]:
        here = self.norms[0](queries)
        queries = queries + self.drop(self.own(here, here, here, need_weights=False)[0])
        there = self.norms[2](memory)
        looked, weights = self.cross(
            self.norms[1](queries), there, there, padding, weigh, average_attn_weights=False
        )
        queries = queries + self.drop(looked)
        return queries + self.drop(self.forward_layer(self.norms[3](queries))), weights


class LastState(nn.Module):
    """Last state of an LSTM over the unmasked values, `(b, n, d), (b, n) -> (b, width)`.

    With `both_ways` the last states of both directions side by side. A row without any value gives zeros.
    Only the values pass through it, whatever stands between or behind them.
    """

    def __init__(self, inputs: int, hidden: int, *, both_ways: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=both_ways)
        self.width = hidden * (2 if both_ways else 1)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the last states, in fp32 or better."""
        found, lengths = mask.any(1), mask.sum(1)
        front = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
        # Rounding to bf16 would add up from step to step.
        with torch.autocast(values.device.type, enabled=False):
            values = values.to(torch.promote_types(values.dtype, torch.float32))
            states = values.new_zeros(len(values), self.width)
            if found.any():
                sequences = nn.utils.rnn.pack_padded_sequence(
                    rearranged(values[found], front[found]),
                    lengths[found].cpu(),
                    batch_first=True,
                    enforce_sorted=False,
                )
                states[found] = self.lstm(sequences)[1][0].transpose(0, 1).flatten(1)
        return states


class LineLSTMs(nn.Module):
    """Recipe encoder of JE and AdaMine: ingredient lines and steps, `(b,) recipes -> (b, width)`.

    Side by side the last state of an LSTM over the steps and both last states of a bidirectional one over
    the ingredient lines; zeros for a part that a recipe lacks. The title is not read.

    Source: Salvador et al., Learning cross-modal embeddings for cooking recipes and food images (CVPR 2017).
    """

    def __init__(self, inputs: int, *, ingredients: int = 300, instructions: int = 1024) -> None:
        super().__init__()
        self.instructions = LastState(inputs, instructions)
        self.ingredients = LastState(inputs, ingredients, both_ways=True)
        self.width = self.instructions.width + self.ingredients.width

    def forward(self, batch: Batch) -> Tensor:
        """Encode the recipes of a batch.

        Raises:
            MethodError: the batch has no part of a recipe.
        """
        if all(getattr(batch, part) is None for part in PARTS):
            given(None, "lines of recipes")
        sides = []
        for part, encoder in (("instructions", self.instructions), ("ingredients", self.ingredients)):
            values, mask = getattr(batch, part), getattr(batch, f"{part}_mask")
            if values is None:
                sides.append(next(encoder.parameters()).new_zeros(len(batch), encoder.width))
            else:
                sides.append(encoder(values, mask))
        return torch.cat(sides, 1)
