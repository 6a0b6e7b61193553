import io
import json
import tracemalloc

import pytest
from PIL import Image

from savor.datasets import open_dataset
from savor.datasets.check import EXAMPLES, check_dataset


def png(colour):
    file = io.BytesIO()
    Image.new("RGB", (4, 4), colour).save(file, "PNG")
    return file.getvalue()


def write(root, *entries):
    (root / "recipes.jsonl").write_text("\n".join(map(json.dumps, entries)))


def recipe(recipe_id, split="train", photos=(), **fields):
    return {
        "id": recipe_id,
        "title": f"Dish {recipe_id}",
        "partition": split,
        "photos": list(photos),
    } | fields


@pytest.fixture
def root(tmp_path):
    for name, colour in (("red.png", "red"), ("again.png", "red"), ("blue.png", "blue")):
        (tmp_path / name).write_bytes(png(colour))
    (tmp_path / "broken.png").write_bytes(png("green")[:40])
    return tmp_path


def check(root, **options):
    return check_dataset(open_dataset(root), **options)


def test_counts_by_split(root):
    text = {"ingredients": ["a"], "instructions": ["b"]}
    write(
        root,
        recipe("1", photos=["red.png", "blue.png"], **text),
        recipe("2"),
        recipe("3", ingredients=["a"], instructions=["  "]),
        recipe("4", title=""),
        recipe("5", "val", **text),
    )
    result = check(root)
    train, val = result.splits["train"], result.splits["val"]
    assert (train.recipes, train.with_photo, train.photos, train.complete) == (4, 1, 2, 1)
    assert (train.title_only, train.no_text) == (1, 1)
    assert train.without == {"title": 1, "ingredients": 2, "instructions": 3}
    assert (val.recipes, val.complete) == (1, 1)
    assert result.fingerprint == open_dataset(root).fingerprint()
    assert not result.failures


def test_missing_and_unreadable_photos_fail_above_the_stated_share(root):
    write(root, recipe("1", photos=["red.png", "gone.png", "broken.png", "../x.png"]))
    result = check(root, max_missing=0.75)
    assert (result.photos_listed, result.photos_missing, result.photos_unreadable) == (4, 2, 1)
    assert not result.failures
    (failure,) = check(root, max_missing=0.74).failures
    assert failure == "3 of 4 photos (75.0%) are missing or unreadable, more than 74.0%"
    assert "broken.png" in result.problems["unreadable photo"].examples[0][0]


def test_quick_looks_at_presence_only(root):
    write(root, recipe("1", photos=["gone.png", "broken.png"]))
    result = check(root, decode=False, max_missing=0.5)
    assert (result.photos_missing, result.photos_unreadable, result.in_several_splits) == (1, None, None)
    assert not result.failures


def test_shared_photos_are_told_by_their_bytes(root):
    write(
        root,
        recipe("1", photos=["red.png", "again.png"]),
        recipe("2", "test", photos=["again.png"]),
        recipe("3", photos=["blue.png"]),
        recipe("4", photos=["blue.png"]),
    )
    result = check(root)
    assert (result.in_several_splits.count, result.in_several_splits.examples) == (1, [["train 1", "test 2"]])
    assert result.in_several_recipes.count == 2
    assert result.in_several_recipes.examples[1] == ["train 3", "train 4"]


def test_equal_titles_across_splits_are_counted(root):
    titles = [
        ("train", "Soup"),
        ("val", " soup"),
        ("val", "STRASSE"),
        ("test", "Straße"),
        ("train", "Cake"),
        ("train", "Cake"),
        ("val", ""),
        ("test", ""),
    ]
    write(root, *(recipe(str(k), split, title=title) for k, (split, title) in enumerate(titles)))
    assert check(root).titles_in_several_splits == 2


def test_unlisted_recipes_share_photos_and_titles_with_their_own_split(root):
    write(
        root,
        recipe("1", "train", ["red.png"], title="Soup"),
        recipe("2", "train-unlisted", ["red.png"], title="Soup"),
    )
    result = check(root)
    assert (result.in_several_splits.count, result.titles_in_several_splits) == (0, 0)
    assert result.in_several_recipes.count == 1


def test_every_problem_is_counted_and_the_first_are_shown(root):
    write(root, recipe("1"), *[recipe("1") for _ in range(8)], {"title": "no id"})
    kinds = check(root).problems
    assert {name: (kind.effect, kind.count) for name, kind in kinds.items()} == {
        "duplicate id": ("skipped", 8),
        "no id": ("skipped", 1),
    }
    assert len(kinds["duplicate id"].examples) == EXAMPLES
    assert len(check(root, every_problem=True).problems["duplicate id"].examples) == 8


def test_nothing_read_is_a_failure_that_says_why(root):
    write(root, {"title": "a"}, {"title": "b"})
    assert check(root).failures == ["0 recipes read: 2 with no id"]
    write(root)
    assert check(root).failures == ["0 recipes read: the file holds none"]


def test_result_is_json(root):
    write(root, recipe("1", photos=["gone.png"]))
    values = json.loads(json.dumps(check(root).as_dict()))
    assert values["splits"]["train"]["without"]["title"] == 0
    assert values["problems"]["missing photo"]["count"] == 1


def test_memory_does_not_grow_with_the_number_of_recipes_or_problems(root):
    def peak(n):
        write(root, *(recipe(str(k)) for k in range(n)), *[{"title": "no id"}] * n)
        dataset = open_dataset(root)
        tracemalloc.start()
        result = check_dataset(dataset)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (result.splits["train"].recipes, result.problems["no id"].count) == (n, n)
        return size

    few = peak(500)
    assert peak(4_000) - few < 64 * 3_500
