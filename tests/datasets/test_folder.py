import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savor.datasets import open_dataset
from savor.datasets.folder import recipe_from_json, recipe_to_json
from savor.errors import DataError
from savor.recipe import Recipe, Section

FULL = {
    "id": "soup",
    "title": "Lentil soup",
    "ingredients": [" 1 onion", {"section": "For the top"}, "parsley"],
    "instructions": ["Rinse.", "Simmer &amp; stir."],
    "photos": ["photos/a.jpg", "b.png"],
    "category": "Soups",
    "partition": "train",
    "source": "grandmother",
    "servings": "4",
    "times": {"total": "1 h"},
    "tags": ["winter"],
    "notes": "Good with bread.",
}


@pytest.fixture
def root(tmp_path):
    for name in ("photos/a.jpg", "b.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def write_jsonl(root, *entries, end="\n", bom=b""):
    lines = [entry if isinstance(entry, str) else json.dumps(entry, ensure_ascii=False) for entry in entries]
    (root / "recipes.jsonl").write_bytes(bom + end.join(lines).encode("utf-8", "surrogatepass"))


def write_csv(root, *entries, header=tuple(FULL)):
    with (root / "recipes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        for entry in entries:
            cells = {
                k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in entry.items()
            }
            writer.writerow(cells)


def read(root, **options):
    problems = []
    return list(open_dataset(root, **options).pairs(on_problem=problems.append)), problems


def kinds(problems):
    return [problem.kind for problem in problems]


@pytest.mark.parametrize("write", [write_jsonl, write_csv])
def test_reads_every_field_byte_for_byte(root, write):
    write(root, FULL, {"id": "bare", "title": "Bare"})
    (pair, bare), problems = read(root)
    recipe = pair.recipe
    assert not problems
    assert recipe.ingredients == (" 1 onion", "For the top", "parsley")
    assert [isinstance(line, Section) for line in recipe.ingredients] == [False, True, False]
    assert recipe.instructions == ("Rinse.", "Simmer &amp; stir.")
    assert (recipe.category, recipe.source, recipe.servings) == ("Soups", "grandmother", "4")
    assert (recipe.times, recipe.tags, recipe.notes) == ({"total": "1 h"}, ("winter",), "Good with bread.")
    assert [photo.read() for photo in pair.photos] == [b"photos/a.jpg", b"b.png"]
    assert pair.split == "train"
    assert (bare.split, bare.photos, bare.recipe) == ("all", (), Recipe("bare", "Bare"))


def test_jsonl_and_csv_have_the_same_fingerprint(root):
    write_jsonl(root, FULL)
    first = open_dataset(root).fingerprint()
    (root / "recipes.jsonl").unlink()
    write_csv(root, FULL)
    assert open_dataset(root).fingerprint() == first
    write_csv(root, FULL | {"ingredients": [" 1 onion", "For the top", "parsley"]})
    assert open_dataset(root).fingerprint() != first  # a section title is not a line


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_byte_order_mark_and_line_ends(root, end):
    write_jsonl(
        root, {"id": "1", "title": "Crème"}, {"id": "2", "title": "a\u2028b"}, end=end, bom=b"\xef\xbb\xbf"
    )
    pairs, problems = read(root)
    assert [pair.recipe.title for pair in pairs] == ["Crème", "a\u2028b"]
    assert not problems


@pytest.mark.parametrize("name", ["recipes.jsonl", "recipes.csv"])
def test_other_encodings_are_refused_with_line_and_byte(root, name):
    text = 'id,title\n1,"Cr\xe8me"\n'.encode("latin-1")
    (root / name).write_bytes(text)
    with pytest.raises(
        DataError, match=rf"{name} is not UTF-8: line 2 .* 0xe8 at position {text.index(0xE8)}"
    ):
        open_dataset(root)


def test_utf16_is_refused(root):
    (root / "recipes.jsonl").write_bytes(json.dumps(FULL).encode("utf-16"))
    with pytest.raises(DataError, match="line 1 has the byte 0xff at position 0"):
        open_dataset(root)


def test_bad_lines_are_skipped_with_a_reason(root):
    lines = ['{"id": "cut", "title": ', "[1]", {"title": "no id"}, {"id": None}, {"id": ""}, {"id": True}]
    write_jsonl(
        root, {"id": "1", "title": "one"}, *lines, {"id": "1", "title": "again"}, {"id": 2, "title": "two"}
    )
    pairs, problems = read(root)
    assert [(pair.recipe.id, pair.recipe.title) for pair in pairs] == [("1", "one"), ("2", "two")]
    assert kinds(problems) == ["not a recipe"] * 2 + ["no id"] * 4 + ["duplicate id"]
    assert {problem.effect for problem in problems} == {"skipped"}
    assert problems[0].where == "recipes.jsonl line 2"
    assert "line 1 already" in problems[-1].reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [("[" * 100_000, "not JSON"), ('{"id": ' + "9" * 5000 + "}", "not JSON"), ("3", "the number 3")],
)
def test_hostile_lines_are_skipped(root, line, reason):
    write_jsonl(root, {"id": "1", "title": "one"}, line)
    pairs, problems = read(root)
    assert len(pairs) == 1
    assert reason in problems[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[\n{"id": "1"}\n]', "one JSON array"),
        ("id,title\n1,a\n", "not JSON lines"),
        ("\x00\x01", "not JSON lines"),
    ],
)
def test_a_file_that_is_not_json_lines_is_refused(root, text, reason):
    (root / "recipes.jsonl").write_text(text)
    with pytest.raises(DataError, match=reason):
        open_dataset(root)


