"""Mealie: exports of one JSON a recipe (snake_case before 1.0, camelCase since) and backups of all tables.

In an export the photo lies in `images/` beside the JSON, or next to it, or in `images/SLUG.*` of an old
backup; in a backup since 1.0 in `data/recipes/ID/images/`. Of a backup only the tables of recipes are read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, attempt, digest, raw_json
from savor.importing.files import File, Source
from savor.importing.schema_org import instructions
from savor.recipe import Recipe, Section

_TABLES = ("recipes_ingredients", "recipe_instructions", "alembic_version")
# Tables whose rows belong to a recipe, and what an exported recipe calls them.
_PARTS = {
    "recipe_instructions": "recipe_instructions",
    "notes": "notes",
    "recipe_assets": "assets",
    "recipe_nutrition": "nutrition",
}
_BACKUP_PHOTO = re.compile(r"/recipes/([^/]+)/images/((?:min-)?original)\.\w+$")
# Mealie writes a half as a superscript one over a subscript two.
_SMALL_DIGITS = str.maketrans("¹²³⁴⁵⁶⁷⁸⁹⁰₁₂₃₄₅₆₇₈₉₀", "12345678901234567890")
Row = dict[str, Any]


def recognises(document: Any) -> bool:
    """Tell whether a JSON document is a recipe as Mealie exports it."""
    if not isinstance(document, dict):
        return False
    keys = {_snake(key) for key in document}
    return {"name", "slug", "recipe_ingredient"} <= keys


def recognises_backup(document: Any) -> bool:
    """Tell whether a JSON document is the database of a backup."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("recipes"), list)
        and any(isinstance(document.get(table), list) for table in _TABLES)
    )


def _snake(key: str) -> str:
    key = {"orgURL": "org_url"}.get(key, key)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one exported recipe."""
    row = {_snake(key): value for key, value in document.items()}
    slug = text.clean(row.get("slug"))
    near = source.beside(
        file.path, "images/original", "original", f"../images/{slug}", f"../../images/{slug}",
        f"../../images/{slug}/original", f"../images/{slug}/original", "images/min-original",
    )  # fmt: skip
    own = row.get("id")
    key = digest("mealie", _plain_id(own)) if _is_uuid(own) else digest("mealie", source.family, slug)
    photos = [source.picture(path) for path in near[:1]]
    image = row.get("image")
    if not photos and isinstance(image, str) and (named := source.photo(image, file.path)):
        photos = [named]
    yield _found(row, document, file.path, key, photos)


def read_backup(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read every recipe of a backup's tables."""
    parts = {table: _by_recipe(document, table) for table in ("recipes_ingredients", *_PARTS)}
    units, foods = _by_id(document, "ingredient_units"), _by_id(document, "ingredient_foods")
    tags = _linked(document, "recipes_to_tags", "tag_id", "tags")
    tools = _linked(document, "recipes_to_tools", "tool_id", "tools")
    recipes = _by_id(document, "recipes")
    categories = _linked(document, "recipes_to_categories", "category_id", "categories")
    pictures = _backup_photos(source)
    for index, row in enumerate(document["recipes"], start=1):
        where = f"{file.path} recipe {index}"
        if not isinstance(row, dict):
            yield Skipped(where, "not a row of the table of recipes")
            continue
        own = _plain_id(row.get("id"))
        whole = {
            **row,
            "recipe_ingredient": [
                {
                    **line,
                    "unit": units.get(_plain_id(line.get("unit_id"))),
                    "food": foods.get(_plain_id(line.get("food_id"))),
                    "referenced_recipe": _title(recipes.get(_plain_id(line.get("referenced_recipe_id")))),
                }
                for line in parts["recipes_ingredients"][own]
            ],
            "recipe_category": categories[own],
            "tags": tags[own],
            "tools": tools[own],
            **{_PARTS[table]: rows[own] for table, rows in parts.items() if table in _PARTS},
        }
        yield from attempt(where, row, lambda: [_from_tables(whole, where, pictures, source)])  # noqa: B023


def _title(row: Row | None) -> str | None:
    return row.get("name") if row else None


def _from_tables(whole: Row, where: str, pictures: dict[str, str], source: Source) -> Found:
    row = {_snake(key): value for key, value in whole.items()}
    own = _plain_id(row.get("id"))
    path = pictures.get(own) or pictures.get(_plain_id(row.get("slug")))
    return _found(row, whole, where, digest("mealie", own), [source.picture(path)] if path else [])


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and len(_plain_id(value)) == 32


def _plain_id(value: Any) -> str:
    return str(value or "").replace("-", "").lower()


def _rows(document: Any, table: str) -> list[Row]:
    rows = document.get(table)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _by_recipe(document: Any, table: str) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sorted(_rows(document, table), key=_position):
        found[_plain_id(row.get("recipe_id") or row.get("recipe"))].append(row)
    return found


def _position(row: Row) -> float:
    position = row.get("position")
    return position if isinstance(position, (int, float)) else 0


def _by_id(document: Any, table: str) -> dict[str, Row]:
    return {_plain_id(row.get("id")): row for row in _rows(document, table)}


def _linked(document: Any, links: str, key: str, table: str) -> defaultdict[str, list[str]]:
    named = _by_id(document, table)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for link in _rows(document, links):
        name = named.get(_plain_id(link.get(key)), {}).get("name")
        if isinstance(name, str):
            found[_plain_id(link.get("recipe_id"))].append(name)
    return found


