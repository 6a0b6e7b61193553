"""Tables as data: names that hold, rows that can be chosen, files that are found."""

from __future__ import annotations

import pytest

from savor import tables
from savor.errors import UsageError
from savor.tables.base import Comparison, Row, Section, Table

ROWS = tuple(Row(name, name.upper(), "cca") for name in ("a", "b", "c"))


def table(*rows: Row, pairs: tuple[tuple[str, str], ...] = ()) -> Table:
    return Table("T", (Section("S", rows[:1]), Section("S2", rows[1:])), "S", (Comparison("C", pairs),))


@pytest.mark.parametrize(
    ("only", "skip", "chosen"),
    [((), (), "abc"), (("c", "a"), (), "ac"), ((), ("b",), "ac"), (("a", "b"), ("a",), "b")],
)
def test_rows_are_chosen_in_the_order_of_the_table(only, skip, chosen: str) -> None:
    assert [row.name for row in table(*ROWS).select(only, skip)] == list(chosen)


@pytest.mark.parametrize(
    ("only", "skip", "message"),
    [(("d",), (), "no row 'd' in this table; it has a, b, c"), (("a",), ("a",), "leave no row")],
)
def test_rows_that_are_not_there(only, skip, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table(*ROWS).select(only, skip)


def test_a_table_that_contradicts_itself() -> None:
    with pytest.raises(ValueError, match="repeat"):
        table(*ROWS, ROWS[0])
    with pytest.raises(ValueError, match="names none"):
        table(*ROWS, pairs=(("a", "x"),))
    with pytest.raises(ValueError, match="a/b"):
        Row("a/b", "A", "cca")


def test_tables_are_found_by_their_files() -> None:
    assert "report" in tables.available()
    assert not {"base", "outcomes", "page"} & set(tables.available())
    with pytest.raises(UsageError, match=r"no table 'reprot'; choose one of .*report"):
        tables.find("reprot")


@pytest.mark.parametrize("name", tables.available())
def test_every_table_is_one(name: str) -> None:
    assert isinstance(tables.find(name), Table)
