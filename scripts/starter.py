"""Make the starter model anew, its card, and the index and the map of the cookbook.

    python scripts/starter.py FEATURES OUT

OUT is then what `src/savor/starter` holds beside its `__init__.py`. Training and the choice of its epoch see
the splits train and val; test is read once, for the card. A run that is there is not trained again.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from savor import cookbook
from savor.cli import main as savor
from savor.index import open_index
from savor.server.maps import Maps

SEED = "0"
SETTINGS = {"dim": 256, "hidden": 900, "members": 2, "hubs": 512, "epochs": 24}
MEASURED = (("val", "full"), ("test", "1k"))
CARD = """# Card of the starter model

`triplet_mlp` on the bundled encoders, frozen (EfficientNet-Lite2 and all-MiniLM-L6-v2), small enough to be
shipped. It is used wherever no run and no index is named.

- **Data**: the training split, 11,444 recipes with one photo each, two thirds of them with a title only, of a
  set with the fingerprint
  `{data}`:
  the public "Food Ingredients and Recipes Dataset with Images" collection of epicurious.com
  recipes (stated licence CC BY-SA 3.0) and the public-domain-recipes collection (Unlicense). No text
  and no picture of it is in the weights; the correction for hubs keeps embeddings of {hubs} training pairs.
- **Made by** `python scripts/starter.py FEATURES OUT`, seed {seed},
  {settings}; numbers stored in float16.
- **Meant for** finding dishes among one's own recipes. It knows English and home cooking of America and
  Europe best. What cannot be seen on a photo it cannot know: it is no help with allergies.
- **Measured** on pairs that no choice has seen (test) and on those the epoch was chosen by (val), photos and
  recipes of the same set; expect less on photos of another kind:

| split | pool | direction | medR | MRR | R@1 % | R@5 % | R@10 % |
|---|--:|---|--:|--:|--:|--:|--:|
{rows}

`savor evaluate RUN --features FEATURES --split val`, and `--split test --protocol 1k`; tie rule `mean`, drawn
once.
"""


def main() -> None:
    """Read the command line and write card and index."""
    features, out = sys.argv[1], Path(sys.argv[2])
    run = out / "training"
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    _do("train", "triplet_mlp", "--features", features, "--out", str(run), "--seed", SEED, *settings)
    config = json.loads((run / "config.json").read_text("utf-8"))
    config["command"] = "python scripts/starter.py FEATURES OUT"
    (run / "config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    _halve(run / "model.safetensors")
    card = CARD.format(
        data=config["data"],
        hubs=SETTINGS["hubs"],
        seed=SEED,
        settings=", ".join(f"`{name}={value}`" for name, value in SETTINGS.items()),
        rows="\n".join(row for split, protocol in MEASURED for row in _rows(features, run, split, protocol)),
    )
    (out / "CARD.md").write_text(card, "utf-8")
    shutil.rmtree(out / "index", ignore_errors=True)
    _do("index", str(run), "--data", str(cookbook.folder()), "--out", str(out / "index"))
    Maps().get(open_index(out / "index"), wait=300, beside=True)


def _do(*arguments: str) -> None:
    if code := savor(list(arguments)):
        sys.exit(code)


def _halve(weights: Path) -> None:
    """Store the numbers in float16; reading them again makes float32 of them."""
    tensors = load_file(weights)
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()},
        weights,
    )


def _rows(features: str, run: Path, split: str, protocol: str) -> list[str]:
    """Measure both directions, a row of the table each."""
    file = run / "report.json"
    chosen = ("--split", split, "--protocol", protocol, "--json", str(file))
    _do("evaluate", str(run), "--features", features, *chosen)
    report = json.loads(file.read_text("utf-8"))
    file.unlink()
    rows = []
    for direction in ("image_to_recipe", "recipe_to_image"):
        found = report[direction]
        recalls = " | ".join(f"{100 * found[name]:.1f}" for name in ("R@1", "R@5", "R@10"))
        facts = f"{split} | {report['pool']:,} | {direction.replace('_', ' ')}"
        rows.append(f"| {facts} | {found['medR']:.1f} | {found['MRR']:.3f} | {recalls} |")
    return rows


if __name__ == "__main__":
    main()
