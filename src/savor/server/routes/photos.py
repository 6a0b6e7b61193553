"""`/photos`: the small photos that the index keeps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from savor.server import thumbnails
from savor.server.problems import Problem
from savor.server.schemas import LONGEST_ID
from savor.server.service import TheLibrary

router = APIRouter(tags=["photos"])
CACHED = "private, max-age=86400"  # a changed photo has another id after an import


@router.get(
    "/photos/{photo_id:path}",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 304: {"description": "The caller has it already."}},
)
def photo(
    photo_id: str,
    library: TheLibrary,
    recipe: Annotated[str, Query(max_length=LONGEST_ID, description="Id of the recipe it belongs to.")],
    width: Annotated[int, Query(ge=1, le=4096, description="At least so wide, at most 320 pixels.")] = 320,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Show a photo, scaled down, as JPEG."""
    jpeg = library.index.thumbnail(recipe, photo_id)
    if jpeg is None:
        raise Problem(404, f"no photo {photo_id!r} of the recipe {recipe!r} is in this collection")
    chosen = thumbnails.width_for(width)
    tag = thumbnails.tag(jpeg, chosen)
    headers = {"ETag": tag, "Cache-Control": CACHED}
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers=headers)
    return Response(thumbnails.scaled(jpeg, chosen), media_type="image/jpeg", headers=headers)


def _names(header: str, tag: str) -> bool:
    """Tell whether an If-None-Match header names a tag; proxies mark tags as weak."""
    given = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in given or "*" in given
