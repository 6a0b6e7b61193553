"""What a table is made of: rows in sections, figures published elsewhere, pairs of rows to compare."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from savor.errors import UsageError

Setting = bool | int | float | str


@dataclass(frozen=True)
class Published:
    """Somebody else's figures for a row.

    Attributes:
        figures: direction (`image_to_recipe`, `recipe_to_image`) -> metric -> value; recalls are fractions.
        note: what a reader must know of them, such as that the direction is not stated.
    """

    figures: Mapping[str, Mapping[str, float]]
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One method with its options.

    Attributes:
        name: its name in files and for `--only`: lower case letters, digits and underscores.
        label: what the page calls it.
        method: a name from `savor.methods.available()`.
        settings: what `--set` would say; the method's and the training's defaults hold otherwise.
        complete: learn only from recipes with title, ingredients and instructions.
        rerank: how many of the first stage's best a pair scorer orders again; None as the method has it.
        published: figures of others beside ours.
        seeds: the most seeds it is trained with; None as many as are asked for.
        minutes: what a training may take by the table's rule; None: it has none.
        version: raised when the row comes to mean something that its options do not show.
    """

    name: str
    label: str
    method: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    complete: bool = False
    rerank: int | None = None
    published: Published | None = None
    seeds: int | None = None
    minutes: float | None = None
    version: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9_]+", self.name):
            raise ValueError(f"row {self.name!r}: a name is lower case letters, digits and underscores")


@dataclass(frozen=True)
class Section:
    """Rows that stand under one heading."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """Pairs of row names, first against second, under one heading."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """A page of sections.

    Attributes:
        title: heading of the page.
        sections: in the order of the page, which is also the order in which rows are run.
        source: whose the published figures are; heads their column.
        comparisons: which rows are tested against which.
        note: what a reader must know of all published figures.
    """

    title: str
    sections: tuple[Section, ...]
    source: str
    comparisons: tuple[Comparison, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        compared = {name for one in self.comparisons for pair in one.pairs for name in pair}
        if len(set(names)) < len(names) or not compared <= set(names):
            raise ValueError(f"{self.title}: row names repeat, or a comparison names none of them")

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows in order."""
        return tuple(row for section in self.sections for row in section.rows)

    def select(self, only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Row]:
        """Return the rows named by `only` (none: all), without those named by `skip`.

        Raises:
            UsageError: a name that no row has, or no row left.
        """
        names = [row.name for row in self.rows]
        for name in (*only, *skip):
            if name not in names:
                raise UsageError(f"no row {name!r} in this table; it has {', '.join(names)}")
        chosen = [row for row in self.rows if (not only or row.name in only) and row.name not in skip]
        if not chosen:
            raise UsageError("--only and --skip leave no row; name others")
        return chosen


def both_ways(
    image_to_recipe: Sequence[float], recipe_to_image: Sequence[float], note: str = ""
) -> Published:
    """Make published figures of medR, R@1, R@5 and R@10 in either direction.

    >>> both_ways((1, 0.5, 0.7, 0.8), (1, 0.5, 0.7, 0.9)).figures["recipe_to_image"]["R@10"]
    0.9
    """
    directions = {"image_to_recipe": image_to_recipe, "recipe_to_image": recipe_to_image}
    metrics = ("medR", "R@1", "R@5", "R@10")
    return Published(
        {name: dict(zip(metrics, values, strict=True)) for name, values in directions.items()}, note
    )
