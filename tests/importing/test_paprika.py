"""Paprika's gzipped recipes; the layout is from its public description."""

import base64
import gzip
import json

import pytest

from savor.recipe import Section

PHO = {
    "uid": "9A-1",
    "name": "Pho",
    "ingredients": "For the broth:\n1 kg bones\n2 onions\nFor the bowl:\n200 g noodles",
    "directions": "Simmer.\n\nStrain.\n\nServe.",
    "notes": "Long.",
    "description": "Soup.",
    "nutritional_info": "",
    "servings": "4",
    "prep_time": "20 min",
    "cook_time": "6 hrs",
    "total_time": "",
    "difficulty": "Hard",
    "source": "Grandma",
    "source_url": "",
    "categories": ["Soup", "Vietnam, north"],
    "rating": 5,
    "photo": "x.jpg",
    "photo_data": None,
    "photos": [],
    "hash": "abc",
    "created": "2020-01-01 10:00:00",
}


def packed(recipe):
    return gzip.compress(json.dumps(recipe).encode())


@pytest.fixture
def data(photo):
    own, added = (base64.b64encode(photo(colour, gps=True)).decode() for colour in ("red", "blue"))
    return {**PHO, "photo_data": own, "photos": [{"name": "1", "filename": "b.jpg", "data": added}]}


def test_a_zip_of_gzipped_recipes(found, zipped, data, photo):
    (one,) = found(zipped({"Pho.paprikarecipe": packed(data)}), "export.paprikarecipes")
    recipe = one.recipe
    assert recipe.ingredients == ("For the broth", "1 kg bones", "2 onions", "For the bowl", "200 g noodles")
    assert isinstance(recipe.ingredients[0], Section)
    assert recipe.instructions == ("Simmer.", "Strain.", "Serve.")
    assert (recipe.category, recipe.tags, recipe.source) == ("Soup", ("Vietnam, north",), "Grandma")
    assert dict(recipe.times) == {"prep": "20 min", "cook": "6 hrs"}
    assert recipe.notes == "Soup.\n\nLong.\n\nDifficulty: Hard"
    assert [picture.read() for picture in one.photos] == [photo("red", gps=True), photo("blue", gps=True)]


def test_a_plain_zip_of_a_folder_and_a_single_recipe_under_any_name(found, zipped, data):
    assert found(zipped({"Export/Pho.paprikarecipe": packed(data)}), "a.zip")[0].recipe.title == "Pho"
    assert found(packed(data), "whatever.txt")[0].recipe.title == "Pho"


def test_the_raw_source_holds_no_photo_and_so_no_place(found, data):
    (one,) = found(packed(data))
    assert data["photo_data"][:100] not in one.raw
    assert data["photos"][0]["data"][:100] not in one.raw
    assert json.loads(one.raw)["hash"] == "abc"


def test_a_damaged_gzip_is_skipped(skipped, data):
    (one,) = skipped(packed(data)[:-50])
    assert "export it again" in one.reason


def test_a_gzip_bomb_is_skipped(skipped):
    (one,) = skipped(gzip.compress(bytes(40 << 20)))
    assert "no honest archive" in one.reason


def test_a_photo_that_lies_beside_the_recipe(found, zipped, photo):
    (one,) = found(zipped({"Pho.paprikarecipe": packed(PHO), "x.jpg": photo()}))
    assert one.photos[0].read() == photo()
    assert one.remarks == ()


def test_lists_under_the_same_names_are_not_paprika_s(found):
    (one,) = found({"name": "Pho", "ingredients": ["bones"], "directions": ["Simmer.", "Serve."]})
    assert (one.recipe.ingredients, one.recipe.instructions) == (("bones",), ("Simmer.", "Serve."))
