"""`savor ground`: what the correspondences of runs are worth, measured."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer


def ground(
    runs: Annotated[
        list[str], typer.Argument(help="Folders made by `savor train`, or NAME=FOLDER.", metavar="RUN...")
    ],
    data: Annotated[
        Path,
        typer.Option(help="The data set itself; with regions.jsonl its masks are the truth.", metavar="PATH"),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="JSON file for the report; rows that it holds are not measured again.", metavar="FILE"
        ),
    ],
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "val",
    method: Annotated[
        str | None,
        typer.Option(
            help="similarity, attention, masking or ranks, or several with commas; all there are.",
            metavar="WAYS",
            show_default=False,
        ),
    ] = None,
    photos: Annotated[int, typer.Option(help="Pairs explained, drawn at random.", min=1)] = 100,
    grid: Annotated[int, typer.Option(help="Rows and columns of the regions.", min=2, max=16)] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of the random orders.", min=0)] = 0,
) -> None:
    """Measure how well words find their regions, against chance and what else could explain it.

    The report is printed as Markdown.
    """
    from savor.datasets import open_dataset
    from savor.errors import UsageError
    from savor.measuring import HeldOut, measure
    from savor.runs import open_run

    named = dict(_named(one) for one in runs)
    if len(named) < len(runs):
        raise UsageError(f"two of the runs have one name: {' '.join(runs)}; write NAME=FOLDER")
    opened = {name: open_run(folder) for name, folder in named.items()}
    held_out = HeldOut(open_dataset(data), split, photos=photos, seed=seed)
    wanted = [one.strip() for one in method.split(",")] if method else []
    report = measure(
        opened, held_out, ways=wanted, grid=(grid, grid), seed=seed, out=out, on_progress=_Progress()
    )
    sys.stdout.write(report.to_markdown())


def _named(run: str) -> tuple[str, Path]:
    name, equals, folder = run.partition("=")
    return (name, Path(folder)) if equals else (Path(run).name, Path(run))


class _Progress:
    """Says on standard error where the work is, every half minute and at the start of a row."""

    def __init__(self, every: float = 30.0) -> None:
        self.every, self.last = every, time.monotonic()

    def __call__(self, row: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == 0 or now - self.last >= self.every:
            self.last = now
            typer.echo(f"{row}: {done} of {total} pairs", err=True)
