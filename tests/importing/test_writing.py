"""The folder an import writes: nothing twice, nothing lost, and no file that nothing names."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from savor.datasets import open_dataset
from savor.errors import DataError
from savor.importing.base import Found, Picture, Skipped
from savor.importing.writing import remove, write
from savor.recipe import Recipe, Section


def tea(steps="Brew.", key="k", photos=(), title="Tea", **more):
    recipe = Recipe("", title, ("leaves", Section("Cold"), "ice"), (steps,), **more)
    pictures = tuple(Picture(f"p{i}", lambda data=data: data) for i, data in enumerate(photos))
    return Found(f"from {key}", recipe, key, f'{{"raw": "{steps}"}}', ".json", pictures)


def statuses(report):
    return [one.status for one in report.recipes]


def lines(out):
    return [json.loads(line) for line in (out / "recipes.jsonl").read_text().splitlines()]


def files(out):
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_what_is_written_can_be_read(tmp_path, photo):
    recipe = {
        "servings": "2",
        "times": {"prep": "5 min"},
        "tags": ("hot",),
        "notes": "Good.",
        "category": "Drinks",
        "source": "x",
    }
    write([tea(photos=[photo(gps=True)], **recipe)], tmp_path)
    problems = []
    (pair,) = open_dataset(tmp_path).pairs(on_problem=problems.append)
    assert not problems
    assert pair.recipe.ingredients == ("leaves", Section("Cold"), "ice")
    assert isinstance(pair.recipe.ingredients[1], Section)
    assert (pair.recipe.servings, pair.recipe.times, pair.recipe.tags) == ("2", {"prep": "5 min"}, ("hot",))
    assert b"SecretCamera" not in pair.photos[0].read()
    assert Image.open(io.BytesIO(pair.photos[0].read())).size == (24, 16)
    assert set(files(tmp_path)) == {
        "recipes.jsonl",
        "import.json",
        pair.photos[0].id,
        f"raw/{pair.recipe.id}.json",
    }


def test_again_changes_nothing(tmp_path, photo):
    both = [tea(photos=[photo()]), tea(key="other", title="Coffee")]
    assert statuses(write(both, tmp_path)) == ["read", "read"]
    before = files(tmp_path)
    assert statuses(write(both, tmp_path)) == ["unchanged", "unchanged"]
    assert files(tmp_path) == before


def test_a_changed_recipe_is_updated_under_its_id(tmp_path, photo):
    write([tea(photos=[photo("red")])], tmp_path)
    (old,) = lines(tmp_path)
    report = write([tea("Brew twice.", photos=[photo("blue")], title="Green tea")], tmp_path)
    (new,) = lines(tmp_path)
    assert statuses(report) == ["updated"]
    assert new["id"] == old["id"] == report.recipes[0].id
    assert (new["title"], new["instructions"]) == ("Green tea", ["Brew twice."])
    assert set(files(tmp_path)) == {"recipes.jsonl", "import.json", *new["photos"], f"raw/{new['id']}.json"}
    assert "twice" in (tmp_path / f"raw/{new['id']}.json").read_text()


def test_an_export_without_photos_takes_none_away(tmp_path, photo):
    write([tea(photos=[photo()])], tmp_path)
    assert statuses(write([tea("Brew twice.")], tmp_path)) == ["updated"]
    (line,) = lines(tmp_path)
    assert (tmp_path / line["photos"][0]).is_file()


def test_the_same_recipe_twice_in_one_run_and_from_elsewhere(tmp_path, photo):
    report = write([tea(), tea(), tea(key="other", source="elsewhere")], tmp_path)
    assert statuses(report) == ["read", "skipped", "skipped"]
    assert "the same recipe as from k" in report.recipes[1].reason
    assert statuses(write([tea(key="other")], tmp_path)) == ["unchanged"]
    assert len(lines(tmp_path)) == 1


def test_a_photo_that_only_the_second_source_has_is_added(tmp_path, photo):
    write([tea()], tmp_path)
    report = write([tea(key="other", photos=[photo()])], tmp_path)
    assert statuses(report) == ["updated"]
    (line,) = lines(tmp_path)
    assert len(line["photos"]) == 1
    assert statuses(write([tea(), tea(key="other", photos=[photo()])], tmp_path)) == ["unchanged", "skipped"]


def test_one_title_and_key_but_two_recipes(tmp_path):
    two = [tea("Brew hot."), tea("Brew cold.")]
    report = write(two, tmp_path)
    assert statuses(report) == ["read", "read"]
    ids = [one.id for one in report.recipes]
    assert len(set(ids)) == 2
    again = write(two[::-1], tmp_path)
    assert statuses(again) == ["unchanged", "unchanged"]
    assert [one.id for one in again.recipes] == ids[::-1]


def test_ids_depend_on_the_key_alone(tmp_path):
    one = write([tea()], tmp_path / "a").recipes[0].id
    assert write([tea(key="first", title="x"), tea()], tmp_path / "b").recipes[1].id == one


def test_one_photo_twice_is_one_photo(tmp_path, photo):
    write([tea(photos=[photo("red"), photo("red"), photo("blue")])], tmp_path)
    assert len(lines(tmp_path)[0]["photos"]) == 2


def test_a_changed_address_is_an_update(tmp_path):
    write([tea(source="https://old.example.org")], tmp_path)
    assert statuses(write([tea(source="https://new.example.org")], tmp_path)) == ["updated"]
    assert lines(tmp_path)[0]["source"] == "https://new.example.org"


def test_a_deleted_photo_comes_back(tmp_path, photo):
    write([tea(photos=[photo()])], tmp_path)
    path = tmp_path / lines(tmp_path)[0]["photos"][0]
    path.unlink()
    assert statuses(write([tea(photos=[photo()])], tmp_path)) == ["updated"]
    assert path.is_file()


def test_what_is_removed_goes_with_its_files_and_comes_back_as_new(tmp_path, photo):
    write([tea(photos=[photo()]), tea("Steep.", "other", title="Mint tea")], tmp_path)
    first, second = (line["id"] for line in lines(tmp_path))
    kept = {name for name in files(tmp_path) if second in name}
    assert remove([first, "unknown"], tmp_path) == 1
    assert [line["id"] for line in lines(tmp_path)] == [second]
    assert {name for name in files(tmp_path) if "/" in name} == kept
    assert remove([first], tmp_path) == 0
    assert statuses(write([tea(photos=[photo()])], tmp_path)) == ["read"]
    assert remove([first, second], tmp_path) == 2
    assert lines(tmp_path) == []
    assert statuses(write([tea()], tmp_path)) == ["read"]


def test_half_a_surrogate_pair_does_not_stop_the_import(tmp_path):
    assert statuses(write([tea("Brew \ud83c.")], tmp_path)) == ["read"]
    assert statuses(write([tea("Brew \ud83c.")], tmp_path)) == ["unchanged"]
    assert lines(tmp_path)[0]["instructions"] == ["Brew ?."]


def test_dry_run_writes_nothing_and_says_the_same(tmp_path, photo):
    run = [tea(photos=[photo()]), tea(), Skipped("x", "why")]
    dry = write(run, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert dry.as_dict() == write(run, tmp_path / "out").as_dict()
    assert statuses(write([tea("New.")], tmp_path / "out", dry_run=True)) == ["updated"]
    assert lines(tmp_path / "out")[0]["instructions"] == ["Brew."]


def test_nothing_found_leaves_nothing(tmp_path):
    report = write([Skipped("x", "why")], tmp_path / "out")
    assert report.as_dict() == {
        "counts": {"read": 0, "updated": 0, "unchanged": 0, "skipped": 1},
        "recipes": [{"source": "x", "id": None, "status": "skipped", "reason": "why"}],
    }
    assert not (tmp_path / "out").exists()


def test_recipes_of_one_s_own_are_left_alone(tmp_path):
    (tmp_path / "recipes.jsonl").write_text('{"id": "1", "title": "Mine"}\n')
    with pytest.raises(DataError, match="no import wrote"):
        write([tea()], tmp_path)
    assert (tmp_path / "recipes.jsonl").read_text() == '{"id": "1", "title": "Mine"}\n'


def test_lines_written_by_hand_stay(tmp_path):
    write([tea()], tmp_path)
    with (tmp_path / "recipes.jsonl").open("a") as file:
        file.write('{"id": "mine", "title": "Mine", "partition": "train"}\n')
    write([tea("New.")], tmp_path)
    assert lines(tmp_path)[1] == {"id": "mine", "title": "Mine", "partition": "train"}


@pytest.mark.parametrize("stops_at", ["recipes.jsonl", "import.json"])
def test_an_interrupted_import_goes_on_where_it_was(tmp_path, photo, monkeypatch, stops_at):
    from savor.importing import writing

    real = writing.replace_file

    def stop(path, data):
        if path.name == stops_at:
            raise KeyboardInterrupt
        real(path, data)

    write([tea()], tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(writing, "replace_file", stop)
        with pytest.raises(KeyboardInterrupt):
            write([tea(), tea(key="other", title="Coffee", photos=[photo()])], tmp_path)
    list(open_dataset(tmp_path).pairs())
    write([tea(), tea(key="other", title="Coffee", photos=[photo()])], tmp_path)
    assert [line["title"] for line in lines(tmp_path)] == ["Tea", "Coffee"]
    assert len(lines(tmp_path)[1]["photos"]) == 1
    assert statuses(write([tea(key="other", title="Coffee", photos=[photo()])], tmp_path)) == ["unchanged"]


def test_two_imports_at_once(tmp_path):
    def slow():
        with pytest.raises(DataError, match="another import"):
            write([tea()], tmp_path)
        yield tea()

    assert statuses(write(slow(), tmp_path)) == ["read"]


@pytest.mark.parametrize("own", ["../../evil", "a/b", ".hidden", "x" * 300])
def test_an_id_from_elsewhere_is_kept_but_names_no_path(tmp_path, photo, own):
    found = tea(photos=[photo()])
    recipe = Recipe(own, "Tea", ("leaves",))
    write([Found("s", recipe, "k", "{}", ".json", found.photos)], tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert line["id"] == own
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / line["photos"][0]).is_file()


def test_a_damaged_folder_is_named(tmp_path):
    write([tea()], tmp_path)
    (tmp_path / "import.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        write([tea()], tmp_path)


KEYS = st.sampled_from(["a", "b", "c"])
RUNS = st.lists(
    st.lists(st.tuples(KEYS, st.sampled_from(["x", "y", "z"])), max_size=5), min_size=1, max_size=4
)


@given(RUNS)
@settings(max_examples=40)
def test_any_history_loses_nothing_and_repeats_nothing(tmp_path_factory, runs):
    out = tmp_path_factory.mktemp("out")
    last = {}
    for run in runs:
        report = write([tea(steps, key) for key, steps in run], out)
        assert sum(report.counts.values()) == len(run)
        if not (out / "recipes.jsonl").exists():
            continue
        kept = lines(out)
        assert len({line["id"] for line in kept}) == len(kept)
        texts = [line["instructions"][0] for line in kept]
        assert len(set(texts)) == len(texts)
        assert {steps for _, steps in run} <= set(texts)
        last = {line["id"]: line for line in kept}
        repeated = write([tea(steps, key) for key, steps in run], out)
        assert not repeated.counts["read"]
        assert {line["id"] for line in lines(out)} == last.keys()


def test_one_recipe_written_in_two_ways_is_one_and_keeps_what_only_one_of_them_has(tmp_path):
    lines = ("1 leek, sliced", Section("Top"), "salt")
    json_copy = Found(
        "a.json", Recipe("", "Leek Pie", lines, ("1 - Wash.", "Bake!"), servings="4"), "k1", "{}"
    )
    html = Recipe(
        "",
        "Leek pie",
        ("1 leek – sliced", "Top:", "Salt"),
        ("1. Wash. Bake",),
        servings="four",
        tags=("pie",),
    )
    html_copy = Found("a.html", html, "k2", "<p>")
    report = write([json_copy, html_copy], tmp_path)
    assert statuses(report) == ["read", "skipped"]
    assert (
        report.recipes[1].reason
        == "the same recipe as a.json; its tags added; its servings differ and are left out"
    )
    (line,) = lines_ = [json.loads(text) for text in (tmp_path / "recipes.jsonl").read_text().splitlines()]
    assert (line["servings"], line["tags"], len(lines_)) == ("4", ["pie"], 1)
    assert statuses(write([json_copy, html_copy], tmp_path)) == ["unchanged", "skipped"]
    assert statuses(write([html_copy], tmp_path)) == ["unchanged"]


def test_titles_alone_do_not_make_two_recipes_one(tmp_path):
    stubs = [Found(key, Recipe("", "Leek", notes=key), key, "{}") for key in ("a", "b")]
    assert statuses(write(stubs, tmp_path)) == ["read", "read"]


def test_an_amount_makes_a_recipe_another(tmp_path):
    two = [Found(key, Recipe("", "Leek", (f"{key} leeks",), ("Eat.",)), key, "{}") for key in ("1/2", "12")]
    assert statuses(write(two, tmp_path)) == ["read", "read"]
