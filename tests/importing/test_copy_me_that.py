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


REAL = """<!DOCTYPE html><head><meta name="copymethat_class_id_version" content="2"></head><html><body>
<div class="recipe"><div id="name">Rocket</div><div id="link"><a id="original_link" href="https://x.org/r">x</a></div>
<div id="categories"><span class="recipeCategory">Tags:</span><span class="recipeCategory">Salad, </span>
<span class="recipeCategory">Fast</span></div><div id="servings">Servings:<a id="recipeYield">4</a></div>
<div id="recipeIngredient_header">Ingredients</div><ul id="recipeIngredients">
<div class="recipeIngredient recipeIngredient_subheader">Leaves:</div>
<li class="recipeIngredient">1 lettuce</li>
<div class="recipeIngredient_spacer"></div>
<div class="recipeIngredient recipeIngredient_subheader">Top:</div>
<li class="recipeIngredient">2 tbsp oil</li></ul><div id="recipeInstructions_header">Steps</div>
<ol id="recipeInstructions"><div class="instruction_subheader">Now</div>
<li class="instruction" value="1">Wash.</li>
<li class="instruction" value="2">Mix.</li></ol></div>
<div class="recipe"><div id="name">Only a photo</div><img class="recipeImage" src="images/b.jpg"></div>
</body></html>"""


def test_sub_headings_between_the_items_and_the_label_before_the_tags(found, zipped, photo):
    rocket, other = found(zipped({"recipes.html": REAL, "images/b.jpg": photo()}))
    assert rocket.recipe.ingredients == ("Leaves", "1 lettuce", "Top", "2 tbsp oil")
    assert [type(line) for line in rocket.recipe.ingredients] == [Section, str, Section, str]
    assert rocket.recipe.instructions == ("Now", "Wash.", "Mix.")
    assert (rocket.recipe.category, rocket.recipe.tags, rocket.recipe.servings) == ("Salad", ("Fast",), "4")
    assert (other.recipe.title, len(other.photos)) == ("Only a photo", 1)