def test_wrong_types_lose_nothing_that_can_be_kept(root):
    entry = {
        "id": "1",
        "title": 7,
        "ingredients": "1 cup flour\n2 eggs",
        "instructions": ["Mix.", 5, None, {"text": "?"}],
        "servings": 4,
        "category": ["Soups"],
        "times": "1 h",
        "tags": {"a": 1},
        "partition": False,
    }
    write_jsonl(root, entry)
    ((pair,), problems) = read(root)
    recipe = pair.recipe
    assert (recipe.title, recipe.servings, recipe.category, pair.split) == ("7", "4", None, "all")
    assert recipe.ingredients == ("1 cup flour\n2 eggs",)
    assert recipe.instructions == ("Mix.", "5")
    assert {problem.effect for problem in problems} == {"altered"}
    reasons = sorted(problem.reason.split(":")[0] for problem in problems)
    assert reasons == ["category", "ingredients", *["instructions"] * 2, "partition", "tags", "times"]
    assert all("line 1 (id 1)" in problem.where for problem in problems)


def test_missing_title_and_unknown_keys_are_noted(root):
    write_jsonl(root, {"id": "1", "rating": 5}, {"id": "2", "title": ""})
    pairs, problems = read(root)
    assert [pair.recipe.title for pair in pairs] == ["", ""]
    assert [(problem.kind, problem.effect) for problem in problems] == [
        ("no title", "noted"),
        ("unknown key", "noted"),
    ]


def test_half_surrogates_are_replaced_and_reported(root):
    (root / "recipes.jsonl").write_text(
        '{"id": "1", "title": "a \\ud83c b"}\n{"id": "\\ud83c", "title": "x"}'
    )
    pairs, problems = read(root)
    assert [pair.recipe.title for pair in pairs] == ["a \ufffd b"]
    assert kinds(problems) == ["bad field", "no id"]


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../a.jpg",
        "photos/../../a.jpg",
        "C:\\a.jpg",
        "\\\\host\\a.jpg",
        "https://example.org/a.jpg",
    ],
)
def test_photos_outside_the_folder_are_refused(root, name):
    write_jsonl(root, FULL | {"photos": [name, "b.png"]})
    ((pair,), problems) = read(root)
    assert [photo.id for photo in pair.photos] == ["b.png"]
    assert kinds(problems) == ["photo outside"]
    assert repr(name) in problems[0].reason


@pytest.mark.parametrize("name", ["gone.jpg", "photos", "", "a\x00b.jpg", "x" * 5000])
def test_missing_photos_are_reported(root, name):
    write_jsonl(root, FULL | {"photos": [name]})
    ((pair,), problems) = read(root)
    assert pair.photos == ()
    assert kinds(problems) == ["missing photo"]


