"""The index that a command takes where none is named: the starter cookbook, or one's own copy of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

IndexOrCookbook = Annotated[
    Path | None,
    typer.Argument(
        help="Folder that `savor index` wrote; the starter cookbook if left out.",
        metavar="INDEX",
        show_default=False,
    ),
]


def own_cookbook() -> Path:
    """Return where the copy of the starter cookbook lies that `savor serve` makes before its first change."""
    return Path(typer.get_app_dir("savor")) / "cookbook"


def cookbook() -> Path:
    """Return one's own cookbook if there is one, else the starter cookbook; say on standard error which."""
    own = own_cookbook()
    if own.exists():
        typer.echo(f"savor: no index named, so this is your cookbook {own}", err=True)
        return own
    from savor.starter import open_cookbook

    typer.echo("savor: no index named, so this is the starter cookbook", err=True)
    return open_cookbook().path
