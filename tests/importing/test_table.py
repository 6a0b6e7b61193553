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
