"""The page: its built files, and its addresses, each of which is the same file."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from savor.server.problems import Problem

router = APIRouter(include_in_schema=False)
STATIC = Path(__file__).parent.parent / "static"
INDEX = "index.html"
# Names of built files change with their content; the page itself and what it names by a fixed name do not.
FOREVER, ASK = "public, max-age=31536000, immutable", "no-cache"


@cache
def files() -> dict[str, Path]:
    """Return the built files by their addresses; what is not among them is never served."""
    found = (file for file in sorted(STATIC.rglob("*")) if file.is_file())
    return {file.relative_to(STATIC).as_posix(): file for file in found}


def wants_page(request: Request) -> bool:
    """Tell whether a browser is going to an address; programs ask for something else than HTML."""
    return "text/html" in request.headers.get("accept", "")


def page() -> Response:
    """Return the page."""
    file = files().get(INDEX)
    if file is None:
        raise Problem(404, "the page is not part of this copy of Savor; build it: see web/ in its source")
    return FileResponse(file, headers={"Cache-Control": ASK, "Vary": "Accept"})


@router.get("/")
@router.get("/browse")
@router.get("/r/{rest:path}")
def deep_link(rest: str = "") -> Response:
    """Show the page, which reads its address itself."""
    return page()


@router.get("/{path:path}")
def built_file(path: str) -> Response:
    """Send one of the page's files."""
    file = files().get(path)
    if file is None or path == INDEX:
        raise Problem(404, "there is nothing at this address")
    kept = FOREVER if path.startswith("assets/") else ASK
    return FileResponse(file, headers={"Cache-Control": kept})
