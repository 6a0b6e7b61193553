"""The exact index on disk: order, ties, additions, and every way it can be damaged."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import VectorIndexError
from savor.index import Match, exact, open_index
from savor.recipe import Recipe

FACTS = {"run": "sha256:1", "method": "cca", "encoders": {}, "grid": [7, 7], "data": []}


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def recipe(name, vector, *photos, content="1"):
    return {"id": name, "title": name.title(), "photos": list(photos), "content": content}, vector


def photo(name, recipe_id, vector, thumbnail=None, content="1"):
    return {"id": name, "recipe_id": recipe_id, "thumbnail": thumbnail, "content": content}, vector


@pytest.fixture
def index(tmp_path):
    """Two recipes, three photos, of which two recipes share one."""
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.json", "model.safetensors"):
        (run / name).write_text("{}")
    made = exact.create(tmp_path / "index", run, 2, **FACTS)
    thumbnail = made.keep_thumbnail(b"small")
    recipes = [recipe("soup", unit(1, 0), "a.jpg", "b.jpg"), recipe("cake", unit(0, 1), "b.jpg")]
    photos = [
        photo("b.jpg", "soup", unit(1, 1)),
        photo("b.jpg", "cake", unit(1, 1)),
        photo("a.jpg", "soup", unit(1, 0), thumbnail),
    ]
    made.add({"recipes": recipes, "photos": photos}, set(), data=["sha256:2"])
    return made


vectors = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=n, max_size=n)
)


@given(vectors, st.tuples(*[st.integers(-2, 2)] * 3).filter(any), st.integers(1, 50))
def test_the_best_come_first_equal_ones_in_order_and_a_longer_answer_begins_with_the_shorter(rows, query, k):
    matrix = np.stack([unit(*row) for row in rows])
    found, scores = exact.top_k(matrix, unit(*query), k)
    exactly = [float((row.astype(np.float64) * unit(*query)).sum()) for row in matrix]
    assert found.tolist() == sorted(range(len(rows)), key=lambda row: (-exactly[row], row))[:k]
    assert scores.tolist() == [exactly[row] for row in found]
    shorter, _ = exact.top_k(matrix, unit(*query), max(1, k // 3))
    assert found[: len(shorter)].tolist() == shorter.tolist()


def test_equal_vectors_tie_wherever_they_stand():
    noise = np.random.default_rng(0).normal(size=(1000, 333)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    noise[[3, 70, 501, 999]] = noise[3]
    rows, scores = exact.top_k(noise, noise[3], 4)
    assert rows.tolist() == [3, 70, 501, 999]
    assert len(set(scores.tolist())) == 1


def test_both_lists_are_found_by_cosine_and_by_id(index):
    opened = open_index(index.path)
    assert (opened.count("recipes"), opened.count("photos")) == (2, 3)
    assert [match.recipe_id for match in opened.nearest("recipes", unit(0, 1), 10)] == ["cake", "soup"]
    assert opened.nearest("photos", unit(1, 0), 2) == [
        Match(1.0, "soup", "a.jpg"),
        Match(pytest.approx(0.7071, abs=1e-3), "cake", "b.jpg"),
    ]
    assert opened.recipe("soup") == Recipe("soup", "Soup")
    assert opened.photos("soup") == ["a.jpg", "b.jpg"]
    assert opened.thumbnail("soup", "a.jpg") == b"small"
    assert opened.thumbnail("soup", "b.jpg") is None
    assert opened.vector("cake").tolist() == [0, 1]
    assert opened.recipe("pie") is opened.vector("pie") is opened.thumbnail("pie", "a.jpg") is None


def test_an_addition_replaces_what_it_names_and_keeps_the_rest(index):
    index.add({"recipes": [recipe("soup", unit(0, -1)), recipe("Ähre", unit(-1, 0))], "photos": []}, {"soup"})
    opened = open_index(index.path)
    assert opened.contents() == {"cake": "1", "soup": "1", "Ähre": "1"}
    assert [match.recipe_id for match in opened.nearest("recipes", unit(0, -1), 1)] == ["soup"]
    assert [match.recipe_id for match in opened.nearest("photos", unit(1, 1), 9)] == ["cake"]
    assert opened.recipe("Ähre").title == "Ähre"
    assert opened.manifest["data"] == ["sha256:2"]
    assert [path.name for path in index.path.glob("entries-*")] == ["entries-2"]


@pytest.mark.parametrize("step", ["_write_list", "write_manifest", "_facts"])
def test_an_addition_cut_short_leaves_the_index_as_it_was(index, monkeypatch, step):
    def killed(*_):
        raise KeyboardInterrupt

    before = index.contents()
    with monkeypatch.context() as patch:
        patch.setattr(exact, step, killed)
        with pytest.raises(KeyboardInterrupt):
            index.add({"recipes": [recipe("pie", unit(1, 2))], "photos": []}, {"soup"})
    opened = exact.ExactIndex(index.path)
    opened.verify()
    assert opened.contents() == before
    assert opened.thumbnail("soup", "a.jpg") == b"small"
    opened.add({"recipes": [recipe("pie", unit(1, 2))], "photos": []}, set())
    assert set(exact.ExactIndex(index.path).contents()) == {"soup", "cake", "pie"}


def test_two_additions_at_once_do_not_swallow_each_other(index):
    other = exact.ExactIndex(index.path)
    other.add({"recipes": [recipe("pie", unit(1, 2))], "photos": []}, set())
    with pytest.raises(VectorIndexError, match="meanwhile"):
        index.add({"recipes": [recipe("jam", unit(1, 2))], "photos": []}, set())
    assert "pie" in exact.ExactIndex(index.path).contents()


def test_a_vector_that_is_not_finite_is_refused_by_name(index):
    with pytest.raises(VectorIndexError, match="'pie'"):
        index.add({"recipes": [recipe("pie", np.array([np.nan, 1]))], "photos": []}, set())
    assert open_index(index.path).recipe("pie") is None


def edit_manifest(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))


DAMAGES = {
    "does not exist": lambda path: shutil.rmtree(path),
    "no index here": lambda path: (path / "manifest.json").unlink(),
    "manifest.json cannot be read": lambda path: (path / "manifest.json").write_text('{"format": 1,'),
    "cannot be read": lambda path: (path / "manifest.json").write_text("[]"),
    "not that of an index": lambda path: (path / "manifest.json").write_text('{"format": 1, "shards": []}'),
    "format 2, .* reads format 1": lambda path: edit_manifest(path, format=2),
    "photos.npy is missing": lambda path: (path / "entries-1" / "photos.npy").unlink(),
    "run/config.json is missing": lambda path: shutil.rmtree(path / "run"),
    "recipes.jsonl is missing, or of another size": lambda path: (
        path / "entries-1/recipes.jsonl"
    ).write_text("{"),
    "of other shapes": lambda path: edit_manifest(path, dim=3),
    "is no array": lambda path: (path / "entries-1/photos.npy").write_bytes(
        bytes((path / "entries-1/photos.npy").stat().st_size)
    ),
}


@pytest.mark.parametrize("message", DAMAGES)
def test_damage_is_named_when_the_index_is_opened(index, message):
    DAMAGES[message](index.path)
    with pytest.raises(VectorIndexError, match=message):
        open_index(index.path)


def test_a_changed_byte_is_found_by_its_checksum(index):
    file = index.path / "entries-1" / "recipes.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(VectorIndexError, match=r"checksum of entries-1/recipes.npy"):
        open_index(index.path).verify()


def test_damaged_vectors_and_lines_are_named_when_they_are_read(index):
    vectors = np.load(index.path / "entries-1" / "photos.npy")
    vectors[1] = np.nan
    np.save(index.path / "entries-1" / "photos.npy", vectors)
    file = index.path / "entries-1" / "recipes.jsonl"
    file.write_bytes(b"?" * file.stat().st_size)
    opened = open_index(index.path)
    with pytest.raises(VectorIndexError, match=r"'b\.jpg' is not finite"):
        opened.nearest("photos", unit(1, 0), 1)
    with pytest.raises(VectorIndexError, match=r"line \d of recipes.jsonl"):
        opened.recipe("soup")


def test_an_open_index_survives_an_addition_by_another_process(index):
    index.nearest("recipes", unit(1, 0), 1)
    exact.ExactIndex(index.path).add({"recipes": [recipe("pie", unit(1, 2))], "photos": []}, set())
    assert index.recipe("cake").title == "Cake"
    assert index.nearest("photos", unit(1, 0), 1)[0].photo_id == "a.jpg"
