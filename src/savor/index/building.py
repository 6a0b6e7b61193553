"""Building: an index from stored features or from a data set, and additions to one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from savor.datasets import open_dataset
from savor.datasets.folder import recipe_to_json
from savor.encoders import comparable
from savor.errors import DataError, PhotoError, SavorError, UsageError, VectorIndexError
from savor.features import Features
from savor.index import backends
from savor.index.embedding import Embedder
from savor.index.folder import MANIFEST, Entry, Folder, FolderIndex, Record, begin
from savor.index.thumbnails import SIDE, jpeg
from savor.photos import open_photo
from savor.recipe import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from savor.datasets import Dataset
    from savor.index import Backend, Find
    from savor.index.folder import Array
    from savor.recipe import Pair, Photo, Recipe
    from savor.reranking import Item
    from savor.runs import Run

BATCH = 64  # pairs
DECODED = 16  # photos in memory at a time; one of a telephone takes 36 MB
NOT_BY_DEFAULT = "test"
OnProgress = Callable[[int, int], None]


@dataclass
class Summary:
    """What became of the recipes and photos that an index was built from."""

    recipes: int = 0  # in the index afterwards
    photos: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    empty: int = 0  # neither text nor photo
    failed_photos: list[str] = field(default_factory=list)  # reasons
    notes: list[str] = field(default_factory=list)


def build(
    source: Features | Dataset,
    run: Run | Embedder,
    out: Path,
    *,
    splits: Sequence[str] = (),
    backend: Backend | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> Summary:
    """Build an index, or add to the one in `out`; stopped at any moment it leaves what was there.

    Recipes without text are not listed among the recipes, those without photo not among the photos. An id
    that is there already is left alone if its text and photos are the same, else replaced.

    Args:
        source: features made with the run's encoders, or a data set to encode with them.
        run: the run whose vectors the index holds, or an embedder of it whose encoders are loaded already.
        out: the index; new, or an empty folder, or an index of the same run.
        splits: names of splits; all but `test` if none is given.
        backend: what keeps the vectors; None for that of the index or, where it is new, by its size.
        on_progress: called with the recipes done and their total.

    Raises:
        UsageError: a split that does not occur, an unknown backend, or another than the index has.
        FeaturesError: the features come from other encoders than the run's.
        EncoderError: the run's encoders are not here.
        VectorIndexError: `out` is no index, is damaged, or holds vectors of another run.
        DataError: there is nothing to index.
    """
    if backend is not None:
        backends.check(backend)
    grid = source.grid if isinstance(source, Features) else None
    embedder = run if isinstance(run, Embedder) else Embedder(run, grid)
    if isinstance(source, Features):
        embedder.run.check(source)
    with _opened(out.absolute(), embedder, backend) as folder:
        addition = _Addition(folder)
        if isinstance(source, Features):
            fingerprint = source.fingerprint
            _from_features(source, embedder, addition, splits, on_progress)
        else:
            fingerprint = source.fingerprint()
            _from_dataset(source, embedder, addition, splits, on_progress)
        addition.write(fingerprint, embedder, backend)
    return addition.summary


class _Addition:
    """Entries on their way into an index, or into the folder that is to become one."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.contents = folder.contents() if isinstance(folder, FolderIndex) else {}
        self.entries: dict[Find, list[Entry]] = {"recipes": [], "photos": []}
        self.replaced: set[str] = set()
        self.summary = Summary()

    def has(self, recipe: Recipe, content: str) -> bool:
        """Say whether a recipe is in the index with this content."""
        return self.contents.get(recipe.id) == content

    def put(
        self,
        recipe: Recipe,
        content: str,
        text: Item | None,
        photos: Mapping[str, tuple[Item, str | None]],
    ) -> None:
        """Add a recipe as it was encoded, if it has text, and by id its photos, encoded, and thumbnails."""
        if text is None and not photos:
            self.summary.empty += 1
        elif recipe.id in self.contents:
            self.replaced.add(recipe.id)
            self.summary.updated += 1
        else:
            self.summary.added += 1
        if text is not None:
            record = {**recipe_to_json(recipe), "photos": list(photos), "content": content}
            self._append("recipes", record, text)
        for photo_id, (photo, thumbnail) in photos.items():
            record = {"id": photo_id, "recipe_id": recipe.id, "thumbnail": thumbnail, "content": content}
            self._append("photos", record, photo)

    def _append(self, find: Find, record: Record, item: Item) -> None:
        vector, states = item
        if states is not None:
            record["states"] = self.folder.keep_states(states)
        self.entries[find].append((record, vector.astype(np.float16)))

    def write(self, fingerprint: str, embedder: Embedder, backend: Backend | None) -> None:
        """Put the entries into the index."""
        index = self.folder if isinstance(self.folder, FolderIndex) else self._new(embedder, backend)
        if any(self.entries.values()):
            data = index.manifest["data"]
            data = data if fingerprint in data else [*data, fingerprint]
            index.add(self.entries, self.replaced, data=data)
        self.summary.recipes, self.summary.photos = index.count("recipes"), index.count("photos")
        largest = max(self.summary.recipes, self.summary.photos)
        if index.manifest["backend"] == "exact" and backends.by_size(largest) != "exact":
            self.summary.notes.append(
                f"{largest:,} entries are many to compare with each query: for a faster index build another"
                " with --backend lance"
            )
        index.close()

    def _new(self, embedder: Embedder, backend: Backend | None) -> FolderIndex:
        largest = max(map(len, self.entries.values()))
        if largest == 0:
            raise DataError("nothing to index: no recipe with text and no readable photo in these splits")
        return backends.create(
            self.folder.path,
            backend or backends.by_size(largest),
            embedder.dim,
            run=embedder.run.fingerprint,
            method=embedder.run.config["method"],
            encoders=embedder.run.config["encoders"],
            grid=list(embedder.grid),
            reranks=embedder.run.method.reranks,
        )


