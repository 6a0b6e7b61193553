"""schema.org recipes in pages and JSON, and Nextcloud Cookbook's folders."""

import base64
import json

import pytest

from savor.importing.schema_org import recipe_from_node
from savor.recipe import Section

SOUP = {
    "@context": "https://schema.org",
    "@type": "Recipe",
    "name": "Leek soup",
    "recipeIngredient": ["2 leeks", "1 l stock"],
    "recipeInstructions": [
        {"@type": "HowToStep", "text": "Slice."},
        {"@type": "HowToStep", "text": "Simmer."},
    ],
    "recipeYield": ["4", "4 bowls"],
    "prepTime": "PT15M",
    "totalTime": "PT1H",
    "cookTime": "PT0M",
    "keywords": "winter, cheap",
    "recipeCategory": ["Soup", "Starter"],
    "recipeCuisine": "French",
    "description": "Warms.",
    "url": "https://example.org/leek",
}
MICRODATA = """<div itemscope itemtype="http://schema.org/Recipe"><h1 itemprop="name">Leek soup</h1>
<img itemprop="image" src="leek.jpg"><li itemprop="recipeIngredient">2 leeks</li>
<li itemprop="recipeIngredient">1 l stock</li><p itemprop="recipeInstructions">Slice.</p>
<p itemprop="recipeInstructions">Simmer.</p><meta itemprop="recipeYield" content="4 bowls"></div>"""


def page(*documents, body=""):
    scripts = "".join(
        f'<script type="application/ld+json">{one if isinstance(one, str) else json.dumps(one)}</script>'
        for one in documents
    )
    return f"<!DOCTYPE html><html><head>{scripts}</head><body>{body}</body></html>"


def test_all_parts_of_a_page(found):
    (one,) = found(page(SOUP), "x.html")
    recipe = one.recipe
    assert recipe.title == "Leek soup"
    assert recipe.ingredients == ("2 leeks", "1 l stock")
    assert recipe.instructions == ("Slice.", "Simmer.")
    assert (recipe.servings, recipe.category, recipe.tags) == (
        "4 bowls",
        "Soup",
        ("Starter", "French", "winter", "cheap"),
    )
    assert dict(recipe.times) == {"prep": "15 min", "total": "1 h"}
    assert (recipe.notes, recipe.source) == ("Warms.", "https://example.org/leek")
    assert json.loads(one.raw)["name"] == "Leek soup"


@pytest.mark.parametrize(
    "document",
    [
        {"@context": "https://schema.org", "@graph": [{"@type": "WebSite"}, SOUP]},
        [{"@type": "BreadcrumbList", "itemListElement": [{"@type": "ListItem", "item": {"@id": "/"}}]}, SOUP],
        {"@type": "WebPage", "mainEntity": SOUP},
        {**SOUP, "@type": ["NewsArticle", "Recipe"]},
        {**SOUP, "@type": "http://schema.org/Recipe"},
        "<!--\n" + json.dumps(SOUP) + "\n-->",
        "//<![CDATA[\n" + json.dumps(SOUP) + "\n//]]>",
        json.dumps(SOUP)[:-1] + ",}",
        json.dumps(SOUP).replace("Warms.", "Warms\n."),
    ],
)
def test_wherever_a_recipe_lies_in_json_ld(found, document):
    (one,) = found(page(document), "x.html")
    assert one.recipe.ingredients == ("2 leeks", "1 l stock")


def test_a_broken_script_does_not_hide_the_next(found):
    (one,) = found(page("{this is no JSON", SOUP))
    assert one.recipe.title == "Leek soup"


def test_microdata(found):
    (one,) = found(page(body=MICRODATA))
    assert one.recipe.instructions == ("Slice.", "Simmer.")
    assert one.recipe.servings == "4 bowls"


