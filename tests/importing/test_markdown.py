"""Markdown with front matter, as Chowdown, Hugo and Jekyll have it, and without."""

import pytest

from savor.recipe import Section

CHOWDOWN = """---

layout: recipe
title:  "Chard"
image: chard.jpg
tags: green, warm

ingredients:
- 2 heads of chard
- salt: to taste

directions:
- Rinse
- Bake for 10:30 min

---

From the [garden](http://example.org).
"""


def test_chowdown(found, zipped, photo):
    (one,) = found(zipped({"site/_recipes/chard.md": CHOWDOWN, "site/images/chard.jpg": photo()}))
    assert one.recipe.ingredients == ("2 heads of chard", "salt: to taste")
    assert one.recipe.instructions == ("Rinse", "Bake for 10:30 min")
    assert one.recipe.tags == ("green", "warm")
    assert one.recipe.notes == "From the garden."
    assert one.photos[0].name == "site/images/chard.jpg"
    assert one.raw == CHOWDOWN


def test_components_become_sections(found, zipped):
    part = "---\ntitle: Creamy Dressing\ningredients:\n- 1 cup mayo\ndirections:\n- Stir\n---\n"
    whole = "---\ntitle: Salad\ncomponents:\n- Creamy Dressing\n---\n"
    several = found(zipped({"_components/creamy-dressing.md": part, "_recipes/salad.md": whole}))
    salad = next(one.recipe for one in several if one.recipe.title == "Salad")
    assert salad.ingredients == (Section("Creamy Dressing"), "1 cup mayo")
    assert salad.instructions == (Section("Creamy Dressing"), "Stir")


HUGO = """+++
title = "Bread"
servings = 2
prep_time = "PT20M"
images = ["bread.jpg"]
tags = ["baking"]
[[ingredients]]
name = "Dough"
items = ["500 g flour", "water"]
+++

## Instructions

1. Mix the flour
   with water.
2. Bake.

### Notes on ovens

They differ.

## Story

Long ago ![bread](bread.jpg).
"""


def test_hugo_with_toml_and_steps_in_the_text(found, zipped, photo):
    (one,) = found(zipped({"content/bread/index.md": HUGO, "content/bread/bread.jpg": photo()}))
    assert one.recipe.ingredients == (Section("Dough"), "500 g flour", "water")
    assert one.recipe.instructions == (
        "Mix the flour with water.",
        "Bake.",
        Section("Notes on ovens"),
        "They differ.",
    )
    assert (one.recipe.servings, dict(one.recipe.times)) == ("2", {"prep": "20 min"})
    assert one.recipe.notes == "Story\n\nLong ago ."
    assert len(one.photos) == 1


PLAIN = """# Pancakes

Thin ones.

## Ingredients

### Batter
* 2 eggs
* **250 ml** milk

**Filling**
- jam

## Method

Whisk everything.

Fry.
"""


def test_no_front_matter_at_all(found):
    (one,) = found(PLAIN, "p.md")
    assert one.recipe.title == "Pancakes"
    assert one.recipe.ingredients == ("Batter", "2 eggs", "**250 ml** milk", "Filling", "jam")
    assert [line for line in one.recipe.ingredients if isinstance(line, Section)] == ["Batter", "Filling"]
    assert one.recipe.instructions == ("Whisk everything.", "Fry.")
    assert one.recipe.notes == "Thin ones."


@pytest.mark.parametrize(
    "line",
    [
        "title: Beans: the book",
        "title: @home beans",
        "title: 'tis beans",
        "title: *beans*",
        "title: 50% beans",
    ],
)
def test_front_matter_that_is_no_yaml_is_read_all_the_same(found, line):
    (one,) = found(f"---\n{line}\ningredients:\n- 1 can: beans: any\ndirections:\n- Heat\n---\n")
    assert "eans" in one.recipe.title
    assert len(one.recipe.ingredients) == 1


