"""Copy Me That: HTML pages, one or many recipes each, with a folder of images.

Written from public descriptions of the format: parts are marked by ids or classes (`name`,
`recipeIngredient`, `recipeIngredient_subheader`, `instruction`, `recipeNote`, `original_link`,
`recipeImage`); sub-headings and spacers are `div`s between the items of a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, absent_photo, attempt, digest, without_photos
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section

if TYPE_CHECKING:
    from bs4 import Tag

_MARKS = re.compile(r"""(?:id|class)\s*=\s*["'][^"']*\brecipeIngredients?\b""")

_LABEL = re.compile(r"^(?:tags|categories|servings|yield)\s*:\s*", re.I)


def recognises(page: str) -> bool:
    """Tell whether a page is one that Copy Me That wrote."""
    if "copymethat_class_id_version" in page[:4096]:
        return True
    return bool(_MARKS.search(page)) and "itemprop" not in page and "ld+json" not in page


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read every recipe of a page."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page, "lxml")
    recipes = [tag for tag in soup.find_all(class_="recipe") if tag.find(_is("name", "recipeIngredients"))]
    outermost = [tag for tag in recipes if not any(other in tag.parents for other in recipes)]
    for index, tag in enumerate(outermost or [soup], start=1):
        where = file.path if len(outermost) <= 1 else f"{file.path} recipe {index}"
        yield from attempt(where, None, lambda: [_found(tag, where, file, source)])  # noqa: B023


def _is(*names: str) -> Callable[[Tag], bool]:
    """Return a filter for tags with one of these ids or classes."""

    def matches(tag: Tag) -> bool:
        return tag.get("id") in names or any(name in _classes(tag) for name in names)

    return matches


def _classes(tag: Tag) -> list[str]:
    return list(tag.get("class") or [])


def _found(tag: Tag, where: str, file: File, source: Source) -> Found:
    title = _text(tag, "name", "recipeName") or _heading(tag)
    link = tag.find(_is("original_link"))
    address = str(link.get("href") or link.get_text(strip=True)) if link is not None else ""
    labels = (text.clean(one.get_text(" ")) for one in tag.find_all(_is("recipeCategory")))
    categories = text.names(*(_LABEL.sub("", label) for label in labels))
    if _text(tag, "starred"):
        categories.append("Favorite")
    notes = list(_lines(tag, "recipeNote", "recipeNotes"))
    recipe = Recipe(
        "",
        title,
        tuple(_lines(tag, "recipeIngredient", "recipeIngredients")),
        tuple(text.step_list(_lines(tag, "instruction", "recipeInstructions"))),
        category=categories[0] if categories else None,
        source=address or None,
        servings=_text(tag, "recipeYield") or _LABEL.sub("", _text(tag, "servings")) or None,
        times=text.times(**{name: _text(tag, f"{name}Time") for name in ("prep", "cook", "total")}),
        tags=tuple(categories[1:]),
        notes=text.joined(_text(tag, "description"), "\n".join(notes)),
    )
    photos, absent = _photos(tag, file, source)
    key = digest("copy me that", source.family, address, title)
    return Found(where, recipe, key, without_photos(str(tag)), ".html", tuple(photos), tuple(absent))


def _text(tag: Tag, *names: str) -> str:
    part = tag.find(_is(*names))
    return text.clean(part.get_text(" ")) if part is not None else ""


def _heading(tag: Tag) -> str:
    part = tag.find(["h1", "h2", "title"])
    return text.clean(part.get_text(" ")) if part is not None else ""


def _lines(tag: Tag, name: str, group: str) -> Iterator[str]:
    """Yield the items of a list, sub-headings as sections; unmarked items of the list count as well."""
    inner = tag.find(_is(group))
    own = {name, f"{name}_subheader", f"{name}_note"}
    for item in (inner or tag).find_all(True):
        classes = _classes(item)
        if own.isdisjoint(classes) and not (inner is not None and item.name == "li"):
            continue
        if line := text.clean(item.get_text(" ")):
            yield Section(line.removesuffix(":")) if f"{name}_subheader" in classes else line


def _photos(tag: Tag, file: File, source: Source) -> tuple[list[Picture], list[str]]:
    images = tag.find_all(_is("recipeImage")) or tag.find_all("img")
    names = [str(image.get("src")) for image in images if image.get("src")]
    photos = [picture for name in names if (picture := source.photo(name, file.path)) is not None]
    return photos, [absent_photo(names[0])] if names and not photos else []
