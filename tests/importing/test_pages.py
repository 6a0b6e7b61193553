"""Saved pages: every form in which sites write a recipe, and what they break."""

import json

import pytest

ING = ("1 leek", "2 eggs", "salt")
STEPS = ("Wash.", "Fry.", "Eat.")
NODE = {
    "@context": "https://schema.org",
    "@type": "Recipe",
    "name": "Leek",
    "recipeIngredient": list(ING),
    "recipeInstructions": [{"@type": "HowToStep", "text": step} for step in STEPS],
}
TEXT = json.dumps(NODE)
NAME = '<h1 itemprop="name">Leek</h1>'
LINES = "".join(f'<li itemprop="recipeIngredient">{line}</li>' for line in ING)
BLOCK = "".join(f"<p>{step}</p>" for step in STEPS)


def ld(script):
    return f'<html><head><title>x</title><script type="application/ld+json">{script}</script></head></html>'


def node(**fields):
    return ld(json.dumps({**NODE, **fields}))


def step(text):
    return {"@type": "HowToStep", "text": text}


PAGES = {
    "graph": ld(json.dumps({"@graph": [{"@type": "WebPage"}, NODE]})),
    "list": ld(json.dumps([{"@type": "WebPage"}, NODE])),
    "main entity": ld(json.dumps({"@type": "Article", "mainEntity": [NODE]})),
    "subject of": ld(json.dumps({"@type": "ItemPage", "subjectOf": NODE})),
    "list item": ld(json.dumps({"@type": "ItemList", "itemListElement": [{"position": 1, "item": NODE}]})),
    "two documents in a script": ld(json.dumps({"@type": "WebPage"}) + "\n" + TEXT + ";"),
    "cdata": ld(f"//<![CDATA[\n{TEXT}\n//]]>"),
    "cdata in a comment": ld(f"/*<![CDATA[*/{TEXT}/*]]>*/"),
    "html comment": ld(f"<!--\n{TEXT}\n-->"),
    "comments": ld("/* recipe */\n" + TEXT.replace('"name"', '/* n */ "name"')),
    "trailing commas": ld(TEXT.replace('"salt"]', '"salt",]')[:-1] + ",}"),
    "trailing comma and bad escape": ld(TEXT.replace("Wash.", "Wash\\'s.")[:-1] + ",}"),
    "entities for quotes": ld(TEXT.replace('"', "&quot;")),
    "line break in a string": ld(TEXT.replace("Wash.", "Wash\nit.")),
    "control character": ld(TEXT.replace("Wash.", "Wash\x03it.")),
    "several types": node(**{"@type": ["Recipe", "NewsArticle"]}),
    "type as address": node(**{"@type": "http://schema.org/Recipe"}),
    "no type": ld(json.dumps({key: value for key, value in NODE.items() if key != "@type"})),
    "other type": node(**{"@type": "HowTo"}),
    "type of script in capitals": ld(TEXT).replace("ld+json", "LD+JSON; charset=utf-8"),
    "data of an application": "<html><script id='__NEXT_DATA__' type='application/json'>"
    + json.dumps({"props": {"pageProps": {"recipe": NODE}}})
    + "</script></html>",
    "list of lists": node(recipeInstructions=[[step(one) for one in STEPS]]),
    "item list": node(
        recipeInstructions={"@type": "ItemList", "itemListElement": [step(one) for one in STEPS]}
    ),
    "list items": node(recipeInstructions=[{"@type": "ListItem", "item": step(one)} for one in STEPS]),
    "json-ld list": node(recipeInstructions={"@list": [step(one) for one in STEPS]}),
    "texts of a step": node(recipeInstructions=[{"@type": "HowToStep", "text": list(STEPS)}]),
    "directions": node(
        recipeInstructions=[{"@type": "HowToStep", "itemListElement": [{"text": one}]} for one in STEPS]
    ),
    "html": node(recipeInstructions="<ol><li>Wash.</li><li>Fry.</li><li>Eat.</li></ol>"),
    "html in entities": node(
        recipeInstructions="&lt;p&gt;Wash.&lt;/p&gt;&lt;p&gt;Fry.&lt;/p&gt;&lt;p&gt;Eat.&lt;/p&gt;"
    ),
    "one text": node(recipeInstructions="Wash.\r\nFry.\nEat."),
    "ingredients with commas": node(recipeIngredient="1 leek, 2 eggs, salt"),
    "ingredients with breaks": node(recipeIngredient="1 leek<br>2 eggs<br />salt"),
    "ingredients in one item": node(recipeIngredient=["1 leek\n2 eggs\nsalt"]),
    "ingredients in parts": node(
        recipeIngredient=[{"value": "1", "name": "leek"}, {"amount": 2, "name": "eggs"}, {"text": "salt"}]
    ),
    "microdata": f'<div itemscope itemtype="http://schema.org/Recipe">{NAME}<ul>{LINES}</ul>'
    f'<div itemprop="recipeInstructions">{BLOCK}</div></div>',
    "microdata of steps": f'<div itemscope itemtype="https://schema.org/Recipe">{NAME}{LINES}'
    + "".join(
        f'<p itemprop="recipeInstructions" itemscope itemtype="https://schema.org/HowToStep">'
        f'<i itemprop="text">{one}</i></p>'
        for one in STEPS
    )
    + "</div>",
    "old microdata": f'<div itemscope itemtype="http://data-vocabulary.org/Recipe">{NAME}'
    '<p itemprop="ingredient" itemscope itemtype="http://data-vocabulary.org/RecipeIngredient">'
    '<i itemprop="amount">1</i> <i itemprop="name">leek</i></p><p itemprop="ingredient">2 eggs</p>'
    f'<p itemprop="ingredient">salt</p><div itemprop="instructions">{BLOCK}</div></div>',
    "rdfa": '<div vocab="https://schema.org/" typeof="Recipe"><h1 property="name">Leek</h1>'
    + "".join(f'<i property="recipeIngredient">{line}</i>' for line in ING)
    + f'<div property="recipeInstructions">{BLOCK}</div></div>',
    "old rdfa": '<div typeof="v:Recipe"><h1 property="v:name">Leek</h1>'
    + "".join(f'<i property="v:ingredient">{line}</i>' for line in ING)
    + f'<div property="v:instructions">{BLOCK}</div></div>',
    "hRecipe": '<div class="hrecipe"><h1 class="fn">Leek</h1>'
    + "".join(f'<p class="ingredient">{line}</p>' for line in ING)
    + f'<div class="instructions">{BLOCK}</div></div>',
    "h-recipe": '<div class="h-recipe"><h1 class="p-name">Leek</h1>'
    + "".join(f'<p class="p-ingredient">{line}</p>' for line in ING)
    + f'<div class="e-instructions">{BLOCK}</div></div>',
    "a file of JSON": TEXT,
    "a mark before it": "\ufeff" + TEXT,
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_form_gives_the_same_recipe(found, page):
    (one,) = found(page, "page.html")
    assert (one.recipe.title, one.recipe.ingredients) == ("Leek", ING)
    assert len(one.recipe.instructions) == 3


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("PT1H30M", "1 h 30 min"),
        ("P0DT0H45M", "45 min"),
        ("P0Y0M0DT0H45M0.000S", "45 min"),
        ("pt45m", "45 min"),
        ("45 minutes", "45 minutes"),
        (45, "45 min"),
        (["PT5M"], "5 min"),
        ({"@type": "Duration", "maxValue": "PT5M"}, "5 min"),
        ("PT0S", None),
        (None, None),
    ],
)
def test_times(found, written, read):
    (one,) = found(node(cookTime=written), "page.html")
    assert one.recipe.times.get("cook") == read


