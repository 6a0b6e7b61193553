"""Mela's recipes; the layout is from its public description."""

import base64

from savor.recipe import Section

STEW = {
    "id": "https://example.org/stew",
    "title": "Stew",
    "text": "Brown.",
    "categories": ["Main", "Winter"],
    "ingredients": "# Base\n1 carrot\n2 onions\n# Top\nparsley",
    "instructions": "# Day one\nFry.\nBoil.",
    "yield": "4",
    "prepTime": "20 min",
    "cookTime": "2 h",
    "totalTime": "",
    "notes": "Rest it.",
    "nutrition": "",
    "link": "https://example.org/stew",
    "favorite": False,
    "wantToCook": True,
    "date": 1.5,
    "images": [],
}


def test_a_zip_of_recipes(found, zipped, photo):
    images = [base64.b64encode(photo(colour)).decode() for colour in ("red", "blue")]
    (one,) = found(zipped({"Stew.melarecipe": {**STEW, "images": images}}))
    recipe = one.recipe
    assert recipe.ingredients == ("Base", "1 carrot", "2 onions", "Top", "parsley")
    assert [line for line in recipe.ingredients if isinstance(line, Section)] == ["Base", "Top"]
    assert recipe.instructions == ("Day one", "Fry.", "Boil.")
    assert (recipe.servings, recipe.category, recipe.tags) == ("4", "Main", ("Winter",))
    assert dict(recipe.times) == {"prep": "20 min", "cook": "2 h"}
    assert recipe.notes == "Brown.\n\nRest it."
    assert [picture.read() for picture in one.photos] == [photo("red"), photo("blue")]


def test_a_single_recipe(found):
    assert found(STEW)[0].recipe.title == "Stew"


def test_a_part_may_be_missing(found):
    without = {key: value for key, value in STEW.items() if key not in ("instructions", "cookTime")}
    (one,) = found(without)
    assert (len(one.recipe.ingredients), one.recipe.instructions) == (5, ())
