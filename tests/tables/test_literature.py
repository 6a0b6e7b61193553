"""The literature's table: known options, figures that can be, nothing printed without its evidence."""

from __future__ import annotations

import pytest

from savor.cli.options import split_settings
from savor.methods import find
from savor.metrics import contradicts
from savor.tables.literature import TABLE

PUBLISHED = {row.name: row.published for row in TABLE.rows if row.published}
DRAWING = ("r2gan", "acme", "tnlbt", "cross_decoder")


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.name)
def test_the_method_knows_the_options_of_its_row(row) -> None:
    options, training = split_settings(find(row.method), row.settings)
    known = {**options, **(vars(training) if training else {})}
    assert {key: known[key] for key in row.settings} == row.settings


def test_every_method_of_the_deck_has_a_row() -> None:
    wanted = {
        *("cca", "joint_embedding", "adamine", "hierarchical_transformer", *DRAWING),
        *("info_nce", "circle", "image_text_matching"),
    }
    assert wanted <= {row.name for row in TABLE.rows if row.name == row.method and not row.settings}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_figures_can_be_and_say_where_they_are_from(name: str) -> None:
    published = PUBLISHED[name]
    assert "checked" in published.note
    for figures in published.figures.values():
        recalls = [figures[key] for key in ("R@1", "R@5", "R@10") if key in figures]
        assert recalls == sorted(set(recalls))
        assert 0 < recalls[0] <= recalls[-1] < 1
        if "medR" in figures:
            assert not contradicts(figures["medR"], figures["R@1"])


def test_figures_without_evidence_are_not_printed() -> None:
    assert not {"tnlbt", "cross_decoder", "circle", "info_nce", "triplet_mlp"} & set(PUBLISHED)
    assert PUBLISHED["adamine"].figures["image_to_recipe"]["medR"] == 2.0
    assert "from 0" in PUBLISHED["adamine"].note
    assert PUBLISHED["image_text_matching"].figures == {"recipe_to_image": {"R@1": 0.726}}
    assert "other data" in TABLE.source


def test_what_draws_photos_has_one_seed_and_more_time() -> None:
    for row in TABLE.rows:
        expected = (1, 30) if row.method in DRAWING else (None, 15)
        assert (row.seeds, row.minutes) == expected, row.name


def test_the_papers_order_is_tested() -> None:
    first = dict(TABLE.comparisons[0].pairs[::-1])
    chain, name = [], "cross_decoder"
    while name:
        chain.append(name)
        name = first.get(name)
    assert chain == ["cross_decoder", "tnlbt", "hierarchical_transformer", "adamine", "joint_embedding"]
    assert ("hierarchical_transformer", "acme") in TABLE.comparisons[0].pairs


def test_the_batch_size_is_all_that_differs() -> None:
    rows = [row for row in TABLE.rows if row.name.startswith("info_nce_batch_")]
    assert [row.settings["batch_size"] for row in rows] == [64, 128, 256, 512, 1024, 2048]
    assert all({**row.settings, "batch_size": 0} == {"batch_size": 0, "min_batches": 1} for row in rows)
