"""Markdown with front matter: Chowdown, Hugo, Jekyll and plain files with `## Ingredients`.

Ingredients and steps stand in the front matter (Chowdown) or under headings of the text. Chowdown's
components become sections of the recipe that names them.
"""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from savor.importing import text
from savor.importing.base import Found, Picture, Skipped, absent_photo, digest, embedded, without_photos
from savor.importing.files import File, Source
from savor.recipe import Recipe, Section

_FRONT = re.compile(r"\A\s*(---|\+\+\+)[ \t]*\n(.*?)(?:\n|\A)(?:\1|\.\.\.)[ \t]*(?:\n|\Z)(.*)\Z", re.S)
# Headings as people write them without number signs.
_UNDERLINED = re.compile(r"(?m)^(\S.*)\n(={3,}|-{3,})[ \t]*$")
_TAGGED = re.compile(r"(?is)<h([1-6])\b[^>]*>(.{0,300}?)</h\1>")
_BOLD = re.compile(r"(?m)^(?:\*\*|__)([A-Za-zÀ-ÿ ]{4,30}?):?(?:\*\*|__):?[ \t]*$")
_PLAIN = re.compile(r"(?m)^([A-Za-zÀ-ÿ ]{4,30}?):[ \t]*$")
_INGREDIENTS = re.compile(r"^(?:the )?(?:ingredient|zutat|ingr[ée]dient|ingrediente|ingredi[ëe]nt)", re.I)
_STEPS = re.compile(
    r"^(?:the )?(?:direction|instruction|method|step|preparation|procedure|how to|zubereitung|anleitung|"
    r"pr[ée]paration|[ée]tapes|preparaci|elaboraci|preparazione|procedimento|bereiding|preparo)",
    re.I,
)
_KEYS = {
    "ingredients": ("ingredients", "ingredient", "recipeingredient", "zutaten"),
    "steps": ("directions", "instructions", "steps", "method", "recipeinstructions", "preparation"),
    "title": ("title", "name", "recipe"),
    "servings": ("servings", "serves", "yield", "yields", "recipeyield", "portions", "makes"),
    "category": ("category", "categories", "course", "recipecategory", "type"),
    "source": ("source", "sourceurl", "url", "link", "original", "originalurl", "orgurl"),
    "notes": ("description", "introduction", "summary", "excerpt", "notes", "note", "tips"),
    "image": (
        *("image", "images", "photo", "photos", "featuredimage", "cover", "thumbnail", "hero", "img"),
        *("picture", "photourl", "imageurl", "originalpicture"),
    ),
    "tags": ("tags", "keywords", "cuisine", "diet"),
    "prep": ("preptime", "prep", "preparationtime", "timeprep"),
    "cook": ("cooktime", "cook", "cookingtime", "timecook"),
    "total": ("totaltime", "time", "total", "duration", "readyin", "timerequired", "timetotal"),
}
_IMAGE = re.compile(
    r"!\[[^\]]*\]\(\s*<?([^)\s>]+)|<img[^>]+src=[\"']([^\"']+)|\{\{<\s*figure[^>]*src=\"([^\"]+)"
)
_VALUE = re.compile(r"(?m)^(\s*(?:-\s+|[\w -]+:[ \t]+))(\S.*?)\s*$")
_MEASURES = frozenset(["amount", "quantity", "qty", "unit", "item", "food", "ingredient"])
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")


def front_matter(page: str) -> tuple[dict[str, Any], str]:
    """Return what stands in the front matter (YAML, TOML or JSON) and the text below it.

    Every value of YAML stays text: `1:30` and `yes` mean what the cook wrote. A value that is no YAML, such
    as `title: Beans: the book`, is taken as it stands.

    Raises:
        ValueError: the front matter can be read in no such way.
    """
    if page.lstrip().startswith("{"):
        fields, end = json.JSONDecoder().raw_decode(page.lstrip())
        return fields, page.lstrip()[end:]
    match = _FRONT.match(page)
    if match is None:
        return {}, page
    fields = tomllib.loads(match[2]) if match[1] == "+++" else _yaml(match[2])
    return (fields, match[3]) if isinstance(fields, dict) else ({}, match[3])


