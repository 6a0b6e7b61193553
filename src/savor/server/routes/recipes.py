"""`/recipes`: the collection, listed and one by one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from savor.index import Index
from savor.queries import where_of
from savor.recipe import Recipe
from savor.server.presenting import card, found, whole
from savor.server.problems import Problem
from savor.server.schemas import Facet, Facets, Hits, Listing, RecipeAnswer, RecipeList, Removed
from savor.server.security import Writes
from savor.server.service import TheLibrary, TheService

router = APIRouter(tags=["recipes"])
MATCHES = 1000  # as many as a search for words counts


@router.get("/recipes")
def recipes(query: Annotated[Listing, Query()], library: TheLibrary) -> RecipeList:
    """List the collection, or what of it meets some conditions; words are looked for in the whole text."""
    index = library.index
    where = where_of(query.have, query.avoid, query.category, query.source, query.minutes)
    if query.text is None:
        total = index.count("recipes", where)
        ids = index.listed(where, offset=query.offset, limit=query.limit, order=query.order)
    else:
        matches = [match.recipe_id for match in index.words(query.text, MATCHES, where)]
        total, ids = len(matches), matches[query.offset : query.offset + query.limit]
    return RecipeList(
        total=total,
        recipes=[card(index, recipe) for one in ids if (recipe := index.recipe(one))],
        facets=_facets(index),
    )


def _facets(index: Index) -> Facets:
    counted = index.facets()
    return Facets(
        categories=[Facet(name=name, count=number) for name, number in counted["categories"]],
        sources=[Facet(name=name, count=number) for name, number in counted["sources"]],
    )


@router.get("/recipes/{recipe_id:path}/similar")
def similar(recipe_id: str, library: TheLibrary, k: Annotated[int, Query(ge=1, le=50)] = 6) -> Hits:
    """List the recipes that are most like one."""
    searcher = library.searcher
    _recipe(searcher.index, recipe_id)
    return Hits(hits=[found(searcher.index, one) for one in searcher.similar(recipe_id, k)])


@router.get("/recipes/{recipe_id:path}")
def recipe(recipe_id: str, library: TheLibrary) -> RecipeAnswer:
    """Show all that is known of a recipe."""
    index = library.index
    return whole(index, _recipe(index, recipe_id))


@router.delete("/recipes/{recipe_id:path}", dependencies=[Writes])
def remove(recipe_id: str, service: TheService) -> Removed:
    """Remove a recipe and its photos, also from the recipes that were imported."""
    _recipe(service.library.index, recipe_id)
    return Removed(removed=service.jobs.remove(recipe_id))


def _recipe(index: Index, recipe_id: str) -> Recipe:
    """Return a recipe of the index.

    Raises:
        Problem: there is none of this id.
    """
    recipe = index.recipe(recipe_id)
    if recipe is None:
        raise Problem(404, f"no recipe with the id {recipe_id!r} is in this collection")
    return recipe
