"""The exact index on disk: every way it can be damaged, killed, or read by an old or new version."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from savor.errors import VectorIndexError
from savor.index import catalogue, open_index


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def recipe(name, vector, *photos, content="1"):
    return {"id": name, "title": name.title(), "photos": list(photos), "content": content}, vector


@pytest.fixture
def index(make_index, tmp_path):
    """Two recipes and a photo."""
    made = make_index(tmp_path / "index", dim=2)
    picture = {"id": "a.jpg", "recipe_id": "soup", "thumbnail": made.keep_thumbnail(b"small"), "content": "1"}
    recipes = [recipe("soup", unit(1, 0), "a.jpg"), recipe("cake", unit(0, 1))]
    made.add({"recipes": recipes, "photos": [(picture, unit(1, 0))]}, set(), data=["sha256:2"])
    made.close()
    return made


def edit_manifest(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


DAMAGES = {
    "does not exist": lambda path: shutil.rmtree(path),
    "no index here": lambda path: (path / "manifest.json").unlink(),
    "manifest.json cannot be read": lambda path: (path / "manifest.json").write_text('{"format": 1,'),
    "cannot be read": lambda path: (path / "manifest.json").write_text("[]"),
    "not that of an index": lambda path: (path / "manifest.json").write_text('{"format": 2, "shards": []}'),
    "format 3, .* reads format 2; update Savor": lambda path: edit_manifest(path, format=3),
    r"format 1, .* old one, or build .*savor index .*run --data": lambda path: edit_manifest(path, format=1),
    "knows no backend 'faiss'": lambda path: edit_manifest(path, backend="faiss"),
    "run/config.json is missing": lambda path: shutil.rmtree(path / "run"),
    "run/config.json is .* of another size": lambda path: (path / "run/config.json").write_text("{ }"),
    "entries.sqlite cannot be read .*unable": lambda path: (path / "entries.sqlite").unlink(),
    "entries.sqlite cannot be read .*not a database": lambda path: (path / "entries.sqlite").write_bytes(
        b"?" * 9999
    ),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damage_is_named_when_the_index_is_opened(index, message):
    DAMAGES[message](index.path)
    with pytest.raises(VectorIndexError, match=message):
        open_index(index.path)


def alter(path, table):
    """Flip the last bit of the first blob in a table, behind the back of the index."""
    connection = sqlite3.connect(path / catalogue.FILE)
    row, data = connection.execute(f"SELECT row, data FROM {table} LIMIT 1").fetchone()
    connection.execute(f"UPDATE {table} SET data = ? WHERE row = ?", (data[:-1] + bytes([data[-1] ^ 1]), row))
    connection.commit()
    connection.close()


@pytest.mark.parametrize("table", ["recipes_records", "recipes_terms", "photos_vectors"])
def test_a_changed_byte_is_found_by_its_checksum(index, table):
    open_index(index.path).verify()
    alter(index.path, table)
    with pytest.raises(VectorIndexError, match=r"the checksum of .* differs; delete the folder"):
        open_index(index.path).verify()


def test_damaged_vectors_and_texts_are_named_when_they_are_read(index):
    alter(index.path, "photos_vectors")
    alter(index.path, "recipes_records")
    opened = open_index(index.path)
    with pytest.raises(VectorIndexError, match=r"'a\.jpg'"):
        opened.nearest("photos", unit(1, 0), 1)
    with pytest.raises(VectorIndexError, match="'soup'"):
        opened.recipe("soup")
    edit_manifest(index.path, dim=3)
    with pytest.raises(VectorIndexError, match="not of 3 numbers"):
        open_index(index.path).nearest("recipes", unit(1, 0, 0), 1)


KILLED = """
import os, sys
import numpy as np
from pathlib import Path
from savor.index import catalogue, open_index
index = open_index(Path(sys.argv[1]))
put, calls = catalogue._put, []
def killed(connection, find, records):
    first = put(connection, find, records)
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("PRAGMA cache_size = 1")
    if find == sys.argv[2]:
        connection.execute("CREATE TABLE ballast AS SELECT randomblob(100000) FROM photos")
        os._exit(9 if "lancedb" not in sys.modules else 1)  # it takes seconds to import
    return first
catalogue._put = killed
record = {"title": "Pie", "photos": [], "content": "2"}
pies = [({**record, "id": f"pie {k}"}, np.ones(2)) for k in range(99)]
index.add({"recipes": pies, "photos": []}, {"soup"})
"""


@pytest.mark.parametrize("find", ["recipes", "photos"])
def test_a_process_killed_while_it_writes_leaves_the_index_as_it_was(index, find):
    before = open_index(index.path)
    contents, version = before.contents(), before.version
    before.close()
    args = [sys.executable, "-c", KILLED, index.path, find]
    assert subprocess.run(args, env=os.environ, check=False).returncode == 9
    opened = open_index(index.path)
    opened.verify()
    assert (opened.contents(), opened.version) == (contents, version)
    assert opened.thumbnail("soup", "a.jpg") == b"small"
    opened.add({"recipes": [recipe("pie", unit(1, 2))], "photos": []}, set())
    assert set(open_index(index.path).contents()) == {"soup", "cake", "pie"}


def test_room_is_given_back_when_most_is_removed(make_index, tmp_path):
    index = make_index(tmp_path / "index", dim=512)
    names = [f"recipe {number}" for number in range(6000)]
    index.add({"recipes": [recipe(name, np.ones(512)) for name in names], "photos": []}, set())
    size = (index.path / catalogue.FILE).stat().st_size
    assert index.remove(names[10:]) == 5990
    assert (index.path / catalogue.FILE).stat().st_size < size / 10
    assert index.listed(order="id") == sorted(names[:10])


def test_an_index_that_may_not_be_written_can_be_read_and_says_what_is_wrong(index):
    file = index.path / catalogue.FILE
    connection = sqlite3.connect(file)
    connection.execute("BEGIN IMMEDIATE")  # as another process that does not end
    opened = open_index(index.path)
    assert opened.nearest("recipes", unit(1, 0), 1)[0].recipe_id == "soup"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_WAIT", 0.01)
        with pytest.raises(VectorIndexError, match=r"cannot be changed, it is as it was .*locked"):
            opened.remove(["soup"])
    connection.close()
    assert opened.remove(["soup"]) == 1
