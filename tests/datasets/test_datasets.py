import pytest

from savor.datasets import open_dataset, read_ids
from savor.datasets.base import photo_bytes
from savor.errors import DataError, PhotoError, UsageError
from savor.recipe import Photo


def test_no_dataset_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"layer1\.json.*recipes\.jsonl.*recipes\.csv.*\.heic"):
        open_dataset(tmp_path)


def test_path_must_be_a_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "recipes.jsonl").write_text("{}")
    with pytest.raises(DataError, match="is a file"):
        open_dataset(tmp_path / "recipes.jsonl")


@pytest.mark.parametrize("names", [("recipes.jsonl", "recipes.csv"), ("layer1.json", "recipes.jsonl")])
def test_two_kinds_in_one_folder_are_refused(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match="move one of them away"):
        open_dataset(tmp_path)


def test_options_are_checked(tmp_path):
    (tmp_path / "recipes.jsonl").write_text('{"id": "1", "title": "one"}')
    with pytest.raises(UsageError, match=r"'slashes'.*slashes-v1, slashes-ht"):
        open_dataset(tmp_path, repairs="slashes")
    with pytest.raises(UsageError, match="collection"):
        open_dataset(tmp_path, exclude="abc")


def test_read_ids_keeps_the_last_line_and_drops_blank_ones(tmp_path):
    file = tmp_path / "ids.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\n\n  b \nc")
    assert read_ids(file) == {"a", "b", "c"}
    with pytest.raises(DataError, match="cannot be read"):
        read_ids(tmp_path / "gone.txt")


def test_size_of_a_vanished_photo_is_a_named_error(tmp_path):
    assert photo_bytes(Photo("a", tmp_path / "a.tar", 0, 5)) == 5
    with pytest.raises(PhotoError, match="vanished"):
        photo_bytes(Photo("a", tmp_path / "a.jpg"))
