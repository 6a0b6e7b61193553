"""Stand-ins for what the index and the search are about to offer; goes away with their branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


def _passes(recipe: Any, where: Any) -> bool:
    from savor.index.filters import facts_of

    return where.passes(facts_of(recipe))


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
    many = 31
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
