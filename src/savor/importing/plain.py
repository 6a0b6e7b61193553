"""JSON of no known application with a title, ingredients and steps: one recipe, a list of them, a line each.

Savor's own `recipes.jsonl` is of this form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from savor.importing import markdown, text
from savor.importing.base import Found, Skipped, digest, raw_json
from savor.importing.files import File, Source
from savor.recipe import Section

_STEPS = ("instructions", "directions", "steps", "method")
_INNER = ("items", "ingredients", "steps", "instructions", "lines")


def recognises(document: Any) -> bool:
    """Tell whether a JSON document has the parts of a recipe under their plain names."""
    return (
        isinstance(document, dict)
        and bool(document.get("title") or document.get("name"))
        and isinstance(document.get("ingredients"), (list, str, dict))
        and any(isinstance(document.get(key), (list, str)) for key in _STEPS)
    )


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    fields = {markdown.folded(key): value for key, value in document.items()}
    title = text.clean(document.get("title") or document.get("name"))
    steps = next((document[key] for key in _STEPS if document.get(key)), None)
    recipe = markdown.recipe_of(fields, title, _ingredients(document["ingredients"]), _steps(steps), "")
    if isinstance(clock := document.get("times"), dict):
        recipe = replace(
            recipe, times={name: words for name, value in clock.items() if (words := text.duration(value))}
        )
    photos, remarks = markdown.photos_named(markdown.photo_names(fields), file, source)
    key = digest("plain", source.name, str(document.get("id") or title))
    yield Found(file.path, recipe, key, raw_json(document), ".json", photos, remarks)


def _ingredients(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [line for name, inner in value.items() for line in (Section(name), *_ingredients(inner))]
    return _lines(value, text.ingredient) if isinstance(value, list) else text.ingredient_lines(value)


def _steps(value: Any) -> list[str]:
    return text.step_list(_lines(value, text.step)) if isinstance(value, list) else text.steps(value)


def _lines(value: list[Any], words: Callable[[Any], str]) -> list[str]:
    found: list[str] = []
    for item in value:
        inner = (
            next((item[key] for key in _INNER if isinstance(item.get(key), list)), None)
            if isinstance(item, dict)
            else None
        )
        heading = _heading(item)
        found += [Section(heading)] if heading else []
        if inner is not None:
            found += _lines(inner, words)
        elif not heading:
            found.append(words(item))
    return [line for line in found if line]


def _heading(item: Any) -> str:
    """Return the heading that an item is, or that a group of items has."""
    if not isinstance(item, dict):
        return ""
    if isinstance(item.get("section"), str):
        return text.clean(item["section"])
    if any(isinstance(item.get(key), list) for key in _INNER):
        return next(
            (
                words
                for key in ("title", "name", "group", "heading", "purpose")
                if (words := text.clean(item.get(key)))
            ),
            "",
        )
    return ""
