"""Saved pages: schema.org recipes as JSON-LD, microdata or RDFa, and the older microformats.

Each recipe of a page is read once, whatever forms it has; recipe-scrapers knows what some sites leave out.
"""

from __future__ import annotations

import html
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Skipped
from savor.importing.files import File, Source
from savor.importing.schema_org import STEP_KEYS, address_of, each, has_text, recipe_from_node, recipe_nodes

_STEPS_HEADING = re.compile(
    r"^(?:directions|instructions|method|preparation|steps|zubereitung|préparation)\W*$", re.I
)
_STEP_LABEL = re.compile(r"^step\s*\d+\W*", re.I)
# Marks with which old pages hide a script from older browsers.
_SCRIPT_FRAME = re.compile(
    r"^\s*(?:/[/*])?\s*(?:<!--|<!\[CDATA\[)(?:\*/)?|(?:/[/*])?\s*(?:-->|\]\]>)(?:\*/)?\s*$"
)
_BAD_ESCAPE = re.compile(r'\\\\|\\(?!["\\/bfnrtu])')
_BAD_COMMA = re.compile(r",(?=\s*[}\]])")
_SHARED_IMAGE = re.compile(r"<meta[^>]+property=[\"']og:image[\"'][^>]*?content=[\"']([^\"']+)", re.I)
_Gist = tuple[str, set[str]]
# Paprika keeps a cook's own notes where schema.org has the comments of others.
_OWN_NOTES = re.compile(r'itemprop="comment"(?=[^>]*class="notes)')


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the recipes of a saved page: JSON-LD first, then what is marked in the text, each recipe once."""
    address = _address(page)
    written, damaged = _json_ld(page)
    nodes = _once(written, _microdata(page)) or _microformats(page)
    if len(nodes) <= 1 and address:
        nodes = _completed(nodes, page, address)
    if len(nodes) == 1 and not any(nodes[0].get(key) for key in STEP_KEYS):
        nodes[0]["recipeInstructions"] = _unmarked_steps(page)
    stubs = [node for node in nodes if not has_text(node)]
    nodes = [node for node in nodes if has_text(node)]
    for stub in stubs:
        reason = "only a title, as in a list of links; save the page of the recipe itself"
        yield Skipped(f"{file.path} ({text.clean(stub.get('name'))!r})", reason)
    for node in nodes:
        if address and not address_of(node):
            node["url"] = address
        if len(nodes) == 1 and not node.get("image") and (image := _SHARED_IMAGE.search(page)):
            node["image"] = html.unescape(image[1])
    yield from each(nodes, file, source)
    for fault in damaged if not nodes else []:
        yield Skipped(file.path, f"its JSON-LD is damaged ({fault}); save the page again")
    if not nodes and not stubs and not damaged:
        yield Skipped(
            file.path,
            "the page holds no recipe as JSON-LD or microdata; a page that is built in the browser has to be "
            "saved as 'complete page' after it has loaded, or exported from its application",
        )


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


def _json_ld(page: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the recipes in a page's scripts, and what is wrong with scripts that cannot be read.

    Recipes among other data of a page count only where the page has no JSON-LD of its own.
    """
    from bs4 import BeautifulSoup, SoupStrainer  # type: ignore[attr-defined]

    marked: list[dict[str, Any]] = []
    other: list[dict[str, Any]] = []
    damaged = []
    for script in BeautifulSoup(page, "lxml", parse_only=SoupStrainer("script")).find_all("script"):
        kind, written = str(script.get("type", "")).lower(), script.get_text()
        if "json" not in kind or "recipe" not in written.lower():
            continue
        try:
            (marked if "ld+json" in kind else other).extend(recipe_nodes(_documents(written)))
        except (ValueError, RecursionError) as error:
            damaged += [str(error)] if "ld+json" in kind else []
    return marked or other, damaged


def _documents(written: str) -> list[Any]:
    """Return the JSON documents of a script, mended where many sites break them.

    Raises:
        ValueError: it is no JSON even so.
    """
    from extruct.jsonld import jstyleson

    written = _SCRIPT_FRAME.sub("", written)
    if "&quot;" in written and '"' not in written:
        written = html.unescape(written)
    mended = _BAD_COMMA.sub("", _BAD_ESCAPE.sub(lambda match: match[0] if len(match[0]) > 1 else "", written))
    fault: ValueError | None = None
    for attempt in (lambda: written, lambda: jstyleson.dispose(written), lambda: jstyleson.dispose(mended)):
        try:
            return list(_one_after_another(attempt()))
        except ValueError as error:
            fault = fault or error
    raise fault or ValueError("empty")


