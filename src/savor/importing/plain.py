"""JSON of no known application with a title, ingredients and steps: one recipe, a list of them, a line each.

Savor's own `recipes.jsonl` is of this form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped, digest, raw_json
from savor.importing.files import File, Source
from savor.importing.markdown import image_names, photos_named
from savor.recipe import Recipe, Section

_STEPS = ("instructions", "directions", "steps", "method")


def recognises(document: Any) -> bool:
    """Tell whether a JSON document has the parts of a recipe under their plain names."""
    return (
        isinstance(document, dict)
        and bool(document.get("title") or document.get("name"))
        and isinstance(document.get("ingredients"), (list, str))
        and any(isinstance(document.get(key), (list, str)) for key in _STEPS)
    )


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    title = text.clean(document.get("title") or document.get("name"))
    ingredients = document["ingredients"]
    steps = next((document[key] for key in _STEPS if document.get(key)), None)
    categories = text.names(document.get("category"), document.get("categories"))
    clock = document.get("times") if isinstance(document.get("times"), dict) else {}
    recipe = Recipe(
        "",
        title,
        tuple(_lines(ingredients) if isinstance(ingredients, list) else text.ingredient_lines(ingredients)),
        tuple(text.step_list(_lines(steps)) if isinstance(steps, list) else text.steps(steps)),
        category=categories[0] if categories else None,
        source=text.clean(document.get("source") or document.get("url")) or None,
        servings=text.clean(text.number(document.get("servings") or document.get("yield"))) or None,
        times={name: words for name, value in (clock or {}).items() if (words := text.duration(value))},
        tags=tuple(text.names(categories[1:], document.get("tags"))),
        notes=text.joined(document.get("description"), document.get("notes")),
    )
    names = [
        name for key in ("photos", "image", "images", "photo") for name in image_names(document.get(key))
    ]
    photos, remarks = photos_named(names, file, source)
    key = digest("plain", source.name, str(document.get("id") or title))
    yield Found(file.path, recipe, key, raw_json(document), ".json", photos, remarks)


def _lines(value: list[Any]) -> list[str]:
    found: list[str] = []
    for item in value:
        if isinstance(item, dict) and isinstance(item.get("section"), str):
            found.append(Section(text.clean(item["section"])))
        elif isinstance(item, dict):
            found.append(text.clean(item.get("text") or item.get("name")))
        else:
            found.append(text.clean(item))
    return [line for line in found if line]
