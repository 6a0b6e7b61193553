"""Photos keep their pixels and lose their place."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from savor.errors import PhotoError
from savor.importing.photos import checked
from savor.photos import open_photo

GPS = 0x8825


def pixels(data):
    return np.asarray(open_photo(data)).astype(int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_place_goes_and_the_picture_stays(photo, kind, orientation):
    data = photo(kind=kind, gps=True, orientation=orientation)
    assert b"SecretCamera" in data
    bare, _ = checked(data)
    assert b"SecretCamera" not in bare
    with Image.open(io.BytesIO(bare)) as image:
        assert not image.getexif().get_ifd(GPS)
    assert np.abs(pixels(bare) - pixels(data)).max() <= (0 if kind != "WEBP" or orientation == 1 else 12)


def test_a_jpeg_is_not_encoded_again(photo):
    plain = photo()
    bare, suffix = checked(plain)
    assert suffix == ".jpg"
    scan = plain.index(b"\xff\xda")
    assert plain[scan:] in bare
    assert checked(bare)[0] == bare


def test_progressive_jpeg_colour_profile_and_comment(photo):
    image = Image.open(io.BytesIO(photo()))
    buffer = io.BytesIO()
    image.save(
        buffer, "JPEG", progressive=True, icc_profile=b"profile" * 9, comment=b"at home", exif=b"Exif\0\0x"
    )
    bare, _ = checked(buffer.getvalue())
    assert b"at home" not in bare
    with Image.open(io.BytesIO(bare)) as again:
        assert again.info["icc_profile"] == b"profile" * 9
    assert (pixels(bare) == pixels(buffer.getvalue())).all()


def test_what_follows_the_picture_goes(photo):
    data = photo(gps=True)
    assert checked(data + photo(gps=True))[0] == checked(data)[0]


def test_text_chunks_of_png_go():
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<exif:GPSLatitude>48</exif:GPSLatitude>")
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
    bare, suffix = checked(buffer.getvalue())
    assert b"GPSLatitude" not in bare
    assert suffix == ".png"


@pytest.mark.parametrize(("kind", "suffix"), [("GIF", ".png"), ("BMP", ".png"), ("TIFF", ".jpg")])
def test_other_kinds_are_drawn_again(kind, suffix):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, kind)
    bare, found = checked(buffer.getvalue())
    assert found == suffix
    assert open_photo(bare).size == (4, 4)


def test_padding_between_segments(photo):
    data = photo()
    padded = data[:2] + b"\xff\xfe" + struct.pack(">H", 6) + b"note" + b"\xff" + data[2:]
    assert checked(padded)[0] == checked(data)[0]


@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff\xd8\xff\xe0nothing"])
def test_no_photo(data):
    with pytest.raises(PhotoError):
        checked(data)


@pytest.mark.parametrize(("kind", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png")])
def test_big_photos_are_scaled_down_and_upright(kind, suffix):
    from savor.importing.photos import LONGEST_SIDE

    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (LONGEST_SIDE + 400, 100), "red").save(buffer, kind, exif=exif.tobytes())
    bare, found = checked(buffer.getvalue())
    assert found == suffix
    picture = open_photo(bare)
    assert picture.height == LONGEST_SIDE
    assert picture.width < 100


def test_a_picture_of_one_pixel_is_none():
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "GIF")
    with pytest.raises(PhotoError, match="1 x 1 pixels"):
        checked(buffer.getvalue())
