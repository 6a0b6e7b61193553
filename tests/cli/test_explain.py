"""`savor explain` as it is typed: pages, figures and JSON, of an index and of a run."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from savor import cli
from savor.features import Features
from savor.index import embedding
from savor.methods.cca import CCA
from savor.runs import describe, save_run


@pytest.fixture
def work(tmp_path, monkeypatch, toy_features, toy_folder, fake_image, fake_text):
    """A folder with `run` and `index` of the toy kitchen and `photo.png`, in which commands are run."""
    monkeypatch.setattr(embedding, "open_image_encoder", lambda name, **options: fake_image())
    monkeypatch.setattr(embedding, "open_text_encoder", lambda name, **options: fake_text())
    features = Features.open(toy_features)
    for encoder in features.manifest["encoders"].values():
        encoder.setdefault("options", {})
    monkeypatch.setattr(embedding, "comparable", lambda described: {"weights": described["weights"]})
    monkeypatch.chdir(tmp_path)
    method = CCA.build(features.dims, {"dim": 4}).fit(features)
    (tmp_path / "run").mkdir()
    save_run(tmp_path / "run", method, describe("cca", method, features))
    assert cli.main(["index", "run", "--data", str(toy_folder), "--split", "val", "--out", "index"]) == 0
    Image.open(next(toy_folder.rglob("*.jpg"))).save("photo.png")
    (tmp_path / "soup.json").write_text('{"id": "soup", "title": "Lentil soup", "ingredients": ["1 onion"]}')
    return tmp_path


@pytest.fixture
def run(work, capsys):
    """Run a command; give its exit code, standard output and standard error."""
    capsys.readouterr()

    def call(*arguments: str):
        code = cli.main(["explain", *arguments])
        return code, *capsys.readouterr()

    return call


def test_a_photo_alone_is_explained_by_its_three_best_hits(run, work) -> None:
    code, out, _ = run("index", "--photo", "photo.png", "--out", "-")
    found = json.loads(out)
    assert code == 0
    assert [one["rank"] for one in found] == [1, 2, 3]
    assert [[way["way"] for way in one["ways"]] for one in found] == [["similarity"]] * 3
    scores = [one["ways"][0]["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0]["ways"][0]["grid"] == [3, 3]  # that of the features the run was trained on
    cli.main(["search", "index", "--photo", "photo.png", "-k", "3", "--json", "hits.json"])
    hits = json.loads((work / "hits.json").read_text())
    assert [hit["id"] for hit in hits] == [one["id"] for one in found]
    assert [hit["score"] for hit in hits] == pytest.approx(scores, abs=1e-3)  # stored in float16


def test_a_recipe_is_a_file_or_an_id_of_the_index(run, work) -> None:
    hits = json.loads(run("index", "--photo", "photo.png", "-k", "1", "--out", "-")[1])
    by_id = json.loads(run("index", "--photo", "photo.png", "--recipe", hits[0]["id"], "--out", "-")[1])
    assert "rank" not in by_id[0]
    assert by_id[0]["ways"] == hits[0]["ways"]
    for source in ("index", "run"):
        code, out, _ = run(source, "--photo", "photo.png", "--recipe", "soup.json", "--out", "-")
        assert code == 0
        assert [word["word"] for word in json.loads(out)[0]["ways"][0]["words"]]


def test_the_grid_is_the_run_s_or_7_x_7_for_a_run_that_knows_of_none(run, work) -> None:
    def grid():
        out = run("run", "--photo", "photo.png", "--recipe", "soup.json", "--out", "-")[1]
        return json.loads(out)[0]["ways"][0]["grid"]

    assert grid() == [3, 3]
    file = work / "run" / "config.json"
    config = json.loads(file.read_text())
    del config["grid"]  # as runs were before
    file.write_text(json.dumps(config))
    assert grid() == [7, 7]


@pytest.mark.parametrize(
    ("name", "start"), [("a.html", b"<!doctype html>"), ("a.PNG", b"\x89PNG"), ("a.json", b"[")]
)
def test_the_file_s_name_says_what_is_written(run, work, name, start) -> None:
    code, out, err = run(
        *("run", "--photo", "photo.png", "--recipe", "soup.json", "--method", "masking, similarity"),
        *("--grid", "2x3", "--out", name),
    )
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}: masking, similarity; Lentil soup (")
    written = (work / name).read_bytes()
    assert written.startswith(start)
    if name == "a.json":
        assert [way["grid"] for way in json.loads(written)[0]["ways"]] == [[2, 3]] * 2


def test_a_hit_without_words_is_left_out(run, work, monkeypatch) -> None:
    from savor.search import Searcher

    first = json.loads(run("index", "--photo", "photo.png", "-k", "1", "--out", "-")[1])[0]["id"]
    searcher = Searcher("index")
    recipe = type(searcher.index).recipe

    def without_words(index, recipe_id):
        found = recipe(index, recipe_id)
        if recipe_id != first:
            return found
        return type(found)(found.id, "42")

    monkeypatch.setattr(type(searcher.index), "recipe", without_words)
    code, out, err = run("index", "--photo", "photo.png", "-k", "2", "--out", "-")
    assert code == 0
    assert [one["rank"] for one in json.loads(out)] == [2]
    assert f"{first}: no words to explain" in err
    code, out, err = run("index", "--photo", "photo.png", "-k", "1", "--out", "-")
    assert (code, out) == (2, "")
    assert "no words to explain; name a recipe" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["index", "--out", "a.gif"], 2, "ends in .html, .png, .json"),
        (["index", "--out", "a.html", "--method", "magic"], 2, "magic: no such way; choose from similarity"),
        (["index", "--out", "a.html", "--method", "ranks"], 2, "cca cannot be explained so; it offers sim"),
        (["index", "--out", "a.html", "--grid", "5"], 2, "--grid 5: write rows x columns"),
        (["index", "--out", "a.html", "--grid", "1x1"], 2, "2 to 256"),
        (["index", "--out", "a.html", "--grid", "99x99"], 2, "2 to 256"),
        (["index", "--out", "a.html", "-k", "0"], 2, "at least 1"),
        (["index", "--out", "a.html", "--recipe", "nobody"], 2, "no recipe with this id"),
        (["index", "--out", "a.html", "--recipe", "photo.png"], 1, "not a JSON file"),
        (["run", "--out", "a.html"], 2, "a run holds no recipes"),
        (["run", "--out", "a.html", "--recipe", "nobody"], 2, "there is no such file"),
        (["gone", "--out", "a.html"], 1, "gone: does not exist"),
        (["index", "--out", "gone/a.html"], 1, "gone/a.html"),
    ],
)
def test_it_refuses_in_words(run, work, arguments, code, message) -> None:
    found = run(*arguments, "--photo", "photo.png")
    assert found[:2] == (code, "")
    assert message in found[2]
    assert "Traceback" not in found[2]
    assert not (work / "a.html").exists()


def test_a_photo_that_cannot_be_read_is_named(run, work) -> None:
    code, out, err = run("index", "--photo", "soup.json", "--out", "-")
    assert (code, out) == (1, "")
    assert "soup.json is not a picture" in err
