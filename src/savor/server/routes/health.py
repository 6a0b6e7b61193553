"""`/health`: whether the server is ready, and what it serves."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from savor import __version__
from savor.server.library import Library
from savor.server.schemas import Health, IndexFacts
from savor.server.service import TheService

router = APIRouter(tags=["service"])


@router.get("/health")
def health(service: TheService) -> Health:
    """Say whether the model is loaded, what is served and what may be done with it. Never waits."""
    library = service.library
    ready = library.state == "ready"
    return Health(
        status=library.state,
        version=__version__,
        index=_facts(library) if ready else None,
        method=library.index.manifest.get("method") if ready else None,
        ways=library.ways if ready else [],
        token_required=service.settings.token is not None,
        writable=library.writable,
        message=library.failure or None,
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(service: TheService) -> Response:
    """Show what Prometheus collects: requests, latency, sizes of batches and of the index."""
    library = service.library
    if library.state == "ready":
        service.metrics.entries(library.index.count("recipes"), library.index.count("photos"))
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _facts(library: Library) -> IndexFacts:
    index = library.index
    return IndexFacts(
        name=library.path.name,
        recipes=index.count("recipes"),
        photos=index.count("photos"),
        backend=index.manifest.get("backend", "exact"),
        version=library.version,
    )
