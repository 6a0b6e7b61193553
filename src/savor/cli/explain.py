"""`savor explain`: which words of a recipe belong to which part of a photo."""

from __future__ import annotations

import json
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from savor.cli.cookbook import cookbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL import Image

    from savor.explain import Explanation
    from savor.index.embedding import Embedder
    from savor.recipe import Recipe
    from savor.search import Searcher

KINDS = (".html", ".png", ".json")
MOST_CELLS = 256


def explain(
    photo: Annotated[Path, typer.Option(help="The photo.", metavar="FILE")],
    out: Annotated[
        Path,
        typer.Option(help="FILE.html, FILE.png or FILE.json; - is JSON on standard output.", metavar="FILE"),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(
            help="An index, or a run to explain a recipe of your own with; the starter cookbook if left out.",
            metavar="INDEX|RUN",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A JSON file with a recipe, or the id of one in the index; without it the best hits.",
            metavar="FILE|ID",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="similarity, attention, masking or ranks, or several with commas; the best there is.",
            metavar="WAYS",
            show_default=False,
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits, without --recipe.", metavar="N")] = 3,
    grid: Annotated[
        str | None,
        typer.Option(
            help="Rows and columns of regions, as 5x5; those of the index or run, or 7x7.", metavar="RxC"
        ),
    ] = None,
) -> None:
    """Show which words of a recipe belong to which part of a photo."""
    from savor.errors import UsageError

    if out != Path("-") and out.suffix.lower() not in KINDS:
        raise UsageError(f"--out {out}: name a file that ends in {', '.join(KINDS)}, or - for JSON")
    chosen = None if method is None else list(dict.fromkeys(re.split(r"\s*,\s*", method.strip())))
    cells = None if grid is None else _grid(grid)

    from savor.explain.finding import HOOKS, ways
    from savor.search import as_picture

    for way in chosen or ():
        if way not in HOOKS:
            raise UsageError(f"--method {way}: no such way; choose from {', '.join(HOOKS)}")
    embedder, searcher = _open(cookbook() if source is None else source, cells)
    offered = ways(embedder.run.method)
    for way in chosen or ():
        if way not in offered:
            name = embedder.run.config["method"]
            raise UsageError(f"--method {way}: {name} cannot be explained so; it offers {', '.join(offered)}")
    picture = as_picture(photo)
    found = list(_explained(embedder, searcher, picture, recipe, chosen or offered[:1], k))
    if not found:
        raise UsageError("the hits have no words to explain; name a recipe with --recipe")
    _write(found, picture, out)


def _grid(text: str) -> tuple[int, int]:
    from savor.errors import UsageError

    sides = re.fullmatch(r"(\d{1,3})\s*[x×]\s*(\d{1,3})", text.strip())
    rows, columns = (int(side) for side in sides.groups()) if sides else (0, 0)
    if not 2 <= rows * columns <= MOST_CELLS:
        raise UsageError(f"--grid {text}: write rows x columns, 2 to {MOST_CELLS} regions in all, as 5x5")
    return rows, columns


def _open(source: Path, grid: tuple[int, int] | None) -> tuple[Embedder, Searcher | None]:
    """Open a run or an index; only an index can be searched."""
    from savor.index.embedding import Embedder
    from savor.runs import CONFIG, open_run
    from savor.search import Searcher

    if (source / CONFIG).is_file():
        return Embedder(open_run(source), grid), None
    searcher = Searcher(source)
    embedder = searcher.embedder
    return embedder if grid is None else Embedder(embedder.run, grid), searcher


def _explained(
    embedder: Embedder,
    searcher: Searcher | None,
    picture: Image.Image,
    given: str | None,
    chosen: Sequence[str],
    k: int,
) -> Iterator[Explanation]:
    """Explain the recipe that was given, or the best hits."""
    from savor.explain import Explanation, correspond, words_of

    for rank, recipe in _recipes(searcher, picture, given, k):
        if rank is not None and not words_of(recipe):
            typer.echo(f"savor: warning: {recipe.id}: no words to explain, left out", err=True)
            continue
        found = tuple(correspond(embedder, picture, recipe, way) for way in chosen)
        yield Explanation(recipe, found, rank)


def _recipes(
    searcher: Searcher | None, picture: Image.Image, given: str | None, k: int
) -> Iterator[tuple[int | None, Recipe]]:
    from savor.datasets.base import is_file
    from savor.errors import UsageError
    from savor.search import read_recipe

    if given is not None and is_file(Path(given)):
        yield (
            None,
            read_recipe(
                Path(given), lambda reason: typer.echo(f"savor: warning: {given}: {reason}", err=True)
            ),
        )
    elif searcher is None:
        raise UsageError(
            "a run holds no recipes: name a JSON file with --recipe FILE, or an index instead of the run"
            if given is None
            else f"--recipe {given}: there is no such file, and a run holds no recipes to find an id in"
        )
    elif given is not None:
        recipe = searcher.index.recipe(given)
        if recipe is None:
            raise UsageError(
                f"--recipe {given}: there is no such file, and no recipe with this id is listed in"
                f" {searcher.index.path}"
            )
        yield None, recipe
    else:
        for hit in searcher.by_photo(picture, k):
            recipe = searcher.index.recipe(hit.recipe_id)
            assert recipe is not None
            yield hit.rank, recipe


def _write(found: Sequence[Explanation], picture: Image.Image, out: Path) -> None:
    """Write the explanations as the file's name says; say on standard output what they are of."""
    kind = out.suffix.lower()
    if kind == ".html":
        from savor.explain.page import render

        out.write_text(render(picture, found), encoding="utf-8")
    elif kind == ".png":
        from savor.explain.drawing import draw

        file = BytesIO()
        draw(picture, found).save(file, "PNG")
        out.write_bytes(file.getvalue())
    else:
        text = json.dumps([one.as_dict() for one in found], indent=1, ensure_ascii=False) + "\n"
        if out == Path("-"):
            sys.stdout.write(text)
        else:
            out.write_text(text, encoding="utf-8")
    if out != Path("-"):
        names = ", ".join(one.way for one in found[0].found)
        typer.echo(f"{out}: {names}; " + "; ".join(_named(one) for one in found))


def _named(explanation: Explanation) -> str:
    title = "".join(letter if letter.isprintable() else " " for letter in explanation.title)
    return f"{title} ({explanation.found[0].score:.3f})"
