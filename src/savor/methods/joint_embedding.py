"""Joint embedding (JE): pairs, most of which do not match, and a classifier that both sides share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from savor.errors import MethodError, OptionError
from savor.layers import LastState, WordEmbedding, given, unit
from savor.losses import classes_told, pairwise
from savor.methods.adamine import mismatched
from savor.methods.base import Perceptrons, at_least
from savor.pixels import RawInput
from savor.skip_instructions import WIDTH, SkipInstructions
from savor.training import TrainingOptions
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary
from savor.word2vec import read_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from savor.batch import Array, Batch
    from savor.features import Dims, Features
    from savor.recipe import Recipe

WORDS = ("encoder", "learned")


class JointEmbedding(Perceptrons):
    """Joint embedding (JE): a cosine loss of single pairs, most of them mismatched, and shared classes.

        `L = (1 - 2 w) mean of (1 - s if the pair matches else [s - m]+) + w (C(image) + C(recipe))`

    s is the cosine of a photo and a recipe. In each step 80 % of the recipes get the photo of another one of
    the batch. C is the cross-entropy over title classes of one linear layer that reads embeddings of either
    side; a photo keeps its own class whatever it is paired with, and class 0, no class, does not count.

    Differences from the paper and its code, unless `faithful`:

    - The towers are the perceptrons of MLP + triplet, which read the title, too; it is all that there is of
      many recipes.

    `faithful=True` has the published towers: tanh of one linear layer after a photo's vector, and after the
    last state of an LSTM over the instructions (1,024) beside both last states of a bidirectional one over
    the ingredients' words (300 each). Words start at random, or with `word2vec` at unit vectors of a file;
    instructions are vectors of the sentence encoder, or with `skip_instructions` those published with
    Recipe1M. The published training is `batch_size=160 learning_rate=1e-4 weight_decay=0 epochs=720`.

    Still different from the code:

    - The photo's network stays frozen, as in the first of its alternating phases; in the others nothing but
      that network learns.
    - A mismatched photo comes from the batch, not from all of the training split, and the classifier reads
      each photo of the batch once.
    - The words are those of all ingredient lines in their order, not names that a tagger found in them, and
      no closing word follows. The code's PyTorch port reads each word's vector two rows off; here it is its
      own.
    - Recipes of 20 lines and more are read, and a part that a recipe lacks is zeros; the code has neither.

    Args:
        dims: widths of the features.
        faithful: the published towers.
        words: what the published towers read of the ingredients: `learned`, vectors of their words, or
            `encoder`, the line vectors of the features; empty: `learned`, for perceptrons `encoder`.
        word2vec: file of word vectors to start from, in word2vec's binary format (`savor.word2vec`); read
            once, a run holds the words and their vectors.
        skip_instructions: folder with `encs_<split>_1024.t7` (`savor.skip_instructions`). It is read
            whenever recipes are embedded. A recipe of the data set that it lacks has no instructions; a
            recipe from outside, as in a search, cannot be embedded.
        dim: width of the shared space.
        hidden: width of the perceptrons' hidden layers.
        word_width: width of the word vectors.
        min_count: how often a word occurs in the training recipes' ingredients to have a vector.
        margin: m, the cosine that mismatched pairs may have.
        class_weight: w.
        image_dropout: share of the perceptron's inputs and hidden units dropped on the photo's side.
        recipe_dropout: share on the recipe's side.

    Example:
        >>> from savor.features import Dims
        >>> JointEmbedding.build(Dims(image=8, text=4, categories=5), {"dim": 3}).classifier
        Linear(in_features=3, out_features=5, bias=True)
    """

    paper: ClassVar[str] = "Salvador et al., CVPR 2017; Marin et al., TPAMI 2019"
    loss: ClassVar[str] = "cosine of single pairs, 80 % mismatched, and title classes"
    uses: ClassVar[tuple[str, ...]] = ("image", "lines", "category")
    # An epoch shows a fifth of the pairs as what they are.
    trains_with: ClassVar[TrainingOptions | None] = TrainingOptions(epochs=60, batch_size=256, min_batches=8)

    def __init__(
        self,
        dims: Dims,
        *,
        faithful: bool = False,
        words: str = "",
        word2vec: str = "",
        skip_instructions: str = "",
        dim: int = 1024,
        hidden: int = 2048,
        word_width: int = 300,
        min_count: int = 5,
        margin: float = 0.1,
        class_weight: float = 0.01,
        image_dropout: float = 0.5,
        recipe_dropout: float = 0.1,
    ) -> None:
        super().__init__(
            dims, dim=dim, hidden=hidden, image_dropout=image_dropout, recipe_dropout=recipe_dropout
        )
        words = words or ("learned" if faithful else "encoder")
        _check(faithful, words, word2vec, skip_instructions)
        at_least(1, word_width=word_width, min_count=min_count)
        at_least(0, class_weight=class_weight)
        if not (-1 <= margin <= 1 and class_weight <= 0.5):
            raise OptionError(
                f"margin={margin}, class_weight={class_weight}: the margin is a cosine, from -1 to 1, the"
                " weight of the classes of each side at most 0.5"
            )
        self.faithful, self.word2vec, self.min_count = faithful, word2vec, min_count
        self.margin, self.class_weight = margin, class_weight
        self.classifier = nn.Linear(dim, dims.categories)
        if faithful:
            lstms = RecipeLSTMs(dims.text, word_width if words == "learned" else 0, skip_instructions)
            self.image_tower = nn.Sequential(nn.Linear(dims.image, dim), nn.Tanh())
            self.recipe_tower = nn.Sequential(lstms, nn.Linear(lstms.width, dim), nn.Tanh())
            del self.missing, self.standardise
        if words == "learned":
            read = ("word_ids",) if skip_instructions else ("lines", "word_ids")
            # Which fields are read is the choice of each instance here.
            self.uses = ("image", *read, "category")  # type: ignore[misc]
            self.raw = RawInput(None, self.tokenize, lines_of=ingredients_alone)

    @property
    def lstms(self) -> RecipeLSTMs | None:
        """The LSTMs of the published towers; None in perceptrons."""
        return self.recipe_tower[0] if self.faithful else None  # type: ignore[index]

    def tokenize(self, lines: Sequence[str]) -> list[list[int]]:
        """Turn lines into word ids."""
        assert self.lstms is not None
        assert self.lstms.embedding is not None
        vocabulary = self.lstms.embedding.vocabulary
        return [vocabulary.ids(line) for line in lines]

    def prepare(self, features: Features, rows: Array) -> None:
        """Learn the statistics of the training photos' vectors, or the words of the training recipes.

        Raises:
            DataError: the file of word vectors cannot be read.
            MethodError: it has vectors of another width, or none for these words.
        """
        if self.lstms is None:
            super().prepare(features, rows)
        elif self.lstms.embedding is not None:
            recipes = (features.recipe(int(row)) for row in rows)
            lines = (line for recipe in recipes for line in recipe.lines("ingredients"))
            self.lstms.embedding.learn(Vocabulary.of(lines, self.min_count))
            if self.word2vec:
                start_from(self.lstms.embedding, self.word2vec)

    def look_at(self, features: Features, rows: Array) -> None:
        """Check that the files of skip-instructions know the training recipes.

        Raises:
            DataError: they cannot be read.
            MethodError: they hold none of them.
        """
        if self.lstms is not None and self.lstms.folder:
            found = self.lstms.skip_instructions.find(features.ids[rows].tolist())
            if (found < 0).all():
                raise MethodError(
                    f"{self.lstms.folder}: holds none of the {len(rows)} training recipes of {features.path}"
                    f" (ids such as {features.ids[rows[0]]}); train without skip_instructions, or on the data"
                    " these files belong to"
                )

    def image_vectors(self, batch: Batch) -> Tensor:
        """Return the photos' vectors before normalisation, `(b, dim)`."""
        if self.faithful:
            return torch.as_tensor(self.image_tower(given(batch.image, "image")))
        return super().image_vectors(batch)

    def recipe_vectors(self, batch: Batch) -> Tensor:
        """Return the recipes' vectors before normalisation, `(b, dim)`."""
        return torch.as_tensor(self.recipe_tower(batch)) if self.faithful else super().recipe_vectors(batch)

    def pair_loss(self, image: Tensor, recipe: Tensor, batch: Batch) -> Tensor:
        """Return the loss of embeddings, `(b, dim)` each."""
        category = given(batch.category, "category")
        pairs = pairwise(*mismatched(image, recipe), positive_margin=0.0, negative_margin=1 - self.margin)
        classes = sum(classes_told(self.classifier(side), category) for side in (image, recipe))
        return (1 - 2 * self.class_weight) * pairs + self.class_weight * classes


