"""`/feedback`: what people say of hits, kept with the index."""

from __future__ import annotations

from fastapi import APIRouter

from savor.server.problems import Problem
from savor.server.schemas import Feedback, Kept, Verdict
from savor.server.security import Writes
from savor.server.service import TheService

router = APIRouter(tags=["feedback"], dependencies=[Writes])


@router.post("/feedback")
def keep(feedback: Feedback, service: TheService) -> Kept:
    """Keep whether a hit was the dish: `yes`, that was it, or `no`, not this."""
    from savor.feedback import keep as write

    query = service.queries.get(feedback.query)
    if query is None:
        raise Problem(404, f"the search {feedback.query!r} is forgotten; search again")
    if service.library.index.recipe(feedback.recipe_id) is None:
        raise Problem(404, f"no recipe with the id {feedback.recipe_id!r} is in this collection")
    if not query.asked:
        raise Problem(422, "feedback is on a photo or on words; this search had neither")
    write(service.library.to_write(), query.asked, feedback.recipe_id, feedback.verdict)
    return Kept()


@router.get("/feedback")
def all_feedback(service: TheService) -> list[Verdict]:
    """Show what was said, the latest on each query and recipe; the photos stay with the index."""
    from savor.feedback import read

    return [
        Verdict(
            when=one.when,
            text=None if one.is_photo else one.query,
            photo=one.query if one.is_photo else None,
            recipe_id=one.recipe.id,
            title=one.recipe.title,
            verdict=one.verdict,
        )
        for one in read(service.library.path)
    ]
