"""`/search`: the recipes behind a photo or words, and the photos behind a recipe."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, File
from fastapi import Query as Parameters

from savor.server import uploads
from savor.server.fallbacks import ask, where_of
from savor.server.presenting import found
from savor.server.problems import Problem
from savor.server.queries import Query
from savor.server.schemas import Confidence, PhotoQuery, SearchAnswer, TextQuery, Understood
from savor.server.service import Service, TheService

router = APIRouter(tags=["search"])


@router.get("/search")
def search(query: Annotated[TextQuery, Parameters()], service: TheService) -> SearchAnswer:
    """Search by words, by a recipe of the index, or by nothing but conditions."""
    return _answer(service, query, None)


@router.post("/search")
def search_by_photo(query: Annotated[PhotoQuery, File()], service: TheService) -> SearchAnswer:
    """Search by a photo, by words, by both together, or by a recipe of the index."""
    return _answer(service, query, uploads.read(query.photo, service.settings.limits.photo))


def _answer(service: Service, query: TextQuery, data: bytes | None) -> SearchAnswer:
    started = time.perf_counter()
    if query.recipe is not None and (data is not None or query.text is not None):
        raise Problem(422, "search by a recipe, or by a photo and words; not by all at once")
    if query.recipe is None and data is None and query.text is None:
        raise Problem(422, "there is nothing to search with; send a photo, text or recipe")
    picture = None if data is None else uploads.picture(data, uploads.SEARCHED)
    searcher = service.library.searcher
    where = where_of(query.have, query.avoid, query.category, query.source, query.minutes)
    answer = ask(
        searcher,
        photo=picture,
        text=query.text,
        recipe=query.recipe,
        find=query.find,
        k=query.k,
        offset=query.offset,
        where=where,
        group=query.group,
    )
    return SearchAnswer(
        hits=[found(searcher.index, one) for one in answer.hits],
        total=answer.total,
        understood=_understood(answer.understood),
        confidence=_confidence(answer.confidence),
        notes=list(answer.notes),
        query=service.queries.keep(Query(data, query.text, query.recipe)),
        took_ms=round(1000 * (time.perf_counter() - started), 1),
    )


def _understood(understood: Any) -> Understood:
    where = understood.where
    return Understood(
        text=understood.text,
        have=list(where.have),
        avoid=list(where.avoid),
        category=where.category,
        source=where.source,
        minutes=where.minutes,
    )


def _confidence(confidence: Any) -> Confidence | None:
    return None if confidence is None else Confidence(**confidence.as_dict())
