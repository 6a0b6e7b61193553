"""What an application gets: pages, groups of the same dish, conditions and what is said of them, reasons."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from savor import Recipe, Searcher
from savor.answering import WINDOW, page_of_groups
from savor.answers import Answer, Found, Hit
from savor.diets import NO_ADVICE
from savor.errors import UsageError
from savor.index import EVERYTHING, Card, Filter, Match
from savor.index.filters import facts_of
from savor.queries import where_of

WORDS = ("lentils", "spinach", "butter", "chickpeas", "salmon", "rice")


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


class Kitchen:
    """An index in memory."""

    def __init__(self, path, recipes, photos, hubs=0, reranks=0):
        self.path = self.run_folder = path
        self.manifest, self.version, self.asked = {"reranks": reranks}, "1", 0
        self.texts = {recipe.id: recipe for recipe, _ in recipes}
        self.rows = {(recipe.id, None): vector for recipe, vector in recipes}
        self.rows |= {(owner, name): vector for owner, name, vector in photos}
        (path / "config.json").write_text(json.dumps({"options": {"hubs": hubs}}))

    def _passing(self, find, where):
        keys = sorted(key for key in self.rows if (key[1] is None) == (find == "recipes"))
        return [key for key in keys if where.passes(facts_of(self.texts[key[0]]))]

    def count(self, find, where=EVERYTHING):
        return len(self._passing(find, where))

    def nearest(self, find, query, k, where=EVERYTHING):
        self.asked += 1
        scored = [(-float(self.rows[key] @ query), key) for key in self._passing(find, where)]
        return [
            Match(-score, *key) for score, key in sorted(scored, key=lambda one: (one[0], str(one[1])))[:k]
        ]

    def listed(self, where=EVERYTHING, *, offset=0, limit=50, order="title"):
        found = [key[0] for key in self._passing("recipes", where)]
        key = (lambda name: self.texts[name].title.casefold()) if order == "title" else None
        return sorted(found, key=key)[offset : offset + limit]

    def vector(self, recipe_id, photo_id=None):
        return self.rows.get((recipe_id, photo_id))

    def words(self, text, k, where=EVERYTHING):
        return []

    def vectors(self, keys):
        return [self.rows.get(key) for key in keys]

    def states(self, recipe_id, photo_id=None):
        return None

    def recipe(self, recipe_id):
        return self.texts.get(recipe_id)

    def cards(self, recipe_ids):
        titles = [self.texts[name].title if name in self.texts else "" for name in recipe_ids]
        return [
            Card(title, next(iter(self.photos(name)), None))
            for title, name in zip(titles, recipe_ids, strict=True)
        ]

    def photos(self, recipe_id):
        return [name for owner, name in self.rows if owner == recipe_id and name]


class Embedder:
    """A photo is its vector; words point to the axis of the ingredient they name."""

    def encode_photos(self, pictures):
        return SimpleNamespace(items=lambda: [(np.asarray(one, np.float32), None) for one in pictures])

    def encode_recipes(self, recipes):
        named = [[k for k, word in enumerate(WORDS) if word[:-1] in recipe.title] for recipe in recipes]
        return SimpleNamespace(
            items=lambda: [(np.eye(8, dtype=np.float32)[one].sum(0), None) for one in named]
        )


@pytest.fixture
def kitchen(tmp_path):
    """Forty recipes of two ingredients each, every fourth much like the one before, with the same photo."""
    rng = np.random.default_rng(0)
    recipes, photos = [], []
    for number in range(40):
        some = rng.permutation(len(WORDS))[:2]
        vector = np.eye(8)[some].sum(0) + rng.normal(0, 0.1, 8)
        lines = tuple(f"{number} g {WORDS[k]}" for k in some)
        more = {"category": ("Soups", "Mains")[number % 2], "times": {"total": f"{number + 1} min"}}
        if number % 4 == 3:
            lines, vector = recipes[-1][0].ingredients, recipes[-1][1] + rng.normal(0, 0.01, 8)
        recipes.append((Recipe(f"r{number:02d}", f"Dish {number}", lines, **more), unit(*vector)))
        vector = photos[-1][2] if number % 4 == 3 else unit(*(vector + rng.normal(0, 0.6, 8)))
        photos.append((f"r{number:02d}", f"{number}.jpg", vector))
    recipes.append((Recipe("title", "Butter cake"), unit(0, 0, 1, 0, 0, 0, 0, 1)))
    return Kitchen(tmp_path, recipes, photos)


@pytest.fixture
def searcher(kitchen, monkeypatch):
    monkeypatch.setattr("savor.search.as_picture", lambda photo: photo)
    made = Searcher(kitchen)
    made.__dict__["embedder"] = Embedder()
    return made


PHOTO = unit(1, 1, 0, 0.5, 0, 0, 0, 0)


def test_pages_follow_each_other_and_do_not_depend_on_their_length(searcher):
    whole = searcher.ask(photo=PHOTO, k=41).hits
    assert [found.hit.rank for found in whole] == list(range(1, len(whole) + 1))
    for k in (1, 3, 10):
        pages = [searcher.ask(photo=PHOTO, k=k, offset=offset).hits for offset in range(0, len(whole), k)]
        assert [found for page in pages for found in page] == whole
    assert searcher.ask(photo=PHOTO, k=5, offset=100).hits == []
    hits = searcher.by_photo(PHOTO, 41)
    assert [*searcher.by_photo(PHOTO, 7), *searcher.by_photo(PHOTO, 34, offset=7)] == hits
    with pytest.raises(UsageError, match="offset=-1"):
        searcher.by_photo(PHOTO, offset=-1)


def test_the_same_dish_is_one_hit(searcher):
    grouped, single = (searcher.ask(photo=PHOTO, k=50, group=group).hits for group in (True, False))
    assert len(single) == 41
    assert len(grouped) == 31
    shown = [name for found in grouped for name in (found.hit.id, *found.duplicates)]
    assert sorted(shown) == sorted(found.hit.id for found in single)
    for found in grouped:
        if found.duplicates:
            first, second = sorted(int(name[1:]) for name in (found.hit.id, *found.duplicates))
            assert (first % 4, second - first) == (2, 1)
    photos = searcher.ask(photo=PHOTO, k=50, find="photos")
    assert len(photos.hits) == 30
    assert photos.confidence is None


def test_recipes_of_one_title_are_one_if_they_say_the_same(kitchen, searcher):
    for name, vector in (("s1", unit(0, 0, 0, 0, 0, 0, 1, 0.2)), ("s2", unit(0, 0, 0, 0, 0, 0, 1, 0.25))):
        kitchen.texts[name], kitchen.rows[name, None] = Recipe(name, "Best Soups"), vector
    kitchen.texts["s3"], kitchen.rows["s3", None] = Recipe("s3", "best soups!"), unit(0, 0, 0, 0, 0, 0, 1, -1)
    kitchen.texts["s4"], kitchen.rows["s4", None] = Recipe("s4", "Stew"), unit(0, 0, 0, 0, 0, 0, 1, 0.21)
    hits = searcher.ask(photo=unit(0, 0, 0, 0, 0, 0, 1, 0), k=4).hits
    assert [(found.hit.id, found.duplicates) for found in hits[:3]] == [
        ("s1", ("s2",)),
        ("s4", ()),
        ("s3", ()),
    ]


def test_one_picture_of_a_meal_does_not_make_its_dishes_one(kitchen, searcher):
    near = unit(0, 0, 0, 0, 0, 0, 1, 0.1), unit(0, 0, 0, 0, 1.2, 0, 1, 0), unit(0, 0, 0, 0, 0, 3, 1, 0)
    for number, vector in enumerate(near):
        name = f"m{number}"
        kitchen.texts[name], kitchen.rows[name, None] = Recipe(name, f"Course {number}"), vector
        kitchen.rows[name, "meal.jpg"] = unit(0, 0, 0, 0, 0, 0, 0, 1)
    kitchen.texts["m3"], kitchen.rows["m3", None] = Recipe("m3", "Course, 2"), unit(0, 0, 0, 0, 0, -3, 1, 0)
    kitchen.rows["m3", "meal.jpg"] = unit(0, 0, 0, 0, 0, 0, 0, 1)
    groups = [
        (found.hit.id, found.duplicates)
        for found in searcher.ask(photo=unit(0, 0, 0, 0, 0, 0, 1, 0), k=4).hits
    ]
    assert ("m0", ()) in groups
    assert ("m1", ()) in groups
    assert ("m2", ("m3",)) in groups
    photos = searcher.ask(photo=unit(0, 0, 0, 0, 0, 0, 0, 1), find="photos", k=1).hits
    assert len(photos[0].duplicates) == 3


def test_hubs_are_left_out_of_what_makes_two_dishes_the_same(tmp_path):
    searcher = Searcher(Kitchen(tmp_path, [], [], hubs=8))
    row = np.array([0.6, 0, 0.5, 0.5, 0.3, 0.1], np.float32)
    np.testing.assert_allclose(searcher.bare(row), [1, 0])


def test_words_become_conditions_and_reasons(searcher):
    answer = searcher.ask(text="something with chickpeas and spinach, no dairy", k=50)
    assert answer.understood.text == "chickpeas and spinach"
    assert answer.understood.where == where_of(["chickpea", "spinach"], ["dairy"])
    assert answer.hits
    for found in answer.hits:
        assert set(found.matched) == {"chickpea", "spinach"}
        lines = " ".join(searcher.index.recipe(found.hit.id).ingredients)
        assert "chickpeas" in lines
        assert "spinach" in lines
    assert answer.total == len(answer.hits) + sum(len(found.duplicates) for found in answer.hits)
    assert NO_ADVICE in answer.notes
    assert "list no ingredients: 1 recipes" in answer.notes[1]


def test_text_as_it_is_holds_no_conditions(searcher):
    answer = searcher.ask(text="lentils, no rice", k=50, group=False, as_is=True)
    assert answer.understood.text == "lentils, no rice"
    assert answer.total == len(answer.hits) == 41


def test_filters_and_what_the_text_says_hold_together(searcher):
    answer = searcher.ask(text="with rice", where=Filter(category="soups", minutes=30), k=50, group=False)
    assert answer.total == len(answer.hits) > 0
    for found in answer.hits:
        number = int(found.hit.id[1:])
        assert number % 2 == 0
        assert number < 30


def test_a_food_that_no_recipe_has_is_given_up_and_said(searcher):
    answer = searcher.ask(text="soup with dragonfruit and rice", k=3)
    assert answer.dropped == ("dragonfruit",)
    assert answer.understood.where == Filter(("rice",))
    assert answer.notes == ["No recipe has dragonfruit; the hits need not have dragonfruit."]
    assert len(answer.hits) == 3


def test_foods_that_no_recipe_has_together_are_given_up_one_by_one(searcher):
    answer = searcher.ask(text="stew with rice, lentils and salmon", k=3)
    assert len(answer.dropped) == 1
    assert len(answer.understood.where.have) == 2
    assert "No recipe meets all conditions" in answer.notes[0]


def test_what_is_avoided_is_never_given_up(searcher):
    answer = searcher.ask(text="with rice, no fish", where=Filter(category="Cakes"))
    assert answer.hits == []
    assert answer.total == 0
    assert "Nothing meets the conditions: with rice; without fish; category: Cakes." in answer.notes


def test_conditions_alone_list_recipes_by_title_and_photos_with_them(searcher):
    answer = searcher.ask(where=where_of(["fish"]), k=4, offset=1)
    every = searcher.ask(where=where_of(["fish"]), k=50).hits
    titles = [found.hit.title.casefold() for found in every]
    assert titles == sorted(titles)
    assert answer.hits == every[1:5]
    assert all(found.matched == ("salmon",) for found in every)
    photos = searcher.ask(text="no dairy", find="photos", k=50).hits
    assert len(photos) == searcher.index.count("photos", where_of([], ["dairy"]))
    assert [found.hit.rank for found in photos[:3]] == [1, 2, 3]


def test_a_photo_and_words_both_count(searcher):
    both = searcher.by_photo(PHOTO, 41, text="salmon")
    photo = {hit.id: hit.score for hit in searcher.by_photo(PHOTO, 41)}
    text = {hit.id: hit.score for hit in searcher.by_text("salmon", 41)}
    size = np.linalg.norm(PHOTO + 0.5 * np.eye(8)[4])
    for hit in both:
        assert hit.score == pytest.approx((photo[hit.id] + 0.5 * text[hit.id]) / size, abs=1e-6)
    assert searcher.by_photo(PHOTO, 41, text=" ") == searcher.by_photo(PHOTO, 41)
    answer = searcher.ask(photo=PHOTO, text="salmon, no butter", k=50)
    assert answer.understood.where.avoid[0] == "butter"
    assert answer.confidence is not None
    assert all(found.probability is None for found in answer.hits)


def test_a_recipe_of_the_index_is_no_answer_to_itself(searcher):
    similar = searcher.similar("r05", 5)
    assert "r05" not in [found.hit.id for found in similar]
    assert [found.hit.rank for found in similar] == [1, 2, 3, 4, 5]
    nearest = [hit.id for hit in searcher.by_recipe("r05", 3, find="recipes")]
    assert nearest[0] == "r05"
    assert similar[0].hit.id == nearest[1]
    assert similar[0].matched
    assert searcher.ask(recipe="r05").hits[0].hit.id.endswith(".jpg")


def test_a_photo_is_told_how_sure_the_answer_is(searcher):
    answer = searcher.ask(photo=PHOTO, k=50)
    chances = [found.probability for found in answer.hits]
    assert sum(chances) == pytest.approx(answer.confidence.probability)
    assert chances[0] == max(chances)
    assert searcher.ask(photo=PHOTO, k=50, where=Filter(minutes=20)).hits[0].probability is None
    for question in ({"text": "rice"}, {"recipe": "r05"}, {"photo": PHOTO, "find": "photos"}):
        assert searcher.ask(**question).confidence is None


def test_as_many_vectors_are_compared_with_the_query_as_are_needed(searcher):
    searcher.ask(photo=PHOTO, k=5)
    assert searcher.index.asked == 1


def test_what_asks_nothing_or_too_much_is_refused(searcher):
    for question, message in [
        ({}, "nothing is asked"),
        ({"text": "  "}, "nothing is asked"),
        ({"recipe": "r01", "text": "rice"}, "recipe alone"),
        ({"recipe": "r01", "photo": PHOTO}, "recipe alone"),
        ({"text": "rice", "k": 0}, "at least 1"),
    ]:
        with pytest.raises(UsageError, match=message):
            searcher.ask(**question)


def test_an_answer_as_json():
    hit = Hit("1", 1, 0.5, "Soup", None, "1")
    answer = Answer([Found(hit, ("leek",), ("2",), 0.25)], 9, notes=["Note."])
    assert json.loads(json.dumps(answer.as_dict())) == {
        "hits": [{**hit.as_dict(), "matched": ["leek"], "duplicates": ["2"], "probability": 0.25}],
        "total": 9,
        "understood": {
            "text": "",
            "have": [],
            "avoid": [],
            "category": None,
            "source": None,
            "minutes": None,
        },
        "confidence": None,
        "notes": ["Note."],
        "dropped": [],
    }
    assert "probability" not in Found(hit).as_dict()


def test_a_page_waits_for_duplicates_that_may_lie_behind_it():
    hits = [Hit(str(k), k, 1 / k, "", None, str(k)) for k in range(1, 200)]

    def same(one, other):
        return int(one.id) % 15 == int(other.id) % 15

    asked = []

    def best(depth):
        asked.append(depth)
        return hits[:depth]

    groups = page_of_groups(best, same, 10, 0)
    assert [hit.id for hit, _ in groups] == [str(k) for k in range(1, 11)]
    assert [more for _, more in groups] == [(str(k + 15),) for k in range(1, 11)]
    assert page_of_groups(best, same, 40, 0)[:10] == groups
    assert page_of_groups(best, same, 3, 5) == groups[5:8]
    assert asked[0] == 15 + WINDOW
