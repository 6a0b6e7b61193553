"""`savor import` and `savor export`: recipes people own, into a plain folder and out again."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from savor.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from savor.importing.writing import ImportReport, Outcome

_SHOWN = 20
_STDOUT = Path("-")


def import_(
    sources: Annotated[
        list[Path], typer.Argument(help="Exports, folders and pages, as they are.", metavar="SOURCE...")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; what it holds is kept.", metavar="FOLDER")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing; only say what would be done.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write every recipe's outcome as JSON; - is standard output."),
    ] = None,
) -> None:
    """Read recipes from pages, folders and the exports of recipe applications into a plain folder.

    The application is told by what is in a file: a zip, a folder or a single file of any of them will do,
    several at once too. Importing again updates what has changed. Exits with 1 if no recipe was found.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from savor.importing.finding import FORMATS, find
    from savor.importing.writing import write

    for source in sources:
        if not source.exists():
            raise DataError(f"{source} does not exist; give the export or the folder with the recipes")
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} recipes"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("")
        report = write(
            (one for source in sources for one in find(source, exclude=out)),
            out,
            dry_run=dry_run,
            on_progress=lambda done: progress.update(task, completed=done),
        )
    if json_file is not None:
        _write_json(report, json_file)
    if json_file != _STDOUT:
        _print(report, out, dry_run)
    if not any(one.id for one in report.recipes):
        named = ", ".join(map(str, sources))
        raise DataError(f"0 recipes found in {named}{_reasons(report)}. Known are {FORMATS}")


def _write_json(report: ImportReport, file: Path) -> None:
    text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n"
    if file == _STDOUT:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def _reasons(report: ImportReport) -> str:
    first = [f"{one.source}: {one.reason}" for one in report.recipes[:3]]
    return f" ({'; '.join(first)})" if first else " (there is no file in it)"


def _print(report: ImportReport, out: Path, dry_run: bool) -> None:
    counts = report.counts
    done = ", ".join(f"{counts[status]:,} {status}" for status in counts)
    typer.echo(f"{out}: {done}" + (" (dry run, nothing was written)" if dry_run else ""))
    for status in ("skipped", "read", "updated", "unchanged"):
        outcomes = [one for one in report.recipes if one.status == status]
        _list(
            status, outcomes if status in ("skipped", "updated") else [one for one in outcomes if one.reason]
        )


def _list(status: str, outcomes: Sequence[Outcome]) -> None:
    """Print what there is to say of recipes, those of which the same is said in one line."""
    alike: dict[str, list[Outcome]] = {}
    for one in outcomes:  # what stands after a colon is this recipe's own, such as the name of its photo
        alike.setdefault(re.sub(r": [^;]*", "", one.reason or ""), []).append(one)
    for group in list(alike.values())[:_SHOWN]:
        more = f" and {len(group) - 1:,} more" if len(group) > 1 else ""
        typer.echo(f"  {status} {group[0].source}{more}: {group[0].reason or 'changed'}")
    if len(alike) > _SHOWN:
        typer.echo(f"  and {len(alike) - _SHOWN:,} more kinds; --json FILE lists them all")


def export(
    path: Annotated[Path, typer.Argument(help="Folder with the recipes and photos.", metavar="FOLDER")],
    out: Annotated[Path, typer.Option(help="JSON-LD file to write.", metavar="FILE")],
    no_photos: Annotated[
        bool, typer.Option("--no-photos", help="Write the photos' paths instead of the photos.")
    ] = False,
) -> None:
    """Write recipes as schema.org/Recipe in one JSON-LD file, photos inside.

    `savor import` reads the file back without loss, and most recipe applications read it as well.
    """
    from savor.datasets import open_dataset
    from savor.importing.exporting import export as write_file

    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; give the name of a file, such as recipes.jsonld")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    dataset = open_dataset(path)
    count = write_file(dataset.pairs(), out, photos=not no_photos)
    if not count:
        raise DataError(f"{path} holds no recipe that can be read; `savor data check {path}` says why")
    typer.echo(f"{out}: {count:,} recipes")
