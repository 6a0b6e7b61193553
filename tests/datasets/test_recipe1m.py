import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from savor.datasets import open_dataset
from savor.datasets.recipe1m import stream_array, tar_members
from savor.errors import DataError

RECIPES = {
    "0a00000001": (
        "train",
        "Lentil soup",
        ["12 cup lentils", " 1 onion\t"],
        ["Rinse.", "Simmer &amp; stir."],
    ),
    "0a00000002": ("val", "Plum cake", ["plums"], ["Bake."]),
    "0a00000003": ("test", "Green salad", ["leaves"], ["Toss."]),
    "0a00000004": ("train", "Only a title", [], []),
}
PHOTOS = {
    "0a00000001": ["ffee000001.jpg", "abcd000002.jpg"],
    "0a00000002": ["12ab000003.jpg"],
    "0a00000003": ["9f8e000004.jpg"],
}
PLACES = ["{split}", "images/{split}", "recipe1M/images/{split}", "images", "."]
TAR_NAMES = ["{split}/{tree}", "./{split}/{tree}", "{tree}", "./{tree}"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("SAVOR_CACHE", str(folder))
    return folder


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    write_layers(folder)
    return folder


def entry(recipe_id, **changes):
    partition, title, ingredients, instructions = RECIPES[recipe_id]
    full = {
        "ingredients": [{"text": text} for text in ingredients],
        "url": f"http://www.example.org/{recipe_id}",
        "partition": partition,
        "title": title,
        "id": recipe_id,
        "instructions": [{"text": text} for text in instructions],
    }
    return full | changes


def write_layers(root, layer1=None, layer2=None, layer2_name="layer2.json"):
    layer1 = [entry(recipe_id) for recipe_id in RECIPES] if layer1 is None else layer1
    if layer2 is None:
        layer2 = [
            {"id": recipe_id, "images": [{"id": image, "url": "http://img.example.org"} for image in images]}
            for recipe_id, images in PHOTOS.items()
        ]
    (root / "layer1.json").write_text(json.dumps(layer1), encoding="utf-8")
    (root / layer2_name).write_text(json.dumps(layer2), encoding="utf-8")


def tree(image):
    return "/".join([*image[:4], image])


def owned_photos():
    return [(RECIPES[owner][0], image) for owner, images in PHOTOS.items() for image in images]


def write_loose(root, place="images/{split}"):
    for split, image in owned_photos():
        path = root / place.format(split=split) / tree(image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(image))


def write_tars(folder, name="{split}/{tree}"):
    folder.mkdir(exist_ok=True)
    for split in ("train", "val", "test"):
        with tarfile.open(folder / f"{split}.tar", "w") as tar:
            for image in (image for owner, image in owned_photos() if owner == split):
                add_member(tar, name.format(split=split, tree=tree(image)), content(image))


def add_member(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def content(image):
    return f"the bytes of {image}".encode() * 3


def read(root, **options):
    problems = []
    pairs = list(open_dataset(root, **options).pairs(on_problem=problems.append))
    return {pair.recipe.id: pair for pair in pairs}, problems


def kinds(problems):
    return [problem.kind for problem in problems]


@pytest.mark.parametrize("place", PLACES)
def test_finds_photos_in_each_of_the_five_folder_layouts(root, place):
    write_loose(root, place)
    pairs, problems = read(root)
    assert list(pairs) == list(RECIPES)
    assert not problems
    for recipe_id, images in PHOTOS.items():
        assert [photo.id for photo in pairs[recipe_id].photos] == images
        assert [photo.read() for photo in pairs[recipe_id].photos] == [content(image) for image in images]


@pytest.mark.parametrize("folder", [".", "images"])
@pytest.mark.parametrize("name", TAR_NAMES)
def test_reads_photos_in_place_from_tars(root, folder, name):
    write_tars(root / folder, name)
    pairs, problems = read(root)
    assert not problems
    for recipe_id, images in PHOTOS.items():
        assert [photo.read() for photo in pairs[recipe_id].photos] == [content(image) for image in images]


def test_keeps_raw_text_byte_for_byte_and_incomplete_recipes(root):
    write_tars(root)
    pairs, _ = read(root)
    soup = pairs["0a00000001"].recipe
    assert soup.ingredients == ("12 cup lentils", " 1 onion\t")
    assert soup.instructions == ("Rinse.", "Simmer &amp; stir.")
    assert soup.source == "http://www.example.org/0a00000001"
    assert pairs["0a00000004"].recipe.missing == ("ingredients", "instructions")
    assert pairs["0a00000004"].photos == ()
    assert [pair.split for pair in pairs.values()] == ["train", "val", "test", "train"]


def test_key_order_and_missing_keys_do_not_matter(root):
    write_tars(root)
    expected, _ = read(root)
    shuffled = []
    for recipe_id in RECIPES:
        items = list(entry(recipe_id).items())
        random.Random(recipe_id).shuffle(items)
        shuffled.append(dict(items))
    write_layers(root, [*shuffled, {"id": "0a00000009"}])
    pairs, problems = read(root)
    assert not problems
    assert {recipe_id: pairs[recipe_id] for recipe_id in RECIPES} == expected
    bare = pairs["0a00000009"]
    assert (bare.split, bare.recipe.missing) == ("all", ("title", "ingredients", "instructions"))


def test_photos_of_a_recipe_without_partition_are_looked_for_in_every_split(root):
    recipe = entry("0a00000002")
    del recipe["partition"]
    write_layers(root, [recipe])
    for write in (write_tars, write_loose):
        write(root)
        pairs, _ = read(root)
        assert [photo.id for photo in pairs["0a00000002"].photos] == PHOTOS["0a00000002"]


def test_layer2_plus_is_read_and_goes_before_layer2(root):
    write_loose(root, "images")
    (root / "layer2.json").unlink()
    write_layers(root, layer2_name="layer2+.json")
    (root / "layer2.json").write_text("[]")
    pairs, _ = read(root)
    assert [photo.id for photo in pairs["0a00000001"].photos] == PHOTOS["0a00000001"]


def test_missing_photo_is_reported_and_the_recipe_stays(root):
    write_loose(root)
    (root / "images/train" / tree("ffee000001.jpg")).unlink()
    pairs, problems = read(root)
    assert [photo.id for photo in pairs["0a00000001"].photos] == ["abcd000002.jpg"]
    assert kinds(problems) == ["missing photo"]
    assert "0a00000001" in problems[0].where
    assert "ffee000001.jpg" in problems[0].reason


def test_image_ids_cannot_leave_the_photo_folders(root, tmp_path):
    write_loose(root)
    (tmp_path / "release/images/a").mkdir()
    write_layers(
        root, layer2=[{"id": "0a00000001", "images": [{"id": "../../../layer1.json"}, {"id": "abc"}]}]
    )
    pairs, problems = read(root)
    assert pairs["0a00000001"].photos == ()
    assert kinds(problems) == ["missing photo"] * 2


def test_bad_entries_are_reported_with_their_place_and_never_stop_the_reading(root):
    write_tars(root)
    layer1 = [
        "not a recipe",
        {"title": "no id"},
        entry("0a00000001", id=17),
        entry("0a00000002"),
        entry("0a00000002", title="again"),
        entry(
            "0a00000003", title=3, ingredients="flour", instructions=[{"text": "Bake."}, {"note": 1}, "Eat."]
        ),
    ]
    write_layers(root, layer1, layer2=[])
    pairs, problems = read(root)
    assert list(pairs) == ["17", "0a00000002", "0a00000003"]
    assert pairs["0a00000002"].recipe.title == "Plum cake"
    assert pairs["0a00000003"].recipe.instructions == ("Bake.",)
    assert kinds(problems) == ["not a recipe", "no id", "duplicate id", *["bad field"] * 4]
    assert [problem.effect for problem in problems] == ["skipped"] * 3 + ["altered"] * 4
    assert "entry 5" in problems[2].where
    assert "entry 4" in problems[2].reason


def test_bad_entries_of_layer_2_are_reported(root):
    write_tars(root)
    layer2 = [7, {"id": "0a00000001", "images": "x.jpg"}, {"id": "0a00000001", "images": [{"url": "u"}]}]
    write_layers(root, layer2=[*layer2, {"id": "0badbadbad", "images": [{"id": "ffee000001.jpg"}]}])
    _, problems = read(root)
    assert kinds(problems) == ["no id", "bad photo list", "no photo id", "unknown recipe"]
    assert read(root)[1] == problems  # also when the sidecar is there already


def test_problems_are_logged_in_one_line_without_a_callback(root, caplog):
    write_tars(root)
    write_layers(root, [entry("0a00000001"), entry("0a00000001"), {}], layer2=[])
    assert len(list(open_dataset(root).pairs())) == 1
    (record,) = caplog.records
    assert "duplicate id: 1" in record.getMessage()
    assert "no id: 1" in record.getMessage()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (json.dumps([entry("0a00000001")])[:-30], "damaged or cut off"),
        ("[", "damaged or cut off"),
        ('[{"id": "1"}] trailing', "damaged or cut off"),
        ('{"id": "1"}', "not a JSON array"),
        ("", "not a JSON array"),
        ("<html>", "not a JSON array"),
        (b'[{"id": "1", "title": "Cr\xe8me"}]', "damaged or cut off"),
    ],
)
@pytest.mark.parametrize("layer", ["layer1.json", "layer2.json"])
def test_a_damaged_layer_is_a_named_error_before_the_first_pair(root, layer, text, reason):
    write_tars(root)
    (root / layer).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DataError, match=reason) as caught:
        next(open_dataset(root).pairs())
    assert layer in str(caught.value)