def test_json_ld_and_microdata_of_one_recipe_count_once_and_complete_each_other(found):
    thin = {key: value for key, value in SOUP.items() if key != "recipeInstructions"}
    (one,) = found(page(thin, body=MICRODATA))
    assert one.recipe.instructions == ("Slice.", "Simmer.")
    assert one.recipe.notes == "Warms."


def test_several_recipes_of_a_page(found):
    cake = {**SOUP, "name": "Cake", "recipeIngredient": ["3 eggs"]}
    other_soup = {**SOUP, "recipeIngredient": ["1 pumpkin"]}
    several = found(page(SOUP, [cake, other_soup, SOUP]))
    assert [one.recipe.title for one in several] == ["Leek soup", "Cake", "Leek soup"]
    assert len({one.source for one in several}) == 3


def test_a_page_without_a_recipe_is_skipped_with_the_way_out(skipped):
    (one,) = skipped(page({"@type": "WebSite"}, body="<div id=app>Loading</div>"), "app.html")
    assert one.source == "app.html"
    assert "no recipe" in one.reason


def test_links_to_recipes_are_no_recipes(tmp_path, skipped):
    stub = {"@type": "Recipe", "name": "Elsewhere", "url": "https://example.org/e"}
    (one,) = skipped(page(SOUP, {"@type": "ItemList", "itemListElement": [stub]}))
    assert "Elsewhere" in one.source
    assert "only a title" in one.reason


def test_steps_that_a_page_shows_but_does_not_mark(found):
    thin = {key: value for key, value in SOUP.items() if key != "recipeInstructions"}
    body = "<h3>Directions</h3><ol><li><h5>Step 1</h5><p>Slice.</p></li><li><h5>Step 2</h5>Simmer.</li></ol>"
    (one,) = found(page(thin, body=body))
    assert one.recipe.instructions == ("Slice.", "Simmer.")


SECTIONS = [
    {"@type": "HowToSection", "name": "Dough", "itemListElement": [{"@type": "HowToStep", "text": "Knead."}]},
    {
        "@type": "HowToSection",
        "name": "Top",
        "itemListElement": {
            "@type": "HowToStep",
            "itemListElement": [{"@type": "HowToDirection", "text": "Spread."}],
        },
    },
]


@pytest.mark.parametrize(
    ("written", "steps"),
    [
        ("1. Mix.\n2. Bake.", ["Mix.", "Bake."]),
        (["Mix.", "Bake."], ["Mix.", "Bake."]),
        (["Mix.\nBake."], ["Mix.", "Bake."]),
        ([["Mix."], ["Bake."]], ["Mix.", "Bake."]),
        ({"@type": "ItemList", "itemListElement": [{"@type": "HowToStep", "text": "Mix."}]}, ["Mix."]),
        ([{"@type": "HowToStep", "name": "Step 1", "text": "Mix."}], ["Mix."]),
        ([{"@type": "HowToStep", "name": "Mix", "text": "Mix well."}], ["Mix well."]),
        ([{"@type": "HowToStep", "name": "Rest", "text": "An hour."}], ["Rest: An hour."]),
        ([{"@type": "HowToStep", "name": "Mix."}], ["Mix."]),
        (["## Dough", "Mix."], [Section("Dough"), "Mix."]),
        (SECTIONS, [Section("Dough"), "Knead.", Section("Top"), "Spread."]),
        (["First.", *SECTIONS[:1]], ["First.", Section("Dough"), "Knead."]),
        (None, []),
    ],
)
def test_steps_in_every_form(written, steps):
    recipe = recipe_from_node({"name": "x", "recipeInstructions": written})
    assert list(recipe.instructions) == steps
    assert [type(step) for step in recipe.instructions] == [type(step) for step in steps]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        ("1 egg\n2 apples", ["1 egg", "2 apples"]),
        ("1 Zwiebel, 200 g Mehl, 3 Eier", ["1 Zwiebel", "200 g Mehl", "3 Eier"]),
        (["1 egg, beaten"], ["1 egg, beaten"]),
        (["## Sauce", "1 egg", "2 eggs"], [Section("Sauce"), "1 egg", "2 eggs"]),
        (
            [{"@type": "ItemList", "name": "Sauce", "itemListElement": ["1 egg", "salt"]}],
            [Section("Sauce"), "1 egg", "salt"],
        ),
        ([{"@type": "HowToSupply", "name": "flour", "requiredQuantity": "2 cups"}], ["2 cups flour"]),
        (["<b>1</b> egg &amp; more", "", None], ["1 egg & more"]),
    ],
)
def test_ingredients_in_every_form(written, lines):
    recipe = recipe_from_node({"name": "x", "recipeIngredient": written})
    assert list(recipe.ingredients) == lines


