"""Print the reports that `savor evaluate --json` wrote into a folder as one page of Markdown.

Usage: python scripts/results_page.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DIRECTIONS = {"image_to_recipe": "photo to recipe", "recipe_to_image": "recipe to photo"}
RECALLS = ("R@1", "R@5", "R@10")


def table(reports: list[tuple[str, dict[str, Any]]]) -> str:
    """Lay the reports out with a row for each direction; recalls in per cent."""
    lines = [
        f"| run | split | pool | direction | medR | {' | '.join(RECALLS)} |",
        "|---|---|--:|---|--:|--:|--:|--:|",
    ]
    for name, report in reports:
        for key, words in DIRECTIONS.items():
            scores = report[key]
            recalls = " | ".join(f"{scores[recall]:.1%}" for recall in RECALLS)
            split, pool = report["split"], report["pool"]
            lines.append(f"| {name} | {split} | {pool:,} | {words} | {scores['medR']:g} | {recalls} |")
    return "\n".join(lines)


def run_name(file: Path) -> str:
    """Return the run's part of `RUN-SPLIT.json`."""
    return file.stem.rpartition("-")[0]


def shown(value: Any) -> str:
    """Write a value for a reader."""
    return ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)


def main() -> None:
    """Read the folder named on the command line and print its page."""
    folder = Path(sys.argv[1])
    files = [
        file for split in ("val", "test") for file in sorted(folder.glob(f"*-{split}.json"), key=run_name)
    ]
    if not files:
        sys.exit(
            f"{folder} has no reports; savor evaluate RUN ... --json {folder}/NAME-SPLIT.json writes one"
        )
    reports = [(run_name(file), json.loads(file.read_text(encoding="utf-8"))) for file in files]
    print("# Results", table(reports), sep="\n\n", end="\n\n")
    for key in ("data", "encoders", "protocol", "draws", "tie_rule", "seed"):
        values = dict.fromkeys(shown(report[key]) for _, report in reports)
        print(f"- {key.replace('_', ' ')}: {'; '.join(values)}")
    print("\nMade by:\n\n```", *(report["command"] for _, report in reports), sep="\n", end="\n```\n")
    if (folder / "gallery.html").exists():
        print(f"\nThe hits for one photo, with their pictures: {folder / 'gallery.html'}")


if __name__ == "__main__":
    main()
