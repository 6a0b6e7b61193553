"""What sentences are understood to ask for: foods, what to avoid, times; and what is left as words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.diets import UNLISTED
from savor.errors import UsageError
from savor.index.filters import EVERYTHING, Filter
from savor.queries import both, parse_query, where_of

VEGETARIAN = ("@meat", "@fish", "@shellfish", "@gelatine")
VEGAN = (*VEGETARIAN, "@dairy", "@egg", "@honey")
NUTS = ("@nuts", "@peanut")


@pytest.mark.parametrize(
    ("query", "text", "have", "avoid"),
    [
        (
            "something with chickpeas and spinach, no dairy",
            "chickpeas and spinach",
            "chickpea spinach",
            "@dairy",
        ),
        ("soup with carrots", "soup with carrots", "carrot", ""),
        ("pasta without cheese or garlic, with basil", "pasta, with basil", "basil", "@cheese garlic"),
        ("without garlic, onions", "", "", "garlic onion"),
        ("no nuts, chocolate cake", "chocolate cake", "", "@nuts @peanut"),
        ("no dairy, eggs", "", "", "@dairy @egg"),
        ("no nuts, eggs or milk", "", "", "@nuts @peanut @egg milk"),
        ("soup but no cream", "soup", "", "cream"),
        ("everything except fish", "", "", "@fish"),
        ("noodle soup (no pork)", "noodle soup", "", "@pork"),
        ("pizza with ham but without onions", "pizza with ham", "ham", "onion"),
        ("salad with no tomatoes and lots of feta", "salad, lots of feta", "", "tomato"),
        ("I'm allergic to peanuts, curry with okra", "curry with okra", "okra", "@peanut"),
        ("I don't like mushrooms", "", "", "mushroom"),
        ("rice and beans without meat or fish please", "rice and beans", "", "@meat @fish"),
        ("What can I cook with eggs and flour?", "eggs and flour", "egg flour", ""),
        ("I have eggs, flour and milk", "eggs, flour and milk", "egg flour milk", ""),
        ("anything with seafood", "seafood", "@seafood", ""),
        ("chicken w/o onions", "chicken", "", "onion"),
        ("gluten-free brownies without nuts", "gluten-free brownies", "", "@gluten @nuts @peanut"),
        ("dairy- and gluten-free pancakes", "dairy and gluten-free pancakes", "", "@dairy @gluten"),
        ("sugar-free cookies", "sugar-free cookies", "", "sugar"),
        ("free from nuts, cake", "cake", "", "@nuts @peanut"),
        ("non-alcoholic punch", "non-alcoholic punch", "", "@alcohol"),
        ("meat free chilli", "meat free chilli", "", "@meat"),
    ],
)
def test_foods_that_are_asked_for_and_foods_that_are_not(query, text, have, avoid):
    understood = parse_query(query)
    assert understood.text == text
    assert understood.where.have == tuple(have.split())
    assert understood.where.avoid == ((*avoid.split(), UNLISTED) if avoid else ())


@pytest.mark.parametrize(
    "query",
    [
        *(
            "No-bake cheesecake",
            "Mac & cheese",
            "chicken tikka masala",
            "free-range chicken",
            "slow cooked for 8 hours",
        ),
        *(
            "with",
            "no",
            "something",
            "",
            "fat-free yoghurt",
            "Rice  and\tpeas",
            "not vegetarian",
            "no fuss dinner",
        ),
    ],
)
def test_what_is_no_condition_leaves_the_words_as_they_are(query):
    understood = parse_query(query)
    assert understood.text == query
    assert understood.where == EVERYTHING


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("curry, not too spicy", "too spicy"),
        ("cake with a nice crispy golden top", "crispy golden top"),
        ("pie with leeks or mushrooms", "leek or mushroom"),
    ],
)
def test_what_could_have_been_a_condition_is_said(query, note):
    understood = parse_query(query)
    assert understood.where == EVERYTHING
    assert note in understood.notes[0]


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        ("curry under 30 minutes", 30),
        ("curry in an hour or less", 60),
        ("30-minute curry", 30),
        ("curry ready in 45 min", 45),
        ("curry in under 1.5 hours", 90),
        ("curry that takes less than half an hour", 30),
        ("curry, 20 minutes max", 20),
        ("curry under 2 hours, in at most 40 minutes", 40),
    ],
)
def test_limits_of_time(query, minutes):
    understood = parse_query(query)
    assert understood.where == Filter(minutes=minutes)
    assert understood.text.strip(", ") == "curry"


def test_diets_avoid_their_groups():
    assert parse_query("vegan lasagne").where.avoid == (*VEGAN, UNLISTED)
    assert parse_query("vegetarian curry with okra").where == Filter(("okra",), (*VEGETARIAN, UNLISTED))


def test_what_was_understood_can_be_shown():
    understood = parse_query("cake with nuts, no dairy, under 1 hour")
    assert understood.as_dict() == {
        **{"text": "cake with nuts", "have": ["nuts"], "avoid": ["dairy"], "category": None, "source": None},
        "minutes": 60.0,
    }
    assert str(understood) == "cake with nuts; with nuts; without dairy; in at most 60 minutes"


def test_filters_from_single_words():
    where = where_of(["Chick Peas", "fish", "eggs"], ["Nuts", "Spring onions"], "", "Book", 20)
    assert where == Filter(("chick pea", "@fish", "egg"), (*NUTS, "spring onion", UNLISTED), None, "Book", 20)
    assert where_of(["vegan", "okra"]).have == ("okra",)
    assert where_of(["@dairy"], ["@egg"]) == Filter(("@dairy",), ("@egg", UNLISTED))
    for have, message in [(["12"], "no word"), (["salt and pepper mill"], "more than 3")]:
        with pytest.raises(UsageError, match=message):
            where_of(have)
    for minutes in (0, -5, float("nan")):
        with pytest.raises(UsageError, match="above 0"):
            where_of(minutes=minutes)


def test_two_filters_hold_together():
    merged = both(
        where_of(["okra"], ["egg"], "Soups", None, 30), where_of(["okra", "rice"], ["egg"], "x", "y", 20)
    )
    assert merged == Filter(("okra", "rice"), ("@egg", UNLISTED), "Soups", "y", 20)


PIECES = """no not without with and or but , ; . free -free dairy nuts egg eggs vegan in under 30 0 minutes an
    hour w/o w/ something I have half-and-half ½ é 汤 pasta red wine vinegar lots of
    too spicy ( ) ' - / | max or less"""


@given(st.lists(st.sampled_from(PIECES.split()), max_size=12), st.sampled_from([" ", "", "  "]))
def test_no_sentence_is_too_odd(pieces, between):
    query = between.join(pieces)
    understood = parse_query(query)
    assert UNLISTED not in str(understood)
    assert understood.where.minutes is None or understood.where.minutes > 0
    for term in (*understood.where.have, *understood.where.avoid):
        assert term.startswith("@") or 1 <= len(term.split()) <= 3


@given(st.text(max_size=60))
def test_no_text_is_too_odd(text):
    understood = parse_query(text)
    if "w/" not in text.lower():  # written out: "with", "without"
        assert understood.where or understood.text in text.replace("’", "'")
