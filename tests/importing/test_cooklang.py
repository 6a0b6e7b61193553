"""Cooklang, by its specification."""

import pytest

from savor.recipe import Section

PANCAKES = """---
title: Pancakes
tags: [breakfast, sweet]
servings: 2
---
-- a comment
Crack the @eggs{3} into a #large bowl{}, add @flour{125%g}(sifted) and a pinch of @salt. Mix
well -- or whisk.

[- nobody
reads this -]
= Frying =

Heat @olive oil{=2%tbsp} in a #pan for ~{5%minutes}, rest ~nap{1%hour}, then @&eggs{} again.

> Serve at once.
"""


def test_all_marks(found, zipped, photo):
    (one,) = found(
        zipped({"a/Pan.cook": PANCAKES, "a/Pan.jpg": photo("red"), "a/Pan.1.png": photo("blue", "PNG")})
    )
    recipe = one.recipe
    assert recipe.ingredients == (
        "3 eggs",
        "125 g flour (sifted)",
        "salt",
        Section("Frying"),
        "2 tbsp olive oil",
        "eggs",
    )
    assert recipe.instructions == (
        "Crack the eggs into a large bowl, add flour and a pinch of salt. Mix well",
        Section("Frying"),
        "Heat olive oil in a pan for 5 minutes, rest 1 hour, then eggs again.",
    )
    assert (recipe.title, recipe.tags, recipe.servings) == ("Pancakes", ("breakfast", "sweet"), "2")
    assert recipe.notes == "Serve at once."
    assert [picture.name for picture in one.photos] == ["a/Pan.jpg", "a/Pan.1.png"]
    assert one.raw == PANCAKES


def test_metadata_in_the_old_form_and_the_title_from_the_name(found):
    (one,) = found(
        ">> source: Grandma\n>> time required: 1 hour\nBoil @water{1%l}.\n\nDrink.\n", "Hot water.cook"
    )
    assert one.recipe.title == "Hot water"
    assert one.recipe.source == "Grandma"
    assert one.recipe.instructions == ("Boil water.", "Drink.")


@pytest.mark.parametrize("name", ["x.cook", "x.txt", "x"])
def test_it_is_told_by_its_marks(found, name):
    (one,) = found("Boil @water{1%l}.\n", name)
    assert one.recipe.ingredients == ("1 l water",)


def test_an_address_is_no_ingredient(found):
    (one,) = found("Mail eve@example.org about @salt{}.\n")
    assert one.recipe.ingredients == ("salt",)


def test_what_an_earlier_step_made_is_no_ingredient(found):
    (one,) = found(
        "Mix @flour{2%dl}.\n\nRest the @&(~1)dough{} and @&(1)the rest{}. Use @?./a/Sauce{1%dl}.\n"
    )
    assert one.recipe.ingredients == ("2 dl flour", "1 dl Sauce")
    assert one.recipe.instructions[1] == "Rest the dough and the rest. Use Sauce."


def test_metadata_in_groups_and_a_picture_a_step(found, zipped, photo):
    page = (
        "---\ntitle: Tea\nsource:\n  name: Eve\n  url: https://x.org\ntime:\n  prep: 5 min\n---\n"
        "Boil @water{1%l}.\n"
    )
    names = ["Tea.jpg", "Tea.1.jpg", "Tea.10.jpg", "Tea.2.1.png", "Tea time.jpg"]
    (one,) = found(zipped({"Tea.cook": page} | dict.fromkeys(names, photo())))
    assert (one.recipe.source, dict(one.recipe.times)) == ("https://x.org", {"prep": "5 min"})
    assert [picture.name for picture in one.photos] == ["Tea.jpg", "Tea.1.jpg", "Tea.2.1.png", "Tea.10.jpg"]
