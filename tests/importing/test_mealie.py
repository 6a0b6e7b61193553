"""Mealie's exports and backups in the shapes of its versions."""

import json

import pytest

from savor.recipe import Section

OLD = {
    "id": 3,
    "name": "Dal",
    "slug": "dal",
    "image": "dal",
    "description": "Yellow.",
    "recipe_category": ["Main", "Quick"],
    "tags": ["lentils"],
    "recipe_yield": "4 serving(s)",
    "recipe_ingredient": [
        {
            "title": "Pot",
            "note": "200 g lentils ",
            "unit": None,
            "food": None,
            "disable_amount": True,
            "quantity": 1,
        },
        {"title": None, "note": "salt", "unit": None, "food": None, "disable_amount": True, "quantity": 1},
    ],
    "recipe_instructions": [{"title": "", "text": "Boil."}, {"title": "Top", "text": "Fry spices."}],
    "total_time": "1 Hour",
    "prep_time": None,
    "perform_time": "40 Minutes",
    "settings": {"disable_amount": False},
    "assets": [],
    "notes": [{"title": "Tip", "text": "Soak."}],
    "org_url": "https://example.org/dal",
    "comments": [{"text": "yum", "user": {"username": "eve"}}],
}
OLDEST = {
    "name": "Dal",
    "slug": "dal",
    "recipeYield": "4",
    "recipeIngredient": ["200 g lentils", "salt"],
    "recipeInstructions": [{"@type": "HowToStep", "text": "Boil."}],
    "tags": [],
    "categories": ["Main"],
    "notes": [],
    "orgURL": "https://example.org/dal",
    "extras": {},
    "totalTime": "1 Hour",
}
NEW = {
    "id": "0a1b2c3d-0000-4000-8000-00000000000a",
    "userId": "u",
    "groupId": "g",
    "householdId": "h",
    "name": "Dal",
    "slug": "dal",
    "image": "AbCd",
    "recipeServings": 4.0,
    "recipeYieldQuantity": 0,
    "recipeYield": "",
    "totalTime": "1 Hour",
    "prepTime": None,
    "cookTime": None,
    "performTime": "40 Minutes",
    "description": "Yellow.",
    "recipeCategory": [{"name": "Main", "slug": "main"}],
    "tags": [{"name": "lentils", "slug": "lentils"}],
    "orgURL": "https://example.org/dal",
    "recipeIngredient": [
        {
            "quantity": 200.0,
            "unit": {"name": "g"},
            "food": {"name": "lentils"},
            "note": "red",
            "display": "200 g lentils, red",
            "title": "Pot",
        },
        {
            "quantity": 0.5,
            "unit": {"name": "tsp"},
            "food": {"name": "salt"},
            "note": "",
            "display": "",
            "title": None,
        },
        {"quantity": 2.0, "unit": None, "food": None, "note": "onions", "title": None},
        {"quantity": 1.0, "unit": None, "food": None, "note": "a lot of love", "title": None},
        {"quantity": None, "unit": None, "food": None, "note": "", "originalText": "1 lemon", "title": None},
    ],
    "recipeInstructions": [
        {"id": "1", "title": "", "summary": "", "text": "Boil.", "ingredientReferences": []}
    ],
    "settings": {"public": True, "disableAmount": False},
    "assets": [{"name": "a.pdf"}],
    "notes": [],
    "comments": [{"text": "yum", "user": {"username": "eve"}}],
}


def test_a_0_x_export_with_clutter_and_images(found, zipped, photo):
    root = "mealie_2022-May-01/recipes/dal"
    (one,) = found(zipped({
        f"{root}/dal.json": OLD,
        f"{root}/images/original.webp": photo("red", "WEBP"),
        f"{root}/images/min-original.webp": photo("blue", "WEBP"),
        f"{root}/images/tiny-original.webp": photo("green", "WEBP"),
        f"__MACOSX/{root}/._dal.json": b"\0\5\26\7",
        f"{root}/.DS_Store": b"\0\0\0\1Bud1",
    }))  # fmt: skip
    assert one.recipe.ingredients == (Section("Pot"), "200 g lentils", "salt")
    assert one.recipe.instructions == ("Boil.", Section("Top"), "Fry spices.")
    assert isinstance(one.recipe.instructions[1], Section)
    assert dict(one.recipe.times) == {"total": "1 Hour", "cook": "40 Minutes"}
    assert (one.recipe.category, one.recipe.tags) == ("Main", ("Quick", "lentils"))
    assert one.recipe.notes == "Yellow.\n\nTip: Soak."
    assert [picture.name for picture in one.photos] == [f"{root}/images/original.webp"]
    assert "eve" not in one.raw