def _yaml(block: str) -> Any:
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)  # the one in C is ten times as fast
    try:
        return yaml.load(block, Loader=loader)
    except yaml.YAMLError:
        quoted = _VALUE.sub(_quoted, block.expandtabs(2))
    try:
        return yaml.load(quoted, Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _quoted(match: re.Match[str]) -> str:
    """Return a line of YAML whose value is in quotes, unless it is in quotes or brackets already."""
    value = match[2]
    closed = (
        value[-1] == {"[": "]", "{": "}"}.get(value[0], value[0]) and value[0] in "'\"[{" and len(value) > 1
    )
    return match[0] if closed or value in ("|", ">", "|-", ">-") else match[1] + json.dumps(value)


def recognises(page: str) -> bool:
    """Tell whether a text has front matter or headings as a recipe in Markdown has."""
    if _FRONT.match(page):
        return True
    if page.lstrip().startswith("{"):
        try:
            front_matter(page)
        except (ValueError, RecursionError):
            return False
        return True
    headings = [heading for _, heading, _ in _parts(page)]
    return any(_INGREDIENTS.match(heading) or _STEPS.match(heading) for heading in headings)


def read(page: str, file: File, source: Source) -> Iterator[Found | Skipped]:
    """Read the one recipe of a text."""
    try:
        fields, body = front_matter(page)
    except (ValueError, RecursionError) as error:
        yield Skipped(file.path, f"its front matter cannot be read: {error}")
        return
    fields = {folded(key): value for key, value in fields.items()}
    written = _written(body, marked=bool(fields))
    ingredients = _front_ingredients(_field(fields, "ingredients")) or written["ingredients"]
    steps = _front_steps(_field(fields, "steps")) or written["steps"]
    for part in _components(fields, source, file):
        ingredients += part[0]
        steps += part[1]
    if not ingredients and not steps:
        yield Skipped(file.path, "neither ingredients nor steps are marked in it")
        return
    title = text.clean(_field(fields, "title")) or written["title"] or _name(file.path)
    recipe = recipe_of(fields, title, ingredients, steps, written["notes"])
    names = [*photo_names(fields), *_body_images(body)]
    photos, absent = photos_named(names, file, source)
    key = digest("markdown", source.name, file.path)
    yield Found(file.path, recipe, key, without_photos(page), ".md", photos, absent)


def _name(path: str) -> str:
    """Return the name of a file, of its folder where every file is called the same."""
    stem = posixpath.splitext(posixpath.basename(path))[0]
    folder = posixpath.basename(posixpath.dirname(path))
    return folder if stem.lower() in ("index", "_index", "readme") and folder else stem


def recipe_of(
    fields: Mapping[str, Any], title: str, ingredients: list[str], steps: list[str], notes: str
) -> Recipe:
    """Return the recipe of front matter whose keys are in lower case without punctuation."""
    fields = _flat(fields)
    categories = text.names(_field(fields, "category"))
    clock = {name: _field(fields, name) for name in ("prep", "cook", "total")}
    tags = [fields.get(name) for name in _KEYS["tags"]]
    return Recipe(
        "",
        title,
        tuple(ingredients),
        tuple(steps),
        category=categories[0] if categories else None,
        source=text.clean(_field(fields, "source")) or None,
        servings=text.clean(_field(fields, "servings")) or None,
        times=text.times(**{name: _minutes(value) for name, value in clock.items()}),
        tags=tuple(text.names(categories[1:], *tags)),
        notes=text.joined(*(_note(fields.get(name)) for name in _KEYS["notes"]), notes),
    )


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields in which `time: {prep: ...}` is `timeprep` and a source is its address or its name."""
    flat = dict(fields)
    for key in ("time", "times"):
        if isinstance(inner := flat.get(key), dict):
            del flat[key]
            flat |= {f"time{folded(name)}": value for name, value in inner.items()}
    for key in _KEYS["source"]:
        if isinstance(inner := flat.get(key), dict):
            flat[key] = inner.get("url") or inner.get("link") or inner.get("name")
    return flat


def _minutes(value: Any) -> Any:
    """Return a time; a bare number is minutes."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d+(?:\.\d+)?", value.strip()) else value


