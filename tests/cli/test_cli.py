"""The shell around the verbs: help, exit codes, and what may reach standard output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import typer

import savor
from savor import cli
from savor.errors import DataError, SavorError, UsageError

VERBS = (
    *("data", "data check", "data toy", "features", "train", "evaluate", "embed", "compare"),
    *("index", "search", "serve", "feedback", "explain", "generate", "ground", "import", "export", "methods"),
    "doctor",
)
HEAVY = (
    "torch",
    "transformers",
    "tensorboard",
    "sentence_transformers",
    "PIL",
    "ijson",
    "numpy",
    "scipy",
    "rich",
    "fastapi",
    "uvicorn",
)


def savor_command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run `savor` in a process of its own."""
    command = [sys.executable, "-m", "savor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.fixture
def fail_with(monkeypatch: pytest.MonkeyPatch):
    """Replace the command line by one command, `go`, that raises what it is given."""

    def install(error: BaseException) -> None:
        app = typer.Typer(rich_markup_mode=None)

        @app.callback()
        def root() -> None:
            """Keep `go` a command of its own."""

        @app.command()
        def go() -> None:
            raise error

        monkeypatch.setattr(cli, "app", app)

    return install


ALL_HELP = f"""
import contextlib, io, sys
from savor.cli import main
for verb in {("", *VERBS)!r}:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert main([*verb.split(), "--help"]) == 0
    usage = shown.getvalue().partition("\\n")[0]
    assert usage.startswith(f"Usage: savor {{verb}}".rstrip()), usage
    assert not (loaded := set(sys.modules) & set({HEAVY!r})), f"savor {{verb}} --help imports {{loaded}}"
"""


def test_no_help_loads_anything_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALL_HELP], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_lists_every_verb_with_a_line_of_its_own() -> None:
    listed = savor_command("--help").stdout.partition("Commands:")[2]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "]
    assert names == [verb for verb in VERBS if " " not in verb]
    assert all(len(line.split()) > 2 for line in listed.strip().splitlines())


def test_the_library_itself_stays_light() -> None:
    code = f"import sys, savor; sys.exit(str(sorted(set(sys.modules) & set({HEAVY!r})) or ''))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == ""


def test_version_is_all_that_is_printed() -> None:
    done = savor_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"savor {savor.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serch"], "'search'"),
        (["data", "chek"], "'check'"),
        (["train"], "method"),
        (["doctor", "--jsno", "x"], "--jsno"),
        ([], "commands:"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_right(arguments: list[str], named: str) -> None:
    done = savor_command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr.lower()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            DataError("recipes.jsonl line 3 is no JSON; mend it"),
            1,
            "savor: error: recipes.jsonl line 3 is no JSON",
        ),
        (SavorError("no"), 1, "savor: error: no"),
        (UsageError("--photo or --text, not both"), 2, "savor: error: --photo or --text, not both"),
        (PermissionError(13, "Permission denied", "out"), 1, "savor: error: out: Permission denied"),
        (OSError(28, "No space left on device"), 1, "savor: error: No space left on device"),
        (ValueError("shapes\ndiffer"), 3, "savor: internal error: ValueError: shapes differ. "),
        (KeyboardInterrupt(), 130, "savor: interrupted"),
        (typer.Exit(1), 1, ""),
        (typer.BadParameter("must be positive"), 2, "must be positive"),
    ],
)
def test_exit_code_and_one_line_for_every_kind_of_error(
    fail_with, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    fail_with(error)
    assert cli.main(["go"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    if message.startswith("savor: "):
        assert err.count("\n") == 1


def test_an_internal_error_says_how_to_report_it(fail_with, capsys: pytest.CaptureFixture[str]) -> None:
    fail_with(RuntimeError("oops"))
    cli.main(["go"])
    err = capsys.readouterr().err
    assert "report" in err
    assert "savor doctor" in err


def test_debug_shows_the_traceback(
    fail_with, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAVOR_DEBUG", "1")
    fail_with(DataError("empty"))
    assert cli.main(["go"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("savor: error: empty\n")


def test_debug_is_an_option_as_well(tmp_path) -> None:
    missing = str(tmp_path / "missing")
    plain, debug = savor_command("data", "check", missing), savor_command("--debug", "data", "check", missing)
    assert plain.returncode == debug.returncode == 1
    assert "Traceback" not in plain.stderr
    assert missing in plain.stderr
    assert "Traceback" in debug.stderr


NOISY = """
import logging, sys, warnings
from savor import cli
import typer
app = typer.Typer(rich_markup_mode=None)
@app.callback()
def root(): pass
@app.command()
def go():
    warnings.warn("old name")
    logging.getLogger("a.library").warning("loading")
    typer.echo("result")
cli.app = app
sys.exit(cli.main(["go"]))
"""


def test_warnings_and_logs_stay_off_standard_output() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOISY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "result\n"
    assert done.stderr.splitlines() == ["savor: warning: old name", "a.library: loading"]


def test_a_title_the_terminal_cannot_show_is_no_error() -> None:
    code = NOISY.replace('"result"', '"crème brûlée \\u2620"')
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "crème brûlée \\u2620\n".encode("latin-1")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("how", ["typer.echo", "print"])
def test_a_reader_that_leaves_early_is_no_error(how: str) -> None:
    code = NOISY.replace('typer.echo("result")', f'for line in range(100_000): {how}("a result")')
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "a result\n"
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "BrokenPipe" not in err
    assert "error" not in err
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_control_c_ends_with_a_sentence() -> None:
    code = NOISY.replace('typer.echo("result")', 'typer.echo("started"); import time; time.sleep(60)')
    # A shell's background job, as this test may be part of, has its children ignore the signal.
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.endswith("savor: interrupted; the same command can be run again\n")
    assert "Traceback" not in err
