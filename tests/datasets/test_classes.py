import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.datasets.classes import classify, derive_classes

TITLES = (
    ["Vanilla ice cream"] * 6
    + ["Carrot cake", "Carrot Cake with nuts", "CARROT CAKE!", "Best carrot cake", "My carrot cake"]
    + ["Potato soup"] * 4
    + ["Soup with bread"] * 9
)


def test_frequent_bigrams_without_stop_words_the_most_frequent_first():
    assert derive_classes(TITLES) == ("background", "ice cream", "vanilla ice", "carrot cake")
    assert derive_classes(TITLES, min_count=4)[-1] == "potato soup"
    assert derive_classes(TITLES, most=1) == ("background", "ice cream")
    assert derive_classes([]) == ("background",)


def test_a_title_counts_once_however_often_it_says_so():
    assert derive_classes(["soup pot soup pot"] * 4) == ("background",)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Carrot cake and ice cream", 1),
        ("CARROT-CAKE", 2),
        ("Rice cream", 0),
        ("ice", 0),
        ("", 0),
        ("background", 0),
    ],
)
def test_first_match_wins(title, expected):
    assert classify(title, ("background", "ice cream", "carrot cake")) == expected


@given(
    st.lists(
        st.lists(st.sampled_from(["ice", "cream", "plum", "tart", "with"]), max_size=5).map(" ".join),
        max_size=30,
    )
)
def test_every_class_is_found_in_as_many_titles_as_asked_for(titles):
    classes = derive_classes(titles, min_count=3)
    for name in classes[1:]:
        assert sum(name in title for title in titles) >= 3
    for title in titles:
        first = next((k for k, name in enumerate(classes) if k and name in title), 0)
        assert classify(title, classes) == first
