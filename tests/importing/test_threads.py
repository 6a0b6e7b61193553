"""What users of other importers complain of in their threads; each of it is a test here.

The numbers are those of the issues of TandoorRecipes/recipes and, with an M, of mealie-recipes/mealie.
"""

import base64
import gzip
import json

import pytest

from savor.importing.base import Found, Skipped
from savor.importing.finding import find
from savor.importing.writing import write

OWN = "0a" * 16
TABLES = {
    "alembic_version": [{"version_num": "x"}],
    "users": [],
    "recipes": [{"id": OWN, "slug": "dal", "name": "Dal"}],
    "ingredient_units": [{"id": "b1" * 16, "name": "g"}],
    "ingredient_foods": [{"id": "c2" * 16, "name": "skyr"}],
    "recipes_ingredients": [
        {"recipe_id": OWN, "position": 1, "quantity": None, "note": "salt", "title": "Top"},
        {
            "recipe_id": OWN,
            "position": 0,
            "quantity": 50,
            "unit_id": "b1" * 16,
            "food_id": "c2" * 16,
            "note": "cold",
        },
    ],
    "recipe_instructions": [{"recipe_id": OWN, "position": 0, "title": None, "text": "Stir."}],
}
TANDOOR = {
    "name": "Tea",
    "working_time": 1,
    "steps": [
        {"name": "", "instruction": "Brew.", "ingredients": [{"food": {"name": "leaves"}, "amount": 0}]}
    ],
}
NEXTCLOUD = {
    "@type": "Recipe",
    "name": "Amaretti",
    "recipeIngredient": ["almonds"],
    "recipeInstructions": ["Bake."],
}
PAPRIKA = {"name": "Beef ragù", "uid": "1", "ingredients": "beef", "directions": "Simmer."}


def imported(tmp_path, content, name="export.zip"):
    path = tmp_path / name
    path.write_bytes(content)
    report = write(find(path), tmp_path / "out")
    lines = tmp_path / "out" / "recipes.jsonl"
    recipes = [json.loads(line) for line in lines.read_text("utf-8").splitlines()] if lines.exists() else []
    return report, recipes


def test_imported_0_recipes_from_a_backup(tmp_path, zipped):
    """3429, 3827, 3186, 4071: a backup of another version gives nothing and no reason."""
    report, (dal,) = imported(tmp_path, zipped({"database.json": TABLES, "data/.gitkeep": ""}))
    assert report.counts["read"] == 1
    assert dal["title"] == "Dal"


def test_ingredients_of_a_backup(tmp_path, zipped):
    """3148, 2456, 4299: recipes come without their ingredients; 4443: not in their order and sections."""
    _, (dal,) = imported(tmp_path, zipped({"database.json": TABLES}))
    assert dal["ingredients"] == ["50 g skyr, cold", {"section": "Top"}, "salt"]


def test_a_recipe_without_steps_keeps_its_ingredients(tmp_path, zipped):
    """2339."""
    report, (dal,) = imported(tmp_path, zipped({"database.json": {**TABLES, "recipe_instructions": []}}))
    assert len(dal["ingredients"]) == 3
    assert "no steps are marked" in report.recipes[0].reason


def test_columns_that_a_version_does_not_have(tmp_path, zipped):
    """4229: one missing key and nothing is imported."""
    tables = {**TABLES, "recipe_nutrition": [{"recipe_id": OWN}], "tags": [{"id": "d3" * 16}], "notes": [{}]}
    assert imported(tmp_path, zipped({"database.json": tables}))[0].counts["read"] == 1


@pytest.mark.parametrize("form", ["json", "zip", "zip of zips", "list"])
def test_json_or_zip_is_all_the_same(tmp_path, zipped, form):
    """4323, 3561, 2907, 2014: the export has to be given as a zip, or must not be."""
    content = {
        "json": json.dumps(TANDOOR).encode(),
        "zip": zipped({"recipe.json": TANDOOR}),
        "zip of zips": zipped({"Tea.zip": zipped({"recipe.json": TANDOOR})}),
        "list": json.dumps([TANDOOR]).encode(),
    }[form]
    assert imported(tmp_path, content, "recipe.json")[1][0]["ingredients"] == ["leaves"]


