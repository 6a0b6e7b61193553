"""Metrics: requests, their time, batches and the size of the index, as Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ITEMS = (1, 2, 4, 8, 12, 16)


class Metrics:
    """The metrics of one application, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "savor_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "savor_request_seconds", "Time to answer.", ("route",), buckets=SECONDS, registry=self.registry
        )
        self._batches = Histogram(
            "savor_batch_items",
            "Photos or texts encoded in one call.",
            ("kind",),
            buckets=ITEMS,
            registry=self.registry,
        )
        self._entries = Gauge(
            "savor_index_entries", "Entries of the index.", ("kind",), registry=self.registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, kind: Hashable, count: int) -> None:
        """Count a call that several may have shared."""
        self._batches.labels(str(kind)).observe(count)

    def entries(self, recipes: int, photos: int) -> None:
        """Note the size of the index."""
        self._entries.labels("recipes").set(recipes)
        self._entries.labels("photos").set(photos)

    def text(self) -> bytes:
        """Return all of it in Prometheus' format."""
        return generate_latest(self.registry)


class Measured:
    """Counts every request by the route that answered it; what no route answered is one."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what became of it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.answered(_method(scope["method"]), route, status, time.perf_counter() - started)


def _method(given: str) -> str:
    """Return a method by name; what somebody invented must not become a label."""
    return given if given in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH") else "other"
