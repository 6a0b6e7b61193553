"""`savor data`: look at a dataset before working with it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from savor.datasets.check import CheckResult, Shared

app = typer.Typer(no_args_is_help=True)


@app.callback()
def data() -> None:
    """Check a data set, or draw a toy one."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="Folder with the recipes and photos.", metavar="PATH")],
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the result with every problem as JSON; - is standard output."),
    ] = None,
    max_missing: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the photos that may be missing or unreadable.")
    ] = 0.05,
    exclude: Annotated[
        Path | None, typer.Option(help="File with recipe ids to leave out, one a line.", metavar="FILE")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not decode the photos; only look whether they are there.")
    ] = False,
) -> None:
    """Say what a dataset holds, what was left out and why.

    Exits with 1 if nothing could be read, or too many photos are missing or unreadable.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from savor.datasets import open_dataset, read_ids
    from savor.datasets.check import check_dataset

    dataset = open_dataset(path, exclude=read_ids(exclude) if exclude else ())
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} recipes read"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("")
        result = check_dataset(
            dataset,
            max_missing=max_missing,
            decode=not quick,
            every_problem=json_file is not None,
            on_progress=lambda read: progress.update(task, completed=read),
        )
    if json_file is not None:
        _write_json(result, json_file)
    if json_file != Path("-"):
        _print(result)
    for failure in result.failures:
        typer.echo(f"savor: error: {failure}", err=True)
    if result.failures:
        raise typer.Exit(1)


def _write_json(result: CheckResult, file: Path) -> None:
    text = json.dumps(result.as_dict(), indent=2) + "\n"
    if file == Path("-"):
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def _print(result: CheckResult) -> None:
    from rich.console import Console

    width = None if sys.stdout.isatty() else 110
    console = Console(soft_wrap=True, highlight=False, markup=False, width=width)
    console.print(f"{result.path}: {result.kind}, fingerprint {result.fingerprint[:23]}")
    console.print(_split_table(result))
    for line in _photo_lines(result):
        console.print(line)
    for name, kind in result.problems.items():
        console.print(f"{name} ({kind.effect}): {kind.count:,}")
        for place, reason in kind.examples[:5]:
            console.print(f"  {place}: {reason}")
        if kind.count > 5:
            console.print(f"  and {kind.count - 5:,} more; --json FILE lists them all")


def _split_table(result: CheckResult) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("split")
    heads = ("recipes", "with photo", "complete", "title only", "no title", "no ingredients", "no steps")
    for head in heads:
        table.add_column(head, justify="right")
    for name, counts in result.splits.items():
        numbers = [counts.recipes, counts.with_photo, counts.complete, counts.title_only]
        numbers += counts.without.values()
        table.add_row(name, *(f"{number:,}" for number in numbers))
    return table


def _photo_lines(result: CheckResult) -> list[str]:
    lines = [f"photos listed: {result.photos_listed:,}, missing: {result.photos_missing:,}"]
    if result.photos_unreadable is None:
        lines[0] += "; not decoded and not compared (--quick)"
    else:
        lines[0] += f", unreadable: {result.photos_unreadable:,}"
    lines += _shared_lines("photos in several splits", result.in_several_splits)
    lines += _shared_lines("photos of several recipes", result.in_several_recipes)
    lines.append(f"titles in several splits: {result.titles_in_several_splits:,}")
    return lines


def _shared_lines(name: str, shared: Shared | None) -> list[str]:
    if shared is None:
        return []
    return [f"{name}: {shared.count:,}", *(f"  {', '.join(owners)}" for owners in shared.examples[:5])]
