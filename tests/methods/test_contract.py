"""What every method keeps to, whoever wrote it: `available()` is the list of cases."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from savor.batch import USES, Batch
from savor.errors import MethodError, OptionError, UsageError
from savor.features import Dims, Features
from savor.methods import available, find
from savor.methods.base import Method
from savor.recipe import PARTS
from savor.reranking import PairScorer
from savor.runs import describe, open_run, save_run
from savor.training import TrainingOptions, validation_scores

# Small enough to be fitted in a moment; what is not named here keeps its default.
SMALL = {"dim": 16, "hidden": 64, "width": 32, "decoder_width": 32}
# The features here have vectors and no text or photos to go with them.
READS_VECTORS = {
    "hierarchical_transformer": {"words": "encoder"},
    **{name: {"word_width": 0} for name in ("two_stream", "patch_decoder")},
    **{name: {"picture_size": 0} for name in ("acme", "r2gan")},
    **{name: {"picture_size": 0, "words": "encoder"} for name in ("cross_decoder", "tnlbt")},
}
IMAGE_FIELDS = ("image", "image_mask", "patches", "grid", "pixels")
BOTH = ("ids", "category")
WORDS = ("words", "words_mask", "words_spans")


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


def reads_vectors(name: str) -> type[Method]:
    """Return a method's class, unless it reads photos: the features here have vectors that nobody encoded."""
    method = find(name)
    if "pixels" in method.uses:
        pytest.skip("reads photos, see its own tests")
    return method


def make(name: str, dims: Dims) -> Method:
    """Make a small method with equal first weights each time."""
    torch.manual_seed(0)
    method = reads_vectors(name)
    small = {key: value for key, value in SMALL.items() if key in method.defaults()}
    return method.build(dims, {**small, **READS_VECTORS.get(name, {})})


def fit(method: Method, features: Features) -> Method:
    if method.trains_with is None:
        return method.fit(features)
    options = replace(method.trains_with, epochs=15, batch_size=100, learning_rate=3e-3)
    return method.fit(features, options=options, seed=0)


@pytest.fixture(scope="module", params=available())
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def fitted(name: str, features: Features) -> Method:
    return fit(make(name, features.dims), features)


def test_there_are_methods() -> None:
    assert {"cca", "triplet_mlp"} <= set(available())
    assert "base" not in available()


def test_an_unknown_method_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no method 'ccca'; choose one of .*cca, .*triplet_mlp"):
        find("ccca")
    with pytest.raises(UsageError, match="no method 'base'"):
        find("base")


def test_it_says_what_it_is(name: str) -> None:
    method = find(name)
    first = (method.__doc__ or "").strip().splitlines()[0]
    assert len(first.split()) > 2
    assert first.endswith(".")
    assert method.paper
    assert method.loss
    assert 1900 < (method.year() or 0) < 2100, f"no year in {method.paper!r}"
    assert set(method.uses) <= set(USES)


def test_options_are_recorded_and_readable(name: str) -> None:
    method = reads_vectors(name).build(Dims(8, 4), {"dim": 3})
    assert method.options == {**find(name).defaults(), "dim": 3}
    assert json.loads(json.dumps(method.options)) == method.options
    assert method.dims == Dims(8, 4)


def test_an_unknown_option_lists_those_there_are(name: str) -> None:
    with pytest.raises(OptionError, match=r"no option 'dmi'; this method has .*dim \("):
        find(name).build(Dims(8, 4), {"dmi": 3})


def test_no_option_is_also_one_of_the_training(name: str) -> None:
    assert not set(find(name).defaults()) & {field.name for field in fields(TrainingOptions)}


def test_every_default_is_an_option_that_can_be_typed(name: str) -> None:
    assert all(type(value) in (bool, int, float, str) for value in find(name).defaults().values())


