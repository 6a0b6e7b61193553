"""Tables: Kaggle's recipe sets with an image column, Plan to Eat, My Recipe Box, and tables of one's own.

They differ in the names of their columns, which are known in many spellings, in separators and in encodings.
The columns of Plan to Eat and My Recipe Box are written from public descriptions.
"""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped, attempt, digest, raw_json
from savor.importing.files import File, Source
from savor.importing.markdown import photos_named
from savor.recipe import Recipe

_COLUMNS = {
    "id": ("uid", "recipeid", "id"),
    "title": ("title", "name", "recipename", "recipetitle", "recipe", "titel"),
    "ingredients": (
        *("ingredients", "recipeingredientparts", "ingredientslist", "ingredientlist", "recipeingredient"),
        "zutaten",
    ),
    "amounts": ("recipeingredientquantities",),
    "steps": (
        "instructions",
        "directions",
        "steps",
        "method",
        "recipeinstructions",
        "preparation",
        "zubereitung",
    ),
    "image": (
        *("imagename", "image", "images", "photo", "photos", "photourl", "originalpicture", "picture"),
        *("img", "imageurl", "imgsrc", "imagepath", "imagefile", "bild"),
    ),
    "servings": (
        "servings",
        "yield",
        "recipeservings",
        "recipeyield",
        "serves",
        "quantity",
        "portions",
        "portionen",
    ),
    "prep": ("preptime", "preparationtime", "prep"),
    "cook": ("cooktime", "cookingtime", "cook"),
    "inactive": ("inactivetime",),
    "total": ("totaltime", "minutes", "time"),
    "category": ("category", "categories", "course", "recipecategory"),
    "tags": ("tags", "keywords", "cuisine", "mainingredient"),
    "source": ("url", "sourceurl", "link", "source", "recipeurl"),
    "notes": ("description", "notes", "comments", "tips"),
}
_DELIMITERS = (",", ";", "\t", "|")


def recognises(page: str) -> bool:
    """Tell whether the first row of a text names the columns of a table of recipes."""
    return _delimiter(page) is not None


def _delimiter(page: str) -> str | None:
    """Return the separator under which a title and ingredients or steps are columns."""
    first = next((line for line in page[:20_000].splitlines() if line.strip()), "")
    for delimiter in _DELIMITERS:
        names = set(_roles(next(csv.reader([first], delimiter=delimiter), [])))
        if "title" in names and {"ingredients", "steps"} & names:
            return delimiter
    return None


def _roles(header: Sequence[str]) -> dict[str, list[int]]:
    """Return for each part of a recipe the columns that hold it, the best known name first."""
    folded = [re.sub(r"[\W_]", "", name).lower() for name in header]
    places = {
        role: [folded.index(name) for name in names if name in folded] for role, names in _COLUMNS.items()
    }
    return {role: columns for role, columns in places.items() if columns}


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read a recipe from every row."""
    csv.field_size_limit(2**31 - 1)
    rows = csv.reader(io.StringIO(page, newline=""), delimiter=_delimiter(page) or ",")
    header: list[str] = []
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Skipped(f"{file.path} line {rows.line_num}", f"this row is no CSV: {error}")
            continue
        if not any(cell.strip() for cell in row):
            continue
        if not header:
            header = row
            continue
        number += 1
        where = f"{file.path} row {number}"
        yield from attempt(where, None, lambda: [_found(header, row, where, file, source)])  # noqa: B023


def _found(header: list[str], row: list[str], where: str, file: File, source: Source) -> Found | Skipped:
    if len(row) > len(header):
        reason = f"it has {len(row)} cells and the first row {len(header)}: a separator inside a text"
        return Skipped(where, reason)
    cells = dict(zip(range(len(header)), row, strict=False))
    roles = _roles(header)

    def cell(role: str) -> str:
        return next((value for column in roles.get(role, ()) if (value := cells.get(column, "").strip())), "")

    title = text.clean(cell("title"))
    ingredients, steps = _ingredients(cell("ingredients"), cell("amounts")), _steps(cell("steps"))
    if not title and not ingredients and not steps:
        return Skipped(where, "neither a title nor ingredients nor steps in this row")
    categories = text.names(_listed(cell("category")) or cell("category"))
    columns = {role: [cells.get(column, "") for column in roles.get(role, ())] for role in ("tags", "notes")}
    recipe = Recipe(
        "",
        title,
        tuple(ingredients),
        tuple(steps),
        category=categories[0] if categories else None,
        source=text.clean(cell("source")) or None,
        servings=text.clean(cell("servings")) or None,
        times=text.times(**{role: _time(cell(role)) for role in ("prep", "cook", "inactive", "total")}),
        tags=tuple(text.names(categories[1:], *(_listed(value) or value for value in columns["tags"]))),
        notes=text.joined(*columns["notes"]),
    )
    names = [name for name in _listed(cell("image")) or [cell("image")] if isinstance(name, str) and name]
    photos, remarks = photos_named(names, file, source)
    if len(row) < len(header):
        remarks = (*remarks, f"the row has {len(row)} cells and the first row {len(header)}")
    raw = raw_json(dict(zip(header, row, strict=False)))
    own = cell("id")
    key = digest("table", source.name, own or title)
    return Found(where, recipe, key, raw, ".json", photos, remarks)


def _listed(value: str) -> list[Any]:
    """Return the list a cell holds, empty if none: JSON, Python's spelling (Kaggle) or R's `c("a", "b")`."""
    value = value.strip()
    if value.startswith("c(") and value.endswith(")"):
        value = f"[{value[2:-1]}]".replace("[NA", "[None").replace(", NA", ", None")
    if not value.startswith("["):
        return []
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list) else []
    return []


def _ingredients(value: str, amounts: str) -> list[str]:
    items, numbers = _listed(value), _listed(amounts)
    if not items:
        lines = text.ingredient_lines(value)
        return text.one_line_list(lines[0]) if len(lines) == 1 else lines
    numbers = numbers if len(numbers) == len(items) else [None] * len(items)
    pairs = zip(numbers, items, strict=True)
    return [line for amount, item in pairs if (line := text.clean(f"{amount or ''} {item or ''}"))]


def _steps(value: str) -> list[str]:
    items = _listed(value)
    return text.step_list(text.block(item) for item in items) if items else text.steps(value, colon=True)


def _time(value: str) -> Any:
    """Return a time; a bare number is minutes in every table known to us."""
    return float(value) if re.fullmatch(r"\d+(?:\.\d+)?", value) else value
