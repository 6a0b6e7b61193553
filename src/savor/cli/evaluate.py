"""`savor evaluate` and `savor embed`: what a run is worth on a split, and its embeddings as a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from savor.batch import Array
    from savor.features import Features
    from savor.runs import Run

RunFolder = Annotated[Path, typer.Argument(help="Folder made by `savor train`.", metavar="RUN")]
FeatureFolder = Annotated[Path, typer.Option(help="Folder made by `savor features`.", metavar="FEATURES")]
DataFolder = Annotated[
    Path | None, typer.Option(help="The data set itself, for runs that read pixels.", metavar="PATH")
]


def evaluate(
    run: RunFolder,
    features: FeatureFolder,
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "val",
    data: DataFolder = None,
    protocol: Annotated[
        str, typer.Option(help="full, 1k, 10k, adamine-1k or adamine-10k: see docs/protocol.md.")
    ] = "full",
    tie_rule: Annotated[str, typer.Option(help="mean, optimistic or pessimistic.")] = "mean",
    bootstrap: Annotated[int, typer.Option(help="Resamples behind the 95 % intervals.", min=1)] = 1000,
    rerank: Annotated[
        int | None,
        typer.Option(
            help="How many of the best a pair scorer orders again, 0 none; as the method has it if left out.",
            min=0,
            metavar="K",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write the report as JSON; - is standard output.", metavar="FILE"),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the report as Markdown; - is standard output.", metavar="FILE")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write ids and per-query ranks as .npz.", metavar="FILE")
    ] = None,
) -> None:
    """Rank every recipe for every photo of a split and the other way round."""
    from dataclasses import replace

    from savor.cli.train import command_line
    from savor.errors import UsageError
    from savor.evaluation import evaluate as rank
    from savor.reranking import PairScorer

    if Path("-") == json_file == markdown:
        raise UsageError("--json - and --markdown -: only one of them fits on standard output")
    opened, stored, rows = _open(run, features, split, data)
    method = opened.method
    if rerank and not method.reranks:
        raise UsageError(f"--rerank {rerank}: {opened.config['method']} has no pair scorer; leave it out")
    k = method.reranks if rerank is None else rerank
    scorer = PairScorer(method, stored, rows) if k else None
    image, recipe = method.embed(stored, rows) if scorer is None else scorer.embeddings
    report = replace(
        rank(
            image,
            recipe,
            ids=stored.ids[rows],
            protocol=protocol,
            tie_rule=tie_rule,
            bootstrap=bootstrap,
            score=scorer,
            rerank=k,
        ),
        train_seed=opened.config["seed"],
        split=split,
        data=stored.fingerprint,
        encoders=_encoders(stored, "fine-tuned" if "pixels" in method.uses else "frozen"),
        command=command_line(),
    )
    if scores is not None:
        report.queries.save(scores)
    for file, text in (
        (json_file, json.dumps(report.to_json(), indent=1) + "\n"),
        (markdown, report.to_markdown()),
    ):
        if file is not None:
            _write(file, text)
    if Path("-") not in (json_file, markdown):
        typer.echo(report.to_text(), nl=False)


def embed(
    run: RunFolder,
    features: FeatureFolder,
    split: Annotated[str, typer.Option(help="Split to embed.")],
    out: Annotated[Path, typer.Option(help="File to write.", metavar="FILE.npz")],
    data: DataFolder = None,
) -> None:
    """Write the embeddings of a split: ids, image and recipe, unit rows in float32."""
    import numpy as np

    from savor.errors import UsageError

    if out.suffix != ".npz":
        raise UsageError(f"--out {out}: the file is a NumPy archive, name it .npz")
    opened, stored, rows = _open(run, features, split, data)
    image, recipe = opened.method.embed(stored, rows)
    np.savez(out, ids=stored.ids[rows], image=image, recipe=recipe)


def _open(run: Path, features: Path, split: str, data: Path | None) -> tuple[Run, Features, Array]:
    from savor.cli.train import attach
    from savor.errors import UsageError
    from savor.features import Features
    from savor.runs import open_run

    opened, stored = open_run(run), Features.open(features)
    opened.check(stored)
    attach(stored, opened.method.uses, data)
    rows = stored.rows(split, photo=True, text=True)
    if len(rows) == 0:
        raise UsageError(f"{features}: no recipe of {split!r} has both a photo and text")
    return opened, stored, rows


def _encoders(features: Features, state: str) -> dict[str, Any]:
    """Name the encoders and say whether they were frozen."""
    described = features.manifest["encoders"]
    return {kind: f"{described[kind]['name']} ({state})" for kind in ("image", "text")}


def _write(file: Path, text: str) -> None:
    if file == Path("-"):
        sys.stdout.write(text)
    else:
        file.write_text(text, "utf-8")