def test_a_byte_order_mark_is_accepted(root):
    write_tars(root)
    (root / "layer1.json").write_bytes(b"\xef\xbb\xbf" + (root / "layer1.json").read_bytes())
    assert len(read(root)[0]) == len(RECIPES)


def test_errors_say_what_was_looked_for_and_where_to_get_the_release(root):
    with pytest.raises(DataError, match=r"no photos.*recipe1M/images.*train,val,test\}.tar.*im2recipe"):
        open_dataset(root)
    (root / "images").mkdir()
    (root / "images" / "train.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"train\.tar\.gz is compressed"):
        open_dataset(root)
    (root / "layer2.json").unlink()
    with pytest.raises(DataError, match=r"layer2\+\.json.*layer2\.json.*im2recipe"):
        open_dataset(root)


def test_layer1_missing_beside_layer2_is_named(root):
    (root / "layer1.json").unlink()
    with pytest.raises(DataError, match=r"layer1\.json is missing.*im2recipe"):
        open_dataset(root)


def test_split_lists_name_the_retrieval_splits_and_mark_the_rest(root):
    write_tars(root)
    (root / "train.txt").write_text("0a00000001")  # no line end, as published
    (root / "val.txt").write_text("0a00000002\r\n0a0000beef\r\n")
    pairs, problems = read(root)
    splits = {recipe_id: pair.split for recipe_id, pair in pairs.items()}
    assert splits == {
        "0a00000001": "train",
        "0a00000002": "val",
        "0a00000003": "test",  # no test.txt: the partition holds
        "0a00000004": "train-unlisted",
    }
    assert [(problem.kind, problem.where) for problem in problems] == [("unknown recipe", "val.txt")]


def test_a_recipe_in_two_lists_goes_to_the_stricter_split(root):
    write_tars(root)
    for split in ("train", "test"):
        (root / f"{split}.txt").write_text("0a00000001\n0a00000003")
    pairs, problems = read(root)
    assert pairs["0a00000001"].split == "test"
    assert [photo.id for photo in pairs["0a00000001"].photos] == PHOTOS["0a00000001"]
    assert kinds(problems) == ["listed twice"] * 2


def test_excluded_recipes_are_left_out_and_noted(root):
    write_tars(root)
    pairs, problems = read(root, exclude={"0a00000002"})
    assert "0a00000002" not in pairs
    assert [(problem.kind, problem.effect) for problem in problems] == [("excluded", "noted")]


def test_detected_ingredients_do_not_replace_the_raw_ones(root):
    write_tars(root)
    with pytest.raises(DataError, match=r"det_ingrs\.json"):
        list(open_dataset(root).detected_ingredients())
    detected = [
        {"valid": [True, False], "id": "0a00000001", "ingredients": [{"text": "lentil"}, {"text": "x"}]}
    ]
    (root / "det_ingrs.json").write_text(json.dumps(detected))
    dataset = open_dataset(root)
    assert list(dataset.detected_ingredients()) == [("0a00000001", ("lentil", "x"), (True, False))]
    assert next(dataset.pairs()).recipe.ingredients == ("12 cup lentils", " 1 onion\t")


def test_repairs_are_applied_only_when_named(root):
    write_tars(root)
    assert read(root, repairs="slashes-v1")[0]["0a00000001"].recipe.ingredients[0] == "1/2 cup lentils"


def test_fingerprint_follows_the_content_not_the_place(root, tmp_path, cache):
    write_tars(root)
    first = open_dataset(root).fingerprint()
    assert first.startswith("sha256:")
    assert open_dataset(root).fingerprint() == first  # from the cache
    assert list(cache.glob("fingerprint-*"))

    loose = tmp_path / "elsewhere"
    loose.mkdir()
    write_layers(loose, [dict(reversed(entry(recipe_id).items())) for recipe_id in RECIPES])
    write_loose(loose)
    assert open_dataset(loose).fingerprint() == first

    others = [
        open_dataset(root, exclude=["0a00000001"]).fingerprint(),
        open_dataset(root, repairs="slashes-v1").fingerprint(),
        open_dataset(root, repairs="slashes-ht").fingerprint(),
    ]
    (loose / "images/val" / tree("12ab000003.jpg")).write_bytes(b"another photo")
    others.append(open_dataset(loose).fingerprint())
    write_layers(root, [entry("0a00000001"), entry("0a00000002", title="Plum  cake")])
    others.append(open_dataset(root).fingerprint())
    assert len({first, *others}) == 6


def test_sidecar_is_rebuilt_when_the_data_change_and_never_lies_in_the_data(root, cache):
    write_tars(root)
    before = sorted(root.rglob("*"))
    assert len(read(root)[0]) == 4
    (old,) = cache.glob("recipe1m-*.sqlite")
    write_layers(root, [entry("0a00000003"), entry("0a00000001")])
    assert list(read(root)[0]) == ["0a00000003", "0a00000001"]
    (new,) = cache.glob("recipe1m-*.sqlite")
    assert new != old
    assert sorted(root.rglob("*")) == before


def test_works_with_a_warning_where_the_cache_cannot_be_written(root, cache, caplog):
    write_tars(root)
    cache.write_text("a file where the folder should be")
    pairs, problems = read(root)
    assert len(pairs) == 4
    assert not problems
    assert "cache folder" in caplog.text
    assert open_dataset(root).fingerprint().startswith("sha256:")


def test_moving_to_the_folder_changes_nothing(root, monkeypatch):
    write_tars(root)
    expected = read(root)
    monkeypatch.chdir(root.parent)
    relative = read(Path(root.name))
    assert relative == expected
    monkeypatch.chdir("/")
    assert next(iter(relative[0].values())).photos[0].read() == content("ffee000001.jpg")


def test_processes_building_the_same_sidecar_do_not_disturb_each_other(root):
    write_tars(root)
    script = (
        "import sys; from savor.datasets import open_dataset as o; print(len(list(o(sys.argv[1]).pairs())))"
    )
    command = [sys.executable, "-c", script, str(root)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in running] == [b"4"] * 3


def test_memory_grows_by_less_than_64_bytes_a_recipe(root):
    write_tars(root)

    def peak(n):
        recipes = ({"id": f"{k:010x}", "partition": "train"} for k in range(n))
        photos = ({"id": f"{k:010x}", "images": [{"id": f"{k:010x}.jpg"}]} for k in range(n))
        for name, entries in (("layer1.json", recipes), ("layer2.json", photos)):
            (root / name).write_text("[" + ",".join(map(json.dumps, entries)) + "]")
        dataset = open_dataset(root)
        tracemalloc.start()
        read = sum(1 for _ in dataset.pairs(on_problem=lambda problem: None))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert read == n
        return size

    few = peak(1_000)
    assert peak(20_000) - few < 64 * 19_000


def test_stream_array_yields_entries_before_the_end_is_reached(tmp_path):
    file = tmp_path / "layer.json"
    file.write_text("[" + '{"id": "1"},' * 20_000)
    entries = stream_array(file)
    assert next(entries) == {"id": "1"}
    with pytest.raises(DataError, match="cut off"):
        list(entries)


def test_tar_with_clutter_links_and_a_cut(tmp_path):
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w") as tar:
        add_member(tar, "train/a/._ffee000001.jpg", b"clutter")
        add_member(tar, "train/ffee000001.jpg", b"photo")
        link = tarfile.TarInfo("train/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "ffee000001.jpg"
        tar.addfile(link)
        add_member(tar, "train/last.jpg", b"x" * 5000)
    problems = []
    assert [name for name, _, _ in tar_members(path, problems.append)] == ["ffee000001.jpg", "last.jpg"]
    assert kinds(problems) == ["tar member"]

    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"x" * 5000) + 100])
    problems.clear()
    assert [name for name, _, _ in tar_members(path, problems.append)] == ["ffee000001.jpg"]
    assert set(kinds(problems)) == {"tar member", "damaged tar"}


