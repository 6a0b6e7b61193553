"""The report's tables: every row can be trained, every printed figure is plausible."""

from __future__ import annotations

import pytest

from savor.cli.options import split_settings
from savor.methods import find
from savor.tables.report import TABLE

PUBLISHED = [row for row in TABLE.rows if row.published]


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_the_method_knows_the_options_of_its_row(row) -> None:
    options, training = split_settings(find(row.method), row.settings)
    known = {**options, **(vars(training) if training else {})}
    assert {key: known[key] for key in row.settings} == row.settings


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_published_figures_are_a_rank_and_growing_shares(row) -> None:
    for figures in row.published.figures.values():
        assert list(figures) == ["medR", "R@1", "R@5", "R@10"]
        median, *recalls = figures.values()
        assert median >= 1
        assert 0 < recalls[0] < recalls[1] < recalls[2] < 1


def test_the_tables_are_those_of_the_report() -> None:
    assert [len([row for row in section.rows if row.published]) for section in TABLE.sections] == [
        3,
        2,
        4,
        1,
        0,
    ]
    assert "other data" in TABLE.source


def test_model_3_comes_last() -> None:
    assert TABLE.rows[-1].method == "fine_tuned"
