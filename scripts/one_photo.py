"""Copy the first photo of a split out of a data set, wherever it lies: a file, or part of a tar."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from savor import open_dataset


def main() -> None:
    """Read the command line and write the photo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for pair in open_dataset(arguments.data).pairs():
        if pair.split == arguments.split and pair.photos:
            arguments.out.write_bytes(pair.photos[0].read())
            print(f"{arguments.out}: the photo of {pair.recipe.title!r} ({pair.recipe.id})")
            return
    sys.exit(f"{arguments.data} has no photo in split {arguments.split!r}")


if __name__ == "__main__":
    main()
