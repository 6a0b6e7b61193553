"""Texts with headed parts: what Copy Me That, Plan to Eat and people write without any marks.

    Title: Tea
    Serves: 2
    Ingredients:
    leaves
    Directions:
    Brew.

A line of dashes or equal signs stands between recipes; without `Title:` the first line is the title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from savor.importing import markdown, text
from savor.importing.base import Found, Skipped, attempt, digest
from savor.importing.files import File, Source

_BORDER = re.compile(r"(?m)^[ \t]*(?:[-=*_~]{8,}|(?:[-=*] ){8,})[ \t]*$")
_PARTS = {
    "ingredients": r"ingredients?|zutaten|ingr[ée]dients?|ingredientes|ingredienti",
    "steps": r"directions?|instructions?|steps|method|preparation|zubereitung|pr[ée]paration|preparazione",
    "notes": r"(?:recipe )?notes?|tips?|comments|notizen|remarques",
}
_HEADS = {
    part: re.compile(rf"(?im)^[ \t#*_]*(?:{words})[ \t*_]*(?::[ \t*_]*(.*)|[ \t*_]*)$")
    for part, words in _PARTS.items()
}
# Front matter, and headings as Markdown has them.
_MARKED = re.compile(
    r"\A\s*(?:---|\+\+\+)[ \t]*\n|^#{1,6}[ \t]+\S|^[A-Za-z]\w+[ \t]*\n(?:={3,}|-{3,})[ \t]*$", re.M
)
_FIELD = re.compile(r"^[ \t*_-]*([^\W\d_][\w /]{1,24}?)[ \t*_]*:[ \t*_]*(\S.*)$")


def recognises(page: str) -> bool:
    """Tell whether a text has lines that head ingredients and steps."""
    if _MARKED.search(page):
        return False
    return bool(_HEADS["ingredients"].search(page) and _HEADS["steps"].search(page))


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read every recipe of a text."""
    records = [record for record in _BORDER.split(page) if record.strip()]
    whole = [
        record for record in records if any(_HEADS[part].search(record) for part in ("ingredients", "steps"))
    ]
    for index, record in enumerate(whole, start=1):
        where = file.path if len(whole) == 1 else f"{file.path} recipe {index}"
        yield from attempt(where, None, lambda: [_found(record, where, file, source)])  # noqa: B023
    for record in records:
        if record not in whole:
            begins = " ".join(record.split())[:60]
            yield Skipped(
                file.path, f"no ingredients and steps are marked in the part that begins {begins!r}"
            )


def _found(record: str, where: str, file: File, source: Source) -> Found:
    parts: dict[str, list[str]] = {"": [], **{part: [] for part in _PARTS}}
    here = ""
    for line in record.splitlines():
        for part, head in _HEADS.items():
            if match := head.match(line):
                here, line = part, match[1] or ""
                break
        parts[here].append(line)
    fields, loose = _fields(parts[""])
    title = text.clean(fields.get("title") or fields.get("name") or (loose.pop(0) if loose else ""))
    recipe = markdown.recipe_of(
        {**fields, "description": "\n".join((*loose, fields.get("description", "")))},
        title,
        text.ingredient_lines("\n".join(parts["ingredients"])),
        text.steps("\n".join(parts["steps"]), colon=True),
        "\n".join(parts["notes"]),
    )
    photos, remarks = markdown.photos_named(markdown.photo_names(fields), file, source)
    key = digest("text", source.family, title)
    return Found(where, recipe, key, record.strip() + "\n", ".txt", photos, remarks)


def _fields(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return what stands as `Name: value` before the parts, and the other lines."""
    fields: dict[str, str] = {}
    loose = []
    for line in lines:
        match = _FIELD.match(line)
        if re.match(r"\s*https?://\S+\s*$", line):
            fields.setdefault("source", line.strip())
        elif match:
            key = markdown.folded(match[1])
            fields[key] = match[2].strip().replace("^", ",") if key == "tags" else match[2].strip()
        elif line.strip():
            loose.append(line.strip(" #*_"))
    return fields, loose
