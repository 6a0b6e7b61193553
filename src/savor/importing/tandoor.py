"""Tandoor: a zip of zips, each with `recipe.json` and `image.*`; ingredients belong to steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped, digest, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section


def recognises(document: Any) -> bool:
    """Tell whether a JSON document is a recipe as Tandoor exports it."""
    steps = document.get("steps") if isinstance(document, dict) else None
    return (
        isinstance(steps, list)
        and "name" in document
        and all(isinstance(step, dict) and "instruction" in step for step in steps)
        and (bool(steps) or "working_time" in document)
    )


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read one recipe."""
    title = text.clean(document.get("name"))
    photos = [source.picture(path) for path in source.beside(file.path, "image")[:1]]
    steps = [step for step in document["steps"] if isinstance(step, dict)]
    amount, unit = text.number(document.get("servings")), text.clean(document.get("servings_text"))
    recipe = Recipe(
        "",
        title,
        tuple(line for step in steps for line in _ingredients(step, len(steps) > 1)),
        tuple(line for step in steps for line in _step(step, len(steps) > 1)),
        source=text.clean(document.get("source_url")) or None,
        servings=" ".join(part for part in (amount, unit) if part) or None,
        times=text.times(prep=document.get("working_time"), cook=document.get("waiting_time")),
        tags=tuple(text.names(document.get("keywords"))),
        notes=text.joined(document.get("description")),
    )
    key = digest("tandoor", source.family, title)
    yield Found(file.path, recipe, key, raw_json(document), ".json", tuple(photos))


def _ingredients(step: dict[str, Any], several: bool) -> Iterator[str]:
    items = [item for item in step.get("ingredients") or [] if isinstance(item, dict)]
    name = text.clean(step.get("name"))
    if name and several and items:
        yield Section(name)
    for item in sorted(items, key=lambda item: item.get("order") or 0):
        note, food = text.clean(item.get("note")), text.clean(_named(item.get("food")))
        if item.get("is_header"):
            yield from [Section(note or food)] if note or food else []
            continue
        amount = "" if item.get("no_amount") else text.number(item.get("amount"))
        unit = "" if item.get("no_amount") else text.clean(_named(item.get("unit")))
        line = " ".join(part for part in (amount, unit, food) if part)
        if note:
            line = f"{line} ({note})" if line else note
        if line := line or text.clean(item.get("original_text")):
            yield line


def _step(step: dict[str, Any], several: bool) -> Iterator[str]:
    name = text.clean(step.get("name"))
    lines = text.steps(step.get("instruction"))
    linked = step.get("step_recipe_data")
    if isinstance(linked, dict) and (title := text.clean(linked.get("name"))):
        lines.append(f"See the recipe {title}")
    if name and (several or not lines):
        yield Section(name)
    yield from lines


def _named(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value
