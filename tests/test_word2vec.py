"""The binary format of word2vec: read back, filtered, and refused by name where it is damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import DataError
from savor.word2vec import read_vectors, rows

ROWS = {"salt": [1.0, 2.0, -3.0], "crème_fraîche": [0.5, 0.0, 1e-3], "</s>": [0.0, 0.0, 0.0]}
WORD = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=9)
NUMBER = st.floats(width=32, allow_nan=False, allow_infinity=False)


def packed(vectors: dict[str, list[float]], end: bytes = b"\n") -> bytes:
    width = len(next(iter(vectors.values()), [0.0]))
    words = [word.encode() + b" " + np.array(one, "<f4").tobytes() + end for word, one in vectors.items()]
    return b"".join([f"{len(vectors)} {width}\n".encode(), *words])


@given(
    vectors=st.dictionaries(WORD, st.lists(NUMBER, min_size=2, max_size=2), max_size=5),
    end=st.sampled_from([b"", b"\n"]),
)
def test_what_was_written_comes_back(tmp_path_factory, vectors: dict, end: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "vocab.bin"
    path.write_bytes(packed(vectors, end))
    found = read_vectors(path)
    assert {word: vector.tolist() for word, vector in found.items()} == vectors
    assert list(found) == list(vectors)
    assert all(vector.dtype == np.float32 for vector in found.values())


def test_a_vector_may_hold_any_byte(tmp_path: Path) -> None:
    # 0x20202020 is four spaces, 0x0a0a0a0a four line feeds.
    odd = [float(np.frombuffer(bytes([byte] * 4), "<f4")[0]) for byte in (0x20, 0x0A)]
    (tmp_path / "vocab.bin").write_bytes(packed({"a": odd, "b": odd[::-1]}))
    assert {word: one.tolist() for word, one in rows(tmp_path / "vocab.bin")} == {"a": odd, "b": odd[::-1]}


def test_only_the_words_asked_for_are_kept_and_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "vocab.bin"
    again = b"salt " + np.full(3, 9, "<f4").tobytes()
    path.write_bytes(packed(ROWS).replace(b"3 3\n", b"4 3\n", 1) + again)
    found = read_vectors(path, {"salt", "pepper"})
    assert {word: one.tolist() for word, one in found.items()} == {"salt": [1.0, 2.0, -3.0]}
    assert len(list(rows(path))) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"salt 0.1 0.2\n", "no word2vec file"),
        (b"2 0\n", "no word2vec file"),
        (gzip.compress(packed(ROWS), mtime=0), "compressed; unpack it with gunzip"),
        (packed(ROWS)[:-9], "cut off in word 3 of 3"),
        (packed(ROWS)[:30], "cut off in word 2 of 3"),
        (b"3 3\nsalt", "cut off in word 1 of 3"),
        (b"2 300\n" + b"x" * 5000, "damaged, or not in the binary format"),
        (packed(ROWS).replace(b"3 3\n", b"2 3\n", 1), "goes on behind its last word"),
        (packed(ROWS | {"salt": [1.0, float("nan"), 0.0]}), "the vector of 'salt' is not finite"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "vocab.bin"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"vocab\.bin: .*{message}"):
        read_vectors(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.bin: cannot be read \(No such file"):
        read_vectors(tmp_path / "nowhere.bin")
