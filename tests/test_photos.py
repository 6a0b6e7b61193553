import contextlib
import io
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

import savor.photos
from savor.errors import PhotoError
from savor.photos import open_photo
from savor.recipe import Photo


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """Red above blue, brighter to the right, with some texture so that no kind compresses it to nothing."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 40, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2, :, 0] += 150
    pixels[height // 2 :, :, 2] += 150
    pixels[:, width // 2 :] += 60
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def difference(image: Image.Image, other: Image.Image) -> float:
    assert image.size == other.size
    return float(np.abs(np.asarray(image, dtype=int) - np.asarray(other, dtype=int)).mean())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "JPEG2000"])
def test_lossless_kinds_give_the_same_pixels(kind):
    assert difference(open_photo(saved(picture(), kind)), picture()) == 0


def test_lossy_kinds_give_nearly_the_same_pixels():
    for kind, options in [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("AVIF", {})]:
        if kind != "AVIF" or features.check("avif"):
            assert difference(open_photo(saved(picture(), kind, quality=95, **options)), picture()) < 12, kind


def test_files_bytes_and_photos_in_a_tar_are_read_alike(tmp_path):
    data = saved(picture(), "PNG")
    tar = tmp_path / "photos.tar"
    tar.write_bytes(b"#" * 512 + data + b"#" * 512)
    path = tmp_path / "no-suffix"
    path.write_bytes(data)
    for photo in (data, path, Photo("1", path), Photo("2", tar, 512, len(data))):
        image = open_photo(photo)
        assert image.mode == "RGB"
        assert difference(image, picture()) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(picture(), "PNG", exif=exif)
    oracle = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert difference(open_photo(data), oracle) == 0
    turned = orientation >= 5
    assert open_photo(data).size == ((32, 48) if turned else (48, 32))


def test_broken_exif_does_not_lose_the_photo():
    data = saved(picture(), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert open_photo(data).size == (48, 32)


def test_transparency_is_laid_on_white():
    clear = picture().convert("RGBA")
    clear.putalpha(0)
    half = Image.new("RGBA", (4, 4), (200, 0, 0, 128))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    assert open_photo(saved(clear, "PNG")).getextrema() == ((255, 255),) * 3
    assert open_photo(saved(half, "PNG")).getpixel((0, 0)) == pytest.approx((227, 127, 127), abs=1)
    assert open_photo(saved(Image.new("LA", (4, 4), (0, 0)), "PNG")).getpixel((0, 0)) == (255, 255, 255)
    assert open_photo(saved(palette, "PNG", transparency=1)).getpixel((0, 0)) == (255, 255, 255)
    assert open_photo(saved(palette, "PNG")).getpixel((0, 0)) == (255, 0, 0)
    keyed = saved(Image.new("RGB", (4, 4), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert open_photo(keyed).getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_from_adobe_is_not_a_negative():
    data = saved(picture().convert("CMYK"), "JPEG", quality=95)  # written inverted, as Adobe does
    assert b"Adobe" in data
    assert difference(open_photo(data), picture()) < 12


def test_greyscale_and_bilevel():
    grey = picture().convert("L")
    assert difference(open_photo(saved(grey, "JPEG", quality=95)), grey.convert("RGB")) < 3
    assert open_photo(saved(Image.new("1", (9, 9), 1), "PNG")).getpixel((8, 8)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_samples_are_scaled_not_clipped(kind):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    values = np.asarray(open_photo(saved(Image.fromarray(ramp), kind)))[..., 0]
    assert np.array_equal(values.ravel(), np.arange(256))


def test_samples_without_a_known_white_are_refused():
    with pytest.raises(PhotoError, match="floating point"):
        open_photo(saved(Image.new("F", (4, 4), 0.5), "TIFF"))
    with pytest.raises(PhotoError, match="32-bit"):
        open_photo(saved(Image.new("I", (4, 4), 1 << 20), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_give_their_first_frame(kind):
    red, blue = (Image.new("RGB", (20, 20), colour) for colour in ("red", "blue"))
    data = saved(red, kind, save_all=True, append_images=[blue], duration=100)
    assert open_photo(data).getpixel((10, 10)) == pytest.approx((255, 0, 0), abs=3)


def test_heic():
    heif = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(picture(64, 64)).save(file, quality=95)
    assert difference(open_photo(file.getvalue()), picture(64, 64)) < 15
    with pytest.raises(PhotoError, match=r"damaged"):
        open_photo(file.getvalue()[:-400])


def test_heic_without_its_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    monkeypatch.setattr(savor.photos, "_load_decoders", lambda: Image.init())
    with pytest.raises(PhotoError, match=r'HEIC/HEIF.*pip install "savor\[heic\]"'):
        open_photo(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_cut_off_files_are_refused(kind, share):
    data = saved(picture(200, 150), kind)
    with pytest.raises(PhotoError, match=r"damaged|known kind"):
        open_photo(data[: int(len(data) * share)])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("target", [None, (20, 20)])
def test_a_jpeg_with_a_grey_half_is_refused_and_one_of_a_grey_table_is_not(mode, target):
    photo = picture(333, 222)
    photo.paste((128, 128, 128), (0, 150, 333, 222))
    data = saved(photo.convert(mode), "JPEG")
    assert open_photo(data, target=target).mode == "RGB"
    with pytest.raises(PhotoError, match="lower part is missing"):
        open_photo(data[: len(data) // 2] + b"\xff\xd9", target=target)


def test_what_is_no_photo_is_refused_by_name(tmp_path):
    page = tmp_path / "photo.jpg"
    page.write_text("<!DOCTYPE html><title>Not found</title>")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(PhotoError, match=r"photo\.jpg is a web page"):
        open_photo(page)
    with pytest.raises(PhotoError, match=r"empty\.jpg is empty"):
        open_photo(empty)
    with pytest.raises(PhotoError, match=r"nowhere\.jpg cannot be read"):
        open_photo(tmp_path / "nowhere.jpg")
    with pytest.raises(PhotoError, match="cannot be read"):
        open_photo(tmp_path)
    with pytest.raises(PhotoError, match=r"known kinds: JPEG"):
        open_photo(b"just some text that is no picture")
    with pytest.raises(PhotoError, match="known kind"):  # would start another program
        open_photo(saved(picture(), "EPS"))
    with pytest.raises(PhotoError, match="photo 'x'"):
        open_photo(Photo("x", empty))


def test_bombs_are_refused_by_their_header_without_a_warning():
    with pytest.raises(PhotoError, match=r"60000 x 60000 pixels.*limit of 50,000,000"):
        open_photo(png_header(60_000, 60_000) + png_chunk(b"IDAT", zlib.compress(bytes(100))))
    with pytest.raises(PhotoError, match="limit of 1,000"):
        open_photo(saved(picture(), "PNG"), max_pixels=1000)
    assert open_photo(saved(picture(), "PNG"), max_pixels=48 * 32).size == (48, 32)


def test_pictures_without_pixels_are_refused():
    with pytest.raises(PhotoError, match=r"0 x 5 pixels|header is damaged|known kind"):
        open_photo(png_header(0, 5) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b""))


def test_a_target_shrinks_large_jpegs_only_and_not_below_twice_the_target():
    large, small = picture(1600, 1200), picture(160, 120)
    assert open_photo(saved(large, "JPEG"), target=(100, 100)).size == (400, 300)
    assert open_photo(saved(small, "JPEG"), target=(100, 100)).size == (160, 120)
    assert open_photo(saved(large, "PNG"), target=(100, 100)).size == (1600, 1200)


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_a_photo_error(data):
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]))
    photo = bytearray(saved(picture(), kind))
    for _ in range(data.draw(st.integers(1, 8))):
        photo[data.draw(st.integers(0, len(photo) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(PhotoError):
            assert open_photo(bytes(photo)).mode == "RGB"


def test_threads_may_read_at_once(tmp_path):
    paths = []
    for i in range(8):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (60, 60), (i, 0, 0)).save(paths[-1])
    seen: dict[Path, tuple[int, ...]] = {}

    def read(path: Path) -> None:
        for _ in range(20):
            seen[path] = open_photo(path).getpixel((0, 0))

    threads = [threading.Thread(target=read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[path] for path in paths] == [(i, 0, 0) for i in range(8)]
