"""`savor methods`: every method with what can be set."""

from __future__ import annotations

import json
from pathlib import Path

from savor.cli import main
from savor.methods import available, find


def test_every_method_with_its_options(capsys) -> None:
    assert main(["methods"]) == 0
    shown = capsys.readouterr()
    assert [line for line in shown.out.splitlines() if not line.startswith(" ")] == available()
    for name in available():
        for key, value in find(name).defaults().items():
            assert f"{key}={value}" in shown.out
    assert shown.err == ""


def test_as_json(capsys, tmp_path: Path) -> None:
    assert main(["methods", "--json", "-"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in listed] == available()
    assert all(one["options"] == find(one["name"]).defaults() and one["paper"] for one in listed)
    assert main(["methods", "--json", str(tmp_path / "methods.json")]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "methods.json").read_text()) == listed


def test_a_file_that_cannot_be_written(capsys, tmp_path: Path) -> None:
    assert main(["methods", "--json", str(tmp_path / "nowhere" / "file.json")]) == 1
    assert "No such file" in capsys.readouterr().err
