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
    "title": (
        *("title", "name", "recipename", "recipetitle", "recipe", "titel", "titre", "nom", "título"),
        *("titulo", "nombre", "titolo"),
    ),
    "ingredients": (
        *("ingredients", "recipeingredientparts", "ingredientslist", "ingredientlist", "recipeingredient"),
        *("ingredient", "zutaten", "ingrédients", "ingredientes", "ingredienti"),
    ),
    "amounts": ("recipeingredientquantities",),
    "steps": (
        *("instructions", "directions", "steps", "method", "recipeinstructions", "preparation"),
        *("zubereitung", "préparation", "étapes", "instrucciones", "preparación", "preparazione"),
    ),
    "image": (
        *("imagename", "image", "images", "photo", "photos", "photourl", "originalpicture", "picture"),
        *("img", "imageurl", "imgsrc", "imagepath", "imagefile", "bild"),
    ),
    "servings": ("servings", "recipeservings", "serves", "quantity", "portions", "portionen"),
    "yield": ("yield", "recipeyield", "yields", "makes"),
    "prep": ("preptime", "preparationtime", "prep"),
    "cook": ("cooktime", "cookingtime", "cook"),
    "inactive": ("inactivetime",),
    "total": ("totaltime", "minutes", "time"),
    "category": ("category", "categories", "course", "recipecategory"),
    "tags": ("tags", "keywords", "cuisine", "mainingredient"),
    "source": ("url", "sourceurl", "link", "recipeurl", "source"),
    "notes": ("description", "notes", "comments", "tips"),
    "video": ("video", "videourl"),
}
# How programs write that a cell is empty.
_EMPTY = frozenset(["na", "n/a", "nan", "none", "null", "[]", "\\n", "character(0)"])
_SEPARATOR = re.compile(r"\A\s*sep=.\r?\n", re.I)  # a line that Excel writes before the table
_DELIMITERS = (",", ";", "\t", "|")


def recognises(page: str) -> bool:
    """Tell whether the first row of a text names the columns of a table of recipes."""
    return _delimiter(page) is not None


def _delimiter(page: str) -> str | None:
    """Return the separator under which a title and ingredients or steps are columns."""
    page = _SEPARATOR.sub("", page[:20_000])
    first = next((line for line in page.splitlines() if line.strip()), "")
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
    page = _SEPARATOR.sub("", page)
    rows = csv.reader(io.StringIO(page, newline=""), delimiter=_delimiter(page) or ",")
    header: list[str] = []
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
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
    if not number:
        yield Skipped(file.path, "a table that ends after its first row")
    if page.count('"') % 2:
        reason = "a quotation mark in it is never closed, so that rows after it may be part of one cell"
        yield Skipped(file.path, f"{reason}; {number} rows were found, compare")


def _found(header: list[str], row: list[str], where: str, file: File, source: Source) -> Found | Skipped:
    roles = _roles(header)

    def cells(role: str) -> list[str]:
        values = (row[column].strip() for column in roles.get(role, ()) if column < len(row))
        return [value for value in values if value and value.lower() not in _EMPTY]

    def cell(role: str) -> str:
        return next(iter(cells(role)), "")

    title = text.clean(cell("title"))
    if any(extra.strip() for extra in row[len(header) :]):
        reason = f"it has {len(row)} cells and the first row {len(header)}: a separator inside a text"
        return Skipped(f"{where} ({title!r})", reason)
    ingredients, steps = _ingredients(cell("ingredients"), cell("amounts")), _steps(cell("steps"))
    if not title and not ingredients and not steps:
        return Skipped(where, "neither a title nor ingredients nor steps in this row")
    categories = text.names(_listed(cell("category")) or cell("category"))
    sources = sorted(cells("source"), key=lambda value: "://" not in value)
    recipe = Recipe(
        "",
        title,
        tuple(ingredients),
        tuple(steps),
        category=categories[0] if categories else None,
        source=text.clean(sources[0]) if sources else None,
        servings=text.clean(", ".join(dict.fromkeys((*cells("servings")[:1], *cells("yield")[:1])))) or None,
        times=text.times(**{role: _time(cell(role)) for role in ("prep", "cook", "inactive", "total")}),
        tags=tuple(text.names(categories[1:], *(_listed(value) or value for value in cells("tags")))),
        notes=text.joined(
            *cells("notes"),
            *(f"Source: {other}" for other in sources[1:]),
            *(f"Video: {address}" for address in cells("video")),
        ),
    )
    photos, remarks = photos_named(_image_names(cell("image"), file, source), file, source)
    if any(name.strip() for name in header[len(row) :]):
        remarks = (*remarks, f"the row has {len(row)} cells and the first row {len(header)}")
    raw = raw_json(dict(zip(header, row, strict=False)))
    own = cell("id")
    key = digest("table", source.name, own or title)
    return Found(where, recipe, key, raw, ".json", photos, remarks)


def _image_names(value: str, file: File, source: Source) -> list[str]:
    """Return the photos a cell names: a list, or names with a separator between them."""
    if listed := [name for name in _listed(value) if isinstance(name, str) and name]:
        return listed
    parts = [part for part in re.split(r"\s*[;|,\n]\s*", value) if part]
    return parts if len(parts) > 1 and source.photo(value, file.path) is None else parts and [value]


def _listed(value: str) -> list[Any]:
    """Return the list a cell holds, empty if none: JSON, Python's spelling (Kaggle) or R's `c("a", "b")`."""
    value = value.strip()
    if value.startswith("c(") and value.endswith(")"):
        value = f"[{value[2:-1]}]".replace("[NA", "[None").replace(", NA", ", None")
    if not value.startswith("["):
        return []
    if re.search(r"['\"]\s*,", value) is None:  # as numpy prints a list: no commas
        value = re.sub(r"(?<=['\"])\s+(?=['\"])", ", ", value)
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
        # Plan to Eat's headings: `, For the sauce`
        lines = text.ingredient_lines(re.sub(r"(?m)^\s*,\s+(?=\S)", "# ", _with_breaks(value)))
        return text.one_line_list(lines[0]) if len(lines) == 1 else lines
    numbers = numbers if len(numbers) == len(items) else [None] * len(items)
    pairs = zip(numbers, map(text.ingredient, items), strict=True)
    return [line for amount, item in pairs if (line := text.clean(f"{amount or ''} {item}"))]


def _steps(value: str) -> list[str]:
    items = _listed(value)
    if items:
        return text.step_list(text.step(item) for item in items)
    return text.steps(_with_breaks(value), colon=True)


def _with_breaks(value: str) -> str:
    """Return a text with its line breaks, which some programs write as a backslash and an n."""
    return value if "\n" in value else value.replace("\\r", "").replace("\\n", "\n")


def _time(value: str) -> Any:
    """Return a time; a bare number is minutes in every table known to us."""
    return float(value) if re.fullmatch(r"\d+(?:\.\d+)?", value) else value
