"""Service: what the routes share, one for each application."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request

from savor.server.library import Library

if TYPE_CHECKING:
    from savor.server.jobs import Jobs
    from savor.server.maps import Maps
    from savor.server.metrics import Metrics
    from savor.server.queries import Queries
    from savor.server.settings import Settings


@dataclass(frozen=True)
class Service:
    """The library and what is kept while the server runs."""

    settings: Settings
    library: Library
    queries: Queries
    jobs: Jobs
    maps: Maps
    metrics: Metrics
    explaining: threading.BoundedSemaphore


def service_of(request: Request) -> Service:
    """Return the service that a request is for."""
    service: Service = request.app.state.service
    return service


def library_of(request: Request) -> Library:
    """Return the library that a request is for."""
    return service_of(request).library


TheService = Annotated[Service, Depends(service_of)]
TheLibrary = Annotated[Library, Depends(library_of)]