def test_ingredients_as_plain_text_in_the_oldest_exports(found, zipped, photo):
    (one,) = found(zipped({"recipes/dal.json": OLDEST, "images/dal.jpg": photo()}))
    assert one.recipe.ingredients == ("200 g lentils", "salt")
    assert one.recipe.instructions == ("Boil.",)
    assert one.photos[0].name == "images/dal.jpg"


def test_structured_ingredients_since_1_0(found, zipped, photo):
    (one,) = found(zipped({"dal.json": NEW, "original.webp": photo("red", "WEBP")}))
    assert one.recipe.ingredients == (
        "Pot", "200 g lentils, red", "0.5 tsp salt", "2 onions", "a lot of love", "1 lemon",
    )  # fmt: skip
    assert one.recipe.servings == "4 servings"
    assert len(one.photos) == 1
    assert one.remarks == ("1 attached files are not kept",)
    assert not {"userId", "groupId", "householdId", "comments"} & json.loads(one.raw).keys()


def test_a_photo_that_is_named_but_not_there_is_said(found):
    (one,) = found(OLD)
    assert one.remarks == ("its photo is named, but not in the file",)


OWN, OTHER = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002"
BACKUP = {
    "alembic_version": [{"version_num": "1"}],
    "users": [{"id": "u1", "email": "eve@example.org", "password": "$2b$12$secret", "full_name": "Eve"}],
    "recipes": [
        {
            "id": OWN,
            "user_id": "u1",
            "group_id": "g1",
            "slug": "dal",
            "name": "Dal",
            "image": "x",
            "recipe_yield": "4",
            "org_url": None,
            "total_time": "1 Hour",
            "perform_time": None,
            "description": "",
        },
        {
            "id": OTHER.replace("-", ""),
            "user_id": "u1",
            "slug": "tea",
            "name": "Tea",
            "image": None,
            "recipe_yield": None,
        },
        "no row",
    ],
    "recipes_ingredients": [
        {
            "recipe_id": OWN,
            "position": 1,
            "title": None,
            "note": "fresh",
            "unit_id": "t",
            "food_id": "f",
            "quantity": 2.0,
        },
        {
            "recipe_id": OWN,
            "position": 0,
            "title": "Pot",
            "note": "lentils",
            "unit_id": None,
            "food_id": None,
            "quantity": 1.0,
        },
        {
            "recipe_id": OTHER,
            "position": 0,
            "title": None,
            "note": "leaves",
            "unit_id": None,
            "food_id": None,
            "quantity": None,
        },
    ],
    "recipe_instructions": [
        {"recipe_id": OWN, "position": 1, "title": "", "text": "Eat."},
        {"recipe_id": OWN, "position": 0, "title": "Start", "text": "Boil."},
    ],
    "ingredient_units": [{"id": "t", "name": "cup"}],
    "ingredient_foods": [{"id": "f", "name": "spinach"}],
    "tags": [{"id": "t1", "name": "lentils"}],
    "recipes_to_tags": [{"recipe_id": OWN, "tag_id": "t1"}],
    "categories": [{"id": "c1", "name": "Main"}],
    "recipes_to_categories": [{"recipe_id": OWN, "category_id": "c1"}],
    "notes": [{"recipe_id": OWN, "title": "Tip", "text": "Soak."}],
    "recipe_comments": [{"recipe_id": OWN, "text": "private words", "user_id": "u1"}],
}


def test_a_backup_of_all_tables(tmp_path, zipped, photo):
    from savor.importing.base import Found, Skipped
    from savor.importing.finding import find

    path = tmp_path / "backup.zip"
    path.write_bytes(
        zipped({"database.json": BACKUP, f"data/recipes/{OWN}/images/original.webp": photo("red", "WEBP")})
    )
    dal, tea, broken = find(path)
    assert isinstance(dal, Found)
    assert isinstance(broken, Skipped)
    assert dal.recipe.ingredients == ("Pot", "lentils", "2 cup spinach, fresh")
    assert dal.recipe.instructions == ("Start", "Boil.", "Eat.")
    assert (dal.recipe.tags, dal.recipe.category, dal.recipe.notes) == (("lentils",), "Main", "Tip: Soak.")
    assert len(dal.photos) == 1
    assert tea.recipe.ingredients == ("leaves",)


def test_accounts_of_a_backup_are_never_kept(found):
    kept = "".join(one.raw for one in found({**BACKUP, "recipes": BACKUP["recipes"][:2]}))
    assert "Boil." in kept
    for secret in ("eve@example.org", "$2b$12$secret", "Eve", "u1", "g1", "private words"):
        assert secret not in kept


