"""What an import passes from hand to hand: a recipe as it was found, its pictures, and what was left out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote_to_bytes

from savor.errors import DataError
from savor.recipe import Recipe

# Who cooked, commented or shared is nobody's business but theirs; the raw source of a recipe goes without.
_ACCOUNTS = frozenset(
    [
        *("user", "users", "userid", "username", "email", "password", "owner", "ownerid", "createdby"),
        *("updatedby", "group", "groupid", "household", "householdid", "shared", "sharedwith"),
        *("comment", "comments", "review", "reviews", "timelineevents"),
    ]
)
_SECRETS = re.compile(r"password|passwd|token|secret|apikey|email")
# The look-behind makes it linear: a run of letters is entered at its beginning alone.
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_PHOTO_KEYS = frozenset(["photo", "photo_data", "images", "photos", "data"])
_BASE64 = re.compile(r"[\w+/=\s-]{200,}")


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo that a recipe has: how its source calls it, and how to get its bytes."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """A recipe as its source has it.

    Attributes:
        source: where it was found, such as `export.zip/soup/recipe.json`.
        recipe: its text; the id is empty unless the source gives one of Savor's own.
        key: what stays the same when the recipe is changed and exported again.
        photos: its pictures, not yet read.
        raw: the part of the source that is this recipe.
        suffix: the suffix of a file that holds `raw`.
        remarks: what could not be kept, in plain words.
    """

    source: str
    recipe: Recipe
    key: str
    raw: str
    suffix: str = ".json"
    photos: tuple[Picture, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not imported, and why."""

    source: str
    reason: str


def raw_json(document: Any) -> str:
    """Return the text of a recipe's own JSON, without accounts, other people's comments and photos' bytes.

    >>> print(raw_json({"name": "Soup", "userId": 7, "photo_data": "A" * 5000}))
    {
      "name": "Soup",
      "photo_data": "(photo of 5000 characters)"
    }
    """
    return json.dumps(_bare(document), ensure_ascii=False, indent=2)


def absent_photo(name: str) -> str:
    """Return the remark on a photo that a recipe names and that cannot be had."""
    where = "on the web and is not downloaded" if "://" in name else "not in the source"
    return f"its photo is {where}: {name}"


def embedded(index: int, data: str) -> Picture:
    """Return a photo that stands in the file itself, as base64 or a `data:` address."""
    return Picture(f"{index} in the file", partial(data_address, data))


def data_address(address: str) -> bytes:
    """Return the bytes inside a `data:` address or a bare base64 text.

    Raises:
        ValueError: it is not base64.
    """
    head, comma, body = address.partition(",")
    if comma and head.startswith("data:") and "base64" not in head:
        return unquote_to_bytes(body)
    try:
        return base64.b64decode((body if comma else head).strip(), validate=False)
    except binascii.Error as error:
        raise ValueError(f"the base64 text of the photo is damaged ({error})") from error


def without_photos(page: str) -> str:
    """Return a text without the photos in its `data:` addresses, which hold the place they were taken at."""
    return re.sub(r"data:image/[^\s)\"'<>]+", "(photo)", page)


def without_addresses(raw: str) -> str:
    """Return the raw source of a recipe without e-mail addresses.

    >>> without_addresses("by may@example.org, @salt{} and 2@3")
    'by (address), @salt{} and 2@3'
    """
    return _ADDRESS.sub("(address)", raw)


@lru_cache(maxsize=4096)
def _is_private(key: str) -> bool:
    folded = re.sub(r"[\W_]", "", key).lower()
    return folded in _ACCOUNTS or bool(_SECRETS.search(folded))


def _bare(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _bare(inner, name) for name, inner in value.items() if not _is_private(str(name))}
    if isinstance(value, list):
        return [_bare(inner, key) for inner in value]
    if isinstance(value, str) and (
        value.startswith("data:image/") or (key.lower() in _PHOTO_KEYS and _BASE64.fullmatch(value))
    ):
        return f"(photo of {len(value)} characters)"
    return value


def attempt(
    where: str, document: Any, read: Callable[[], Iterable[Found | Skipped]]
) -> Iterator[Found | Skipped]:
    """Yield what `read` yields; a recipe in a shape nobody foresaw is named and does not cost the others."""
    try:
        yield from read()
    except DataError as error:
        yield Skipped(where, str(error))
    except Exception as error:
        title = document.get("name") or document.get("title") if isinstance(document, Mapping) else None
        named = f"{where} ({title!r})" if isinstance(title, str) else where
        reason = f"it cannot be understood ({type(error).__name__}: {error}); please report it"
        yield Skipped(named, reason)


def digest(*parts: str) -> str:
    """Return the SHA-256 of texts, told apart by their borders."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
