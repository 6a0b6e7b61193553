"""What every dataset offers: pairs in a fixed order, the problems met on the way, and a fingerprint."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from savor.datasets import repairs as repairing
from savor.errors import DataError, PhotoError, UsageError
from savor.recipe import Pair, Photo, Section

log = logging.getLogger(__name__)

_NOT_IN_IDS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Effect = Literal["skipped", "altered", "noted"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the data that is not as it should be.

    `effect` says what became of it: the recipe, photo or file was left out (`skipped`), the recipe was read
    but a field of it was dropped or kept in another form (`altered`), or nothing was lost (`noted`).
    """

    kind: str
    where: str
    reason: str
    effect: Effect = "skipped"


Report = Callable[[Problem], None]


class Dataset(ABC):
    """Recipes with their photos, read from disk as they are asked for.

    Attributes:
        path: the folder, as an absolute path.
        kind: `"recipe1m"`, `"folder"` or `"photos"`.
        exclude: recipe ids that are left out.
        repairs: the name of the text repair that is applied (`savor.datasets.repairs`), or None.
    """

    kind: ClassVar[str]

    def __init__(self, path: Path, exclude: Collection[str] = (), repairs: str | None = None) -> None:
        if isinstance(exclude, str):
            raise UsageError(f"exclude takes a collection of recipe ids, not the string {exclude!r}")
        if repairs is not None:
            repairing.check_name(repairs)
        self.path = path.expanduser().absolute()
        self.exclude = frozenset(exclude)
        self.repairs = repairs

    @abstractmethod
    def _read(self, report: Report) -> Iterator[Pair]:
        """Yield the pairs as their source has them, the excluded ones left out."""

    def pairs(self, *, on_problem: Report | None = None) -> Iterator[Pair]:
        """Yield every recipe with its photos, in the order of the source; no photo is opened.

        Recipes without photo, ingredients or steps are yielded too. Every entry that is left out or changed
        is handed to `on_problem`; without it the problems are counted and logged as one warning.

        Raises:
            DataError: a file is damaged as a whole (not JSON, cut off, not UTF-8).
        """
        counts: Counter[str] = Counter()

        def count(problem: Problem) -> None:
            if problem.effect != "noted":
                counts[problem.kind] += 1

        for pair in self._read(on_problem or count):
            if self.repairs is None:
                yield pair
            else:
                yield Pair(repairing.apply(self.repairs, pair.recipe), pair.photos, pair.split)
        if counts:
            summary = ", ".join(f"{kind}: {n:,}" for kind, n in counts.most_common())
            log.warning("%s: %s (`savor data check` lists them)", self.path, summary)

    def fingerprint(self) -> str:
        """Return `"sha256:<64 hex digits>"` over what `pairs` yields.

        It covers every recipe's text byte for byte, the splits, and the name and size of every photo, in
        order; so it is the same on every machine, for photos inside and outside tar files, and it changes
        with exclusions and repairs.
        """
        digest = hashlib.sha256(f"savor-pairs-1 {self.repairs or ''}\n".encode())
        for pair in self.pairs(on_problem=lambda problem: None):
            digest.update(_canonical(pair))
        return f"sha256:{digest.hexdigest()}"

    def _excludes(self, recipe_id: str, where: str, report: Report) -> bool:
        """Say whether a recipe is on the exclusion list, and note it if so."""
        if recipe_id not in self.exclude:
            return False
        report(Problem("excluded", where, f"recipe {recipe_id!r} is on the exclusion list", "noted"))
        return True


def _canonical(pair: Pair) -> bytes:
    recipe = pair.recipe
    fields = [
        *(recipe.id, recipe.title, _tagged(recipe.ingredients), _tagged(recipe.instructions)),
        *(recipe.category, recipe.source, recipe.servings, sorted(recipe.times.items())),
        *(recipe.tags, recipe.notes, pair.split, [(photo.id, photo_bytes(photo)) for photo in pair.photos]),
    ]
    return (
        json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass") + b"\n"
    )


def _tagged(lines: tuple[str, ...]) -> list[object]:
    return [[line] if isinstance(line, Section) else line for line in lines]


def photo_bytes(photo: Photo) -> int:
    """Return the size of a photo in bytes without opening it.

    Raises:
        PhotoError: the photo's file has vanished.
    """
    if photo.size is not None:
        return photo.size
    try:
        return photo.path.stat().st_size
    except OSError as error:
        raise PhotoError(f"photo {photo.id!r}: {photo.path} has vanished since it was listed") from error


def is_file(path: Path) -> bool:
    """Say whether there is a file at a path; unlike `Path.is_file` also for names no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def as_id(value: Any) -> str | None:
    """Return a recipe or photo id as text (a whole number as its decimal digits), or None if it is no id.

    >>> as_id("0a1b"), as_id(17), as_id(" "), as_id(True)
    ('0a1b', '17', None, None)
    """
    if isinstance(value, str):
        return value if value.strip() and not _NOT_IN_IDS.search(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their line ends; a byte order mark at the start is dropped.

    Raises:
        DataError: the file cannot be read, or is not UTF-8; the message names the line and the byte.
    """
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    byte = line[error.start]
                    raise DataError(
                        f"{path} is not UTF-8: line {number} has the byte 0x{byte:02x} at position "
                        f"{start + error.start} of the file; save it as UTF-8"
                    ) from error
                yield text.removeprefix("\ufeff") if number == 1 else text
                start += len(line)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def read_ids(path: str | Path) -> frozenset[str]:
    """Read a list of recipe ids, one a line, such as `remove1M.txt`; the last line may lack its line end.

    Raises:
        DataError: the file cannot be read, or is not UTF-8.
    """
    return frozenset(stripped for line in text_lines(Path(path)) if (stripped := line.strip()))


def describe(value: Any) -> str:
    """Return a short description of a JSON value for a message, such as `the number 3`."""
    names = {str: "the text", bool: "the value", int: "the number", float: "the number"}
    if value is None:
        return "null"
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'JSON object'} with {len(value)} entries"
    shown = repr(value)
    return f"{names.get(type(value), 'the value')} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def parse_error(path: Path, error: Exception) -> DataError:
    """Return the error for a file that is not JSON from start to end."""
    detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(f"{path} is damaged or cut off: {detail}; copy or download it again")
