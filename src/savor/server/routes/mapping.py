"""`/map`: the collection in the plane."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from savor.server.presenting import shown_photo
from savor.server.routes.page import page, wants_page
from savor.server.schemas import Map, MapPoint
from savor.server.service import TheService

router = APIRouter(tags=["recipes"])
WAIT = 2.0  # seconds until the answer is that the map is still being made


@router.get("/map", response_model=Map, responses={202: {"model": Map, "description": "Still being made."}})
def map_(request: Request, response: Response, service: TheService) -> Map | Response:
    """Place every recipe on a map; while it is being made, the kind is `pending`: ask again in a moment.

    A browser that goes to this address gets the page.
    """
    if wants_page(request):
        return page(request)
    library = service.library
    index = library.index
    total = index.count("recipes")
    plan = service.maps.get(index, WAIT, beside=library.in_place)
    response.headers["Vary"] = "Accept"
    if plan is None:
        response.status_code = 202
        response.headers["Retry-After"] = "2"
        return Map(kind="pending", points=[], total=total)
    points = [
        MapPoint(
            id=one,
            title=recipe.title,
            x=x,
            y=y,
            category=recipe.category,
            photo_url=shown_photo(index, one),
        )
        for one, (x, y) in zip(plan["ids"], plan["xy"], strict=True)
        if (recipe := index.recipe(one))
    ]
    return Map(kind=plan["kind"], points=points, total=total)
