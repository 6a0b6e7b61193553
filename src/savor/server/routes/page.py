"""The page: its built files, and its addresses, each of which is the same file."""

from __future__ import annotations

import gzip
import mimetypes
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from savor.server.problems import Problem

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).parent.parent / "static"
INDEX = "index.html"
# Names of built files change with their content; the page itself and what it names by a fixed name do not.
# What the system says of these kinds depends on the machine, and browsers are told to believe it.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
PACKED = {".html", ".js", ".css", ".svg", ".json", ".webmanifest"}
FOREVER, ASK = "public, max-age=31536000, immutable", "no-cache"


@cache
def files() -> dict[str, Path]:
    """Return the built files by their addresses; what is not among them is never served."""
    found = (file for file in sorted(STATIC.rglob("*")) if file.is_file())
    return {file.relative_to(STATIC).as_posix(): file for file in found}


def wants_page(request: Request) -> bool:
    """Tell whether a browser is going to an address; programs ask for something else than HTML."""
    return "text/html" in request.headers.get("accept", "")


def page(request: Request) -> Response:
    """Return the page."""
    file = files().get(INDEX)
    if file is None:
        raise Problem(404, "the page is not part of this copy of Savor; build it: see web/ in its source")
    return _sent(file, request, ASK)


@cache
def _packed(file: Path) -> bytes:
    return gzip.compress(file.read_bytes(), 9)


def _sent(file: Path, request: Request, kept: str) -> Response:
    """Return a file, packed if that is of use and the browser takes it."""
    kind = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {"Cache-Control": kept, "Vary": "Accept, Accept-Encoding", "Content-Type": kind}
    if file.suffix in PACKED and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(_packed(file), headers={**headers, "Content-Encoding": "gzip"})
    return Response(file.read_bytes(), headers=headers)


@router.get("/")
@router.get("/browse")
@router.get("/r/{rest:path}")
def deep_link(request: Request, rest: str = "") -> Response:
    """Show the page, which reads its address itself."""
    return page(request)


@router.get("/{path:path}")
def built_file(request: Request, path: str) -> Response:
    """Send one of the page's files."""
    file = files().get(path)
    if file is None or path == INDEX:
        raise Problem(404, "there is nothing at this address")
    return _sent(file, request, FOREVER if path.startswith("assets/") else ASK)
