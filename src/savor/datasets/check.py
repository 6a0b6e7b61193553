"""What is in a dataset and what is wrong with it: the work behind `savor data check`."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from savor.datasets.base import Dataset, Problem
from savor.datasets.recipe1m import UNLISTED
from savor.errors import PhotoError
from savor.recipe import PARTS, Pair, Photo

EXAMPLES = 5
_BATCH = 256
_MISSING = ("missing photo", "photo outside")
_UNREADABLE = "unreadable photo"

_SCHEMA = """
CREATE TABLE problems (kind TEXT, effect TEXT, place TEXT, reason TEXT);
CREATE TABLE photos (hash BLOB, split TEXT, recipe TEXT);
CREATE TABLE titles (hash BLOB, split TEXT);
"""


@dataclass
class SplitCounts:
    """Numbers of recipes in one split: all, and those with or without something."""

    recipes: int = 0
    with_photo: int = 0
    photos: int = 0
    complete: int = 0
    title_only: int = 0
    no_text: int = 0
    without: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))

    def add(self, pair: Pair) -> None:
        """Count one pair in."""
        missing = pair.recipe.missing
        self.recipes += 1
        self.with_photo += bool(pair.photos)
        self.photos += len(pair.photos)
        self.complete += not missing
        self.title_only += missing == ("ingredients", "instructions")
        self.no_text += missing == PARTS
        for part in missing:
            self.without[part] += 1


@dataclass
class Kind:
    """All problems of one kind: what became of them, how many there are, and where (place, reason)."""

    effect: str
    count: int
    examples: list[tuple[str, str]]


@dataclass
class Shared:
    """Photos, told by their bytes, that occur more than once: how many, and the recipes of some of them."""

    count: int
    examples: list[list[str]]


@dataclass
class CheckResult:
    """The result of `check_dataset`; `failures` says in sentences why the dataset is not fit for use.

    `photos_listed` counts the photos the recipes name, found or not. What was not looked at is None.
    """

    path: str
    kind: str
    fingerprint: str
    splits: dict[str, SplitCounts]
    photos_listed: int
    photos_missing: int
    photos_unreadable: int | None
    in_several_splits: Shared | None
    in_several_recipes: Shared | None
    titles_in_several_splits: int
    problems: dict[str, Kind]
    failures: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


def check_dataset(
    dataset: Dataset,
    *,
    max_missing: float = 0.05,
    decode: bool = True,
    every_problem: bool = False,
    on_progress: Callable[[int], None] = lambda recipes: None,
) -> CheckResult:
    """Read a whole dataset and say what is in it, what was left out and why.

    What is kept on the way (problems, hashes of photos and titles) lies in a temporary file, so memory does
    not grow with the dataset unless `every_problem` asks for more than the first examples.

    Args:
        dataset: an open dataset.
        max_missing: the share of the listed photos that may be missing or unreadable, from 0 to 1.
        decode: decode every photo and compare their bytes; without it only their presence is checked.
        every_problem: return all problems rather than the first `EXAMPLES` of each kind.
        on_progress: called with the number of recipes read so far.

    Raises:
        DataError: a file of the dataset is damaged as a whole.
    """
    splits: dict[str, SplitCounts] = {}
    with closing(sqlite3.connect("", check_same_thread=False)) as db, ThreadPoolExecutor(_threads()) as pool:
        db.executescript(_SCHEMA)

        def note(problem: Problem) -> None:
            row = (problem.kind, problem.effect, problem.where, problem.reason)
            db.execute("INSERT INTO problems VALUES (?, ?, ?, ?)", row)

        pairs, read = dataset.pairs(on_problem=note), 0
        while batch := list(islice(pairs, _BATCH)):
            for pair in batch:
                splits.setdefault(pair.split, SplitCounts()).add(pair)
                title = _digest(pair.recipe.title.strip().casefold().encode(errors="surrogatepass"))
                if pair.recipe.title.strip():
                    db.execute("INSERT INTO titles VALUES (?, ?)", (title, _partition(pair)))
            if decode:
                _check_photos(batch, pool, db, note)
            read += len(batch)
            on_progress(read)
        return _result(dataset, splits, db, max_missing, decode, None if every_problem else EXAMPLES)


def _threads() -> int:
    return min(32, (os.cpu_count() or 1) + 1)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _partition(pair: Pair) -> str:
    return pair.split.removesuffix(UNLISTED)


def _check_photos(
    batch: list[Pair], pool: ThreadPoolExecutor, db: sqlite3.Connection, note: Callable[[Problem], None]
) -> None:
    owned = [(pair, photo) for pair in batch for photo in pair.photos]
    for (pair, photo), result in zip(owned, pool.map(_inspect, (photo for _, photo in owned)), strict=True):
        if isinstance(result, str):
            note(Problem(_UNREADABLE, f"recipe {pair.recipe.id}, photo {photo.id}", result, "noted"))
        else:
            db.execute("INSERT INTO photos VALUES (?, ?, ?)", (result, _partition(pair), pair.recipe.id))


def _inspect(photo: Photo) -> bytes | str:
    """Return a digest of a photo's bytes, or the reason why it cannot be decoded."""
    from savor.photos import open_photo

    try:
        open_photo(photo)
        return _digest(photo.read())
    except PhotoError as error:
        return str(error)


