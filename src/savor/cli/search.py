"""`savor index` and `savor search`: from a trained run to answers."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from savor.cli.cookbook import IndexOrCookbook, cookbook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from savor.answers import Answer, Found
    from savor.index.building import Summary
    from savor.recipe import Recipe
    from savor.search import Searcher

EXAMPLES = 5


def index(
    out: Annotated[Path, typer.Option(help="The index; one that is there is added to.", metavar="INDEX")],
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Folder that `savor train` wrote; the starter model if left out.",
            metavar="RUN",
            show_default=False,
        ),
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
    if (data is None) == (features is None):
        raise UsageError("name either --data or --features: what is to be indexed")

    from savor.datasets import open_dataset
    from savor.features import Features
    from savor.index.building import build
    from savor.runs import open_run

    opened = open_run(run if run is not None else _own_run(out))
    source = open_dataset(data) if data is not None else Features.open(str(features))
    with _bar() as show:
        summary = build(source, opened, out, splits=split or (), backend=backend, on_progress=show)
    _report(summary, out)


def _own_run(out: Path) -> Path:
    """Return the run of the index that is there, or for a new one the starter model."""
    from savor import starter
    from savor.index.folder import MANIFEST, RUN

    return out / RUN if (out / MANIFEST).is_file() else starter.folder()


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
    index: IndexOrCookbook = None,
    photo: Annotated[Path | None, typer.Option(help="Search with a photo.", metavar="FILE")] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help='Or with words, such as "soup with leeks, no dairy"; or with both.', metavar="STRING"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Or with a recipe: a JSON file, or the id of one in the index.", metavar="FILE|ID"),
    ] = None,
    find: Annotated[
        Literal["recipes", "photos"] | None,
        typer.Option(help="What to look for; recipes, or for --recipe photos.", show_default=False),
    ] = None,
    have: Annotated[
        list[str] | None,
        typer.Option(
            help="Only with this ingredient, or group: fish, vegan; may be repeated.", metavar="FOOD"
        ),
    ] = None,
    avoid: Annotated[
        list[str] | None,
        typer.Option(help="Only without this one: nuts, dairy, onion; may be repeated.", metavar="FOOD"),
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only of this category.", metavar="NAME")] = None,
    source: Annotated[str | None, typer.Option(help="Only from this source.", metavar="NAME")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Only if ready in so many minutes.", metavar="N")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Take --text as words only, not as conditions.")
    ] = False,
    why: Annotated[bool, typer.Option("--why", help="Show which ingredients answer the query.")] = False,
    k: Annotated[int, typer.Option("-k", help="How many hits.", metavar="N")] = 10,
    offset: Annotated[int, typer.Option(help="How many hits to leave out before.", metavar="N")] = 0,
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

    if recipe is not None and (photo is not None or text is not None):
        raise UsageError("search with --recipe alone, or with --photo, --text or both")
    if text is not None and not text.strip():
        raise UsageError("--text is blank; give at least a word")
    if json_file == html_file == Path("-"):
        raise UsageError("--json - and --html - cannot share standard output; write one of them to a file")

    from savor.queries import where_of
    from savor.recipe import Recipe
    from savor.search import Searcher, as_picture

    where = where_of(have or (), avoid or (), category, source, minutes)
    if not where and photo is None and text is None and recipe is None:
        raise UsageError("search with --photo, --text or --recipe, or with a condition such as --have FOOD")
    searcher = Searcher(cookbook() if index is None else index, rerank)
    picture = None if photo is None else as_picture(photo)
    asked = None if recipe is None else _recipe_or_id(searcher, recipe)
    answer = searcher.ask(
        photo=picture,
        text=text,
        recipe=asked,
        find=find,
        k=k,
        offset=offset,
        where=where,
        group=False,
        as_is=as_is,
    )
    _explain(answer, asked_in_words=text is not None and not as_is)
    if json_file is not None:
        _write(json.dumps(_as_json(answer.hits, why), indent=1, ensure_ascii=False) + "\n", json_file)
    if html_file is not None:
        from savor.gallery import render

        shown = searcher.index.recipe(asked) if isinstance(asked, str) else asked
        words = Recipe("", text) if text is not None else shown
        hits = [found.hit for found in answer.hits]
        _write(render(hits, searcher.index, photo=picture, recipe=words), html_file)
    if Path("-") not in (json_file, html_file):
        _print(answer.hits, why)


def _explain(answer: Answer, *, asked_in_words: bool) -> None:
    """Say on standard error what was taken as a condition, and what the hits alone do not tell."""
    if asked_in_words and answer.understood.where:
        typer.echo(f"savor: understood as: {answer.understood}", err=True)
    for note in answer.notes:
        typer.echo(f"savor: {note}", err=True)
    if answer.confidence is not None and answer.confidence.level in ("low", "none"):
        typer.echo(f"savor: {answer.confidence.message}", err=True)


def _as_json(hits: Sequence[Found], why: bool) -> list[dict[str, Any]]:
    return [{**found.hit.as_dict(), **({"matched": list(found.matched)} if why else {})} for found in hits]


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


def _print(found: Sequence[Found], why: bool) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    hits = [one.hit for one in found]
    reranked = any(hit.first_stage_score is not None for hit in hits)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    if reranked:
        table.add_column("first stage", justify="right")
    table.add_column("title", overflow="fold", max_width=64)
    table.add_column("id", overflow="fold")
    if why:
        table.add_column("matched", overflow="fold")
    for one, hit in zip(found, hits, strict=True):
        cosine = hit.score if hit.first_stage_score is None else hit.first_stage_score
        scores = [f"{hit.score:.3f}", *([f"{cosine:.3f}"] if reranked else [])]
        reasons = [_printable(", ".join(one.matched))] if why else []
        table.add_row(str(hit.rank), *scores, _printable(hit.title), _printable(hit.id), *reasons)
    width = None if sys.stdout.isatty() else 110
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def _printable(text: str) -> str:
    """Return a text without what could steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