def test_it_beats_chance_on_pairs_it_has_not_seen(fitted: Method, features: Features) -> None:
    rows = features.rows("test", photo=True, text=True)
    assert len(rows) == 60
    for stage, found in validation_scores(fitted, features, rows).items():
        for direction, scores in found.items():
            assert scores["medR"] <= 12, (stage, direction)  # 30 by chance
            assert scores["R@10"] >= 0.45, (stage, direction)  # 0.17 by chance


def test_fit_changes_every_parameter(name: str, fitted: Method, features: Features) -> None:
    before = dict(make(name, features.dims).named_parameters())
    after = dict(fitted.named_parameters())
    unchanged = [key for key in before if torch.equal(before[key], after[key])]
    assert not unchanged


def test_every_parameter_belongs_to_one_player_or_is_solved(name: str, features: Features) -> None:
    method = make(name, features.dims)
    every = [one for player in method.players().values() for one in player]
    lists = [one["params"] if isinstance(one, dict) else [one] for one in every]
    owned = [id(parameter) for parameters in lists for parameter in parameters]
    assert len(owned) == len(set(owned))
    assert set(owned) == {id(parameter) for parameter in method.parameters()}


def test_rows_are_unit_float32(fitted: Method, features: Features) -> None:
    for rows in fitted.embed(features, features.rows("test")):
        assert rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_an_item_is_the_same_alone_and_in_company(fitted: Method, features: Features) -> None:
    rows = features.rows("test")
    together = fitted.embed(features, rows)
    alone = [fitted.embed(features, rows[k : k + 1]) for k in range(6)]
    backwards = fitted.embed(features, rows[::-1], size=7)
    for side in (0, 1):
        assert np.allclose(together[side][:6], np.concatenate([one[side] for one in alone]), atol=1e-5)
        assert np.allclose(together[side], backwards[side][::-1], atol=1e-5)


def test_embedding_leaves_the_mode_as_it_was(fitted: Method, features: Features) -> None:
    assert not fitted.training
    fitted.train()
    try:
        first = fitted.embed(features, features.rows("test"))
        assert fitted.training
        assert np.array_equal(first[1], fitted.embed(features, features.rows("test"))[1])
    finally:
        fitted.eval()


@torch.no_grad()
def test_neither_side_reads_the_other(fitted: Method, features: Features) -> None:
    batch = features.batch(features.rows("test"), fitted.uses)
    named = [field.name for field in fields(batch) if field.name not in BOTH]
    no_text = replace(batch, **{key: None for key in named if key not in IMAGE_FIELDS})
    no_photo = replace(batch, **{key: None for key in named if key in IMAGE_FIELDS})
    assert torch.equal(fitted.embed_image(no_text), fitted.embed_image(batch))
    assert torch.equal(fitted.embed_recipe(no_photo), fitted.embed_recipe(batch))
    for embed, empty in ((fitted.embed_image, no_photo), (fitted.embed_recipe, no_text)):
        with pytest.raises(MethodError, match="this batch holds no"):
            embed(empty)


def only(part: str, batch: Batch) -> Batch:
    """Mask all lines and words but those of one part."""
    others = [other for other in PARTS if other != part]
    hidden = {f"{other}_mask": torch.zeros_like(getattr(batch, f"{other}_mask")) for other in others}
    if batch.words is not None:
        hidden["words_mask"] = batch.words_mask & (batch.words_spans[..., 0] == PARTS.index(part))
    return replace(batch, **hidden)


def removed(batch: Batch) -> Batch:
    """Take what is masked out of a batch: parts that no recipe has, and each recipe's masked words."""
    if batch.words is None:
        absent = [part for part in PARTS if not getattr(batch, f"{part}_mask").any()]
        return replace(batch, **{key: None for part in absent for key in (part, f"{part}_mask")})
    longest = max(1, int(batch.words_mask.sum(1).max()))
    front = (~batch.words_mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :longest]
    rows = torch.arange(len(batch))[:, None]
    return replace(batch, **{key: getattr(batch, key)[rows, front] for key in WORDS})


