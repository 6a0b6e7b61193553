import io
import json
import tarfile
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from savor.datasets.toy_kitchen import decode_rle, encode_rle, generate, write
from savor.datasets.toy_kitchen.generation import _hex_id
from savor.datasets.toy_kitchen.pantry import FOODS, KINDS
from savor.datasets.toy_kitchen.sprites import rgb
from savor.errors import DataError, UsageError

N = 90


@pytest.fixture(scope="module")
def dishes():
    return list(generate(N, seed=3))


def same(a, b):
    return (
        a.recipe == b.recipe
        and a.split == b.split
        and a.photo_ids == b.photo_ids
        and [i.tobytes() for i in a.images] == [i.tobytes() for i in b.images]
        and [r.to_json() for rs in a.regions for r in rs] == [r.to_json() for rs in b.regions for r in rs]
    )


def test_equal_seeds_give_equal_dishes_whatever_the_number(dishes):
    assert all(same(a, b) for a, b in zip(generate(6, seed=3), dishes, strict=False))


def test_another_seed_gives_other_dishes(dishes):
    other = next(generate(1, seed=4))
    assert other.recipe.id != dishes[0].recipe.id
    assert other.images[0].tobytes() != dishes[0].images[0].tobytes()


def test_gaps_do_not_shift_what_remains(dishes):
    gappy = list(generate(30, seed=3, title_only=0.5, photoless=0.5, photos_per_recipe=1.5))
    train = [dish for dish in gappy if dish.split == "train"]
    assert 0 < sum(not dish.recipe.ingredients for dish in train) < len(train)
    assert 0 < sum(not dish.images for dish in train) < len(train)
    assert {len(dish.images) for dish in gappy} == {0, 1, 2}
    for dish, full in zip(gappy, dishes, strict=False):
        assert dish.recipe.title == full.recipe.title
        assert dish.recipe.ingredients in ((), full.recipe.ingredients)
        if dish.images:
            assert dish.images[0].tobytes() == full.images[0].tobytes()
        if not dish.recipe.ingredients:
            assert all(region.line is None for regions in dish.regions for region in regions)
        if dish.split != "train":
            assert dish.images
            assert not dish.recipe.missing


def test_ids_are_unique_hex_and_unrelated(dishes):
    recipes = [dish.recipe.id for dish in dishes]
    photos = [photo for dish in dishes for photo in dish.photo_ids]
    assert len({*recipes, *photos}) == len(recipes) + len(photos)
    assert all(len(i) == 10 and int(i, 16) >= 0 for i in recipes + photos)
    assert len({_hex_id(i, 0) for i in range(50_000)}) == 50_000


def test_splits_have_their_shares_in_every_prefix(dishes):
    for n in (10, 30, N):
        counts = Counter(dish.split for dish in dishes[:n])
        assert [counts[s] / n for s in ("train", "val", "test")] == pytest.approx([0.7, 0.1, 0.2], abs=0.11)


def test_regions_are_exact_disjoint_and_inside(dishes):
    for dish in dishes:
        (image,), (regions,) = dish.images, dish.regions
        assert image.size == (274, 169)
        assert regions
        masks = np.stack([region.mask for region in regions])
        assert masks.shape[1:] == (169, 274)
        assert masks.any(axis=(1, 2)).all()
        assert masks.sum(axis=0).max() == 1
        for region in regions:
            x0, y0, x1, y1 = region.box
            inside = np.zeros_like(region.mask)
            inside[y0:y1, x0:x1] = True
            assert not (region.mask & ~inside).any()
            crop = region.mask[y0:y1, x0:x1]
            assert crop[0].any()
            assert crop[-1].any()
            assert crop[:, 0].any()
            assert crop[:, -1].any()


def test_the_line_of_a_region_names_its_ingredient(dishes):
    for dish in dishes:
        for region in dish.regions[0]:
            line = dish.recipe.ingredients[region.line]
            assert any(word in line for form in FOODS[region.ingredient].forms for word in form)


def test_steps_mention_what_is_seen(dishes):
    for dish in dishes:
        steps = " ".join(dish.recipe.instructions)
        for region in dish.regions[0]:
            forms = [word.removeprefix("fried ") for form in FOODS[region.ingredient].forms for word in form]
            assert any(word in steps for word in forms), (region.ingredient, steps)


def test_words_vary_and_leave_things_out(dishes):
    lines = Counter(line for dish in dishes for line in dish.recipe.ingredients)
    assert len(lines) > 250
    assert any("zucchini" in line for line in lines)
    assert any("courgette" in line for line in lines)
    for dish in dishes:
        assert len(dish.recipe.ingredients) > len(dish.regions[0])  # salt, oil and the like are never seen
    listed = [
        sum(r.ingredient in d.recipe.title.lower() for r in d.regions[0]) / len(d.regions[0]) for d in dishes
    ]
    assert np.mean(listed) < 0.5


def test_pixels_of_a_region_look_like_its_ingredient(dishes):
    """The light changes colours, so one region proves little; over many, own colours are much nearer."""
    rng = np.random.default_rng(0)
    own, other = [], []
    for dish in dishes:
        pixels = np.asarray(dish.images[0]) / 255
        for region in dish.regions[0]:
            if region.mask.sum() < 60:
                continue
            mean = pixels[region.mask].mean(axis=0)
            stranger = list(FOODS)[int(rng.integers(len(FOODS)))]
            for distances, name in ((own, region.ingredient), (other, stranger)):
                colours = [rgb(c) for c in FOODS[name].look.colours]
                distances.append(min(np.linalg.norm(mean - c) for c in colours))
    assert len(own) > 150
    assert np.mean(own) < 0.7 * np.mean(other)
    assert np.mean(np.array(own) < np.array(other)) > 0.7


