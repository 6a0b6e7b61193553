"""Qdrant beside the catalogue: what a change cut short leaves there, and servers that do not answer."""

from __future__ import annotations

import numpy as np
import pytest

from savor.errors import VectorIndexError
from savor.index import backends, catalogue, open_index, qdrant


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def entries(content, **vectors):
    """Return recipes with a photo each."""
    recipes = [
        ({"id": name, "title": name, "photos": ["a.jpg"], "content": content}, vector)
        for name, vector in vectors.items()
    ]
    photos = [
        ({"id": "a.jpg", "recipe_id": name, "thumbnail": None, "content": content}, vector)
        for name, vector in vectors.items()
    ]
    return {"recipes": recipes, "photos": photos}


@pytest.fixture
def index(make_index, tmp_path):
    made = make_index(tmp_path / "index", "qdrant")
    made.add(entries("1", soup=unit(1, 0, 0), cake=unit(0, 1, 0)), set())
    return made


def points(index):
    """Return how many points are kept of recipes and photos, known or not."""
    with index._asking() as client:
        return [client.count(index._collection(find)).count for find in ("recipes", "photos")]


def found(index):
    return [(match.recipe_id, round(match.score, 3)) for match in index.nearest("recipes", unit(1, 0, 0), 9)]


def killed(*_):
    raise KeyboardInterrupt


def test_points_of_a_change_that_never_was_are_no_answers_and_swept_away(index, monkeypatch):
    put = catalogue._put
    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "_put", lambda *one: put(*one) if one[1] == "recipes" else killed())
        with pytest.raises(KeyboardInterrupt):
            index.add(entries("2", soup=unit(1, 0, 1), pie=unit(1, 0, 0)), {"soup"})
    assert points(index) == [4, 2]
    opened = open_index(index.path)
    assert found(opened) == [("soup", 1.0), ("cake", 0.0)]
    assert opened.vector("soup").tolist() == [1, 0, 0]
    opened.verify()
    opened.add(entries("3", jam=unit(0, 0, 1)), set())
    assert points(index) == [3, 3]


def test_points_that_were_to_be_deleted_are_no_answers_and_swept_away(index, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(qdrant.QdrantIndex, "_delete", killed)
        with pytest.raises(KeyboardInterrupt):
            index.remove(["soup"])
    assert points(index) == [2, 2]
    opened = open_index(index.path)
    assert found(opened) == [("cake", 0.0)]
    opened.add(entries("3", jam=unit(0, 0, 1)), set())
    assert points(index) == [2, 2]


def test_points_that_are_lost_are_damage(index):
    index._delete("photos", index._points_of("photos", ["soup"]))
    with pytest.raises(VectorIndexError, match="1 photos instead of 2"):
        index.verify()
    with pytest.raises(VectorIndexError, match=r"no vector of 'a\.jpg'"):
        index.vector("soup", "a.jpg")


def test_a_server_that_does_not_answer_is_named_and_the_key_kept_nowhere(make_index, tmp_path, monkeypatch):
    monkeypatch.setenv(qdrant.URL, "http://127.0.0.1:9")
    with pytest.raises(VectorIndexError, match=r"Qdrant at http://127\.0\.0\.1:9 does not answer"):
        make_index(tmp_path / "index", "qdrant")
    with pytest.MonkeyPatch.context() as patch:
        seen = {}
        patch.setattr(qdrant, "QdrantClient", lambda **options: seen.update(options) or killed())
        patch.setenv(qdrant.API_KEY, "secret")
        with pytest.raises(KeyboardInterrupt):
            make_index(tmp_path / "other", "qdrant")
    assert (seen["url"], seen["api_key"]) == ("http://127.0.0.1:9", "secret")
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"secret" in file.read_bytes()]


def test_a_backend_that_is_not_installed_is_an_error_that_says_what_to_install(index, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(backends, "import_module", missing)
    with pytest.raises(VectorIndexError, match=r'pip install "savor\[qdrant\]"'):
        open_index(index.path)
