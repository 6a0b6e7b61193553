"""`savor methods`: every method with its paper and loss, and one with what can be set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from savor.cli import main
from savor.methods import available, find


def test_every_method_in_a_table(capsys) -> None:
    assert main(["methods"]) == 0
    shown = capsys.readouterr()
    assert shown.out.split()[:5] == ["name", "year", "paper", "loss", "reads"]
    rows = [line.split() for line in shown.out.splitlines()[2:-1] if not line.startswith(" ")]
    assert [row[:2] for row in rows] == [[name, str(find(name).year())] for name in available()]
    assert max(map(len, shown.out.splitlines())) <= 130
    assert shown.err == ""


@pytest.mark.parametrize("name", available())
def test_one_method_with_its_options(name: str, capsys) -> None:
    assert main(["methods", name]) == 0
    shown = capsys.readouterr().out
    method = find(name)
    assert shown.startswith(f"{name}: ")
    for said in (method.paper, method.loss, str(method.year())):
        assert said in shown
    for key, value in method.defaults().items():
        assert f"\n    {key}={value}\n" in shown
    assert ("\n    learning_rate=" in shown) == (method.trains_with is not None)


def test_as_json(capsys, tmp_path: Path) -> None:
    assert main(["methods", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == available()
    for one in listed:
        method = find(one["name"])
        assert (one["paper"], one["loss"], one["year"]) == (method.paper, method.loss, method.year())
        assert (one["uses"], one["options"]) == (list(method.uses), method.defaults())
    assert main(["methods", "--json", str(tmp_path / "methods.json")]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "methods.json").read_text()) == listed
    assert main(["methods", "cca", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == [one for one in listed if one["name"] == "cca"]


def test_a_method_that_is_not_there(capsys) -> None:
    assert main(["methods", "ccca"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no method 'ccca'; choose one of" in shown.err


def test_a_file_that_cannot_be_written(capsys, tmp_path: Path) -> None:
    assert main(["methods", "--json", str(tmp_path / "nowhere" / "file.json")]) == 1
    assert "No such file" in capsys.readouterr().err
