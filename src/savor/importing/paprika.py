"""Paprika: gzipped JSON a recipe, zipped or in a folder; text in blocks, photos as base64 inside.

Written from the public descriptions of the format: `ingredients` and `directions` are one text each, a line
ending in a colon is a heading.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, digest, embedded, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe


def recognises(document: Any) -> bool:
    """Tell whether a JSON document is a recipe as Paprika exports it."""
    return (
        isinstance(document, dict)
        and "name" in document
        and "directions" in document
        and all(isinstance(document.get(key), (str, type(None))) for key in ("directions", "ingredients"))
    )


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    categories = text.names(document.get("categories"))
    title = text.clean(document.get("name"))
    difficulty, where = text.clean(document.get("difficulty")), text.clean(document.get("source"))
    recipe = Recipe(
        "",
        title,
        tuple(text.ingredient_lines(document.get("ingredients"))),
        tuple(text.steps(document.get("directions"), colon=True)),
        category=categories[0] if categories else None,
        source=text.clean(document.get("source_url")) or where or None,
        servings=text.clean(document.get("servings")) or None,
        times={
            **text.times(prep=document.get("prep_time"), cook=document.get("cook_time")),
            **text.times(total=document.get("total_time")),
        },
        tags=tuple(text.names(categories[1:], document.get("tags"))),
        notes=text.joined(
            document.get("description"),
            document.get("notes"),
            f"Difficulty: {difficulty}" if difficulty else "",
            f"Source: {where}" if where and document.get("source_url") else "",
            f"Nutrition:\n{nutrition}" if (nutrition := text.block(document.get("nutritional_info"))) else "",
        ),
    )
    photos = tuple(_photos(document))
    named = document.get("photo")
    if not photos and isinstance(named, str) and (beside := source.photo(named, file.path)):
        photos = (beside,)
    own = text.clean(document.get("uid"))
    key = digest("paprika", own) if own else digest("paprika", source.family, title)
    absent = ("its photo is named, but not in the file",) if not photos and named else ()
    yield Found(file.path, recipe, key, raw_json(document), ".json", photos, absent)


def _photos(document: dict[str, Any]) -> Iterator[Picture]:
    """Yield the recipe's own photo, then those that were added to it."""
    photos = document.get("photos")
    added = (
        [item.get("data") for item in photos if isinstance(item, dict)] if isinstance(photos, list) else []
    )
    for index, data in enumerate([document.get("photo_data"), *added], start=1):
        if isinstance(data, str) and data:
            yield embedded(index, data)
