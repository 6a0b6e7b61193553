"""`savor ground`: its report on standard output and in a file, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from savor import measuring
from savor.cli import main
from savor.grounding import Grounding, Row, compare


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Replace the opening of runs and the measuring; return what it was called with."""
    calls: list[dict[str, object]] = []

    def measure(runs, held_out, **options):
        calls.append({"runs": dict(runs), "held_out": held_out, **options})
        row = Row(
            next(iter(runs)),
            "masking",
            {"pointing": compare([0.5, 0.7], {"chance": [0.1, 0.2]}, unit="photos")},
        )
        options["on_progress"]("a, masking", 0, 2)
        return Grounding([row], held_out.facts())

    monkeypatch.setattr(measuring, "measure", measure)
    monkeypatch.setattr("savor.runs.open_run", lambda folder: f"run in {folder}")
    return calls


def test_the_report_is_all_that_stands_on_standard_output(
    measured: list, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ground", "out/cca", "b=out/x", "--data", str(toy_folder), "--out", str(tmp_path / "r.json")]
    assert main([*words, "--method", "ranks, masking", "--photos", "4", "--grid", "3"]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("### Pointing")
    assert "a, masking: 0 of 2 pairs" in output.err
    call = measured[0]
    assert call["runs"] == {"cca": "run in out/cca", "b": "run in out/x"}
    assert call["ways"] == ["ranks", "masking"]
    assert call["grid"] == (3, 3)
    assert call["out"] == tmp_path / "r.json"
    assert call["held_out"].split == "val"
    assert call["held_out"].facts()["photos"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a/x", "b/x"], "write NAME=FOLDER"),
        (["x", "--split", "nowhere"], "nowhere"),
    ],
)
def test_wrong_calls_are_named(
    measured: list,
    toy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    call = ["ground", *words, "--data", str(toy_folder), "--out", str(tmp_path / "r.json")]
    assert main(call) == 2
    assert said in capsys.readouterr().err
    assert not measured


def test_a_file_of_another_kind_is_never_overwritten(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    file.write_text('{"rows": []}')
    monkeypatch.setattr("savor.runs.open_run", lambda folder: SimpleNamespace(method=None))
    monkeypatch.setattr("savor.explain.finding.ways", lambda method: [])
    assert main(["ground", "x", "--data", str(toy_folder), "--out", str(file)]) == 1
    assert "no report of correspondences" in capsys.readouterr().err
    assert file.read_text() == '{"rows": []}'
