"""The measures run on methods: planted ones whose answer is known, and a small trained one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from savor import measuring
from savor.datasets import open_dataset
from savor.datasets.toy_kitchen import generate
from savor.errors import DataError, UsageError
from savor.explain import Correspondence, Word, words_of
from savor.explain.result import grid_boxes
from savor.features import Features
from savor.grounding import Grounding
from savor.index import embedding
from savor.measuring import HeldOut, Sample
from savor.methods.cca import CCA
from savor.methods.two_stream import TwoStream
from savor.recipe import Recipe, Section
from savor.reranking import Side
from savor.runs import Run, describe, open_run, save_run, write_config

STEW = Recipe("1", "Beef stew", ("500 g beef", "2 carrots, sliced"), ("Brown the beef.", "Add the carrots."))
BOXES = grid_boxes((2, 2), (0.0, 0.0, 1.0, 1.0))


def found(words: tuple[Word, ...], weights: Any) -> Correspondence:
    table = np.asarray(weights, np.float32)
    return Correspondence("masking", words, (2, 2), BOXES, table, table.sum(1), table.sum(0), 1.0)


def at(text: str, part: str, line: int, start: int, kind: str = "word") -> Word:
    return Word(text, part, line, start, start + len(text), kind)


# --- removing things


def test_painted_cells_get_the_mean_colour_and_nothing_else_changes() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8)
    result = np.asarray(measuring.painted(Image.fromarray(pixels), BOXES[[1]]))
    assert (result[:3, 4:] == np.round(pixels.mean((0, 1)))).all()
    assert (result[3:] == pixels[3:]).all()
    assert (result[:3, :4] == pixels[:3, :4]).all()
    assert (np.asarray(measuring.painted(Image.fromarray(pixels), BOXES[[]])) == pixels).all()


def test_words_are_taken_out_by_their_place() -> None:
    words = [
        at("beef", "ingredients", 0, 6),
        at("Brown", "instructions", 0, 0),
        at("beef", "instructions", 0, 10),
    ]
    shorter = measuring.without(STEW, words)
    assert shorter.title == "Beef stew"
    assert [line.split() for line in shorter.ingredients] == [["500", "g"], ["2", "carrots,", "sliced"]]
    assert [line.split() for line in shorter.instructions] == [["the", "."], ["Add", "the", "carrots."]]


def test_lines_are_counted_as_they_are_encoded() -> None:
    recipe = Recipe("1", "", (Section("Sauce"), " ", "1 onion"))
    assert measuring.without(recipe, []).ingredients == ("1 onion",)
    assert measuring.without(recipe, [at("1 onion", "ingredients", 0, 0)]).title == "…"


# --- where the truth is known


def test_regions_are_those_of_the_dishes(toy_folder: Path) -> None:
    read = measuring.read_regions(toy_folder)
    dish = next(generate(1))
    masks = read[f"photos/{dish.photo_ids[0]}.jpg"]
    truth = {region.line: region.mask for region in dish.regions[0] if region.line is not None}
    assert masks.keys() == truth.keys()
    assert all((masks[line] == truth[line]).all() for line in truth)


def test_no_regions_no_truth_and_damage_is_named(tmp_path: Path) -> None:
    assert measuring.read_regions(tmp_path) is None
    (tmp_path / "regions.jsonl").write_text('{"photo": "a.jpg"}\n')
    with pytest.raises(DataError, match=r"regions\.jsonl line 1"):
        measuring.read_regions(tmp_path)


def test_an_ingredient_has_the_maps_of_its_own_words() -> None:
    words = (
        at("beef", "ingredients", 0, 6, "ingredient"),
        at("lean", "ingredients", 0, 11),
        at("sliced", "ingredients", 1, 11),
        at("beef", "instructions", 0, 10, "ingredient"),
    )
    result = found(words, np.diag([1, 2, 3, 4]))
    assert measuring.ingredient_map(result, 0).tolist() == [1, 0, 0, 0]
    assert measuring.ingredient_map(result, 1).tolist() == [0, 0, 3, 0]  # no name in the line: all its words
    assert measuring.ingredient_map(result, 2) is None


def planted_sample() -> tuple[Sample, tuple[Word, ...]]:
    """Return a photo with beef in its first quarter and carrots in its last."""
    pixels = np.full((10, 10, 3), 220, np.uint8)
    beef, carrots = np.zeros((2, 10, 10), bool)
    beef[:5, :5] = carrots[5:, 5:] = True
    pixels[beef], pixels[carrots] = (120, 60, 30), (240, 140, 20)
    words = (at("beef", "ingredients", 0, 6, "ingredient"), at("carrots", "ingredients", 1, 2, "ingredient"))
    return Sample(STEW, Image.fromarray(pixels), {0: beef, 1: carrots}), words


def test_a_true_map_is_the_best_and_a_constant_one_is_chance() -> None:
    sample, words = planted_sample()
    true, flat = found(words, [[1, 0, 0, 0], [0, 0, 0, 1]]), found(words, np.ones((2, 4)))
    results = measuring.localisation(sample, true, flat, np.random.default_rng(0))
    precision = results["average precision"]
    assert precision["map"] == precision["best on this grid"] == results["pointing"]["map"] == 1
    assert precision["untrained"] == precision["chance"] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert results["pointing"]["chance"] == results["overlap"]["chance"] == 0.25
    assert results["pointing"]["other word"] == 0
    assert results["pointing"]["saliency"] == 0.5  # both cells are salient: one of two is right


def test_a_map_that_is_the_same_for_all_words_gains_nothing_over_other_words() -> None:
    sample, words = planted_sample()
    same = found(words, [[3, 1, 0, 2]] * 2)
    for scores in measuring.localisation(sample, same, same, np.random.default_rng(0)).values():
        assert scores["map"] == pytest.approx(scores["other word"])
        assert scores["map"] == pytest.approx(scores["saliency"])


def test_shuffled_weights_ruin_the_map() -> None:
    sample, words = planted_sample()
    true, rng = found(words, [[1, 0, 0, 0], [0, 0, 0, 1]]), np.random.default_rng(0)
    shuffled = [measuring.localisation(sample, true, true, rng)["pointing"]["shuffled"] for _ in range(150)]
    assert np.mean(shuffled) == pytest.approx(0.25, abs=0.06)


def test_without_truth_nothing_is_located() -> None:
    sample, words = planted_sample()
    real = Sample(sample.recipe, sample.image)
    assert measuring.localisation(real, found(words, np.eye(2, 4)), found(words, np.eye(2, 4)), None) == {}


# --- deletion and insertion


def planted_embedder(photo: Callable[[Any], float], text: Callable[[str], float]) -> Any:
    """Make an embedder whose score is what a function says of the photo times what one says of the text."""

    def side(values: list[float]) -> Side:
        return Side(np.array(values, np.float32)[:, None])

    return SimpleNamespace(
        run=SimpleNamespace(method=SimpleNamespace(reranks=0)),
        encode_photos=lambda images: side([photo(np.asarray(image)) for image in images]),
        encode_recipes=lambda recipes: side(
            [text(" ".join([one.title, *one.ingredients, *one.instructions])) for one in recipes]
        ),
    )


def test_removing_the_cell_that_counts_hurts_most() -> None:
    sample, words = planted_sample()
    embedder = planted_embedder(lambda pixels: float(pixels[2, 2, 2] == 30), lambda text: 1.0)
    right, wrong = found(words, [[1, 0, 0, 0]] * 2), found(words, [[0, 1, 1, 1]] * 2)
    curves = measuring.cell_curves(embedder, sample, right, wrong, np.random.default_rng(0))
    deleted, inserted = curves["cells deleted"], curves["cells inserted"]
    # The score is 1 with nothing removed and 0 from the first cell on.
    assert deleted["map"] == pytest.approx(0.04 / 2 / 0.64)
    assert deleted["map"] < deleted["random"] < deleted["untrained"] == 1
    assert inserted["map"] == pytest.approx(1 - 0.04 / 2 / 0.64)
    assert inserted["map"] > inserted["random"] > inserted["untrained"] == 0


def test_removing_the_words_that_count_hurts_most() -> None:
    sample, _ = planted_sample()
    words = words_of(STEW)
    embedder = planted_embedder(lambda pixels: 1.0, lambda text: text.lower().count("beef") / 3)
    beef = np.array([[float(word.text.lower() == "beef")] * 4 for word in words])
    curves = measuring.word_curves(
        embedder, sample, found(words, beef), found(words, -beef), np.random.default_rng(0)
    )
    deleted = curves["words deleted"]
    assert deleted["map"] < deleted["random"] < deleted["untrained"]
    # "Beef stew" comes first: reading order removes one of the three early.
    assert deleted["map"] < deleted["reading order"] < deleted["untrained"]


def test_a_pair_scorer_is_asked_for_its_own_score() -> None:
    method = SimpleNamespace(
        reranks=5,
        training=False,
        eval=lambda: None,
        train=lambda mode=True: None,
        parameters=lambda: iter([torch.zeros(1)]),
        pair_scores=lambda images, recipes: 10 * images.vectors[:, 0] + recipes.vectors[:, 0],
    )
    embedder = planted_embedder(lambda pixels: float(pixels[0, 0, 0]), lambda text: float(len(text)))
    embedder.run.method = method
    images = [Image.new("RGB", (2, 2), (value, 0, 0)) for value in (3, 7)]
    assert measuring.score_pairs(embedder, images, [Recipe("1", "abc")]).tolist() == [33, 73]
    assert measuring.score_pairs(embedder, images[:1], [Recipe("1", "a"), Recipe("2", "ab")]).tolist() == [
        31,
        32,
    ]


# --- encoders with a memory


def test_nothing_is_encoded_twice_until_forgotten(fake_image: type, fake_text: type) -> None:
    image, text = fake_image(), fake_text()
    photos, lines = measuring._RememberedPhotos(image), measuring._RememberedLines(text)
    pictures = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "red")]
    first = photos.encode(pictures, patches=(2, 2))
    again = photos.encode(pictures[:2], patches=(2, 2))
    assert image.calls == 1
    assert (first.patches[:2] == again.patches).all()
    assert (first.pooled == image.encode(pictures, patches=(2, 2)).pooled).all()
    words = lines.encode(["one egg", "two eggs", "one egg"], tokens=True)
    assert lines.encode(["one egg"], tokens=True).spans == words.spans[:1]
    assert text.calls == 1
    lines.forget()
    lines.encode(["one egg"], tokens=True)
    assert text.calls == 2
    assert photos.dim == image.dim
    assert len(photos.encode([]).pooled) == 0


# --- a trained method


@pytest.fixture(scope="session")
def small_run(toy_features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CCA on the small encoders' features of the toy kitchen."""
    features, folder = Features.open(toy_features), tmp_path_factory.mktemp("runs") / "small"
    folder.mkdir()
    method = CCA.build(features.dims, {"dim": 8})
    method.fit(features)
    config = describe("cca", method, features, seed=0)
    for described in config["encoders"].values():
        described["options"] = {}
    write_config(folder, config)
    save_run(folder, method, config)
    return folder


