"""The starter model: a small run that is used where no run or index is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savor.index import Index

__all__ = ["folder", "open_cookbook"]


def folder() -> Path:
    """Return the folder of the starter model, a run like those that `savor train` writes, with its CARD.md.

    >>> sorted(path.name for path in folder().glob("*.*") if path.suffix != ".py")
    ['CARD.md', 'config.json', 'model.safetensors']
    """
    return Path(__file__).parent


def open_cookbook() -> Index:
    """Open the index of the starter cookbook, made with the starter model; it cannot be added to.

    Raises:
        VectorIndexError: the installation is damaged.
    """
    from savor import cookbook
    from savor.index.exact import ExactIndex

    return ExactIndex(cookbook.folder() / "index", run_folder=folder())
