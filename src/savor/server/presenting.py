"""Presenting: recipes and hits as the answers of the server show them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from savor.datasets.folder import recipe_to_json
from savor.index.filters import minutes_of
from savor.server.schemas import Card, Hit, PhotoFacts, RecipeAnswer

if TYPE_CHECKING:
    from savor.answers import Found
    from savor.index import Index
    from savor.recipe import Recipe

LINES = 8


def photo_url(recipe_id: str, photo_id: str | None) -> str | None:
    """Return where a photo is found; every sign that means something in an address is written as a number.

    >>> photo_url("a&b", "soups/red lentil.jpg")
    '/photos/soups%2Fred%20lentil.jpg?recipe=a%26b'
    """
    if photo_id is None:
        return None
    return f"/photos/{quote(photo_id, safe='')}?{urlencode({'recipe': recipe_id})}"


def shown_photo(index: Index, recipe_id: str) -> str | None:
    """Return where the first photo of a recipe is found."""
    return photo_url(recipe_id, next(iter(index.photos(recipe_id)), None))


def card(index: Index, recipe: Recipe) -> Card:
    """Return a recipe as lists show it."""
    return Card(
        id=recipe.id,
        title=recipe.title,
        category=recipe.category,
        minutes=minutes_of(recipe),
        photo_url=shown_photo(index, recipe.id),
        ingredients=list(recipe.lines("ingredients")[:LINES]),
    )


def whole(index: Index, recipe: Recipe) -> RecipeAnswer:
    """Return all that is known of a recipe."""
    fields = recipe_to_json(recipe)
    photos = [PhotoFacts(id=one, url=photo_url(recipe.id, one) or "") for one in index.photos(recipe.id)]
    return RecipeAnswer(
        id=recipe.id,
        title=recipe.title,
        ingredients=fields.get("ingredients", []),
        instructions=fields.get("instructions", []),
        category=recipe.category,
        source=recipe.source,
        servings=recipe.servings,
        times=dict(recipe.times),
        tags=fields.get("tags", []),
        notes=recipe.notes,
        minutes=minutes_of(recipe),
        photos=photos,
    )


def found(index: Index, one: Found) -> Hit:
    """Return a hit with what a page shows of its recipe."""
    hit = one.hit
    recipe = index.recipe(hit.recipe_id)
    return Hit(
        id=hit.id,
        recipe_id=hit.recipe_id,
        rank=hit.rank,
        score=round(hit.score, 6),
        title=hit.title,
        photo=hit.photo,
        photo_url=photo_url(hit.recipe_id, hit.photo),
        ingredients=list(recipe.lines("ingredients")[:LINES]) if recipe else [],
        category=recipe.category if recipe else None,
        minutes=minutes_of(recipe) if recipe else None,
        source=recipe.source if recipe else None,
        matched=list(one.matched),
        duplicates=list(one.duplicates),
        probability=one.probability,
        first_stage_score=hit.first_stage_score,
    )
