"""How did the games go? `python scripts/game_curves.py RUN [RUN ...] [--every 3]`.

Prints a Markdown table of the curves in the logs of runs that learned to draw: both players' losses, the gap
that the critic of vectors finds, the difference from the own photo, and how much the pictures differ among
each other, relative to the photos. A critic that cannot tell real from drawn has a loss of log 2 = 0.693.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from savor.training import LOG

COLUMNS = {
    "told_apart": "critic's loss",
    "taken_for_real": "generator's",
    "modality_gap": "modality gap",
    "picture_error": "pixel difference",
    "picture_variety": "variety",
    "pictures_collapsed": "collapsed",
}


def main() -> None:
    """Print one line for each run and epoch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--every", type=int, default=3, help="epochs between two lines", metavar="N")
    arguments = parser.parse_args()
    print("| run | epoch |", " | ".join(COLUMNS.values()), "|")
    print("|---|--:|" + "--:|" * len(COLUMNS))
    for run in arguments.runs:
        entries = [json.loads(line) for line in (run / LOG).read_text("utf-8").splitlines()]
        for entry in entries:
            if entry["epoch"] in (1, len(entries)) or entry["epoch"] % arguments.every == 0:
                cells = (f"{entry[name]:.3g}" if name in entry else "–" for name in COLUMNS)
                print(f"| {run.name} | {entry['epoch']} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
