"""Photos as they are written: the same pixels, without place, time, camera and comments.

JPEG, PNG and WebP keep their compressed picture byte for byte (JPEG its orientation too); other kinds are
decoded and stored as PNG or JPEG, and so are pictures larger than any screen, at a size that is enough.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

from PIL import Image

from savor.errors import PhotoError
from savor.photos import MAX_PIXELS, open_photo

_ORIENTATION = 0x0112
_EXIF = b"Exif\0\0"
# What says how the picture is to be shown: JFIF, colour profile, Adobe's colour transform.
_KEPT_SEGMENTS = {0xE0: b"JFIF", 0xE2: b"ICC_PROFILE", 0xEE: b"Adobe"}
_DROPPED_CHUNKS = {b"eXIf", b"tEXt", b"iTXt", b"zTXt", b"tIME"}
_LOSSLESS = (b"\x89PNG", b"GIF8", b"BM", b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")
LONGEST_SIDE = 4096
# Phones have sensors of 108 megapixels and store JPEG; other pictures of that size belong to no recipe.
_MAX_JPEG_PIXELS = 120_000_000


def without_place(data: bytes) -> tuple[bytes, str]:
    """Return a photo without metadata and the suffix it should have.

    Raises:
        PhotoError: it is not a photo that can be read in full.
    """
    is_jpeg = data[:3] == b"\xff\xd8\xff"
    picture = open_photo(data, max_pixels=_MAX_JPEG_PIXELS if is_jpeg else MAX_PIXELS)
    if min(picture.size) < 3:
        raise PhotoError(
            f"it is {picture.width} x {picture.height} pixels, which a page shows before the photo"
        )
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return _again(picture, data)
    if is_jpeg:
        return _jpeg(data), ".jpg"
    if data[:8] == b"\x89PNG\r\n\x1a\n" and _orientation(data) == 1:
        return data[:8] + b"".join(_png_chunks(data)), ".png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and _orientation(data) == 1:
        return _webp(data), ".webp"
    return _again(picture, data)


def _orientation(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # unreadable EXIF is dropped like any other
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _again(picture: Image.Image, data: bytes) -> tuple[bytes, str]:
    """Encode the upright picture afresh."""
    file = io.BytesIO()
    if data.startswith(_LOSSLESS):
        picture.save(file, "PNG", optimize=True)
        return file.getvalue(), ".png"
    picture.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue(), ".jpg"


def _jpeg(data: bytes) -> bytes:
    """Return a JPEG with those segments alone that the picture needs (ITU T.81, annex B)."""
    kept = [b"\xff\xd8"]
    if (orientation := _orientation(data)) != 1:
        tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, _ORIENTATION, 3, 1, orientation, 0, 0)
        kept.append(b"\xff\xe1" + struct.pack(">H", 2 + len(_EXIF + tiff)) + _EXIF + tiff)
    kept += _jpeg_segments(data)
    return b"".join(kept)


def _jpeg_segments(data: bytes) -> Iterator[bytes]:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            place += 1  # padding that some cameras write between segments
            continue
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0xD9:
            break
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 2
        else:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            body = data[place + 4 : end]
            if marker == 0xDA:
                end = _scan_end(data, end)
            is_note = 0xE0 <= marker <= 0xEF or marker == 0xFE
            if not is_note or (marker in _KEPT_SEGMENTS and body.startswith(_KEPT_SEGMENTS[marker])):
                yield data[place:end]
            place = end
    yield b"\xff\xd9"


def _scan_end(data: bytes, place: int) -> int:
    """Return where compressed data end: at a marker that is neither a restart nor a stuffed FF."""
    while (place := data.find(b"\xff", place)) != -1 and place + 1 < len(data):
        if data[place + 1] not in (0x00, 0xFF) and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2 if data[place + 1] != 0xFF else 1
    return len(data)


def _png_chunks(data: bytes) -> Iterator[bytes]:
    place = 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        kind = data[place + 4 : place + 8]
        if kind not in _DROPPED_CHUNKS:
            yield data[place:end]
        if kind == b"IEND":
            return
        place = end


def _webp(data: bytes) -> bytes:
    """Return a WebP without its EXIF and XMP chunks and the flags that announce them."""
    place, chunks = 12, []
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        end = place + 8 + size + size % 2
        kind, chunk = data[place : place + 4], data[place:end]
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~0x0C]) + chunk[9:]
        if kind not in (b"EXIF", b"XMP "):
            chunks.append(chunk)
        place = end
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def checked(data: bytes) -> tuple[bytes, str]:
    """Return a photo without metadata that can still be read.

    Raises:
        PhotoError: it cannot be read, with the reason.
    """
    bare, suffix = without_place(data)
    try:
        open_photo(bare, target=(32, 32))
    except PhotoError:  # written in a way this module does not know: the picture counts, not its bytes
        return _again(open_photo(data), data)
    return bare, suffix
