"""Recipe Keeper: one HTML page with all recipes, marked by `itemprop`s of its own, and a folder of images.

Written from public descriptions of the format: `recipeIngredients`, `recipeDirections` and `recipeNotes` hold
a paragraph a line; courses, categories and collections are what others call tags.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from savor.importing import text
from savor.importing.base import Found, Skipped, absent_photo, attempt, digest
from savor.importing.files import File, Source
from savor.recipe import Recipe

if TYPE_CHECKING:
    from bs4 import Tag


def recognises(page: str) -> bool:
    """Tell whether a page is one that Recipe Keeper wrote."""
    return "recipe-details" in page and "recipeDirections" in page


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read every recipe of a page."""
    from bs4 import BeautifulSoup

    tags = BeautifulSoup(page, "lxml").find_all(class_="recipe-details")
    for index, tag in enumerate(tags, start=1):
        where = file.path if len(tags) == 1 else f"{file.path} recipe {index}"
        yield from attempt(where, None, lambda: [_found(tag, where, file, source)])  # noqa: B023


def _found(tag: Tag, where: str, file: File, source: Source) -> Found:
    link = tag.select_one("[itemprop=recipeSource] a[href], a[href]:has([itemprop=recipeSource])")
    labels = [
        *_values(tag, "recipeCourse"),
        *_values(tag, "recipeCategory"),
        *_values(tag, "recipeCollection"),
    ]
    categories = text.names(*labels)
    recipe = Recipe(
        "",
        next(_values(tag, "name"), ""),
        tuple(text.ingredient_lines("\n".join(_paragraphs(tag, "recipeIngredients")))),
        tuple(text.steps("\n".join(_paragraphs(tag, "recipeDirections")), colon=True)),
        category=categories[0] if categories else None,
        source=str(link["href"]) if link is not None else next(_values(tag, "recipeSource"), None),
        servings=next(_values(tag, "recipeYield"), None),
        times=text.times(
            **{name: next(_values(tag, f"{name}Time"), None) for name in ("prep", "cook", "total")}
        ),
        tags=tuple(categories[1:]),
        notes=text.joined("\n".join(_paragraphs(tag, "recipeNotes"))),
    )
    own = next(_values(tag, "recipeId"), "")
    images = tag.select("img.recipe-photos[src]") or tag.select("img[src]")
    names = list(dict.fromkeys(str(image["src"]) for image in images))
    photos = tuple(picture for name in names if (picture := source.photo(name, file.path)) is not None)
    absent = (absent_photo(names[0]),) if names and not photos else ()
    key = digest("recipe keeper", own or source.family, "" if own else recipe.title)
    return Found(where, recipe, key, str(tag), ".html", photos, absent)


def _values(tag: Tag, name: str) -> Iterator[str]:
    """Yield what the parts of this name say, in an attribute or in words."""
    for part in tag.select(f"[itemprop={name}]"):
        if value := text.clean(part.get("content") or part.get_text(" ")):
            yield value


def _paragraphs(tag: Tag, name: str) -> Iterator[str]:
    part = tag.select_one(f"[itemprop={name}]")
    if part is not None:
        for br in part.find_all("br"):
            br.replace_with("\n")
        yield from (
            (line.get_text("") for line in part.find_all(["p", "li"]))
            if part.find(["p", "li"])
            else [part.get_text("\n")]
        )
