"""Ask a running `savor serve` what it serves, and what it answers to a photo: ADDRESS PHOTO."""

from __future__ import annotations

import sys
from pathlib import Path

from savor.client import Client


def main() -> None:
    """Read the command line, ask, and print the answers."""
    address, photo = sys.argv[1:]
    with Client(address) as client:
        health = client.wait()
        print(f"{health.status}: {health.index['recipes']:,} recipes, {health.index['photos']:,} photos")
        for hit in client.search(photo=Path(photo), k=3).hits:
            print(f"{hit.rank}. {hit.title}")


if __name__ == "__main__":
    main()
