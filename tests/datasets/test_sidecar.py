import logging
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from savor.datasets.sidecar import cache_folder, open_sidecar, remember, signature
from savor.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAVOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def build(value):
    def fill(db):
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES (?)", (value,))

    return fill


def fail(db):
    raise AssertionError("built again")


def value(db):
    return db.execute("SELECT v FROM t").fetchone()[0]


def test_is_built_once_for_a_state_and_replaced_for_the_next(cache):
    for make in (build(1), fail):
        with open_sidecar("x", "one", make) as db:
            assert value(db) == 1
    with open_sidecar("x", "two", build(2)) as db:
        assert value(db) == 2
    assert [file.name for file in cache.iterdir()] == ["x-two.sqlite"]


def test_a_failed_build_leaves_nothing_behind(cache):
    def damaged(db):
        raise DataError("bad data")

    with pytest.raises(DataError, match="bad data"), open_sidecar("x", "one", damaged):
        pass
    assert not list(cache.iterdir())


def test_a_damaged_file_is_built_again(cache):
    cache.mkdir()
    (cache / "x-one.sqlite").write_bytes(b"not a database at all" * 100)
    with open_sidecar("x", "one", build(3)) as db:
        assert value(db) == 3


def test_readers_cannot_change_it():
    with open_sidecar("x", "one", build(1)) as db, pytest.raises(sqlite3.OperationalError):
        db.execute("INSERT INTO t VALUES (2)")


def test_unwritable_cache_falls_back_to_a_temporary_file(cache, caplog):
    cache.write_text("in the way")
    with caplog.at_level(logging.WARNING), open_sidecar("x", "one", build(4)) as db:
        assert value(db) == 4
    assert str(cache) in caplog.text
    assert remember("y", "one", lambda: "computed") == "computed"


def test_remember_computes_once_for_a_state():
    assert remember("y", "one", lambda: "first") == "first"
    assert remember("y", "one", lambda: "never") == "first"
    assert remember("y", "two", lambda: "second") == "second"


def test_signature_follows_size_time_and_options(tmp_path):
    file = tmp_path / "a"
    file.write_text("a")
    states = {signature([file]), signature([file], "option")}
    file.write_text("ab")
    states.add(signature([file]))
    os.utime(file, ns=(0, 0))
    states.add(signature([file]))
    assert len(states) == 4


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the rule of other platforms")
@pytest.mark.parametrize(
    ("value", "expected"), [("/x/c", Path("/x/c/savor")), ("relative", None), ("", None)]
)
def test_cache_folder_follows_the_xdg_rule(monkeypatch, value, expected):
    monkeypatch.delenv("SAVOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == (expected or Path.home() / ".cache" / "savor")