@torch.no_grad()
@pytest.mark.parametrize("part", PARTS)
def test_a_part_alone_is_enough(part: str, fitted: Method, features: Features) -> None:
    masked = only(part, features.batch(features.rows("test")[:3], fitted.uses))
    vectors = fitted.embed_recipe(masked)
    assert torch.isfinite(vectors).all()
    assert torch.allclose(vectors, fitted.embed_recipe(removed(masked)), atol=1e-5)


@torch.no_grad()
def test_what_stands_under_a_mask_is_never_read(fitted: Method, features: Features) -> None:
    batch = features.batch(features.rows("test"), fitted.uses)
    changed = {}
    for key in (*PARTS, *(["words"] if "tokens" in fitted.uses else [])):
        values, mask = getattr(batch, key), getattr(batch, f"{key}_mask")
        assert not mask.all() or key == "title"
        changed[key] = torch.where(mask[..., None], values, 77.0)
    dirty = replace(batch, **changed)
    assert torch.allclose(fitted.embed_recipe(dirty), fitted.embed_recipe(batch), atol=1e-5)
    assert torch.allclose(fitted.score(batch, dirty), fitted.score(batch, batch), atol=1e-5)


@torch.no_grad()
def test_scores_are_cosines_or_those_of_the_pairs(fitted: Method, features: Features) -> None:
    rows = features.rows("test")
    queries, candidates = (features.batch(some, fitted.uses) for some in (rows[:5], rows[3:10]))
    scores = fitted.score(queries, candidates)
    assert scores.shape == (5, 7)
    if fitted.reranks:
        images, recipes = fitted.encode_images(queries), fitted.encode_recipes(candidates)
        image, recipe = torch.arange(5).repeat_interleave(7), torch.arange(7).repeat(5)
        expected = fitted.pair_scores(images.rows(image), recipes.rows(recipe)).reshape(5, 7)
    else:
        expected = fitted.place_images(queries) @ fitted.place_recipes(candidates).T
    assert torch.allclose(scores, expected, atol=1e-5)


@torch.no_grad()
def test_encoded_items_have_the_vectors_of_the_first_stage(fitted: Method, features: Features) -> None:
    batch = features.batch(features.rows("test"), fitted.uses)
    for encoded, vectors in (
        (fitted.encode_images(batch), fitted.place_images(batch)),
        (fitted.encode_recipes(batch), fitted.place_recipes(batch)),
    ):
        assert torch.allclose(encoded.vectors, vectors, atol=1e-6)


def test_a_pair_is_the_same_alone_and_in_company(fitted: Method, features: Features) -> None:
    rows = features.rows("test")
    image, recipe = np.divmod(np.arange(25), 5)
    together = PairScorer(fitted, features, rows)(image, recipe)
    alone = PairScorer(fitted, features, rows[:5])
    scores = [alone(image[k : k + 1], recipe[k : k + 1])[0] for k in range(25)]
    scale = max(1.0, float(np.abs(together).max()))
    assert np.allclose(together, scores, atol=2e-3 * scale)  # the states are kept in half precision


def test_no_rows_give_no_embeddings(fitted: Method, features: Features) -> None:
    image, recipe = fitted.embed(features, [])
    assert image.shape == recipe.shape == (0, fitted.embed(features, [0])[0].shape[1])


def test_a_saved_run_embeds_identically(
    name: str, fitted: Method, features: Features, tmp_path: Path
) -> None:
    save_run(tmp_path, fitted, describe(name, fitted, features))
    run = open_run(tmp_path)
    run.check(features)
    assert run.config["method"] == name
    assert not run.method.training
    for one, two in zip(
        fitted.embed(features, features.rows()), run.method.embed(features, features.rows()), strict=True
    ):
        assert np.array_equal(one, two)


def test_the_same_seed_gives_the_same_numbers(name: str, fitted: Method, features: Features) -> None:
    again = fit(make(name, features.dims), features).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in fitted.state_dict().items())
