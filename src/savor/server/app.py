"""The application: routes, guards and what they share, put together."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from savor import __version__
from savor.hardware import cores
from savor.server import problems
from savor.server.batching import Worker
from savor.server.jobs import Jobs
from savor.server.library import Library
from savor.server.maps import Maps
from savor.server.metrics import Measured, Metrics
from savor.server.queries import Queries
from savor.server.routes import (
    explaining,
    feedback,
    health,
    importing,
    mapping,
    page,
    photos,
    recipes,
    searching,
)
from savor.server.schemas import ErrorAnswer
from savor.server.security import Guard
from savor.server.service import Service

if TYPE_CHECKING:
    from savor.server.settings import Settings

ENCODERS = 8  # calls at a time, on however many cores; each takes some hundred megabytes
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in (
        (404, "There is no such recipe or photo."),
        (413, "The upload is too large."),
        (422, "Something that was given cannot be used; the message says what and why."),
        (503, "Still starting, or too busy; try again."),
    )
}
DESCRIPTION = "Recipes by photo, photos by recipe, and why. Every error is `{error: {code, message}}`."


def create_app(settings: Settings) -> FastAPI:
    """Return the application that serves an index; it loads the model when it is started.

    Args:
        settings: what is served, and who may write.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        encoding = Worker(min(cores(), ENCODERS), observe=metrics.batch)
        library = Library(settings, encoding)
        jobs, maps = Jobs(library), Maps()
        explaining = threading.BoundedSemaphore(settings.limits.explanations)
        app.state.service = Service(settings, library, Queries(), jobs, maps, metrics, explaining)
        library.start()
        yield
        for part in (library, jobs, maps, encoding):
            await run_in_threadpool(part.close)

    # The pages that FastAPI offers for the description load their scripts from elsewhere.
    app = FastAPI(
        title="Savor",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=ERRORS,
    )
    problems.install(app)
    for routes in (health, searching, recipes, photos, explaining, importing, mapping, feedback, page):
        app.include_router(routes.router)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Measured, metrics=metrics)
    return app
