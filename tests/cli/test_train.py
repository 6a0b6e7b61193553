"""`savor train`: a run out of features, found again, finished after an interruption, never overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from savor.cli import main
from savor.runs import open_run

QUICK = ("--set", "epochs=3", "--set", "batch_size=64", "--set", "dim=8", "--set", "hidden=16")


@pytest.fixture
def run(pairs_features: Path, tmp_path: Path, capsys):
    """Run `savor train`; return the exit code, standard output and standard error."""

    def go(
        method: str, *arguments: object, features: object = pairs_features, out: object = tmp_path / "run"
    ):
        code = main(["train", method, "--features", str(features), "--out", str(out), *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def without_seconds(folder: Path) -> list[dict]:
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]


def test_a_closed_form_run(run, tmp_path: Path) -> None:
    code, out, err = run("cca", "--set", "dim=4", "--set", "text=title")
    assert (code, out) == (0, "")
    assert "cca trained" in err
    config = open_run(tmp_path / "run").config
    assert config["options"]["text"] == "title"
    assert config["splits"] == ["train"]
    assert config["training"] is None
    assert config["command"].startswith("savor")
    assert 0 < config["val"]["image_to_recipe"]["MRR"] < 1


def test_a_trained_run(run, tmp_path: Path) -> None:
    code, out, err = run("triplet_mlp", *QUICK, "--seed", 3)
    assert (code, out) == (0, "")
    assert [line.split()[1] for line in err.splitlines() if line.startswith("epoch")] == ["1", "2", "3"]
    assert "image to recipe: medR" in err
    config = open_run(tmp_path / "run").config
    assert (config["seed"], config["training"]["epochs"], config["options"]["dim"]) == (3, 3, 8)
    log = without_seconds(tmp_path / "run")
    assert config["val"] == log[config["best_epoch"] - 1]["val"]
    assert set(contents(tmp_path / "run")) == {"config.json", "model.safetensors", "log.jsonl"}
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_finished_run_is_left_alone(run, tmp_path: Path, monkeypatch) -> None:
    run("triplet_mlp", *QUICK)
    before = contents(tmp_path / "run")
    monkeypatch.setattr("savor.training.train", lambda *_, **__: pytest.fail("trained again"))
    code, _, err = run("triplet_mlp", *QUICK)
    assert code == 0
    assert "already finished" in err
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("triplet_mlp", *QUICK, "--set", "margin=0.7"), "another options"),
        (("triplet_mlp", *QUICK, "--set", "patience=1"), "another training"),
        (("triplet_mlp", *QUICK, "--seed", 1), "another seed (0, now 1)"),
        (("triplet_mlp", *QUICK, "--split", "val"), "another splits"),
        (("triplet_mlp", *QUICK, "--val-split", "none"), "another val_split (val, now none)"),
        (("triplet_mlp", *QUICK, "--complete"), "another complete"),
        (("cca",), "another method (triplet_mlp, now cca)"),
    ],
)
def test_another_run_is_never_overwritten(run, tmp_path: Path, arguments, named: str) -> None:
    run("triplet_mlp", *QUICK)
    before = contents(tmp_path / "run")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert "name another folder" in err
    assert contents(tmp_path / "run") == before


def test_features_of_other_encoders_do_not_continue_a_run(run, tmp_path: Path, pairs_features: Path) -> None:
    run("cca")
    other = tmp_path / "other"
    other.mkdir()
    for path in pairs_features.iterdir():
        (other / path.name).symlink_to(path)
    manifest = json.loads((pairs_features / "manifest.json").read_text())
    manifest["encoders"]["text"]["weights"] = "others"
    (other / "manifest.json").unlink()
    (other / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("cca", features=other)
    assert code == 2
    assert "features of another text encoder" in err


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [1, 3])
def test_interrupted_then_finished_equals_uninterrupted(run, tmp_path: Path, monkeypatch, epoch: int) -> None:
    def stop():
        def on_epoch(entry: dict) -> None:
            if entry["epoch"] == epoch:
                raise KeyboardInterrupt

        return on_epoch

    assert run("triplet_mlp", *QUICK, out=tmp_path / "whole")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr("savor.cli.train._print_epoch", stop)
        code, out, err = run("triplet_mlp", *QUICK)
    assert (code, out) == (130, "")
    assert "interrupted; the same command can be run again" in err
    assert (tmp_path / "run" / "state.safetensors").exists()
    assert run("triplet_mlp", *QUICK)[0] == 0
    whole, resumed = (contents(tmp_path / name) for name in ("whole", "run"))
    assert whole["model.safetensors"] == resumed["model.safetensors"]
    assert without_seconds(tmp_path / "whole") == without_seconds(tmp_path / "run")
    assert set(whole) == set(resumed)


def test_killed_while_the_first_file_is_written(run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json.part").write_text('{"form')
    assert run("cca")[0] == 0


def test_without_validation(run, tmp_path: Path) -> None:
    for method, settings in (("cca", ()), ("triplet_mlp", QUICK)):
        assert run(method, *settings, "--val-split", "none", out=tmp_path / method)[0] == 0
        config = open_run(tmp_path / method).config
        assert (config["val"], config["best_epoch"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ccaa",), 2, "no method 'ccaa'; choose one of acme"),
        (("cca", "--set", "dmi=3"), 2, "--set dmi: no such option; there are dim="),
        (("cca", "--set", "text=titles"), 2, "choose one of concat, average"),
        (("cca", "--set", "dim"), 2, "write key=value"),
        (("triplet_mlp", "--set", "epochs=0"), 2, "epochs=0: must be at least 1"),
        (("triplet_mlp", "--set", "image_dropout=1.5"), 2, "is a share"),
        (("triplet_mlp", "--set", "learning_rate=1e30", "--set", "epochs=9"), 1, "smaller learning_rate"),
        (("cca", "--split", "trian"), 2, "--split trian: not in"),
        (("cca", "--val-split", "dev"), 2, "has test, train, val"),
        (("cca", "--split", "none"), 2, "--split none"),
        (("cca", "--data", "somewhere"), 2, "reads features only"),
        (("cca", "--seed", "-1"), 2, "--seed"),
    ],
)
def test_bad_input(run, tmp_path: Path, arguments: tuple, code: int, message: str) -> None:
    found, out, err = run(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    if "learning_rate" not in message:
        assert not (tmp_path / "run").exists()


def test_no_features(run, tmp_path: Path) -> None:
    code, _, err = run("cca", features=tmp_path / "nowhere")
    assert code == 1
    assert "make features with `savor features" in err


@pytest.mark.parametrize("there", ["thesis.doc", "config.json"])
def test_a_folder_of_something_else_is_refused(run, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / there).write_text('{"architectures": ["ViTModel"]}')
    code, _, err = run("cca")
    assert code in (1, 2)
    assert "name another folder" in err
    assert contents(folder) == {there: b'{"architectures": ["ViTModel"]}'}


def test_a_damaged_state_is_named(run, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("savor.runs.save_run", interrupt)
        assert run("triplet_mlp", *QUICK)[0] == 130
    (tmp_path / "run" / "state.safetensors").write_bytes(b"\xff" * 99)
    code, _, err = run("triplet_mlp", *QUICK)
    assert code == 1
    assert "state.safetensors: damaged" in err


def test_patches_on_another_grid_do_not_continue_a_run(run, tmp_path: Path, pairs_features: Path) -> None:
    small = [f"--set={word}" for word in ("epochs=1", "dim=8", "width=8", "heads=2", "word_width=0")]
    assert run("two_stream", *small)[0] == 0
    assert "already finished" in run("two_stream", *small)[2]
    other = tmp_path / "features"
    shutil.copytree(pairs_features, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["fields"]["patches"]["grid"] = [1, 4]
    (other / "manifest.json").write_text(json.dumps(manifest))
    code, _, err = run("two_stream", *small, features=other)
    assert code == 2
    assert "holds a run with another grid ([2, 2], now [1, 4])" in err
