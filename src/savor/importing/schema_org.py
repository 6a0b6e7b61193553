"""schema.org/Recipe in saved pages (JSON-LD, microdata) and in JSON files, Nextcloud Cookbook's among them.

https://schema.org/Recipe; Nextcloud Cookbook keeps a folder a recipe with `recipe.json` and `full.jpg`, and
writes section titles as lines that begin with `##`.
"""

from __future__ import annotations

import logging
import posixpath
import re
from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, absent_photo, digest, embedded, raw_json
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section

_HOLDS = ("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item", "hasPart", "about")
_STEP_NUMBER = re.compile(r"^(?:step|schritt|étape|paso)?\s*\d*[.:]?$", re.I)
_STEP_KEYS = ("recipeInstructions", "instructions", "step")
_STEPS_HEADING = re.compile(
    r"^(?:directions|instructions|method|preparation|steps|zubereitung|préparation)\W*$", re.I
)
_STEP_LABEL = re.compile(r"^step\s*\d+\W*", re.I)
# Comment marks with which old pages hide a script from older browsers.
_SCRIPT_FRAME = re.compile(r"^\s*(?://)?\s*(?:<!--|<!\[CDATA\[)|(?://)?\s*(?:-->|\]\]>)\s*$")
ID_OF_SAVOR = "savor"


def recognises(document: Any) -> bool:
    """Tell whether a JSON document holds a schema.org recipe."""
    return next(recipe_nodes(document), None) is not None


