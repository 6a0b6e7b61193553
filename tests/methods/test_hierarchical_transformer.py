"""H-T: against a padded transcription, what is read of a text, recipe-only steps, options and saved runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from savor.batch import Batch
from savor.errors import MethodError, OptionError
from savor.features import Dims, Features
from savor.index.embedding import Embedder
from savor.methods.hierarchical_transformer import HierarchicalTransformer
from savor.photos import open_photo
from savor.recipe import PARTS, Recipe, Section
from savor.runs import describe, open_run, save_run
from savor.training import TrainingOptions, train
from savor.vocabulary import SPECIAL, UNKNOWN, Vocabulary

SMALL = {"words": "learned", "dim": 12, "width": 16, "inner": 24, "hidden": 32, "min_count": 1}
SMALL |= {"lines": 8, "line_words": 0}
OPTIONS = TrainingOptions(epochs=2, batch_size=12, learning_rate=3e-3)
WORDS = Vocabulary((*SPECIAL, *"abcdefghij", UNKNOWN))


@pytest.fixture(scope="module")
def features(toy_features: Path) -> Features:
    return Features.open(toy_features)


@pytest.fixture(scope="module")
def fitted(features: Features) -> HierarchicalTransformer:
    options = replace(OPTIONS, epochs=20, batch_size=42)
    return make(features.dims, image_dropout=0.0).fit(features, options=options, val_split=None)


def make(dims: Dims | None = None, **options) -> HierarchicalTransformer:
    torch.manual_seed(0)
    return HierarchicalTransformer.build(dims or Dims(12, 16), {**SMALL, **options})


def batch_of(method: HierarchicalTransformer, recipes: list[Recipe]) -> Batch:
    fields = method.raw.recipes(recipes)
    return Batch(tuple(recipe.id for recipe in recipes), image=torch.randn(len(recipes), 12), **fields)


def with_words(**options) -> HierarchicalTransformer:
    method = make(**options)
    method.recipe_tower.embedding.learn(WORDS)
    return method.eval()


RECIPES = [
    Recipe("1", "a b c", ("a", "b c d e", "f"), ("a b. c d e; f g", "h")),
    Recipe("2", "d", ("e f", "g h i j a b"), ("j i h g f e d c b a " * 8,)),
    Recipe("3", "e zebra"),
    Recipe("4", "", ("b",), ()),
]


def padded(encoder, values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Encode padded sequences with a mask, all at once, as the paper's code does."""
    opened = mask.clone()
    opened[:, 0] = True
    entered = values + encoder.places[: values.shape[1]]
    states = encoder.encoder(entered, src_key_padding_mask=~opened)
    weights = opened / opened.sum(1, keepdim=True)
    return (states * weights[..., None]).sum(1)


@pytest.mark.parametrize("faithful", [True, False])
def test_it_is_the_padded_computation_without_its_padding(faithful: bool) -> None:
    method = with_words(faithful=faithful, dropout=0.0, layers=1).train()
    method.recipe_tower.most = 0
    tower, batch = method.recipe_tower, batch_of(method, RECIPES)
    found, present = tower(batch)
    assert present.tolist() == [[True] * 3, [True] * 3, [True, False, False], [False, True, False]]
    for number, part in enumerate(PARTS):
        ids, mask = getattr(batch, f"{part}_ids"), getattr(batch, f"{part}_mask")
        flat = ids.flatten(0, -2)
        lines = padded(tower.lines[part], tower.embedding.weight[flat.clamp(min=0)], flat >= 0)
        lines = lines.view(*ids.shape[:-1], -1)
        expected = lines if part == "title" else padded(tower.parts[part], lines, mask)
        has = mask if part == "title" else mask.any(1)
        assert torch.allclose(found[has, number], expected[has], atol=1e-5)
        assert not found[~has, number].any()


def test_as_published_lines_and_words_are_cut() -> None:
    method = with_words(faithful=True)
    many = Recipe("1", "a " * 30, tuple("a b" for _ in range(30)), ("a. b. c",))
    batch = batch_of(method, [many])
    assert batch.title_ids.tolist() == [[1, *[3] * 14]]  # the end is lost
    assert batch.ingredients_ids.shape == (1, 20, 4)
    assert batch.ingredients_ids[0, 0].tolist() == [1, 3, 4, 2]
    assert batch.instructions_ids.shape == (1, 1, 7)  # start, a . b . c, end


