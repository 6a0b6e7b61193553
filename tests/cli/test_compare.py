"""`savor compare`: rows run once, go on after an interruption, fail alone and are never mixed up."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from savor.cli import main
from savor.cli.compare import Call, Ended, _evaluate_words
from savor.evaluation import QueryRanks
from savor.features import Features
from savor.tables.base import Comparison, Row, Section, Table, both_ways

QUICK = {"epochs": 2, "batch_size": 64, "dim": 8, "hidden": 16}
FIGURES = both_ways((4, 0.2512, 0.5, 0.75), (5, 0.25, 0.5, 0.75), "read in a book")
CCA = Row("cca_title", "CCA, title", "cca", {"text": "title", "dim": 4}, published=FIGURES)
MLP = Row("mlp", "MLP", "triplet_mlp", QUICK)
GONE = Row("gone", "Gone", "no_such_method")
WRONG = Row("wrong", "Wrong", "triplet_mlp", {**QUICK, "learning_rate": 1e30, "epochs": 9})
EVALUATE_KEYS = {
    *("image_to_recipe", "recipe_to_image", "pool", "draws", "protocol", "tie_rule", "seed", "train_seed"),
    *("split", "data", "encoders", "scorer", "command"),
}


def table(*rows: Row, pairs: tuple[tuple[str, str], ...] = ()) -> Table:
    comparisons = (Comparison("Who is better", pairs),) if pairs else ()
    return Table("Two methods", (Section("All", rows, "A note."),), "a book (other data)", comparisons)


class Spawned:
    """Stands for processes: runs the words here and remembers them; `stop` interrupts before one."""

    def __init__(self) -> None:
        self.words: list[list[str]] = []
        self.stop = ""

    def __call__(self, words: list[str]) -> Ended:
        if self.stop and self.stop in words:
            raise KeyboardInterrupt
        self.words.append(words)
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = main(words)
        return Ended(code, (said.getvalue().strip().splitlines() or [""])[-1], 1.5, 10**8)

    @property
    def verbs(self) -> list[str]:
        return [words[0] for words in self.words]


@pytest.fixture
def spawned(monkeypatch) -> Spawned:
    found = Spawned()
    monkeypatch.setattr(sys.modules["savor.cli.compare"], "_spawn", found)
    return found


@pytest.fixture
def run(pairs_features: Path, tmp_path: Path, monkeypatch, capsys):
    """Run `savor compare` on a table; return the exit code, standard output and standard error."""

    def go(wanted: Table, *arguments: object, features: Path = pairs_features):
        monkeypatch.setattr("savor.tables.find", lambda name: wanted)
        words = ["compare", "tiny", "--features", str(features), "--out", str(tmp_path / "out")]
        code = main([*words, *map(str, arguments)])
        return code, *capsys.readouterr()

    return go


def test_a_table(run, spawned: Spawned, tmp_path: Path) -> None:
    code, out, err = run(table(CCA, MLP, pairs=(("mlp", "cca_title"),)), "--seeds", 2)
    assert code == 0
    assert spawned.verbs == ["train", "evaluate"] * 3  # the closed form once
    assert "[3/3] mlp, seed 1" in err
    folder = tmp_path / "out"
    assert (folder / "tiny.md").read_text() == out
    reports = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(reports) == {"cca_title-seed0-val", "mlp-seed0-val", "mlp-seed1-val"}
    for report in reports.values():
        assert set(report) >= EVALUATE_KEYS
        assert report["train_seconds"] >= 1.5
        assert report["peak_memory"] == 10**8
    report = reports["mlp-seed1-val"]
    assert (report["method"], report["train_seed"], report["split"]) == ("triplet_mlp", 1, "val")
    assert (report["options"]["hidden"], report["training"]["epochs"]) == (16, 2)
    assert report["best_epoch"] in (1, 2)
    assert reports["cca_title-seed0-val"]["best_epoch"] is None
    ranks = QueryRanks.load(folder / "mlp-seed1-val.npz").ranks["image_to_recipe"]
    assert np.mean(ranks <= 10) == report["image_to_recipe"]["R@10"]
    assert not list(folder.glob("*.part"))


def test_the_page_says_what_was_done(run, spawned: Spawned) -> None:
    _, out, _ = run(table(CCA, MLP, pairs=(("mlp", "cca_title"),)), "--seeds", 2)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line[:1] == "|"]
    assert "a book (other data)" in lines[0]
    cca, back, mlp, seeds = lines[2:6]
    assert (cca[0], cca[1], cca[-1]) == ("CCA, title", "image to recipe", "4, 25.12, 50, 75")
    assert (back[0], back[-1]) == ("", "5, 25, 50, 75")
    assert (mlp[-1], seeds[0]) == ("–", "(2 seeds)")
    (tested,) = (line for line in lines if "over `cca_title`" in line[0])
    assert tested[-1] == "2"
    assert all(cell.endswith(("ahead", "behind", "open")) for cell in tested[1:5])
    for fact in (
        *("A note.", "CCA, title: read in a book.", "split: val", "protocol: full", "tie rule: mean"),
        *("data: sha256:444", "vectors-image (frozen)", "```\nsavor", "pairs in a draw: 60", "| 100 "),
    ):
        assert fact in out


def test_finished_rows_are_never_run_again(run, spawned: Spawned, tmp_path: Path) -> None:
    _, first, _ = run(table(CCA, MLP))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-seed*")}
    spawned.words.clear()
    code, again, err = run(table(CCA, MLP))
    assert (code, spawned.words) == (0, [])
    assert "mlp, seed 0: finished before" in err
    assert again == first
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*-seed*")}
    run(table(CCA, MLP), "--seeds", 2)
    assert [words[words.index("--seed") + 1] for words in spawned.words if words[0] == "train"] == ["1"]


@pytest.mark.parametrize("stop", ["train", "evaluate"])
def test_an_interrupted_table_goes_on(run, spawned: Spawned, tmp_path: Path, stop: str) -> None:
    run(table(CCA))
    spawned.stop = stop
    assert run(table(CCA, MLP))[0] == 130
    assert not (tmp_path / "out" / "mlp-seed0-val.json").exists()
    spawned.stop = ""
    weights = tmp_path / "out" / "runs" / "mlp-seed0" / "model.safetensors"
    trained = weights.stat().st_mtime_ns if stop == "evaluate" else None
    assert run(table(CCA, MLP))[0] == 0
    assert trained in (None, weights.stat().st_mtime_ns)


def test_a_kill_between_the_two_files_of_a_row(run, spawned: Spawned, tmp_path: Path) -> None:
    run(table(CCA))
    (tmp_path / "out" / "cca_title-seed0-val.json").unlink()
    (tmp_path / "out" / "cca_title-seed0-val.json.part").write_text('{"im')
    assert run(table(CCA))[0] == 0
    assert json.loads((tmp_path / "out" / "cca_title-seed0-val.json").read_text())["row"] == "cca_title"


def test_a_failing_row_does_not_end_the_table(run, spawned: Spawned, tmp_path: Path) -> None:
    code, out, err = run(table(GONE, WRONG, CCA), "--seeds", 2)
    assert code == 1
    assert "error: failed: gone, seed 0, wrong, seed 0, wrong, seed 1; the same command tries again" in err
    assert "- gone, seed 0: no method 'no_such_method'" in out
    assert "smaller learning_rate" in out
    assert "not finished: `gone`, `wrong`" in out
    assert (tmp_path / "out" / "cca_title-seed0-val.json").exists()
    assert "Traceback" not in err


def other_epochs() -> Row:
    return Row("mlp", "MLP", "triplet_mlp", {**QUICK, "epochs": 3})


@pytest.mark.parametrize(
    ("row", "arguments", "named"),
    [
        (other_epochs(), (), "another training (epochs: 2, now 3)"),
        (Row("mlp", "MLP", "triplet_mlp", {**QUICK, "dim": 4}), (), "another options (dim: 8, now 4)"),
        (Row("mlp", "MLP", "cca"), (), "another method (triplet_mlp, now cca)"),
        (Row("mlp", "MLP", "triplet_mlp", QUICK, complete=True), (), "another complete (False, now True)"),
        (Row("mlp", "MLP", "triplet_mlp", QUICK, version=2), (), "another row version (1, now 2)"),
        (MLP, ("--protocol", "adamine-1k"), "needs a pool of 1000"),
    ],
)
def test_a_row_made_otherwise_is_an_error_before_anything_runs(
    run, spawned: Spawned, tmp_path: Path, row: Row, arguments: tuple, named: str
) -> None:
    run(table(MLP))
    page = (tmp_path / "out" / "tiny.md").read_text()
    spawned.words.clear()
    code, out, err = run(table(CCA, row), *arguments)
    assert (code, out, spawned.words) == (1 if "pool" in named else 2, "", [])
    assert named in err
    assert (tmp_path / "out" / "tiny.md").read_text() == page


@pytest.mark.parametrize(("set_by_the_row", "code"), [(False, 0), (True, 2)])
def test_an_option_that_joined_later_stands_at_its_default(
    run, spawned: Spawned, tmp_path: Path, set_by_the_row: bool, code: int
) -> None:
    run(table(MLP))
    file = tmp_path / "out" / "mlp-seed0-val.json"
    report = json.loads(file.read_text())
    for facts, key in (("options", "margin"), ("training", "clip")):
        del report[facts][key]
    file.write_text(json.dumps(report))
    spawned.words.clear()
    row = Row("mlp", "MLP", "triplet_mlp", {**QUICK, "margin": 0.3}) if set_by_the_row else MLP
    found, _, err = run(table(row))
    assert (found, spawned.words) == (code, [])
    assert ("margin: 0.2, now 0.3" in err) == set_by_the_row


def test_rows_of_other_features_are_not_mixed(
    run, spawned: Spawned, tmp_path: Path, pairs_features: Path
) -> None:
    run(table(CCA))
    other = tmp_path / "other"
    other.mkdir()
    for path in pairs_features.iterdir():
        (other / path.name).symlink_to(path)
    manifest = json.loads((pairs_features / "manifest.json").read_text())
    (other / "manifest.json").unlink()
    for change, named in (
        (("encoders", "text", "weights"), "another features (text: weights: vectors, now x)"),
        (("dataset", "fingerprint"), "another data (sha256:444, now x)"),
    ):
        changed = json.loads(json.dumps(manifest))
        *path, last = change
        place = changed
        for key in path:
            place = place[key]
        place[last] = "x"
        (other / "manifest.json").write_text(json.dumps(changed))
        code, _, err = run(table(CCA), features=other)
        assert (code, named in err) == (2, True), err


def test_several_splits_share_a_training(run, spawned: Spawned, tmp_path: Path) -> None:
    run(table(MLP))
    seconds = json.loads((tmp_path / "out" / "mlp-seed0-val.json").read_text())["train_seconds"]
    cost = tmp_path / "out" / "runs" / "mlp-seed0" / "cost.json"
    cost.write_text(json.dumps({"seconds": 77, "peak_memory": 10**9}))
    code, out, _ = run(table(MLP), "--split", "test")
    assert (code, seconds) == (0, 1.5)
    assert "split: test" in out
    report = json.loads((tmp_path / "out" / "mlp-seed0-test.json").read_text())
    assert (report["split"], report["train_seconds"], report["peak_memory"]) == ("test", 77, 10**9)
    assert (tmp_path / "out" / "mlp-seed0-val.json").exists()


def test_nothing_reads_test_unasked(run, spawned: Spawned) -> None:
    run(table(CCA))
    assert all("test" not in words for words in spawned.words)


def test_rows_run_apart_meet_on_one_page(run, spawned: Spawned) -> None:
    assert "(not finished)" in run(table(CCA, MLP), "--skip", "mlp")[1]
    spawned.words.clear()
    code, out, _ = run(table(CCA, MLP), "--only", "mlp")
    assert (code, len(spawned.words)) == (0, 2)
    assert "(not finished)" not in out


def test_settings_and_commands_reach_the_processes(run, spawned: Spawned, tmp_path: Path) -> None:
    row = Row("mlp", "MLP", "triplet_mlp", {**QUICK, "image_dropout": 0.25, "mining": "soft"}, complete=True)
    run(table(row), "--data", tmp_path)
    train, evaluate = spawned.words
    for setting in ("epochs=2", "image_dropout=0.25", "mining=soft"):
        assert train[train.index(setting) - 1] == "--set"
    assert "--complete" in train
    assert "--data" not in [*train, *evaluate]  # features are all this method reads
    report = json.loads((tmp_path / "out" / "mlp-seed0-val.json").read_text())
    assert report["train_command"].startswith("savor train triplet_mlp --features")
    assert report["command"].startswith("savor evaluate ")
    assert ".part" not in report["command"]


def test_a_row_may_have_fewer_seeds_than_the_table(run, spawned: Spawned, tmp_path: Path) -> None:
    once = Row("once", "Once", "triplet_mlp", QUICK, seeds=1)
    assert run(table(once, MLP), "--seeds", 2)[0] == 0
    assert {path.stem for path in (tmp_path / "out").glob("*.json")} == {
        *("once-seed0-val", "mlp-seed0-val", "mlp-seed1-val")
    }


def test_two_calls_do_not_work_in_one_folder(run, spawned: Spawned, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"):
        code, _, err = run(table(CCA))
    assert (code, spawned.words) == (2, [])
    assert "another `savor compare` is working here" in err
    assert run(table(CCA))[0] == 0


def test_a_row_says_how_many_its_pair_scorer_orders(pairs_features: Path, tmp_path: Path) -> None:
    call = Call(Features.open(pairs_features), tmp_path, "val", "full", None)
    words = [_evaluate_words(Row("a", "A", "patch_decoder", rerank=k), tmp_path, call) for k in (None, 7)]
    assert words[1] == [*words[0], "--rerank", "7"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--only", "mpl"), 2, "no row 'mpl' in this table; it has cca_title, mlp"),
        (("--skip", "mlp", "--skip", "cca_title"), 2, "leave no row"),
        (("--split", "tset"), 2, "no split 'tset'"),
        (("--protocol", "2k"), 1, "protocol '2k' is unknown"),
        (("--seeds", "0"), 2, "--seeds"),
    ],
)
def test_bad_input(run, spawned: Spawned, tmp_path: Path, arguments: tuple, code: int, message: str) -> None:
    found, out, err = run(table(CCA, MLP), *arguments)
    assert (found, out, spawned.words) == (code, "", [])
    assert message in err
    assert not (tmp_path / "out").exists()


def test_an_unknown_table(pairs_features: Path, tmp_path: Path, capsys) -> None:
    words = ["compare", "reprot", "--features", str(pairs_features), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "no table 'reprot'; choose one of" in capsys.readouterr().err


def test_a_row_in_processes_of_its_own(run, tmp_path: Path) -> None:
    code, _, err = run(table(CCA))
    assert code == 0
    assert "  " + str(tmp_path / "out" / "runs" / "cca_title-seed0") + ": cca trained" in err
    report = json.loads((tmp_path / "out" / "cca_title-seed0-val.json").read_text())
    assert report["train_seconds"] > 0
    assert 5e7 < report["peak_memory"] < 5e9


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9"),
        ("import sys; sys.exit('savor: error: no such thing')", "^no such thing$"),
    ],
)
def test_a_process_that_fails(code: str, message: str, capsys) -> None:
    from savor.errors import MethodError

    module = sys.modules["savor.cli.compare"]
    with pytest.raises(MethodError, match=message):
        module._done(module._watch([sys.executable, "-c", code]))


def test_an_interrupted_process_interrupts_the_table() -> None:
    module = sys.modules["savor.cli.compare"]
    with pytest.raises(KeyboardInterrupt):
        module._done(module._watch([sys.executable, "-c", "raise SystemExit(130)"]))
