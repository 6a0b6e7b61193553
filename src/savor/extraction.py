"""Extraction: frozen encoders over a data set, shard by shard, resumable after a kill at any moment."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from savor import __version__
from savor.batch import Array, Column
from savor.datasets.folder import recipe_to_json
from savor.encoders.base import comparable
from savor.errors import DataError, FeaturesError, PhotoError
from savor.features import FORMAT, MANIFEST, TEXTS, checksum, read_manifest
from savor.photos import open_photo
from savor.recipe import PARTS, Pair, Photo, Recipe

if TYPE_CHECKING:
    from PIL import Image

    from savor.datasets import Dataset
    from savor.encoders.base import ImageEncoder, TextEncoder

# A field in the making: values `(rows, ...)` and how many of them each recipe has, `(recipes,)`.
Ragged = tuple[Array, Array]
GRID = (7, 7)
_SPAN = 4  # part, line, first and last character of a word piece


@dataclass(frozen=True)
class Size:
    """What there is to extract, counted in one pass over the data set."""

    recipes: int
    photos: int
    lines: int
    words: int


@dataclass
class Progress:
    """How far an extraction is; `recipes` counts those finished in earlier calls too."""

    total: Size
    recipes: int = 0
    photos: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)


def encode_recipes(
    recipes: Sequence[Recipe], encoder: TextEncoder, *, tokens: bool = False
) -> dict[str, Ragged]:
    """Encode recipes line by line: a ragged field for each part, and the word pieces where asked for.

    `words` are the token states of all lines, `(rows, d)`; `words_spans` say where each stands:
    part (its place in `PARTS`), line, first and last character, `(rows, 4)`.
    """
    lines = [(part, recipe.lines(part)) for part in PARTS for recipe in recipes]
    flat = [line for _, some in lines for line in some]
    states = encoder.encode(flat, tokens=tokens) if flat else None
    vectors = np.zeros((0, encoder.dim), np.float32) if states is None else states.pooled.numpy()
    fields: dict[str, Ragged] = {}
    start = 0
    for index, part in enumerate(PARTS):
        counts = np.array([len(some) for _, some in lines[index * len(recipes) :][: len(recipes)]], np.int64)
        fields[part] = vectors[start : start + counts.sum()], counts
        start += int(counts.sum())
    if tokens:
        fields |= _words(recipes, encoder.dim, states)
    return fields


def _words(recipes: Sequence[Recipe], dim: int, states: Any) -> dict[str, Ragged]:
    """Bring the token states, which come part by part, into the order recipe by recipe."""
    found: list[list[tuple[Array, Array]]] = [[] for _ in recipes]
    position = 0
    for number, part in enumerate(PARTS):
        for index, recipe in enumerate(recipes):
            for line in range(len(recipe.lines(part))):
                spans = np.array(states.spans[position], np.int32).reshape(-1, 2)
                where = np.full((len(spans), 2), (number, line), np.int32)
                found[index].append((states.tokens[position].numpy(), np.concatenate([where, spans], 1)))
                position += 1
    counts = np.array([sum(len(values) for values, _ in one) for one in found], np.int64)
    flat = [pair for one in found for pair in one]
    values = np.concatenate([np.zeros((0, dim), np.float32), *(values for values, _ in flat)])
    spans = np.concatenate([np.zeros((0, _SPAN), np.int32), *(spans for _, spans in flat)])
    return {"words": (values, counts), "words_spans": (spans, counts)}


def encode_photos(
    images: Sequence[Sequence[Image.Image]], encoder: ImageEncoder, *, grid: tuple[int, int] | None = None
) -> dict[str, Ragged]:
    """Encode the photos of each recipe: `image (rows, d)` and, on a grid, `patches (rows, p, d)`."""
    counts = np.array([len(some) for some in images], np.int64)
    states = encoder.encode([image for some in images for image in some], patches=grid)
    fields = {"image": (states.pooled.numpy(), counts)}
    if grid is not None:
        assert states.patches is not None
        fields["patches"] = states.patches.numpy(), counts
    return fields


def columns(fields: dict[str, Ragged]) -> dict[str, Column]:
    """Turn ragged fields in memory into columns, to be read as stored features are (`savor.batch.gather`)."""
    return {name: Column.of(values, counts) for name, (values, counts) in fields.items()}


def measure(dataset: Dataset) -> Size:
    """Count what there is to extract.

    Raises:
        DataError: the data set holds no recipe and no photo.
    """
    recipes = photos = lines = words = 0
    for pair in dataset.pairs(on_problem=lambda problem: None):
        recipes += 1
        photos += len(pair.photos)
        for part in PARTS:
            texts = pair.recipe.lines(part)
            lines += len(texts)
            words += sum(len(text.split()) for text in texts)
    if recipes == 0:
        raise DataError(f"{dataset.path}: 0 recipes read; `savor data check {dataset.path}` says why")
    return Size(recipes, photos, lines, words)


def extract(
    dataset: Dataset,
    out: Path,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    *,
    grid: tuple[int, int] | None = None,
    tokens: bool = False,
    shard_size: int = 512,
    total: Size | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Write the features of a data set, or finish what an interrupted call began; return the manifest.

    A photo that cannot be read is noted in the manifest, and its recipe goes on without it.

    Raises:
        FeaturesError: the folder holds features of other data, encoders or settings; or it is not empty.
    """
    header = _header(dataset, image_encoder, text_encoder, grid, tokens, shard_size)
    manifest = _resume(out, header)
    if manifest["finished"]:
        return manifest
    progress = Progress(total or measure(dataset), failed=manifest["failed_photos"])
    out.mkdir(parents=True, exist_ok=True)
    # The manifest comes first: it tells a folder that a kill left without shards from somebody else's.
    _write_manifest(out, manifest)
    _remove_unlisted(out, manifest)
    progress.recipes = sum(shard["recipes"] for shard in manifest["shards"])
    progress.photos = sum(shard["photos"] for shard in manifest["shards"])
    on_progress(progress)
    pairs = islice(dataset.pairs(on_problem=lambda problem: None), progress.recipes, None)
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        while shard := list(islice(pairs, shard_size)):
            fields, kept = _encode_shard(
                shard, image_encoder, text_encoder, grid, tokens, pool, progress, on_progress
            )
            manifest["shards"].append(_write_shard(out, len(manifest["shards"]), shard, kept, fields))
            manifest["fields"] = {name: _describe_field(values, grid) for name, (values, _) in fields.items()}
            _write_manifest(out, manifest)
    if not manifest["shards"]:
        raise DataError(f"{dataset.path}: 0 recipes read; `savor data check {dataset.path}` says why")
    manifest["finished"] = True
    _write_manifest(out, manifest)
    return manifest


