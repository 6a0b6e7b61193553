"""Recipes, photos and the pairs they form: the types that everything else speaks in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from savor.errors import PhotoError

PARTS = ("title", "ingredients", "instructions")


class Section(str):
    """The title of a section ("For the sauce") standing between the lines it heads.

    It is a string, so that nothing is lost where lines are only shown, and a type of its own, so that
    `Recipe.lines` can leave it out where lines are encoded.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Photo:
    """Where the bytes of one photo lie: a file, or `size` bytes from `offset` on inside a tar file."""

    id: str
    path: Path
    offset: int | None = None
    size: int | None = None

    def read(self) -> bytes:
        """Read the photo's bytes as they are on disk.

        Raises:
            PhotoError: the file is missing or ends before the photo does.
        """
        try:
            with self.path.open("rb") as file:
                if self.offset is None or self.size is None:
                    return file.read()
                file.seek(self.offset)
                data = file.read(self.size)
        except OSError as error:
            reason = error.strerror or error
            raise PhotoError(f"photo {self.id!r}: {self.path} cannot be read ({reason})") from error
        if len(data) < self.size:
            raise PhotoError(
                f"photo {self.id!r}: {self.path} ends before it; the tar file is cut off, copy it again"
            )
        return data


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe, its text byte for byte as its source has it; every part but the id may be missing.

    >>> soup = Recipe("1", "Lentil soup", ingredients=("1 onion", Section("For the top"), "parsley"))
    >>> soup.lines("ingredients")
    ('1 onion', 'parsley')
    >>> soup.missing
    ('instructions',)
    """

    id: str
    title: str = ""
    ingredients: tuple[str, ...] = ()
    instructions: tuple[str, ...] = ()
    category: str | None = None
    source: str | None = None
    servings: str | None = None
    times: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str | None = None

    def lines(self, part: str) -> tuple[str, ...]:
        """Return the non-blank lines of a part without section titles; the title is a part of one line."""
        lines: Iterable[str] = (self.title,) if part == "title" else getattr(self, part)
        return tuple(line for line in lines if line.strip() and not isinstance(line, Section))

    @property
    def missing(self) -> tuple[str, ...]:
        """The parts of which this recipe has no line, in the order of `PARTS`."""
        return tuple(part for part in PARTS if not self.lines(part))


@dataclass(frozen=True, slots=True)
class Pair:
    """A recipe with its photos (none, one or several) and its split (`all` where none is given)."""

    recipe: Recipe
    photos: tuple[Photo, ...] = ()
    split: str = "all"
