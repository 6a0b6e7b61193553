"""`/search`: the recipes behind a photo or words, and the photos behind a recipe."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, File
from fastapi import Query as Parameters

from savor.queries import where_of
from savor.server import uploads
from savor.server.presenting import found
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
    picture = None if data is None else uploads.picture(data, uploads.SEARCHED)
    searcher = service.library.searcher
    where = where_of(query.have, query.avoid, query.category, query.source, query.minutes)
    answer = searcher.ask(
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
        understood=Understood(**answer.understood.as_dict()),
        confidence=None if answer.confidence is None else Confidence(**answer.confidence.as_dict()),
        notes=list(answer.notes),
        query=service.queries.keep(Query(data, query.text)),
        took_ms=round(1000 * (time.perf_counter() - started), 1),
    )
