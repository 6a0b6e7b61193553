"""Settings: what is served, who may write, and how much one request may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from savor.errors import UsageError

MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one request may bring or ask for.

    Attributes:
        photo: bytes of an uploaded photo.
        upload: bytes of an uploaded import, all files together.
        body: bytes of any other request.
        files: files of one import.
        explanations: explanations that may run or wait at a time.
    """

    photo: int = 20 * MEGABYTE
    upload: int = 1024 * MEGABYTE
    body: int = MEGABYTE
    files: int = 20_000
    explanations: int = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """How an index is served.

    Attributes:
        index: folder of the index.
        token: what a request that writes must bear; None = none, which only a server on loopback accepts.
        read_only: refuse everything that writes.
        loopback: whether only this machine can reach the server.
        public_url: where people find it when it stands behind a proxy, such as `https://recipes.example`.
        data: the plain folder that imports go to; `imported` inside the index if left out.
        own_copy: where an index that must not be written is copied to before the first change; None = never.
        limits: how much one request may bring or ask for.
    """

    index: Path
    token: str | None = None
    read_only: bool = False
    loopback: bool = True
    public_url: str | None = None
    data: Path | None = None
    own_copy: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < 8:
            raise UsageError("the token is shorter than 8 characters and could be guessed; give a longer one")
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
                raise UsageError(
                    f"public URL {self.public_url!r}: write scheme and host only, as https://recipes.example"
                )

    @property
    def public_origin(self) -> str | None:
        """Scheme, host and port of the public address, as browsers send it."""
        if self.public_url is None:
            return None
        parts = urlsplit(self.public_url)
        return f"{parts.scheme}://{parts.netloc}".lower()
