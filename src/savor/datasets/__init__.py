"""Datasets: folders and releases with recipes and photos, read as a stream of pairs."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from savor.datasets.base import Dataset, Problem, read_ids
from savor.datasets.folder import PHOTO_SUFFIXES, Folder, PhotoFolder, walk_photos
from savor.datasets.recipe1m import ACCESS, Recipe1M
from savor.errors import DataError

__all__ = ["Dataset", "Problem", "open_dataset", "read_ids"]


def open_dataset(path: str | Path, *, exclude: Collection[str] = (), repairs: str | None = None) -> Dataset:
    """Open the dataset in a folder, whichever kind it is: Recipe1M release, plain folder, or photos alone.

    Args:
        path: the folder.
        exclude: ids of recipes to leave out; `read_ids` reads them from a file.
        repairs: the name of a text repair (`savor.datasets.repairs.names`); None leaves the text as it is.

    Raises:
        DataError: there is no dataset at `path`, or its files cannot be read; says what was looked for.
        UsageError: there is no repair of this name.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise DataError(f"{path} does not exist")
    if not root.is_dir():
        raise DataError(f"{path} is a file; give the folder that holds it")
    is_release = (root / "layer1.json").is_file()
    is_folder = any((root / name).is_file() for name in ("recipes.jsonl", "recipes.csv"))
    if is_release and is_folder:
        raise DataError(
            f"{path} holds both layer1.json and recipes.jsonl or recipes.csv; move one of them away"
        )
    if is_release:
        return Recipe1M(root, exclude, repairs)
    if is_folder:
        return Folder(root, exclude, repairs)
    if any((root / name).is_file() for name in ("layer2.json", "layer2+.json", "det_ingrs.json")):
        raise DataError(f"{path} looks like the Recipe1M release, but layer1.json is missing. {ACCESS}")
    if any(True for _ in walk_photos(root, lambda problem: None)):
        return PhotoFolder(root, exclude, repairs)
    raise DataError(
        f"{path} holds no dataset; looked for layer1.json (the Recipe1M release), recipes.jsonl, recipes.csv "
        f"and photos ({' '.join(sorted(PHOTO_SUFFIXES))})"
    )