def test_by_default_nothing_is_cut_away() -> None:
    method = with_words()
    many = Recipe("1", "a " * 70, tuple("a b" for _ in range(60)), ("a b. c", Section("d"), "e " * 150))
    batch = batch_of(method, [many])
    for part in PARTS:
        given = sum(len(WORDS.ids(line)) for line in many.lines(part))
        assert (getattr(batch, f"{part}_ids") >= 0).sum() == given
    assert batch.instructions_ids.shape[2] <= 50
    assert torch.isfinite(method.embed_recipe(batch)).all()


def test_training_reads_a_few_lines_where_they_stand() -> None:
    method = with_words(lines=2, dropout=0.0, recipe_dropout=0.0).train()
    batch = batch_of(method, [replace(RECIPES[0], instructions=())] * 200)
    parts, present = method.recipe_tower(batch)
    assert present.tolist() == [[True, True, False]] * 200
    found = torch.unique(parts[:, 1].detach().round(decimals=4), dim=0)
    pairs = [(0, 1), (0, 2), (1, 2)]
    kept = torch.zeros(3, 3, dtype=torch.bool)
    for row, pair in enumerate(pairs):
        kept[row, list(pair)] = True
    method.recipe_tower.most = 0
    expected = method.recipe_tower(replace(batch, **first(batch, 3), ingredients_mask=kept))[0][:, 1]
    assert len(found) == 3
    for one in expected:
        assert (found - one).abs().max(1).values.min() < 1e-3


def first(batch: Batch, count: int) -> dict:
    names = ("title_ids", "title_mask", "ingredients_ids", "instructions_ids", "instructions_mask")
    return {"ids": batch.ids[:count], **{name: getattr(batch, name)[:count] for name in names}}


def test_words_of_the_training_recipes_alone_have_ids(features: Features, fitted) -> None:
    known = set(fitted.recipe_tower.embedding.vocabulary.words)
    rows = features.rows("train", photo=True, text=True)
    train_text = " ".join(
        line for row in rows for part in PARTS for line in features.recipe(int(row)).lines(part)
    )
    expected = Vocabulary.of([train_text], min_count=1)
    assert known == set(expected.words)


def test_it_learns_the_toy_kitchen(features: Features, fitted) -> None:
    rows = features.rows("train", photo=True, text=True)
    image, recipe = fitted.embed(features, rows)
    ranks = ((image @ recipe.T) >= (image * recipe).sum(1, keepdims=True)).sum(1)
    assert np.median(ranks) < len(rows) / 5
    assert np.allclose(np.linalg.norm(recipe, axis=1), 1, atol=1e-5)


def test_an_item_is_the_same_alone_and_in_company(features: Features, fitted) -> None:
    rows = features.rows()[:8]
    together = fitted.embed(features, rows)
    alone = [fitted.embed(features, rows[k : k + 1]) for k in range(4)]
    for side in (0, 1):
        assert np.allclose(together[side][:4], np.concatenate([one[side] for one in alone]), atol=1e-5)
    assert [side.shape for side in fitted.embed(features, [])] == [(0, 12)] * 2


@torch.no_grad()
def test_neither_side_reads_the_other_nor_what_is_masked() -> None:
    method = with_words()
    batch = batch_of(method, RECIPES)
    no_text = replace(batch, **{f"{part}_{kind}": None for part in PARTS for kind in ("ids", "mask")})
    assert torch.equal(method.embed_image(no_text), method.embed_image(batch))
    with pytest.raises(MethodError, match="this batch holds no image"):
        method.embed_image(replace(batch, image=None))
    with pytest.raises(MethodError, match="this batch holds no word ids"):
        method.embed_recipe(no_text)
    hidden = {f"{part}_mask": torch.zeros_like(getattr(batch, f"{part}_mask")) for part in PARTS[1:]}
    only = replace(batch, **hidden)
    other = {f"{part}_ids": torch.full_like(getattr(batch, f"{part}_ids"), 9) for part in PARTS[1:]}
    gone = {name: None for part in PARTS[1:] for name in (f"{part}_ids", f"{part}_mask")}
    assert torch.equal(method.embed_recipe(only), method.embed_recipe(replace(only, **other)))
    assert torch.equal(method.embed_recipe(only), method.embed_recipe(replace(batch, **gone)))


