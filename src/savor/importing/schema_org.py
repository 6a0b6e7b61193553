"""schema.org/Recipe as JSON, Nextcloud Cookbook's among it; `pages.py` finds it in saved pages.

https://schema.org/Recipe; Nextcloud Cookbook keeps a folder a recipe with `recipe.json` and `full.jpg`, and
writes section titles as lines that begin with `##`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, absent_photo, attempt, digest, embedded, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section

_HOLDS = (
    *("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item", "hasPart", "about"),
    *("subjectOf", "recipe", "props", "pageProps"),
)
_STEP_NUMBER = re.compile(r"^(?:step|schritt|étape|paso)?\s*\d*[.:]?$", re.I)
_INGREDIENT_KEYS = ("recipeIngredient", "ingredients", "ingredient", "supply")
STEP_KEYS = ("recipeInstructions", "instructions", "step")
# Pages show a picture of one pixel until the real one is loaded.
_PLACEHOLDER = 300
ID_OF_SAVOR = "savor"


def recognises(document: Any) -> bool:
    """Tell whether a JSON document holds a schema.org recipe."""
    return next(recipe_nodes(document), None) is not None


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the recipes of a JSON document, their photos beside the file or inside it."""
    yield from each(list(recipe_nodes(document)), file, source)


def each(nodes: list[dict[str, Any]], file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read recipes that were found in one file."""
    for index, node in enumerate(nodes, start=1):
        where = file.path if len(nodes) == 1 else f"{file.path} recipe {index}"
        yield from attempt(where, node, lambda: [found(node, where, file, source)])  # noqa: B023


def recipe_nodes(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the recipes in a JSON-LD document, however deep they lie."""
    if isinstance(document, list):
        for item in document:
            yield from recipe_nodes(item)
    elif isinstance(document, dict):
        if _is_recipe(document):
            if document.get("name") or document.get("headline") or has_text(document):
                yield document
        else:
            for key in _HOLDS:
                yield from recipe_nodes(document.get(key))


def _is_recipe(document: dict[str, Any]) -> bool:
    kinds = document.get("@type", document.get("type"))
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if isinstance(kind, str) and re.split("[/#:]", kind)[-1] == "Recipe":
            return True
    return "recipeIngredient" in document


def found(node: dict[str, Any], where: str, file: File, source: Source) -> Found:
    """Return one recipe with the photos that can be had without a network."""
    recipe = recipe_from_node(node)
    photos, absent = _photos(node, file, source)
    own = recipe.id or text.clean(node.get("identifier") if isinstance(node.get("identifier"), str) else "")
    # Several recipes of a page share its address, so the title belongs to the key as well.
    if own:
        key = digest("schema.org", own)
    elif recipe.source and "://" in recipe.source:
        key = digest("schema.org", recipe.source, recipe.title)
    else:
        key = digest("schema.org", posixpath.dirname(file.path), recipe.title)
    return Found(where, recipe, key, raw_json(node), ".json", tuple(photos), tuple(absent))


def recipe_from_node(node: dict[str, Any]) -> Recipe:
    """Return the recipe of a JSON-LD node; photos are not part of it.

    >>> recipe_from_node({"name": "Tea", "recipeIngredient": ["## Pot", "tea"], "totalTime": "PT5M"}).times
    {'total': '5 min'}
    """
    ingredients = next((node[key] for key in _INGREDIENT_KEYS if node.get(key)), None)
    categories = text.names(node.get("recipeCategory"))
    clock = {
        name.removesuffix("Time"): words
        for name, value in node.items()
        if name.endswith("Time") and (words := _time(value))
    }
    return Recipe(
        _own_id(node.get("identifier")),
        text.clean(_first(node.get("name")) or _first(node.get("headline"))),
        tuple(_ingredients(ingredients)),
        tuple(instructions(next((node[key] for key in STEP_KEYS if node.get(key)), None))),
        category=categories[0] if categories else None,
        source=address_of(node),
        servings=_servings(node.get("recipeYield") or node.get("yield")),
        times=clock,
        tags=tuple(text.names(categories[1:], node.get("recipeCuisine"), _tags(node))),
        notes=text.joined(*_texts(node.get("description")), *_texts(node.get("notes"))),
    )


def _own_id(identifier: Any) -> str:
    """Return the id of a recipe that Savor exported."""
    if isinstance(identifier, dict) and identifier.get("propertyID") == ID_OF_SAVOR:
        return str(identifier.get("value") or "")
    return ""


def _first(value: Any) -> Any:
    return next(iter(value), None) if isinstance(value, list) else value


def _time(value: Any) -> str | None:
    value = _first(value)
    if isinstance(value, dict):  # a schema.org Duration with bounds
        value = value.get("maxValue") or value.get("value") or value.get("minValue")
    return text.duration(value) if isinstance(value, (str, int, float)) else None


def _texts(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _tags(node: dict[str, Any]) -> Any:
    return node.get("keywords") or node.get("tags")


def _servings(value: Any) -> str | None:
    """Return the yield in its fullest form; many pages give both `4` and `4 servings`."""
    forms = [_amount(form) for form in (value if isinstance(value, list) else [value])]
    return max(forms, key=len, default="") or None


def _amount(form: Any) -> str:
    """Return a number, a text or a `QuantitativeValue` in words."""
    if isinstance(form, dict):
        return " ".join(
            part for part in (text.number(form.get("value")), text.clean(form.get("unitText"))) if part
        )
    return text.clean(text.number(form))


def address_of(node: dict[str, Any]) -> str | None:
    """Return where a recipe says it is from."""
    page = node.get("mainEntityOfPage")
    page = page.get("@id") if isinstance(page, dict) else page
    candidates = (_first(node.get("url")), node.get("isBasedOn"), page, node.get("@id"))
    for address in candidates:
        if isinstance(address, str) and address.strip() and not address.startswith(("#", "_:", "/")):
            return address.strip()
    return None


def _ingredients(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _listed(value)
    elif isinstance(value, dict):
        inner = value.get("itemListElement") or value.get("@list") or value.get("ingredients")
        if isinstance(value.get("item"), dict):
            yield from _ingredients(value["item"])
        elif inner:
            name = text.clean(value.get("name"))
            yield from [Section(name)] if name else []
            yield from _ingredients(inner)
        elif line := text.ingredient(value):
            yield line
    elif (
        isinstance(value, list)
        and len(value) == 1
        and (not isinstance(value[0], str) or len(_listed(value[0])) > 1)
    ):
        yield from _ingredients(value[0])
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                yield from _ingredients(item)
            elif line := text.clean(item):
                yield _unescaped(line)


def _listed(value: str) -> list[str]:
    """Return the ingredients of a text that holds all of them."""
    found = text.ingredient_lines(value)
    return list(text.one_line_list(found[0])) if len(found) == 1 else found


def _unescaped(line: str) -> str:
    """Return a line of a list; only `##` marks a heading there, and a backslash that it marks none."""
    if line.startswith("\\#"):
        return line[1:]
    return text.headed(line) if line.startswith("##") else line


def instructions(value: Any) -> list[str]:
    """Return the steps of a string, a list, `HowToStep`s and `HowToSection`s, as deep as they are nested."""
    if isinstance(value, dict) and "@list" in value:
        value = value["@list"]
    items = value if isinstance(value, list) else [value]
    out: list[str] = []
    loose: list[str] = []  # steps that stand one after another and not in a section
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("item"), dict):  # a ListItem
            item = item["item"]
        if isinstance(item, dict) and _is_section(item):
            out += text.step_list(loose)
            loose = []
            name = text.clean(item.get("name"))
            out += [Section(name)] if name else []
            inner = (item.get(key) for key in ("itemListElement", "steps", "text", "description"))
            out += instructions(next(filter(None, inner), None))
        elif isinstance(item, list):
            loose += instructions(item)
        else:
            line = _step(item) if isinstance(item, dict) else text.block(item)
            loose += [_unescaped(line)] if line else []
    return out + text.step_list(loose)


def _is_section(item: dict[str, Any]) -> bool:
    return item.get("@type") != "HowToStep" and bool(
        item.get("itemListElement") or item.get("@type") == "HowToSection" or item.get("steps")
    )


def _step(item: dict[str, Any]) -> str:
    """Return a step's text, after its name where the name says more than the text or its number."""
    name = text.clean(item.get("name"))
    inner = item.get("itemListElement")
    if inner and not item.get("text"):
        parts = inner if isinstance(inner, list) else [inner]
        body = " ".join(_step(part) if isinstance(part, dict) else text.block(part) for part in parts)
    else:
        body = "\n".join(map(text.block, _texts(item.get("text")))) or text.block(item.get("description"))
    if not body:
        return name
    said = text.clean(body).casefold().startswith(name.rstrip(".… ").casefold())
    return body if said or _STEP_NUMBER.match(name) else f"{name.rstrip(':')}: {body}"


def _photos(node: dict[str, Any], file: File, source: Source) -> tuple[list[Picture], list[str]]:
    """Return the photos in the file or beside it, and a remark on those that are neither."""
    photos, absent = [], []
    for index, name in enumerate(dict.fromkeys(_image_names(node.get("image"))), start=1):
        if name.startswith("data:"):
            photos += [embedded(index, name)] if len(name) > _PLACEHOLDER else []
        elif (picture := source.photo(name, file.path)) is not None:
            photos.append(picture)
        else:
            absent.append(name)
    if photos:
        return photos, [absent_photo(name) for name in absent if "://" not in name]
    beside = source.beside(file.path, "full", "thumb")[:1]  # Nextcloud names the photo's address of old
    return [source.picture(path) for path in beside], [] if beside else list(map(absent_photo, absent[:1]))


def _image_names(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _image_names(item)
    elif isinstance(value, dict):
        yield from _image_names(value.get("url") or value.get("contentUrl") or value.get("@id"))


def has_text(node: dict[str, Any]) -> bool:
    """Tell whether a node says more than a title."""
    return any(node.get(key) for key in (*_INGREDIENT_KEYS, *STEP_KEYS))
