"""`savor features`: what it says, what it refuses, and that running it again costs nothing."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from savor.cli import main
from savor.features import Features


@pytest.fixture
def encoders(monkeypatch, fake_image: type, fake_text: type):
    """Small encoders in place of the bundled ones; the list of those opened."""
    opened = []

    def install(kind: type):
        def open_encoder(name: str):
            opened.append(kind(name))
            return opened[-1]

        return open_encoder

    monkeypatch.setattr("savor.encoders.open_image_encoder", install(fake_image))
    monkeypatch.setattr("savor.encoders.open_text_encoder", install(fake_text))
    return opened


@pytest.fixture
def run(encoders, toy_folder: Path, tmp_path: Path, capsys):
    """Run `savor features` on the toy kitchen; return the exit code, standard output and standard error."""

    def go(*arguments: object, data: object = toy_folder, out: object = tmp_path / "out"):
        code = main(["features", str(data), "--out", str(out), *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def test_from_a_folder_to_features(run, toy_folder: Path, tmp_path: Path) -> None:
    code, out, err = run("--patches", "--grid", 2, "--tokens")
    assert (code, out) == (0, "")
    assert "60 recipes, 60 photos" in err
    assert "MB on disk and" in err
    features = Features.open(tmp_path / "out")
    assert features.manifest["fields"]["patches"] == {"dim": 12, "grid": [2, 2]}
    assert "words" in features.manifest["fields"]
    assert f"60 recipes, 60 with photo, data {features.fingerprint}" in err


def test_patches_are_pooled_to_seven_by_seven(run, tmp_path: Path) -> None:
    assert run("--patches")[0] == 0
    assert Features.open(tmp_path / "out").manifest["fields"]["patches"]["grid"] == [7, 7]


def test_running_it_again_encodes_nothing(run, encoders) -> None:
    run()
    encoders.clear()
    code, _, err = run("--verify")
    assert code == 0
    assert [one.calls for one in encoders] == [0, 0]
    assert "MB on disk" not in err


def test_interrupted_and_run_again(run, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("savor.extraction._write_shard", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        code, out, err = run()
    assert (code, out) == (130, "")
    assert "interrupted; the same command can be run again" in err
    assert run()[0] == 0
    assert len(Features.open(tmp_path / "out")) == 60


def test_other_encoders_are_refused_by_name(run) -> None:
    run()
    code, out, err = run("--text-encoder", "other")
    assert (code, out) == (1, "")
    assert "made with another text encoder" in err
    assert "name another folder with --out" in err
    assert "made with another patches" in run("--patches")[2]


def test_a_folder_of_something_else_is_refused(run, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("ten years of work")
    code, _, err = run(out=tmp_path)
    assert code == 1
    assert "not empty and no feature folder" in err
    code, _, err = run(out=tmp_path / "thesis.doc")
    assert code == 1
    assert "thesis.doc" in err
    assert (tmp_path / "thesis.doc").read_text() == "ten years of work"


def test_bad_photos_are_named_and_counted(run, toy_folder: Path, tmp_path: Path) -> None:
    data = shutil.copytree(toy_folder, tmp_path / "data")
    for path in sorted(data.rglob("*.jpg"))[:7]:
        path.write_bytes(b"no picture")
    code, out, err = run(data=data)
    assert (code, out) == (0, "")
    assert err.count("warning:") == 6
    assert "7 photos in all could not be read" in err
    assert "60 recipes, 53 with photo" in err
    assert len(json.loads((tmp_path / "out" / "manifest.json").read_text())["failed_photos"]) == 7


def test_excluded_recipes_are_left_out(run, toy_features: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(Features.open(toy_features).ids[:9]))
    assert run("--exclude", tmp_path / "ids.txt")[0] == 0
    assert len(Features.open(tmp_path / "out")) == 51


def test_a_full_disk_is_seen_before_the_work(run, tmp_path: Path, monkeypatch) -> None:
    usage = namedtuple("usage", "total used free")(1, 1, 1000)
    monkeypatch.setattr("savor.cli.features.shutil.disk_usage", lambda path: usage)
    code, _, err = run()
    assert code == 1
    assert "needed; name another disk" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"data": "nowhere"}, 1, "nowhere does not exist"),
        ({"out": "x", "options": ["--exclude", "no-such-file"]}, 1, "no-such-file cannot be read"),
        ({"options": ["--repairs", "magic"]}, 2, "magic"),
        ({"options": ["--patches", "--grid", "0"]}, 2, "--grid"),
    ],
)
def test_bad_input(run, arguments: dict, code: int, message: str, tmp_path: Path) -> None:
    options = arguments.pop("options", [])
    found, out, err = run(*options, **{**arguments, "out": tmp_path / "out"})
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


def test_an_empty_data_set(run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "recipes.jsonl").write_text('{"title": "no id"}\n')
    code, _, err = run(data=data)
    assert code == 1
    assert "0 recipes read; `savor data check" in err


def test_damage_is_found_by_verify(run, tmp_path: Path) -> None:
    run()
    file = tmp_path / "out" / "shard-00000" / "image.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert run()[0] == 0
    code, _, err = run("--verify")
    assert code == 1
    assert "image.npy: its checksum differs" in err
