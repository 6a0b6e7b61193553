"""The whole way as a newcomer goes it: a folder, features, two methods, a table, embeddings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from savor.cli import main
from savor.datasets.toy_kitchen import write


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small dishes."""
    return write(tmp_path_factory.mktemp("pipeline") / "kitchen", n=30, seed=1, splits=(0.5, 0.2, 0.3))


@pytest.fixture(scope="module")
def features(kitchen: Path) -> Path:
    """Their features by the bundled encoders, whose libraries like to print."""
    out = kitchen.parent / "features"
    done = savor("features", kitchen, "--out", out)
    assert (done.returncode, done.stdout) == (0, "")
    assert "30 recipes" in done.stderr
    return out


def savor(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `savor` in a process of its own."""
    command = [sys.executable, "-m", "savor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["cca", "triplet_mlp"])
def test_from_a_folder_to_a_report(method: str, features: Path, tmp_path: Path, capsys) -> None:
    settings = ["--set", "epochs=3"] if method == "triplet_mlp" else []
    common = ["--features", str(features)]
    run = str(tmp_path / method)
    capsys.readouterr()
    assert main(["train", method, *common, "--out", run, *settings]) == 0
    assert main(["embed", run, *common, "--split", "test", "--out", str(tmp_path / "test.npz")]) == 0
    assert capsys.readouterr().out == ""
    assert main(["evaluate", run, *common, "--split", "test", "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["encoders"] == {"image": "efficientnet-lite2 (frozen)", "text": "minilm (frozen)"}
    with np.load(tmp_path / "test.npz") as found:
        assert len(found["ids"]) == report["pool"] == 9
    # Chance is 5; thirty dishes teach little, but the way must not lose what the encoders know.
    assert report["image_to_recipe"]["medR"] <= 5


@pytest.mark.slow
def test_standard_output_carries_results_only(features: Path, tmp_path: Path, capsys) -> None:
    run = str(tmp_path / "run")
    assert main(["train", "cca", "--features", str(features), "--out", run]) == 0
    done = savor("evaluate", run, "--features", features, "--json", "-")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["pool"] == 6
    capsys.readouterr()
    assert main(["evaluate", run, "--features", str(features), "--protocol", "1k"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("savor: error: ")
    assert shown.err.count("\n") == 1
