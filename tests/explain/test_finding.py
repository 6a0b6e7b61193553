"""The four ways: what each weight is, beside a slow twin, and which methods offer them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from savor import Recipe
from savor.errors import UsageError
from savor.explain import correspond, ways, words_of
from savor.explain.finding import HOOKS, pair_batch, without
from savor.features import Dims
from savor.index.embedding import Embedder
from savor.methods import available, find
from savor.methods.base import Method
from savor.methods.cca import CCA
from savor.recipe import Section
from savor.runs import Run

SMALL = {"dim": 8, "hidden": 16, "width": 16, "decoder_width": 16, "heads": 2}
SOUP = Recipe(
    "soup",
    "Red lentil soup",
    ("2 cups red lentils, rinsed", "1 onion"),
    ("Chop the onion finely.", "Boil the lentils with the onion for 20 minutes."),
)


@pytest.fixture
def embedder_of(fake_image, fake_text):
    """Make an embedder of a method with the small encoders, on a grid of 2 x 3."""

    def make(method: Method, name: str = "some_method") -> Embedder:
        run = Run(Path("nowhere"), {"method": name, "encoders": {}}, method.eval())
        embedder = Embedder(run, (2, 3))
        embedder.__dict__ |= {"image_encoder": fake_image(), "text_encoder": fake_text()}
        return embedder

    return make


def build(name: str, **options) -> Method:
    torch.manual_seed(0)
    method = find(name)
    known = {key: value for key, value in SMALL.items() if key in method.defaults()}
    return method.build(Dims(image=12, text=16), {**known, **options})


@pytest.fixture
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((60, 40), Image.Resampling.NEAREST)


class Attending(CCA):
    """A method with attention that is made up of fixed numbers, so that it can be computed by hand."""

    def self_attention(self, batch):
        pieces = batch.words.square().sum(-1)
        patches = batch.patches[..., :3].sum(-1)
        return pieces / pieces.sum(1, keepdim=True), patches / patches.sum(1, keepdim=True)

    def cross_attention(self, batch):
        return (batch.patches @ torch.ones(12, 16) @ batch.words.mT).softmax(-1)


@pytest.mark.parametrize("name", available())
def test_every_method_can_be_explained_in_each_way_it_offers(name, embedder_of, photo) -> None:
    if "pixels" in find(name).uses:
        pytest.skip("has networks of its own in place of the small encoders")
    method = build(name)
    assert "masking" in ways(method)
    for way in ways(method):
        found = correspond(embedder_of(method, name), photo, SOUP, way)
        assert found.way == way
        assert found.words == words_of(SOUP)
        assert found.grid == (2, 3)
        assert found.weights.shape == (len(found.words), 6)
        assert found.weights.dtype == np.float32
        assert (found.word_weights.shape, found.cell_weights.shape) == ((len(found.words),), (6,))
        assert all(np.isfinite(one).all() for one in (found.weights, found.word_weights, found.cell_weights))
        assert np.ptp(found.weights) > 0


def test_ways_follow_from_the_hooks_the_best_first() -> None:
    assert ways(build("cca")) == ["similarity", "masking"]
    assert ways(build("triplet_mlp")) == ["similarity", "masking"]
    assert ways(build("info_nce")) == ["masking"]
    assert ways(Attending(Dims(12, 16))) == list(HOOKS) == ["similarity", "attention", "masking", "ranks"]


def test_a_way_that_is_not_offered_is_an_error(embedder_of, photo) -> None:
    embedder = embedder_of(build("info_nce"), "info_nce")
    with pytest.raises(UsageError, match="info_nce cannot be explained by 'similarity'; choose masking"):
        correspond(embedder, photo, SOUP, "similarity")
    with pytest.raises(UsageError, match="the recipe '7' has no word to explain"):
        correspond(embedder, photo, Recipe("7", "2 of 3"), "masking")


def test_similarity_parts_the_score_among_words_and_cells(embedder_of, photo) -> None:
    """With no stop word in the recipe all summands are there, and add up to the cosine."""
    method = build("cca")
    torch.nn.init.zeros_(method.recipe_tower.bias)  # fitted, it is what the parts' means make it
    embedder = embedder_of(method)
    recipe = Recipe("1", "lentil soup", ("onion", "carrot"), ("boil gently",))
    found = correspond(embedder, photo, recipe, "similarity")
    batch = pair_batch(embedder, photo, recipe)
    with torch.no_grad():
        # The small encoder's photo vector is not the mean of its patches, to which they add up.
        image = torch.nn.functional.normalize(method.image_tower(batch.patches.mean(1)), dim=-1)
        cosine = float((image * method.embed_recipe(batch)).sum())
    assert found.weights.sum() == pytest.approx(cosine, abs=1e-5)
    assert np.allclose(found.weights.sum(1), found.word_weights, atol=1e-6)
    assert np.allclose(found.weights.sum(0), found.cell_weights, atol=1e-6)


def test_word_pieces_become_words(embedder_of, photo) -> None:
    """A phrase of two words weighs as much as its two pieces."""
    embedder = embedder_of(build("cca"))
    phrase = correspond(embedder, photo, SOUP, "similarity")
    batch = pair_batch(embedder, photo, SOUP)
    with torch.no_grad():
        patches, pieces = (
            embedder.run.method.embed_patches(batch)[0],
            embedder.run.method.embed_words(batch)[0],
        )
    length = patches.sum(0).norm() * pieces.sum(0).norm()
    texts = [
        SOUP.lines("ingredients")[0][s:e] for p, n, s, e in batch.words_spans[0].tolist() if (p, n) == (1, 0)
    ]
    assert texts == ["2", "cups", "red", "lentils,", "rinsed"]
    number = [word.text for word in phrase.words].index("red lentils")
    first = 3 + texts.index("red")  # the title has three pieces
    expected = (pieces[first] + pieces[first + 1]) @ patches.T / length
    assert np.allclose(phrase.weights[number], expected.numpy(), atol=1e-6)


def test_masking_is_the_interaction_of_word_and_cell(embedder_of, photo) -> None:
    """Beside a twin that masks one word and one cell at a time."""
    embedder = embedder_of(build("triplet_mlp"))
    found = correspond(embedder, photo, SOUP, "masking")

    def score(image, recipe) -> float:
        return float(embedder.photos([image])[0] @ embedder.recipes([recipe])[0])

    mean = tuple(np.asarray(photo).mean((0, 1)).round().astype(int).tolist())
    for number in (0, 3, len(found.words) - 1):
        bare = without(SOUP, found.words[number])
        for cell in (0, 4):
            left, top = 20 * (cell % 3), 20 * (cell // 3)
            masked = photo.copy()
            masked.paste(mean, (left, top, left + 20, top + 20))
            s, s_w, s_c, s_cw = (score(i, r) for i in (photo, masked) for r in (SOUP, bare))
            assert found.weights[number, cell] == pytest.approx((s - s_w) - (s_c - s_cw), abs=1e-5)
            assert found.cell_weights[cell] == pytest.approx(s - s_c, abs=1e-5)
        assert found.word_weights[number] == pytest.approx(s - s_w, abs=1e-5)
    assert found.score == pytest.approx(score(photo, SOUP), abs=1e-6)


def test_masking_encodes_each_line_and_each_photo_once(embedder_of, photo) -> None:
    embedder = embedder_of(build("cca"))
    correspond(embedder, photo, SOUP, "masking")
    assert (embedder.image_encoder.calls, embedder.text_encoder.calls) == (2, 2)


def test_masks_lie_where_the_encoder_looks(embedder_of, photo) -> None:
    embedder = embedder_of(build("cca"))
    embedder.image_encoder.view = lambda width, height: (0.25, 0.0, 0.75, 1.0)
    found = correspond(embedder, photo, SOUP, "masking")
    assert found.boxes[0].tolist() == pytest.approx([0.25, 0, 0.25 + 0.5 / 3, 0.5])
    assert found.boxes[-1].tolist() == pytest.approx([0.75 - 0.5 / 3, 0.5, 0.75, 1])


def test_a_large_photo_is_masked_at_a_smaller_size_and_scored_as_it_is(embedder_of, photo) -> None:
    embedder = embedder_of(build("cca"))
    large = photo.resize((3000, 2000), Image.Resampling.NEAREST)
    seen: list[tuple[int, int]] = []
    encode = embedder.image_encoder.encode
    embedder.image_encoder.encode = lambda images, **more: (
        seen.extend(image.size for image in images) or encode(images, **more)
    )
    correspond(embedder, large, SOUP, "masking")
    assert sorted(seen) == [*[(1024, 683)] * 7, (3000, 2000)]


def test_attention_is_in_units_of_even_attention_and_fair_to_long_words(embedder_of, photo) -> None:
    class Even(Attending):
        def cross_attention(self, batch):
            return torch.full((1, 6, batch.words.shape[1]), 1 / batch.words.shape[1])

    even = correspond(embedder_of(Even(Dims(12, 16))), photo, SOUP, "attention")
    assert np.allclose(even.weights, 1)  # phrases of two pieces as single words
    method = Attending(Dims(12, 16))
    found = correspond(embedder_of(method), photo, SOUP, "attention")
    batch = pair_batch(embedder_of(method), photo, SOUP)
    attention = method.cross_attention(batch)[0]
    title = [word.text for word in found.words[:2]]
    assert title == ["Red lentil", "soup"]
    assert np.allclose(found.weights[0], attention[:, :2].mean(1) * attention.shape[1], atol=1e-5)
    assert np.allclose(found.weights[1], attention[:, 2] * attention.shape[1], atol=1e-5)


def test_ranks_pair_the_kth_word_with_the_kth_cell(embedder_of, photo) -> None:
    found = correspond(embedder_of(Attending(Dims(12, 16))), photo, SOUP, "ranks")
    words, cells = np.argsort(-found.word_weights), np.argsort(-found.cell_weights)
    for word, cell in zip(words, cells, strict=False):
        assert found.best_cells()[word] == cell
    assert (found.weights > 0).sum() == min(len(words), 6)
    assert (found.best_cells() == -1).sum() == len(words) - 6


def test_ranks_carry_no_alignment(embedder_of, photo) -> None:
    """Other photos, and the same one with its patches elsewhere: the text's half of the pairing stays."""
    embedder = embedder_of(Attending(Dims(12, 16)))
    found = correspond(embedder, photo, SOUP, "ranks")
    turned = correspond(embedder, photo.transpose(Image.Transpose.ROTATE_180), SOUP, "ranks")
    assert np.array_equal(found.word_weights, turned.word_weights)
    assert np.array_equal(found.ranks(), turned.ranks())
    assert np.allclose(found.cell_weights, turned.cell_weights[::-1], atol=1e-6)
    best, moved = found.best_cells(), turned.best_cells()
    assert np.array_equal(moved[best >= 0], 5 - best[best >= 0])  # the regions alone have moved


def test_without_takes_one_mention_out_of_its_line() -> None:
    texts = {}
    for word in words_of(SOUP):
        shorter = without(SOUP, word)
        texts.setdefault(word.text, []).append(shorter)
    assert texts["Red lentil"][0].title == " soup"
    assert texts["red lentils"][0].ingredients[0] == "2 cups , rinsed"
    assert [one.instructions[0] for one in texts["onion"][1:2]] == ["Chop the  finely."]
    assert texts["onion"][0].lines("ingredients") == SOUP.ingredients[:1]  # a number alone says nothing
    assert replace(texts["onion"][2], instructions=()) == replace(SOUP, instructions=())


def test_without_counts_lines_as_they_are_encoded_and_leaves_something() -> None:
    recipe = Recipe("1", "", (" ", Section("Sauce"), "salt", "pepper"))
    salt, pepper = words_of(recipe)
    assert without(recipe, salt).ingredients == (" ", Section("Sauce"), "", "pepper")
    assert without(recipe, pepper).ingredients == (" ", Section("Sauce"), "salt", "")
    alone = Recipe("1", "Soup")
    assert without(alone, words_of(alone)[0]).title == "…"
