"""`savor generate`: pictures that a run draws from recipes, and how good they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from savor.batch import Batch
    from savor.features import Features
    from savor.runs import Run

MOST = 64


def generate(
    run: Annotated[Path, typer.Argument(help="Folder made by `savor train`.", metavar="RUN")],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A JSON file with a recipe, or with --features the id of one in them.", metavar="FILE|ID"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Picture to write.", metavar="FILE.png")] = None,
    count: Annotated[int, typer.Option(help="How many pictures, side by side.", min=1, max=MOST)] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the noise; the next picture has the next.", min=0)] = 0,
    features: Annotated[
        Path | None, typer.Option(help="Folder made by `savor features`.", metavar="FEATURES")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the pictures of a split instead.")
    ] = False,
    split: Annotated[str, typer.Option(help="Split that is measured.")] = "val",
    data: Annotated[
        Path | None, typer.Option(help="The data set itself, to measure against its photos.", metavar="PATH")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File for the measures; - is standard output.")
    ] = None,
) -> None:
    """Draw the picture of a recipe, or measure the pictures of a whole split.

    With --measure, --out holds the pictures of the split's first recipes.
    """
    from savor.errors import UsageError

    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: the file is a PNG picture, name it .png")
    if measure:
        if features is None or recipe is not None:
            raise UsageError("--measure: takes a split's recipes; give --features, and no --recipe")
        _measure(run, features, split, data, seed, out, json_file)
        return
    for given, needs in ((data, "--data"), (json_file, "--json")):
        if given is not None:
            raise UsageError(f"{needs} {given}: goes with --measure")
    if recipe is None or out is None:
        raise UsageError("name a recipe and the picture to write: --recipe FILE|ID --out FILE.png")
    _draw(run, recipe, features, out, range(seed, seed + count))


def _draw(folder: Path, recipe: str, features: Path | None, out: Path, seeds: range) -> None:
    """Write the pictures of one recipe side by side."""
    import torch

    from savor.generating import grid
    from savor.runs import open_run

    run = open_run(folder)
    batch = _batch(run, recipe, features)
    pictures = torch.cat([run.method.generate(batch, seed) for seed in seeds])
    _save(pictures, out, grid(pictures))


def _batch(run: Run, recipe: str, features: Path | None) -> Batch:
    """Encode a recipe of a file, or read one from features by its id."""
    from savor.datasets.base import is_file
    from savor.errors import UsageError
    from savor.index.embedding import Embedder
    from savor.search import read_recipe

    if is_file(Path(recipe)):
        read = read_recipe(
            Path(recipe), lambda reason: typer.echo(f"savor: warning: {recipe}: {reason}", err=True)
        )
        return Embedder(run).recipe_batch([read])
    if features is None:
        raise UsageError(
            f"--recipe {recipe}: there is no such file; to draw a recipe by its id name --features"
        )
    stored = _stored(run, features)
    rows = (stored.ids == recipe).nonzero()[0]
    if len(rows) == 0:
        raise UsageError(f"--recipe {recipe}: there is no such file, and no such id in {features}")
    if not stored.has_text[rows[0]]:
        raise UsageError(f"--recipe {recipe}: has neither title nor ingredients nor instructions")
    return stored.batch(rows, run.method.uses, words=run.method.words, raw=run.method.raw)


def _measure(
    folder: Path,
    features: Path,
    split: str,
    data: Path | None,
    seed: int,
    out: Path | None,
    json_file: Path | None,
) -> None:
    """Compare the pictures of a split with its photos."""
    from savor.cli.train import attach, command_line
    from savor.errors import UsageError
    from savor.generating import SHOWN, drawn, first_photos, grid, measure
    from savor.index.embedding import Embedder
    from savor.runs import open_run

    run = open_run(folder)
    stored = _stored(run, features)
    rows = stored.rows(split, photo=True, text=True)
    if len(rows) < 2:
        raise UsageError(f"{features}: {len(rows)} recipes of {split!r} have a photo and text; 2 are needed")
    pictures = drawn(run.method, stored, rows, seed)
    attach(stored, ("pixels",), data)
    photos = first_photos(stored, rows, pictures.shape[-1])
    quality = measure(pictures, photos, Embedder(run).image_encoder)
    if out is not None:
        _save(pictures, out, grid(pictures[:SHOWN]))
    facts = {"split": split, "seed": seed, "data": stored.fingerprint, "command": command_line()}
    _report({**quality.to_json(), **facts}, json_file)


def _stored(run: Run, features: Path) -> Features:
    from savor.features import Features

    stored = Features.open(features)
    run.check(stored)
    return stored


def _save(pictures: Tensor, out: Path, sheet: Any) -> None:
    from PIL import Image

    Image.fromarray(sheet).save(out, "PNG")
    size = pictures.shape[-1]
    typer.echo(f"{out}: {len(pictures)} picture{'s' * (len(pictures) > 1)} of {size} x {size}", err=True)


def _report(found: dict[str, Any], json_file: Path | None) -> None:
    """Write the measures as JSON, or print them."""
    if json_file is not None:
        text = json.dumps(found, indent=1) + "\n"
        if json_file == Path("-"):
            sys.stdout.write(text)
        else:
            json_file.write_text(text, "utf-8")
        return
    for name in ("frechet_distance", "pixel_error"):
        one = found[name]
        typer.echo(f"{name}: {one['pictures']:.4f}, of the mean photo {one['mean_photo']:.4f}")
    typer.echo(f"variety: {found['variety']:.3f} of the photos'{', collapsed' * found['collapsed']}")
    scores = ", ".join(f"{name} {value:.4g}" for name, value in found["retrieval_by_picture"].items())
    typer.echo(f"retrieval by picture among {found['pictures']} photos: {scores}")