@pytest.mark.parametrize("root", ["", "Recipes/", "home/Nextcloud/Rezepte/"])
def test_nextcloud_s_folders_with_their_photos(tmp_path, zipped, photo, root):
    """3442, 862, 563, 1039: images are missing, recipes are empty, or only a third of them comes."""
    folders = {
        f"{root}Amaretti/recipe.json": {
            **NEXTCLOUD,
            "keywords": ",",
            "image": "/apps/cookbook/image?size=full",
        },
        f"{root}Amaretti/full.jpg": photo("red"),
        f"{root}Amaretti/thumb.jpg": photo("blue"),
        f"{root}Amaretti/thumb16.jpg": photo("green"),
        f"{root}Crêpes [süß]/recipe.json": {
            **NEXTCLOUD,
            "name": "Crêpes",
            "keywords": "",
            "description": None,
        },
    }
    report, recipes = imported(tmp_path, zipped(folders))
    assert report.counts == {"read": 2, "updated": 0, "unchanged": 0, "skipped": 0}
    assert sorted(len(recipe.get("photos", [])) for recipe in recipes) == [0, 1]
    assert all(recipe["ingredients"] == ["almonds"] and "tags" not in recipe for recipe in recipes)


@pytest.mark.parametrize("whole", [True, False], ids=["in a zip", "alone"])
def test_photos_of_paprika(tmp_path, zipped, photo, whole):
    """3393, M5911: photos are not imported, above all where two recipes have one name."""
    inside = [
        gzip.compress(
            json.dumps(
                {**PAPRIKA, "uid": str(number), "photo_data": base64.b64encode(photo(colour)).decode()}
                | ({"ingredients": "pork"} if number else {})
            ).encode()
        )
        for number, colour in enumerate(("red", "blue"))
    ]
    content = (
        zipped({f"{number}.paprikarecipe": data for number, data in enumerate(inside)})
        if whole
        else inside[0]
    )
    _, recipes = imported(tmp_path, content)
    assert [len(recipe["photos"]) for recipe in recipes] == ([1, 1] if whole else [1])
    assert len({recipe["photos"][0] for recipe in recipes}) == len(recipes)


def test_the_address_a_recipe_is_from(tmp_path):
    """M1967: source_url is not kept."""
    content = gzip.compress(json.dumps({**PAPRIKA, "source_url": "https://example.org/r"}).encode())
    assert imported(tmp_path, content)[1][0]["source"] == "https://example.org/r"


def test_a_line_of_any_length(tmp_path, zipped):
    """4790: an ingredient is too long, and the message does not say in which recipe."""
    long = {
        **TANDOOR,
        "steps": [{**TANDOOR["steps"][0], "ingredients": [{"note": "x" * 5000, "food": None}]}],
    }
    assert imported(tmp_path, zipped({"1.zip": zipped({"recipe.json": long})}))[1][0]["ingredients"] == [
        "x" * 5000
    ]


def test_what_fails_is_named_and_the_others_come(tmp_path, zipped):
    """4790, 2054: after the first error the rest is missing, and nobody knows which recipe it was."""
    broken = {**TANDOOR, "name": "Broken pie", "steps": [{"instruction": "x", "ingredients": 3}]}
    inner = [zipped({"recipe.json": one}) for one in (TANDOOR, broken, {**TANDOOR, "name": "Toast"})]
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({f"{number}.zip": data for number, data in enumerate(inner)}))
    results = list(find(path))
    assert [one.recipe.title for one in results if isinstance(one, Found)] == ["Tea", "Toast"]
    (bad,) = [one for one in results if isinstance(one, Skipped)]
    assert bad.source == "export.zip/1.zip/recipe.json ('Broken pie')"


def test_importing_twice_makes_no_second_copy(tmp_path, zipped):
    """4251: who tries again has everything twice."""
    content = zipped({"1.zip": zipped({"recipe.json": TANDOOR})})
    imported(tmp_path, content)
    report, recipes = imported(tmp_path, content, "export (1).zip")
    assert (report.counts["unchanged"], len(recipes)) == (1, 1)
