"""What the tests of importing share: archives made in memory, photos with a place in them, and one call."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from savor.importing.base import Found, Skipped
from savor.importing.finding import find


@pytest.fixture(scope="session")
def zipped() -> Callable[[Mapping[str, Any]], bytes]:
    """Return a function that makes a zip: texts, bytes, or JSON for anything else."""

    def make(files: Mapping[str, Any]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                plain = isinstance(content, (str, bytes))
                archive.writestr(name, content if plain else json.dumps(content))
        return buffer.getvalue()

    return make


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """Return a function that draws a photo of one colour, `gps` with a place and a camera in its EXIF."""

    def draw(colour: str = "red", kind: str = "JPEG", *, gps: bool = False, orientation: int = 1) -> bytes:
        image = Image.new("RGB", (24, 16), colour)
        image.paste("white", (0, 0, 8, 8))
        exif = Image.Exif()
        if gps:
            exif[0x010F] = "SecretCamera"
            exif[0x8825] = {1: "N", 2: (48.0, 12.0, 30.0), 3: "E", 4: (16.0, 22.0, 0.0)}
        if orientation != 1:
            exif[0x0112] = orientation
        buffer = io.BytesIO()
        image.save(buffer, kind, exif=exif.tobytes() if len(exif) else b"")
        return buffer.getvalue()

    return draw


@pytest.fixture
def found(tmp_path: Path) -> Callable[..., list[Found]]:
    """Return a function that finds the recipes of one file, which must hold nothing else."""

    def read(content: Any, name: str = "source") -> list[Found]:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        results = list(find(path))
        assert not [one for one in results if isinstance(one, Skipped)], results
        return [one for one in results if isinstance(one, Found)]

    return read


@pytest.fixture
def skipped(tmp_path: Path) -> Callable[..., list[Skipped]]:
    """Return a function that finds what is skipped in one file."""

    def read(content: Any, name: str = "source") -> list[Skipped]:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [one for one in find(path) if isinstance(one, Skipped)]

    return read