def test_one_broken_row_does_not_cost_the_others_and_is_named(tmp_path, monkeypatch):
    from savor.importing import mealie
    from savor.importing.finding import find

    def steps(value):
        if value and value[0]["text"] == "Boil.":
            raise KeyError("text")
        return value

    monkeypatch.setattr(mealie, "_steps", steps)
    path = tmp_path / "database.json"
    path.write_text(json.dumps({**BACKUP, "recipes": BACKUP["recipes"][:2]}))
    dal, tea = find(path)
    assert "'Dal'" in dal.source
    assert "please report it" in dal.reason
    assert tea.recipe.title == "Tea"


@pytest.mark.parametrize("name", ["users.json", "settings.json"])
def test_other_files_of_an_old_backup_hold_no_recipes(skipped, name):
    (one,) = skipped(json.dumps([{"username": "eve", "password": "x"}]), name)
    assert "accounts and settings are not imported" in one.reason


def backup(**tables):
    return {
        "alembic_version": [{"version_num": "x"}],
        "recipes": [{"id": "aa" * 16, "slug": "dal", "name": "Dal", "image": None}],
        **tables,
    }


def test_a_backup_of_3_x_with_units_in_the_plural_and_a_recipe_in_a_recipe(found):
    own, other = "aa" * 16, "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb"
    unit = {
        "name": "tablespoon",
        "plural_name": "tablespoons",
        "abbreviation": "tbsp",
        "use_abbreviation": False,
    }
    tables = backup(
        recipes=[{"id": own, "slug": "dal", "name": "Dal"}, {"id": other, "slug": "ghee", "name": "Ghee"}],
        ingredient_units=[{**unit, "id": "c" * 32}, {**unit, "id": "d" * 32, "use_abbreviation": True}],
        ingredient_foods=[{"id": "e" * 32, "name": "onion", "plural_name": "onions"}],
        recipes_ingredients=[
            {
                "recipe_id": own,
                "position": 3,
                "quantity": 2,
                "referenced_recipe_id": other.replace("-", ""),
                "note": "",
            },
            {
                "recipe_id": own,
                "position": 1,
                "quantity": 2,
                "unit_id": "c" * 32,
                "food_id": "e" * 32,
                "note": "red",
            },
            {
                "recipe_id": own,
                "position": 2,
                "quantity": 1,
                "unit_id": "d" * 32,
                "food_id": "e" * 32,
                "note": None,
            },
            {"recipe_id": own, "position": 0, "quantity": 0, "title": "Pot", "note": "salt"},
        ],
        recipe_instructions=[
            {"recipe_id": own, "position": 1, "title": "", "summary": "Last", "text": "Eat."},
            {"recipe_id": own, "position": 0, "title": None, "text": "Boil."},
        ],
        tools=[{"id": "f" * 32, "name": "Pan"}],
        recipes_to_tools=[{"recipe_id": own, "tool_id": "f" * 32}],
    )
    dal, ghee = found(tables)
    assert dal.recipe.ingredients == ("Pot", "salt", "2 tablespoons onions, red", "1 tbsp onion", "2 Ghee")
    assert dal.recipe.instructions == ("Boil.", "Last: Eat.")
    assert '"Pan"' in dal.raw
    assert ghee.recipe.title == "Ghee"


def test_fractions_are_written_in_plain_digits(found):
    line = {"quantity": 1.5, "note": "", "display": "1 ¹/₂ cups flour"}
    (one,) = found({**NEW, "recipeIngredient": [line]})
    assert one.recipe.ingredients == ("1 1/2 cups flour",)


@pytest.mark.parametrize(
    "without", ["recipes_ingredients", "recipe_instructions", "notes", "tags", "recipe_nutrition"]
)
def test_a_backup_may_lack_any_table_and_column(found, without):
    own = "aa" * 16
    tables = backup(
        recipes_ingredients=[{"recipe_id": own, "note": "salt"}],
        recipe_instructions=[{"recipe_id": own, "text": "Boil.", "title": ""}],
        notes=[{"recipe_id": own, "text": "Hot."}],
        tags=[],
        recipe_nutrition=[{"recipe_id": own}],
    )
    del tables[without]
    (one,) = found(tables)
    assert one.recipe.title == "Dal"
    assert len(one.recipe.ingredients) == (without != "recipes_ingredients")
    assert len(one.recipe.instructions) == (without != "recipe_instructions")


def test_the_first_versions_kept_what_a_page_said(found, zipped, photo):
    section = {
        "@type": "HowToSection",
        "name": "Pot",
        "itemListElement": [{"@type": "HowToStep", "text": "Boil."}],
    }
    page = {**OLDEST, "keywords": "quick", "image": "x.jpg", "recipeInstructions": [section]}
    (one,) = found(zipped({"recipes/dal.json": page, "images/x.jpg": photo()}))
    assert one.recipe.instructions == ("Pot", "Boil.")
    assert one.recipe.tags == ("quick",)
    assert len(one.photos) == 1