def _note(value: Any) -> str:
    return "\n".join(map(text.block, value)) if isinstance(value, list) else text.block(value)


def photos_named(names: list[str], file: File, source: Source) -> tuple[tuple[Picture, ...], tuple[str, ...]]:
    """Return the photos a text names, and a remark on those that are not there.

    Of a photo on the web nothing is said where the source holds another: it is mostly the same one.
    """
    photos: dict[str, Picture] = {}
    absent: list[str] = []
    for index, name in enumerate(names, start=1):
        if name.startswith("data:"):
            photos[name] = embedded(index, name)
        elif picture := source.photo(name, file.path):
            photos[picture.name] = picture
        else:
            absent.append(name)
    said = [absent_photo(name) for name in absent if not photos or "://" not in name]
    return tuple(photos.values()), tuple(said[:1] if not photos else said)


def photo_names(fields: Mapping[str, Any]) -> list[str]:
    """Return the photos that front matter names."""
    return list(dict.fromkeys(name for key in _KEYS["image"] for name in image_names(fields.get(key))))


def image_names(value: Any) -> list[str]:
    """Return the photos that a value of front matter names."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, list):
        return [name for item in value for name in image_names(item)]
    if isinstance(value, dict):
        inner = next((value[key] for key in ("image", "src", "url", "path", "file") if value.get(key)), None)
        return image_names(inner)
    return []


def folded(key: Any) -> str:
    """Return a key in lower case without punctuation."""
    return re.sub(r"[\W_]", "", str(key)).lower()


def _field(fields: Mapping[str, Any], name: str) -> Any:
    return next((fields[key] for key in _KEYS[name] if fields.get(key)), None)


def _front_ingredients(value: Any) -> list[str]:
    """Return ingredients of front matter: a text, a list, or groups of either with a name."""
    if isinstance(value, str):
        return text.ingredient_lines(value)
    if isinstance(value, dict):
        return [line for name, inner in value.items() for line in (Section(name), *_front_ingredients(inner))]
    found: list[str] = []
    for item in value if isinstance(value, list) else []:
        found += _group(item, _front_ingredients) if isinstance(item, dict) else [_line(item)]
    return [line for line in found if line]


def _front_steps(value: Any) -> list[str]:
    if isinstance(value, str):
        return text.steps(value)
    if isinstance(value, dict):
        return [line for name, inner in value.items() for line in (Section(name), *_front_steps(inner))]
    found: list[str] = []
    for item in value if isinstance(value, list) else []:
        found += _group(item, _front_steps) if isinstance(item, dict) else [_line(item)]
    return text.step_list(found)


def _group(item: dict[str, Any], inner: Any) -> list[str]:
    """Return a group with a name; `salt: to taste` is no group but YAML's view of an ingredient."""
    name = next(
        (item[key] for key in ("title", "name", "section", "group", "for", "heading") if key in item), None
    )
    lists = [value for value in item.values() if isinstance(value, list)]
    if lists:
        title = name or next((key for key, value in item.items() if isinstance(value, list)), "")
        return [Section(text.clean(title)), *(line for part in lists for line in inner(part))]
    if inner is _front_ingredients and name is None and not _MEASURES & item.keys():
        return [
            text.clean(", ".join(f"{key}: {value}" if value else f"{key}:" for key, value in item.items()))
        ]
    line = text.ingredient(item) if inner is _front_ingredients else text.step(item)
    return [line or text.clean(", ".join(f"{key}: {value}" for key, value in item.items()))]


def _line(value: Any) -> str:
    return text.headed(text.clean(_LINK.sub(r"\1", str(value))), colon=False)


