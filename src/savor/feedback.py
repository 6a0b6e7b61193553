"""Feedback: "that was it" and "not this", kept with an index and exported as pairs.

```
INDEX/feedback.jsonl  a verdict a line: when, the query (a photo's file, or words), the recipe as it was
INDEX/feedback/…      the photos, small and without anything the camera wrote into them
```

A later verdict on the same query and recipe takes the place of an earlier one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from savor.datasets.folder import recipe_from_json, recipe_to_json
from savor.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from savor.index import Index
    from savor.recipe import Photo, Recipe

FILE, PHOTOS = "feedback.jsonl", "feedback"
SIDE = 1024  # pixels of the longer side: enough to be encoded again
Verdict = Literal["yes", "no"]


@dataclass(frozen=True, slots=True)
class Said:
    """One verdict.

    Attributes:
        query: the words asked with, or the photo's path relative to the index.
        is_photo: which of both it is.
        recipe: the hit, as it was when it was judged.
        verdict: whether it was what was looked for.
        when: time of the verdict, UTC in ISO 8601.
    """

    query: str
    is_photo: bool
    recipe: Recipe
    verdict: Verdict
    when: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        pairs: photos that were said to show their recipe.
        recipes: recipes with at least one of them.
        verdicts: all verdicts that count, in `verdicts.jsonl`.
    """

    pairs: int
    recipes: int
    verdicts: int


def keep(
    index: Index | str | Path,
    query: str | Path | bytes | Photo | Image.Image,
    recipe_id: str,
    verdict: Verdict,
    *,
    when: datetime | None = None,
) -> Said:
    """Keep a verdict on a hit.

    Args:
        index: the index, or the folder of one.
        query: words, as a string; or a photo: a file, its bytes, or an opened picture.
        recipe_id: the recipe that was found, or whose photo was.
        verdict: `yes` or `no`.
        when: now, if it is not given.

    Raises:
        UsageError: the verdict is another word, the query is blank, or the index lists no such recipe.
        PhotoError: the photo cannot be read.
        VectorIndexError: there is no index, or it is damaged.
    """
    from savor.index import open_index

    if verdict not in get_args(Verdict):
        raise UsageError(f"verdict {verdict!r}: say yes or no")
    if isinstance(query, str) and not query.strip():
        raise UsageError("the words that were asked with are blank")
    opened = open_index(index) if isinstance(index, str | Path) else index
    folder, recipe = opened.path, opened.recipe(recipe_id)
    if recipe is None:
        raise UsageError(f"{folder}: no recipe with the id {recipe_id!r} is listed in this index")
    said = Said(
        query if isinstance(query, str) else _keep_photo(folder, query),
        not isinstance(query, str),
        recipe,
        verdict,
        (when or datetime.now(UTC)).isoformat(timespec="seconds"),
    )
    line = json.dumps(_as_json(said), ensure_ascii=False) + "\n"
    # One write to a file opened for appending: two processes cannot mix their lines.
    file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(file, line.encode("utf-8", "surrogatepass"))
    finally:
        os.close(file)
    return said


def _keep_photo(folder: Path, photo: Path | bytes | Photo | Image.Image) -> str:
    from savor.index.thumbnails import jpeg
    from savor.search import as_picture

    data = jpeg(as_picture(photo), SIDE)
    name = f"{PHOTOS}/{hashlib.sha256(data).hexdigest()[:32]}.jpg"
    (folder / PHOTOS).mkdir(exist_ok=True)
    if not (folder / name).exists():
        (folder / f"{name}.part").write_bytes(data)
        (folder / f"{name}.part").replace(folder / name)
    return name


def read(index_path: str | Path) -> list[Said]:
    """Return the verdicts that count, in the order in which they were first given; none if there are none.

    Raises:
        DataError: a line is no verdict.
    """
    file = Path(index_path) / FILE
    said: dict[tuple[str, bool, str], Said] = {}
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else [], start=1):
        try:
            one = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{file}, line {number}: no verdict ({error}); mend or delete the line"
            ) from error
        said[one.query, one.is_photo, one.recipe.id] = one
    return list(said.values())


def export(index_path: str | Path, out: str | Path) -> Exported:
    """Write what was said as a plain folder: each recipe with the photos that were said to show it.

    `verdicts.jsonl` beside it has all verdicts, those with "no" and those on words too.

    Raises:
        UsageError: the folder exists and is not empty, or nothing was said yet.
        DataError: a verdict cannot be read, or its photo is gone.
    """
    index, out = Path(index_path), Path(out)
    if not index.is_dir():
        raise UsageError(f"{index}: there is no such index")
    said = read(index)
    if not said:
        raise UsageError(f"{index}: no feedback is kept there yet; give some with `savor feedback --help`")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty; name a new folder")
    (out / "photos").mkdir(parents=True)
    for name in dict.fromkeys(one.query for one in said if one.is_photo):
        if not (index / name).is_file():
            raise DataError(f"{index / name} is gone, though a verdict names it")
        shutil.copyfile(index / name, out / "photos" / Path(name).name)
    recipes: dict[str, dict[str, Any]] = {}
    for one in said:
        if one.is_photo and one.verdict == "yes":
            # The latest verdict has the latest text.
            photos = recipes.get(one.recipe.id, {"photos": []})["photos"]
            recipes[one.recipe.id] = {**recipe_to_json(one.recipe), "photos": [*photos, _exported(one)]}
    _write_lines(out / "recipes.jsonl", recipes.values())
    _write_lines(out / "verdicts.jsonl", (_as_line(one) for one in said))
    pairs = sum(len(recipe["photos"]) for recipe in recipes.values())
    return Exported(pairs, len(recipes), len(said))


def _exported(one: Said) -> str:
    return f"photos/{Path(one.query).name}"


def _as_line(one: Said) -> dict[str, Any]:
    query = {"photo": _exported(one)} if one.is_photo else {"text": one.query}
    return {"when": one.when, **query, "recipe_id": one.recipe.id, "verdict": one.verdict}


def _write_lines(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    file.write_bytes(text.encode("utf-8", "surrogatepass"))


def _as_json(said: Said) -> dict[str, Any]:
    return {
        "when": said.when,
        "verdict": said.verdict,
        "photo" if said.is_photo else "text": said.query,
        "recipe": recipe_to_json(said.recipe),
    }


def _from_json(line: dict[str, Any]) -> Said:
    recipe, verdict, is_photo = line["recipe"], line["verdict"], "photo" in line
    if verdict not in get_args(Verdict):
        raise ValueError(f"verdict {verdict!r}")
    query = str(line["photo" if is_photo else "text"])
    if is_photo and Path(query).parent != Path(PHOTOS):
        raise ValueError(f"the photo {query!r} is not in {PHOTOS}/")
    return Said(query, is_photo, recipe_from_json(recipe), verdict, str(line["when"]))
