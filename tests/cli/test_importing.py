"""`savor import` and `savor export` as they are called."""

import json

import pytest

from savor import cli

SOUP = {"title": "Soup", "ingredients": ["1 leek"], "instructions": ["Boil."]}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "soup.json").write_text(json.dumps(SOUP))
    (folder / "about.md").write_text("# About\n\nMe.\n")
    return folder


def run(*arguments):
    return cli.main([*map(str, arguments)])


def test_the_summary_on_standard_output(source, tmp_path, capsys):
    assert run("import", source, "--out", tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "1 read, 0 updated, 0 unchanged, 1 skipped" in captured.out
    assert "skipped recipes/about.md: a text in which no recipe is marked" in captured.out
    assert captured.err == ""
    assert run("data", "check", tmp_path / "out") == 0
    capsys.readouterr()
    assert run("import", source, "--out", tmp_path / "out") == 0
    assert "0 read, 0 updated, 1 unchanged, 1 skipped" in capsys.readouterr().out


def test_json_for_every_recipe(source, tmp_path, capsys):
    assert run("import", source, "--out", tmp_path / "out", "--json", "-") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"read": 1, "updated": 0, "unchanged": 0, "skipped": 1}
    assert {frozenset(one) for one in report["recipes"]} == {frozenset({"source", "id", "status", "reason"})}
    assert run("import", source, "--out", tmp_path / "out", "--json", tmp_path / "r.json", "--dry-run") == 0
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["unchanged"] == 1


def test_dry_run(source, tmp_path, capsys):
    assert run("import", source, "--out", tmp_path / "out", "--dry-run") == 0
    assert "nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_many_of_one_kind_are_one_line(source, tmp_path, capsys):
    for number in range(30):
        (source / f"{number}.json").write_text(
            json.dumps({**SOUP, "title": f"Soup {number}", "photos": [f"{number}.jpg"]})
        )
    assert run("import", source, "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "and 29 more: its photo is not in the source: 0.jpg" in out
    assert len(out.splitlines()) == 3


def test_zero_recipes_is_an_error_that_says_why(tmp_path, capsys):
    path = tmp_path / "notes.txt"
    path.write_text("buy milk")
    assert run("import", path, "--out", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "0 recipes found" in captured.err
    assert "notes.txt: a text in which no recipe is marked" in captured.err
    assert "Tandoor" in captured.err
    (tmp_path / "empty").mkdir()
    assert run("import", tmp_path / "empty", "--out", tmp_path / "out") == 1
    assert "there is no file in it" in capsys.readouterr().err


def test_wrong_calls(source, tmp_path, capsys):
    assert run("import", tmp_path / "nowhere", source, "--out", tmp_path / "out") == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run("import", "--out", tmp_path / "out") == 2
    assert run("import", source) == 2
    assert run("import", source, "--out", source) == 1
    capsys.readouterr()


def test_export_and_import_again(source, tmp_path, capsys):
    run("import", source, "--out", tmp_path / "one")
    assert run("export", tmp_path / "one", "--out", tmp_path / "all.jsonld") == 0
    assert "1 recipes" in capsys.readouterr().out
    assert run("import", tmp_path / "all.jsonld", "--out", tmp_path / "two") == 0
    assert (tmp_path / "two/recipes.jsonl").read_bytes() == (tmp_path / "one/recipes.jsonl").read_bytes()


def test_export_says_what_is_wrong(source, tmp_path, capsys):
    assert run("export", source, "--out", tmp_path / "x.jsonld") == 1
    assert run("export", tmp_path / "no", "--out", tmp_path / "x.jsonld") == 1
    assert run("export", source, "--out", tmp_path) == 2
    assert run("export", source, "--out", tmp_path / "no" / "x.jsonld") == 2
    (tmp_path / "recipes.jsonl").write_text("{}\n")
    assert run("export", tmp_path, "--out", tmp_path / "x.jsonld") == 1
    assert "holds no recipe" in capsys.readouterr().err
    assert not (tmp_path / "x.jsonld").exists()
