"""`savor compare`: a table of methods, each row trained and evaluated in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from savor.features import Features
    from savor.tables.base import Row, Table
    from savor.tables.outcomes import Outcome

COST = "cost.json"


@dataclass(frozen=True)
class Call:
    """What all rows of one call share."""

    features: Features
    out: Path
    split: str
    protocol: str
    data: Path | None


@dataclass(frozen=True)
class Ended:
    """A process that is over."""

    code: int
    reason: str  # the last thing it said
    seconds: float
    peak_memory: int | None  # bytes; None where the system does not tell


def compare(
    table: Annotated[str, typer.Argument(help="Name of a table, such as report.", metavar="TABLE")],
    features: Annotated[Path, typer.Option(help="Folder made by `savor features`.", metavar="FEATURES")],
    out: Annotated[Path, typer.Option(help="Folder for runs, rows and the page.", metavar="DIR")],
    seeds: Annotated[int, typer.Option(help="Train with the seeds 0 to N - 1.", min=1, metavar="N")] = 1,
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "val",
    protocol: Annotated[
        str, typer.Option(help="full, 1k, 10k, adamine-1k or adamine-10k: see docs/protocol.md.")
    ] = "full",
    only: Annotated[
        list[str] | None, typer.Option(help="Row to run; may be repeated.", metavar="ROW")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Row not to run; may be repeated.", metavar="ROW")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The data set itself, for rows that read pixels.", metavar="PATH")
    ] = None,
) -> None:
    """Make a table of methods: train and evaluate each row, and lay all finished rows out.

    A finished row is never run again, and an interrupted one goes on. The page is printed and written to
    DIR/TABLE.md.
    """
    from savor.cli.train import command_line
    from savor.errors import MethodError
    from savor.evaluation import protocol as named
    from savor.features import Features
    from savor.tables import find
    from savor.tables.page import render
    from savor.training import replace

    found = find(table)
    chosen = found.select(only or (), skip or ())
    opened = Features.open(features)
    named(protocol).draw(len(opened.rows(split, photo=True, text=True)))
    call = Call(opened, out, split, protocol, data)
    out.mkdir(parents=True, exist_ok=True)
    with _alone_in(out):
        finished = _finished(found, call)
        failures = _run_all(chosen, seeds, call, finished)
        page = render(found, finished, failures=failures, command=command_line())
        replace(out / f"{table}.md", lambda file: file.write_text(page, "utf-8"))
    sys.stdout.write(page)
    if failures:
        raise MethodError(f"failed: {', '.join(failures)}; the same command tries again")


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep a second call out of a folder; the system frees it whatever becomes of the first.

    Raises:
        UsageError: another call works in it.
    """
    from filelock import FileLock, Timeout

    from savor.errors import UsageError

    try:
        held = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"{folder}: another `savor compare` is working here; wait for it, or name another --out"
        ) from error
    with held:
        yield


def _finished(table: Table, call: Call) -> dict[str, dict[int, Outcome]]:
    """Read every finished row of the folder; one that was made otherwise is an error before anything runs."""
    from savor.tables.outcomes import finished_seeds

    return {
        row.name: {seed: _read(row, seed, call) for seed in finished_seeds(call.out, row.name, call.split)}
        for row in table.rows
    }


def _read(row: Row, seed: int, call: Call) -> Outcome:
    from savor.methods import find
    from savor.tables.outcomes import outcome_file, read_outcome

    method = find(row.method)
    defaults: dict[str, dict[str, Any]] = {"options": method.defaults()}
    if method.trains_with is not None:
        defaults["training"] = vars(method.trains_with)
    file = outcome_file(call.out, row.name, seed, call.split)
    return read_outcome(file, _identity(row, seed, call), defaults)


def _identity(row: Row, seed: int, call: Call) -> dict[str, Any]:
    """Return what a finished row must agree with to be this one."""
    from savor.cli.options import split_settings
    from savor.encoders import comparable
    from savor.methods import find

    method = find(row.method)
    options, training = split_settings(method, row.settings)
    manifest = call.features.manifest
    return {
        "row": row.name,
        "row_version": row.version,
        "method": row.method,
        "options": {**method.defaults(), **options},
        "training": None if training is None else vars(training),
        "complete": row.complete,
        "rerank": row.rerank,
        "train_seed": seed,
        "split": call.split,
        "protocol": call.protocol,
        "tie_rule": "mean",
        "data": call.features.fingerprint,
        "features": {
            **{kind: comparable(manifest["encoders"][kind]) for kind in ("image", "text")},
            **({"patches": manifest["settings"]["patches"]} if "patches" in method.uses else {}),
        },
    }


def _run_all(
    rows: Sequence[Row], seeds: int, call: Call, finished: dict[str, dict[int, Outcome]]
) -> dict[str, str]:
    """Run what is not finished, a whole table a seed; return the rows that failed, with their reasons."""
    from savor.errors import SavorError

    plan = [
        (row, seed)
        for seed in range(seeds)
        for row in rows
        if seed == 0 or (seed < (row.seeds or seeds) and not _closed_form(row))
    ]
    failures = {}
    for number, (row, seed) in enumerate(plan, 1):
        name = f"{row.name}, seed {seed}"
        if seed in finished[row.name]:
            _say(f"[{number}/{len(plan)}] {name}: finished before")
            continue
        _say(f"[{number}/{len(plan)}] {name}")
        try:
            outcome = finished[row.name][seed] = _run(row, seed, call)
        except SavorError as error:
            failures[name] = str(error)
            _say(f"{name} failed: {error}")
        else:
            _say(f"{name}: {_in_short(outcome.report)}")
        finished[row.name] = dict(sorted(finished[row.name].items()))
    return failures


