"""Copy Me That's pages; the layout is from public descriptions."""

from savor.recipe import Section


def entry(title, image="images/a.jpg"):
    return f"""<div class="recipe"><div id="name">{title}</div>
<img class="recipeImage" src="{image}"><a id="original_link" href="https://example.org/{title}">example.org</a>
<span class="recipeCategory">Salad</span><span class="recipeCategory">Fast</span>
<a id="recipeYield">4 servings</a><span id="prepTime">PT10M</span><div id="description">Green.</div>
<ul id="recipeIngredients"><li class="recipeIngredient">1 lettuce</li>
<li class="recipeIngredient_spacer"></li><li class="recipeIngredient_subheader">Dressing:</li>
<li class="recipeIngredient">2 tbsp oil &amp; salt</li></ul>
<ol id="recipeInstructions"><li class="instruction">Wash.</li>
<li class="instruction_subheader">Dressing</li><li class="instruction">Mix.</li></ol>
<ul id="recipeNotes"><li class="recipeNote">Eat soon.</li></ul></div>"""


def test_many_recipes_in_one_page_with_a_folder_of_images(found, zipped, photo):
    page = f"<html><body>{entry('Rocket')}{entry('Cress', 'images/b.jpg')}</body></html>"
    several = found(
        zipped({"recipes.html": page, "images/a.jpg": photo("red"), "images/b.jpg": photo("blue")})
    )
    assert [one.recipe.title for one in several] == ["Rocket", "Cress"]
    assert [one.photos[0].read() for one in several] == [photo("red"), photo("blue")]
    recipe = several[0].recipe
    assert recipe.ingredients == ("1 lettuce", "Dressing", "2 tbsp oil & salt")
    assert isinstance(recipe.ingredients[1], Section)
    assert recipe.instructions == ("Wash.", "Dressing", "Mix.")
    assert (recipe.servings, recipe.category, recipe.tags) == ("4 servings", "Salad", ("Fast",))
    assert recipe.source == "https://example.org/Rocket"
    assert dict(recipe.times) == {"prep": "10 min"}
    assert recipe.notes == "Green.\n\nEat soon."


def test_one_recipe_a_page(found, zipped):
    page = "<html><head><title>x</title></head><body>" + entry("Rocket").removeprefix('<div class="recipe">')
    (one,) = found(zipped({"Rocket.html": page.removesuffix("</div>")}))
    assert one.recipe.title == "Rocket"
    assert one.remarks == ("its photo is not in the source: images/a.jpg",)