def _backup_photos(source: Source) -> dict[str, str]:
    """Return the path of the photo for each id (or slug) that has a folder `recipes/ID/images`."""
    found: dict[str, str] = {}
    for path in sorted(source.files):
        if match := _BACKUP_PHOTO.search(f"/{path}"):
            owner = _plain_id(match[1])
            if owner not in found or match[2] == "original":
                found[owner] = path
    return found


def _found(row: Row, document: Any, where: str, key: str, photos: list[Picture]) -> Found:
    categories = text.names(row.get("recipe_category") or row.get("categories"))
    cuisine = row.get("recipe_cuisine")
    recipe = Recipe(
        "",
        text.clean(row.get("name")),
        tuple(line for line in _ingredients(row) if line),
        tuple(_steps(row.get("recipe_instructions"))),
        category=categories[0] if categories else None,
        source=text.clean(row.get("org_url")) or None,
        servings=_servings(row),
        times=_times(row),
        tags=tuple(text.names(categories[1:], row.get("tags"), row.get("keywords"), cuisine)),
        notes=text.joined(row.get("description"), *_notes(row.get("notes"))),
    )
    remarks = []
    if row.get("image") and not photos:
        remarks.append("its photo is named, but not in the file")
    if isinstance(assets := row.get("assets"), list) and assets:
        remarks.append(f"{len(assets)} attached files are not kept")
    return Found(where, recipe, key, raw_json(document), ".json", tuple(photos), tuple(remarks))


def _ingredients(row: Row) -> Iterator[str]:
    value = row.get("recipe_ingredient") or []
    if not isinstance(value, list):
        yield from text.ingredient_lines(value)
        return
    settings = row.get("settings")
    plain = bool(isinstance(settings, dict) and settings.get("disable_amount", settings.get("disableAmount")))
    for item in value:
        if not isinstance(item, dict):
            yield text.clean(item)
            continue
        fields = {_snake(key): inner for key, inner in item.items()}
        if title := text.clean(fields.get("title")):
            yield Section(title)
        yield _ingredient(fields, plain or bool(fields.get("disable_amount")))


def _ingredient(line: Row, plain: bool) -> str:
    """Return an ingredient as Mealie shows it: without its amount where amounts are switched off.

    Such a line is a note with a quantity of 1 that means nothing.
    """
    if shown := text.clean(line.get("display")):
        return shown.translate(_SMALL_DIGITS)
    note, amount = text.clean(line.get("note")), line.get("quantity")
    several = isinstance(amount, (int, float)) and amount > 1
    unit = _unit(line.get("unit"), several)
    food = text.clean(_named(line.get("food"), several) or _named(line.get("referenced_recipe")))
    if not unit and not food:
        number = "" if plain or amount in (1, None) else text.number(amount)
        return " ".join(part for part in (number, note) if part) or text.clean(line.get("original_text"))
    measured = " ".join(part for part in (text.number(amount), unit, food) if part)
    return f"{measured}, {note}" if note else measured


def _unit(value: Any, several: bool) -> str:
    if isinstance(value, dict) and value.get("use_abbreviation", value.get("useAbbreviation")):
        plural = value.get("plural_abbreviation") or value.get("pluralAbbreviation")
        if short := text.clean(plural if several and plural else value.get("abbreviation")):
            return short
    return text.clean(_named(value, several))


def _named(value: Any, several: bool = False) -> Any:
    if not isinstance(value, dict):
        return value
    plural = value.get("plural_name") or value.get("pluralName")
    return plural if several and plural else value.get("name")


def _steps(value: Any) -> list[str]:
    if not isinstance(value, list):
        return text.steps(value)
    if any(isinstance(item, dict) and "itemListElement" in item for item in value):
        return instructions(value)  # as the first versions kept what they found in a page
    found: list[str] = []
    for item in value:
        if not isinstance(item, dict):
            found += [text.block(item)]
            continue
        title = text.clean(item.get("title"))
        found += [Section(title)] if title else []
        summary, body = text.clean(item.get("summary")), text.block(item.get("text"))
        found += [f"{summary}: {body}" if summary and body else body or summary]
    return text.step_list(found)


def _servings(row: Row) -> str | None:
    """Return the yield; since 2.0 its number and its word are stored apart, and servings besides."""
    words = text.clean(row.get("recipe_yield"))
    amount = text.number(row.get("recipe_yield_quantity"))
    if amount and not re.search(r"\d", words):
        words = f"{amount} {words}".strip()
    servings = text.number(row.get("recipe_servings"))
    if servings and not words:
        return f"{servings} servings"
    return words or None


def _times(row: Row) -> dict[str, str]:
    return text.times(
        prep=row.get("prep_time"),
        cook=row.get("cook_time") or row.get("perform_time"),
        total=row.get("total_time"),
        perform=row.get("perform_time") if row.get("cook_time") else None,
    )


def _notes(value: Any) -> Iterator[str]:
    for note in value if isinstance(value, list) else [value]:
        if isinstance(note, dict):
            title, body = text.clean(note.get("title")), text.block(note.get("text"))
            yield f"{title}: {body}" if title and body else title or body
        else:
            yield text.block(note)