def _closed_form(row: Row) -> bool:
    """Say whether a row is the same for every seed; one whose method is missing fails once, too."""
    from savor.methods import available, find

    return row.method not in available() or find(row.method).trains_with is None


def _run(row: Row, seed: int, call: Call) -> Outcome:
    """Train and evaluate one row; the JSON file, written last, says that it is finished."""
    from savor.runs import read_config
    from savor.tables.outcomes import outcome_file, ranks_file
    from savor.training import replace

    identity = _identity(row, seed, call)
    run = call.out / "runs" / f"{row.name}-seed{seed}"
    file = outcome_file(call.out, row.name, seed, call.split)
    json_part, ranks_part = (path.with_name(path.name + ".part") for path in (file, ranks_file(file)))
    train, evaluate = _train_words(row, seed, run, call), _evaluate_words(row, run, call)
    training = _train(train, run)
    ended = _done(_spawn([*evaluate, "--json", str(json_part), "--scores", str(ranks_part)]))
    config = read_config(run) or {}
    report = {
        **json.loads(json_part.read_text("utf-8")),
        **identity,
        "best_epoch": config.get("best_epoch"),
        "val": config.get("val"),
        "train_seconds": training["seconds"],
        "evaluate_seconds": round(ended.seconds, 1),
        "peak_memory": max(training["peak_memory"] or 0, ended.peak_memory or 0) or None,
        "savor": config.get("savor"),
        "train_command": _shown(train),
        "command": _shown(evaluate),
    }
    ranks_part.replace(ranks_file(file))
    replace(file, lambda part: part.write_text(json.dumps(report, indent=1) + "\n", "utf-8"))
    return _read(row, seed, call)


def _train(words: list[str], run: Path) -> dict[str, Any]:
    """Train, or find trained; return the seconds and the memory it took when it was trained."""
    from savor.training import LOG

    ended = _done(_spawn(words))
    file = run / COST
    if not file.is_file():
        # The log knows of the epochs before an interruption, the process of what is done outside of them.
        log = (run / LOG).read_text("utf-8").splitlines() if (run / LOG).is_file() else []
        epochs = sum(json.loads(line)["seconds"] for line in log)
        cost = {"seconds": round(max(ended.seconds, epochs), 1), "peak_memory": ended.peak_memory}
        file.write_text(json.dumps(cost) + "\n", "utf-8")
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return found


def _train_words(row: Row, seed: int, run: Path, call: Call) -> list[str]:
    words = ["train", row.method, "--features", str(call.features.path), "--out", str(run)]
    words += ["--seed", str(seed)]
    for key, value in row.settings.items():
        words += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    return words + ["--complete"] * row.complete + _data_words(row, call, training=True)


def _evaluate_words(row: Row, run: Path, call: Call) -> list[str]:
    words = ["evaluate", str(run), "--features", str(call.features.path)]
    words += ["--split", call.split, "--protocol", call.protocol]
    words += [] if row.rerank is None else ["--rerank", str(row.rerank)]
    return words + _data_words(row, call, training=False)


def _data_words(row: Row, call: Call, *, training: bool) -> list[str]:
    """Name the data set where a row reads photos, which its options may decide."""
    from savor.cli.options import split_settings
    from savor.methods import find

    if call.data is None:
        return []
    method = find(row.method)
    built = method.build(call.features.dims, split_settings(method, row.settings)[0])
    reads = (*built.uses, *built.training_uses) if training else built.uses
    return ["--data", str(call.data)] if "pixels" in reads else []


def _shown(words: Sequence[str]) -> str:
    import shlex

    return shlex.join(["savor", *words])


def _spawn(words: Sequence[str]) -> Ended:
    """Run a verb of Savor in a process of its own, so that its memory is too; pass on what it says."""
    return _watch([sys.executable, "-m", "savor", *words])


def _watch(command: Sequence[str]) -> Ended:
    """Run a command and pass on what it says on standard error."""
    start, last, peak = time.perf_counter(), "", None
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                _say(f"  {line.rstrip()}")
                last = line.strip() or last
            if sys.platform != "win32":  # the only way to learn what this child took, and no other
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            code = process.wait()
        except BaseException:
            process.terminate()  # what it has done is saved epoch by epoch
            process.wait()
            raise
    return Ended(code, last, time.perf_counter() - start, peak)


def _done(ended: Ended) -> Ended:
    """Return a process that went well.

    Raises:
        MethodError: it did not, with its own words.
        KeyboardInterrupt: somebody interrupted it.
    """
    from savor.cli import INTERRUPTED
    from savor.errors import MethodError

    if ended.code == INTERRUPTED:
        raise KeyboardInterrupt
    if ended.code < 0:
        raise MethodError(
            f"killed by signal {-ended.code}; where the machine has too little memory, it does so"
        )
    if ended.code:
        raise MethodError(ended.reason.removeprefix("savor: ").removeprefix("error: "))
    return ended


def _in_short(report: dict[str, Any]) -> str:
    recalls = " / ".join(f"{100 * report[way]['R@10']:.1f}" for way in ("image_to_recipe", "recipe_to_image"))
    return f"R@10 {recalls} %, trained in {report['train_seconds']:.0f} s"


def _say(line: str) -> None:
    typer.echo(line, err=True)