@contextmanager
def _opened(out: Path, embedder: Embedder, backend: Backend | None) -> Iterator[Folder]:
    """Open the index in a folder, or start a new one beside it that takes its place when all went well."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file()):
        raise VectorIndexError(f"{out}: not empty and no index; name another folder with --out")
    if (out / MANIFEST).is_file():
        index = backends.opened(out)
        _check_same_model(index, embedder)
        if backend not in (None, index.manifest["backend"]):
            raise UsageError(
                f"{out}: its backend is {index.manifest['backend']}, not {backend}; name another folder with"
                " --out"
            )
        index.verify()
        yield index
        return
    unfinished = out.with_name(f".{out.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        yield begin(unfinished, embedder.run.path)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_same_model(index: FolderIndex, embedder: Embedder) -> None:
    here, given = index.manifest["run"], embedder.run.fingerprint
    if here != given:
        raise VectorIndexError(
            f"{index.path}: holds vectors of the run {here}, but {embedder.run.path} is the run {given};"
            " vectors of two runs cannot be compared: name another folder with --out, or add with the run of"
            f" this index, {index.run_folder}"
        )
    for kind, described in embedder.run.config["encoders"].items():
        if comparable(described) != comparable(index.manifest["encoders"][kind]):
            raise VectorIndexError(
                f"{index.path}: its {kind} encoder is not that of {embedder.run.path}, or is set up"
                " differently; name another folder with --out"
            )
    if "patches" in embedder.photo_uses and list(embedder.grid) != index.manifest["grid"]:
        raise VectorIndexError(
            f"{index.path}: made with patches on a grid of {index.manifest['grid']}, now"
            f" {list(embedder.grid)}; name another folder with --out"
        )


def _choose(existing: Iterable[str], wanted: Sequence[str], where: Path, summary: Summary) -> list[str]:
    known = sorted(set(existing))
    for name in wanted:
        if name not in known:
            raise UsageError(f"{where}: no split {name!r}; it has {', '.join(known) or 'none'}")
    if wanted:
        return list(wanted)
    if NOT_BY_DEFAULT in known:
        summary.notes.append(f"the split {NOT_BY_DEFAULT!r} is left out; --split names the splits to index")
    return [name for name in known if name != NOT_BY_DEFAULT]


def _content(recipe: Recipe, photos: Iterable[tuple[str, str]]) -> str:
    """Digest of a recipe's text and of its photos, given by id and digest."""
    text = json.dumps([recipe_to_json(recipe), list(photos)], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _from_features(
    features: Features,
    embedder: Embedder,
    addition: _Addition,
    splits: Sequence[str],
    on_progress: OnProgress,
) -> None:
    rows = features.rows(_choose(features.splits.tolist(), splits, features.path, addition.summary))
    for start in range(0, len(rows), BATCH * 8):
        _store_rows(features, embedder, addition, rows[start : start + BATCH * 8])
        on_progress(min(start + BATCH * 8, len(rows)), len(rows))
    taken = set(features.ids[rows].tolist())
    addition.summary.failed_photos += [
        one["reason"] for one in features.manifest["failed_photos"] if one["recipe"] in taken
    ]
    _add_thumbnails(Path(features.manifest["dataset"]["path"]), addition)


def _store_rows(features: Features, embedder: Embedder, addition: _Addition, rows: Array) -> None:
    """Embed some recipes of the features, those that the index has left out."""
    column = features.column("image")
    changed: list[tuple[int, Recipe, str, list[str]]] = []
    for row in rows.tolist():
        recipe, names = features.recipe(row), features.photo_ids(row)
        stored = column.take(np.arange(column.offsets[row], column.offsets[row + 1]))
        digests = [hashlib.sha256(vector.tobytes()).hexdigest() for vector in stored]
        content = _content(recipe, zip(names, digests, strict=True))
        if addition.has(recipe, content):
            addition.summary.unchanged += 1
        else:
            changed.append((row, recipe, content, names))
    if not changed:
        return
    encoded = iter(embedder.stored_photos(features, np.array([row for row, *_ in changed])).items())
    with_text = [row for row, *_ in changed if features.has_text[row]]
    texts = embedder.stored_recipes(features, np.array(with_text, int)).items()
    text_of = dict(zip(with_text, texts, strict=True))
    for row, recipe, content, names in changed:
        photos = {name: (next(encoded), None) for name in names}
        addition.put(recipe, content, text_of.get(row), photos)


def _add_thumbnails(path: Path, addition: _Addition) -> None:
    """Make thumbnails of the photos to be added, as far as the features' data set is still there."""
    waiting = {(record["recipe_id"], record["id"]): record for record, _ in addition.entries["photos"]}
    titles = {record["id"]: record["title"] for record, _ in addition.entries["recipes"]}
    if not waiting:
        return
    try:
        pairs = open_dataset(path).pairs(on_problem=lambda problem: None)
        photos = (
            ((pair.recipe.id, photo.id), photo)
            for pair in pairs
            if pair.recipe.title == titles.get(pair.recipe.id, pair.recipe.title)
            for photo in pair.photos
            if (pair.recipe.id, photo.id) in waiting
        )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while some := list(islice(photos, BATCH)):
                images = pool.map(_decode_small, (photo for _, photo in some))
                for (key, _), image in zip(some, images, strict=True):
                    if key in waiting and not isinstance(image, PhotoError):
                        waiting.pop(key)["thumbnail"] = addition.folder.keep_thumbnail(jpeg(image))
    except SavorError as error:
        addition.summary.notes.append(f"no thumbnails: {error}")
    else:
        if waiting:
            addition.summary.notes.append(f"{len(waiting):,} photos have no thumbnail: {path} has changed")


def _from_dataset(
    dataset: Dataset, embedder: Embedder, addition: _Addition, splits: Sequence[str], on_progress: OnProgress
) -> None:
    counts = Counter(pair.split for pair in dataset.pairs(on_problem=lambda problem: None))
    chosen = _choose(counts, splits, dataset.path, addition.summary)
    total = sum(counts[name] for name in chosen)
    pairs = (pair for pair in dataset.pairs() if pair.split in chosen)
    done = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(islice(pairs, BATCH)):
            _encode_pairs(some, embedder, addition, pool)
            done += len(some)
            on_progress(done, total)


def _encode_pairs(
    pairs: Sequence[Pair], embedder: Embedder, addition: _Addition, pool: ThreadPoolExecutor
) -> None:
    """Encode and embed some pairs of a data set, those that the index has left out."""
    changed: list[tuple[Pair, dict[str, str]]] = []
    for pair, digests in zip(pairs, pool.map(_photo_digests, pairs), strict=True):
        if addition.has(pair.recipe, _content(pair.recipe, digests.items())):
            addition.summary.unchanged += 1
        else:
            changed.append((pair, digests))
    found = _encode_photos([pair for pair, _ in changed], embedder, addition, pool)
    with_text = [pair.recipe for pair, _ in changed if pair.recipe.missing != PARTS]
    encoded = embedder.encode_recipes(with_text).items() if with_text else ()
    texts = {recipe.id: item for recipe, item in zip(with_text, encoded, strict=True)}
    for pair, digests in changed:
        recipe = pair.recipe
        kept = {name: found[recipe.id, name] for name in digests if (recipe.id, name) in found}
        content = _content(recipe, ((name, digests[name]) for name in kept))
        if addition.has(recipe, content):  # but for a photo that still cannot be read
            addition.summary.unchanged += 1
        else:
            addition.put(recipe, content, texts.get(recipe.id), kept)


def _encode_photos(
    pairs: Sequence[Pair], embedder: Embedder, addition: _Addition, pool: ThreadPoolExecutor
) -> dict[tuple[str, str], tuple[Item, str]]:
    """Return each photo that can be read, encoded, and its thumbnail, by the ids of recipe and photo."""
    photos = iter({(pair.recipe.id, photo.id): photo for pair in pairs for photo in pair.photos}.items())
    found: dict[tuple[str, str], tuple[Item, str]] = {}
    while some := dict(islice(photos, DECODED)):
        images: dict[tuple[str, str], Image.Image] = {}
        for key, image in zip(some, pool.map(_decode, some.values()), strict=True):
            if isinstance(image, PhotoError):
                addition.summary.failed_photos.append(str(image))
            else:
                images[key] = image
        if images:
            encoded = embedder.encode_photos(list(images.values())).items()
            names = map(addition.folder.keep_thumbnail, pool.map(jpeg, images.values()))
            found.update(zip(images, zip(encoded, names, strict=True), strict=True))
    return found


def _photo_digests(pair: Pair) -> dict[str, str]:
    """Digest of each photo's bytes by its id; of one that cannot be read, nothing."""
    digests = {}
    for photo in pair.photos:
        try:
            digests[photo.id] = hashlib.sha256(photo.read()).hexdigest()
        except PhotoError:
            digests[photo.id] = ""
    return digests


def _decode(photo: Photo) -> Image.Image | PhotoError:
    try:
        return open_photo(photo)
    except PhotoError as error:
        return error


def _decode_small(photo: Photo) -> Image.Image | PhotoError:
    try:
        return open_photo(photo, target=(SIDE, SIDE))
    except PhotoError as error:
        return error