def _header(
    dataset: Dataset,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    grid: tuple[int, int] | None,
    tokens: bool,
    shard_size: int,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "savor": __version__,
        "finished": False,
        "dataset": {
            "path": str(dataset.path.resolve()),
            "kind": dataset.kind,
            "fingerprint": dataset.fingerprint(),
        },
        "encoders": {"image": image_encoder.describe(), "text": text_encoder.describe()},
        "settings": {"patches": grid and list(grid), "tokens": tokens, "shard_size": shard_size},
        "fields": {},
        "failed_photos": [],
        "shards": [],
    }


def identity(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return what two manifests must share for their vectors to be the same thing."""
    return {
        "data fingerprint": manifest["dataset"]["fingerprint"],
        "image encoder": comparable(manifest["encoders"]["image"]),
        "text encoder": comparable(manifest["encoders"]["text"]),
        **manifest["settings"],
    }


def _resume(out: Path, header: dict[str, Any]) -> dict[str, Any]:
    found = read_manifest(out)
    if found is None:
        if out.exists() and any(path.name != f"{MANIFEST}.part" for path in out.iterdir()):
            raise FeaturesError(f"{out}: not empty and no feature folder; name another folder with --out")
        return header
    have, want = identity(found), identity(header)
    for key in want:
        if have.get(key) != want[key]:
            raise FeaturesError(
                f"{out}: made with another {key} ({_short(have.get(key))}, now {_short(want[key])});"
                " name another folder with --out, or delete this one"
            )
    return found


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 160 else text[:160] + " …"


def _remove_unlisted(out: Path, manifest: dict[str, Any]) -> None:
    """Remove what a killed call left behind; only shards in the manifest are whole."""
    listed = {shard["name"] for shard in manifest["shards"]}
    for path in out.iterdir():
        if path.is_dir() and path.name.startswith("shard-") and path.name not in listed:
            shutil.rmtree(path)


def _encode_shard(
    shard: Sequence[Pair],
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    grid: tuple[int, int] | None,
    tokens: bool,
    pool: ThreadPoolExecutor,
    progress: Progress,
    on_progress: Callable[[Progress], None],
) -> tuple[dict[str, Ragged], list[list[str]]]:
    """Encode a shard; also return the ids of the photos that could be read, recipe by recipe."""
    fields = encode_recipes([pair.recipe for pair in shard], text_encoder, tokens=tokens)
    parts: list[dict[str, Ragged]] = []
    kept: list[list[str]] = []
    size = 32
    for start in range(0, len(shard), size):
        some = shard[start : start + size]
        images: list[list[Image.Image]] = []
        opened = pool.map(_open, [photo for pair in some for photo in pair.photos])
        for pair in some:
            images.append([])
            kept.append([])
            for photo, image in zip(pair.photos, opened, strict=False):
                if isinstance(image, PhotoError):
                    progress.failed.append(
                        {"photo": photo.id, "recipe": pair.recipe.id, "reason": str(image)}
                    )
                else:
                    images[-1].append(image)
                    kept[-1].append(photo.id)
        parts.append(encode_photos(images, image_encoder, grid=grid))
        progress.recipes += len(some)
        progress.photos += sum(len(pair.photos) for pair in some)
        on_progress(progress)
    for name in parts[0]:
        values, counts = zip(*(part[name] for part in parts), strict=True)
        fields[name] = np.concatenate(values), np.concatenate(counts)
    return fields, kept


def _open(photo: Photo) -> Image.Image | PhotoError:
    try:
        return open_photo(photo)
    except PhotoError as error:
        return error


def _write_shard(
    out: Path, number: int, shard: Sequence[Pair], kept: list[list[str]], fields: dict[str, Ragged]
) -> dict[str, Any]:
    """Write a shard under a temporary name, rename it, and return its entry for the manifest."""
    name = f"shard-{number:05d}"
    folder = out / f"{name}.part"
    folder.mkdir()
    for field_name, (values, counts) in fields.items():
        stored = values.astype(np.float16) if values.dtype == np.float32 else values
        np.save(folder / f"{field_name}.npy", stored)
        np.save(folder / f"{field_name}.offsets.npy", np.concatenate([[0], np.cumsum(counts)]))
    with (folder / TEXTS).open("w", encoding="utf-8") as file:
        for pair, photos in zip(shard, kept, strict=True):
            record = {**recipe_to_json(pair.recipe), "partition": pair.split, "photos": photos}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": checksum(path)}
        for path in sorted(folder.iterdir())
    }
    folder.rename(out / name)
    photos_read = sum(len(pair.photos) for pair in shard)
    return {"name": name, "recipes": len(shard), "photos": photos_read, "files": files}


def _describe_field(values: Array, grid: tuple[int, int] | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"dim": values.shape[-1]}
    if values.ndim == 3 and grid is not None:
        facts["grid"] = list(grid)
    return facts


def _write_manifest(out: Path, manifest: dict[str, Any]) -> None:
    temporary = out / f"{MANIFEST}.part"
    temporary.write_text(json.dumps(manifest, indent=1, ensure_ascii=False), "utf-8")
    temporary.replace(out / MANIFEST)


def estimate_disk(size: Size, image_dim: int, text_dim: int, cells: int, *, tokens: bool) -> int:
    """Return the bytes the features will take, give or take a tenth; a word is about 1.4 word pieces."""
    values = size.photos * image_dim * (1 + cells) + size.lines * text_dim
    if tokens:
        values += round(size.words * 1.4 * (text_dim + 2 * _SPAN))
    return 2 * values + 8 * 5 * size.recipes + 7 * size.words


def time_encoders(
    dataset: Dataset, image_encoder: ImageEncoder, text_encoder: TextEncoder, *, photos: int = 8
) -> tuple[float, float]:
    """Measure seconds a photo and seconds a line on the first recipes of the data set."""
    images: list[Image.Image] = []
    recipes: list[Recipe] = []
    for pair in _first(dataset, photos):
        recipes.append(pair.recipe)
        images += [image for photo in pair.photos if not isinstance(image := _open(photo), PhotoError)]
    seconds = [0.0, 0.0]
    lines = sum(len(recipe.lines(part)) for recipe in recipes for part in PARTS)
    # The first call pays for warming up; the second one is timed.
    for _ in range(2):
        start = time.perf_counter()
        encode_photos([images], image_encoder)
        middle = time.perf_counter()
        encode_recipes(recipes, text_encoder)
        seconds = [middle - start, time.perf_counter() - middle]
    return seconds[0] / max(1, len(images)), seconds[1] / max(1, lines)


def _first(dataset: Dataset, count: int) -> Iterator[Pair]:
    return islice(dataset.pairs(on_problem=lambda problem: None), count)
