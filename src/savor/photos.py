"""Reading photos safely: whatever people keep as a photo becomes an upright RGB picture or a named error."""

from __future__ import annotations

import contextlib
import importlib.util
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, features

from savor.errors import PhotoError
from savor.recipe import Photo

MAX_PIXELS = 50_000_000
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF", "JPEG2000", "PPM")

_ORIENTATION_TAG = 0x0112
# EXIF 2.32, section 4.6.4: what undoes each value of the tag; 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


def open_photo(
    photo: Photo | Path | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    target: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode a photo into an upright RGB picture.

    The EXIF orientation is applied, transparency is laid on white, 16-bit samples are scaled to 8, an
    animation gives its first frame. The kind is told from the bytes, never from the file's name. Colour
    profiles are not applied. Safe to call from several threads at once.

    Args:
        photo: where the photo lies, or its bytes.
        max_pixels: photos whose header says more pixels than this are refused before they are decoded.
        target: `(width, height)` the caller is going to scale the picture to. A JPEG at least four times
            as large is then decoded at a half, a quarter or an eighth of its size, never at less than twice
            the target, which is several times faster; the pixels differ slightly from those of a full decode.

    Raises:
        PhotoError: the photo is missing, empty, cut off, damaged, too large or of an unsupported kind.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> Image.new("L", (4, 3)).save(file, "PNG")
    >>> open_photo(file.getvalue()).mode
    'RGB'
    """
    name, data = _read(photo)
    if not data:
        raise PhotoError(f"{name} is empty (0 bytes); copy it again from where it came from")
    image = _identify(data, name)
    width, height = image.size
    if width < 1 or height < 1:
        raise PhotoError(f"{name} is {width} x {height} pixels, so there is nothing to see; replace it")
    if width * height > max_pixels:
        raise PhotoError(
            f"{name} claims {width} x {height} pixels, above the limit of {max_pixels:,}; "
            "scale it down, or raise max_pixels if you trust where it comes from"
        )
    if target is not None and image.format in ("JPEG", "MPO"):
        image.draft(None, _draft_size(target))
    # Decoders of damaged files raise nearly anything (struct.error, KeyError, zlib.error, ...).
    try:
        image.load()
        if image.format == "JPEG" and _ends_too_early(image, data, target):
            raise ValueError("its lower part is missing")
        return _to_rgb(_turn_upright(image))
    except Exception as error:
        raise PhotoError(
            f"{name} is cut off or damaged and cannot be decoded in full ({error}); "
            "copy it again or leave it out"
        ) from error


def _read(photo: Photo | Path | bytes) -> tuple[str, bytes]:
    """Return how to call the photo in messages, and its bytes."""
    if isinstance(photo, Photo):
        return f"photo {photo.id!r}", photo.read()
    if isinstance(photo, Path):
        try:
            return f"photo {photo}", photo.read_bytes()
        except OSError as error:
            reason = error.strerror or error
            raise PhotoError(f"photo {photo} cannot be read ({reason}); check the path") from error
    return f"photo (given as {len(photo):,} bytes)", photo


def _identify(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header with the first decoder that knows it.

    The decoders are called directly, because `Image.open` has a pixel limit of its own, which warns through
    Python's process-wide and not thread-safe warning filters, and offers formats that run other programs.
    """
    _load_decoders()
    for kind in FORMATS:
        if kind not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[kind]
        if accept is not None and accept(data[:16]) is not True:
            continue
        try:
            return factory(BytesIO(data), "")
        except Exception as error:
            raise PhotoError(
                f"{name} begins like a {kind} file, but its header is damaged ({error}); "
                "copy it again or leave it out"
            ) from error
    raise PhotoError(f"{name} {_why_unknown(data)}")


@cache
def _load_decoders() -> None:
    """Load Pillow's decoders once, and the HEIF decoder where it is installed."""
    Image.init()
    if importlib.util.find_spec("pillow_heif") is not None:
        from pillow_heif import register_heif_opener

        register_heif_opener()


def _why_unknown(data: bytes) -> str:
    """Say why no decoder takes these bytes and what to do about it."""
    brand = data[8:12] if data[4:8] == b"ftyp" else b""
    if brand in _HEIF_BRANDS:
        return 'is a HEIC/HEIF photo, which needs one more package: pip install "savor[heic]"'
    if brand in _AVIF_BRANDS and not features.check("avif"):
        return "is an AVIF photo, which the installed Pillow cannot read: pip install --upgrade pillow"
    if data.lstrip()[:1] == b"<":
        return "is a web page or an SVG drawing, not a photo; download the photo itself"
    known = ", ".join(FORMATS)
    return f"is not a picture of a known kind (it begins with {data[:8]!r}); known kinds: {known}"


def _draft_size(target: tuple[int, int]) -> tuple[int, int]:
    side = 2 * max(target)  # square, because the photo may still have to be turned
    return side, side


def _ends_too_early(image: Image.Image, data: bytes, target: tuple[int, int] | None) -> bool:
    """Tell whether a JPEG's end marker comes before its last pixels, which the decoder fills with grey.

    A grey last pixel may be real, so the photo is decoded again with other data before the end marker: that
    changes nothing but what was made up.
    """
    corner = image.getpixel((image.width - 1, image.height - 1))
    samples = set(corner if isinstance(corner, tuple) else (corner,))
    if not samples <= {127, 128}:  # CMYK is stored inverted
        return False
    end = data.rfind(b"\xff\xd9")
    filled = data[:end] + bytes(range(1, 255)) * 64 + data[end:]
    second = _identify(filled, "")
    if target is not None:
        second.draft(None, _draft_size(target))
    return second.tobytes() != image.tobytes()


def _turn_upright(image: Image.Image) -> Image.Image:
    orientation = 1
    with contextlib.suppress(Exception):  # unreadable EXIF is no reason to lose the photo
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    transpose = _UPRIGHT.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _to_8_bit(image)
    elif image.mode == "F":
        raise ValueError("floating point samples; save it with 8 bits a channel")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    # A plain Image, so that neither the file's bytes nor its decoder stay in memory.
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit greyscale to 8 bits; Pillow's own conversion clips it to white in some versions."""
    samples = np.asarray(image)
    if samples.min() < 0 or samples.max() > 65535:
        raise ValueError("32-bit samples; save it with 8 or 16 bits a channel")
    return Image.fromarray((samples // 257).astype(np.uint8))
