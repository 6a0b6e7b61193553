"""`savor methods`: what there is to train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from savor.methods.base import Method


def methods(
    method: Annotated[
        str | None, typer.Argument(help="Show this one alone, with its options.", metavar="[METHOD]")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the list as JSON; - is standard output.")
    ] = None,
) -> None:
    """List the methods with their papers, losses and what they read; of one its options, too."""
    import json

    from savor.methods import available, find

    found = {name: find(name) for name in ([method] if method else available())}
    if json_file is None:
        if method is None:
            _print_table(found)
        else:
            _print_one(method, found[method])
        return
    text = json.dumps([_fields(name, one) for name, one in found.items()], indent=1) + "\n"
    if json_file == Path("-"):
        sys.stdout.write(text)
    else:
        json_file.write_text(text, "utf-8")


def _fields(name: str, method: type[Method]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": (method.__doc__ or "").strip().splitlines()[0],
        "paper": method.paper,
        "year": method.year(),
        "loss": method.loss,
        "uses": list(method.uses),
        "reranks": method.reranks,
        "options": method.defaults(),
        "training": None if method.trains_with is None else vars(method.trains_with),
    }


def _print_table(found: dict[str, type[Method]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head, width in (("name", None), ("year", None), ("paper", 34), ("loss", 36), ("reads", 20)):
        table.add_column(head, no_wrap=width is None, max_width=width)
    for name, method in found.items():
        row = _fields(name, method)
        table.add_row(name, str(row["year"] or "–"), row["paper"], row["loss"], ", ".join(row["uses"]))
    width = None if sys.stdout.isatty() else 130
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
    typer.echo("`savor methods METHOD` shows the options of one.")


def _print_one(name: str, method: type[Method]) -> None:
    row = _fields(name, method)
    typer.echo(f"{name}: {row['summary']}")
    for field in ("paper", "year", "loss"):
        typer.echo(f"  {field}: {row[field]}")
    typer.echo(f"  reads: {', '.join(row['uses'])}")
    for title, options in (("options", row["options"]), ("training", row["training"])):
        if options is not None:
            listed = "".join(f"\n    {key}={value}" for key, value in options.items())
            typer.echo(f"  {title}, with their defaults:{listed}")