def read(document: Any, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the recipes of a JSON document, their photos beside the file or inside it."""
    nodes = list(recipe_nodes(document))
    for index, node in enumerate(nodes, start=1):
        where = file.path if len(nodes) == 1 else f"{file.path} recipe {index}"
        yield found(node, where, file, source)


def read_page(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the recipes of a saved page: JSON-LD first, then microdata, each recipe once."""
    address = _address(page)
    nodes = _once([*_json_ld(page), *_microdata(page)])
    if len(nodes) <= 1 and address:
        nodes = _completed(nodes, page, address)
    if len(nodes) == 1 and not any(nodes[0].get(key) for key in _STEP_KEYS):
        nodes[0]["recipeInstructions"] = _unmarked_steps(page)
    stubs = [node for node in nodes if not _has_text(node)]
    nodes = [node for node in nodes if _has_text(node)]
    for stub in stubs:
        reason = "only a title, as in a list of links; save the page of the recipe itself"
        yield Skipped(f"{file.path} ({text.clean(stub.get('name'))!r})", reason)
    for index, node in enumerate(nodes, start=1):
        where = file.path if len(nodes) == 1 else f"{file.path} recipe {index}"
        if address and not _source(node):
            node["url"] = address
        yield found(node, where, file, source)
    if not nodes and not stubs:
        yield Skipped(
            file.path,
            "the page holds no recipe as JSON-LD or microdata; a page that is built in the browser has to be "
            "saved as 'complete page' after it has loaded, or exported from its application",
        )


def recipe_nodes(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the recipes in a JSON-LD document, however deep they lie."""
    if isinstance(document, list):
        for item in document:
            yield from recipe_nodes(item)
    elif isinstance(document, dict):
        kinds = document.get("@type", document.get("type"))
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if any(isinstance(kind, str) and re.split("[/#:]", kind)[-1] == "Recipe" for kind in kinds):
            if document.get("name") or document.get("headline") or _has_text(document):
                yield document
        else:
            for key in _HOLDS:
                yield from recipe_nodes(document.get(key))


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
    ingredients = node.get("recipeIngredient") or node.get("ingredients") or node.get("supply")
    categories = text.names(node.get("recipeCategory"))
    clock = {
        name.removesuffix("Time"): words
        for name, value in node.items()
        if name.endswith("Time") and isinstance(value, (str, list, dict)) and (words := _time(value))
    }
    return Recipe(
        _own_id(node.get("identifier")),
        text.clean(_first(node.get("name")) or _first(node.get("headline"))),
        tuple(_ingredients(ingredients)),
        tuple(_instructions(next((node[key] for key in _STEP_KEYS if node.get(key)), None))),
        category=categories[0] if categories else None,
        source=_source(node),
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
    return text.duration(value) if isinstance(value, str) else None


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


def _source(node: dict[str, Any]) -> str | None:
    page = node.get("mainEntityOfPage")
    page = page.get("@id") if isinstance(page, dict) else page
    candidates = (_first(node.get("url")), node.get("isBasedOn"), page, node.get("@id"))
    for address in candidates:
        if isinstance(address, str) and address.strip() and not address.startswith(("#", "_:", "/")):
            return address.strip()
    return None


def _ingredients(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        found = text.ingredient_lines(value)
        yield from text.one_line_list(found[0]) if len(found) == 1 else found
    elif isinstance(value, dict):
        inner = value.get("itemListElement") or value.get("ingredients")
        name = text.clean(value.get("name") or value.get("text") or value.get("item"))
        if inner:
            yield from [Section(name)] if name else []
            yield from _ingredients(inner)
        elif name:
            amount = text.clean(value.get("requiredQuantity") or value.get("amount"))
            yield " ".join(part for part in (amount, name) if part)
    elif isinstance(value, list) and len(value) == 1:
        yield from _ingredients(value[0])
    elif isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                yield from _ingredients(item)
            elif line := text.clean(item):
                yield _unescaped(line)


def _unescaped(line: str) -> str:
    """Return a line of a list; only `##` marks a heading there, and a backslash that it marks none."""
    if line.startswith("\\#"):
        return line[1:]
    return text.headed(line) if line.startswith("##") else line


def _instructions(value: Any) -> list[str]:
    """Return the steps of a string, a list, `HowToStep`s and `HowToSection`s, as deep as they are nested."""
    items = value if isinstance(value, list) else [value]
    out: list[str] = []
    loose: list[str] = []  # steps that stand one after another and not in a section
    for item in items:
        if isinstance(item, dict) and _is_section(item):
            out += text.step_list(loose)
            loose = []
            name = text.clean(item.get("name"))
            out += [Section(name)] if name else []
            out += _instructions(item.get("itemListElement") or item.get("steps"))
        elif isinstance(item, list):
            loose += _instructions(item)
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
        body = text.block(_first(item.get("text")) or item.get("description"))
    if not body:
        return name
    said = text.clean(body).casefold().startswith(name.rstrip(".… ").casefold())
    return body if said or _STEP_NUMBER.match(name) else f"{name.rstrip(':')}: {body}"


def _photos(node: dict[str, Any], file: File, source: Source) -> tuple[list[Picture], list[str]]:
    """Return the photos in the file or beside it, and a remark on those that are neither."""
    beside = source.beside(file.path, "full") or source.beside(file.path, "thumb")
    if beside and posixpath.basename(file.path).casefold() == "recipe.json":
        return [source.picture(path) for path in beside[:1]], []
    photos, absent = [], []
    for index, name in enumerate(dict.fromkeys(_image_names(node.get("image"))), start=1):
        if name.startswith("data:"):
            photos.append(embedded(index, name))
        elif (picture := source.photo(name, file.path)) is not None:
            photos.append(picture)
        else:
            absent.append(name)
    if photos or not absent:
        return photos, []
    return [], [absent_photo(absent[0])]


def _image_names(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.strip():
        yield value.strip()
    elif isinstance(value, list):
        for item in value:
            yield from _image_names(item)
    elif isinstance(value, dict):
        yield from _image_names(value.get("url") or value.get("contentUrl") or value.get("@id"))


def _address(page: str) -> str:
    """Return the address a page says it has."""
    patterns = (
        r"<link[^>]+rel=[\"']canonical[\"'][^>]*?href=[\"']([^\"']+)",
        r"<link[^>]+href=[\"']([^\"']+)[\"'][^>]*?rel=[\"']canonical",
        r"<meta[^>]+property=[\"']og:url[\"'][^>]*?content=[\"']([^\"']+)",
        r"<!-- saved from url=\(\d+\)(\S+)",
    )
    matches = (re.search(pattern, page, re.I) for pattern in patterns)
    return next((match[1] for match in matches if match and match[1].startswith("http")), "")


def _json_ld(page: str) -> list[dict[str, Any]]:
    """Return the recipes of a page's JSON-LD; one damaged script does not hide the others."""
    from extruct.jsonld import JsonLdExtractor
    from extruct.utils import parse_html

    nodes: list[dict[str, Any]] = []
    for script in parse_html(page, encoding="UTF-8").iter("script"):
        if "ld+json" not in script.get("type", "").lower():
            continue
        script.set("type", "application/ld+json")
        script.text = _SCRIPT_FRAME.sub("", script.text or "")
        try:
            nodes += recipe_nodes(JsonLdExtractor().extract_items(script))
        except (ValueError, RecursionError):
            continue
    return nodes


def _microdata(page: str) -> list[dict[str, Any]]:
    if "itemscope" not in page.lower():
        return []
    import extruct

    logging.getLogger("extruct").setLevel(logging.ERROR)
    found = extruct.extract(page, syntaxes=["microdata"], uniform=True, errors="ignore")
    return list(recipe_nodes(found.get("microdata", [])))


def _unmarked_steps(page: str) -> list[str]:
    """Return the list below a heading that announces steps, for pages that mark the rest of a recipe."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "lxml")
    for heading in soup.find_all(["h2", "h3", "h4", "h5"], string=_STEPS_HEADING):
        following = heading.find_next(["ol", "ul", "h1", "h2", "h3"])
        if following is not None and following.name in ("ol", "ul"):
            items = (text.clean(item.get_text(" ")) for item in following.find_all("li"))
            return [line for item in items if (line := _STEP_LABEL.sub("", item))]
    return []


def _has_text(node: dict[str, Any]) -> bool:
    keys = ("recipeIngredient", "ingredients", "recipeInstructions", "instructions")
    return any(node.get(key) for key in keys)


def _once(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each recipe of a page once, what one form of it lacks taken from the other."""
    kept: list[dict[str, Any]] = []
    for node in nodes:
        twin = next((other for other in kept if _same(node, other)), None)
        if twin is None:
            kept.append(dict(node))
        else:
            twin.update({key: value for key, value in node.items() if not twin.get(key)})
    return kept


def _same(node: dict[str, Any], other: dict[str, Any]) -> bool:
    one, two = recipe_from_node(node), recipe_from_node(other)
    if one.title and two.title and one.title.casefold() != two.title.casefold():
        return False
    both = one.ingredients and two.ingredients
    return not both or bool(set(map(_squeezed, one.ingredients)) & set(map(_squeezed, two.ingredients)))


def _squeezed(line: str) -> str:
    return re.sub(r"\W", "", line).casefold()


def _completed(nodes: list[dict[str, Any]], page: str, address: str) -> list[dict[str, Any]]:
    """Return a page's recipe with what recipe-scrapers knows how to find on pages of its site."""
    from recipe_scrapers import scrape_html, scraper_exists_for

    if not scraper_exists_for(address):
        return nodes
    try:
        scraper = scrape_html(page, org_url=address, supported_only=True)
    except Exception:  # a scraper for another year's layout of the site fails in any way it likes
        return nodes
    node: dict[str, Any] = nodes[0] if nodes else {"@type": "Recipe", "url": address}
    if not node.get("name"):
        node["name"] = _asked(scraper.title)
    groups = _asked(scraper.ingredient_groups) or []
    if len(groups) > 1:
        node["recipeIngredient"] = [
            {"name": group.purpose or "", "itemListElement": group.ingredients} for group in groups
        ]
    elif not node.get("recipeIngredient"):
        node["recipeIngredient"] = _asked(scraper.ingredients)
    if not node.get("recipeInstructions"):
        node["recipeInstructions"] = _asked(scraper.instructions_list)
    return [node] if node.get("name") and _has_text(node) else nodes


def _asked(question: Any) -> Any:
    try:
        return question()
    except Exception:  # see above
        return None
