"""`savor data toy`: write the toy kitchen, a drawn data set, to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def toy(
    out: Annotated[Path, typer.Argument(help="New or empty folder to write to.")],
    recipes: Annotated[int, typer.Option(help="How many recipes.")] = 1200,
    seed: Annotated[int, typer.Option(help="Another seed, other dishes.")] = 0,
    layout: Annotated[
        Literal["folder", "recipe1m"], typer.Option(help="Plain folder, or as the Recipe1M release.")
    ] = "folder",
) -> None:
    """Write drawn dishes with recipes: a data set to try everything with, offline."""
    from savor.datasets.toy_kitchen import write

    write(out, n=recipes, seed=seed, layout=layout)
    typer.echo(f"{out}: {recipes} drawn recipes, seed {seed}, layout {layout}")
