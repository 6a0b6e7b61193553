"""`savor serve` as it is typed: addresses, tokens, the starter cookbook, busy ports, Ctrl-C."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import types
import urllib.request

import pytest

from savor import cli
from savor.index.folder import FORMAT


@pytest.fixture
def index(tmp_path):
    """What looks like an index until it is opened."""
    folder = tmp_path / "my.index"
    folder.mkdir()
    facts = {"run": "", "encoders": {}, "grid": [1, 1], "dim": 1, "backend": "exact"}
    facts["files"] = {"run/config.json": {"bytes": 1}}  # and it is not there
    (folder / "manifest.json").write_text(json.dumps({"format": FORMAT, **facts}))
    return folder


@pytest.fixture
def served(monkeypatch):
    """Note the applications that would be run."""
    import uvicorn

    seen = []

    def run(self, sockets):
        seen.append(self.config.app)
        for one in sockets:
            one.close()

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return seen


@pytest.fixture
def everywhere(monkeypatch):
    """Listen on this machine only, whatever is asked for."""
    monkeypatch.setattr("savor.cli.serve._listen", lambda host, port: socket.create_server(("127.0.0.1", 0)))


def serve(capsys, *arguments):
    code = cli.main(["serve", *map(str, arguments)])
    return code, *capsys.readouterr()


def settings(app):
    return app.user_middleware[-1].kwargs["settings"]


def test_the_address_is_printed_and_only_this_machine_is_let_in(capsys, index, served) -> None:
    code, out, err = serve(capsys, index, "--port", 0)
    assert code == 0
    assert out.startswith("http://127.0.0.1:")
    assert "stopped" in err
    found = settings(served[0])
    assert (found.loopback, found.token, found.read_only, found.own_copy) == (True, None, False, None)


@pytest.mark.parametrize("more", [("--host", "0.0.0.0"), ("--public-url", "https://recipes.example")])
def test_where_others_can_reach_it_a_token_is_made_up_and_told(
    capsys, index, served, everywhere, more
) -> None:
    code, out, err = serve(capsys, index, "--port", 0, *more)
    assert code == 0
    token = settings(served[0]).token
    assert len(token) > 16
    assert token in err
    assert token not in out


def test_a_token_of_ones_own_is_never_printed(capsys, index, served, everywhere, monkeypatch) -> None:
    monkeypatch.setenv("SAVOR_TOKEN", "parsley-sage-rosemary")
    code, out, err = serve(capsys, index, "--port", 0, "--host", "0.0.0.0")
    assert (code, settings(served[0]).token) == (0, "parsley-sage-rosemary")
    assert "parsley" not in out + err


def test_a_busy_port_is_told_with_the_way_out(capsys, index, served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = serve(capsys, index, "--port", taken.getsockname()[1])
    assert (code, out, served) == (2, "", [])
    assert "--port" in err


def test_what_is_no_index_is_told_at_once(capsys, tmp_path, served) -> None:
    code, out, err = serve(capsys, tmp_path / "nowhere", "--port", 0)
    assert (code, out, served) == (1, "", [])
    assert "nowhere" in err


def test_without_an_index_it_is_the_starter_cookbook_or_ones_copy_of_it(
    capsys, index, served, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("savor.starter.open_cookbook", lambda: types.SimpleNamespace(path=index))
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / "mine"))
    code, _, err = serve(capsys, "--port", 0)
    own = tmp_path / "mine" / "cookbook"
    assert (code, settings(served[0]).index, settings(served[0]).own_copy) == (0, index, own)
    assert str(own) in err
    own.parent.mkdir()
    index.rename(own)
    code, _, err = serve(capsys, "--port", 0)
    assert (code, settings(served[1]).index) == (0, own)


def test_it_answers_and_stops_on_ctrl_c(index) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "savor", "serve", index, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = process.stdout.readline().strip()
    with urllib.request.urlopen(f"{address}health", timeout=20) as answer:
        assert json.load(answer)["status"] in ("starting", "failed")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in err
    assert err.endswith("savor: stopped\n")
