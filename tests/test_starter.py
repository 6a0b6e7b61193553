"""The starter model and the cookbook's index are as they should be shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from savor import cli, cookbook, open_dataset, starter
from savor.index import open_index
from savor.runs import open_run

DISH = cookbook.folder() / "photos" / "shakshuka.webp"


@pytest.fixture(autouse=True)
def nobodys_cookbook(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / "settings"))


def test_the_model_is_small_and_its_card_names_data_and_figures() -> None:
    assert (starter.folder() / "model.safetensors").stat().st_size < 12e6
    run = open_run(starter.folder())
    card = (Path(starter.__file__).parent / "CARD.md").read_text("utf-8")
    assert run.config["data"] in card
    for direction, name in (("image_to_recipe", "image to recipe"), ("recipe_to_image", "recipe to image")):
        recall = 100 * run.config["val"][direction]["R@10"]
        (row,) = [line for line in card.splitlines() if line.startswith(f"| val | 400 | {name}")]
        # The card measures the weights as they are shipped, in float16.
        assert float(row.split("|")[-2]) == pytest.approx(recall, abs=0.5)


def test_what_is_shipped_says_how_it_was_made_and_not_where() -> None:
    assert open_run(starter.folder()).config["command"] == "python scripts/starter.py FEATURES OUT"
    for file in (starter.folder() / "config.json", starter.folder().parent / "manifest.json"):
        assert str(Path.home()) not in file.read_text("utf-8")


def test_the_index_holds_the_cookbook_as_it_is() -> None:
    index = starter.open_cookbook()
    pairs = list(open_dataset(cookbook.folder()).pairs())
    assert index.count("recipes") == index.count("photos") == len(pairs) == 150
    for pair in pairs:
        assert index.recipe(pair.recipe.id) == pair.recipe
        (photo,) = index.photos(pair.recipe.id)
        assert index.thumbnail(pair.recipe.id, photo)


def test_search_index_and_explain_need_no_names(tmp_path: Path, capsys) -> None:
    assert cli.main(["search", "--photo", str(DISH), "-k", "5", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert "shakshuka" in [hit["id"] for hit in json.loads(out)]
    assert "starter cookbook" in err
    data = tmp_path / "mine"
    data.mkdir()
    (data / "recipes.jsonl").write_text('{"id": "soup", "title": "Leek soup"}\n', "utf-8")
    for _ in range(2):
        assert cli.main(["index", "--data", str(data), "--out", str(tmp_path / "index")]) == 0
    assert "1 unchanged" in capsys.readouterr().out
    manifests = [open_index(path).manifest["run"] for path in (tmp_path / "index", starter.folder().parent)]
    assert manifests[0] == manifests[1]
    why = tmp_path / "why.json"
    assert cli.main(["explain", "--photo", str(DISH), "--recipe", "shakshuka", "--out", str(why)]) == 0
    assert json.loads(why.read_text("utf-8"))[0]["ways"][0]["way"] == "similarity"