def _one_after_another(written: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(strict=False)
    while written := written.lstrip(" \t\r\n;,\ufeff"):
        document, end = decoder.raw_decode(written)
        yield document
        written = written[end:]


def _microdata(page: str) -> list[dict[str, Any]]:
    lower = page.lower()
    if "itemscope" not in lower and "typeof" not in lower:
        return []
    import extruct

    logging.getLogger("extruct").setLevel(logging.ERROR)
    page = _OWN_NOTES.sub('itemprop="notes"', page) if "itemscope" in lower else _from_rdfa(page)
    found = extruct.extract(page, syntaxes=["microdata"], uniform=True, errors="ignore")
    return list(recipe_nodes(found.get("microdata", [])))


def _from_rdfa(page: str) -> str:
    """Return a page with its RDFa as microdata, which keeps the order of what stands in the page."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "lxml")
    for tag in soup.select("[typeof]"):
        tag["itemscope"] = ""
        tag["itemtype"] = "https://schema.org/" + re.split("[/#:]", str(tag["typeof"]))[-1]
    for tag in soup.select("[property]"):
        tag["itemprop"] = re.split("[/#:]", str(tag["property"]))[-1]
    return str(soup)


def _microformats(page: str) -> list[dict[str, Any]]:
    """Return recipes marked as hRecipe or h-recipe, as blogs had them before schema.org."""
    if not re.search(r"\bh-?recipe\b", page):
        return []
    import extruct

    found = extruct.extract(page, syntaxes=["microformat"], uniform=True, errors="ignore")
    return [
        {
            "name": item.get("name"),
            "recipeIngredient": item.get("ingredient"),
            "recipeInstructions": [_html_of(part) for part in item.get("instructions", [])],
            "recipeYield": item.get("yield"),
            "totalTime": item.get("duration"),
            "image": item.get("photo"),
            "keywords": item.get("category"),
            "description": item.get("summary"),
            "author": item.get("author"),
        }
        for item in found.get("microformat", [])
        if "h-recipe" in item.get("@type", [])
    ]


def _html_of(part: Any) -> Any:
    return part.get("html") if isinstance(part, dict) else part


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


def _once(*forms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each recipe of a page once, what one form of it lacks taken from the other."""
    kept: list[tuple[_Gist, dict[str, Any]]] = []
    for form in forms:
        before = len(kept)
        for node in form:
            gist = _gist(node)
            same = (
                other
                for index, (its, other) in enumerate(kept)
                if _same(gist, its, is_other_form=index < before)
            )
            twin = next(same, None)
            if twin is None:
                kept.append((gist, dict(node)))
            else:
                twin.update({key: value for key, value in node.items() if not twin.get(key)})
    return [node for _, node in kept]


def _gist(node: dict[str, Any]) -> _Gist:
    """Return what tells a recipe: its title, and its ingredients however they are spaced."""
    recipe = recipe_from_node(node)
    return recipe.title.casefold(), {re.sub(r"\W", "", line).casefold() for line in recipe.ingredients}


def _same(one: _Gist, two: _Gist, *, is_other_form: bool) -> bool:
    """Tell whether two nodes of a page are one recipe, which its forms may call by different titles."""
    is_called_so = not one[0] or not two[0] or one[0] == two[0]
    if not one[1] or not two[1]:
        return is_called_so
    shared = len(one[1] & two[1])
    if is_called_so:
        return bool(shared)
    return is_other_form and shared > 2 and shared > 0.8 * max(len(one[1]), len(two[1]))


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
    if len(groups) > 1 and sum(len(group.ingredients) for group in groups) >= _length(node):
        node["recipeIngredient"] = [
            {"name": group.purpose or "", "itemListElement": group.ingredients} for group in groups
        ]
    elif not node.get("recipeIngredient"):
        node["recipeIngredient"] = _asked(scraper.ingredients)
    if not node.get("recipeInstructions"):
        node["recipeInstructions"] = _asked(scraper.instructions_list)
    return [node] if node.get("name") and has_text(node) else nodes


def _length(node: dict[str, Any]) -> int:
    return len(recipe_from_node(node).lines("ingredients"))


def _asked(question: Any) -> Any:
    try:
        return question()
    except Exception:  # see above
        return None
