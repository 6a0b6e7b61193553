"""Tandoor's zip of zips."""

from savor.recipe import Section


def ingredient(food, amount=0.0, unit=None, note="", **more):
    return {
        "food": food and {"name": food, "plural_name": None},
        "unit": unit and {"name": unit},
        "amount": amount,
        "note": note,
        "order": 0,
        "is_header": False,
        "no_amount": False,
        **more,
    }


PIE = {
    "name": "Pie",
    "description": "Round.",
    "keywords": [{"name": "baking", "icon": None}, {"name": "Course: Main"}],
    "steps": [
        {
            "name": "Dough",
            "instruction": "Knead.\n\nRest.",
            "order": 0,
            "ingredients": [
                ingredient(None, note="Dry", is_header=True),
                ingredient("flour", 250.0, "g"),
                ingredient("salt", 1.0, "tsp", no_amount=True),
                ingredient("eggs", 2.0, note="large"),
            ],
        },
        {
            "name": "Filling",
            "instruction": "Chop.",
            "order": 1,
            "ingredients": [ingredient("apples", 0.5, "kg")],
        },
    ],
    "working_time": 20,
    "waiting_time": 95,
    "servings": 4,
    "servings_text": "slices",
    "internal": True,
    "nutrition": None,
    "source_url": "https://example.org/pie",
    "created_by": {"username": "eve"},
}


def test_a_zip_of_zips(found, zipped, photo):
    inner = zipped({"recipe.json": PIE, "image.jpeg": photo()})
    (one,) = found(zipped({"1.zip": inner}))
    recipe = one.recipe
    sections = [line for line in recipe.ingredients if isinstance(line, Section)]
    assert sections == ["Dough", "Dry", "Filling"]
    assert recipe.lines("ingredients") == ("250 g flour", "salt", "2 eggs (large)", "0.5 kg apples")
    assert recipe.instructions == ("Dough", "Knead.", "Rest.", "Filling", "Chop.")
    assert dict(recipe.times) == {"prep": "20 min", "cook": "1 h 35 min"}
    assert (recipe.servings, recipe.tags) == ("4 slices", ("baking", "Course: Main"))
    assert one.photos[0].read() == photo()
    assert "eve" not in one.raw


def test_each_inner_zip_keeps_its_own_photo(found, zipped, photo):
    inner = [
        zipped({"recipe.json": {**PIE, "name": name}, "image.png": photo(name, "PNG")})
        for name in ("red", "blue")
    ]
    several = found(zipped({"1.zip": inner[0], "2.zip": inner[1]}))
    assert [one.photos[0].read() for one in several] == [photo("red", "PNG"), photo("blue", "PNG")]


def test_one_step_without_name_makes_no_section(found):
    step = {**PIE["steps"][0], "name": ""}
    (one,) = found({**PIE, "steps": [step]})
    assert one.recipe.instructions == ("Knead.", "Rest.")


def test_ingredients_without_food_or_only_with_their_original_text_are_kept(found):
    lines = [ingredient(None, note="a pinch of salt"), {**ingredient(None), "original_text": "1 lemon"}]
    (one,) = found({**PIE, "steps": [{"name": "", "instruction": "Mix.", "ingredients": lines}]})
    assert one.recipe.ingredients == ("a pinch of salt", "1 lemon")


def test_a_recipe_in_a_step_is_named(found):
    linked = {"name": "", "instruction": "", "ingredients": [], "step_recipe_data": {"name": "Custard"}}
    (one,) = found({**PIE, "steps": [*PIE["steps"], linked]})
    assert one.recipe.instructions[-1] == "See the recipe Custard"


def test_next_month_s_export_updates_this_one(tmp_path, zipped):
    from savor.importing.finding import find
    from savor.importing.writing import write

    for name, recipe in (("export_2026-10-01.zip", PIE), ("export_2026-11-01.zip", {**PIE, "servings": 8})):
        path = tmp_path / name
        path.write_bytes(zipped({"1.zip": zipped({"recipe.json": recipe})}))
        report = write(find(path), tmp_path / "out")
    assert report.counts == {"read": 0, "updated": 1, "unchanged": 0, "skipped": 0}


def test_templates_in_steps_are_filled_in(found):
    text = "Mix {{ ingredients[0] }}, {{ ingredients[1].food }}. Add {% scale(200) %} g. {{ ingredients[7] }}"
    lines = [ingredient("flour", 200, "g"), ingredient("water", 1, "dl")]
    (one,) = found({**PIE, "steps": [{"name": "", "instruction": text, "ingredients": lines}]})
    assert one.recipe.instructions == ("Mix 200 g flour, water. Add 200 g.",)


def test_the_only_step_keeps_its_name_and_steps_their_order(found):
    (one,) = found({**PIE, "steps": [{"name": "Bake", "instruction": "Heat.", "ingredients": []}]})
    assert one.recipe.instructions == ("Bake", "Heat.")
    steps = [
        {"name": "", "instruction": text, "ingredients": [], "order": order}
        for text, order in (("B.", 2), ("A.", 1))
    ]
    (one,) = found({**PIE, "steps": steps})
    assert one.recipe.instructions == ("A.", "B.")
