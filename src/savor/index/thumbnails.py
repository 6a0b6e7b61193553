"""Thumbnails: small JPEGs of photos, upright and without anything the camera wrote into them."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

SIDE = 320


def jpeg(image: Image.Image, side: int = SIDE) -> bytes:
    """Return an RGB picture as a JPEG of at most `side` pixels on its longer side.

    No EXIF (place, time, camera), comment or profile goes along, only pixels.
    """
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.info.clear()  # Pillow would write a JPEG's comment again
    file = BytesIO()
    small.save(file, "JPEG", quality=82, optimize=True, progressive=True)
    return file.getvalue()