def _components(
    fields: Mapping[str, Any], source: Source, file: File
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield ingredients and steps of the Chowdown components a recipe names, headed by their titles."""
    for name in text.names(fields.get("components")):
        wanted = re.sub(r"\W+", "-", name.lower()).strip("-")
        for path, part in source.files.items():
            stem = posixpath.splitext(posixpath.basename(path))[0].lower()
            if (
                "component" not in posixpath.dirname(path)
                or path == file.path
                or stem not in (name.lower(), wanted)
            ):
                continue
            inner, _ = front_matter(part.read().decode("utf-8", "replace"))
            found = {folded(key): value for key, value in inner.items()}
            head = Section(text.clean(found.get("title")) or name)
            ingredients = _front_ingredients(_field(found, "ingredients"))
            steps = _front_steps(_field(found, "steps"))
            yield [head, *ingredients] if ingredients else [], [head, *steps] if steps else []
            break


def _parts(body: str, marked: bool = False) -> list[tuple[int, str, str]]:
    """Return the headings of a text with their levels and what stands below; the first may have none.

    Args:
        body: the text.
        marked: it is known to be Markdown, so that a line `Ingredients:` is a heading as well.
    """
    body = _UNDERLINED.sub(lambda match: f"{'#' if match[2][0] == '=' else '##'} {match[1]}", body)
    body = _TAGGED.sub(lambda match: f"\n{'#' * int(match[1])} {text.clean(match[2])}\n", body)
    body = _BOLD.sub(_known_heading, body)
    if marked or re.search(r"(?m)^#{1,6}[ \t]", body):
        body = _PLAIN.sub(_known_heading, body)
    pieces = re.split(r"(?m)^(#{1,6})[ \t]+(.+?)[ \t#]*$", body)
    levels = map(len, pieces[1::3])
    return [(0, "", pieces[0]), *zip(levels, map(text.clean, pieces[2::3]), pieces[3::3], strict=True)]


def _known_heading(match: re.Match[str]) -> str:
    known = _INGREDIENTS.match(match[1]) or _STEPS.match(match[1])
    return f"## {match[1]}" if known else match[0]


def _written(body: str, marked: bool) -> dict[str, Any]:
    """Sort the parts of a text by their headings; an unknown heading below one that is known is a section."""
    found: dict[str, Any] = {"title": "", "ingredients": [], "steps": [], "notes": ""}
    part, depth = "", 0
    for level, heading, below in _parts(body, marked):
        if _INGREDIENTS.match(heading):
            part, depth, heading = "ingredients", level, ""
        elif _STEPS.match(heading):
            part, depth, heading = "steps", level, ""
        elif part and level <= depth:
            part = ""
        if not part and level == 1 and not found["title"]:
            found["title"], heading = heading, ""
        below = _LINK.sub(lambda match: "" if match[0].startswith("!") else match[1], below)
        if part:
            lines = text.ingredient_lines(_rows(below)) if part == "ingredients" else _body_steps(below)
            found[part] += [*([Section(heading)] if heading else []), *lines]
        elif below.strip():
            found["notes"] += f"\n\n{heading}\n{below}" if heading else f"\n\n{below}"
    found["notes"] = text.block(found["notes"])
    return found


def _rows(below: str) -> str:
    """Return text in which a table's rows are lines, without its head."""
    below = re.sub(r"(?m)^[^\n]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-{2,}[-:| \t]*$", "", below)
    return re.sub(r"(?m)^[ \t]*\|(.*)\|[ \t]*$", lambda row: row[1].replace("|", " "), below)


def _body_steps(below: str) -> list[str]:
    """Return the steps of Markdown: list items, or else paragraphs; wrapped lines joined."""
    joined = re.sub(r"(?<=\S)[ \t]*\n[ \t]*(?![ \t]*(?:[-*+•]|\d+[.)])\s)(?=\S)", " ", below)
    return text.steps(joined)


def _body_images(body: str) -> list[str]:
    return [next(filter(None, groups)) for groups in _IMAGE.findall(body)]