def _result(
    dataset: Dataset,
    splits: dict[str, SplitCounts],
    db: sqlite3.Connection,
    max_missing: float,
    decode: bool,
    examples: int | None,
) -> CheckResult:
    problems = dict(_problems(db, examples))
    missing = sum(problems[kind].count for kind in _MISSING if kind in problems)
    unreadable = problems[_UNREADABLE].count if _UNREADABLE in problems else 0
    listed = missing + sum(counts.photos for counts in splits.values())
    titles = "SELECT count(*) FROM (SELECT 1 FROM titles GROUP BY hash HAVING count(DISTINCT split) > 1)"
    return CheckResult(
        path=str(dataset.path),
        kind=dataset.kind,
        fingerprint=dataset.fingerprint(),
        splits=splits,
        photos_listed=listed,
        photos_missing=missing,
        photos_unreadable=unreadable if decode else None,
        in_several_splits=_shared(db, "split", examples) if decode else None,
        in_several_recipes=_shared(db, "recipe", examples) if decode else None,
        titles_in_several_splits=db.execute(titles).fetchone()[0],
        problems=problems,
        failures=list(_failures(splits, problems, listed, missing + unreadable, max_missing)),
    )


def _problems(db: sqlite3.Connection, examples: int | None) -> Iterator[tuple[str, Kind]]:
    kinds = "SELECT kind, effect, count(*) FROM problems GROUP BY kind ORDER BY min(rowid)"
    some = "SELECT place, reason FROM problems WHERE kind = ? ORDER BY rowid LIMIT ?"
    for kind, effect, count in db.execute(kinds).fetchall():
        yield kind, Kind(effect, count, db.execute(some, (kind, _limit(examples))).fetchall())


def _shared(db: sqlite3.Connection, column: str, examples: int | None) -> Shared:
    """Count the photos that occur with more than one value of a column."""
    groups = f"FROM photos GROUP BY hash HAVING count(DISTINCT {column}) > 1"
    count = db.execute(f"SELECT count(*) FROM (SELECT 1 {groups})").fetchone()[0]
    hashes = db.execute(f"SELECT hash {groups} ORDER BY min(rowid) LIMIT ?", (_limit(examples),)).fetchall()
    owners = "SELECT DISTINCT split || ' ' || recipe FROM photos WHERE hash = ? ORDER BY rowid"
    return Shared(count, [[owner for (owner,) in db.execute(owners, row)] for row in hashes])


def _limit(examples: int | None) -> int:
    return -1 if examples is None else examples


def _failures(
    splits: dict[str, SplitCounts], problems: dict[str, Kind], listed: int, lost: int, max_missing: float
) -> Iterator[str]:
    if not splits:
        reasons = ", ".join(f"{kind.count:,} with {name}" for name, kind in problems.items())
        yield f"0 recipes read: {reasons or 'the file holds none'}"
    if lost > max_missing * listed:
        yield (
            f"{lost:,} of {listed:,} photos ({lost / listed:.1%}) are missing or unreadable, more than "
            f"{max_missing:.1%}"
        )
