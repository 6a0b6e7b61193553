"""Writing dishes to disk, as a plain folder or in the layout of the Recipe1M release."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from savor.datasets.toy_kitchen.generation import SIZE, SPLITS, Dish, Settings, generate
from savor.errors import DataError, UsageError
from savor.recipe import Recipe

Layout = Literal["folder", "recipe1m"]
MARK = "toy.json"
DRAWING = 1  # raise it when the same settings give other recipes or pictures
QUALITY = 88


def write(
    out: Path,
    n: int = 1200,
    seed: int = 0,
    layout: Layout = "folder",
    splits: tuple[float, float, float] = (0.7, 0.1, 0.2),
    *,
    title_only: float = 0.0,
    photoless: float = 0.0,
    photos_per_recipe: float = 1.0,
    size: tuple[int, int] = SIZE,
) -> Path:
    """Write n dishes and their `regions.jsonl` to a folder and return it.

    `toy.json` holds the settings and says whether the folder is complete. Where it is, and the settings are
    the same, nothing is done; where an earlier run was interrupted, all of it is written again.

    `regions.jsonl` has a line for each photo: `photo` (as the layout names it: `photos/<id>.jpg` or the
    member of the tar), `size` [width, height] and `regions`, each with `ingredient`, `line` (index into the
    recipe's ingredients or null), `box` [x0, y0, x1, y1], `area` in pixels and `rle` (see `encode_rle`).

    Raises:
        UsageError: n, a share or the layout is out of range.
        DataError: the folder holds something else, or cannot be written.
    """
    if layout not in get_args(Layout):
        raise UsageError(
            f"toy kitchen: layout {layout!r} is unknown; take one of {', '.join(get_args(Layout))}"
        )
    settings = Settings(seed, splits, title_only, photoless, photos_per_recipe, size)
    dishes = generate(n, **asdict(settings))
    mark = json.loads(json.dumps({"toy": DRAWING, "n": n, "layout": layout, **asdict(settings)}))
    out = Path(out)
    try:
        if _is_done(out, mark):
            return out
        out.mkdir(parents=True, exist_ok=True)
        _write_json(out / MARK, {**mark, "complete": False})
        (_write_folder if layout == "folder" else _write_recipe1m)(out, dishes)
        _write_json(out / MARK, {**mark, "complete": True})
    except OSError as error:
        raise DataError(
            f"{out}: the toy kitchen cannot write there ({error.strerror or error}); choose another folder"
        ) from error
    return out


def _is_done(out: Path, mark: dict[str, Any]) -> bool:
    """Tell whether `out` already holds these dishes.

    Raises:
        DataError: it holds anything that a run with the same settings has not begun.
    """
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {f"{MARK}.partial"}):
        return False
    try:
        found = json.loads((out / MARK).read_text(encoding="utf-8"))
        complete = found.pop("complete")
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise DataError(
            f"{out}: it is not empty and was not written by the toy kitchen; name a new folder"
        ) from error
    if found != mark:
        raise DataError(
            f"{out}: it holds a toy kitchen with other settings; name a new folder or delete this one"
        )
    return bool(complete)


def _write_json(path: Path, content: Any) -> None:
    """Replace a file by a JSON document, whole or not at all."""
    draft = path.with_name(path.name + ".partial")
    draft.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(path)


def _write_folder(out: Path, dishes: Iterator[Dish]) -> None:
    names = ("recipes.jsonl", "regions.jsonl")  # they appear once whole: half a folder has no recipes
    (out / "photos").mkdir(exist_ok=True)
    with ExitStack() as stack:
        recipes, regions = (
            stack.enter_context((out / f"{name}.partial").open("w", encoding="utf-8", newline="\n"))
            for name in names
        )
        for dish in dishes:
            photos = [f"photos/{photo_id}.jpg" for photo_id in dish.photo_ids]
            for k, photo in enumerate(photos):
                (out / photo).write_bytes(_jpeg(dish, k))
                regions.write(_line(_regions_of(dish, k, photo)))
            recipes.write(_line({**_texts(dish.recipe), "photos": photos, "partition": dish.split}))
    for name in names:
        (out / f"{name}.partial").replace(out / name)


def _texts(recipe: Recipe) -> dict[str, Any]:
    return {
        "id": recipe.id,
        "title": recipe.title,
        "ingredients": recipe.ingredients,
        "instructions": recipe.instructions,
        "category": recipe.category,
        "source": recipe.source,
    }


def _write_recipe1m(out: Path, dishes: Iterator[Dish]) -> None:
    layer1: list[dict[str, Any]] = []
    layer2: list[dict[str, Any]] = []
    (out / "images").mkdir(exist_ok=True)
    with ExitStack() as stack:
        tars = {s: stack.enter_context(tarfile.open(out / "images" / f"{s}.tar", "w")) for s in SPLITS}
        regions = stack.enter_context((out / "regions.jsonl").open("w", encoding="utf-8", newline="\n"))
        for dish in dishes:
            layer1.append(_layer1(dish))
            for k, photo_id in enumerate(dish.photo_ids):
                member = "/".join((dish.split, *photo_id[:4], f"{photo_id}.jpg"))
                _add(tars[dish.split], member, _jpeg(dish, k))
                regions.write(_line(_regions_of(dish, k, member)))
            if dish.photo_ids:
                layer2.append(_layer2(dish))
    _write_json(out / "layer1.json", layer1)
    _write_json(out / "layer2.json", layer2)


def _layer1(dish: Dish) -> dict[str, Any]:
    recipe = dish.recipe
    return {
        "ingredients": [{"text": line} for line in recipe.ingredients],
        "url": f"https://toy-kitchen.example/recipes/{recipe.id}",
        "partition": dish.split,
        "title": recipe.title,
        "id": recipe.id,
        "instructions": [{"text": line} for line in recipe.instructions],
    }


def _layer2(dish: Dish) -> dict[str, Any]:
    names = [f"{photo_id}.jpg" for photo_id in dish.photo_ids]
    return {
        "id": dish.recipe.id,
        "images": [{"id": name, "url": f"https://toy-kitchen.example/photos/{name}"} for name in names],
    }


def _add(tar: tarfile.TarFile, member: str, data: bytes) -> None:
    info = tarfile.TarInfo(member)  # its default owner and time make equal settings give equal bytes
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _jpeg(dish: Dish, k: int) -> bytes:
    buffer = io.BytesIO()
    dish.images[k].save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _regions_of(dish: Dish, k: int, photo: str) -> dict[str, Any]:
    return {
        "photo": photo,
        "size": list(dish.images[k].size),
        "regions": [region.to_json() for region in dish.regions[k]],
    }


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
