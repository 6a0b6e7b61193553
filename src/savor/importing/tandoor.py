"""Tandoor: a zip of zips, each with `recipe.json` and `image.*`; ingredients belong to steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped, digest, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section

_TEMPLATE = re.compile(r"\{\{\s*ingredients\[(\d+)\](?:\.(\w+))?\s*\}\}")
_SCALED = re.compile(r"\{%\s*scale\((.*?)\)\s*%\}|\{\{\s*scale\((.*?)\)\s*\}\}")


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
    steps = _in_order(document["steps"])
    amount, unit = text.number(document.get("servings")), text.clean(document.get("servings_text"))
    recipe = Recipe(
        "",
        title,
        tuple(line for step in steps for line in _ingredients(step, len(steps) > 1)),
        tuple(line for step in steps for line in _step(step)),
        source=text.clean(document.get("source_url")) or None,
        servings=" ".join(part for part in (amount, unit) if part) or None,
        times=text.times(prep=document.get("working_time"), cook=document.get("waiting_time")),
        tags=tuple(text.names(document.get("keywords"))),
        notes=text.joined(document.get("description")),
    )
    key = digest("tandoor", source.family, title)
    yield Found(file.path, recipe, key, raw_json(document), ".json", tuple(photos))


def _in_order(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if all(isinstance(item.get("order"), (int, float)) for item in items):
        return sorted(items, key=lambda item: item["order"])
    return items


def _ingredients(step: dict[str, Any], several: bool) -> Iterator[str]:
    items = _items(step)
    name = text.clean(step.get("name"))
    if name and several and items:
        yield Section(name)
    for item in items:
        if not item.get("is_header"):
            yield from [line] if (line := _ingredient(item)) else []
        elif heading := text.clean(item.get("note")) or text.clean(_named(item.get("food"))):
            yield Section(heading)


def _items(step: dict[str, Any]) -> list[dict[str, Any]]:
    return _in_order([item for item in step.get("ingredients") or [] if isinstance(item, dict)])


def _ingredient(item: dict[str, Any]) -> str:
    note, line = text.clean(item.get("note")), _measured(item)
    if note:
        line = f"{line} ({note})" if line else note
    return line or text.clean(item.get("original_text"))


def _measured(item: dict[str, Any]) -> str:
    food = text.clean(_named(item.get("food")))
    if item.get("no_amount"):
        return food
    parts = (text.number(item.get("amount")), text.clean(_named(item.get("unit"))), food)
    return " ".join(part for part in parts if part)


def _step(step: dict[str, Any]) -> Iterator[str]:
    if name := text.clean(step.get("name")):
        yield Section(name)
    yield from text.steps(_filled(str(step.get("instruction") or ""), _items(step)))
    linked = step.get("step_recipe_data")
    if isinstance(linked, dict) and (title := text.clean(linked.get("name"))):
        yield f"See the recipe {title}"


def _filled(instruction: str, items: list[dict[str, Any]]) -> str:
    """Return an instruction with the ingredients and amounts that its templates stand for."""

    def words(match: re.Match[str]) -> str:
        index, part = int(match[1]), match[2]
        if index >= len(items):
            return ""
        whole = {"amount": text.number(items[index].get("amount")), None: _measured(items[index])}
        return whole.get(part) or text.clean(_named(items[index].get(part or "")))

    return _SCALED.sub(lambda match: match[1] or match[2] or "", _TEMPLATE.sub(words, instruction))


def _named(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value
