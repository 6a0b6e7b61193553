"""Pickles of plain values are read; whatever else they ask for is refused before it runs."""

from __future__ import annotations

import argparse
import collections
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import DataError
from savor.pickles import load_all

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
)


class Vocabulary:
    def __init__(self) -> None:
        self.idx2word = {0: "<pad>"}


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def write(path: Path, *values: object, protocol: int | None = None) -> Path:
    path.write_bytes(b"".join(pickle.dumps(value, protocol) for value in values))
    return path


@given(values=st.lists(plain, max_size=3), protocol=st.integers(0, 5))
def test_plain_values_come_back(tmp_path_factory, values: list, protocol: int) -> None:
    path = write(tmp_path_factory.getbasetemp() / "plain.pkl", *values, protocol=protocol)
    assert load_all(path) == values


def test_sets_are_plain_values_too(tmp_path: Path) -> None:
    for protocol in (2, 4):
        values = [{1, 2}, frozenset("ab")]
        assert load_all(write(tmp_path / "a.pkl", *values, protocol=protocol)) == values


@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "Harm", "collections"])
def test_anything_else_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    target = tmp_path / "made"
    text = {
        "posix.system": b"cposix\nsystem\n(S'mkdir " + str(target).encode() + b"'\ntR.",
        "builtins.eval": b"cbuiltins\neval\n(S'1 + 1'\ntR.",
        "Harm": pickle.dumps(Harm(target)),
        "collections": pickle.dumps(collections.Counter("aa")),
    }[name]
    path = tmp_path / "bad.pkl"
    path.write_bytes(text)
    with pytest.raises(DataError, match=r"bad\.pkl: no pickle of plain values \(it asks for .*nothing in it"):
        load_all(path, classes=("Namespace",), arrays=True)
    assert not target.exists()


def test_named_classes_become_holders_of_their_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", argparse.Namespace(margin=0.3, name="x"), Vocabulary())
    arguments, vocabulary = load_all(path, classes=("Namespace", "Vocabulary"))
    assert vars(arguments) == {"margin": 0.3, "name": "x"}
    assert vocabulary.idx2word == {0: "<pad>"}
    assert type(vocabulary) is not Vocabulary
    with pytest.raises(DataError, match=r"it asks for argparse\.Namespace"):
        load_all(path)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f4", "i8"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_of_numbers_come_back(tmp_path: Path, kind: str, protocol: int) -> None:
    rows = np.arange(6).reshape(2, 3).astype(kind)
    path = write(tmp_path / "a.pkl", rows, np.asfortranarray(rows), ["x"], protocol=protocol)
    one, two, ids = load_all(path, arrays=True)
    assert np.array_equal(one, rows)
    assert np.array_equal(two, rows)
    assert ids == ["x"]


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pkl", np.array([{}, []], dtype=object))
    with pytest.raises(DataError, match="an array of 'O8'"):
        load_all(path, arrays=True)


def test_a_damaged_or_missing_file_is_a_named_error(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.pkl", {"a": [1, 2, 3]}).read_bytes()
    for cut in range(1, len(whole)):
        (tmp_path / "a.pkl").write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"a\.pkl: no pickle"):
            load_all(tmp_path / "a.pkl")
    with pytest.raises(DataError, match=r"gone\.pkl: cannot be read"):
        load_all(tmp_path / "gone.pkl")