def test_cooking_changes_the_look():
    from savor.datasets.toy_kitchen.sprites import sprite

    look = FOODS["aubergines"].look
    raw, grilled = (np.asarray(sprite(look, state, 0).rgb).mean() for state in ("raw", "grilled"))
    assert grilled < 0.85 * raw


def test_every_food_is_used_and_every_choice_exists():
    choices = {name for kind in KINDS.values() for slot in kind.slots for name in slot.choices}
    assert choices == set(FOODS)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=12)))
def test_rle_round_trip(mask):
    runs = encode_rle(mask)
    assert all(run > 0 for run in runs[1:])
    assert sum(runs[1::2]) == mask.sum()
    assert np.array_equal(decode_rle(runs, mask.shape), mask)


@pytest.mark.parametrize("runs", [[3], [5], [-1, 5], []])
def test_rle_refuses_what_does_not_cover_the_picture(runs):
    with pytest.raises(DataError, match="2 x 2"):
        decode_rle(runs, (2, 2))


def regions_by_photo(out):
    rows = [json.loads(line) for line in (out / "regions.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["photo"]: row for row in rows}


def test_plain_folder(tmp_path, dishes):
    out = write(tmp_path / "toy", n=8, seed=3)
    recipes = [json.loads(line) for line in (out / "recipes.jsonl").read_text(encoding="utf-8").splitlines()]
    regions = regions_by_photo(out)
    assert [r["id"] for r in recipes] == [dish.recipe.id for dish in dishes[:8]]
    for recipe, dish in zip(recipes, dishes, strict=False):
        assert tuple(recipe["ingredients"]) == dish.recipe.ingredients
        assert tuple(recipe["instructions"]) == dish.recipe.instructions
        assert recipe["partition"] == dish.split
        (photo,) = recipe["photos"]
        row = regions[photo]
        with Image.open(out / photo) as image:
            assert list(image.size) == row["size"]
        width, height = row["size"]
        for stored, region in zip(row["regions"], dish.regions[0], strict=True):
            assert np.array_equal(decode_rle(stored["rle"], (height, width)), region.mask)
            assert stored["area"] == region.mask.sum()
            assert tuple(stored["box"]) == region.box


def test_recipe1m_layout(tmp_path):
    out = write(tmp_path / "toy", n=20, seed=3, layout="recipe1m", photoless=0.3)
    layer1 = json.loads((out / "layer1.json").read_text(encoding="utf-8"))
    layer2 = json.loads((out / "layer2.json").read_text(encoding="utf-8"))
    partition = {recipe["id"]: recipe["partition"] for recipe in layer1}
    assert len(layer1) == 20 > len(layer2) > 0
    assert list(layer1[0]) == ["ingredients", "url", "partition", "title", "id", "instructions"]
    assert all(set(line) == {"text"} for recipe in layer1 for line in recipe["ingredients"])
    members = set()
    for split in ("train", "val", "test"):
        with tarfile.open(out / "images" / f"{split}.tar") as tar:
            for member in tar:
                members.add(member.name)
                Image.open(io.BytesIO(tar.extractfile(member).read())).verify()
    named = [(partition[entry["id"]], image["id"]) for entry in layer2 for image in entry["images"]]
    assert members == {"/".join((split, *name[:4], name)) for split, name in named}
    assert members == set(regions_by_photo(out))


def test_writing_twice_does_nothing(tmp_path):
    out = write(tmp_path, n=2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    write(tmp_path, n=2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize("layout", ["folder", "recipe1m"])
def test_an_interrupted_run_is_completed(tmp_path, monkeypatch, layout):
    from savor.datasets.toy_kitchen import writing

    whole = write(tmp_path / "whole", n=4, layout=layout)
    real, calls = writing._jpeg, []

    def power_cut(dish, k):
        calls.append(k)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(dish, k)

    monkeypatch.setattr(writing, "_jpeg", power_cut)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "half", n=4, layout=layout)
    half = write(tmp_path / "half", n=4, layout=layout)
    files = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(p.relative_to(half) for p in half.rglob("*") if p.is_file())
    assert all((whole / file).read_bytes() == (half / file).read_bytes() for file in files)


def test_foreign_folders_and_other_settings_are_refused(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="not empty"):
        write(foreign, n=2)
    (foreign / "toy.json").write_text("[]")
    with pytest.raises(DataError, match="not empty"):
        write(foreign, n=2)
    out = write(tmp_path / "toy", n=2)
    with pytest.raises(DataError, match="other settings"):
        write(out, n=3)
    assert (foreign / "letter.txt").read_text() == "dear"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "toy"):
        with pytest.raises(DataError, match="file"):
            write(place, n=1)


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"n": -3},
        {"seed": -1},
        {"splits": (0.5, 0.1, 0.2)},
        {"splits": (1.2, -0.2, 0.0)},
        {"title_only": 1.5},
        {"photoless": -0.1},
        {"photos_per_recipe": 3},
        {"size": (0, 100)},
        {"layout": "zip"},
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, options):
    with pytest.raises(UsageError, match="toy kitchen"):
        write(tmp_path / "toy", **{"n": 1, **options})
    assert not (tmp_path / "toy").exists()