def test_notes_of_paprika_are_the_cook_s_and_comments_are_not(found):
    page = (
        f'<div itemscope itemtype="http://schema.org/Recipe"><h1 itemprop="name">Leek</h1>{LINES}'
        '<div itemprop="comment" class="notes text"><p>Nice.</p></div>'
        '<div itemprop="comment">Eve: awful</div></div>'
    )
    (one,) = found(page)
    assert one.recipe.notes == "Nice."
    assert "awful" not in one.raw


def test_damaged_json_is_named(skipped):
    (one,) = skipped(ld(TEXT[:-20]))
    assert "JSON-LD is damaged" in one.reason


def test_one_recipe_nobody_can_read_does_not_cost_the_others(tmp_path):
    from savor.importing.base import Found, Skipped
    from savor.importing.finding import find

    odd = {**NODE, "name": "Odd", "url": {"a": []}, "recipeYield": [[["x"]]], "image": {"url": {"url": 3}}}
    path = tmp_path / "p.html"
    path.write_text(ld(json.dumps([odd, {**NODE, "name": "Other leek"}])))
    titles = [one.recipe.title if isinstance(one, Found) else one.source for one in find(path)]
    assert "Other leek" in titles
    assert any("Odd" in title for title in titles)
    assert not [one for one in find(path) if isinstance(one, Skipped) and "Odd" not in one.source]


def test_photos_in_the_folder_saved_with_a_page(tmp_path, photo):
    from savor.importing.finding import find

    page = tmp_path / "Leek.html"
    page.write_text(node(image=["https://x.org/up/leek.jpg?w=1200"]))
    (tmp_path / "Leek_files").mkdir()
    (tmp_path / "Leek_files" / "leek-300x200.jpg").write_bytes(photo())
    for source in (page, tmp_path):
        (one,) = find(source)
        assert one.photos[0].read() == photo()


def test_a_photo_in_the_page_itself(found, photo):
    import base64

    data = "data:image/jpeg;base64," + base64.b64encode(photo()).decode()
    (one,) = found(node(image={"@type": "ImageObject", "contentUrl": data}))
    assert one.photos[0].read() == photo()
    assert data not in one.raw


def test_the_pixel_that_a_page_shows_at_first_is_no_photo(found):
    pixel = "data:image/gif;base64,R0lGODlhAQABAAD/ACwAAAAAAQABAAACADs="
    (one,) = found(node(image=[pixel, "/up/leek.jpg"]))
    assert (one.photos, one.remarks) == ((), ("its photo is not in the source: /up/leek.jpg",))


def test_the_photo_that_a_page_shows_when_it_is_shared(found, zipped, photo):
    page = node().replace(
        "<title>", '<meta property="og:image" content="https://x.org/i/leek.jpg?a=1&amp;b"><title>'
    )
    (one,) = found(zipped({"Leek.html": page, "Leek_files/leek.jpg": photo()}))
    assert one.photos[0].read() == photo()


def test_two_forms_of_one_recipe_may_have_two_titles(found):
    marked = PAGES["microdata"].replace("Leek", "Leek: the best recipe of all")
    (one,) = found(node().replace("</html>", f"<body>{marked}</body></html>"))
    assert one.recipe.title == "Leek"
    other = marked.replace("1 leek", "1 turnip").replace("2 eggs", "3 eggs")
    two = found(node().replace("</html>", f"<body>{other}</body></html>"))
    assert [one.recipe.title for one in two] == ["Leek", "Leek: the best recipe of all"]


def test_a_section_that_is_one_text(found):
    section = {"@type": "HowToSection", "name": "Pot", "text": "Wash.\nFry."}
    (one,) = found(node(recipeInstructions=[section]))
    assert one.recipe.instructions == ("Pot", "Wash.", "Fry.")
