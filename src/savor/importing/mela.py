"""Mela: JSON a recipe, zipped; text in blocks with `#` headings, photos as base64 inside.

Written from the public description of the format at https://mela.recipes/fileformat/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped, digest, embedded, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe

_OTHERS = frozenset(["directions", "steps", "method", "@type"])


def recognises(document: Any) -> bool:
    """Tell whether a JSON document is a recipe as Mela exports it."""
    if not isinstance(document, dict) or "title" not in document or _OTHERS & document.keys():
        return False
    parts = [document.get("ingredients"), document.get("instructions")]
    return all(isinstance(part, (str, type(None))) for part in parts) and any(parts)


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    title = text.clean(document.get("title"))
    categories = text.names(document.get("categories"))
    nutrition = text.block(document.get("nutrition"))
    recipe = Recipe(
        "",
        title,
        tuple(text.ingredient_lines(document.get("ingredients"))),
        tuple(text.steps(document.get("instructions"))),
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
        embedded(index, data)
        for index, data in enumerate(images if isinstance(images, list) else [], start=1)
        if isinstance(data, str) and data
    )
    yield Found(file.path, recipe, key, raw_json(document), ".json", photos)