@torch.no_grad()
def slow_triplet(one: torch.Tensor, other: torch.Tensor, margin: float) -> float:
    total, n = 0.0, len(one)
    distance = [[1 - float(torch.cosine_similarity(a, b, dim=0)) for b in other] for a in one]
    for i in range(n):
        for j in range(n):
            if i != j:
                total += max(0.0, distance[i][i] - distance[i][j] + margin)
                total += max(0.0, distance[i][i] - distance[j][i] + margin)
    return total / n**2


def test_the_losses_as_published_beside_a_slow_twin() -> None:
    method = with_words(faithful=True)
    parts, present = torch.randn(5, 3, 16), torch.ones(5, 3, dtype=torch.bool)
    present[0, 1] = present[1, 2] = present[2, 1:] = False
    expected = []
    for a in range(3):
        for b in range(3):
            rows = [k for k in range(5) if present[k, a] and present[k, b]]
            if a != b and len(rows) > 1:
                linear = method.projections[f"{PARTS[b]}_to_{PARTS[a]}"]
                expected.append(slow_triplet(parts[rows, a], linear(parts[rows, b]).detach(), 0.3))
    assert len(expected) == 6
    assert method.recipe_loss(parts, present).item() == pytest.approx(np.mean(expected), rel=1e-4)
    assert method.recipe_loss(parts, present & torch.tensor([True, False, False])) is None
    image, recipe = nn.functional.normalize(torch.randn(2, 5, 12), dim=-1)
    batch = batch_of(method, RECIPES)
    expected_pairs = slow_triplet(image, recipe, 0.3)
    assert method.pair_loss(image, recipe, batch).item() == pytest.approx(expected_pairs, rel=1e-4)
    batch = replace(batch, image=torch.randn(4, 12))
    (_, loss), *more = method.losses(batch)
    own = method.recipe_loss(*method.recipe_tower(batch))
    pair = method.pair_loss(method.embed_image(batch), method.embed_recipe(batch), batch)
    assert not more
    assert loss.item() == pytest.approx((pair + own).item(), rel=1e-5)


@pytest.mark.parametrize("words", ["learned", "encoder", "both"])
def test_recipes_outside_the_pairs_get_steps_of_their_own(features: Features, words: str) -> None:
    method = make(features.dims, words=words, recipe_only=1.5)
    rows = features.rows("train", photo=True, text=True)
    method.prepare(features, rows)
    method.look_at(features, rows[:8])
    read = method._draw(4)
    assert len(read) == 6
    assert read.image is None
    assert not set(read.ids) & set(features.ids[rows[:8]].tolist())
    assert set(read.ids) <= set(features.ids[features.rows("train")].tolist())
    batch = features.batch(rows[:4], method.uses, raw=method.raw)
    steps = list(method.train().losses(batch))
    assert [player for player, _ in steps] == ["towers", "towers"]
    steps[1][1].backward()
    assert method.projections["title_to_ingredients"].weight.grad.any()
    assert method.image_tower[1].weight.grad is None
    for others in ({"recipe_only": 0.0}, {"recipe_weight": 0.0}):
        plain = make(features.dims, words=words, **others)
        plain.prepare(features, rows)
        plain.look_at(features, rows[:8])
        assert len(list(plain.losses(batch_like(plain, features, rows)))) == 1
    method.look_at(features, rows)
    every = features.rows("train")
    left = [
        row
        for row in every
        if row not in rows and sum(bool(features.recipe(int(row)).lines(p)) for p in PARTS) > 1
    ]
    assert (method._others is not None) == (len(left) > 1)


def batch_like(method: HierarchicalTransformer, features: Features, rows: np.ndarray) -> Batch:
    return features.batch(rows[:4], method.uses, raw=method.raw)


def test_lines_of_vectors_and_words_are_the_sum_of_both(features: Features) -> None:
    both = make(features.dims, words="both").eval()
    rows = features.rows("train", photo=True, text=True)
    both.prepare(features, rows)
    batch, tower = batch_like(both, features, rows), both.recipe_tower
    mask = batch.instructions_mask
    from_words = tower.lines["instructions"](tower.embedding.weight, batch.instructions_ids[mask])
    from_vectors = tower.vectors["instructions"](batch.instructions[mask] * both.dims.text**0.5)
    lines = tower._encode_lines(batch, "instructions", mask)
    assert torch.allclose(lines, from_words + from_vectors, atol=1e-5)
    assert from_words.any()
    assert from_vectors.any()


