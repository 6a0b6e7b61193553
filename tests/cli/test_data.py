import json

import pytest

from savor import cli


@pytest.fixture
def root(tmp_path):
    (tmp_path / "recipes.jsonl").write_text(
        '{"id": "1", "title": "Soup", "partition": "train", "ingredients": ["a"], "instructions": ["b"]}\n'
        '{"id": "2", "title": "Cake", "partition": "val"}\n'
        '{"title": "no id"}\n'
    )
    return tmp_path


def run(*arguments):
    return cli.main(["data", "check", *map(str, arguments)])


def test_prints_the_result_on_standard_output(root, capsys):
    assert run(root) == 0
    captured = capsys.readouterr()
    assert "train" in captured.out
    assert "no id (skipped): 1" in captured.out
    assert "recipes.jsonl line 3" in captured.out
    assert "error" not in captured.err


def test_json_goes_to_a_file_or_to_standard_output_alone(root, tmp_path, capsys):
    assert run(root, "--json", tmp_path / "out.json") == 0
    from_file = json.loads((tmp_path / "out.json").read_text())
    capsys.readouterr()
    assert run(root, "--json", "-") == 0
    assert json.loads(capsys.readouterr().out) == from_file
    assert from_file["splits"]["train"]["complete"] == 1
    assert from_file["splits"]["val"]["title_only"] == 1


def test_exclusion_list_is_read_from_a_file(root, capsys):
    (root / "remove.txt").write_text("1")
    assert run(root, "--exclude", root / "remove.txt", "--json", "-") == 0
    assert list(json.loads(capsys.readouterr().out)["splits"]) == ["val"]


def test_fails_above_the_stated_share_but_prints_the_result(root, capsys):
    (root / "recipes.jsonl").write_text('{"id": "1", "title": "Soup", "photos": ["gone.jpg"]}')
    assert run(root) == 1
    captured = capsys.readouterr()
    assert "missing photo (skipped): 1" in captured.out
    assert "1 of 1 photos (100.0%) are missing or unreadable" in captured.err
    assert run(root, "--max-missing", "1", "--quick") == 0
    assert run(root, "--max-missing", "5") == 2


def test_nothing_read_and_no_dataset_exit_with_1(root, tmp_path, capsys):
    (root / "recipes.jsonl").write_text("{}")
    assert run(root) == 1
    assert "0 recipes read: 1 with no id" in capsys.readouterr().err
    assert run(tmp_path / "nowhere") == 1
    captured = capsys.readouterr()
    assert "does not exist" in captured.err
    assert not captured.out
