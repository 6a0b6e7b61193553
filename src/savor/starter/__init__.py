"""The starter model, and the index of the starter cookbook made with it: what is used where none is named.

`scripts/starter.py` makes both anew; CARD.md says what the model was made from and what it is worth.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savor.index import Index

__all__ = ["folder", "open_cookbook"]

_INDEX = Path(__file__).parent / "index"


def folder() -> Path:
    """Return the folder of the starter model, a run as `savor train` writes it.

    >>> sorted(path.name for path in folder().iterdir())
    ['config.json', 'model.safetensors']
    """
    return _INDEX / "run"


def open_cookbook() -> Index:
    """Open the index of the starter cookbook (`savor.cookbook`); it belongs to the installation.

    >>> open_cookbook().count("recipes")
    150

    Raises:
        VectorIndexError: the installation is damaged.
    """
    from savor.index import open_index

    return open_index(_INDEX)
