"""Uploads: a photo that somebody sends, checked before anything is done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savor.server.problems import Problem

if TYPE_CHECKING:
    from fastapi import UploadFile
    from PIL import Image

# Pictures at least four times as large are decoded smaller, see `open_photo`.
SEARCHED, EXPLAINED = (352, 352), (512, 512)


def read(photo: UploadFile | None, most: int) -> bytes | None:
    """Return the bytes of an uploaded photo; None for a field that was left empty.

    Raises:
        Problem: it is larger than the server takes.
    """
    if photo is None:
        return None
    data = photo.file.read(most + 1)
    if len(data) > most:
        raise Problem(413, f"the photo is larger than {most // 2**20} MB; scale it down")
    return None if not data and not photo.filename else data


def picture(data: bytes, target: tuple[int, int]) -> Image.Image:
    """Return the bytes of a photo as an upright RGB picture.

    Raises:
        PhotoError: they are none, or claim more pixels than are safe to decode.
    """
    from savor.photos import open_photo

    return open_photo(data, target=target)
