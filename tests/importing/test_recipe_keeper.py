"""Recipe Keeper's page; the layout is from public descriptions."""

import pytest

PAGE = """<html><body><div class="recipe-details"><table><tr><td>
<meta content="id-1" itemprop="recipeId"><meta content="True" itemprop="recipeIsFavourite">
<h2 itemprop="name">Leek pie</h2><div>Courses: <span itemprop="recipeCourse">Dinner</span></div>
<div>Categories: <span>Pie</span><meta content="Pie" itemprop="recipeCategory"></div>
<div>Source: <a href="https://example.org/p"><span itemprop="recipeSource">example.org</span></a></div>
<div>Serving size: <span itemprop="recipeYield">4</span></div>
<meta content="PT15M" itemprop="prepTime"><meta content="PT0S" itemprop="cookTime"></td>
<td><img class="recipe-photo" src="images/a_0.jpg"/></td></tr></table>
<div class="recipe-ingredients" itemprop="recipeIngredients"><p>Filling:</p><p>2 leeks</p><p></p>
<p>salt &amp; pepper</p></div>
<div itemprop="recipeDirections"><p>1. Wash.</p><p>2. Bake.</p></div>
<div class="recipe-notes" itemprop="recipeNotes"><p>Eat soon.</p><p>Freezes.</p></div>
<div class="recipe-photos-div"><img class="recipe-photos" src="images/a_0.jpg"/>
<img class="recipe-photos" src="images/a_1.jpg"/></div></div>
<div class="recipe-details"><h2 itemprop="name">Toast</h2><div itemprop="recipeIngredients"><p>bread</p></div>
<div itemprop="recipeDirections"></div></div></body></html>"""


def test_all_recipes_of_a_page_with_their_photos(found, zipped, photo):
    images = {"images/a_0.jpg": photo("red"), "images/a_1.jpg": photo("blue")}
    pie, toast = found(zipped({"recipes.html": PAGE, **images}))
    assert pie.recipe.title == "Leek pie"
    assert pie.recipe.ingredients == ("Filling", "2 leeks", "salt & pepper")
    assert pie.recipe.instructions == ("Wash.", "Bake.")
    assert (pie.recipe.servings, dict(pie.recipe.times)) == ("4", {"prep": "15 min"})
    assert (pie.recipe.category, pie.recipe.tags) == ("Dinner", ("Pie",))
    assert (pie.recipe.source, pie.recipe.notes) == ("https://example.org/p", "Eat soon.\nFreezes.")
    assert [one.read() for one in pie.photos] == list(images.values())
    assert (toast.recipe.title, toast.recipe.ingredients, toast.remarks) == ("Toast", ("bread",), ())


@pytest.mark.parametrize("image", ["images/a_0.jpg"])
def test_a_photo_that_is_not_there_is_named(found, image):
    assert found(PAGE)[0].remarks == (f"its photo is not in the source: {image}",)
