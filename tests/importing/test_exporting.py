"""JSON-LD out, and in again without loss."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.datasets import open_dataset
from savor.importing.exporting import export, node_from_recipe
from savor.importing.finding import find
from savor.importing.schema_org import recipe_from_node
from savor.importing.writing import write
from savor.recipe import Pair, Recipe, Section

FULL = Recipe(
    "tea-1",
    "Tea & <b>milk</b> &amp; more",
    ("loose leaf", Section("For later"), "# ice", "## no heading", "1 < 2 cups"),
    ("First.", Section("Brew, hot"), "Pour.", "Wait.", Section("Serve"), "Drink &lt; 5 min."),
    category="Drinks, hot",
    source="Grandma's book",
    servings="2 cups",
    times={"prep": "5 min", "cook": "overnight", "total": "10 h 5 min", "inactive": "10 h"},
    tags=("quick, easy", "hot"),
    notes="One.\n\nTwo & three.",
)


def test_a_recipe_comes_back_as_it_was():
    back = recipe_from_node(json.loads(json.dumps(node_from_recipe(FULL))))
    assert back == FULL
    assert [type(line) for line in back.instructions] == [type(line) for line in FULL.instructions]
    assert [type(line) for line in back.ingredients] == [type(line) for line in FULL.ingredients]


def test_it_is_what_other_applications_read():
    from recipe_scrapers import scrape_html

    node = {"@context": "https://schema.org", **node_from_recipe(FULL)}
    page = f'<html><script type="application/ld+json">{json.dumps(node)}</script></html>'
    read = scrape_html(page, org_url="https://example.org", supported_only=False)
    assert read.total_time() == 605
    assert read.ingredients()[0] == "loose leaf"
    assert "Pour." in read.instructions_list()


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
LINE = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)


def settled(recipe: Recipe) -> Recipe:
    """Return what an import makes of a recipe; from there on nothing may change."""
    return recipe_from_node(node_from_recipe(recipe))


@given(
    title=LINE,
    ingredients=st.lists(LINE | LINE.map(Section), max_size=4),
    steps=st.lists(LINE | LINE.map(Section), max_size=4),
    servings=st.none() | LINE,
    times=st.dictionaries(st.sampled_from(["prep", "cook", "total", "inactive"]), LINE),
    tags=st.lists(LINE, max_size=3),
    category=st.none() | LINE,
    source=st.none() | LINE | st.just("https://example.org/a?b=1&c=%20"),
    notes=st.none() | st.lists(LINE, max_size=3).map("\n".join),
)
def test_nothing_is_lost_on_the_second_way_round(title, ingredients, steps, tags, **more):
    recipe = Recipe("1", title, tuple(ingredients), tuple(steps), tags=tuple(tags), **more)
    once = settled(recipe)
    assert settled(once) == once
    assert once.id == "1"


@pytest.mark.parametrize("line", [":", "::", "For the sauce:", "# salt", "##", "**:**", "- 1 egg"])
def test_an_only_ingredient_is_a_line_whatever_it_looks_like(line):
    recipe = Recipe("1", "Tea", (line,))
    assert settled(recipe) == recipe
    assert not isinstance(settled(recipe).ingredients[0], Section)


def test_a_folder_goes_out_and_comes_back_with_its_photos(tmp_path, photo, zipped):
    source = tmp_path / "a.zip"
    entry = {"name": "Tea", "working_time": 5, "servings": 2, "keywords": [{"name": "a, b"}]}
    steps = [
        {"name": "Top", "instruction": "Brew.\n\nDrink.", "ingredients": []},
        {"name": "", "instruction": "Wash up."},
    ]
    source.write_bytes(zipped({"1/recipe.json": {**entry, "steps": steps}, "1/image.jpg": photo(gps=True)}))
    write(find(source), tmp_path / "one")
    count = export(open_dataset(tmp_path / "one").pairs(), tmp_path / "out.jsonld")
    report = write(find(tmp_path / "out.jsonld"), tmp_path / "two")
    assert count == report.counts["read"] == 1

    def everything(folder):
        return [(pair.recipe, [one.read() for one in pair.photos]) for pair in open_dataset(folder).pairs()]

    assert everything(tmp_path / "two") == everything(tmp_path / "one")


def test_without_photos_their_paths_are_named(tmp_path, toy_folder):
    pairs = list(open_dataset(toy_folder).pairs())[:3]
    assert export(pairs, tmp_path / "out.jsonld", photos=False) == 3
    nodes = json.loads((tmp_path / "out.jsonld").read_text())["@graph"]
    assert [node["image"] for node in nodes] == [[photo.id for photo in pair.photos] for pair in pairs]


def test_a_failed_export_leaves_the_old_file(tmp_path):
    file = tmp_path / "out.jsonld"
    file.write_text("old")

    def pairs():
        yield Pair(FULL)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(pairs(), file)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonld"]
