"""Savor finds the recipe behind a food photo and the photo behind a recipe."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savor.datasets import open_dataset
    from savor.evaluation import evaluate
    from savor.index import Index
    from savor.methods import available, find
    from savor.recipe import Pair, Recipe
    from savor.search import Searcher

__version__ = "0.1.0"
__all__ = [
    "Index",
    "Pair",
    "Recipe",
    "Searcher",
    "__version__",
    "available",
    "evaluate",
    "find",
    "open_dataset",
]

# Where each name lives; loaded when it is first asked for, so that `import savor` costs nothing.
_HOMES = {
    "Index": "index",
    "Pair": "recipe",
    "Recipe": "recipe",
    "Searcher": "search",
    "available": "methods",
    "evaluate": "evaluation",
    "find": "methods",
    "open_dataset": "datasets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
