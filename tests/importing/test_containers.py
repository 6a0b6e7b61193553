"""However recipes are packed, each is found exactly once; whatever is broken, there is no traceback."""

import gzip
import io
import json
import tarfile
import zipfile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from savor.importing.base import Found, Skipped
from savor.importing.finding import find
from savor.importing.writing import write

INGREDIENTS, STEP = ["1 leek", "salt"], "Fry the leek."


def _mealie(name):
    lines = [{"note": line} for line in INGREDIENTS]
    return json.dumps(
        {"name": name, "slug": name, "recipeIngredient": lines, "recipeInstructions": [{"text": STEP}]}
    )


def _tandoor(name):
    lines = [{"food": {"name": line}, "amount": 0} for line in INGREDIENTS]
    return json.dumps({"name": name, "steps": [{"name": "", "instruction": STEP, "ingredients": lines}]})


def _page(name):
    node = {"@type": "Recipe", "name": name, "recipeIngredient": INGREDIENTS, "recipeInstructions": [STEP]}
    return f"<html><script type='application/ld+json'>{json.dumps(node)}</script></html>"


def _paprika(name):
    fields = {"name": name, "uid": name, "ingredients": "\n".join(INGREDIENTS), "directions": STEP}
    return gzip.compress(json.dumps(fields).encode())


WRITERS = {
    "mealie": _mealie,
    "tandoor": _tandoor,
    "page": _page,
    "paprika": _paprika,
    "mela": lambda name: json.dumps(
        {"title": name, "ingredients": "\n".join(INGREDIENTS), "instructions": STEP}
    ),
    "markdown": lambda name: f"# {name}\n## Ingredients\n- 1 leek\n- salt\n## Method\n1. {STEP}\n",
    "table": lambda name: f"title;ingredients;steps\n{name};1 leek|salt|;{STEP}\n",
    "text": lambda name: f"{name}\n\nIngredients:\n1 leek\nsalt\n\nSteps:\n{STEP}\n",
}
NAMES = ["Leek pie", "Leek soup", "Leek tart"]


def _zip(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def _tar(files, mode="w"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PACKERS = {"zip": _zip, "tar": _tar, "tar.gz": lambda files: _tar(files, "w:gz"), "folder": None}
LEAF = st.tuples(st.sampled_from(NAMES), st.sampled_from(sorted(WRITERS)))
TREE = st.recursive(
    LEAF,
    lambda inner: st.tuples(st.sampled_from(sorted(PACKERS)), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)


def _packed(tree, number=0):
    """Return the files of a tree, `[(path, bytes)]`, and the recipes in it."""
    kind, inside = tree
    if kind in NAMES:
        data = WRITERS[inside](kind)
        return [(f"{number}.dat", data if isinstance(data, bytes) else data.encode())], [kind]
    parts = [_packed(one, index) for index, one in enumerate(inside)]
    files = [file for one, _ in parts for file in one]
    names = [name for _, some in parts for name in some]
    if PACKERS[kind] is None:
        return [(f"{number}/{path}", data) for path, data in files], names
    return [(f"{number}.bin", PACKERS[kind](files))], names


@given(TREE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_recipe_is_found_once_however_it_is_packed(tmp_path_factory, tree):
    root = tmp_path_factory.mktemp("source")
    files, names = _packed(tree)
    for path, data in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    results = list(find(root))
    too_deep = [one for one in results if isinstance(one, Skipped)]
    assert all("is not opened" in one.reason for one in too_deep)
    titles = [one.recipe.title for one in results if isinstance(one, Found)]
    assert too_deep or sorted(titles) == sorted(names)
    assert all(
        one.recipe.lines("ingredients") == tuple(INGREDIENTS) for one in results if isinstance(one, Found)
    )
    report = write(results, root / "out")
    assert report.counts["read"] == len(set(titles))  # the same recipe from two applications is one
    assert report.counts["skipped"] == len(results) - len(set(titles))
    assert not write(results, root / "out").counts["read"]


SAMPLES = [
    *(
        data if isinstance(data, bytes) else data.encode()
        for data in (write_(NAMES[0]) for write_ in WRITERS.values())
    ),
    _zip([("a/leek.md", b"# Leek\n## Ingredients\n- leek\n"), ("b.json", _mealie("x").encode())]),
    _tar([("leek.json", _tandoor("x").encode())], "w:gz"),
    _zip([("in.zip", _zip([("recipe.json", _tandoor("x").encode()), ("image.jpg", b"\xff\xd8\xff")]))]),
]


@given(st.sampled_from(SAMPLES), st.data())
@settings(max_examples=150, deadline=None)
def test_cut_off_and_garbled_files_are_read_or_named(tmp_path_factory, sample, data):
    cut = data.draw(st.integers(0, len(sample)), "cut")
    changes = data.draw(
        st.lists(st.tuples(st.integers(0, max(cut - 1, 0)), st.binary(max_size=3)), max_size=3), "changes"
    )
    garbled = bytearray(sample[:cut])
    for place, new in changes:
        garbled[place : place + len(new)] = new
    root = tmp_path_factory.mktemp("garbled")
    (root / "a.dat").write_bytes(bytes(garbled))
    report = write(find(root / "a.dat"), root / "out")
    assert all(one.reason for one in report.recipes if one.status == "skipped")
    assert not [one.reason for one in report.recipes if one.reason and "please report it" in one.reason]
    assert garbled.strip() == b"" or report.recipes
