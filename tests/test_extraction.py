"""Extraction: a kill at any moment costs one shard at most, and no photo or mismatch goes unnoticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from savor import extraction
from savor.datasets import open_dataset
from savor.errors import DataError, FeaturesError
from savor.extraction import Progress, estimate_disk, extract, measure, time_encoders
from savor.features import Features

SHARDS = 4  # of 12 recipes in shards of 3


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """Twelve recipes: one without photo, one with two, one without a line of text, one with a bad photo."""
    folder = tmp_path / "kitchen"
    folder.mkdir()
    records = []
    for k in range(12):
        Image.new("RGB", (20 + k, 16), (20 * k, 255 - 20 * k, 90)).save(folder / f"{k}.png")
        records.append(
            {
                "id": f"r{k}",
                "title": f"Dish number {k}",
                "ingredients": [f"{k} eggs", "salt"],
                "photos": [f"{k}.png"],
                "partition": "train",
            }
        )
    records[2]["photos"] = []
    records[4]["photos"] = ["4.png", "5.png"]
    records[6] |= {"title": " ", "ingredients": []}
    (folder / "7.png").write_bytes(b"\x89PNG\r\n\x1a\nthis is no picture")
    (folder / "recipes.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture
def run(kitchen: Path, fake_image: type, fake_text: type):
    """Extract the kitchen with fresh encoders, or those given."""

    def go(out: Path, *, data: Path = kitchen, image=None, text=None, **options):
        return extract(
            open_dataset(data), out, image or fake_image(), text or fake_text(),
            **{"grid": (2, 2), "tokens": True, "shard_size": 3, **options},
        )  # fmt: skip

    return go


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def whole(run, tmp_path: Path) -> dict[str, bytes]:
    """What an uninterrupted extraction writes."""
    run(tmp_path / "whole")
    return contents(tmp_path / "whole")


@pytest.mark.parametrize("kind", ["image", "text"])
@pytest.mark.parametrize("call", range(1, SHARDS + 1))
def test_interrupted_in_an_encoder(
    kind: str, call: int, run, whole, tmp_path: Path, fake_image: type, fake_text: type
) -> None:
    encoder = (fake_image if kind == "image" else fake_text)()
    encoder.fail_at = call
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", **{kind: encoder})
    run(tmp_path / "out")
    assert contents(tmp_path / "out") == whole


WRITES = {
    "values": ("np.save", 2),
    "offsets of a later shard": ("np.save", 35),
    "checksums": ("checksum", 20),
    "rename of the first shard": ("Path.rename", 1),
    "rename of the third shard": ("Path.rename", 3),
    "first manifest": ("Path.replace", 1),
    "manifest after a renamed shard": ("Path.replace", 3),
    "last manifest": ("Path.replace", SHARDS + 2),
    "manifest half written": ("Path.write_text", 2),
    "texts": ("json.dumps", 6),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", WRITES)
def test_killed_at_a_step_of_writing(step: str, after: bool, run, whole, tmp_path: Path, monkeypatch) -> None:
    name, fatal = WRITES[step]
    owner = {"np": np, "Path": Path, "json": json}.get(name.partition(".")[0], extraction)
    attribute = name.rpartition(".")[2]
    original, calls = getattr(owner, attribute), 0

    def dying(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == fatal and not after:
            raise KeyboardInterrupt
        result = original(*arguments, **options)
        if calls == fatal:
            raise KeyboardInterrupt
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, attribute, dying)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out")
    run(tmp_path / "out")
    assert contents(tmp_path / "out") == whole


def test_finished_shards_are_not_encoded_again(run, tmp_path: Path, fake_image: type) -> None:
    encoder = fake_image()
    encoder.fail_at = 4
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", image=encoder)
    again, seen = fake_image(), []
    run(tmp_path / "out", image=again, on_progress=lambda progress: seen.append(progress.recipes))
    assert again.calls == 1
    assert seen == [9, 12]


def test_a_finished_extraction_calls_no_encoder(run, whole, tmp_path: Path, fake_image, fake_text) -> None:
    image, text = fake_image(), fake_text()
    run(tmp_path / "whole", image=image, text=text)
    assert image.calls == text.calls == 0
    assert contents(tmp_path / "whole") == whole


def test_a_bad_photo_is_in_the_manifest_and_stops_nothing(run, tmp_path: Path) -> None:
    manifest = run(tmp_path / "out")
    (failed,) = manifest["failed_photos"]
    assert (failed["photo"], failed["recipe"]) == ("7.png", "r7")
    assert "7.png" in failed["reason"]
    features = Features.open(tmp_path / "out")
    assert len(features) == 12
    assert features.has_photo.tolist() == [k not in (2, 7) for k in range(12)]
    assert features.photo_ids(4) == ["4.png", "5.png"]
    assert features.photo_ids(7) == []


def test_a_recipe_without_text_or_photo_keeps_its_place(run, tmp_path: Path) -> None:
    run(tmp_path / "out")
    features = Features.open(tmp_path / "out")
    assert features.has_text.tolist() == [k != 6 for k in range(12)]
    batch = features.batch(np.array([2, 6]), ("image", "lines"))
    assert batch.image_mask.tolist() == [False, True]
    assert batch.title_mask.tolist() == [True, False]
    assert batch.ingredients_mask.tolist() == [[True, True], [False, False]]
    assert batch.instructions_mask.tolist() == [[False], [False]]


def test_photos_keep_their_order_across_chunks(kitchen, run, tmp_path, fake_image) -> None:
    run(tmp_path / "out", shard_size=100)
    features = Features.open(tmp_path / "out")
    for k in (0, 3, 8, 11):
        with Image.open(kitchen / f"{k}.png") as picture:
            alone = fake_image().encode([picture]).pooled[0].half().float()
        assert np.array_equal(features.batch(np.array([k]), ("image",)).image[0], alone)


def test_photos_alone_make_a_feature_folder(toy_folder: Path, tmp_path: Path, run) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(toy_folder.rglob("*.jpg"))[:5]:
        shutil.copy(path, photos)
    run(tmp_path / "out", data=photos)
    features = Features.open(tmp_path / "out")
    assert features.has_photo.all()
    assert not features.has_text.any()
    assert len(features.rows("all", photo=True)) == 5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("image encoder", "another image encoder"),
        ("text encoder", "another text encoder"),
        ("grid", r"another patches \(\[2, 2\], now \[3, 3\]\)"),
        ("no grid", r"another patches \(\[2, 2\], now null\)"),
        ("tokens", "another tokens"),
        ("shard size", "another shard_size"),
        ("data", "another data fingerprint"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_a_mismatch_is_named_and_nothing_is_touched(
    change: str, named: str, finished: bool, run, kitchen, tmp_path, fake_image, fake_text
) -> None:
    interrupted = fake_image()
    interrupted.fail_at = 0 if finished else 3
    try:
        run(tmp_path / "out", image=interrupted)
    except KeyboardInterrupt:
        assert not finished
    before = contents(tmp_path / "out")
    options = {
        "image encoder": {"image": fake_image("2")},
        "text encoder": {"text": fake_text("2")},
        "grid": {"grid": (3, 3)},
        "no grid": {"grid": None},
        "tokens": {"tokens": False},
        "shard size": {"shard_size": 5},
        "data": {},
    }[change]
    if change == "data":
        file = kitchen / "recipes.jsonl"
        file.write_text(file.read_text().replace("Dish number 11", "Dish number eleven"))
    with pytest.raises(FeaturesError, match=named):
        run(tmp_path / "out", **options)
    assert contents(tmp_path / "out") == before


def test_somebody_elses_folder_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "shard-00000").mkdir()
    (tmp_path / "shard-00000" / "thesis.doc").write_text("ten years of work")
    with pytest.raises(FeaturesError, match="not empty and no feature folder"):
        run(tmp_path)
    assert (tmp_path / "shard-00000" / "thesis.doc").exists()


def test_an_empty_data_set_is_an_error_and_leaves_no_folder(run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "recipes.jsonl").write_text("")
    with pytest.raises(DataError, match="0 recipes read; `savor data check"):
        run(tmp_path / "out", data=data)
    assert not (tmp_path / "out").exists()


def test_progress_counts_every_recipe_and_photo(run, kitchen, tmp_path) -> None:
    seen: list[tuple[int, int]] = []

    def note(progress: Progress) -> None:
        seen.append((progress.recipes, progress.photos))
        assert progress.total == measure(open_dataset(kitchen))

    run(tmp_path / "out", on_progress=note)
    assert seen == [(0, 0), (3, 2), (6, 6), (9, 9), (12, 12)]


def test_the_estimate_of_the_disk_is_about_right(run, toy_folder: Path, tmp_path: Path) -> None:
    run(tmp_path / "out", data=toy_folder, shard_size=512)
    estimated = estimate_disk(measure(open_dataset(toy_folder)), 12, 16, 4, tokens=False)
    run(tmp_path / "lean", data=toy_folder, shard_size=512, tokens=False)
    real = sum(len(data) for name, data in contents(tmp_path / "lean").items())
    # With vectors this short the headers of the files count too.
    assert 0.5 * real < estimated < 1.5 * real


def test_encoders_are_timed_without_any_photo_or_line(kitchen, tmp_path, fake_image, fake_text) -> None:
    per_photo, per_line = time_encoders(open_dataset(kitchen), fake_image(), fake_text())
    assert per_photo > 0
    assert per_line > 0
    (kitchen / "recipes.jsonl").write_text('{"id": "1", "title": ""}\n')
    assert time_encoders(open_dataset(kitchen), fake_image(), fake_text())[0] < 1