def test_sparse_members_are_reported(tmp_path):
    path = tmp_path / "train.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        data = b"1\n0\n5\n".ljust(512, b"\0") + b"photo"
        member = tarfile.TarInfo("train/GNUSparseFile.0/holes.jpg")
        member.size = len(data)
        member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}
        tar.addfile(member, io.BytesIO(data))
    problems = []
    assert not list(tar_members(path, problems.append))
    assert kinds(problems) == ["tar member"]


def test_a_photo_in_the_tar_of_another_split_is_not_taken(root):
    write_tars(root)
    (root / "val.tar").rename(root / "train.tar")
    pairs, _ = read(root)
    assert pairs["0a00000002"].photos == ()


def test_indexing_a_tar_keeps_no_headers(tmp_path):
    def peak(n):
        path = tmp_path / f"{n}.tar"
        with tarfile.open(path, "w") as tar:
            for k in range(n):
                add_member(tar, f"train/{k}.jpg", b"")
        tracemalloc.start()
        assert sum(1 for _ in tar_members(path, lambda problem: None)) == n
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    few = peak(200)
    assert peak(2_000) - few < 64 * 1_800


def test_of_two_tar_members_with_one_name_the_later_counts(root):
    write_tars(root)
    with tarfile.open(root / "val.tar", "a") as tar:
        add_member(tar, f"val/{tree('12ab000003.jpg')}", b"newer")
    assert read(root)[0]["0a00000002"].photos[0].read() == b"newer"


def test_compressed_tar_beside_plain_ones_is_named(root):
    write_tars(root)
    (root / "test.tar").rename(root / "test.tar.gz")
    for name in ("val.tar.gz", "val.tar.md5"):  # unpacked already; no photos
        (root / name).write_bytes(b"")
    _, problems = read(root)
    assert kinds(problems) == ["compressed tar", "missing photo"]


def test_absent_layouts_cost_no_look_at_the_disk_per_photo(root, monkeypatch):
    write_tars(root)
    dataset = open_dataset(root)
    asked = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: asked.append(path) or is_file(path))
    list(dataset.pairs())
    assert not [path for path in asked if path.suffix == ".jpg"]


@pytest.mark.real
@pytest.mark.skipif("SAVOR_DATA" not in os.environ, reason="SAVOR_DATA names no Recipe1M-like folder")
def test_real_data():
    problems = []
    counts = {}
    for pair in open_dataset(os.environ["SAVOR_DATA"]).pairs(on_problem=problems.append):
        key = pair.split, len(pair.photos), not pair.recipe.missing
        counts[key] = counts.get(key, 0) + 1
    assert not problems
    assert sum(counts.values()) > 0
    assert {split for split, _, _ in counts} == {"train", "val", "test"}
