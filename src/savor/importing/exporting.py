"""Recipes out again as schema.org/Recipe in JSON-LD, which `savor import` and most applications read."""

from __future__ import annotations

import base64
import html
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from savor.errors import PhotoError
from savor.importing import text
from savor.importing.schema_org import ID_OF_SAVOR
from savor.recipe import Pair, Photo, Recipe, Section

_KINDS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


def node_from_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the JSON-LD node of a recipe; `schema_org.recipe_from_node` reads it back.

    schema.org knows no sections of ingredients; they are lines that begin with `##`, as Nextcloud Cookbook
    has them.

    >>> node_from_recipe(Recipe("7", "Tea", times={"total": "5 min"}))["totalTime"]
    'PT5M'
    """
    source = recipe.source or ""
    fields: dict[str, Any] = {
        "@type": "Recipe",
        "identifier": {"@type": "PropertyValue", "propertyID": ID_OF_SAVOR, "value": recipe.id},
        "name": _kept(recipe.title),
        "url" if "://" in source else "isBasedOn": source,
        "recipeCategory": [_kept(recipe.category)] if recipe.category else [],
        "keywords": [_kept(tag) for tag in recipe.tags],
        "recipeYield": _kept(recipe.servings or ""),
        **{f"{name}Time": text.iso_duration(value) for name, value in recipe.times.items()},
        "recipeIngredient": [_ingredient(line) for line in recipe.ingredients],
        "recipeInstructions": list(_instructions(recipe.instructions)),
        "description": _kept(recipe.notes or "", text.block),
    }
    return {name: value for name, value in fields.items() if value}


def _kept(value: str, read: Any = text.clean) -> str:
    """Return a text so that reading it gives it back: what looks like a tag or an entity is masked."""
    return value if read(value) == value else html.escape(html.escape(value, quote=False), quote=False)


def _ingredient(line: str) -> str:
    if isinstance(line, Section):
        return f"## {_kept(str(line))}"
    return "\\" + _kept(line) if line.startswith("#") else _kept(line)


def _instructions(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    steps: list[dict[str, Any]] | None = None
    for line in lines:
        if isinstance(line, Section):
            steps = []
            yield {"@type": "HowToSection", "name": _kept(str(line)), "itemListElement": steps}
            continue
        step = {"@type": "HowToStep", "text": _kept(line, text.block)}
        if steps is None:
            yield step
        else:
            steps.append(step)


def export(pairs: Iterable[Pair], file: Path, *, photos: bool = True) -> int:
    """Write recipes into one JSON-LD file and return how many there are.

    Args:
        pairs: recipes with their photos, read one after the other.
        file: the file to write; it is replaced in one step, and left as it is if there is no recipe.
        photos: store the photos inside as base64, so that the file is all there is; else only their paths.

    Raises:
        PhotoError: a photo cannot be read.
    """
    count = 0
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write('{"@context": "https://schema.org", "@graph": [')
            for count, pair in enumerate(pairs, start=1):
                node = node_from_recipe(pair.recipe)
                if pair.photos:
                    node["image"] = [_image(photo) if photos else photo.id for photo in pair.photos]
                out.write((",\n" if count > 1 else "\n") + json.dumps(node, ensure_ascii=False))
            out.write("\n]}\n")
        if count:
            Path(name).chmod(0o644)
            Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
    return count


def _image(photo: Photo) -> str:
    data = photo.read()
    if not data:
        raise PhotoError(f"photo {photo.id!r} is empty; remove it or copy it again")
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), "octet-stream")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
