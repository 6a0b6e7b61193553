"""`savor evaluate` and `savor embed`: the report's keys, what is written where, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from savor.cli import main
from savor.evaluation import QueryRanks
from savor.features import Features

DIRECTION = {"medR", "MRR", "R@1", "R@5", "R@10", "ci95"}
KEYS = {
    *("image_to_recipe", "recipe_to_image", "pool", "draws", "protocol", "tie_rule", "seed", "train_seed"),
    *("split", "data", "encoders", "scorer", "command"),
}


@pytest.fixture(scope="module")
def trained(pairs_features: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "cca"
    arguments = ["train", "cca", "--features", str(pairs_features), "--out", str(out), "--seed", "5"]
    assert main(arguments) == 0
    return out


@pytest.fixture
def run(trained: Path, pairs_features: Path, capsys):
    """Run `savor evaluate` or `savor embed`; return the exit code, standard output and standard error."""

    def go(verb: str, *arguments: object, folder: object = trained, features: object = pairs_features):
        code = main([verb, str(folder), "--features", str(features), *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def test_a_table_for_the_terminal(run) -> None:
    code, out, err = run("evaluate")
    assert (code, err) == (0, "")
    assert "medR" in out
    assert "split: val" in out
    assert "60 pairs" in out


def test_json_has_the_keys_of_the_interfaces(run, pairs_features: Path) -> None:
    code, out, err = run("evaluate", "--json", "-", "--split", "test", "--tie-rule", "pessimistic")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert set(report) >= KEYS
    for direction in ("image_to_recipe", "recipe_to_image"):
        assert set(report[direction]) >= DIRECTION
        assert set(report[direction]["ci95"]) == DIRECTION - {"ci95"}
        assert 0 < report[direction]["R@1"] <= report[direction]["R@5"] <= report[direction]["R@10"] <= 1
    expected = {
        "pool": 60,
        "draws": 1,
        "protocol": "full",
        "tie_rule": "pessimistic",
        "train_seed": 5,
        "split": "test",
        "data": Features.open(pairs_features).fingerprint,
        "scorer": "cosine",
        "encoders": {"image": "vectors-image (frozen)", "text": "vectors-text (frozen)"},
    }
    assert {key: report[key] for key in expected} == expected


def test_validation_is_the_default_and_agrees_with_training(run, trained: Path) -> None:
    report = json.loads(run("evaluate", "--json", "-")[1])
    assert report["split"] == "val"
    val = json.loads((trained / "config.json").read_text())["val"]
    for direction, scores in val.items():
        assert scores == pytest.approx({name: report[direction][name] for name in scores})


def test_files_beside_the_table(run, tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "md", "npz")}
    code, out, _ = run(
        "evaluate", "--json", files["json"], "--markdown", files["md"], "--scores", files["npz"]
    )
    assert code == 0
    assert "medR" in out
    report = json.loads(files["json"].read_text())
    assert files["md"].read_text().startswith("| direction | medR")
    queries = QueryRanks.load(files["npz"])
    assert queries.ids.shape == (1, 60)
    ranks = queries.ranks["image_to_recipe"]
    assert np.mean(ranks <= 10) == report["image_to_recipe"]["R@10"]


def test_markdown_on_standard_output_comes_alone(run) -> None:
    code, out, _ = run("evaluate", "--markdown", "-")
    assert code == 0
    assert all(line.startswith(("|", "- ")) for line in out.splitlines() if line)


def test_embeddings_as_a_file(run, pairs_features: Path, tmp_path: Path) -> None:
    file = tmp_path / "train.npz"
    assert run("embed", "--split", "train", "--out", file) == (0, "", "")
    with np.load(file, allow_pickle=False) as found:
        assert set(found.files) == {"ids", "image", "recipe"}
        assert found["ids"].dtype.kind == "U"
        assert found["ids"].tolist() == sorted(found["ids"].tolist())
        assert len(found["ids"]) == 300
        for side in ("image", "recipe"):
            assert found[side].dtype == np.float32
            assert np.allclose(np.linalg.norm(found[side], axis=1), 1, atol=1e-5)


def test_embeddings_are_those_of_the_report(run, tmp_path: Path) -> None:
    from savor.evaluation import evaluate

    run("embed", "--split", "val", "--out", tmp_path / "val.npz")
    with np.load(tmp_path / "val.npz") as found:
        report = evaluate(found["image"], found["recipe"], ids=found["ids"])
    shown = json.loads(run("evaluate", "--json", "-")[1])
    assert shown["recipe_to_image"]["MRR"] == report.results["recipe_to_image"].values["MRR"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "--split", "tset"), 2, "no split 'tset'; it has test, train, val"),
        (("evaluate", "--protocol", "2k"), 1, "protocol '2k' is unknown; use one of full"),
        (("evaluate", "--protocol", "1k"), 1, "60"),
        (("evaluate", "--tie-rule", "random"), 1, "tie rule 'random' is unknown; use one of"),
        (("evaluate", "--bootstrap", "0"), 2, "--bootstrap"),
        (("evaluate", "--json", "-", "--markdown", "-"), 2, "only one of them fits on standard output"),
        (("evaluate", "--json", "/nowhere/report.json"), 1, "/nowhere/report.json: No such file"),
        (("embed", "--split", "val", "--out", "embeddings.json"), 2, "name it .npz"),
        (("embed", "--split", "vla", "--out", "x.npz"), 2, "no split 'vla'"),
        (("embed", "--out", "x.npz"), 2, "--split"),
    ],
)
def test_bad_input(run, arguments: tuple, code: int, message: str) -> None:
    found, out, err = run(*arguments)
    assert found == code
    assert "medR" not in out
    assert message in err
    assert "Traceback" not in err


def test_features_of_other_encoders(run, toy_features: Path) -> None:
    code, out, err = run("evaluate", features=toy_features)
    assert (code, out) == (1, "")
    assert "its image encoder (fake-image) is not what" in err


@pytest.mark.parametrize("damage", ["unfinished", "config", "weights", "missing weights", "other"])
def test_a_run_that_cannot_be_opened(run, trained: Path, tmp_path: Path, damage: str) -> None:
    folder = shutil.copytree(trained, tmp_path / "run")
    config, weights = folder / "config.json", folder / "model.safetensors"
    if damage == "unfinished":
        config.write_text(json.dumps({**json.loads(config.read_text()), "finished": False}))
    elif damage == "config":
        config.write_text(config.read_text()[:50])
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:500])
    elif damage == "missing weights":
        weights.unlink()
    else:
        config.write_text('{"model_type": "bert"}')
    message = {
        "unfinished": "the same `savor train` command finishes it",
        "config": "config.json: damaged",
        "weights": "model.safetensors: missing or damaged",
        "missing weights": "model.safetensors: missing or damaged",
        "other": "not the configuration of a run",
    }[damage]
    for verb, options in (("evaluate", ()), ("embed", ("--split", "val", "--out", tmp_path / "x.npz"))):
        code, out, err = run(verb, *options, folder=folder)
        assert (code, out) == (1, "")
        assert message in err
    assert not (tmp_path / "x.npz").exists()


def test_a_split_without_pairs(run, write_features, tmp_path: Path, pairs_features: Path) -> None:
    features = Features.open(pairs_features)
    batch = features.batch(np.arange(12), ("image", "lines"))
    parts = {part: [np.zeros((0, 16))] * 12 for part in ("title", "ingredients", "instructions")}
    textless = write_features(tmp_path / "f", batch.image[:, None].numpy(), parts)
    code, _, err = run("evaluate", "--split", "train", features=textless)
    assert code == 2
    assert "no recipe of 'train' has both a photo and text" in err
