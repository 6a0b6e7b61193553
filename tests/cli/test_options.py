"""`--set`: values are read as what they look like, and checked against the default they replace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.cli.options import parse_settings, split_settings
from savor.errors import OptionError, UsageError
from savor.methods.cca import CCA
from savor.methods.triplet_mlp import TripletMLP
from savor.methods.two_stream import TwoStream


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a=1", 1),
        ("a=-2.5e-3", -0.0025),
        ("a=True", True),
        ("a=false", False),
        ("a=none", None),
        ("a=soft", "soft"),
        ("a='7'", "7"),
        ("a=x=y", "x=y"),
        ("a=", ""),
        ("a={[]: 1}", "{[]: 1}"),
        ("a=" + "(" * 500, "(" * 500),
    ],
)
def test_values(word: str, expected: Any) -> None:
    value = parse_settings([word])["a"]
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dim"], "--set 'dim': write key=value"),
        (["=3"], "write key=value"),
        (["dim=1", "dim=2"], "--set dim: given twice"),
    ],
)
def test_words_that_are_no_setting(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(words)


@given(st.text())
def test_any_text_is_read_or_refused_as_usage(text: str) -> None:
    try:
        parse_settings([text])
    except UsageError:
        assert "=" not in text or text.startswith("=")


def test_settings_go_where_they_belong() -> None:
    options, training = split_settings(TripletMLP, {"margin": 1, "epochs": 3})
    assert options == {"margin": 1.0}
    assert isinstance(options["margin"], float)
    assert training is not None
    assert training.epochs == 3
    assert training.batch_size == TripletMLP.trains_with.batch_size
    assert split_settings(CCA, {"text": "title"}) == ({"text": "title"}, None)


def test_none_is_a_word_where_words_are_taken() -> None:
    options, _ = split_settings(TwoStream, parse_settings(["perceptrons=none"]))
    assert options == {"perceptrons": "none"}


def test_an_unknown_key_lists_both_kinds() -> None:
    with pytest.raises(
        OptionError, match=r"--set epoch: no such option; there are dim=.*margin=.*; epochs=.*"
    ):
        split_settings(TripletMLP, {"epoch": 3})
    with pytest.raises(OptionError, match=r"--set epochs: no such option; there are dim=.*text=concat$"):
        split_settings(CCA, {"epochs": 3})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 1.5}, "--set dim=1.5: needs a whole number, such as"),
        ({"dim": True}, "needs a whole number"),
        ({"margin": "wide"}, "--set margin=wide: needs a number"),
        ({"margin": None}, "needs a number"),
        ({"mining": 3}, "--set mining=3: needs a word, such as"),
        ({"epochs": "ten"}, "--set epochs=ten: needs a whole number"),
        ({"epochs": 0}, "epochs=0: must be at least 1"),
    ],
)
def test_values_of_another_kind(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        split_settings(TripletMLP, settings)
