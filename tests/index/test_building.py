"""Building an index from data or features, adding to it, and what must not get lost on the way."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from savor.datasets import open_dataset
from savor.encoders import ImageStates, TextStates
from savor.errors import DataError, EncoderError, FeaturesError, SavorError, UsageError, VectorIndexError
from savor.extraction import extract
from savor.features import Dims, Features
from savor.index import backends, building, embedding, open_index, thumbnails
from savor.index.building import build
from savor.methods.cca import CCA
from savor.runs import open_run, save_run

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class Encoder:
    """Photos become their mean colour, lines the colour they name."""

    dim = 3

    def __init__(self, name="colours", **options):
        self.name, self.weights = name, "1"

    def describe(self):
        return {"name": self.name, "weights": self.weights, "options": {}}

    def encode(self, items, *, patches=None, tokens=False):
        if isinstance(items[0], str):
            vectors = [COLOURS.get(line.split()[0], (1, 1, 1)) for line in items]
            return TextStates(torch.tensor(vectors) / 255)
        means = [np.asarray(image).mean((0, 1)) for image in items]
        return ImageStates(torch.tensor(np.stack(means), dtype=torch.float32) / 255)


@pytest.fixture(autouse=True)
def _encoders(monkeypatch):
    for name in ("open_image_encoder", "open_text_encoder"):
        monkeypatch.setattr(embedding, name, Encoder)


def save_a_run(folder, scale=1.0):
    """Save a CCA run whose two maps leave the colours as they are."""
    folder.mkdir()
    method = CCA.build(Dims(3, 3), {"dim": 3, "text": "average"})
    with torch.no_grad():
        for layer in (method.image_tower, method.recipe_tower):
            layer.weight.copy_(torch.eye(3) * scale)
            layer.bias.zero_()
    config = {"format": 1, "method": "cca", "options": method.options, "dims": {"image": 3, "text": 3}}
    config["data"] = "sha256:0"
    save_run(folder, method, {**config, "encoders": dict.fromkeys(("image", "text"), Encoder().describe())})
    return open_run(folder)


@pytest.fixture
def run(tmp_path):
    return save_a_run(tmp_path / "run")


RECIPES = [
    {"id": "r", "title": "red soup", "ingredients": ["red lentils"], "photos": ["red.png", "more.png"]},
    {"id": "g", "title": "green salad", "photos": ["green.png"], "partition": "train"},
    {"id": "b", "title": "blue cheese"},
    {"id": "untitled", "title": "", "photos": ["blue.png"]},
    {"id": "nothing", "title": ""},
    {"id": "broken", "title": "blue broth", "photos": ["broken.jpg", "blue.png"]},
    {"id": "secret", "title": "red secret", "photos": ["red.png"], "partition": "test"},
]


def write(folder, recipes):
    (folder / "recipes.jsonl").write_text("".join(json.dumps(recipe) + "\n" for recipe in recipes))


@pytest.fixture
def kitchen(tmp_path):
    folder = tmp_path / "kitchen"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (800, 600), colour).save(folder / f"{name}.png")
    Image.new("RGB", (8, 6), "red").save(folder / "more.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a photo")
    write(folder, RECIPES)
    return folder


def listed(index):
    """Return the ids of all recipes, and of all photos with their recipes."""
    query = np.full(3, 3**-0.5, np.float32)
    recipes = {match.recipe_id for match in index.nearest("recipes", query, 99)}
    return recipes, {(match.recipe_id, match.photo_id) for match in index.nearest("photos", query, 99)}


EXPECTED = (
    {"r", "g", "b", "broken"},
    {
        ("r", "red.png"),
        ("r", "more.png"),
        ("g", "green.png"),
        ("untitled", "blue.png"),
        ("broken", "blue.png"),
    },
)


def make_features(kitchen, out):
    extract(open_dataset(kitchen), out, Encoder(), Encoder(), shard_size=3)
    return Features.open(out)


def test_from_data_everything_usable_is_listed_and_the_rest_counted(kitchen, run, tmp_path):
    seen = []
    out = tmp_path / "deep" / "index"
    summary = build(open_dataset(kitchen), run, out, on_progress=lambda *done: seen.append(done))
    index = open_index(out)
    assert listed(index) == EXPECTED
    assert (summary.recipes, summary.photos) == (4, 5)
    assert (summary.added, summary.updated, summary.unchanged, summary.empty) == (5, 0, 0, 1)
    assert [("broken.jpg" in reason) for reason in summary.failed_photos] == [True]
    assert "'test' is left out" in summary.notes[0]
    assert seen == [(6, 6)]
    assert index.manifest["run"] == run.fingerprint
    assert index.manifest["data"] == [open_dataset(kitchen).fingerprint()]
    assert index.recipe("r").lines("ingredients") == ("red lentils",)
    assert index.photos("broken") == ["blue.png"]


def test_from_features_the_index_is_the_same_and_the_thumbnails_come_from_the_data(kitchen, run, tmp_path):
    build(open_dataset(kitchen), run, tmp_path / "a")
    summary = build(make_features(kitchen, tmp_path / "features"), run, tmp_path / "b")
    a, b = open_index(tmp_path / "a"), open_index(tmp_path / "b")
    assert listed(b) == EXPECTED
    for recipe_id in EXPECTED[0]:
        assert b.vector(recipe_id) == pytest.approx(a.vector(recipe_id), abs=1e-3)
    for key in EXPECTED[1]:
        assert Image.open(BytesIO(b.thumbnail(*key))).size in ((320, 240), (8, 6))
    assert len(summary.failed_photos) == 1
    assert (summary.added, summary.empty) == (5, 1)


def test_without_the_data_there_are_no_thumbnails_and_a_note(kitchen, run, tmp_path):
    features = make_features(kitchen, tmp_path / "features")
    shutil.rmtree(kitchen)
    summary = build(features, run, tmp_path / "index")
    assert "no thumbnails" in summary.notes[1]
    assert "does not exist" in summary.notes[1]
    assert open_index(tmp_path / "index").thumbnail("r", "red.png") is None


def test_photos_of_other_dishes_are_not_taken_for_thumbnails(kitchen, run, tmp_path):
    features = make_features(kitchen, tmp_path / "features")
    write(kitchen, [{**RECIPES[0], "title": "another dish"}, *RECIPES[1:]])
    summary = build(features, run, tmp_path / "index")
    assert summary.notes[1].startswith("2 photos have no thumbnail")
    assert open_index(tmp_path / "index").thumbnail("r", "red.png") is None


@pytest.mark.parametrize("kind", ["data", "features"])
def test_splits_are_read_when_they_are_named_and_unknown_ones_refused(kitchen, run, tmp_path, kind):
    source = open_dataset(kitchen) if kind == "data" else make_features(kitchen, tmp_path / "features")
    build(source, run, tmp_path / "index", splits=["test"])
    assert listed(open_index(tmp_path / "index"))[0] == {"secret"}
    with pytest.raises(UsageError, match="no split 'val'; it has all, test, train"):
        build(source, run, tmp_path / "other", splits=["val"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["data", "features"])
def test_an_addition_takes_what_is_new_or_changed_and_leaves_the_rest(
    kitchen, run, tmp_path, kind, monkeypatch
):
    def source():
        return open_dataset(kitchen) if kind == "data" else make_features(kitchen, tmp_path / f"{len(calls)}")

    calls = [0]
    build(source(), run, tmp_path / "index")
    Image.new("RGB", (800, 600), "blue").save(kitchen / "green.png")
    write(
        kitchen,
        [*RECIPES[:2], {**RECIPES[2], "title": "green cheese"}, *RECIPES[3:], {"id": "n", "title": "red"}],
    )
    calls.append(1)
    summary = build(source(), run, tmp_path / "index")
    assert (summary.added, summary.updated, summary.unchanged, summary.empty) == (1, 2, 3, 1)
    index = open_index(tmp_path / "index")
    assert listed(index) == (EXPECTED[0] | {"n"}, EXPECTED[1])
    assert index.recipe("b").title == "green cheese"
    assert index.vector("b").tolist() == [0, 1, 0]
    blue = {match.photo_id for match in index.nearest("photos", np.array([0, 0, 1.0]), 3)}
    assert blue == {"blue.png", "green.png"}
    assert len(index.manifest["data"]) == 2


def test_nothing_changed_costs_no_encoding(kitchen, run, tmp_path, monkeypatch):
    write(kitchen, RECIPES[:2])
    build(open_dataset(kitchen), run, tmp_path / "index")
    before = (tmp_path / "index" / "manifest.json").read_bytes()
    monkeypatch.setattr(Encoder, "encode", None)
    summary = build(open_dataset(kitchen), run, tmp_path / "index")
    assert (summary.added, summary.updated, summary.unchanged) == (0, 0, 2)
    assert (tmp_path / "index" / "manifest.json").read_bytes() == before


def test_photos_alone_give_photos_alone(kitchen, run, tmp_path):
    (kitchen / "recipes.jsonl").unlink()
    summary = build(open_dataset(kitchen), run, tmp_path / "index")
    assert (summary.recipes, summary.photos) == (0, 4)
    assert (
        open_index(tmp_path / "index").nearest("photos", np.array([0, 1.0, 0]), 1)[0].photo_id == "green.png"
    )


def test_the_backend_is_chosen_by_size_or_by_name_and_stays(kitchen, run, tmp_path, monkeypatch):
    def made(out, backend=None):
        summary = build(open_dataset(kitchen), run, tmp_path / out, splits=["all"], backend=backend)
        index = open_index(tmp_path / out)
        assert listed(index)[0] == {"r", "b", "broken"}
        return index.manifest["backend"], summary.notes

    assert made("a") == ("exact", [])
    monkeypatch.setattr(backends, "LARGE", 4)
    assert made("b") == ("lance", [])
    backend, (note,) = made("c", "exact")
    assert (backend, note[:18]) == ("exact", "4 entries are many")
    assert made("b", "lance")[0] == "lance"
    with pytest.raises(UsageError, match=r"its backend is lance, not exact; .*--out"):
        made("b", "exact")
    with pytest.raises(UsageError, match="'faiss': choose one of exact, lance, qdrant"):
        made("d", "faiss")
    assert build(open_dataset(kitchen), run, tmp_path / "b", splits=["train"]).added == 1


def test_the_index_needs_nothing_beside_it(kitchen, run, tmp_path):
    build(open_dataset(kitchen), run, tmp_path / "index")
    fingerprint = run.fingerprint
    shutil.rmtree(kitchen)
    shutil.rmtree(run.path)
    index = open_index((tmp_path / "index").rename(tmp_path / "moved"))
    assert listed(index) == EXPECTED
    assert open_run(index.run_folder).fingerprint == fingerprint
    assert not [path for path in index.path.rglob("*") if path.suffix in (".pkl", ".pt", ".part")]


def test_vectors_of_another_run_are_refused_by_both_fingerprints(kitchen, run, tmp_path):
    build(open_dataset(kitchen), run, tmp_path / "index")
    other = save_a_run(tmp_path / "other", scale=2)
    before = (tmp_path / "index" / "manifest.json").read_bytes()
    with pytest.raises(VectorIndexError, match=f"{run.fingerprint}.*{other.fingerprint}.*--out"):
        build(open_dataset(kitchen), other, tmp_path / "index")
    changed = {kind: {**Encoder().describe(), "weights": "2"} for kind in ("image", "text")}
    same_weights = replace(run, config={**run.config, "encoders": changed})
    with pytest.raises(VectorIndexError, match="image encoder"):
        build(open_dataset(kitchen), same_weights, tmp_path / "index")
    assert (tmp_path / "index" / "manifest.json").read_bytes() == before


def test_encoders_and_features_that_are_not_the_runs_are_refused(kitchen, run, tmp_path, monkeypatch):
    features = make_features(kitchen, tmp_path / "features")
    features.manifest["encoders"]["text"]["weights"] = "2"
    with pytest.raises(FeaturesError, match="text encoder"):
        build(features, run, tmp_path / "index")

    def other(name, **options):
        encoder = Encoder(name)
        encoder.weights = "2"
        return encoder

    monkeypatch.setattr(embedding, "open_image_encoder", other)
    with pytest.raises(EncoderError, match=r"colours: .*\(other weights\)"):
        build(open_dataset(kitchen), run, tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features", "kitchen", "run"]


def test_a_folder_that_is_no_index_is_left_alone(kitchen, run, tmp_path):
    with pytest.raises(VectorIndexError, match="not empty and no index"):
        build(open_dataset(kitchen), run, kitchen)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(VectorIndexError, match="no index"):
        build(open_dataset(kitchen), run, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert build(open_dataset(kitchen), run, tmp_path / "empty").recipes == 4


def test_a_damaged_index_is_not_added_to(kitchen, run, tmp_path):
    build(open_dataset(kitchen), run, tmp_path / "index")
    file = tmp_path / "index" / "entries.sqlite"
    file.write_bytes(file.read_bytes().replace(b'"red soup"', b'"RED SOUP"'))
    with pytest.raises(VectorIndexError, match="checksum"):
        build(open_dataset(kitchen), run, tmp_path / "index")


def test_nothing_to_index_is_an_error_and_leaves_nothing(kitchen, run, tmp_path):
    write(kitchen, [RECIPES[4]])
    with pytest.raises(DataError, match="nothing to index"):
        build(open_dataset(kitchen), run, tmp_path / "index")
    assert not [path for path in tmp_path.iterdir() if "index" in path.name]


@pytest.mark.parametrize("existing", [False, True])
def test_a_build_cut_short_leaves_what_was_there(kitchen, run, tmp_path, monkeypatch, existing):
    out = tmp_path / "index"
    if existing:
        build(open_dataset(kitchen), run, out, splits=["train"])

    def killed(image):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building, "jpeg", killed)
        with pytest.raises(KeyboardInterrupt):
            build(open_dataset(kitchen), run, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index"] * existing + ["kitchen", "run"]
    build(open_dataset(kitchen), run, out)
    assert listed(open_index(out)) == EXPECTED


def test_what_a_killed_build_left_is_cleared_away(kitchen, run, tmp_path):
    (tmp_path / ".index.part" / "run").mkdir(parents=True)
    build(open_dataset(kitchen), run, tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index", "kitchen", "run"]


def test_a_run_that_gives_no_numbers_is_refused(kitchen, tmp_path):
    with pytest.raises(SavorError, match="not finite"):
        build(open_dataset(kitchen), save_a_run(tmp_path / "run", scale=float("nan")), tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_thumbnails_are_small_and_tell_nothing_but_the_picture():
    exif = Image.Exif()
    exif[0x010F] = "CameraMaker"
    exif.get_ifd(0x8825)[1] = "N"
    file = BytesIO()
    Image.new("RGB", (640, 200), "red").save(file, "JPEG", exif=exif, comment=b"at home")
    photo = Image.open(file)
    small = Image.open(BytesIO(thumbnails.jpeg(photo)))
    assert (small.format, small.size) == ("JPEG", (320, 100))
    assert not small.getexif()
    assert not {"exif", "comment", "icc_profile", "xmp"} & set(small.info)
    assert b"CameraMaker" not in small.fp.getvalue()
    assert photo.size == (640, 200)