def test_csv_rows_that_are_off_are_skipped_and_the_rest_is_read(root):
    (root / "recipes.csv").write_text(
        "id,title,ingredients\n"
        '1,one,"[""a"", ""b""]"\n'
        "2,two\n"
        "3,three,[],more\n"
        '4,"quoted"badly,x\n'
        '5,"two\nlines",not a list\n'
        "\n"
        '6,"never closed,x\n'
    )
    pairs, problems = read(root)
    assert [(pair.recipe.title, pair.recipe.ingredients) for pair in pairs] == [
        ("one", ("a", "b")),
        ("two\nlines", ("not a list",)),
    ]
    assert [problem.where.split(" (")[0] for problem in problems] == [
        f"recipes.csv line {n}" for n in (3, 4, 5, 6, 9)
    ]
    assert [problem.effect for problem in problems] == ["skipped"] * 3 + ["altered", "skipped"]


@pytest.mark.parametrize("text", ["", "title,notes\na,b\n", "id;title\n1;a\n", "id,title,id\n1,a,2\n"])
def test_csv_without_a_proper_first_row_is_refused(root, text):
    (root / "recipes.csv").write_text(text)
    with pytest.raises(DataError, match="first row of distinct column names"):
        open_dataset(root)


def test_large_csv_cells(root):
    write_csv(root, {"id": "1", "title": "one", "notes": "x" * 300_000})
    ((pair,), problems) = read(root)
    assert len(pair.recipe.notes) == 300_000
    assert not problems


def test_excluded_recipes_are_left_out(root):
    write_jsonl(root, FULL, {"id": "2", "title": "two"})
    pairs, problems = read(root, exclude=["soup"])
    assert [pair.recipe.id for pair in pairs] == ["2"]
    assert kinds(problems) == ["excluded"]


def test_photo_folder_without_recipes(tmp_path):
    names = ["b.JPG", "a.png", "sub/c.heic", "sub/deep/d.webp"]
    clutter = [".DS_Store", "._a.png", "Thumbs.db", "__MACOSX/a.png", "sub/notes.txt", ".hidden/x.jpg"]
    for name in names + clutter:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    dataset = open_dataset(tmp_path)
    problems = []
    pairs = list(dataset.pairs(on_problem=problems.append))
    assert dataset.kind == "photos"
    assert [pair.recipe for pair in pairs] == [Recipe(name) for name in ["a.png", "b.JPG", *names[2:]]]
    assert {pair.split for pair in pairs} == {"all"}
    assert pairs[2].photos[0].read() == b"sub/c.heic"
    assert not problems


def test_photo_folder_reports_linked_folders_and_broken_names(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    (tmp_path / "loop").symlink_to(tmp_path)
    try:
        (tmp_path / b"caf\xe9.jpg".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system keeps no names that are not UTF-8")
    pairs, problems = read(tmp_path)
    assert [pair.recipe.id for pair in pairs] == ["photos/a.jpg"]
    assert sorted(kinds(problems)) == ["bad file name", "linked folder"]


_TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
_LINES = st.lists(_TEXT | _TEXT.map(Section), max_size=3).map(tuple)
_RECIPES = st.builds(
    Recipe,
    id=st.text("abc019-_", min_size=1),
    title=_TEXT,
    ingredients=_LINES,
    instructions=_LINES,
    category=st.none() | _TEXT,
    source=st.none() | _TEXT,
    servings=st.none() | _TEXT,
    times=st.dictionaries(_TEXT, _TEXT, max_size=2),
    tags=st.lists(_TEXT, max_size=2).map(tuple),
    notes=st.none() | _TEXT,
)


@given(_RECIPES)
def test_a_recipe_survives_json(recipe):
    reasons = []
    again = recipe_from_json(json.loads(json.dumps(recipe_to_json(recipe))), reasons.append)
    assert again == recipe
    assert [type(line) for line in again.ingredients] == [type(line) for line in recipe.ingredients]
    assert not reasons


@given(
    st.dictionaries(
        st.sampled_from(sorted(FULL)),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=7), inner, max_size=2)
            ),
            max_leaves=6,
        ),
    )
)
def test_any_json_object_becomes_a_recipe_of_the_declared_types(entry):
    recipe = recipe_from_json(entry)
    assert isinstance(recipe.title, str)
    for lines in (recipe.ingredients, recipe.instructions, recipe.tags):
        assert all(isinstance(line, str) for line in lines)
    assert all(isinstance(value, str) for value in recipe.times.values())
