"""`savor index` and `savor search` as they are typed: what is printed where, and the exit codes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from savor import cli
from savor.encoders import ImageStates, TextStates
from savor.features import Dims
from savor.index import embedding
from savor.methods.cca import CCA
from savor.runs import save_run

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class Encoder:
    """Photos become their mean colour, lines the colour they name."""

    dim = 3

    def __init__(self, name="colours", **options):
        self.name = name

    def describe(self):
        return {"name": self.name, "weights": "1", "options": {}}

    def encode(self, items, *, patches=None, tokens=False):
        if isinstance(items[0], str):
            return TextStates(torch.tensor([COLOURS[line.split()[0]] for line in items]) / 255)
        means = [np.asarray(image).mean((0, 1)) for image in items]
        return ImageStates(torch.tensor(np.stack(means), dtype=torch.float32) / 255)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with `run` and `kitchen`, in which commands are run."""
    for name in ("open_image_encoder", "open_text_encoder"):
        monkeypatch.setattr(embedding, name, Encoder)
    method = CCA.build(Dims(3, 3), {"dim": 3, "text": "average"})
    with torch.no_grad():
        for layer in (method.image_tower, method.recipe_tower):
            layer.weight.copy_(torch.eye(3))
            layer.bias.zero_()
    config = {"format": 1, "method": "cca", "options": method.options, "dims": {"image": 3, "text": 3}}
    encoders = {kind: Encoder().describe() for kind in ("image", "text")}
    for name in ("run", "kitchen"):
        (tmp_path / name).mkdir()
    save_run(tmp_path / "run", method, {**config, "encoders": encoders, "data": "sha256:0"})
    with (tmp_path / "kitchen" / "recipes.jsonl").open("w") as file:
        for name, colour in COLOURS.items():
            Image.new("RGB", (40, 30), colour).save(tmp_path / "kitchen" / f"{name}.png")
            recipe = {"id": name, "title": f"{name} <dish>\x1b[5m", "photos": [f"{name}.png"]}
            file.write(json.dumps(recipe) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def index(work, capsys):
    assert cli.main(["index", "run", "--data", "kitchen", "--out", "index"]) == 0
    capsys.readouterr()
    return work / "index"


def test_recipes_are_removed_by_id_all_or_none(index, capsys):
    assert cli.main(["index", "--out", "index", "--remove", "red", "--remove", "pink"]) == 2
    assert "index has no recipe 'pink'; nothing was removed" in capsys.readouterr().err
    assert cli.main(["index", "--out", "index", "--remove", "red", "--remove", "blue"]) == 0
    assert capsys.readouterr().out == "index: 1 recipes, 1 photos; 2 removed\n"
    assert cli.main(["search", "index", "--photo", "kitchen/red.png", "--json", "-"]) == 0
    assert [hit["id"] for hit in json.loads(capsys.readouterr().out)] == ["green"]
    assert cli.main(["index", "run", "--out", "index", "--remove", "green"]) == 2
    assert "--remove stands alone" in capsys.readouterr().err
    assert cli.main(["index", "--out", "elsewhere", "--remove", "green"]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_the_backend_can_be_named(work, capsys):
    command = ["index", "run", "--data", "kitchen", "--out", "index"]
    assert cli.main([*command, "--backend", "lance"]) == 0
    assert json.loads((work / "index" / "manifest.json").read_text())["backend"] == "lance"
    assert cli.main(["search", "index", "--photo", "kitchen/red.png", "--json", "-", "-k", "1"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])[0]["id"] == "red"
    assert cli.main([*command, "--backend", "exact"]) == 2
    assert "its backend is lance" in capsys.readouterr().err


def test_index_says_on_standard_output_what_it_holds_and_on_the_other_what_it_left_out(work, capsys):
    for number in range(7):
        (work / "kitchen" / f"bad{number}.jpg").write_text("not a photo")
    with (work / "kitchen" / "recipes.jsonl").open("a") as file:
        file.write(
            json.dumps({"id": "bad", "title": "red", "photos": [f"bad{n}.jpg" for n in range(7)]}) + "\n"
        )
        file.write('{"id": "nothing", "title": ""}\n{"id": "t", "title": "red", "partition": "test"}\n')
    assert cli.main(["index", "run", "--data", "kitchen", "--out", "index"]) == 0
    out, err = capsys.readouterr()
    assert out == "index: 4 recipes, 3 photos; 4 added, 0 updated, 0 unchanged\n"
    assert err.count("bad") == 5
    assert "cannot be read: 7" in err
    assert "neither text nor photo: 1" in err
    assert "'test' is left out" in err
    assert (
        cli.main(["index", "run", "--data", "kitchen", "--split", "test", "--split", "all", "--out", "index"])
        == 0
    )
    assert capsys.readouterr().out == "index: 5 recipes, 3 photos; 1 added, 0 updated, 4 unchanged\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "either --data or --features"),
        (["run"], 2, "either --data or --features"),
        (["run", "--data", "kitchen", "--features", "x"], 2, "either --data or --features"),
        (["run", "--data", "kitchen", "--split", "vall"], 2, "no split 'vall'; it has all"),
        (["run", "--data", "gone"], 1, "gone does not exist"),
        (["run", "--features", "kitchen"], 1, "savor features"),
        (["kitchen", "--data", "kitchen"], 1, "no run here"),
    ],
)
def test_index_refuses_in_one_line_and_writes_nothing(work, capsys, arguments, code, message):
    assert cli.main(["index", *arguments, "--out", "index"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not (work / "index").exists()


def test_a_photo_gives_a_table_of_recipes(index, capsys):
    assert cli.main(["search", "index", "--photo", "kitchen/green.png", "-k", "2"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[0] == ["rank", "score", "title", "id"]
    assert lines[2][:2] == ["1", "1.000"]
    assert lines[2][-1] == "green"
    assert len(lines) == 4
    assert "\x1b" not in out
    assert err == ""


def test_json_is_all_there_is_on_standard_output(index, work, capsys):
    assert cli.main(["search", "index", "--text", "blue", "--json", "-", "--find", "photos"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0] == {
        "id": "blue.png",
        "rank": 1,
        "score": 1.0,
        "title": "blue <dish>\x1b[5m",
        "photo": "blue.png",
        "recipe_id": "blue",
    }
    assert cli.main(["search", "index", "--text", "blue", "--json", "hits.json"]) == 0
    assert "rank" in capsys.readouterr().out
    assert json.loads((work / "hits.json").read_text())[0]["id"] == "blue"


def test_a_recipe_finds_photos_by_file_or_id(index, work, capsys):
    (work / "mine.json").write_text('{"title": "red", "ingredients": "red"}')
    for given in ("red", "mine.json"):
        assert cli.main(["search", "index", "--recipe", given, "-k", "1", "--json", "-"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)[0]["id"] == "red.png"
    assert "ingredients: expected a list" in err


@pytest.mark.parametrize("query", [["--photo", "kitchen/red.png"], ["--text", "red"], ["--recipe", "red"]])
def test_html_writes_the_gallery(index, work, capsys, query):
    assert cli.main(["search", "index", *query, "--html", "page.html"]) == 0
    page = (work / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "red &lt;dish&gt;" in page
    assert page.count("data:image/jpeg") == 3 + ("--photo" in query)
    assert "rank" in capsys.readouterr().out
    assert cli.main(["search", "index", *query, "--html", "-"]) == 0
    assert capsys.readouterr().out == page


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index"], 2, "or with a condition"),
        (["index", "--text", "red", "--recipe", "red"], 2, "--recipe alone"),
        (["index", "--have", "12"], 2, "no word"),
        (["index", "--text", "red", "--minutes", "0"], 2, "above 0"),
        (["index", "--text", "red", "--offset", "-1"], 2, "offset=-1"),
        (["index", "--text", "  "], 2, "blank"),
        (["index", "--text", "red", "-k", "0"], 2, "at least 1"),
        (["index", "--text", "red", "--find", "dishes"], 2, "dishes"),
        (["index", "--text", "red", "--json", "-", "--html", "-"], 2, "standard output"),
        (["index", "--recipe", "gone.json"], 2, "no such file, and no recipe with this id"),
        (["index", "--recipe", "kitchen/recipes.jsonl"], 1, "not a JSON file with one recipe"),
        (["index", "--photo", "gone.png"], 1, "gone.png cannot be read"),
        (["index", "--photo", "kitchen/recipes.jsonl"], 1, "not a picture"),
        (["index", "--photo", "kitchen"], 1, "kitchen cannot be read"),
        (["gone", "--text", "red"], 1, "gone: does not exist"),
        (["kitchen", "--text", "red"], 1, "no index here"),
        (["index", "--text", "red", "--html", "gone/page.html"], 1, "gone/page.html"),
    ],
)
def test_search_refuses_in_words(index, capsys, arguments, code, message):
    assert cli.main(["search", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


RECIPES = [
    {
        "title": "red curry",
        "ingredients": ["red lentils", "red butter"],
        "category": "Mains",
        "times": {"total": "20 min"},
    },
    {
        "title": "green pie",
        "ingredients": ["green leeks", "green flour"],
        "category": "Mains",
        "source": "Book",
    },
    {"title": "blue cake", "ingredients": ["blue flour", "blue milk"], "times": {"total": "1 h"}},
]


@pytest.fixture
def cookbook(work, capsys):
    """An index of recipes with ingredients."""
    (work / "cookbook").mkdir()
    lines = [json.dumps({"id": recipe["title"].split()[0], **recipe}) + "\n" for recipe in RECIPES]
    (work / "cookbook" / "recipes.jsonl").write_text("".join(lines))
    assert cli.main(["index", "run", "--data", "cookbook", "--out", "cookbook.index"]) == 0
    capsys.readouterr()
    return work


def found(capsys, *arguments):
    assert cli.main(["search", "cookbook.index", *arguments, "--json", "-"]) == 0
    out, err = capsys.readouterr()
    return [hit["id"] for hit in json.loads(out)], err


def test_conditions_filter_what_any_query_finds(cookbook, capsys):
    photo = ["--photo", "kitchen/red.png"]
    assert found(capsys, *photo, "--avoid", "dairy")[0] == ["green"]
    assert found(capsys, *photo, "--have", "flour", "--avoid", "leeks")[0] == ["blue"]
    assert found(capsys, *photo, "--minutes", "30")[0] == ["red"]
    assert found(capsys, *photo, "--category", "mains", "--source", "book")[0] == ["green"]
    assert found(capsys, "--text", "green", "--avoid", "gluten")[0] == ["red"]
    assert found(capsys, *photo, "--offset", "1", "-k", "1")[0] == found(capsys, *photo)[0][1:2]
    hits, err = found(capsys, "--have", "flour")
    assert hits == ["blue", "green"]
    assert "in the order of the titles" in err


def test_what_the_words_ask_for_is_said(cookbook, capsys):
    hits, err = found(capsys, "--text", "red dish with flour, no dairy")
    assert hits == ["green"]
    assert "understood as: red dish with flour; with flour; without dairy" in err
    assert "no advice on allergies" in err
    hits, err = found(capsys, "--text", "red dish with flour, no dairy", "--as-is")
    assert hits[0] == "red"
    assert err == ""
    hits, err = found(capsys, "--text", "blue soup with dragonfruit")
    assert hits[0] == "blue"
    assert "No recipe has dragonfruit" in err


def test_a_photo_and_words_are_asked_together(cookbook, capsys):
    red, _ = found(capsys, "--photo", "kitchen/red.png")
    both, _ = found(capsys, "--photo", "kitchen/red.png", "--text", "green")
    assert red[0] == both[0] == "red"
    assert both[1] == "green"


def test_why_names_the_words_that_match(cookbook, capsys):
    assert cli.main(["search", "cookbook.index", "--text", "blue flour", "--why"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["rank", "score", "title", "id", "matched"]
    assert lines[2][-2:] == ["blue", "flour"]
    assert cli.main(["search", "cookbook.index", "--text", "blue flour", "--why", "--json", "-"]) == 0
    hits = {hit["id"]: hit["matched"] for hit in json.loads(capsys.readouterr().out)}
    assert hits == {"blue": ["blue flour"], "green": ["flour"], "red": []}
