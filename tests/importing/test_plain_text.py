"""Texts without marks, as applications and people write them."""

import pytest

from savor.importing.base import Found, Skipped
from savor.importing.finding import find

PLAIN = """Leek pie
https://example.org/pie
Servings: 4

INGREDIENTS
2 leeks
Crust:
100 g flour

STEPS:
1) Wash.
2) Bake.

NOTES
Nice.
"""
FIELDS = """------------------------------
Title: Leek pie
Description: Green.
Source: https://example.org/pie
Serves: 4
Prep Time: 10
Photo Url: https://example.org/pie.jpg
Tags: fast^green
Ingredients:
2 leeks
100 g flour

Directions:
Wash.
Bake.
------------------------------
Title: Toast
Ingredients: bread
Directions: Toast it.
------------------------------
"""


def test_a_text_with_headed_parts(found):
    (one,) = found(PLAIN, "pie.txt")
    recipe = one.recipe
    assert (recipe.title, recipe.servings, recipe.source) == ("Leek pie", "4", "https://example.org/pie")
    assert recipe.ingredients == ("2 leeks", "Crust", "100 g flour")
    assert recipe.instructions == ("Wash.", "Bake.")
    assert recipe.notes == "Nice."
    assert one.raw == PLAIN


def test_several_recipes_with_borders_between_them(found):
    pie, toast = found(FIELDS, "export.txt")
    assert (pie.recipe.title, pie.recipe.servings, dict(pie.recipe.times)) == (
        "Leek pie",
        "4",
        {"prep": "10 min"},
    )
    assert pie.recipe.ingredients == ("2 leeks", "100 g flour")
    assert pie.recipe.instructions == ("Wash.", "Bake.")
    assert (pie.recipe.tags, pie.recipe.notes) == (("fast", "green"), "Green.")
    assert "on the web" in pie.remarks[0]
    assert (toast.recipe.ingredients, toast.recipe.instructions) == (("bread",), ("Toast it.",))


def test_a_part_that_is_none_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(PLAIN + "\n==========\nRemember to buy leeks\n")
    results = list(find(path))
    assert [type(one) for one in results] == [Found, Skipped]
    assert "Remember to buy" in results[1].reason


@pytest.mark.parametrize(
    "text", ["Ingredients matter.\nSteps too.", "Notes:\nNothing", "Ingredients:\nflour"]
)
def test_prose_is_no_recipe(skipped, text):
    assert "no recipe is marked" in skipped(text)[0].reason
