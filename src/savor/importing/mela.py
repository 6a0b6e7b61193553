"""Mela: JSON a recipe, zipped; text in blocks with `#` headings, photos as base64 inside.

Written from the public description of the format at https://mela.recipes/fileformat/.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, digest, raw_json
from savor.importing.files import File, Source
from savor.importing.schema_org import data_address
from savor.recipe import Recipe


def recognises(document: Any) -> bool:
    """Tell whether a JSON document is a recipe as Mela exports it."""
    return (
        isinstance(document, dict)
        and "title" in document
        and isinstance(document.get("instructions"), str)
        and isinstance(document.get("ingredients"), str)
    )


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    title = text.clean(document.get("title"))
    categories = text.names(document.get("categories"))
    nutrition = text.block(document.get("nutrition"))
    recipe = Recipe(
        "",
        title,
        tuple(text.ingredient_lines(document["ingredients"])),
        tuple(text.steps(document["instructions"])),
        category=categories[0] if categories else None,
        source=text.clean(document.get("link")) or None,
        servings=text.clean(text.number(document.get("yield"))) or None,
        times=text.times(
            prep=document.get("prepTime"), cook=document.get("cookTime"), total=document.get("totalTime")
        ),
        tags=tuple(categories[1:]),
        notes=text.joined(
            document.get("text"), document.get("notes"), f"Nutrition:\n{nutrition}" if nutrition else ""
        ),
    )
    own = text.clean(document.get("id"))
    key = digest("mela", own) if own else digest("mela", source.family, title)
    images = document.get("images")
    photos = tuple(
        Picture(f"{index} in the file", partial(data_address, data))
        for index, data in enumerate(images if isinstance(images, list) else [], start=1)
        if isinstance(data, str) and data
    )
    yield Found(file.path, recipe, key, raw_json(document), ".json", photos)
