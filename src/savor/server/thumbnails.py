"""Thumbnails: the small photos of an index at the width a page asks for."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from io import BytesIO

WIDTHS = (80, 160, 240, 320)  # few, so that they are kept; the index has none wider
KEPT = 1024  # of at most 30 KB each


def width_for(wanted: int) -> int:
    """Return the smallest width kept that is as wide as wanted, or the widest.

    >>> width_for(100), width_for(2000)
    (160, 320)
    """
    return next((width for width in WIDTHS if width >= wanted), WIDTHS[-1])


def tag(jpeg: bytes, width: int) -> str:
    """Return the ETag of a photo at a width, which changes with its content."""
    return f'"{hashlib.sha256(jpeg).hexdigest()[:20]}-{width}"'


@lru_cache(KEPT)
def scaled(jpeg: bytes, width: int) -> bytes:
    """Return a JPEG at most so wide; one that is narrower stays as it is."""
    from PIL import Image

    image = Image.open(BytesIO(jpeg))
    if image.width <= width:
        return jpeg
    small = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    file = BytesIO()
    small.save(file, "JPEG", quality=82, optimize=True, progressive=True)
    return file.getvalue()
