"""Text as applications store it (tags, entities, numbered blocks, durations) into lines of a recipe."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from savor.recipe import Section

_BREAK = re.compile(r"<(?:br|p|li|tr|/p|/li|/div|/h[1-6]|/tr|/ul|/ol)\b[^<>]*>", re.I)
# Only names that exist: "cook < 5 min, > 80 C" is not a tag.
_TAG = re.compile(
    r"</?(?:a|abbr|article|b|big|blockquote|center|cite|code|del|div|em|figure|font|h[1-6]|hr|i|img|input|ins|"
    r"label|mark|ol|picture|pre|q|s|section|small|span|strike|strong|sub|sup|table|tbody|td|th|time|tt|u|ul)"
    r"\b[^<>]*>|<(script|style)\b.*?</\1\s*>|<!--.*?-->",
    re.I | re.S,
)
# With its semicolon: without, "fish&chips" would lose what looks like an entity.
_ENTITY = re.compile(r"&(?:#\d+|#[xX][\da-fA-F]+|[A-Za-z]\w*);")
_BULLET = re.compile(r"^(?:[-*+•·▪–]\s+)?(?:\[[ xX]?\]\s*)?")
_NUMBER = re.compile(r"^(?:step\s*)?(\d{1,2})\s*[.):]\s*(?!\d)", re.I)
_BARE_NUMBER = re.compile(r"^(?:step\s*\d{1,2}\s*[.):]?|\d{1,2}[.)])$", re.I)
_INLINE_NUMBER = re.compile(r"(?:^|(?<=\s))(?:step\s*)?(\d{1,2})\s*[.):]\s+", re.I)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)[\s#]*$|^(?:\*\*|__)([^*]+?):?(?:\*\*|__):?$")
_QUANTITY = re.compile(r"^\W*[\d¼-¾⅐-⅞]")
_COMMA = re.compile(r",\s+(?![^()]*\))")


def block(value: Any) -> str:
    r"""Return text without tags and entities, a line for every paragraph, list item and line break.

    >>> block("Mix &amp; bake<br>&lt; 5 min")
    'Mix & bake\n< 5 min'
    """
    if value is None or isinstance(value, (dict, list, bool)):
        return ""
    text = _unescaped(str(value))
    text = _unescaped(_TAG.sub("", _BREAK.sub("\n", text)))
    lines = (" ".join(line.split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _unescaped(text: str) -> str:
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)


def clean(value: Any) -> str:
    """Return text without tags and entities, in one line."""
    return " ".join(block(value).split())


def lines(value: Any) -> list[str]:
    """Return the lines of a text that are not blank."""
    return [line for line in block(value).split("\n") if line]


def headed(line: str, *, colon: bool = False) -> str:
    """Return a line as a `Section` if it is written as a heading.

    Args:
        line: `# Sauce`, `**Sauce**` or, where `colon` says so, `For the sauce:`.
        colon: a short line that ends with a colon and begins with no quantity is a heading.
    """
    name = ""
    if match := _HEADING.match(line):
        name = (match[1] or match[2]).strip().removesuffix(":").strip()
    elif colon and line.endswith(":") and len(line) <= 80 and not _QUANTITY.match(line):
        name = line[:-1].strip()
    return Section(name) if name else line


def ingredient_lines(value: Any, *, colon: bool = True) -> list[str]:
    """Return the lines of a text that lists ingredients, without bullets, headings as sections."""
    stripped = (_BULLET.sub("", line, count=1) for line in lines(value))
    return [headed(line, colon=colon) for line in stripped if line]


_NAMES = ("name", "food", "ingredient", "item", "text", "title", "display", "original")
_AMOUNTS = ("amount", "quantity", "qty", "requiredQuantity", "value")
_REMARKS = ("note", "notes", "preparation", "comment", "remark")


def ingredient(item: Any) -> str:
    """Return an ingredient that is stored as a text or in parts.

    >>> ingredient({"amount": 2, "unit": {"name": "cups"}, "name": "flour", "note": "sifted"})
    '2 cups flour, sifted'
    """
    if not isinstance(item, Mapping):
        return clean(item)

    def part(keys: Iterable[str]) -> str:
        return next((words for key in keys if (words := _words(item.get(key)))), "")

    line = " ".join(filter(None, (part(_AMOUNTS), part(("unit", "units", "unitText")), part(_NAMES))))
    remark = part(_REMARKS)
    return f"{line}, {remark}" if line and remark else line or remark


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(
            filter(None, (number(value.get("value")), _words(value.get("name") or value.get("unitText"))))
        )
    return number(value)


def step(item: Any) -> str:
    """Return a step that is stored as a text or as an object with one."""
    if isinstance(item, Mapping):
        keys = ("text", "instruction", "description", "step", "direction", "body", "content", "name", "title")
        return next((words for key in keys if (words := block(item.get(key)))), "")
    return block(item)


def one_line_list(text: str) -> list[str]:
    """Return the parts of ingredients that stand in one line with commas between them.

    Only where several parts begin with a quantity, so that "1 onion, peeled, chopped" stays what it is.

    >>> one_line_list("1 onion, 2 eggs, salt (fine, dry)")
    ['1 onion', '2 eggs', 'salt (fine, dry)']
    """
    for separator in "|;":
        if text.count(separator) > 1:
            return [part for piece in text.split(separator) if (part := piece.strip())]
    parts = [part.strip() for part in _COMMA.split(text) if part.strip()]
    return parts if sum(bool(_QUANTITY.match(part)) for part in parts) > 1 else [text]


def steps(value: Any, *, colon: bool = False) -> list[str]:
    """Return the steps of one block of text: a line each, numbers written before them taken off.

    >>> steps("1. Mix 2 eggs. 2. Bake.")
    ['Mix 2 eggs.', 'Bake.']
    """
    return _taken_apart(block(value), colon)


def _taken_apart(text: str, colon: bool = False) -> list[str]:
    found = [line for line in text.split("\n") if line]
    if len(found) == 1:
        found = _split_at_numbers(found[0])
    found = [line for line in found if not _BARE_NUMBER.match(line)]
    numbers = [int(match[1]) for line in found if (match := _NUMBER.match(line))]
    if numbers and _counts_up(numbers):
        found = [_NUMBER.sub("", line, count=1) for line in found]
    found = [_BULLET.sub("", line, count=1) for line in found]
    return [headed(line, colon=colon) for line in found if line]


def _counts_up(numbers: Sequence[int]) -> bool:
    """Tell whether the numbers are 1, 2, 3 ..., beginning again where a new section does."""
    return all(number in (1, before + 1) for before, number in zip((0, *numbers), numbers, strict=False))


def _split_at_numbers(text: str) -> list[str]:
    starts: list[re.Match[str]] = []
    for match in _INLINE_NUMBER.finditer(text):
        if int(match[1]) == len(starts) + 1 and (starts or match.start() == 0):
            starts.append(match)
    if len(starts) < 2:
        return [text]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    return [text[match.start() : end].strip() for match, end in zip(starts, ends, strict=True)]


def step_list(items: Iterable[str]) -> list[str]:
    """Return steps that are stored one by one, already clean; one that holds them all is taken apart."""
    kept = [item for item in items if item]
    plain = [item for item in kept if not isinstance(item, Section)]
    if len(plain) != 1:
        return [headed(item) for item in kept]
    return [line for item in kept for line in ([item] if isinstance(item, Section) else _taken_apart(item))]


def duration(value: Any) -> str | None:
    """Return a time in plain words: minutes and ISO 8601 durations as `1 h 30 min`, other texts as they are.

    Zero is how applications say that they do not know, so it is no time.

    >>> duration("PT1H30M"), duration(95), duration("overnight"), duration("PT0M")
    ('1 h 30 min', '1 h 35 min', 'overnight', None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _in_words(round(value * 60)) if math.isfinite(value) else None
    text = clean(value)
    if not re.match(r"^-?P(?=[\dT])", text, re.I):
        return text or None
    import isodate

    try:
        length = isodate.parse_duration(text.upper())
    except (ValueError, OverflowError):
        return text
    return _in_words(round(length.total_seconds())) if isinstance(length, timedelta) else text


def _in_words(seconds: int) -> str | None:
    if seconds <= 0:
        return None
    hours, minutes = divmod(seconds // 60, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def iso_duration(text: str) -> str:
    """Return the ISO 8601 duration of a time in the words of `duration`; another text stays as it is.

    >>> iso_duration("1 h 30 min"), iso_duration("overnight")
    ('PT1H30M', 'overnight')
    """
    match = re.fullmatch(r"(?:(\d+) h)? ?(?:(\d+) min)? ?(?:(\d+) s)?", text)
    if match is None or not any(match.groups()):
        return text
    iso = "PT" + "".join(number + unit for number, unit in zip(match.groups(), "HMS", strict=True) if number)
    return iso if duration(iso) == text else text


def times(**values: Any) -> dict[str, str]:
    """Return the times that are known, in plain words."""
    return {name: text for name, value in values.items() if (text := duration(value))}


def names(*values: Any) -> list[str]:
    """Return tags once each: from lists, from objects with a name, from texts with commas between them."""
    once: dict[str, str] = {}
    for name in (clean(name) for value in values for name in _names(value)):
        once.setdefault(name.casefold(), name)
    return [name for name in once.values() if name]


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (str(value[key]) for key in ("name", "title", "label") if isinstance(value.get(key), str))
    elif isinstance(value, list):
        for item in value:
            yield from [item] if isinstance(item, str) else _names(item)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield from re.split(r"[,;\n]", str(value))


def joined(*values: Any) -> str | None:
    """Return the texts that are there, each once, with a blank line between them."""
    parts = dict.fromkeys(text for value in values if (text := block(value)))
    return "\n\n".join(parts) or None


def number(value: Any) -> str:
    """Return an amount as a cook writes it; nothing for none.

    >>> number(2.0), number(0.25), number(None)
    ('2', '0.25', '')
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}" if value and math.isfinite(value) else ""
    return clean(value)
