"""`savor index` and `savor search`: from a trained run to answers."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from PIL import Image

    from savor.index import Find
    from savor.index.building import Summary
    from savor.recipe import Recipe
    from savor.search import Hit, Searcher

EXAMPLES = 5
NO_STARTER = "there is no starter model in this version of Savor yet"


def index(
    out: Annotated[Path, typer.Option(help="The index; one that is there is added to.", metavar="INDEX")],
    run: Annotated[
        Path | None,
        typer.Argument(help="Folder that `savor train` wrote.", metavar="RUN", show_default=False),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set to encode with the run's encoders.", metavar="PATH")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="Or features made with them.", metavar="FEATURES")
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Split to index; may be repeated. Without it all but test.", metavar="SPLIT"),
    ] = None,
    backend: Annotated[
        Literal["exact", "lance", "qdrant"] | None,
        typer.Option(
            help="What keeps the vectors of a new index: exact up to 200,000 recipes or photos, else lance.",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(help="Only remove this recipe and its photos; may be repeated.", metavar="ID"),
    ] = None,
) -> None:
    """Make an index to search, add to one, or remove recipes from it.

    It holds all that a search needs: the run, the vectors, the recipes' texts and small copies of the photos.
    """
    from savor.errors import UsageError

    if remove:
        if any(given is not None for given in (run, data, features, split, backend)):
            raise UsageError("--remove stands alone: `savor index --out INDEX --remove ID`")
        _remove(out, remove)
        return
    if run is None:
        raise UsageError(f"{NO_STARTER}: name a run, `savor index RUN --data PATH --out INDEX`")
    if (data is None) == (features is None):
        raise UsageError("name either --data or --features: what is to be indexed")

    from savor.datasets import open_dataset
    from savor.features import Features
    from savor.index.building import build
    from savor.runs import open_run

    opened = open_run(run)
    source = open_dataset(data) if data is not None else Features.open(str(features))
    with _bar() as show:
        summary = build(source, opened, out, splits=split or (), backend=backend, on_progress=show)
    _report(summary, out)


def _remove(out: Path, recipe_ids: list[str]) -> None:
    """Remove recipes from an index, all of them or, if there is a wrong id among them, none."""
    from savor.errors import UsageError
    from savor.index.backends import opened

    index = opened(out)
    unknown = sorted(set(recipe_ids) - index.contents().keys())
    if unknown:
        some = ", ".join(map(repr, unknown[:EXAMPLES]))
        raise UsageError(f"--remove: {out} has no recipe {some}; nothing was removed")
    number = index.remove(recipe_ids)
    typer.echo(
        f"{out}: {index.count('recipes'):,} recipes, {index.count('photos'):,} photos; {number:,} removed"
    )


def _report(summary: Summary, out: Path) -> None:
    """Say on standard error what was left out, on standard output what there is."""
    for note in summary.notes:
        typer.echo(f"savor: warning: {note}", err=True)
    failed = summary.failed_photos
    for reason in failed[:EXAMPLES]:
        typer.echo(f"savor: warning: {reason}", err=True)
    if failed:
        typer.echo(f"savor: warning: photos left out because they cannot be read: {len(failed):,}", err=True)
    if summary.empty:
        typer.echo(f"savor: warning: left out, neither text nor photo: {summary.empty:,}", err=True)
    typer.echo(
        f"{out}: {summary.recipes:,} recipes, {summary.photos:,} photos; {summary.added:,} added,"
        f" {summary.updated:,} updated, {summary.unchanged:,} unchanged"
    )


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Offer a function that draws progress on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("recipes"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def search(
    index: Annotated[
        Path | None,
        typer.Argument(help="Folder that `savor index` wrote.", metavar="INDEX", show_default=False),
    ] = None,
    photo: Annotated[Path | None, typer.Option(help="Search with a photo.", metavar="FILE")] = None,
    text: Annotated[str | None, typer.Option(help="Or with words.", metavar="STRING")] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Or with a recipe: a JSON file, or the id of one in the index.", metavar="FILE|ID"),
    ] = None,
    find: Annotated[
        Literal["recipes", "photos"] | None,
        typer.Option(help="What to look for; recipes, or for --recipe photos.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.", metavar="N")] = 10,
    rerank: Annotated[
        int | None,
        typer.Option(
            help="How many of the nearest a pair scorer orders again, 0 none; as the run has it if left out.",
            min=0,
            metavar="K",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the hits as JSON; - is standard output.", metavar="FILE"),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a page with the photos; likewise.", metavar="FILE")
    ] = None,
) -> None:
    """Find the recipes behind a photo, or the photos behind a recipe."""
    from savor.errors import UsageError

    if index is None:
        raise UsageError(f"{NO_STARTER}: name an index, such as `savor search INDEX --photo FILE`")
    if sum(query is not None for query in (photo, text, recipe)) != 1:
        raise UsageError("search with exactly one of --photo, --text and --recipe")
    if json_file == html_file == Path("-"):
        raise UsageError("--json - and --html - cannot share standard output; write one of them to a file")

    from savor.search import Searcher

    searcher = Searcher(index, rerank)
    find = find or ("photos" if recipe is not None else "recipes")
    hits, picture, words = _ask(searcher, photo, text, recipe, find, k)
    if json_file is not None:
        _write(json.dumps([hit.as_dict() for hit in hits], indent=1, ensure_ascii=False) + "\n", json_file)
    if html_file is not None:
        from savor.gallery import render

        _write(render(hits, searcher.index, photo=picture, recipe=words), html_file)
    if Path("-") not in (json_file, html_file):
        _print(hits)


def _ask(
    searcher: Searcher, photo: Path | None, text: str | None, recipe: str | None, find: Find, k: int
) -> tuple[list[Hit], Image.Image | None, Recipe | None]:
    """Return the hits, and the query as the gallery shows it: a picture or a recipe."""
    from savor.recipe import Recipe
    from savor.search import as_picture

    if photo is not None:
        picture = as_picture(photo)
        return searcher.by_photo(picture, k, find=find), picture, None
    if text is not None:
        return searcher.by_text(text, k, find=find), None, Recipe("", text)
    assert recipe is not None
    query = _recipe_or_id(searcher, recipe)
    shown = searcher.index.recipe(query) if isinstance(query, str) else query
    return searcher.by_recipe(query, k, find=find), None, shown


def _recipe_or_id(searcher: Searcher, given: str) -> Recipe | str:
    """Return the recipe in a JSON file, or where there is no such file, the id of one in the index."""
    from savor.datasets.base import is_file
    from savor.errors import UsageError
    from savor.search import read_recipe

    if is_file(Path(given)):
        return read_recipe(
            Path(given), lambda reason: typer.echo(f"savor: warning: {given}: {reason}", err=True)
        )
    if searcher.index.recipe(given) is None:
        raise UsageError(
            f"--recipe {given}: there is no such file, and no recipe with this id is listed in"
            f" {searcher.index.path}"
        )
    return given


def _write(text: str, file: Path) -> None:
    if file == Path("-"):
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")


def _print(hits: Sequence[Hit]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    reranked = any(hit.first_stage_score is not None for hit in hits)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    if reranked:
        table.add_column("first stage", justify="right")
    table.add_column("title", overflow="fold", max_width=64)
    table.add_column("id", overflow="fold")
    for hit in hits:
        cosine = hit.score if hit.first_stage_score is None else hit.first_stage_score
        scores = [f"{hit.score:.3f}", *([f"{cosine:.3f}"] if reranked else [])]
        table.add_row(str(hit.rank), *scores, _printable(hit.title), _printable(hit.id))
    width = None if sys.stdout.isatty() else 110
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _printable(text: str) -> str:
    """Return a text without what could steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
