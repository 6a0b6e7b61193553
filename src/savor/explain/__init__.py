"""Explaining a score: which words of the recipe belong to which regions of the photo.

Four ways, one result (`Correspondence`), best first:

    similarity  the cosine falls into summands, one for each word and cell (methods with `embed_patches` and
                `embed_words`)
    attention   cross-attention from the cells to the words (`cross_attention`)
    masking     what the score loses when word and cell are masked together; for every method
    ranks       the k-th word of one self-attention beside the k-th cell of another (`self_attention`)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savor.explain.finding import correspond, ways
    from savor.explain.result import Correspondence, Explanation, Region
    from savor.explain.words import Word, ingredients, words_of

__all__ = ["Correspondence", "Explanation", "Region", "Word", "correspond", "ingredients", "ways", "words_of"]

# Only the ways need torch; results and words are read without it.
_HOMES = {
    "Correspondence": "result",
    "Explanation": "result",
    "Region": "result",
    "ways": "finding",
    "Word": "words",
    "correspond": "finding",
    "ingredients": "words",
    "words_of": "words",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