class RecipeLSTMs(nn.Module):
    """JE's encoder of recipes: ingredients as words or lines, and steps, `(b,) recipes -> (b, width)`.

    Side by side the last state of an LSTM over the steps and both last states of a bidirectional one over
    the ingredients; zeros for a part that a recipe lacks. The title is not read.

    Args:
        text: width of the features' line vectors.
        word_width: width of learned word vectors; 0: the ingredients' line vectors are read.
        folder: of skip-instructions, which stand for the steps' line vectors; empty: none.
    """

    def __init__(self, text: int, word_width: int, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.embedding = WordEmbedding(word_width) if word_width else None
        self.instructions = LastState(WIDTH if folder else text, 1024)
        self.ingredients = LastState(word_width or text, 300, both_ways=True)
        self.width = self.instructions.width + self.ingredients.width

    @cached_property
    def skip_instructions(self) -> SkipInstructions:
        """The files, opened when they are first needed."""
        return SkipInstructions(self.folder)

    def forward(self, batch: Batch) -> Tensor:
        """Encode the recipes of a batch.

        Raises:
            MethodError: the batch lacks a field that is read, or a recipe is from outside the data set where
                skip-instructions are read.
        """
        steps = self._skip_instructions(batch) if self.folder else _lines(batch, "instructions")
        ingredients = _lines(batch, "ingredients") if self.embedding is None else self._words(batch)
        return torch.cat([self.instructions(*steps), self.ingredients(*ingredients)], 1)

    def _words(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the ingredients' word vectors line after line, `(b, n, word_width)`, and the mask."""
        assert self.embedding is not None
        ids = given(batch.ingredients_ids, "word ids")
        there = ids >= 0
        if batch.ingredients_mask is not None:
            there = there & batch.ingredients_mask[..., None]
        ids, there = ids.flatten(1), there.flatten(1)
        # Without the padding of short lines, most of which would be looked up in vain.
        longest = max(1, int(there.sum(1).max())) if len(ids) else 1
        front = (~there).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
        ids, there = ids.gather(1, front).clamp(min=0), there.gather(1, front)
        return nn.functional.embedding(ids, self.embedding.weight), there

    def _skip_instructions(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Read the vectors of the steps, `(b, n, 1024)`, and the mask."""
        written = given(batch.instructions_mask, "lines").any(1)
        outside = [has for recipe, has in zip(batch.ids, written.tolist(), strict=True) if has and not recipe]
        if outside:
            raise MethodError(
                "there are no skip-instructions of a recipe from outside the data set; search with photos or"
                " with recipes of the index, or train without skip_instructions"
            )
        values, mask = (torch.from_numpy(one) for one in self.skip_instructions.padded(batch.ids))
        return values.to(written.device), mask.to(written.device) & written[:, None]


def ingredients_alone(recipe: Recipe, part: str) -> Sequence[str]:
    """Return the lines of the ingredients, and as many empty ones as another part has: no words are read."""
    lines = recipe.lines(part)
    return lines if part == "ingredients" else [""] * len(lines)


def start_from(embedding: WordEmbedding, path: str) -> None:
    """Give words the vectors of a file, scaled to unit length; words that it lacks keep random directions.

    Raises:
        DataError: the file cannot be read.
        MethodError: it has vectors of another width, or none for these words.
    """
    words, width = embedding.vocabulary.words, embedding.weight.shape[1]
    vectors = read_vectors(path, set(words) - {*SPECIAL, UNKNOWN})
    if not vectors:
        raise MethodError(
            f"{path}: has none of the {len(words)} words of the training recipes' ingredients; name a file in"
            " their language, in lower case"
        )
    found = len(next(iter(vectors.values())))
    if found != width:
        raise MethodError(f"{path}: has vectors of width {found}; set word_width={found}")
    for number, word in enumerate(words):
        if word in vectors:
            embedding.weight.data[number] = torch.from_numpy(vectors[word])
    embedding.weight.data = unit(embedding.weight.data)


def _lines(batch: Batch, part: str) -> tuple[Tensor, Tensor]:
    """Return the line vectors of a part and their mask."""
    return given(getattr(batch, part), "lines"), given(getattr(batch, f"{part}_mask"), "lines")


def _check(faithful: bool, words: str, word2vec: str, skip_instructions: str) -> None:
    """Check the options that go together.

    Raises:
        OptionError: they do not.
    """
    if words not in WORDS:
        raise OptionError(f"words={words!r}: choose one of {', '.join(WORDS)}")
    if word2vec and words != "learned":
        raise OptionError(f"word2vec={word2vec!r}: word vectors go with faithful=true words=learned")
    if not faithful and (words == "learned" or skip_instructions):
        name = "words='learned'" if words == "learned" else f"skip_instructions={skip_instructions!r}"
        raise OptionError(f"{name}: only the published towers read them; add faithful=true")
