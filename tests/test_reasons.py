"""Which words of a recipe are given as reasons."""

from __future__ import annotations

from savor import Recipe
from savor.reasons import MOST, matched, terms_of_lines, terms_of_text
from savor.recipe import Section

CURRY = Recipe(
    "1",
    "Curry",
    (
        "2 tins garbanzo beans, drained",
        Section("For the top"),
        "200 g spinach",
        "1 tbsp ghee",
        "60 g red onions",
    ),
)


def test_words_of_the_query_that_the_ingredients_have():
    assert matched(CURRY, terms_of_text("chickpeas and spinach with leeks")) == ("chickpea", "spinach")
    assert matched(CURRY, terms_of_text("a red onion tart")) == ("red onion",)
    assert matched(CURRY, ["tin", "g", "top"]) == ()


def test_of_a_group_its_foods_are_named():
    assert matched(CURRY, ["@dairy", "@fish"]) == ("ghee",)


def test_the_title_counts_only_where_no_ingredients_are_listed():
    assert matched(Recipe("1", "Leek pie", ("2 onions",)), ["leek"]) == ()
    assert matched(Recipe("1", "Leek pie"), ["leek"]) == ("leek",)


def test_words_of_lines_leave_out_amounts_and_what_is_everywhere():
    assert terms_of_lines(["2 tbsp olive oil", "salt and pepper", "1 small leek, finely chopped"]) == [
        "olive",
        "leek",
    ]


def test_there_are_not_too_many():
    many = Recipe("1", "", tuple("abcdefghijklmnop"))
    assert len(matched(many, "bcdefhijkno")) == MOST
