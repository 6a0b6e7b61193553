"""Stand-ins for what the index and the search are about to offer; goes away with their branches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


def version_of(index: Any) -> str:
    return str(getattr(index, "version", index.manifest["entries"]))


def _ids(index: Any) -> list[str]:
    return [record["id"] for record in index._lists["recipes"].records()]


def listed(index: Any, where: Any, offset: int, limit: int, order: str) -> list[str]:
    if hasattr(index, "listed"):
        return index.listed(where, offset=offset, limit=limit, order=order)
    recipes = [index.recipe(one) for one in _ids(index)]
    recipes = [one for one in recipes if _passes(one, where)]
    recipes.sort(key=lambda one: one.title.casefold() if order == "title" else one.id)
    return [one.id for one in recipes[offset : offset + limit]]


def _passes(recipe: Any, where: Any) -> bool:
    from savor.index.filters import facts_of

    return where.passes(facts_of(recipe))


def count(index: Any, find: str, where: Any) -> int:
    if hasattr(index, "words"):
        return index.count(find, where)
    return len(listed(index, where, 0, 10**9, "id")) if find == "recipes" else index.count(find)


def words(index: Any, text: str, k: int, where: Any) -> list[str]:
    if hasattr(index, "words"):
        return [match.recipe_id for match in index.words(text, k, where)]
    return [
        one
        for one in listed(index, where, 0, 10**9, "id")
        if text.casefold() in index.recipe(one).title.casefold()
    ][:k]


def facets(index: Any) -> dict[str, list[tuple[str, int]]]:
    if hasattr(index, "facets"):
        return index.facets()
    recipes = [index.recipe(one) for one in _ids(index)]
    return {
        "categories": Counter(one.category for one in recipes if one.category).most_common(),
        "sources": Counter(one.source for one in recipes if one.source).most_common(),
    }


def where_of(have: Any, avoid: Any, category: Any, source: Any, minutes: Any) -> Any:
    try:
        from savor.queries import where_of as real
    except ImportError:
        from savor.index.filters import Filter, normalised

        return Filter(tuple(map(normalised, have)), tuple(map(normalised, avoid)), category, source, minutes)
    return real(have, avoid, category, source, minutes)


@dataclass
class Understood:
    text: str
    where: Any


@dataclass
class Found:
    hit: Any
    matched: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()
    probability: float | None = None


@dataclass
class Answer:
    hits: list[Found]
    total: int
    understood: Understood
    confidence: Any
    notes: list[str]


def ask(
    searcher: Any,
    *,
    photo: Any,
    text: Any,
    recipe: Any,
    find: Any,
    k: int,
    offset: int,
    where: Any,
    group: bool,
) -> Any:
    if hasattr(searcher, "ask"):
        return searcher.ask(
            photo=photo, text=text, recipe=recipe, find=find, k=k, offset=offset, where=where, group=group
        )
    find = find or ("photos" if recipe is not None else "recipes")
    many = 1000
    if photo is not None:
        hits = searcher.by_photo(photo, many, find=find)
    elif text is not None:
        hits = searcher.by_text(text, many, find=find)
    else:
        hits = searcher.by_recipe(recipe, many, find=find)
    hits = [hit for hit in hits if _passes(searcher.index.recipe(hit.recipe_id), where)] if where else hits
    return Answer(
        [Found(hit) for hit in hits[offset : offset + k]], len(hits), Understood(text or "", where), None, []
    )
