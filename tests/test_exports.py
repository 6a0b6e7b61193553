"""The public face: every name resolves, none costs anything before it is used."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import savor

PUBLIC = {"Recipe", "Pair", "open_dataset", "available", "find", "evaluate", "Index", "Searcher"}


def test_all_holds_the_public_names_in_order() -> None:
    assert set(savor.__all__) >= PUBLIC
    assert list(savor.__all__) == sorted(savor.__all__)
    assert set(savor.__all__) <= set(dir(savor))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_resolves_to_something_documented(name: str) -> None:
    thing = getattr(savor, name)
    assert thing.__doc__
    assert thing.__module__.startswith("savor.")


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(AttributeError, match="opendataset"):
        _ = savor.opendataset


def test_importing_savor_loads_no_library() -> None:
    code = "import sys, savor; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"torch", "transformers", "numpy", "PIL", "ijson", "typer"} & set(done.stdout.split())


def test_the_version_is_the_same_wherever_it_stands() -> None:
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert project["version"] == savor.__version__
    assert cited is not None
    assert cited[1] == savor.__version__
