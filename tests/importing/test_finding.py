"""Formats told by content, and users' complaints about other importers, each as a test.

The complaints: "Imported 0 recipes", ingredients and images lost without a word, a zip or JSON that is only
taken under the right name, an error that does not name the recipe, exports of another version.
"""

import gzip
import json

import pytest

from savor.errors import DataError
from savor.importing.base import Found, Skipped
from savor.importing.finding import decoded, find
from savor.importing.writing import write

PLAIN = {"title": "Tea", "ingredients": ["leaves", {"section": "Cold"}, "ice"], "instructions": ["Brew."]}
NODE = {"@type": "Recipe", "name": "Tea", "recipeIngredient": ["leaves"], "recipeInstructions": ["Brew."]}
TANDOOR = {
    "name": "Tea",
    "working_time": 5,
    "steps": [{"name": "", "instruction": "Brew.", "ingredients": []}],
}
MEALIE = {
    "name": "Tea",
    "slug": "tea",
    "recipeIngredient": ["leaves"],
    "recipeInstructions": [{"text": "Brew."}],
}
PAPRIKA = {"name": "Tea", "uid": "1", "ingredients": "leaves", "directions": "Brew."}
MELA = {"title": "Tea", "id": "1", "ingredients": "leaves", "instructions": "Brew."}
MARKDOWN = "---\ntitle: Tea\ningredients: [leaves]\ndirections: [Brew.]\n---\n"
COOKLANG = ">> title: Tea\nBrew @leaves{}.\n"
TABLE = "title,ingredients,instructions\nTea,leaves,Brew.\n"
PAGE = f'<script type="application/ld+json">{json.dumps(NODE)}</script>'
ALL = {
    "plain": json.dumps(PLAIN),
    "schema": json.dumps(NODE),
    "tandoor": json.dumps(TANDOOR),
    "mealie": json.dumps(MEALIE),
    "paprika": gzip.compress(json.dumps(PAPRIKA).encode()),
    "mela": json.dumps(MELA),
    "markdown": MARKDOWN,
    "cooklang": COOKLANG,
    "table": TABLE,
    "page": PAGE,
}


@pytest.mark.parametrize("content", ALL.values(), ids=ALL)
@pytest.mark.parametrize("name", ["export.zip", "export.json", "x"])
def test_the_name_says_nothing(found, content, name):
    (one,) = found(content, name)
    assert one.recipe.title == "Tea"
    assert one.recipe.instructions[0].startswith("Brew")


@pytest.mark.parametrize("content", ALL.values(), ids=ALL)
def test_zipped_and_zipped_again(found, zipped, content):
    (one,) = found(zipped({"inner.json": zipped({"some/file.dat": content})}), "export.json")
    assert one.source.removesuffix(" row 1") == "export.json/inner.json/some/file.dat"


def test_all_formats_in_one_folder(tmp_path, zipped):
    for name, content in ALL.items():
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
    (tmp_path / "all.zip").write_bytes(zipped(ALL))
    assert sum(isinstance(one, Found) for one in find(tmp_path)) == 2 * len(ALL)


@pytest.mark.parametrize(
    "form", [[PLAIN, NODE], {"recipes": [PLAIN, NODE]}, json.dumps(PLAIN) + "\n" + json.dumps(NODE)]
)
def test_several_recipes_in_one_json(found, form):
    several = found(form)
    assert [one.recipe.title for one in several] == ["Tea", "Tea"]
    assert [one.source for one in several] == ["source recipe 1", "source recipe 2"]


def test_plain_json_keeps_its_sections(found):
    assert found(PLAIN)[0].recipe.ingredients == ("leaves", "Cold", "ice")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"SQLite format 3\0" + bytes(100), "database"),
        (b"%PDF-1.7", "PDF"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"Rar!\x1a\x07", "RAR"),
        (bytes(range(256)), "neither text"),
        (b'{"title": ', "begins like JSON"),
        (b"[1, 2]", "without a recipe"),
        (b"{}", "without a recipe"),
        (b"just words", "no recipe is marked"),
        (b"{\\rtf1 x}", "word processor"),
        (b"<?xml version='1.0'?><recipes/>", "XML of an unknown form"),
        (b"title,ingredients,steps\n", "after its first row"),
        (b"\xff\xd8\xff\xe0 a photo alone", "no file in it can hold a recipe"),
        (b" \n", "blank"),
        (b"", "it is empty"),
        (b"<html", "no recipe as JSON-LD"),
        (b"PK\x03\x04 cut off", "a damaged zip"),
        (b"<html><body>Hello", "no recipe as JSON-LD"),
    ],
)
def test_what_is_none_is_named_with_a_reason(skipped, content, reason):
    (one,) = skipped(content, "thing")
    assert one.source == "thing"
    assert reason in one.reason


def test_one_bad_recipe_does_not_stop_the_others_and_is_named(tmp_path, zipped):
    broken = {"name": "Broken pie", "steps": [{"instruction": "x", "ingredients": 7}], "working_time": 1}
    path = tmp_path / "export.zip"
    path.write_bytes(zipped({"1/recipe.json": broken, "2/recipe.json": TANDOOR}))
    bad, good = find(path)
    assert isinstance(bad, Skipped)
    assert "Broken pie" in bad.source
    assert isinstance(good, Found)


def test_ingredients_that_are_lost_are_said(tmp_path, zipped):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**NODE, "recipeIngredient": []}))
    (one,) = write(find(path), tmp_path / "out").recipes
    assert (one.status, one.reason) == ("read", "no ingredients are marked in it")


def test_a_broken_photo_never_costs_the_recipe(tmp_path, zipped):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"1/recipe.json": TANDOOR, "1/image.jpg": b"\xff\xd8\xff\xe0 cut off"}))
    (one,) = write(find(path), tmp_path / "out").recipes
    assert one.status == "read"
    assert "1/image.jpg is left out" in one.reason


def test_the_folder_that_is_written_is_not_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(PLAIN))
    out = tmp_path / "out"
    write(find(tmp_path, exclude=out), out)
    assert write(find(tmp_path, exclude=out), out).counts["unchanged"] == 1
    with pytest.raises(DataError, match="another folder"):
        list(find(out, exclude=out))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_decoding(encoding):
    assert decoded("½ crème".encode(encoding)) == "½ crème"


def test_a_word_document_is_named(skipped, zipped):
    (one,) = skipped(zipped({"word/document.xml": "<w/>", "[Content_Types].xml": "<t/>"}))
    assert "word processor" in one.reason


@pytest.mark.parametrize(
    "name", ["recipe.js", "recipe.css", "recipe.svg", "recipe.lock", "recipe.map", "page.download"]
)
def test_a_recipe_under_the_name_of_a_part_of_a_page(tmp_path, name):
    (tmp_path / name).write_text(json.dumps(NODE))
    (tmp_path / "style.css").write_text("@media print{a{b:c}} @font{x}")
    (tmp_path / "app.js").write_text("var a = {}; // @x{y}")
    (one,) = find(tmp_path)
    assert one.recipe.title == "Tea"


def test_a_text_that_begins_like_a_bitmap(found):
    assert found("BMT\n\nIngredients:\nbacon\n\nMethod:\nFry.\n")[0].recipe.title == "BMT"
