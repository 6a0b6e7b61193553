"""The starter cookbook: 150 recipes written for Savor, each with a drawing, free for any use (CC0 1.0)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["folder"]


def folder() -> Path:
    """Return the folder of the starter cookbook, a plain folder that `open_dataset` reads.

    >>> (folder() / "recipes.jsonl").is_file()
    True
    """
    return Path(__file__).parent
