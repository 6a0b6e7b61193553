"""`savor features`: frozen encoders over a data set."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from savor.datasets import Dataset
    from savor.encoders.base import ImageEncoder, TextEncoder
    from savor.extraction import Progress, Size


def features(
    path: Annotated[Path, typer.Argument(help="Folder with the recipes and photos.", metavar="PATH")],
    out: Annotated[
        Path,
        typer.Option(help="Folder for the features; an interrupted one is finished.", metavar="FEATURES"),
    ],
    image_encoder: Annotated[
        str, typer.Option(help="A bundled encoder, a Hugging Face id or a folder.")
    ] = "efficientnet-lite2",
    text_encoder: Annotated[str, typer.Option(help="Likewise.")] = "minilm",
    patches: Annotated[bool, typer.Option("--patches", help="Keep the regions of the photos too.")] = False,
    grid: Annotated[int, typer.Option(help="Rows and columns the regions are pooled to.", min=1, max=64)] = 7,
    tokens: Annotated[bool, typer.Option("--tokens", help="Keep the states of the word pieces too.")] = False,
    exclude: Annotated[
        Path | None, typer.Option(help="File with recipe ids to leave out, one a line.", metavar="FILE")
    ] = None,
    repairs: Annotated[
        str | None, typer.Option(help="Named repair of the texts, such as slashes-v1.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare finished features with their checksums.")
    ] = False,
) -> None:
    """Extract features from a data set.

    An interrupted extraction goes on where it stopped; a finished one costs nothing.
    """
    from savor.datasets import open_dataset, read_ids
    from savor.encoders import open_image_encoder, open_text_encoder
    from savor.extraction import extract, measure
    from savor.features import Features, read_manifest

    dataset = open_dataset(path, exclude=read_ids(exclude) if exclude else (), repairs=repairs)
    images, texts = open_image_encoder(image_encoder), open_text_encoder(text_encoder)
    cells = (grid, grid) if patches else None
    total = None
    found = read_manifest(out)
    if found is None or not found["finished"]:
        total = measure(dataset)
        _announce(dataset, total, images, texts, cells, tokens, out)
    with _bar() as show:
        manifest = extract(
            dataset, out, images, texts, grid=cells, tokens=tokens, total=total, on_progress=show
        )
    opened = Features.open(out)
    if verify:
        opened.verify()
    failed = manifest["failed_photos"]
    for one in failed[:5]:
        typer.echo(f"savor: warning: {one['reason']}", err=True)
    if len(failed) > 5:
        typer.echo(
            f"savor: warning: {len(failed)} photos in all could not be read; {out}/manifest.json lists them",
            err=True,
        )
    photos = int(opened.has_photo.sum())
    typer.echo(f"{out}: {len(opened):,} recipes, {photos:,} with photo, data {opened.fingerprint}", err=True)


def _announce(
    dataset: Dataset,
    total: Size,
    images: ImageEncoder,
    texts: TextEncoder,
    cells: tuple[int, int] | None,
    tokens: bool,
    out: Path,
) -> None:
    """Say what it will take, before it is taken.

    Raises:
        FeaturesError: the disk is too small for it.
    """
    from savor.errors import FeaturesError
    from savor.extraction import estimate_disk, time_encoders

    needed = estimate_disk(total, images.dim, texts.dim, cells[0] * cells[1] if cells else 0, tokens=tokens)
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    per_photo, per_line = time_encoders(dataset, images, texts)
    minutes = (total.photos * per_photo + total.lines * per_line) / 60
    typer.echo(
        f"{total.recipes:,} recipes, {total.photos:,} photos, {total.lines:,} lines:"
        f" about {needed / 1e6:,.0f} MB on disk and {minutes:,.0f} minutes",
        err=True,
    )
    if needed > free:
        raise FeaturesError(
            f"{out}: {free / 1e6:,.0f} MB free there, {needed / 1e6:,.0f} needed; name another disk"
        )


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """Offer a function that draws progress on standard error: a bar, or lines where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("recipes"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, rate="")
        clock = _Clock()

        def show(progress: Progress) -> None:
            rate = clock.rate(progress.photos)
            bar.update(
                task, total=progress.total.recipes, completed=progress.recipes, rate=f"{rate:.0f} photos/s"
            )
            if not console.is_terminal and clock.due():
                left = (progress.total.photos - progress.photos) / max(rate, 1e-9) / 60
                typer.echo(
                    f"{progress.recipes:,} of {progress.total.recipes:,} recipes, {rate:.0f} photos/s,"
                    f" {left:.0f} minutes left",
                    err=True,
                )

        yield show


class _Clock:
    """Rate since the start, and whether it is time for another line of progress."""

    def __init__(self, every: float = 30.0) -> None:
        self.every, self.start, self.last = every, time.monotonic(), time.monotonic()
        self.first: int | None = None

    def rate(self, photos: int) -> float:
        self.first = photos if self.first is None else self.first
        return (photos - self.first) / max(time.monotonic() - self.start, 1e-9)

    def due(self) -> bool:
        now = time.monotonic()
        due = now - self.last >= self.every
        self.last = now if due else self.last
        return due
