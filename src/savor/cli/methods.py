"""`savor methods`: what there is to train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def methods(
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the list as JSON; - is standard output.")
    ] = None,
) -> None:
    """List the methods with their papers, what they read and their options."""
    import json

    from savor.methods import available, find

    found = {name: find(name) for name in available()}
    if json_file is None:
        for name, method in found.items():
            options = ", ".join(f"{key}={value}" for key, value in method.defaults().items())
            summary = (method.__doc__ or "").strip().splitlines()[0]
            typer.echo(
                f"{name}\n  {summary}\n  {method.paper}; reads {', '.join(method.uses)}\n  --set {options}"
            )
        return
    listed = [
        {"name": name, "paper": method.paper, "uses": list(method.uses), "options": method.defaults()}
        for name, method in found.items()
    ]
    text = json.dumps(listed, indent=1) + "\n"
    if json_file == Path("-"):
        sys.stdout.write(text)
    else:
        json_file.write_text(text, "utf-8")
