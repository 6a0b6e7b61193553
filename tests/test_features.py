"""Feature folders: what is read back, in which order, and what is said of a damaged one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from savor.datasets import open_dataset
from savor.errors import FeaturesError, UsageError
from savor.features import Dims, Features

VECTORS = {part: [np.ones((1, 4))] * 6 for part in ("title", "ingredients", "instructions")}


@pytest.fixture
def folder(toy_features: Path, tmp_path: Path) -> Path:
    """A feature folder of its own, to be damaged."""
    return shutil.copytree(toy_features, tmp_path / "features")


def rewrite(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_texts_ids_and_splits_are_those_of_the_data_set(toy_folder: Path, toy_features: Path) -> None:
    features = Features.open(toy_features)
    dataset = open_dataset(toy_folder)
    pairs = list(dataset.pairs())
    assert len(features) == len(pairs) == 60
    assert features.fingerprint == dataset.fingerprint()
    for row, pair in enumerate(pairs):
        assert features.recipe(row) == pair.recipe
        assert features.splits[row] == pair.split
        assert features.photo_ids(row) == [photo.id for photo in pair.photos]
    assert features.dims == Dims(image=12, text=16, categories=len(features.classes))


def test_lines_and_patches_are_those_of_the_recipe(toy_features: Path, fake_text: type) -> None:
    features = Features.open(toy_features)
    rows = np.array([59, 0, 17])
    batch = features.batch(rows, ("image", "patches", "lines"))
    assert batch.ids == tuple(features.ids[rows])
    assert batch.patches.shape == (3, 9, 12)
    assert batch.grid == (3, 3)
    for index, row in enumerate(rows):
        lines = features.recipe(row).lines("ingredients")
        assert int(batch.ingredients_mask[index].sum()) == len(lines)
        expected = fake_text().encode(lines).pooled.half().float()
        assert np.array_equal(batch.ingredients[index, : len(lines)], expected)


def test_spans_point_at_the_characters_of_their_line(toy_features: Path, fake_text: type) -> None:
    features = Features.open(toy_features)
    batch = features.batch(np.array([3, 40]), ("tokens",))
    for index, row in enumerate((3, 40)):
        recipe = features.recipe(row)
        words = []
        for part, line, start, end in batch.words_spans[index][batch.words_mask[index]].tolist():
            words.append(recipe.lines(("title", "ingredients", "instructions")[part])[line][start:end])
        lines = [line for part in ("title", "ingredients", "instructions") for line in recipe.lines(part)]
        assert words == " ".join(lines).split()
        state = fake_text().encode([words[5]], tokens=True).tokens[0][0]
        assert np.array_equal(batch.words[index, 5], state.half().float())


def test_several_photos_are_drawn_with_a_generator_only(write_features, tmp_path: Path) -> None:
    photos = [np.arange(3 * 2).reshape(3, 2) for _ in range(6)]
    features = Features.open(write_features(tmp_path / "f", photos, VECTORS))
    assert features.batch(np.arange(6), ("image",)).image.tolist() == [[0, 1]] * 6
    seen = {
        float(value)
        for seed in range(9)
        for value in features.batch(np.arange(6), ("image",), rng=np.random.default_rng(seed)).image[:, 0]
    }
    assert seen == {0, 2, 4}


def test_rows_are_sorted_by_code_point_and_filtered(pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    features.ids = np.array(["é", "Z", "a", "z10", "z9", "ä"])
    features.splits = np.array(["val", "train", "val", "val", "train", "val"])
    assert features.ids[features.rows()].tolist() == sorted(features.ids.tolist())
    assert features.ids[features.rows("val")].tolist() == ["a", "z10", "ä", "é"]
    assert len(features.rows(["train", "val"])) == 6


def test_rows_with_photo_and_text(pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    assert len(features.rows("train")) == 324
    assert len(features.rows("train", photo=True)) == 312
    assert len(features.rows("train", photo=True, text=True)) == 300


def test_an_unknown_split_is_named_with_those_there_are(pairs_features: Path) -> None:
    with pytest.raises(UsageError, match="no split 'vla'; it has test, train, val"):
        Features.open(pairs_features).rows(["train", "vla"])


def test_classes_come_from_training_titles_alone(write_features, tmp_path: Path) -> None:
    titles = ["Lentil soup"] * 6 + ["Apple tart"] * 9
    vectors = [np.ones((1, 4))] * 15
    parts = dict.fromkeys(VECTORS, vectors)
    splits = ["train"] * 6 + ["val"] * 5 + ["test"] * 4
    features = Features.open(write_features(tmp_path / "f", vectors, parts, splits=splits, titles=titles))
    assert features.classes == ("background", "lentil soup")
    batch = features.batch(np.arange(15), ("category",))
    assert batch.category.tolist() == [1] * 6 + [0] * 9
    assert features.dims.categories == 2


@pytest.mark.parametrize(("field", "option"), [("patches", "--patches"), ("tokens", "--tokens")])
def test_a_field_that_was_not_extracted_says_how_to(
    write_features, tmp_path: Path, field: str, option: str
) -> None:
    features = Features.open(write_features(tmp_path / "f", [np.zeros((1, 2))] * 6, VECTORS))
    with pytest.raises(FeaturesError, match=f"extract again .*{option}"):
        features.batch(np.array([0]), (field,))


def test_a_folder_without_a_single_photo_can_be_read(write_features, tmp_path: Path) -> None:
    features = Features.open(write_features(tmp_path / "f", [np.zeros((0, 2))] * 6, VECTORS))
    assert not features.has_photo.any()
    assert features.batch(np.arange(6), ("image",)).image_mask.tolist() == [False] * 6


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=r"no manifest\.json here; make features with `savor features"):
        Features.open(tmp_path / "nowhere")


def test_an_unfinished_one_says_how_to_finish(folder: Path) -> None:
    rewrite(folder, finished=False)
    with pytest.raises(FeaturesError, match="interrupted; run the same"):
        Features.open(folder)


def test_a_later_format_is_refused_by_number(folder: Path) -> None:
    rewrite(folder, format=2)
    with pytest.raises(FeaturesError, match="format 2, this version of Savor reads format 1"):
        Features.open(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "damaged"),
        ("\udcff", "damaged"),
        ("[]", "not the manifest of a feature folder"),
        ('{"manifest_version": 3}', "not the manifest of a feature folder"),
        ('{"format": 1}', "damaged \\(no 'finished'\\)"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(FeaturesError, match=message):
        Features.open(tmp_path)


@pytest.mark.parametrize("name", ["image.npy", "title.offsets.npy", "recipes.jsonl"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / "shard-00001" / name).unlink()
    with pytest.raises(FeaturesError, match=f"shard-00001/{name}: missing"):
        Features.open(folder)


def test_a_file_of_another_size_is_named(folder: Path) -> None:
    file = folder / "shard-00002" / "words.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(FeaturesError, match=r"words.npy: missing, or of another size"):
        Features.open(folder)


@pytest.mark.parametrize("name", ["image.npy", "ingredients.npy", "recipes.jsonl"])
def test_a_flipped_byte_is_found_by_its_checksum(folder: Path, name: str) -> None:
    Features.open(folder).verify()
    features = Features.open(folder)
    file = folder / "shard-00000" / name
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data)
    with pytest.raises(FeaturesError, match=f"{name}: its checksum differs"):
        features.verify()


@pytest.mark.parametrize("name", ["recipes.jsonl", "image.npy", "image.offsets.npy"])
def test_garbage_of_the_right_size_is_an_error_with_a_name(folder: Path, name: str) -> None:
    file = folder / "shard-00000" / name
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(FeaturesError, match=f"{name}: damaged"):
        Features.open(folder).batch(np.array([0]), ("image",))


def test_rows_of_complete_recipes(pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    rows = features.rows("train", complete=True)
    assert rows.tolist() == [row for row in range(324) if row % 3 and not 312 <= row < 324]
