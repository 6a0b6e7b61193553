"""`/explain`: which words of a recipe belong to which part of a photo."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, File

from savor.server import uploads
from savor.server.presenting import photo_url, whole
from savor.server.problems import Problem
from savor.server.schemas import ExplainAnswer, ExplainForm
from savor.server.service import Service, TheService

if TYPE_CHECKING:
    from PIL import Image

    from savor.index import Index

router = APIRouter(tags=["search"])
SHOWN = 1024  # pixels of the longer side of an uploaded photo that is sent back


@router.post("/explain")
def explain(form: Annotated[ExplainForm, File()], service: TheService) -> ExplainAnswer:
    """Explain why a recipe is near a photo: words, regions of the photo, and how they belong together."""
    if not service.explaining.acquire(blocking=False):
        raise Problem(503, "many explanations are being made; try again in a moment", **{"Retry-After": "5"})
    try:
        return _explained(form, service)
    finally:
        service.explaining.release()


def _explained(form: ExplainForm, service: Service) -> ExplainAnswer:
    from savor.explain import correspond
    from savor.index.thumbnails import jpeg

    library = service.library
    index, embedder = library.index, library.embedder
    recipe = index.recipe(form.recipe)
    if recipe is None:
        raise Problem(404, f"no recipe with the id {form.recipe!r} is in this collection")
    way = form.way or library.ways[0]
    data = uploads.read(form.photo, service.settings.limits.photo)
    picture, address = (
        _stored(index, form) if data is None else (uploads.picture(data, uploads.EXPLAINED), None)
    )
    found = correspond(embedder, picture, recipe, way)
    shown = None if address else f"data:image/jpeg;base64,{b64encode(jpeg(picture, SHOWN)).decode()}"
    return ExplainAnswer(
        **found.as_dict(),
        ways=library.ways,
        recipe=whole(index, recipe),
        photo_url=address,
        photo_data_url=shown,
        width=picture.width,
        height=picture.height,
    )


def _stored(index: Index, form: ExplainForm) -> tuple[Image.Image, str | None]:
    """Return a photo of the index and where it is found."""
    if form.photo_id is None:
        raise Problem(422, "there is no photo to explain; send one, or name photo_id and photo_recipe")
    owner = form.photo_recipe or form.recipe
    small = index.thumbnail(owner, form.photo_id)
    if small is None:
        raise Problem(404, f"no photo {form.photo_id!r} of the recipe {owner!r} is in this collection")
    return uploads.picture(small, uploads.EXPLAINED), photo_url(owner, form.photo_id)