def test_front_matter_beyond_repair_is_skipped_with_the_reason(skipped):
    (one,) = skipped("---\ntitle: [a\n  b: {\n---\ntext\n", "bad.md")
    assert one.source == "bad.md"
    assert "front matter" in one.reason


def test_json_front_matter_and_a_map_of_sections(found):
    (one,) = found('{"title": "Dip", "ingredients": {"Base": ["1 can beans"]}}\n\n## Directions\n\nMash.\n')
    assert one.recipe.ingredients == ("Base", "1 can beans")
    assert one.recipe.instructions == ("Mash.",)


def test_ingredients_in_a_table(found):
    table = "| Menge | Zutat |\n|--|:--:|\n| 2 | Lauch |\n| | Salz |"
    (one,) = found(f"# Suppe\n\n## Zutaten\n\n{table}\n\n## Zubereitung\n\nKochen.")
    assert one.recipe.ingredients == ("2 Lauch", "Salz")


def test_a_text_that_is_no_recipe_is_skipped(skipped):
    (one,) = skipped("---\ntitle: About\n---\nHello.\n")
    assert "neither ingredients nor steps" in one.reason
    (one,) = skipped("# Readme\n\nHello.\n")
    assert "no recipe is marked" in one.reason


@pytest.mark.parametrize(
    "page",
    [
        "---\ntitle: Leek\n---\n**Ingredients:**\n\n- 1 leek\n- salt\n\n__Method__\n\n1. Wash.\n2. Fry.\n",
        "---\ntitle: Leek\n---\nIngredients:\n\n- 1 leek\n- salt\n\nDirections:\n\n1. Wash.\n2. Fry.\n",
        "Leek\n====\nIngredients\n-----------\n- 1 leek\n- salt\n\nMethod\n------\n1. Wash.\n2. Fry.\n",
        "# Leek\n<h2>Ingredients</h2>\n<li>1 leek<li>salt\n<h2>Steps</h2><li>Wash.<li>Fry.",
        "---\r\ntitle: Leek\r\ningredients:\r\n- 1 leek\r\n- salt\r\nsteps:\r\n- Wash.\r\n- Fry.\r\n---\r\n",
        "---\ntitle: Leek\ningredients:\n- 1 leek\n- salt\ndirections:\n- Wash.\n- Fry.\n...\n",
        "---\ntitle: Leek\ningredients: [{qty: 1, item: leek}, salt]\nsteps: [step: Wash., Fry.]\n---\n",
    ],
)
def test_headings_and_lists_as_people_write_them(found, page):
    (one,) = found(page)
    assert (one.recipe.title, one.recipe.ingredients) == ("Leek", ("1 leek", "salt"))
    assert one.recipe.instructions == ("Wash.", "Fry.")


def test_a_page_bundle_is_called_like_its_folder(found, zipped, photo):
    page = "---\nprep_time: 10\nimage: cover.jpg\n---\n## Ingredients\n- salt\n"
    (one,) = found(zipped({"leek-pie/index.md": page, "leek-pie/cover.jpg": photo()}))
    assert (one.recipe.title, dict(one.recipe.times)) == ("leek-pie", {"prep": "10 min"})
    assert len(one.photos) == 1


def test_of_several_photos_the_one_that_is_missing_is_named(found, zipped, photo):
    page = "---\ntitle: Leek\nimages: [a.jpg, b.jpg, https://x.org/c.jpg]\ningredients: [salt]\n---\n"
    (one,) = found(zipped({"leek.md": page, "img/a.jpg": photo()}))
    assert len(one.photos) == 1
    assert one.remarks == ("its photo is not in the source: b.jpg",)


def test_plain_headings_below_a_title(found):
    (one,) = found("# Leek\n\nIngredients:\n1 leek\nsalt\n\nInstructions:\nWash and fry.\n")
    assert (one.recipe.title, one.recipe.ingredients) == ("Leek", ("1 leek", "salt"))
    assert one.recipe.instructions == ("Wash and fry.",)
