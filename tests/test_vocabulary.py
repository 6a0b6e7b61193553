"""Words and their ids: what counts as a word, which are kept, and the published file."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.errors import DataError
from savor.vocabulary import END, PAD, START, Vocabulary, read_published, sentences, words_of

WORDS = ["<pad>", "<start>", "<end>", "salt", "fig", "<unk>"]


def squeezed(text: str) -> str:
    return "".join(text.split())


@given(st.text())
def test_no_character_is_lost_or_invented(text: str) -> None:
    assert "".join(words_of(text)) == squeezed(text.lower())
    assert squeezed("".join(sentences(text))) == squeezed(text)


@given(st.text(), st.integers(1, 5))
def test_sentences_are_short_and_never_blank(text: str, most: int) -> None:
    for sentence in sentences(text, most):
        assert 1 <= len(sentence.split()) <= most


def test_fractions_hyphens_and_apostrophes_stay_whole() -> None:
    assert words_of("1/2 cup Jalapeño-Öl, don't") == ["1/2", "cup", "jalapeño-öl", ",", "don't"]
    assert words_of("½ cup at 350°F") == ["½", "cup", "at", "350", "°", "f"]


def test_frequent_words_get_ids_in_an_order_of_their_own() -> None:
    vocabulary = Vocabulary.of(["b b a", "A c", "b"], min_count=2)
    assert vocabulary.words == ("<pad>", "<start>", "<end>", "b", "a", "<unk>")
    assert (PAD, START, END) == (0, 1, 2)
    assert vocabulary.ids("A b c <pad>")[:3] == [4, 3, 5]
    assert vocabulary.words == Vocabulary.of(["b", "a C", "a b b"], min_count=2).words
    assert 0 not in vocabulary.ids("<pad> <start>")  # text cannot name a special word
    assert vocabulary.ids("") == []


def test_json_keeps_it() -> None:
    vocabulary = Vocabulary.of(['crème "brûlée" \u2028 x'], min_count=1)
    assert Vocabulary.from_json(vocabulary.to_json()).words == vocabulary.words
    assert len(vocabulary.to_json().splitlines()) >= len(vocabulary)
    for text in ("{}", "[1]", "nothing", "[]"):
        with pytest.raises(DataError):
            Vocabulary.from_json(text)


def test_the_published_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    for table in (dict(enumerate(WORDS)), {k: [word, "x"] for k, word in enumerate(WORDS)}):
        path.write_bytes(pickle.dumps(table))
        assert read_published(path).words == tuple(WORDS)
    text = pickle.dumps(dict(enumerate(WORDS)), 0)
    # An object of a class that is nowhere installed, with the table in `idx2word`.
    path.write_bytes(b"\x80\x02ckitchen.words\nVocabulary\n)\x81}U\x08idx2word" + text[:-1] + b"sb.")
    assert read_published(path).words == tuple(WORDS)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({0: "<pad>", 2: "<start>"}, "expected a dictionary from the ids"),
        (["<pad>"], "expected a dictionary from the ids"),
        (dict(enumerate([*WORDS[:4], 7, "<unk>"])), "something else than a word"),
        (dict(enumerate(WORDS[1:])), "starts with <pad>, <start>, <end>"),
        (dict(enumerate([*WORDS[:4], "salt", "<unk>"])), "'salt' occurs twice"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, value: object, message: str) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=rf"vocab\.pkl: .*{message}"):
        read_published(path)
