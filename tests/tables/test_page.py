"""The page of a table: the budget of a row, and rows made before a fact was noted."""

from __future__ import annotations

from pathlib import Path

from savor.evaluation import DIRECTIONS
from savor.metrics import METRICS
from savor.tables.base import Row, Section, Table
from savor.tables.outcomes import Outcome
from savor.tables.page import render


def outcome(row: str, **facts: object) -> Outcome:
    figures = {**dict.fromkeys(METRICS, 0.5), "ci95": {key: [0.4, 0.6] for key in METRICS}}
    said = dict.fromkeys(
        ("split", "protocol", "draws", "pool", "tie_rule", "data", "encoders", "seed", "savor"), "x"
    )
    report = {**dict.fromkeys(DIRECTIONS, figures), **said, "row": row, "train_seed": 0, "alarms": []}
    return Outcome(
        Path(f"{row}.json"), {**report, "training": {}, "best_epoch": 1, "scorer": "cosine", **facts}
    )


def page(*rows: Row, **seconds: float) -> str:
    outcomes = {
        name: {0: outcome(name, train_seconds=value, evaluate_seconds=1.0, peak_memory=2e8)}
        for name, value in seconds.items()
    }
    return render(Table("T", (Section("S", rows),), "S"), outcomes, failures={}, command="savor")


def test_rows_over_their_budget_are_named() -> None:
    rows = [Row(name, name, "cca", minutes=m) for name, m in (("a", 15), ("b", 15), ("gan", 30), ("c", 15))]
    rule = "The same budget for all: a training takes at most 15 minutes, 30 minutes for `gan`."
    assert f"{rule} No finished row is over it." in page(*rows, a=900.0, gan=1700.0)
    assert f"{rule} OVER IT: `b`, seed 0: 16 minutes; `gan`, seed 0: 31 minutes." in page(
        *rows, a=899.0, b=960.0, gan=1860.0
    )


def test_a_table_without_a_budget_does_not_speak_of_one() -> None:
    assert "budget" not in page(Row("a", "A", "cca"), a=9e9)


def test_rows_made_before_time_and_memory_were_noted() -> None:
    row = Row("a", "A", "cca", minutes=15)
    text = render(
        Table("T", (Section("S", (row,)),), "S"), {"a": {0: outcome("a")}}, failures={}, command="savor"
    )
    cells = next(line for line in text.splitlines() if "| `a`" in line).split("|")
    assert [cell.strip() for cell in cells[4:7]] == ["–", "–", "–"]
    assert "No finished row is over it" in text
