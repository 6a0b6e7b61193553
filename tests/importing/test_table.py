"""Tables: Kaggle's sets, Plan to Eat, My Recipe Box and one's own."""

import pytest

from savor.importing.base import Found, Skipped
from savor.importing.finding import find
from savor.recipe import Section

KAGGLE = """,Title,Ingredients,Instructions,Image_Name,Cleaned_Ingredients
0,Miso chicken,"['1 chicken, cut up', '2 tsp. salt']","Pat dry.
Roast.",miso-chicken-123,"['chicken']"
1,Toast,"['bread']",Toast it.,#NAME?,"['bread']"
"""


def test_kaggle_with_an_image_column(found, zipped, photo):
    chicken, toast = found(zipped({"set.csv": KAGGLE, "Food Images/miso-chicken-123.jpg": photo()}))
    assert chicken.recipe.ingredients == ("1 chicken, cut up", "2 tsp. salt")
    assert chicken.recipe.instructions == ("Pat dry.", "Roast.")
    assert chicken.photos[0].name == "Food Images/miso-chicken-123.jpg"
    assert toast.remarks == ("its photo is not in the source: #NAME?",)


def test_food_com_in_both_forms(found):
    header = "name,id,minutes,tags,steps,ingredients\n"
    (one,) = found(header + "soup,7,95,\"['easy', 'winter']\",\"['boil', 'eat']\",\"['leek']\"\n")
    assert one.recipe.instructions == ("boil", "eat")
    assert one.recipe.tags == ("easy", "winter")
    assert dict(one.recipe.times) == {"total": "1 h 35 min"}
    header = "RecipeId,Name,RecipeIngredientQuantities,RecipeIngredientParts,RecipeInstructions,TotalTime\n"
    row = '8,Soup,"c(""2"", NA)","c(""leeks"", ""salt"")","c(""Boil."", ""Eat."")",PT1H\n'
    (one,) = found(header + row)
    assert one.recipe.ingredients == ("2 leeks", "salt")
    assert dict(one.recipe.times) == {"total": "1 h"}


PLAN_TO_EAT = """Title,Course,Cuisine,Main Ingredient,Description,Source,Url,Prep Time,Cook Time,Total Time,\
Servings,Yield,Ingredients,Directions,Tags,Rating,Photo Url,Private
Tacos,Dinner,Mexican,Beans,Crisp.,Eve,https://example.org/t,10,20,30,4,,"Filling:
1 can beans
Salsa:
2 tomatoes","Heat.

Fill.","quick, cheap",5,https://example.org/t.jpg,false
"""


def test_plan_to_eat(found):
    (one,) = found(PLAN_TO_EAT)
    recipe = one.recipe
    assert recipe.ingredients == ("Filling", "1 can beans", "Salsa", "2 tomatoes")
    assert isinstance(recipe.ingredients[2], Section)
    assert recipe.instructions == ("Heat.", "Fill.")
    assert (recipe.category, recipe.tags) == ("Dinner", ("quick", "cheap", "Mexican", "Beans"))
    assert dict(recipe.times) == {"prep": "10 min", "cook": "20 min", "total": "30 min"}
    assert (recipe.source, recipe.servings, recipe.notes) == (
        "https://example.org/t",
        "4",
        "Crisp.\n\nSource: Eve",
    )
    assert "not downloaded" in one.remarks[0]


RECIPE_BOX = """title,description,preparationTime,cookingTime,inactiveTime,totalTime,quantity,\
ingredients,instructions,url,notes,originalPicture,categories,tags
Curry,Hot.,15,30,60,105,4 servings,"1 onion
2 chillies","Fry.
Simmer.",https://example.org/c,Mild is fine.,curry.jpg,Main;Indian,spicy
"""


def test_my_recipe_box(found, zipped, photo):
    (one,) = found(zipped({"box.csv": RECIPE_BOX, "pictures/curry.jpg": photo()}))
    assert one.recipe.ingredients == ("1 onion", "2 chillies")
    assert dict(one.recipe.times) == {
        "prep": "15 min",
        "cook": "30 min",
        "inactive": "1 h",
        "total": "1 h 45 min",
    }
    assert (one.recipe.category, one.recipe.tags) == ("Main", ("Indian", "spicy"))
    assert one.recipe.notes == "Hot.\n\nMild is fine."
    assert len(one.photos) == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_separators_and_encodings(found, delimiter, encoding):
    rows = [["Name", "Ingredients", "Method"], ["Crème brûlée", "3 eggs | 2 dl cream", "Bake."]]
    text = "".join(delimiter.join(row) + "\r\n" for row in rows)
    (one,) = found(text.encode(encoding))
    assert one.recipe.title == "Crème brûlée"
    assert one.recipe.instructions == ("Bake.",)


