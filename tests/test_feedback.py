"""What people say of hits: kept with an index, read again, exported as pairs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image

from savor import Recipe, feedback, open_dataset
from savor.errors import DataError, UsageError
from savor.recipe import Section

SOUP = Recipe("soup", "Soup", ("1 leek", Section("Top"), "chives"), ("Boil.",), category="Soups")
CAKE = Recipe("cake", "Cake")


class Opened:
    def __init__(self, path):
        self.path = path

    def recipe(self, recipe_id):
        return {"soup": SOUP, "cake": CAKE}.get(recipe_id)


@pytest.fixture
def kept(tmp_path):
    (tmp_path / "index").mkdir()
    return Opened(tmp_path / "index")


def picture(colour="red", **save):
    file = BytesIO()
    Image.new("RGB", (40, 30), colour).save(file, "JPEG", **save)
    return file.getvalue()


def test_verdicts_are_kept_in_order_and_the_last_one_counts(kept):
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert feedback.read(kept.path) == []
    first = feedback.keep(kept, "leek soup", "soup", "yes", when=when)
    assert first == feedback.Said("leek soup", False, SOUP, "yes", "2026-01-02T03:04:05+00:00")
    photo = feedback.keep(kept, picture(), "soup", "no")
    assert photo.is_photo
    assert feedback.read(kept.path) == [first, photo]
    assert feedback.keep(kept, picture(), "soup", "yes").query == photo.query
    assert [one.verdict for one in feedback.read(kept.path)] == ["yes", "yes"]


def test_photos_are_kept_without_what_the_camera_wrote(kept, tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    (tmp_path / "dinner.jpg").write_bytes(picture(exif=exif))
    said = feedback.keep(kept, tmp_path / "dinner.jpg", "soup", "yes")
    data = (kept.path / said.query).read_bytes()
    assert b"Camera" not in data
    assert Image.open(BytesIO(data)).size == (40, 30)


def test_an_export_is_a_data_set_of_the_pairs_that_were_right(kept, tmp_path):
    for colour, recipe, verdict in [("red", "soup", "yes"), ("blue", "soup", "yes"), ("red", "cake", "no")]:
        feedback.keep(kept, picture(colour), recipe, verdict)
    feedback.keep(kept, "some cake", "cake", "yes")
    done = feedback.export(kept.path, tmp_path / "out")
    assert done == feedback.Exported(pairs=2, recipes=1, verdicts=4)
    (pair,) = open_dataset(tmp_path / "out").pairs()
    assert pair.recipe == SOUP
    assert len({photo.read() for photo in pair.photos}) == 2
    verdicts = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert [(line["recipe_id"], line["verdict"]) for line in verdicts] == [
        ("soup", "yes"),
        ("soup", "yes"),
        ("cake", "no"),
        ("cake", "yes"),
    ]
    assert verdicts[2]["photo"] == verdicts[0]["photo"]
    assert verdicts[3]["text"] == "some cake"


def test_what_cannot_be_kept_or_exported_is_refused(kept, tmp_path):
    for query, recipe, verdict, message in [
        ("soup", "soup", "maybe", "say yes or no"),
        (" ", "soup", "yes", "blank"),
        ("soup", "pie", "yes", "no recipe with the id 'pie'"),
    ]:
        with pytest.raises(UsageError, match=message):
            feedback.keep(kept, query, recipe, verdict)
    assert not (kept.path / feedback.FILE).exists()
    with pytest.raises(UsageError, match="no feedback is kept"):
        feedback.export(kept.path, tmp_path / "out")
    with pytest.raises(UsageError, match="no such index"):
        feedback.export(tmp_path / "gone", tmp_path / "out")
    said = feedback.keep(kept, picture(), "soup", "yes")
    with pytest.raises(UsageError, match="not empty"):
        feedback.export(kept.path, kept.path)
    (kept.path / said.query).unlink()
    with pytest.raises(DataError, match="is gone"):
        feedback.export(kept.path, tmp_path / "out")


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"verdict": "yes"}', '{"when": "", "verdict": "yes", "photo": "../a", "recipe": {}}']
)
def test_a_line_that_is_no_verdict_is_named(kept, line):
    feedback.keep(kept, "soup", "soup", "yes")
    with (kept.path / feedback.FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="line 2: no verdict"):
        feedback.read(kept.path)
