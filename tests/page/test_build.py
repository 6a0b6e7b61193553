"""The built page: small, whole, and made from the source that stands beside it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import savor

STATIC = Path(savor.__file__).parent / "server" / "static"
WEB = Path(__file__).parents[2] / "web"
LARGEST = 200 * 1000  # bytes, compressed, before photos


def built(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def test_the_page_is_small():
    assert sum(len(gzip.compress(content)) for content in built(STATIC).values()) < LARGEST


def test_the_page_names_all_of_its_files_and_nothing_outside():
    files = built(STATIC)
    page = files["index.html"].decode()
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {name.removeprefix("/") for name in named} == files.keys() - {"index.html"}
    for name, content in files.items():
        addresses = re.findall(r"https?://[\w.]+", content.decode())
        assert set(addresses) <= {"http://www.w3.org"}, name  # the name of SVG, which nobody asks for


def test_nothing_is_written_into_the_page_as_markup():
    source = "".join(file.read_text("utf-8") for file in sorted((WEB / "src").rglob("*.ts")))
    assert "textContent" in source
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|DOMParser", source)


def test_the_lock_file_names_no_host_for_downloads():
    assert '"resolved"' not in (WEB / "package-lock.json").read_text("utf-8")


@pytest.mark.skipif(
    not (shutil.which("node") and (WEB / "node_modules").is_dir()), reason="needs Node and web/node_modules"
)
def test_the_built_files_are_current(tmp_path):
    for script in ("types", "bundle"):
        done = subprocess.run(
            ["npm", "run", "--silent", script],
            cwd=WEB,
            env={**os.environ, "SAVOR_STATIC": str(tmp_path / "static")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert built(tmp_path / "static") == built(STATIC), "run `npm run build` in web and commit it"
