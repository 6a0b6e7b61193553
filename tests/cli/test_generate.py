"""`savor generate` as it is typed: pictures of a recipe, and the measures of a split."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from savor import cli
from savor import runs as saved
from savor.features import Features
from savor.index import embedding
from savor.methods.acme import ACME
from savor.methods.cca import CCA
from savor.runs import describe, save_run
from savor.training import TrainingOptions, train

SMALL = {"dim": 8, "hidden": 16, "picture_size": 8, "picture_width": 8, "picture_batch": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, toy_features):
    """A folder with `acme`, a run that draws, and `cca`, which does not."""
    folder, features = tmp_path_factory.mktemp("runs"), Features.open(toy_features)
    for encoder in features.manifest["encoders"].values():
        encoder.setdefault("options", {})
    drawing, other = ACME.build(features.dims, SMALL), CCA.build(features.dims, {"dim": 4}).fit(features)
    train(drawing, features, options=TrainingOptions(epochs=1, batch_size=32))
    for name, method in (("acme", drawing), ("cca", other)):
        (folder / name).mkdir()
        save_run(folder / name, method, describe(name, method, features))
    return folder


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, runs, toy_features, fake_image, fake_text):
    """Run a command in a folder with `soup.json`; give its exit code, standard output and standard error."""
    monkeypatch.setattr(embedding, "open_image_encoder", lambda name, **options: fake_image())
    monkeypatch.setattr(embedding, "open_text_encoder", lambda name, **options: fake_text())
    for module in (embedding, saved):
        monkeypatch.setattr(module, "comparable", lambda described: {"weights": described["weights"]})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soup.json").write_text('{"id": "soup", "title": "Lentil soup", "ingredients": ["1 onion"]}')

    def call(name: str, *arguments: str):
        code = cli.main(["generate", str(runs / name), *arguments])
        return code, *capsys.readouterr()

    return call


def test_a_recipe_of_a_file_is_drawn(run, tmp_path) -> None:
    code, out, err = run("acme", "--recipe", "soup.json", "--out", "soup.png")
    assert (code, out) == (0, "")
    assert "soup.png: 1 picture of 8 x 8" in err
    one = np.asarray(Image.open(tmp_path / "soup.png"))
    assert one.shape == (8, 8, 3)
    assert run("acme", "--recipe", "soup.json", "--out", "row.png", "--count", "3", "--seed", "0")[0] == 0
    row = np.asarray(Image.open(tmp_path / "row.png"))
    assert row.shape == (8, 28, 3)
    assert np.array_equal(row[:, :8], one)
    assert not np.array_equal(row[:, 10:18], one)


def test_a_recipe_of_the_features_is_drawn(run, toy_features, tmp_path) -> None:
    name = str(Features.open(toy_features).ids[0])
    arguments = ("--recipe", name, "--out", "one.png")
    assert run("acme", *arguments, "--features", str(toy_features))[0] == 0
    assert np.asarray(Image.open(tmp_path / "one.png")).shape == (8, 8, 3)
    code, _, err = run("acme", *arguments)
    assert code == 2
    assert "there is no such file; to draw a recipe by its id name --features" in err
    code, _, err = run("acme", "--recipe", "nobody", "--out", "x.png", "--features", str(toy_features))
    assert code == 2
    assert "no such id" in err


def test_a_split_is_measured(run, toy_features, toy_folder, tmp_path) -> None:
    measure = ("--measure", "--features", str(toy_features), "--data", str(toy_folder))
    code, out, _ = run("acme", *measure, "--json", "-", "--out", "sheet.png")
    assert code == 0
    found = json.loads(out)
    assert found["split"] == "val"
    assert found["pictures"] > 1
    assert found["frechet_distance"]["pictures"] > 0
    assert 0 < found["pixel_error"]["mean_photo"] < 1
    assert 1 <= found["retrieval_by_picture"]["medR"] <= found["pictures"]
    assert len(np.asarray(Image.open(tmp_path / "sheet.png"))) >= 8
    code, out, _ = run("acme", *measure)
    assert code == 0
    assert "retrieval by picture among" in out


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("cca", ("--recipe", "soup.json", "--out", "x.png"), 1, "CCA draws no pictures"),
        ("acme", ("--recipe", "soup.json", "--out", "x.jpg"), 2, "the file is a PNG picture"),
        ("acme", ("--recipe", "soup.json"), 2, "name a recipe and the picture to write"),
        ("acme", ("--out", "x.png"), 2, "name a recipe and the picture to write"),
        ("acme", ("--measure",), 2, "give --features, and no --recipe"),
        (
            "acme",
            ("--recipe", "soup.json", "--out", "x.png", "--json", "-"),
            2,
            "--json -: goes with --measure",
        ),
        ("nothing", ("--recipe", "soup.json", "--out", "x.png"), 1, "no run here"),
    ],
)
def test_what_cannot_be_done_is_said(run, name: str, arguments, code: int, message: str, tmp_path) -> None:
    found, out, err = run(name, *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert not list(tmp_path.glob("x.*"))
