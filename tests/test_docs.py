"""The documentation names commands and options that exist, and its example of a method works."""

from __future__ import annotations

import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import torch
import typer

from savor.batch import Batch
from savor.cli import app
from savor.features import Dims
from savor.methods.base import Method

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = typer.main.get_command(app)


def commands(page: Path) -> list[list[str]]:
    """Every `savor ...` line of a page's code blocks, continued lines joined."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", page.read_text("utf-8"), re.S)
    lines = [
        line.strip().removeprefix("$ ")
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("savor ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_of_a_page_exists(page: Path) -> None:
    for words in commands(page):
        command = COMMAND
        context = typer.Context(command)
        while words and hasattr(command, "get_command") and not words[0].startswith("-"):
            found = command.get_command(context, words[0])
            assert found is not None, f"{page.name}: no command {words[0]!r}"
            command, words = found, words[1:]
        known = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known | {"--help"}, f"{page.name}: unknown options of {command.name}: {used - known}"


def test_the_readme_shows_commands() -> None:
    assert len(commands(ROOT / "README.md")) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_example_of_a_method_works(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "adding_a_method.md").read_text("utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.S)
    assert code is not None
    module = types.ModuleType("savor.methods.linear_triplet")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code.group(1), module.__dict__)
    method: Method = module.LinearTriplet.build(Dims(image=6, text=4), {"dim": 3})
    batch = Batch(
        ids=("a", "b", "c"),
        image=torch.randn(3, 6),
        title=torch.randn(3, 4),
        title_mask=torch.ones(3, dtype=torch.bool),
    )
    ((player, loss),) = method.losses(batch)
    loss.backward()
    assert player == "towers"
    assert all(parameter.grad is not None for parameter in method.parameters())
    assert method.score(batch, batch).shape == (3, 3)
