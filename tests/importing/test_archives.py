"""Archives of every kind are folders, are open one at a time, and do not grow beyond their limits."""

import bz2
import gzip
import io
import plistlib
import tarfile
import zipfile

import pytest

from savor.importing.archives import kind_of
from savor.importing.base import Found
from savor.importing.files import Limits, open_source
from savor.importing.finding import find

RECIPE = "---\ntitle: Tea\nimage: tea.jpg\ningredients: [leaves]\ndirections: [Brew.]\n---\n"
NODE = '{"@type": "Recipe", "name": "Tea", "recipeIngredient": ["leaves"], "image": "https://x.org/i/t.jpg"}'
PAGE = f'<html><head><script type="application/ld+json">{NODE}</script></head><body>Tea</body></html>'


@pytest.fixture
def tarred(photo):
    """Return a tar with a recipe and its photo, a link, and a name that climbs out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in {"r/tea.md": RECIPE.encode(), "images/tea.jpg": photo(), "../up.md": b"up"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.md")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress], ids=["tar", "gz", "bz2"])
@pytest.mark.parametrize("deep", [False, True])
def test_tars_are_folders_as_well(tmp_path, tarred, zipped, photo, pack, deep):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"inner.dat": pack(tarred)}) if deep else pack(tarred))
    results = list(find(path))
    (tea,) = [one for one in results if isinstance(one, Found)]
    assert tea.photos[0].read() == photo()
    reasons = {one.source.rpartition("/")[2]: one.reason for one in results if not isinstance(one, Found)}
    assert set(reasons) == {"link.md", "up.md"}
    assert "not followed" in reasons["link.md"]


def test_a_compressed_file_is_no_archive():
    assert kind_of(gzip.compress(b"{}")) is None
    assert kind_of(b"Title: Tea\nServes: 2\n") is None


def test_a_page_saved_as_one_file_has_its_photos(found, photo):
    import base64

    mhtml = (
        "From: <Saved by Blink>\r\nSnapshot-Content-Location: https://x.org/tea\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/related;\r\n\ttype="text/html";\r\n\tboundary="--b"\r\n\r\n\r\n'
        "----b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        f"Content-Location: https://x.org/tea\r\n\r\n{PAGE.replace('=', '=3D')}\r\n"
        "----b\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n"
        f"Content-Location: https://x.org/i/t.jpg\r\n\r\n{base64.encodebytes(photo()).decode()}\r\n----b--\r\n"
    )
    (one,) = found(mhtml.encode(), "tea.mhtml")
    assert (one.recipe.title, one.photos[0].read()) == ("Tea", photo())


def test_a_web_archive_of_safari_has_its_photos(found, photo):
    saved = {
        "WebMainResource": {
            "WebResourceData": PAGE.encode(),
            "WebResourceMIMEType": "text/html",
            "WebResourceURL": "https://x.org/tea",
        },
        "WebSubresources": [
            {
                "WebResourceData": photo(),
                "WebResourceMIMEType": "image/jpeg",
                "WebResourceURL": "https://x.org/i/t.jpg",
            }
        ],
    }
    (one,) = found(plistlib.dumps(saved, fmt=plistlib.FMT_BINARY), "tea.webarchive")
    assert (one.recipe.title, one.photos[0].read()) == ("Tea", photo())


def test_settings_of_a_mac_are_named(skipped):
    (one,) = skipped(plistlib.dumps({"a": 1}, fmt=plistlib.FMT_BINARY))
    assert "no page" in one.reason


def test_many_files_that_are_mostly_air_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("savor.importing.archives._HARMLESS", 1 << 20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(4):
            archive.writestr(f"{number}.json", bytes(1 << 20))
    assert "no honest archive" in open_source(path, Limits(ratio=100)).skipped[0].reason
    path.write_bytes(gzip.compress(b"a" * 257 + b"ustar" + bytes(8 << 20)))
    assert "no honest archive" in open_source(path, Limits(ratio=100)).skipped[0].reason


def test_archives_of_archives_are_not_in_memory_all_at_once(tmp_path, zipped):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({f"{number}.zip": zipped({"a.md": RECIPE}) for number in range(20)}))
    source = open_source(path)
    assert len(source.files) == 20
    assert len(source._open) < 10
    assert all(file.read() == RECIPE.encode() for file in source.files.values())
    source.close()
