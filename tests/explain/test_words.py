"""Words and ingredients: what is named, what says nothing, where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor import Recipe
from savor.explain import ingredients, words_of
from savor.recipe import Section


def words(recipe: Recipe, part: str) -> list[str]:
    """The words of a part, ingredients in brackets."""
    found = [word for word in words_of(recipe) if word.part == part]
    return [f"[{word.text}]" if word.kind == "ingredient" else word.text for word in found]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("1 (14-oz) can tomatoes, drained", ["tomato"]),
        ("2 cups finely chopped red onion", ["red onion"]),
        ("boneless, skinless chicken thighs", ["chicken thigh"]),
        ("1 1/2 pounds skin-on, bone-in chicken breasts", ["chicken breast"]),
        ("1 cup plus 2 tablespoons all-purpose flour", ["all-purpose flour"]),
        ("salt and freshly ground black pepper", ["salt", "black pepper"]),
        ("1/2 cup (1 stick) unsalted butter, room temperature", ["butter"]),
        ("2 tablespoons extra-virgin olive oil plus more for drizzling", ["olive oil"]),
        ("butter or lard", ["butter", "lard"]),
        ("2 garlic cloves, minced", ["garlic"]),
        ("1 teaspoon cloves", ["clove"]),
        ("oil for frying", ["oil"]),
        ("Juice of 1 lemon", ["juice", "lemon"]),
        ("½ cup half-and-half", ["half-and-half"]),
        ("1 1/2 cups raw [almonds] cashews", ["cashew"]),
        ("200 g Weizenmehl", ["weizenmehl"]),
        ("3", []),
        ("2 cups, chopped", []),
        ("to taste", []),
    ],
)
def test_an_ingredient_line_names(line: str, names: list[str]) -> None:
    assert list(ingredients(Recipe("1", ingredients=(line,)))) == names


def test_an_ingredient_is_one_word_wherever_it_is_mentioned() -> None:
    recipe = Recipe(
        "1",
        "Olive oil cake with cherry tomatoes",
        ("3 tbsp extra-virgin olive oil", "200 g cherry tomatoes, halved", Section("To serve"), "red wine"),
        ("Heat the oil.", "Add the tomatoes and 1 tomato; pour in red wine, or red grape juice."),
    )
    assert words(recipe, "title") == ["[Olive oil]", "cake", "[cherry tomatoes]"]
    assert words(recipe, "ingredients") == [
        "extra-virgin",
        "[olive oil]",
        "[cherry tomatoes]",
        "halved",
        "[red wine]",
    ]
    assert words(recipe, "instructions") == [
        "Heat",
        "[oil]",
        "Add",
        "[tomatoes]",
        "[tomato]",
        "pour",
        "[red wine]",
        "red",
        "grape",
        "juice",
    ]


def test_quantities_units_and_stop_words_are_left_out() -> None:
    recipe = Recipe("1", "The best of 2 soups", ("2 cups of it",), ("Cook 10 minutes at 180°C, and serve!",))
    assert [word.text for word in words_of(recipe)] == ["best", "soups", "Cook", "serve"]


def test_a_phrase_ends_where_something_stands_between() -> None:
    recipe = Recipe("1", "Olive, oil and olive\toil", ("olive oil",))
    assert words(recipe, "title") == ["[Olive]", "[oil]", "[olive\toil]"]


def test_lines_are_counted_as_they_are_encoded() -> None:
    recipe = Recipe("1", "", ("salt", "  ", Section("Sauce"), "pepper"), ("", "Stir"))
    assert [(word.part, word.line) for word in words_of(recipe)] == [
        ("ingredients", 0),
        ("ingredients", 1),
        ("instructions", 0),
    ]


def test_letters_of_any_script_are_words() -> None:
    assert [word.text for word in words_of(Recipe("1", "Crème brûlée, борщ, 麻婆豆腐"))] == [
        "Crème",
        "brûlée",
        "борщ",
        "麻婆豆腐",
    ]
    assert words_of(Recipe("1")) == ()


@given(st.text(), st.lists(st.text(max_size=40), max_size=4))
def test_words_lie_in_their_lines_one_after_the_other(title: str, lines: list[str]) -> None:
    recipe = Recipe("1", title, tuple(lines), tuple(lines))
    ends: dict[tuple[str, int], int] = {}
    for word in words_of(recipe):
        line = recipe.lines(word.part)[word.line]
        assert line[word.start : word.end] == word.text != ""
        assert word.start >= ends.get((word.part, word.line), 0)
        ends[word.part, word.line] = word.end
