"""Security: who may ask, who may write, how much a request may bring, and what browsers are told.

- On loopback the host must be this machine: a web site whose name is pointed at 127.0.0.1 gets nothing.
- A request that may change something is refused if a browser says that it comes from another site.
- What writes needs the token; without one, a server on loopback writes for requests that no proxy passed on.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders

from savor.server.problems import Problem, body
from savor.server.service import TheService

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from savor.server.settings import Limits, Settings

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = frozenset({"forwarded", "x-forwarded-for", "x-real-ip", "via"})  # what proxies add
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
DRAINED = 8  # times the limit: as much is read and thrown away, so that the answer is seen
FORM = 64 * 1024  # bytes around a photo in a form
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


class Guard:
    """Refuses what must not reach the application, and tells browsers what its answers may do."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        headers = Headers(scope=scope)
        most = _most(scope["path"], self.settings.limits)
        refusal = _refusal(scope, headers, self.settings)
        if refusal is None and _length(headers) > most:
            refusal = Problem(413, _too_large(most))
        if refusal is not None:
            await _drain(receive, headers, most)
            answer = JSONResponse(body(refusal.code, str(refusal.detail)), refusal.status_code)
            await answer(scope, receive, guarded)
            return
        await self.app(scope, _counted(receive, most), guarded)


def _refusal(scope: Scope, headers: Headers, settings: Settings) -> Problem | None:
    host = headers.get("host", "")
    if settings.loopback and not _is_local(host) and not _is_public(host, settings):
        return Problem(
            421,
            f"this server answers to localhost only, not to {host[:100]!r}; behind a proxy start it with"
            " --public-url",
        )
    if scope["method"] in SAFE or _same_site(scope, headers, settings):
        return None
    return Problem(
        403,
        "this request comes from another web site and is refused; if it is your own address behind a proxy,"
        " start the server with --public-url",
        "cross_site",
    )


def _is_local(host: str) -> bool:
    try:
        return (urlsplit(f"//{host}").hostname or "") in LOCAL
    except ValueError:
        return False


def _is_public(host: str, settings: Settings) -> bool:
    origin = settings.public_origin
    return origin is not None and host.lower() == urlsplit(origin).netloc


def _same_site(scope: Scope, headers: Headers, settings: Settings) -> bool:
    """Tell whether a browser sent this from a page of this server; other programs say nothing of it."""
    origin = headers.get("origin")
    if origin is not None:
        own = f"{scope['scheme']}://{headers.get('host', '')}".lower()
        return origin.lower() in (own, settings.public_origin)
    return headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _most(path: str, limits: Limits) -> int:
    """Return how many bytes a request to this path may have."""
    if path == "/import":
        return limits.upload
    return limits.photo + FORM if path in ("/search", "/explain") else limits.body


def _length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _too_large(most: int) -> str:
    return f"more than the {max(1, most // 2**20):,} MB that this request may have"


def _counted(receive: Receive, most: int) -> Receive:
    """Return a `receive` that fails where a body is longer than it may be, whatever its header said."""
    total = 0

    async def counted() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > most:
            raise Problem(413, _too_large(most))
        return message

    return counted


async def _drain(receive: Receive, headers: Headers, most: int) -> None:
    """Read what a refused request still sends: who is cut off while sending does not see the answer."""
    left = min(_length(headers), DRAINED * most)
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def may_write(
    request: Request, service: TheService, authorization: Annotated[str | None, Header()] = None
) -> None:
    """Let pass who may change something.

    Raises:
        Problem: the token is missing or wrong, or this server lets nobody write.
    """
    settings = service.settings
    if settings.read_only:
        raise Problem(403, "this server was started with --read-only and changes nothing", "read_only")
    if settings.token is None:
        proxied = settings.public_url is not None or not FORWARDED.isdisjoint(request.headers.keys())
        if proxied or not settings.loopback:
            raise Problem(
                403, "others can reach this server, so it writes only with a token; start it with --token"
            )
        return
    scheme, _, given = (authorization or "").partition(" ")
    expected = settings.token.encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
        raise Problem(
            401,
            "this needs the token that the server was started with, as `Authorization: Bearer TOKEN`",
            **{"WWW-Authenticate": "Bearer"},
        )


Writes = Depends(may_write)
