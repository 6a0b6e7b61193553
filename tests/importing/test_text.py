"""Lines of recipes from the text that applications store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.importing import text
from savor.recipe import Section


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("1 &frac12; cups&nbsp;flour", "1 ½ cups flour"),
        ("&amp;frac12; cup", "½ cup"),
        ("<b>2</b> eggs", "2 eggs"),
        ("fry at < 80 C, then > 100 C", "fry at < 80 C, then > 100 C"),
        ("fish&chips &copy now", "fish&chips &copy now"),
        ("<script>alert(1)</script>salt", "salt"),
        (None, ""),
        (True, ""),
        (4, "4"),
    ],
)
def test_one_line(stored, shown):
    assert text.clean(stored) == shown


@pytest.mark.parametrize(
    "stored",
    [
        "1. Mix.\n2. Bake.",
        "1. Mix. 2. Bake.",
        "Step 1: Mix.\nStep 2: Bake.",
        "Step 1\nMix.\nStep 2\nBake.",
        "<ol><li>Mix.</li><li>Bake.</li></ol>",
        "<p>Mix.</p><p>Bake.</p>",
        "Mix.<br/><br/>Bake.",
        "- Mix.\n- Bake.",
        "Mix.\r\n\r\nBake.",
    ],
)
def test_a_block_becomes_steps(stored):
    assert text.steps(stored) == ["Mix.", "Bake."]


def test_numbers_that_count_nothing_stay():
    assert text.steps("2. of May is the day.") == ["2. of May is the day."]
    assert text.steps("1.5 l of water, then 2. eggs") == ["1.5 l of water, then 2. eggs"]


def test_sections_begin_their_numbers_anew():
    steps = text.steps("# Dough\n1. Mix.\n2. Rest.\n# Filling\n1. Chop.")
    assert steps == ["Dough", "Mix.", "Rest.", "Filling", "Chop."]
    assert [type(step) for step in steps] == [Section, str, str, Section, str]


def test_steps_that_are_stored_one_by_one_are_not_taken_apart():
    assert text.step_list(["Mix:\nflour\neggs", "Bake."]) == ["Mix:\nflour\neggs", "Bake."]
    assert text.step_list(["1. Mix.\n2. Bake."]) == ["Mix.", "Bake."]


@pytest.mark.parametrize(
    "heading", ["For the sauce:", "## For the sauce", "**For the sauce**", "**For the sauce:**"]
)
def test_headings_of_ingredients(heading):
    lines = text.ingredient_lines(f"- 1 egg\n{heading}\n* 2 tomatoes\n[ ] salt")
    assert lines == ["1 egg", "For the sauce", "2 tomatoes", "salt"]
    assert [line for line in lines if isinstance(line, Section)] == ["For the sauce"]


def test_a_quantity_is_no_heading():
    assert not isinstance(text.headed("2 eggs:", colon=True), Section)


def test_ingredients_in_one_line():
    assert text.one_line_list("1 onion, peeled, chopped") == ["1 onion, peeled, chopped"]
    assert text.one_line_list("1 pod, 50 g sugar, salt") == ["1 pod", "50 g sugar", "salt"]


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("PT1H30M", "1 h 30 min"),
        ("PT90M", "1 h 30 min"),
        ("P1DT2H", "26 h"),
        ("PT00H20M", "20 min"),
        ("PT45S", "45 s"),
        ("P0D", None),
        ("P1M", "P1M"),
        ("1 Day", "1 Day"),
        (0, None),
        ("", None),
        (7.5, "7 min 30 s"),
    ],
)
def test_times(stored, words):
    assert text.duration(stored) == words


@given(st.integers(1, 10**6))
def test_times_come_back_from_iso(seconds):
    words = text.duration(seconds / 60)
    assert text.duration(text.iso_duration(words)) == words


@given(st.text())
def test_reading_twice_changes_nothing_unless_there_is_markup(stored):
    once = text.block(stored)
    if not any(mark in once for mark in "&<"):
        assert text.block(once) == once


def test_tags_come_once_and_keep_their_order():
    assert text.names("b, A;c", ["a", {"name": "d, e"}]) == ["b", "A", "c", "d, e"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5, 0, True, None, [], {}])
def test_what_is_no_time_and_no_amount(value):
    assert text.duration(value) is None
    assert text.number(value) in ("", "-5")


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ("1 egg", "1 egg"),
        ({"quantity": 2, "unit": "dl", "food": {"name": "milk"}, "note": "warm"}, "2 dl milk, warm"),
        ({"requiredQuantity": {"value": 2, "unitText": "dl"}, "name": "milk"}, "2 dl milk"),
        ({"text": "salt"}, "salt"),
        ({"note": "to taste"}, "to taste"),
        ({"x": 1}, ""),
        (None, ""),
    ],
)
def test_ingredients_in_parts(item, line):
    assert text.ingredient(item) == line
