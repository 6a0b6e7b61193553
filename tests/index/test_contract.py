"""What every backend of an index must do alike: answers, order, filters, words, browsing, changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from savor.errors import VectorIndexError
from savor.index import EVERYTHING, Card, Filter, Match, folder, open_index
from savor.index.backends import BACKENDS
from savor.index.filters import facts_of, normalised
from savor.recipe import Recipe

DIM = 3
ADDITIONS = {"recipes": [], "photos": []}


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def recipe(name, vector, *photos, content="1", **more):
    return {"id": name, "title": name.title(), "photos": list(photos), "content": content, **more}, vector


def photo(name, recipe_id, vector, thumbnail=None, content="1"):
    return {"id": name, "recipe_id": recipe_id, "thumbnail": thumbnail, "content": content}, vector


WORDS = ("lentils", "spinach", "butter", "olive oil", "chickpeas", "onions", "milk", "rice", "pepper")
CATEGORIES = (None, "Soup", "soup", "Salad", "Grandma's")
rng = np.random.default_rng(3)


def some_recipe(number):
    """Return the entries of a made-up recipe and its photos; vectors on a coarse grid, so that many tie."""
    name = f"{number:02d} {('ä', 'ø', '汤', 'it’s', chr(39))[number % 5]}"
    lines = [f"{k + 1} cups {WORDS[k]}" for k in rng.permutation(len(WORDS))[: 1 + number % 4]]
    photos = [f"{number % 7}.jpg", f"cut/{number}.jpg"][: number % 3]
    more = {"ingredients": lines, "category": CATEGORIES[number % 5], "source": f"Book {number % 3}"}
    more["times"] = {"total": f"{10 * (number % 6)} min"} if number % 6 else {}
    more["instructions"] = ["Cook everything slowly."] * (number % 2)
    vector = unit(*(rng.integers(-2, 3, DIM) + np.array([0, 0, 0.5])))
    return recipe(name, vector, *photos, title=f"{WORDS[number % 9]} dish {number % 4}", **more), [
        photo(one, name, unit(*(rng.integers(-2, 3, DIM) + np.array([0.5, 0, 0])))) for one in photos
    ]


KITCHEN = [some_recipe(number) for number in range(60)]
ORPHAN = photo("orphan.jpg", "no such recipe", unit(1, 1, 0))
ENTRIES = {
    "recipes": [entry for entry, _ in KITCHEN],
    "photos": [*(one for _, photos in KITCHEN for one in photos), ORPHAN],
}
FACTS = {record["id"]: facts_of(folder.recipe_from_json(record)) for record, _ in ENTRIES["recipes"]}


@pytest.fixture(scope="module", params=BACKENDS)
def index(request, make_index, tmp_path_factory):
    """An index of all entries; read only."""
    path = tmp_path_factory.mktemp("kitchen") / "index"
    make_index(path, request.param).add(ENTRIES, set(), data=["sha256:2"])
    return open_index(path)


def test_many_vectors_are_those_of_each(index):
    keys = [(record["id"], None) for record, _ in ENTRIES["recipes"]]
    keys += [(record["recipe_id"], record["id"]) for record, _ in ENTRIES["photos"]]
    keys += [("nobody", None), (keys[0][0], "nothing.jpg"), keys[0]]
    assert index.vectors([]) == []
    for key, vector in zip(keys, index.vectors(keys), strict=True):
        alone = index.vector(*key)
        assert (vector is None) == (alone is None)
        if alone is not None:
            np.testing.assert_array_equal(vector, alone)


def test_cards_are_what_each_recipe_says(index):
    names = [record["id"] for record, _ in ENTRIES["recipes"]]
    assert index.cards([]) == []
    for name, card in zip([*names, names[0]], index.cards([*names, names[0]]), strict=True):
        assert card == (index.recipe(name).title, next(iter(index.photos(name)), None))
    assert index.cards(["nobody", names[1]]) == [Card(), *index.cards(names[1:2])]


@pytest.fixture(params=BACKENDS)
def small(request, make_index, tmp_path):
    """An index of two recipes and three photos, of which two recipes share one; to be changed."""
    made = make_index(tmp_path / "index", request.param)
    thumbnail = made.keep_thumbnail(b"small")
    recipes = [recipe("soup", unit(1, 0, 0), "a.jpg", "b.jpg"), recipe("cake", unit(0, 1, 0), "b.jpg")]
    photos = [
        photo("b.jpg", "soup", unit(1, 1, 0)),
        photo("b.jpg", "cake", unit(1, 1, 0)),
        photo("a.jpg", "soup", unit(1, 0, 0), thumbnail),
    ]
    made.add({"recipes": recipes, "photos": photos}, set(), data=["sha256:2"])
    return made


def key(record):
    return (record["id"], record.get("recipe_id", ""))


def passes(record, where):
    """Tell whether a filter lets an entry pass, slowly; of a recipe that is not listed nothing is known."""
    name = record.get("recipe_id", record["id"])
    return where.passes(FACTS[name] if name in FACTS else facts_of(Recipe(name)))


def expected(find, query, where=EVERYTHING):
    """Rank all entries the slow and obvious way."""
    scored = []
    for record, vector in ENTRIES[find]:
        if passes(record, where):
            stored = vector.astype(np.float16).astype(np.float32)
            stored = stored / np.linalg.norm(stored)
            scored.append((-float((stored * query.astype(np.float64)).sum()), key(record), record))
    scored.sort(key=lambda one: one[:2])
    return [
        Match(-score, record.get("recipe_id", record["id"]), record["id"] if find == "photos" else None)
        for score, _, record in scored
    ]


terms = st.lists(
    st.sampled_from([normalised(word) for word in (*WORDS, "cups", "unheard of")] + ["@unlisted"]), max_size=2
)
filters = st.builds(
    Filter,
    have=terms.map(tuple),
    avoid=terms.map(tuple),
    category=st.sampled_from([None, None, "SOUP", "grandma's", "none such"]),
    source=st.sampled_from([None, None, "book 1"]),
    minutes=st.sampled_from([None, None, 20, 35.5, float("inf")]),
)
queries = st.tuples(*[st.integers(-3, 3)] * DIM).filter(any).map(lambda numbers: unit(*numbers))
finds = st.sampled_from(["recipes", "photos"])
quick = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(find=finds, query=queries, where=filters, k=st.integers(1, 80))
def test_the_nearest_are_those_of_the_slow_way_in_the_same_order(index, find, query, where, k):
    answer = index.nearest(find, query, k, where)
    assert answer == expected(find, query, where)[:k]
    assert index.nearest(find, query, 1 + k // 3, where) == answer[: 1 + k // 3]
    assert index.count(find, where) == len(expected(find, query, where))


@quick
@given(where=filters, order=st.sampled_from(["title", "id", "time"]), limit=st.integers(1, 70))
def test_pages_put_together_are_all_that_pass_in_order(index, where, order, limit):
    def place(record):
        minutes = FACTS[record["id"]].minutes
        by_time = (minutes is None, minutes or 0)
        sorts = {"title": (record["title"].casefold(),), "time": by_time, "id": ()}
        return (*sorts[order], record["id"])

    wanted = [record for record, _ in ENTRIES["recipes"] if passes(record, where)]
    pages = [index.listed(where, offset=start, limit=limit, order=order) for start in range(0, 60, limit)]
    assert [name for page in pages for name in page] == [record["id"] for record in sorted(wanted, key=place)]
    assert index.listed(where, offset=1000, order=order) == []


@quick
@given(text=st.sampled_from(["lentils", "Chickpea dish", "onion butter rice", "slowly"]), where=filters)
def test_words_find_the_recipes_that_have_one_of_them_and_pass(index, text, where):
    found = index.words(text, 100, where)
    wanted = {normalised(word) for word in text.split()}
    having = {
        record["id"]
        for record, _ in ENTRIES["recipes"]
        if wanted
        & set(
            normalised(" ".join([record["title"], *record["ingredients"], *record["instructions"]])).split()
        )
        and passes(record, where)
    }
    assert {match.recipe_id for match in found} == having
    assert sorted(found, key=lambda match: (-match.score, match.recipe_id)) == found
    assert index.words(text, 5, where) == found[:5]


def test_the_title_weighs_more_than_an_ingredient_and_rare_words_more_than_frequent_ones(small):
    small.add(
        {
            "recipes": [
                recipe("1", unit(1, 0, 0), title="Rice", ingredients=["lentils", "salt"]),
                recipe("2", unit(1, 0, 0), title="Lentil soup", ingredients=["salt", "rice"]),
                recipe("3", unit(1, 0, 0), title="Crème brûlée", ingredients=["salt"], tags=["sweet"]),
                *[recipe(f"x{k}", unit(0, 0, 1), title="Bread", ingredients=["salt"]) for k in range(5)],
            ],
            "photos": [],
        },
        set(),
    )
    assert [match.recipe_id for match in small.words("lentils", 9)] == ["2", "1"]
    assert small.words("a salty soup of LENTILS, with salt", 2)[0].recipe_id == "2"
    assert [match.recipe_id for match in small.words("creme brulee", 9)] == ["3"]
    assert [match.recipe_id for match in small.words("sweet", 9)] == ["3"]
    for nothing in ("", "  ", "7 %", "zzz", 'title:"', "AND OR THE", "bread AND"):
        assert [match.recipe_id[0] for match in small.words(nothing, 9)] == ["x"] * 5 * ("bread" in nothing)


def test_facets_count_spellings_together(index):
    facets = index.facets()
    assert facets["categories"] == [("Soup", 24), ("Grandma's", 12), ("Salad", 12)]
    assert facets["sources"] == [("Book 0", 20), ("Book 1", 20), ("Book 2", 20)]


def test_entries_are_found_by_their_ids(index):
    for record, vector in [*ENTRIES["recipes"][:7], *ENTRIES["photos"][:7], ORPHAN]:
        recipe_id = record.get("recipe_id", record["id"])
        photo_id = record["id"] if "recipe_id" in record else None
        assert index.vector(recipe_id, photo_id) == pytest.approx(vector, abs=1e-3)
        if photo_id is None:
            assert index.recipe(recipe_id) == folder.recipe_from_json(record)
            assert index.photos(recipe_id) == record["photos"]
    assert (
        index.recipe("no such recipe") is index.vector("nothing") is index.vector("00 ä", "nothing") is None
    )
    assert index.photos("nothing") == []
    assert index.thumbnail("nothing", "a.jpg") is None
    assert len(index.contents()) == 61


@quick
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12))
def test_ids_and_names_may_be_any_text(index, text):
    assert index.recipe(text) is None or text in FACTS
    assert index.count("recipes", Filter(category=text, have=(text,))) == 0
    assert isinstance(index.words(text, 3), list)


def test_strange_ids_are_kept(small):
    names = ["it's", '"', "\\", "%_", "a/b", "汤", "\u0301e", "'; DROP TABLE recipes; --", "\U0001f35c"]
    small.add({"recipes": [recipe(name, unit(0, 0, 1)) for name in names], "photos": []}, set())
    opened = open_index(small.path)
    assert [match.recipe_id for match in opened.nearest("recipes", unit(0, 0, 1), 9)] == sorted(names)
    assert [opened.recipe(name).id for name in names] == names
    assert opened.listed(order="id", limit=99) == sorted([*names, "soup", "cake"])
    assert opened.remove(names[:5]) == 5
    assert opened.listed(order="id", limit=99) == sorted([*names[5:], "soup", "cake"])


def test_an_empty_index_has_no_answers(make_index, tmp_path):
    for backend in BACKENDS:
        index = make_index(tmp_path / backend, backend)
        assert index.nearest("recipes", unit(1, 0, 0), 3) == index.words("soup", 3) == index.listed() == []
        assert index.nearest("photos", unit(1, 0, 0), 3, Filter(avoid=("nut",))) == []
        assert index.facets() == {"categories": [], "sources": []}
        assert index.count("photos") == index.count("recipes", Filter(minutes=5)) == index.remove(["x"]) == 0
        index.verify()


def test_both_lists_are_found_by_cosine_and_by_id(small):
    opened = open_index(small.path)
    assert (opened.count("recipes"), opened.count("photos")) == (2, 3)
    assert opened.nearest("photos", unit(1, 0, 0), 2) == [
        Match(1.0, "soup", "a.jpg"),
        Match(pytest.approx(0.7071, abs=1e-3), "cake", "b.jpg"),
    ]
    assert opened.thumbnail("soup", "a.jpg") == b"small"
    assert opened.thumbnail("soup", "b.jpg") is None
    assert opened.manifest["data"] == ["sha256:2"]


def test_an_addition_replaces_what_it_names_and_keeps_the_rest(small):
    before = small.version
    new = [recipe("soup", unit(0, -1, 0), content="2"), recipe("Ähre", unit(-1, 0, 0))]
    small.add({"recipes": new, "photos": []}, {"soup"}, data=["sha256:2", "sha256:3"])
    opened = open_index(small.path)
    assert opened.version == small.version != before
    assert opened.contents() == {"cake": "1", "soup": "2", "Ähre": "1"}
    assert [match.recipe_id for match in opened.nearest("recipes", unit(0, -1, 0), 1)] == ["soup"]
    assert [match.recipe_id for match in opened.nearest("photos", unit(1, 1, 0), 9)] == ["cake"]
    assert opened.recipe("Ähre").title == "Ähre"
    assert opened.manifest["data"] == small.manifest["data"] == ["sha256:2", "sha256:3"]
    opened.verify()


def test_removed_recipes_are_gone_with_their_photos_and_words(small):
    before = small.version
    assert small.remove(["soup", "unknown"]) == 1
    opened = open_index(small.path)
    assert (opened.count("recipes"), opened.count("photos")) == (1, 1)
    assert opened.words("soup", 9) == []
    assert (
        opened.recipe("soup") is opened.vector("soup", "a.jpg") is opened.thumbnail("soup", "a.jpg") is None
    )
    assert opened.version != before
    assert small.remove(["unknown"]) == 0
    assert small.version == opened.version
    assert small.remove(["cake"]) == 1
    assert (small.count("recipes"), small.nearest("photos", unit(1, 0, 0), 5)) == (0, [])


def test_an_open_index_sees_what_another_one_changes(small):
    small.nearest("recipes", unit(1, 0, 0), 1)
    small.count("recipes", Filter(have=("pie",)))
    before = small.version
    other = open_index(small.path)
    other.add({"recipes": [recipe("pie", unit(1, 0, 1), ingredients=["Pies"])], "photos": []}, set())
    assert small.version == other.version != before
    assert small.nearest("recipes", unit(1, 0, 1), 1)[0].recipe_id == "pie"
    assert small.count("recipes", Filter(have=("pie",))) == 1
    assert small.recipe("cake").title == "Cake"


def test_two_changes_at_once_do_not_swallow_each_other(small):
    contents = small.contents()
    other = open_index(small.path)
    other.add({"recipes": [recipe("pie", unit(1, 2, 0))], "photos": []}, set())
    with pytest.raises(VectorIndexError, match="meanwhile"):
        small.add({"recipes": [recipe("jam", unit(1, 2, 0))], "photos": []}, set())
    assert small.contents() == {**contents, "pie": "1"}
    small.add({"recipes": [recipe("jam", unit(1, 2, 0))], "photos": []}, set())
    assert other.contents() == {**contents, "pie": "1", "jam": "1"}


def test_a_vector_that_is_not_finite_is_refused_by_name(small):
    before = small.version
    with pytest.raises(VectorIndexError, match="'pie'"):
        small.add({"recipes": [recipe("pie", np.array([np.nan, 1, 1]))], "photos": []}, {"soup"})
    assert (small.version, open_index(small.path).recipe("pie")) == (before, None)
    assert small.count("photos") == 3
    assert small.remove(["cake"]) == 1


@pytest.mark.parametrize("step", ["columns_of", "commit"])
def test_a_change_cut_short_leaves_the_index_as_it_was(small, monkeypatch, step):
    def killed(*_):
        raise KeyboardInterrupt

    module = __import__(type(small).__module__, fromlist=["x"])
    before = small.contents(), small.nearest("photos", unit(1, 0, 0), 9)
    commits = {"exact": "put_blobs", "lance": "write_manifest", "qdrant": "_point"}
    with monkeypatch.context() as patch:
        name = commits[module.__name__.rpartition(".")[2]] if step == "commit" else step
        target = module if hasattr(module, name) else __import__("savor.index.catalogue", fromlist=["x"])
        patch.setattr(target, name, killed)
        with pytest.raises(KeyboardInterrupt):
            small.add({"recipes": [recipe("pie", unit(1, 2, 0))], "photos": []}, {"soup"})
    opened = open_index(small.path)
    opened.verify()
    assert (opened.contents(), opened.nearest("photos", unit(1, 0, 0), 9)) == before
    opened.add({"recipes": [recipe("pie", unit(1, 2, 0))], "photos": []}, {"cake"})
    assert set(open_index(small.path).contents()) == {"soup", "pie"}
    opened.verify()
