"""LanceDB beyond what all backends share: the index over vectors, and what is left on the disk."""

from __future__ import annotations

import shutil
from datetime import timedelta

import numpy as np
import pytest

from savor.errors import VectorIndexError
from savor.index import Filter, lance, open_index
from savor.index.folder import write_manifest
from savor.index.ranking import unit

N, DIM = 6_000, 32


def record(number):
    lines = [f"{word} and rice" for word, every in (("salt", 2), ("leek", 50)) if number % every == 0]
    return {
        "id": f"{number:05d}",
        "title": "dish",
        "ingredients": lines,
        "photos": [],
        "content": str(number),
    }


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((300, DIM))
    return unit((centres[rng.integers(300, size=N)] + 0.6 * rng.standard_normal((N, DIM))).astype(np.float16))


@pytest.fixture(scope="module")
def both(make_index, tmp_path_factory, vectors):
    """The same recipes with either backend."""
    entries = [(record(number), vector) for number, vector in enumerate(vectors)]
    made = []
    for backend in ("exact", "lance"):
        path = tmp_path_factory.mktemp(backend) / "index"
        make_index(path, backend, DIM).add({"recipes": entries, "photos": []}, set())
        made.append(open_index(path))
    return made


@pytest.mark.parametrize(
    "where", [Filter(), Filter(have=("salt",)), Filter(have=("leek",)), Filter(avoid=("salt",))], ids=str
)
def test_many_vectors_are_looked_up_in_an_index_and_hardly_any_is_missed(both, vectors, where):
    exact, large = both
    assert large.manifest["trained"] == {"recipes": N, "photos": 0}
    assert large.count("recipes", where) == exact.count("recipes", where)
    rng = np.random.default_rng(1)
    found = right = 0
    for query in unit(vectors[rng.integers(N, size=12)] + 0.1 * rng.standard_normal((12, DIM))):
        wanted, answer = (one.nearest("recipes", query, 10, where) for one in (exact, large))
        right += len(set(wanted) & set(answer))
        found += len(wanted)
        longer = large.nearest("recipes", query, 150, where)
        assert longer[:10] == answer
        assert large.nearest("recipes", query, 70, where) == longer[:70]
    assert right / found >= 0.99


def test_tables_are_put_together_after_changes_and_old_versions_deleted(both, vectors, monkeypatch, tmp_path):
    monkeypatch.setattr(lance, "_READERS", timedelta(milliseconds=1))
    monkeypatch.setattr(lance, "_SEGMENTS", 3)
    shutil.copytree(both[1].path, tmp_path / "index")
    index = open_index(tmp_path / "index")
    for number in range(3):
        new = [(record(N + number), vectors[number])]
        index.add({"recipes": new, "photos": []}, {record(number)["id"]})
    table = lance.lancedb.connect(index.path / "tables").open_table("recipes")
    assert table.stats()["num_rows"] == N == index.count("recipes")
    assert len(table.list_versions()) <= 2
    assert table.stats()["fragment_stats"]["num_fragments"] == 1
    assert max(one.num_segments for one in table.list_indices()) == 1
    assert all(table.index_stats(one.name).num_unindexed_rows == 0 for one in table.list_indices())
    assert index.nearest("recipes", vectors[2], 1)[0].recipe_id == f"{N + 2:05d}"
    index.verify()


def test_tables_that_are_not_as_the_manifest_says_are_damage(both, tmp_path):
    shutil.copytree(both[1].path, tmp_path / "index")
    manifest = both[1].manifest
    write_manifest(tmp_path / "index", {**manifest, "counts": {"recipes": 5, "photos": 0}})
    with pytest.raises(VectorIndexError, match="6,000 recipes instead of 5"):
        open_index(tmp_path / "index").verify()
    shutil.rmtree(tmp_path / "index" / "tables" / "photos.lance")
    with pytest.raises(VectorIndexError, match="damaged, tables cannot be read"):
        open_index(tmp_path / "index")
