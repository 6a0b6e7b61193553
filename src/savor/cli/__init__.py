"""The command line: `savor VERB`, one module per group of verbs, mounted and guarded here.

The verbs import what is heavy (torch, transformers, Pillow, ijson) inside their functions, so that every
`--help` answers at once. Standard output carries results only; everything else goes to standard error.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from savor import __version__
from savor.cli import (
    compare,
    data,
    doctor,
    evaluate,
    explain,
    features,
    feedback,
    generate,
    grounding,
    importing,
    methods,
    search,
    serve,
    toy,
    train,
)
from savor.errors import OptionError, SavorError, UsageError

DATA_FAULT, WRONG_USAGE, INTERNAL_ERROR, INTERRUPTED = 1, 2, 3, 130


class _InOrderOfWork(TyperGroup):
    """Lists `data` first, where the work begins; Typer would put a group of verbs last."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(super().list_commands(ctx), key=lambda name: name != "data")


# Plain help: drawing it with rich would cost more time than everything else together.
app = typer.Typer(cls=_InOrderOfWork, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
data.app.command("toy")(toy.toy)
app.add_typer(data.app, name="data")
app.command("features")(features.features)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("embed")(evaluate.embed)
app.command("compare")(compare.compare)
app.command("index")(search.index)
app.command("search")(search.search)
app.command("serve")(serve.serve)
app.command("feedback")(feedback.feedback)
app.command("explain")(explain.explain)
app.command("generate")(generate.generate)
app.command("ground")(grounding.ground)
app.command("import")(importing.import_)
app.command("export")(importing.export)
app.command("methods")(methods.methods)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"savor {__version__}")
        raise typer.Exit


@app.callback()
def savor(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; SAVOR_DEBUG=1 does the same.")
    ] = False,
) -> None:
    """Find the recipe behind a food photo and the photo behind a recipe."""
    if debug:
        os.environ["SAVOR_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 the input or the data is at fault, 2 wrong usage, 3 an internal error, 130 interrupted.
    """
    _guard_output()
    try:
        app(arguments, prog_name="savor")
    except SystemExit as end:  # how Typer ends every command, after printing usage errors itself
        code = int(end.code or 0)
    except (UsageError, OptionError) as error:
        code = _report(f"error: {error}", WRONG_USAGE)
    except SavorError as error:
        code = _report(f"error: {error}", DATA_FAULT)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:  # disk full, no permission, not a folder: nothing a report could mend
        where = f"{error.filename}: " if error.filename else ""
        code = _report(f"error: {where}{error.strerror or error}", DATA_FAULT)
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        code = _report(
            f"internal error: {what}. This is a fault of Savor: please report it with this line, the command "
            "and what `savor doctor` prints; SAVOR_DEBUG=1 shows where it happened.",
            INTERNAL_ERROR,
        )
    if code == INTERRUPTED:
        _report("interrupted; the same command can be run again", code)
    _flush_output()
    return code


def _report(message: str, code: int) -> int:
    if os.environ.get("SAVOR_DEBUG", "0") not in ("", "0") and sys.exc_info()[0]:
        traceback.print_exc()
    typer.echo(f"savor: {message}", err=True)
    return code


def _guard_output() -> None:
    """Send what libraries have to say to standard error, and let no title break the terminal's encoding."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # else it warns whenever a loader forks
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")
    warnings.formatwarning = _one_line
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _one_line(message: Warning | str, *_where: object, **_source: object) -> str:
    return f"savor: warning: {message}\n"


def _flush_output() -> None:
    """Write what is buffered; a reader that has left, as in `savor methods | head -1`, is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
