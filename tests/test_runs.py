"""Runs: what is saved is what is opened, and a folder that is no run is refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from savor.errors import FeaturesError, MethodError
from savor.features import Features
from savor.methods.cca import CCA
from savor.runs import describe, open_run, read_config, save_run, write_config


@pytest.fixture(scope="module")
def features(pairs_features: Path) -> Features:
    return Features.open(pairs_features)


@pytest.fixture
def folder(features: Features, tmp_path: Path) -> Path:
    """A finished run."""
    method = CCA.build(features.dims, {"dim": 4, "text": "title"}).fit(features)
    save_run(tmp_path, method, describe("cca", method, features, seed=7))
    return tmp_path


def rewrite(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_run_says_how_it_was_made(folder: Path, features: Features) -> None:
    run = open_run(folder)
    assert run.config["seed"] == 7
    assert run.config["options"] == {**CCA.defaults(), "dim": 4, "text": "title"}
    assert run.config["data"] == features.fingerprint
    assert run.config["finished"]
    assert run.method.options == run.config["options"]
    assert "\n" in (folder / "config.json").read_text()
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}


def test_the_fingerprint_is_that_of_the_weights(folder: Path, features: Features) -> None:
    before = open_run(folder).fingerprint
    rewrite(folder, seed=8)
    assert open_run(folder).fingerprint == before
    method = open_run(folder).method
    with torch.no_grad():
        method.image_tower.bias += 1
    save_run(folder, method, describe("cca", method, features))
    assert open_run(folder).fingerprint != before


def test_features_of_other_encoders_are_refused(
    folder: Path, features: Features, write_features, tmp_path
) -> None:
    run = open_run(folder)
    run.check(features)
    vectors = [torch.randn(1, 24).numpy()] * 2
    lines = dict.fromkeys(("title", "ingredients", "instructions"), [torch.randn(1, 16).numpy()] * 2)
    other = Features.open(write_features(tmp_path / "other", vectors, lines, encoder="clip"))
    with pytest.raises(FeaturesError, match=r"image encoder \(clip-image\) is not what .* \(vectors-image\)"):
        run.check(other)


def test_an_encoder_may_move_but_not_change(folder: Path, features: Features, monkeypatch) -> None:
    run = open_run(folder)
    described = {"name": "elsewhere", "weights": "vectors", "runtime": {"dtype": "bf16"}}
    monkeypatch.setitem(features.manifest["encoders"], "text", described)
    run.check(features)
    monkeypatch.setitem(described, "weights", "others")
    with pytest.raises(FeaturesError, match="text encoder"):
        run.check(features)


def test_a_run_knows_the_grid_of_its_patches(pairs_features: Path, folder: Path, toy_features: Path) -> None:
    assert open_run(folder).grid == Features.open(pairs_features).grid == (2, 2)
    rewrite(folder, grid=None)
    assert open_run(folder).grid is None
    features = Features.open(toy_features)
    method = CCA.build(features.dims, {"dim": 4})
    assert describe("cca", method, features)["grid"] == [3, 3]
    del features.manifest["fields"]["patches"]
    assert describe("cca", method, features)["grid"] is None


def test_patches_on_another_grid_are_refused_where_they_are_read(
    folder: Path, features: Features, monkeypatch
) -> None:
    rewrite(folder, grid=[3, 4])
    open_run(folder).check(features)  # `cca` reads no patches
    monkeypatch.setattr(CCA, "uses", ("image", "lines", "patches"))
    with pytest.raises(FeaturesError, match=r"on a grid of 2 x 2, .* was trained on 3 x 4; extract"):
        open_run(folder).check(features)
    for grid in ([2, 2], None):
        rewrite(folder, grid=grid)
        open_run(folder).check(features)


def test_no_run_at_all(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None
    with pytest.raises(
        MethodError, match=r"no run here \(config.json is missing\); make one with `savor train`"
    ):
        open_run(tmp_path)


def test_an_unfinished_run_says_how_to_finish_it(folder: Path) -> None:
    rewrite(folder, finished=False)
    with pytest.raises(MethodError, match="interrupted; the same `savor train` command finishes it"):
        open_run(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[1]", "not the configuration of a run"),
        (b'{"architectures": ["ViTModel"]}', "not the configuration of a run; name another folder"),
        (b'{"format": 9}', "format 9, this version of Savor reads format 1"),
        (b'{"format": 1, "finished": true}', "damaged \\(no 'method'\\)"),
    ],
)
def test_a_configuration_that_is_none(text: bytes, message: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(text)
    with pytest.raises(MethodError, match=message):
        open_run(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "deep_thought"}, "no method 'deep_thought'"),
        ({"options": {"dim": 4, "depth": 2}}, "no option 'depth'"),
        ({"dims": {"image": 25, "text": 16}}, "model.safetensors: missing or damaged .*size mismatch"),
        ({"dims": {"width": 25}}, "config.json: damaged .*'width'"),
    ],
)
def test_a_configuration_that_does_not_fit(changes: dict, message: str, folder: Path) -> None:
    rewrite(folder, **changes)
    with pytest.raises(MethodError, match=message):
        open_run(folder)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_damaged_weights_are_named(damage: str, folder: Path) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        file.write_bytes({"empty": b"", "cut": data[:-9], "garbage": b"\x00" * 64}[damage])
    with pytest.raises(MethodError, match=r"model\.safetensors: missing or damaged .*train again"):
        open_run(folder)


def test_a_kill_while_writing_leaves_the_old_configuration(folder: Path, monkeypatch) -> None:
    before = (folder / "config.json").read_bytes()
    monkeypatch.setattr(Path, "replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_config(folder, {"format": 1})
    assert (folder / "config.json").read_bytes() == before
