"""Explain the hits of ten photos drawn by seed.

    python scripts/ten_photos.py INDEX DATA --split test --out DIR

Writes each photo, the page of `savor explain` for its three best hits, and a page that links them all with
the rank of the photo's own recipe. They hold photos and recipes: keep them where you may keep those.
"""

from __future__ import annotations

import argparse
import html
import sys
from pathlib import Path

import numpy as np

from savor import Searcher, open_dataset
from savor.cli import main as savor


def main() -> None:
    """Read the command line and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    pairs = [
        pair for pair in open_dataset(arguments.data).pairs() if pair.split == arguments.split and pair.photos
    ]
    drawn = np.random.default_rng(arguments.seed).choice(len(pairs), arguments.count, replace=False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    searcher = Searcher(arguments.index)
    lines = []
    for number, chosen in enumerate(drawn.tolist(), 1):
        pair = pairs[chosen]
        photo = arguments.out / f"{number:02}.jpg"
        photo.write_bytes(pair.photos[0].read())
        hits = searcher.by_photo(photo, k=1000)
        rank = next((hit.rank for hit in hits if hit.id == pair.recipe.id), None)
        page = photo.with_suffix(".html")
        if savor(["explain", str(arguments.index), "--photo", str(photo), "--out", str(page)]):
            sys.exit(f"{photo}: could not be explained")
        facts = f"own recipe at rank {rank or 'below 1000'}: {pair.recipe.title}. Best: {hits[0].title}"
        lines.append(
            f'<p><a href="{page.name}"><img src="{photo.name}" height="120"></a> {html.escape(facts)}</p>'
        )
        print(f"{photo.name}: {facts}")
    (arguments.out / "index.html").write_text("<meta charset=utf-8>" + "\n".join(lines), "utf-8")


if __name__ == "__main__":
    main()
