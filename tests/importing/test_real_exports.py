"""Real exports of other applications, where SAVOR_EXPORTS names the folder that holds them."""

import json
import os
from pathlib import Path

import pytest

from savor.datasets import open_dataset
from savor.datasets.check import check_dataset
from savor.importing.finding import find
from savor.importing.writing import write
from savor.recipe import Section

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("SAVOR_EXPORTS" not in os.environ, reason="needs real exports in SAVOR_EXPORTS"),
]
# Counted in the files themselves: recipes, lines of ingredients, steps, headings, servings, times, tags with
# categories, recipes with notes, photos, skipped.
COUNTS = {
    "mealie.zip": (3, 33, 24, 2, 1, 4, 3, 3, 3, 0),
    "mealie-backup.zip": (349, 4107, 1863, 1888, 349, 575, 629, 349, 0, 0),
    "nextcloud.zip": (3, 31, 17, 0, 3, 9, 9, 3, 2, 0),
    "tandoor.zip": (1, 12, 5, 1, 1, 1, 4, 0, 1, 0),
    "chowdown.zip": (2, 8, 9, 0, 0, 0, 4, 2, 2, 0),
    "cooklang": (2, 14, 14, 0, 1, 1, 9, 1, 0, 0),
    "pages": (6, 47, 29, 0, 5, 9, 26, 6, 0, 1),
}


@pytest.mark.parametrize("name", COUNTS)
def test_everything_is_counted(tmp_path, name):
    source = Path(os.environ["SAVOR_EXPORTS"]) / name
    report = write(find(source), tmp_path)
    pairs = list(open_dataset(tmp_path).pairs())
    recipes = [pair.recipe for pair in pairs]
    lines = [line for recipe in recipes for line in (*recipe.ingredients, *recipe.instructions)]
    assert (
        len(recipes),
        sum(len(recipe.lines("ingredients")) for recipe in recipes),
        sum(len(recipe.lines("instructions")) for recipe in recipes),
        sum(isinstance(line, Section) for line in lines),
        sum(bool(recipe.servings) for recipe in recipes),
        sum(len(recipe.times) for recipe in recipes),
        sum(len(recipe.tags) + bool(recipe.category) for recipe in recipes),
        sum(bool(recipe.notes) for recipe in recipes),
        sum(len(pair.photos) for pair in pairs),
        report.counts["skipped"],
    ) == COUNTS[name]
    assert not check_dataset(open_dataset(tmp_path)).problems
    assert {one.status for one in write(find(source), tmp_path).recipes} <= {"unchanged", "skipped"}


def test_no_account_of_the_backup_is_kept(tmp_path):
    import zipfile

    source = Path(os.environ["SAVOR_EXPORTS"]) / "mealie-backup.zip"
    with zipfile.ZipFile(source) as archive:
        users = json.loads(archive.read("database.json"))["users"]
    write(find(source), tmp_path)
    kept = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())
    for user in users:
        for secret in ("id", "email", "username", "full_name", "password"):
            assert str(user[secret]) not in kept