def test_a_training_step_reads_some_words_of_a_line_at_their_places() -> None:
    tower = make(line_words=3).recipe_tower
    ids = torch.tensor([[5, 6, 7, 8, 9], [4, -1, -1, -1, -1]])
    seen = set()
    for _ in range(40):
        words, places = tower._some_words(ids)
        assert words.shape == places.shape == (2, 3)
        assert torch.equal(words[0], ids[0][places[0]])
        assert (places[0].diff() > 0).all()
        assert words[1].tolist() == [4, -1, -1]
        seen |= set(words[0].tolist())
    assert seen == {5, 6, 7, 8, 9}


def test_recipes_with_a_title_alone_have_no_recipe_loss() -> None:
    method = with_words()
    batch = replace(batch_of(method, [RECIPES[2]] * 3), image=torch.randn(3, 12))
    (_, loss), *more = method.losses(batch)
    assert not more
    assert torch.equal(loss, method.pair_loss(method.embed_image(batch), method.embed_recipe(batch), batch))


def test_a_saved_run_holds_its_words(features: Features, fitted, tmp_path: Path) -> None:
    save_run(tmp_path, fitted, describe("hierarchical_transformer", fitted, features))
    run = open_run(tmp_path)
    assert (
        run.method.recipe_tower.embedding.vocabulary.words == fitted.recipe_tower.embedding.vocabulary.words
    )
    for one, two in zip(
        fitted.embed(features, [0, 1, 2]), run.method.embed(features, [0, 1, 2]), strict=True
    ):
        assert np.array_equal(one, two)
    damaged = {**fitted.state_dict(), "recipe_tower.embedding.letters": torch.zeros(3, dtype=torch.uint8)}
    with pytest.raises(MethodError, match="the vocabulary in the weights is damaged"):
        make(features.dims).load_state_dict(damaged)


def test_a_saved_run_embeds_photos_and_texts_as_it_did(
    features: Features, fitted, tmp_path: Path, fake_image: type, monkeypatch
) -> None:
    monkeypatch.setattr(Embedder, "image_encoder", fake_image())
    save_run(tmp_path, fitted, describe("hierarchical_transformer", fitted, features))
    embedder = Embedder(open_run(tmp_path))
    rows = features.rows("train", photo=True, text=True)[:4]
    image, recipe = fitted.embed(features, rows)
    recipes = [features.recipe(int(row)) for row in rows]
    photos = [open_photo(features.photos(int(row))[0]) for row in rows]
    assert np.allclose(embedder.recipes(recipes), recipe, atol=1e-5)
    assert np.allclose(embedder.stored_recipes(features, rows).vectors, recipe, atol=1e-5)
    assert np.allclose(embedder.photos(photos), image, atol=1e-2)  # stored features are fp16
    assert np.allclose(embedder.stored_photos(features, rows).vectors[0], image[0], atol=1e-5)


def test_resumed_equals_uninterrupted_to_the_bit(features: Features, tmp_path: Path) -> None:
    def stop(entry: dict) -> None:
        raise KeyboardInterrupt

    whole, first_half, resumed = (make(features.dims) for _ in range(3))
    train(whole, features, options=OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        train(first_half, features, options=OPTIONS, folder=tmp_path, on_epoch=stop)
    train(resumed, features, options=OPTIONS, folder=tmp_path)
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": "none"}, "words='none': choose one of both, encoder, learned"),
        ({"words": "encoder", "faithful": True}, "as published, words are learned"),
        ({"width": 18}, "width=18: must be a multiple of heads=4"),
        ({"mining": "hard"}, "mining='hard'"),
        ({"recipe_weight": -1.0}, "recipe_weight=-1.0: must be at least 0"),
        ({"lines": -1}, "lines=-1: must be at least 0"),
        ({"dropout": 1.0}, "dropout=1.0: is a share"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make(**options)


def test_faithful_has_the_published_sizes() -> None:
    method = HierarchicalTransformer.build(Dims(8, 4), {"faithful": True})
    layer = method.recipe_tower.lines["title"].encoder.layers
    assert (len(layer), layer[0].linear1.weight.shape, layer[0].norm_first) == (2, (2048, 512), False)
    assert method.min_count == 10
    assert [type(one).__name__ for one in method.recipe_head] == ["Linear", "Tanh"]