def test_amounts_and_times_as_objects():
    servings = {"@type": "QuantitativeValue", "value": 4, "unitText": "slices"}
    recipe = recipe_from_node(
        {"name": "x", "recipeYield": servings, "totalTime": {"@type": "Duration", "maxValue": "PT1H"}}
    )
    assert (recipe.servings, dict(recipe.times)) == ("4 slices", {"total": "1 h"})


def test_nextcloud_takes_the_full_photo_of_each_folder(found, zipped, photo):
    data = zipped({
        "Leek soup/recipe.json": {**SOUP, "image": "https://example.org/a.jpg", "recipeYield": 4},
        "Leek soup/full.jpg": photo("red"),
        "Leek soup/thumb.jpg": photo("blue"),
        "Cake/recipe.json": {**SOUP, "name": "Cake", "image": "https://example.org/b.jpg", "url": ""},
    })  # fmt: skip
    soup, cake = sorted(found(data), key=lambda one: one.recipe.title, reverse=True)
    assert [picture.name for picture in soup.photos] == ["Leek soup/full.jpg"]
    assert soup.recipe.servings == "4"
    assert not cake.photos
    assert "not downloaded" in cake.remarks[0]


def test_photos_inside_a_page_and_beside_it(tmp_path, found, photo, zipped):
    inside = "data:image/jpeg;base64," + base64.b64encode(photo()).decode()
    (one,) = found(page({**SOUP, "image": [inside]}))
    assert one.photos[0].read() == photo()
    assert inside[:60] not in one.raw
    saved = {
        "Leek.html": page({**SOUP, "image": "https://x.org/img/leek.jpg"}),
        "Leek_files/leek.jpg": photo(),
    }
    (one,) = found(zipped({**saved, "Leek_files/app.js": "let x = 1"}))
    assert one.photos[0].name == "Leek_files/leek.jpg"


def test_encodings_of_pages(found):
    text = page({**SOUP, "name": "Crème brûlée"}).replace("\\u", "\\u")
    raw = json.dumps({**SOUP, "name": "Crème brûlée"}, ensure_ascii=False)
    latin = f'<html><meta charset="iso-8859-1"><script type="application/ld+json">{raw}</script></html>'
    for data in (
        text.encode(),
        latin.encode("latin-1"),
        b"\xef\xbb\xbf" + page(raw).encode(),
        page(raw).encode("utf-16"),
    ):
        (one,) = found(data)
        assert one.recipe.title == "Crème brûlée"


def test_sites_that_recipe_scrapers_knows_are_completed(found):
    link = '<link rel="canonical" href="https://www.bbcgoodfood.com/recipes/leek-soup">'
    (one,) = found(page({**SOUP, "url": ""}).replace("<head>", f"<head>{link}"))
    assert one.recipe.ingredients == ("2 leeks", "1 l stock")
    assert one.recipe.source == "https://www.bbcgoodfood.com/recipes/leek-soup"


def test_reviews_and_accounts_are_not_kept(found):
    (one,) = found({**SOUP, "review": [{"author": "Eve"}], "comments": ["x"], "userId": 4})
    assert not {"review", "comments", "userId"} & json.loads(one.raw).keys()
