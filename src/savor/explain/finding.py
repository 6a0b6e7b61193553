"""The four ways to find which words of a recipe belong to which regions of a photo."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor

from savor.batch import Batch, gather
from savor.errors import UsageError
from savor.explain.result import Array, Correspondence, grid_boxes
from savor.explain.words import Word, words_of
from savor.extraction import columns, encode_photos, encode_recipes
from savor.methods.base import Method
from savor.recipe import PARTS, Recipe, Section
from savor.reranking import score_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from savor.index.embedding import Embedder

# Which hooks of a method each way needs; the best way first.
HOOKS = {
    "similarity": ("embed_patches", "embed_words"),
    "attention": ("cross_attention",),
    "masking": (),
    "ranks": ("self_attention",),
}
BOTH_SIDES = ("image", "patches", "lines", "tokens")
# Longest side, in pixels, of the photo that is masked cell by cell: several times what encoders look at.
MASKED_SIDE = 1024

Weights = tuple[Array, Array, Array]  # (words, cells), (words,), (cells,)


def ways(method: Method) -> list[str]:
    """Return the ways that a method offers, told by the hooks it overrides; the best one first.

    Masking is always among them.
    """
    own = {name for name in dir(Method) if getattr(type(method), name, None) is not getattr(Method, name)}
    return [way for way, hooks in HOOKS.items() if own.issuperset(hooks)]


@torch.inference_mode()
def correspond(embedder: Embedder, image: Image.Image, recipe: Recipe, way: str) -> Correspondence:
    """Find which words of a recipe belong to which regions of a photo.

    Args:
        embedder: of the run that is to be explained.
        image: an upright RGB picture.
        recipe: with any text.
        way: one of `ways(embedder.run.method)`.

    Raises:
        UsageError: the method does not offer this way, or there is no word in the recipe to explain.
        MethodError: the method offers the way, but not with the options it was trained with.
        EncoderError: the run's encoders are not here, or the image encoder has no regions.
    """
    offered = ways(embedder.run.method)
    if way not in offered:
        name = embedder.run.config["method"]
        raise UsageError(f"{name} cannot be explained by {way!r}; choose {' or '.join(offered)}")
    words = words_of(recipe)
    if not words:
        raise UsageError(
            f"the recipe {recipe.id!r} has no word to explain, only numbers, units and stop words"
        )
    boxes = grid_boxes(embedder.grid, embedder.image_encoder.view(*image.size))
    if way == "masking":
        weights, word_weights, cell_weights = _masking(embedder, image, recipe, words, boxes)
    else:
        batch = pair_batch(embedder, image, recipe)
        found = {"similarity": _similarity, "attention": _attention, "ranks": _ranks}[way]
        weights, word_weights, cell_weights = found(embedder.run.method, batch, _members(words, batch))
    score = float(_scores(embedder, [image], [recipe])[0, 0])
    return Correspondence(
        way,
        words,
        embedder.grid,
        boxes,
        weights.astype(np.float32),
        word_weights.astype(np.float32),
        cell_weights.astype(np.float32),
        score,
    )


def pair_batch(embedder: Embedder, image: Image.Image, recipe: Recipe) -> Batch:
    """Encode a photo and a recipe as a batch of one, with patches and with all word pieces."""
    photo = encode_photos([[image]], embedder.image_encoder, grid=embedder.grid)
    text = encode_recipes([recipe], embedder.text_encoder, tokens=True)
    fields = columns({**photo, **text})
    batch = gather(fields.__getitem__, [recipe.id], np.arange(1), BOTH_SIDES, grid=embedder.grid)
    return embedder.with_word_ids(batch, [recipe])


def _members(words: Sequence[Word], batch: Batch) -> Tensor:
    """Tell which word pieces make up which words, `(words, pieces)` of 0 and 1."""
    assert batch.words_spans is not None
    part, line, start, end = batch.words_spans[0].T[..., None]
    where = torch.tensor([(PARTS.index(word.part), word.line, word.start, word.end) for word in words]).T
    inside = (part == where[0]) & (line == where[1]) & (start < where[3]) & (end > where[2])
    return torch.as_tensor(inside.T.float())


def _similarity(method: Method, batch: Batch, members: Tensor) -> Weights:
    """Weigh a word and a cell by the product of their shares of the two vectors.

    With `v = sum_c p_c` and `r = sum_w t_w`, a word's share the sum of its pieces', the cosine falls into
    `sum over w, c of t_w' p_c / (|v| |r|)`: word and cell have one summand, a word its row's sum, a cell its
    column's over all pieces of the recipe, stop words too.
    """
    patches, pieces = method.embed_patches(batch)[0], method.embed_words(batch)[0]
    length = patches.sum(0).norm() * pieces.sum(0).norm()
    summands = pieces @ patches.T / length.clamp(min=1e-12)
    weights = members @ summands
    return weights.numpy(), weights.sum(1).numpy(), summands.sum(0).numpy()


def _attention(method: Method, batch: Batch, members: Tensor) -> Weights:
    """Weigh a word and a cell by the attention from the cell to the word, 1 = as much as to any piece.

    A word has the mean of its pieces, so that long words, of many pieces, do not weigh more than short ones.
    """
    attention = method.cross_attention(batch)[0]
    counts = members.sum(1, keepdim=True).clamp(min=1)
    weights = (members / counts) @ attention.T * attention.shape[1]
    return weights.numpy(), weights.mean(1).numpy(), weights.mean(0).numpy()


def _ranks(method: Method, batch: Batch, members: Tensor) -> Weights:
    """Pair the k-th word with the k-th cell, each by its own self-attention; a pair weighs their product.

    The other entries are 0, and so are the rows of words for which there is no cell left.
    """
    pieces, patches = (one[0] for one in method.self_attention(batch))
    word_weights, cell_weights = (members @ pieces).numpy(), patches.numpy()
    by_word, by_cell = (np.argsort(-one, kind="stable") for one in (word_weights, cell_weights))
    weights = np.zeros((len(word_weights), len(cell_weights)), np.float32)
    for word, cell in zip(by_word, by_cell, strict=False):
        weights[word, cell] = word_weights[word] * cell_weights[cell]
    return weights, word_weights, cell_weights


def _masking(
    embedder: Embedder, image: Image.Image, recipe: Recipe, words: Sequence[Word], boxes: Array
) -> Weights:
    """Weigh a word and a cell by what the score loses by both together beyond what it loses by each alone.

    With s the score, `s_c` without the cell, `s_w` without the word, `s_cw` without both:
    `(s - s_w) - (s_c - s_cw)`, that part of what the word adds which is gone with the cell. A word alone
    weighs `s - s_w`, a cell `s - s_c`.
    """
    photos = [_reduced(image), *_masked_photos(_reduced(image), boxes)]
    recipes = [recipe, *(without(recipe, word) for word in words)]
    scores = _scores(embedder, photos, recipes)  # (1 + cells, 1 + words)
    added = scores[:, :1] - scores[:, 1:]  # by each word: with all cells, and without each of them
    return (added[0] - added[1:]).T, added[0], scores[0, 0] - scores[1:, 0]


def _reduced(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((MASKED_SIDE, MASKED_SIDE), Image.Resampling.LANCZOS)
    return small


def _masked_photos(image: Image.Image, boxes: Array) -> Iterator[Image.Image]:
    """Yield the photo without each of its cells: filled with the photo's mean colour.

    A blur would leave the cell's own colour, which says most of food; soft edges reach into other cells.
    """
    mean = tuple(round(value) for value in ImageStat.Stat(image).mean)
    size = np.array([*image.size, *image.size])
    for box in boxes:
        left, top, right, bottom = np.rint(box * size).astype(int).tolist()
        masked = image.copy()
        masked.paste(mean, (left, top, right, bottom))
        yield masked


def without(recipe: Recipe, word: Word) -> Recipe:
    """Return the recipe without one mention of a word; the last word of all leaves an ellipsis behind."""
    old = recipe.lines(word.part)[word.line]
    line = f"{old[: word.start]}{old[word.end :]}"
    # A line of which only blanks, digits or marks are left says nothing.
    rest = line if any(letter.isalpha() for letter in line) else ""
    if word.part == "title":
        shorter = replace(recipe, title=rest)
    else:
        lines: list[str] = list(getattr(recipe, word.part))
        read = [at for at, one in enumerate(lines) if one.strip() and not isinstance(one, Section)]
        lines[read[word.line]] = rest
        shorter = (
            replace(recipe, ingredients=tuple(lines))
            if word.part == "ingredients"
            else replace(recipe, instructions=tuple(lines))
        )
    return replace(recipe, title="…") if shorter.missing == PARTS else shorter


def _scores(embedder: Embedder, photos: Sequence[Image.Image], recipes: Sequence[Recipe]) -> Array:
    """Score photos against recipes, `(photos, recipes)` float64."""
    method, images, texts = (
        embedder.run.method,
        embedder.encode_photos(photos),
        embedder.encode_recipes(recipes),
    )
    if not method.reranks:
        return images.vectors.astype(np.float64) @ texts.vectors.astype(np.float64).T
    rows, columns = np.indices((len(photos), len(recipes)))
    scores = score_pairs(method, images, texts, rows.ravel(), columns.ravel())
    return scores.astype(np.float64).reshape(rows.shape)
