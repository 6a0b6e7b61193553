"""`savor feedback`: say whether a hit was it, and export what was said as pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def feedback(
    index: Annotated[Path, typer.Argument(help="Folder that `savor index` wrote.", metavar="INDEX")],
    export: Annotated[
        Path | None,
        typer.Option(help="Write what was said to a new plain folder, to train with.", metavar="FOLDER"),
    ] = None,
    photo: Annotated[Path | None, typer.Option(help="The photo asked with.", metavar="FILE")] = None,
    text: Annotated[str | None, typer.Option(help="Or the words asked with.", metavar="STRING")] = None,
    yes: Annotated[str | None, typer.Option(help="Recipe that was it.", metavar="ID")] = None,
    no: Annotated[str | None, typer.Option(help="Recipe that was not it.", metavar="ID")] = None,
) -> None:
    """Keep "that was it" and "not this" with an index, or export it as pairs.

    Without options it says how much is kept.
    """
    from savor import feedback as kept
    from savor.errors import UsageError

    if export is not None:
        if any(option is not None for option in (photo, text, yes, no)):
            raise UsageError("--export stands alone; give feedback in a call of its own")
        done = kept.export(index, export)
        typer.echo(f"{export}: {done.pairs:,} photos of {done.recipes:,} recipes; {done.verdicts:,} verdicts")
        return
    query = photo if photo is not None else text
    if yes is None and no is None and query is None:
        said = kept.read(index)
        good = sum(one.verdict == "yes" for one in said)
        typer.echo(f"{index}: {len(said):,} verdicts; {good:,} yes, {len(said) - good:,} no")
        return
    if (photo is None) == (text is None) or query is None:
        raise UsageError("name what was asked with: either --photo or --text")
    if yes is None and no is None:
        raise UsageError("name the recipe: --yes ID if that was it, --no ID if not")
    if yes is not None:
        kept.keep(index, query, yes, "yes")
    if no is not None:
        kept.keep(index, query, no, "no")
    typer.echo(f"{index}: kept")
