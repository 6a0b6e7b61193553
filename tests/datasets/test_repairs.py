import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.datasets import repairs
from savor.errors import UsageError
from savor.recipe import Recipe, Section


def repaired(name, line):
    return repairs.apply(name, Recipe("1", ingredients=(line,))).ingredients[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("12 cup brown lentils", "1/2 cup brown lentils"),
        ("13 Cup milk", "1/3 Cup milk"),
        ("14 teaspoon salt", "1/4 teaspoon salt"),
        ("18 tsp. nutmeg", "1/8 tsp. nutmeg"),
        ("23 tablespoon oil", "2/3 tablespoon oil"),
        ("34 tbsp oil", "3/4 tbsp oil"),
        ("1 12 cups flour", "1 1/2 cups flour"),
        ("2 34 teaspoons salt", "2 3/4 teaspoons salt"),
        ("12 ounces ham", "12 ounces ham"),
        ("112 g butter", "112 g butter"),
        ("112 cup", "112 cup"),
        ("12 cups water", "12 cups water"),
        ("12 tablespoons butter", "12 tablespoons butter"),
        ("about 12 cup water", "about 12 cup water"),
        ("12 cupcakes", "12 cupcakes"),
        ("24 cup", "24 cup"),
        ("12", "12"),
    ],
)
def test_slashes_v1(line, expected):
    assert repaired("slashes-v1", line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("12 ounces", "1/2 ounces"),
        ("112 g", "11/2 g"),
        ("a 34 cup", "a 3/4 cup"),
        ("12cup", "12cup"),
        ("18", "18"),
    ],
)
def test_slashes_ht_is_the_published_rule_with_its_faults(line, expected):
    assert repaired("slashes-ht", line) == expected


@given(
    st.from_regex(r"\A(\d )?\d{2,3} (cups?|tsp|tbsp|teaspoons?|g) [a-z ]{0,5}\Z"),
    st.sampled_from(repairs.names()),
)
def test_a_second_repair_changes_nothing_more(line, name):
    once = repaired(name, line)
    assert repaired(name, once) == once


def test_only_ingredient_lines_are_touched():
    recipe = Recipe("1", "12 cup cake", ("12 cup milk", Section("12 cup part")), ("12 cup step",))
    for name in repairs.names():
        result = repairs.apply(name, recipe)
        assert (result.title, result.instructions) == (recipe.title, recipe.instructions)
        assert result.ingredients == ("1/2 cup milk", "12 cup part")
        assert isinstance(result.ingredients[1], Section)


def test_unknown_names_are_refused():
    with pytest.raises(UsageError, match="slashes-v1"):
        repairs.apply("nonsense", Recipe("1"))
