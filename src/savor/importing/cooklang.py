"""Cooklang: text with marked ingredients, `@flour{2%cups}`, and photos beside it under the same name.

https://cooklang.org/docs/spec/: a paragraph is a step, `#pot{}` is cookware, `~{25%minutes}` a timer, `--`
and `[- -]` are comments, `= Dough` is a section, `> text` a note, `>> key: value` is metadata as front matter
is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from savor.importing import markdown, text
from savor.importing.base import Found, Skipped, digest
from savor.importing.files import File, Source
from savor.recipe import Section

# A name of several words ends in braces, a name of one word may do without them.
_MARKED = re.compile(
    r"(?<![\w@])([@#~])[?+&!-]*(\([=~\d]+\))?(?:([^@#~{}\n]*?)\{([^{}\n]*)\}(?:\(([^()\n]*)\))?|([\w'’-]+))"
)
_INGREDIENT = re.compile(r"(?<!\w)@[^@#~{}\n]*\{[^{}\n]*\}")
_META = re.compile(r"(?m)^>>[ \t]*([^:\n]+):[ \t]*(.*)$")
_COMMENT = re.compile(r"\[-.*?-\]", re.S)
_LINE_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))--(?!-).*$")
_SECTION = re.compile(r"^=+[ \t]*(.*?)[ \t]*=*$")


def recognises(page: str) -> bool:
    """Tell whether a text marks ingredients as Cooklang does."""
    return bool(_INGREDIENT.search(page) or (_META.search(page) and _MARKED.search(page)))


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the one recipe of a text."""
    try:
        fields, body = markdown.front_matter(page)
    except (ValueError, RecursionError) as error:
        yield Skipped(file.path, f"its front matter cannot be read: {error}")
        return
    fields = {**fields, **dict(_META.findall(body))}
    folded = {markdown.folded(key): value for key, value in fields.items()}
    ingredients, steps, notes = _body(_META.sub("", body))
    stem = posixpath.splitext(posixpath.basename(file.path))[0]
    title = text.clean(folded.get("title")) or stem
    recipe = markdown.recipe_of(folded, title, ingredients, steps, "\n".join(notes))
    photos = [source.picture(path) for path in source.numbered(file.path)]
    named, absent = markdown.photos_named(markdown.photo_names(folded), file, source)
    pictures = {picture.name: picture for picture in (*named, *photos)}
    key = digest("cooklang", source.name, file.path)
    remarks = () if pictures else absent
    yield Found(file.path, recipe, key, page, ".cook", tuple(pictures.values()), remarks)


def _body(body: str) -> tuple[list[str], list[str], list[str]]:
    """Return ingredients, steps and notes, a paragraph of several lines as one step."""
    body = _LINE_COMMENT.sub("", _COMMENT.sub("", body))
    ingredients: list[str] = []
    steps: list[str] = []
    notes: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n|\n(?==)|(?<=\n)(?=>)", body):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if lines and (match := _SECTION.match(lines[0])) and lines[0].startswith("="):
            if match[1]:
                steps.append(Section(match[1]))
                ingredients.append(Section(match[1]))
            lines = lines[1:]
        written = text.clean(" ".join(lines))
        if written.startswith(">"):
            notes.append(written.lstrip("> "))
        elif written:
            ingredients += [line for match in _MARKED.finditer(written) if (line := _ingredient(match))]
            steps.append(_MARKED.sub(_plain, written))
    return _without_empty(ingredients), steps, notes


def _without_empty(lines: list[str]) -> list[str]:
    """Return ingredients each once in its section, without sections that have none."""
    kept: list[str] = []
    start = 0
    for line in lines:
        if isinstance(line, Section):
            if kept and isinstance(kept[-1], Section):
                kept.pop()
            start = len(kept)
        elif line in kept[start:]:
            continue
        kept.append(line)
    return kept[:-1] if kept and isinstance(kept[-1], Section) else kept


def _ingredient(match: re.Match[str]) -> str:
    kind, step, name, amount, remark, word = match.groups()
    if kind != "@" or step:  # what an earlier step made is no ingredient
        return ""
    shown = (name or word or "").split("|")[-1].strip()
    amount = (amount or "").lstrip("=").strip()
    measure = " ".join(part.strip() for part in amount.split("%") if part.strip())
    line = f"{measure} {posixpath.basename(shown)}".strip()
    return f"{line} ({remark})" if remark else line


def _plain(match: re.Match[str]) -> str:
    """Return what a cook reads in place of a mark."""
    kind, _, name, amount, _, word = match.groups()
    shown = posixpath.basename((name or word or "").split("|")[-1].strip())
    if kind == "~":
        return " ".join(part.strip() for part in (amount or "").split("%") if part.strip()) or shown
    return shown