@pytest.fixture
def run(small_run: Path, monkeypatch: pytest.MonkeyPatch, fake_image: type, fake_text: type) -> Run:
    for name, base in (("open_image_encoder", fake_image), ("open_text_encoder", fake_text)):
        described = lambda self, base=base: {**base.describe(self), "options": {}}  # noqa: E731
        fake = type("Fake", (base,), {"describe": described})
        monkeypatch.setattr(embedding, name, lambda name, fake=fake: fake())
    return open_run(small_run)


@pytest.fixture
def held_out(toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> HeldOut:
    monkeypatch.setattr(measuring, "_IN_TRAINING", 5)
    monkeypatch.setattr(measuring, "_IN_SPLIT", 3)
    return HeldOut(open_dataset(toy_folder), "train", photos=3)


def test_untrained_weights_are_others_and_always_the_same(run: Run) -> None:
    before = torch.get_rng_state()
    fresh, again = measuring.untrained(run), measuring.untrained(run)
    assert (torch.get_rng_state() == before).all()
    one, two, own = (each.method.image_tower.weight for each in (fresh, again, run))
    assert (one == two).all()
    assert not torch.allclose(one, own)
    assert fresh.method.options == run.method.options


def test_a_run_that_learned_words_is_measured_like_others(
    run: Run, held_out: HeldOut, toy_features: Path
) -> None:
    features = Features.open(toy_features)
    small = {"dim": 8, "hidden": 8, "width": 8, "heads": 2, "hubs": 0, "word_width": 4, "min_count": 1}
    method = TwoStream.build(features.dims, small)
    method.prepare(features, features.rows("train", photo=True, text=True))
    config = {**run.config, "method": "two_stream", "options": method.options}
    reader = replace(run, method=method.eval(), config=config)
    fresh = measuring.untrained(reader).method
    own, other = method.learned.embedding, fresh.learned.embedding
    assert own.vocabulary.words == other.vocabulary.words
    assert len(own.vocabulary) > 4
    assert not torch.allclose(own.weight, other.weight)
    report = measuring.measure({"reader": reader}, held_out, ways=("similarity",), grid=(3, 3))
    assert "presence" in report.rows[0].measures


def test_pairs_are_drawn_alike_and_are_complete(held_out: HeldOut, toy_folder: Path) -> None:
    again = HeldOut(open_dataset(toy_folder), "train", photos=3)
    ids = [sample.recipe.id for sample in held_out.samples]
    assert ids == [sample.recipe.id for sample in again.samples] == sorted(ids)
    assert len(HeldOut(open_dataset(toy_folder), "val", photos=1000).samples) < 20
    assert all(sample.regions for sample in held_out.samples)
    with pytest.raises(UsageError, match="test, train, val"):
        HeldOut(open_dataset(toy_folder), "dev")


def test_a_photo_that_cannot_be_read_is_left_out(toy_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_folder, tmp_path / "copy")
    for photo in (tmp_path / "copy" / "photos").iterdir():
        photo.write_bytes(b"not a photo")
    with pytest.raises(DataError, match="no photo"):
        _ = HeldOut(open_dataset(tmp_path / "copy"), "val").samples


def test_words_are_neither_rare_nor_everywhere(held_out: HeldOut) -> None:
    words, listed = held_out.words, held_out.words.present.sum(0)
    assert words.names
    assert words.present.shape == (len(held_out.pairs), len(words.names))
    assert ((listed >= 3) & (listed <= len(held_out.pairs) - 3)).all()


def test_a_report_has_a_row_a_way_with_all_measures(run: Run, held_out: HeldOut) -> None:
    report = measuring.measure({"small": run}, held_out, grid=(3, 3))
    assert [(row.run, row.way) for row in report.rows] == [("small", "similarity"), ("small", "masking")]
    curves = {"cells deleted", "cells inserted", "words deleted"}
    located = {"pointing", "overlap", "average precision"}
    assert report.rows[0].measures.keys() == curves | located | {"presence"}
    assert report.rows[1].measures.keys() == curves | located
    precision = report.rows[0].measures["average precision"]
    assert precision.value.n == 3
    assert {"chance", "centre", "saliency", "contrast", "other word", "shuffled", "untrained"} < set(
        precision.beside
    )
    assert precision.leads["best on this grid"].high <= 0
    presence = report.rows[0].measures["presence"]
    assert presence.unit == "ingredients"
    assert presence.beside["chance"].mean == 0.5


def test_finished_rows_are_not_measured_again(
    run: Run, held_out: HeldOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, started = tmp_path / "report.json", []
    options = {"ways": ("similarity",), "grid": (3, 3), "out": file}
    note = lambda row, done, total: started.append(row)  # noqa: E731
    first = measuring.measure({"a": run}, held_out, on_progress=note, **options)
    started.clear()
    both = measuring.measure({"a": run, "b": run}, held_out, on_progress=note, **options)
    assert set(started) == {"b, similarity"}
    assert both.rows[0] == first.rows[0]
    assert Grounding.load(file) == both
    with pytest.raises(UsageError, match="another grid"):
        measuring.measure({"a": run}, held_out, ways=("similarity",), grid=(2, 2), out=file)


def test_a_way_that_nobody_offers_is_named(run: Run, held_out: HeldOut) -> None:
    with pytest.raises(UsageError, match="attention"):
        measuring.measure({"small": run}, held_out, ways=("attention",))
