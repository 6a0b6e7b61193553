"""The columns of all recipes in memory, to filter and to browse by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from savor.index import Facets, Filter, Order
from savor.index.columns import browsing_order, tally
from savor.index.recent import Recent

Array = np.ndarray[Any, np.dtype[Any]]

_MASKS = 64  # filters and terms whose recipes are remembered


class Table:
    """The recipes of an index in the order of their ids.

    Args:
        rows: of each its row in the catalogue, id, title, category, source and minutes.
    """

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        self.rows = np.array(columns[0], np.int64)
        self.ids, self.titles, self.categories, self.sources, self.minutes = map(list, columns[1:])
        self.masks: Recent[Array] = Recent(_MASKS)  # by the list and the filter
        self.having: Recent[Array] = Recent(_MASKS)  # by the term
        self._orders: dict[Order, Array] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def passing(self, where: Filter) -> Array:
        """Return which recipes meet the conditions that are no terms, `(n,)`."""
        passing = np.ones(len(self), bool)
        for wanted, (names, codes) in ((where.category, self._category), (where.source, self._source)):
            if wanted is not None:
                passing &= codes == names.get(wanted.casefold(), -1)
        return passing if where.minutes is None else passing & (self._times <= where.minutes)

    @cached_property
    def _times(self) -> Array:
        return np.array([np.nan if value is None else value for value in self.minutes], np.float64)

    @cached_property
    def _category(self) -> tuple[dict[str, int], Array]:
        return _coded(self.categories)

    @cached_property
    def _source(self) -> tuple[dict[str, int], Array]:
        return _coded(self.sources)

    @cached_property
    def facets(self) -> Facets:
        """The categories and sources with their numbers."""
        return {"categories": tally(self.categories), "sources": tally(self.sources)}

    @cached_property
    def _by_row(self) -> Array:
        return np.argsort(self.rows)

    def places(self, rows: Sequence[int]) -> Array:
        """Return the positions of recipes given by their rows in the catalogue."""
        return self._by_row[np.searchsorted(self.rows, np.array(rows, np.int64), sorter=self._by_row)]

    def order(self, name: Order) -> Array:
        """Return all positions in an order to browse."""
        if name not in self._orders:
            self._orders[name] = np.array(browsing_order(self.ids, self.titles, self.minutes, name), np.int64)
        return self._orders[name]


def _coded(names: Sequence[str | None]) -> tuple[dict[str, int], Array]:
    """Return a number for each name, taken without case, and the numbers of all, -2 for none."""
    codes: dict[str, int] = {}
    numbers = [-2 if name is None else codes.setdefault(name.casefold(), len(codes)) for name in names]
    return codes, np.array(numbers, np.int64)