def test_bad_rows_are_named_and_the_others_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "title,ingredients,method\nA,1 egg,Boil.\nB,1 egg,Boil, then eat.\n,,\nD,2 eggs\nE,3 eggs,Fry.\n"
    )
    results = list(find(path))
    assert [one.recipe.title for one in results if isinstance(one, Found)] == ["A", "D", "E"]
    (bad,) = [one for one in results if isinstance(one, Skipped)]
    assert bad.source == "a.csv row 2 ('B')"
    assert "separator" in bad.reason


def test_the_raw_source_of_a_row_is_that_row(found):
    one, two = found("title,ingredients,method,owner\nA,1 egg,Boil.,eve\nB,2 eggs,Fry.,bob\n")
    assert "Fry." not in one.raw
    assert "eve" not in one.raw
    assert "2 eggs" in two.raw


def test_headings_of_plan_to_eat(found):
    cell = ", Heading\n2 cans beans, drained\n, Other heading\n3 tomatoes\n\n"
    (one,) = found(
        f'Title,Servings,Yield,Ingredients,Directions,Photo Url\nTacos,7,1 pan,"{cell}","Heat.\nFill.",\n'
    )
    assert one.recipe.ingredients == ("Heading", "2 cans beans, drained", "Other heading", "3 tomatoes")
    assert [type(line) is Section for line in one.recipe.ingredients] == [True, False, True, False]
    assert (one.recipe.servings, one.remarks) == ("7, 1 pan", ())


def test_a_comma_too_many_or_too_few_at_the_end_of_a_row(found):
    several = found("title,ingredients,instructions,\nA,1 egg,Boil.,\nB,2 eggs,Boil.\n")
    assert [(one.recipe.title, one.remarks) for one in several] == [("A", ()), ("B", ())]
    (one,) = found("title,ingredients,instructions\nA,1 egg,Boil.,,\n")
    assert one.recipe.instructions == ("Boil.",)


def test_a_quotation_mark_that_is_never_closed_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('title,ingredients,instructions\nA,1 egg,Boil.\nB,"1 egg,Boil.\nC,1 egg,Fry.\n')
    found_, bad = [one for one in find(path) if isinstance(one, Found)], list(find(path))[-1]
    assert [one.recipe.title for one in found_] == ["A", "B"]
    assert isinstance(bad, Skipped)
    assert "never closed" in bad.reason


@pytest.mark.parametrize(
    ("cell", "lines"),
    [
        ("['1 egg', '2 leeks']", ("1 egg", "2 leeks")),
        ("['1 egg' '2 leeks']", ("1 egg", "2 leeks")),
        ("1 egg\\n2 leeks", ("1 egg", "2 leeks")),
        ("1 egg; 2 leeks; salt", ("1 egg", "2 leeks", "salt")),
        ("1 egg|2 leeks|salt", ("1 egg", "2 leeks", "salt")),
        ('[{""name"": ""egg"", ""amount"": 1}]', ("1 egg",)),
        ("NA", ()),
    ],
)
def test_lists_as_programs_write_them(found, cell, lines):
    (one,) = found(f'title,ingredients,instructions,image\nA,"{cell}",Boil.,character(0)\n')
    assert (one.recipe.ingredients, one.remarks) == (lines, ())


def test_a_line_that_excel_adds_and_several_photos_in_a_cell(found, zipped, photo):
    table = "sep=;\nname;ingredients;method;image;video\nTea;leaves;Brew.;a.jpg, b.jpg;https://x.org/v\n"
    (one,) = found(zipped({"t.csv": table, "p/a.jpg": photo("red"), "p/b.jpg": photo("blue")}))
    assert [picture.name for picture in one.photos] == ["p/a.jpg", "p/b.jpg"]
    assert one.recipe.notes == "Video: https://x.org/v"
