"""What the words themselves add to the meaning of a text: a few words of a recipe look for it.

    savor index --features FEATURES --split train --split val --out INDEX
    python scripts/words_and_meaning.py INDEX FEATURES

Asks with one word of the title and two ingredients of every other recipe of val, at several weights.
"""

from __future__ import annotations

import random
import re
import sys

import savor.search
from savor import Searcher
from savor.explain import words_of
from savor.features import Features
from savor.recipe import Recipe

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0)
DEPTH = 200


def main() -> None:
    """Read the command line, ask, and print a line for each weight."""
    searcher, features = Searcher(sys.argv[1]), Features.open(sys.argv[2])
    recipes = [features.recipe(int(row)) for row in features.rows("val", photo=True, text=True)[::2]]
    rng = random.Random(3)
    asked = {recipe.id: text for recipe in recipes if (text := some_words(recipe, rng))}
    queries = {name: searcher.of_text(text) for name, text in asked.items()}
    print(f"{len(queries)} queries among {searcher.index.count('recipes'):,} recipes")
    for weight in WEIGHTS:
        savor.search.WORDS_WEIGHT = weight
        ranks = []
        for name, query in queries.items():
            hits = searcher.hits(query, "recipes", DEPTH)
            ranks.append(next((hit.rank for hit in hits if hit.id == name), float("inf")))
        mrr = sum(1 / rank for rank in ranks) / len(ranks)
        print(f"weight {weight}: MRR {mrr:.3f}, R@10 {sum(rank <= 10 for rank in ranks) / len(ranks):.3f}")


def some_words(recipe: Recipe, rng: random.Random) -> str:
    """Return a word of the title and two ingredients, or nothing where there are too few."""
    named = {word.text.casefold() for word in words_of(recipe) if word.part == "ingredients"}
    title = re.findall(r"[a-z]{4,}", recipe.title.casefold())
    if len(named) < 3 or not title:
        return ""
    return " ".join([rng.choice(title), *rng.sample(sorted(named), 2)])


if __name__ == "__main__":
    main()
