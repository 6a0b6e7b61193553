"""`savor serve`: the page and the web service of an index."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from savor.cli.cookbook import IndexOrCookbook, cookbook, own_cookbook

if TYPE_CHECKING:
    import socket

    import uvicorn

SWITCH = 0.0005  # seconds
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    index: IndexOrCookbook = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is all of this machine's.", metavar="HOST")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8080,
    token: Annotated[
        str | None,
        typer.Option(
            help="What requests that write must bear. Not on loopback, one is made up if none is given.",
            envvar="SAVOR_TOKEN",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Refuse every change.")] = False,
    public_url: Annotated[
        str | None,
        typer.Option(
            help="Address that people use when a proxy stands in front.", metavar="URL", show_default=False
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Plain folder that imports go to; `imported` inside the index if left out.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the page to search an index with, and the service behind it, until Ctrl-C.

    Only this machine can reach it unless --host says otherwise. Prints the page's address. Without INDEX,
    what is added goes to a copy of the starter cookbook in your own folder of settings.
    """
    import uvicorn

    from savor.index.folder import read_manifest
    from savor.server.app import create_app
    from savor.server.settings import Settings

    loopback = host in LOOPBACK
    if token is None and not read_only and (not loopback or public_url is not None):
        token = _made_up_token()
    path, own_copy = (index, None) if index is not None else (cookbook(), own_cookbook())
    if own_copy is not None and path != own_copy and not read_only:
        typer.echo(f"savor: changes go to a copy of your own, {own_copy}", err=True)
    read_manifest(path)
    settings = Settings(path, token, read_only, loopback, public_url, data, own_copy)
    app = create_app(settings)
    listening = _listen(host, port)
    typer.echo(_address(listening, host, public_url))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    _run(uvicorn.Server(config), listening)


def _made_up_token() -> str:
    import secrets

    token = secrets.token_urlsafe(16)
    typer.echo(f"savor: token for everything that writes: {token}", err=True)
    return token


def _listen(host: str, port: int) -> socket.socket:
    """Open the port, so that a busy one is told before anything is loaded."""
    import socket

    from savor.errors import UsageError

    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=512)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"cannot listen on {host} port {port} ({reason}); is another server running there? Choose another"
            " with --port, or 0 for any that is free"
        ) from error
    # Inherited by every connection: an answer's head and body are sent apart, and the body would wait 40 ms
    # for the other side to say that it has the head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _address(listening: socket.socket, host: str, public_url: str | None) -> str:
    if public_url is not None:
        return public_url
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/"


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    # A network gives up the interpreter at each layer, and at Python's 5 ms waits as long to have it back.
    sys.setswitchinterval(SWITCH)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn passes it on after it has stopped in order
        server.run(sockets=[listening])
    typer.echo("savor: stopped", err=True)
