"""`savor train`: a method, features in, a run out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from savor.features import Features
    from savor.methods.base import Method
    from savor.training import TrainingOptions


def train(
    method: Annotated[str, typer.Argument(help="Name of a method; `savor methods` lists them.")],
    features: Annotated[Path, typer.Option(help="Folder made by `savor features`.", metavar="FEATURES")],
    out: Annotated[
        Path, typer.Option(help="Folder for the run; an interrupted one is finished.", metavar="RUN")
    ],
    seed: Annotated[int, typer.Option(help="Seed of the weights, the batches and the dropout.", min=0)] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value for the method or the training.", metavar="KEY=VALUE"),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Split to learn from [train]; may be repeated.")
    ] = None,
    val_split: Annotated[
        str, typer.Option(help="Split to choose the best epoch on; `none` keeps the last epoch.")
    ] = "val",
    complete: Annotated[
        bool, typer.Option("--complete", help="Learn only from recipes with title, ingredients and steps.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="The data set itself, for methods that read pixels.", metavar="PATH")
    ] = None,
) -> None:
    """Train a method on features.

    A finished run is left as it is; one with other options is never overwritten. Started by torchrun, its
    processes train one method together.
    """
    import torch

    from savor.cli.options import parse_settings, split_settings
    from savor.distributed import is_main, processes, wait_for_all
    from savor.features import Features
    from savor.methods import find
    from savor.runs import describe, read_config, save_run, write_config
    from savor.training import discard_state

    found = find(method)
    options, training = split_settings(found, parse_settings(settings or []))
    opened = Features.open(features)
    splits = tuple(split or ["train"])
    _check_splits(opened, splits, val_split)
    torch.manual_seed(seed)
    built = found.build(opened.dims, options)
    attach(opened, (*built.uses, *built.training_uses), data)
    config = describe(
        method,
        built,
        opened,
        training=None if training is None else vars(training),
        seed=seed,
        splits=list(splits),
        val_split=val_split,
        complete=complete,
        command=command_line(),
    )
    with processes():
        if _finished(found, out, read_config(out), config):
            typer.echo(f"{out}: already finished", err=True)
            return
        wait_for_all()
        if is_main():
            out.mkdir(parents=True, exist_ok=True)
            write_config(out, config)
        log = _fit(built, opened, training, out, config)
        if is_main():
            save_run(out, built, {**config, **_outcome(built, opened, log, val_split)})
            discard_state(out)
            typer.echo(f"{out}: {method} trained", err=True)


def attach(features: Features, uses: Sequence[str], data: Path | None) -> None:
    """Open the data set behind the features where pixels are read."""
    from savor.datasets import open_dataset
    from savor.errors import UsageError

    if "pixels" in uses:
        features.attach(None if data is None else open_dataset(data))
    elif data is not None:
        raise UsageError("--data: this method reads features only; leave it out")


def command_line() -> str:
    """Return the command as it was typed, for the record."""
    import shlex

    return shlex.join(["savor", *sys.argv[1:]])


def _check_splits(features: Features, splits: tuple[str, ...], val_split: str) -> None:
    """Refuse a split that does not occur before anything is written."""
    from savor.errors import UsageError

    known = sorted(set(features.splits.tolist()))
    for option, names in (("--split", splits), ("--val-split", (val_split,))):
        for name in names:
            if name not in known and (option, name) != ("--val-split", "none"):
                raise UsageError(
                    f"{option} {name}: not in {features.path}, which has {', '.join(known)};"
                    " name another, or `--val-split none` to train without validation"
                )


def _finished(method: type[Method], out: Path, config: dict[str, Any] | None, wanted: dict[str, Any]) -> bool:
    """Say whether the folder holds this very run, finished."""
    from savor.encoders import comparable
    from savor.errors import UsageError

    if config is None:
        if out.exists() and any(path.suffix != ".part" for path in out.iterdir()):
            raise UsageError(f"--out {out}: not empty and no run; name another folder")
        return False
    keys = ["method", "options", "training", "seed", "splits", "val_split", "complete", "data", "dims"]
    if "patches" in method.uses and config.get("grid"):  # older runs do not say
        keys.append("grid")
    for key in keys:
        if config.get(key) != wanted[key]:
            raise UsageError(
                f"--out {out}: holds a run with another {key} ({config.get(key)}, now {wanted[key]});"
                " name another folder, or delete this one"
            )
    for kind in ("image", "text"):
        if comparable(config["encoders"][kind]) != comparable(wanted["encoders"][kind]):
            raise UsageError(
                f"--out {out}: holds a run on features of another {kind} encoder; name another folder, or"
                " delete this one"
            )
    return bool(config["finished"])


def _fit(
    method: Method, features: Features, training: TrainingOptions | None, out: Path, config: dict[str, Any]
) -> list[dict[str, Any]]:
    chosen = {"splits": config["splits"], "complete": config["complete"]}
    if training is None:
        method.fit(features, **chosen)
        return []
    from savor.distributed import is_main
    from savor.training import train as run_training

    return run_training(
        method,
        features,
        options=training,
        seed=config["seed"],
        folder=out,
        val_split=None if config["val_split"] == "none" else config["val_split"],
        **chosen,
        on_epoch=_print_epoch() if is_main() else None,
    )


def _print_epoch() -> Callable[[dict[str, Any]], None]:
    def show(entry: dict[str, Any]) -> None:
        losses = " ".join(f"{player} {loss:.4f}" for player, loss in entry["loss"].items())
        scores = "".join(
            f"  {direction.replace('_', ' ')}: medR {one['medR']:.1f}, R@10 {100 * one['R@10']:.1f} %"
            for direction, one in entry.get("val", {}).items()
        )
        typer.echo(f"epoch {entry['epoch']:3d}  loss {losses}{scores}  {entry['seconds']:.1f} s", err=True)

    return show


def _outcome(method: Method, features: Features, log: list[dict[str, Any]], val_split: str) -> dict[str, Any]:
    """Return what the configuration says of the finished run: its validation scores and their epoch."""
    from savor.training import validation_scores

    scored = [entry for entry in log if "selection" in entry]
    if scored:
        best = max(scored, key=lambda entry: float(entry["selection"]))
        return {"best_epoch": best["epoch"], **{key: best[key] for key in best if key.startswith("val")}}
    if val_split in features.splits:
        rows = features.rows(val_split, photo=True, text=True)
        if len(rows):
            return {"best_epoch": None, **validation_scores(method, features, rows)}
    return {"best_epoch": None, "val": None}
