"""Nothing of anybody's account, and nothing that others wrote, is in any file an import writes."""

import base64
import gzip
import json

import pytest

from savor.importing.base import raw_json, without_addresses
from savor.importing.finding import find
from savor.importing.writing import write

SECRETS = ("eve@example.org", "hunter2", "tok-123", "Eve Sharp", "awful soup", "$2b$12$hash")
WHO = {"email": SECRETS[0], "password": SECRETS[1], "full_name": SECRETS[3], "id": "u1"}
COMMENTS = [{"text": SECRETS[4], "user": {"username": SECRETS[3]}}]
OWN = "aa" * 16
NODE = {
    "@type": "Recipe",
    "name": "Soup",
    "recipeIngredient": ["water"],
    "recipeInstructions": "Boil.",
    "comment": COMMENTS,
    "review": [{"reviewBody": SECRETS[4], "author": SECRETS[3]}],
    "author": {"@type": "Person", "name": "The cook", "email": SECRETS[0]},
    "publisher": {"contact": f"write to {SECRETS[0]}"},
}
SOURCES = {
    "mealie backup": {
        "recipes": [{"id": OWN, "slug": "soup", "name": "Soup", "user_id": SECRETS[3]}],
        "recipes_ingredients": [{"recipe_id": OWN, "note": "water"}],
        "recipe_instructions": [{"recipe_id": OWN, "text": "Boil."}],
        "recipe_comments": [{"recipe_id": OWN, "text": SECRETS[4], "user_id": "u1"}],
        "recipe_timeline_events": [{"recipe_id": OWN, "subject": SECRETS[3]}],
        "recipe_share_tokens": [{"recipe_id": OWN, "id": SECRETS[2]}],
        "long_live_tokens": [{"token": SECRETS[2], "user_id": "u1"}],
        "users": [WHO],
    },
    "mealie": {
        "name": "Soup",
        "slug": "soup",
        "recipeIngredient": ["water"],
        "recipeInstructions": [{"text": "Boil."}],
        "comments": COMMENTS,
        "user": WHO,
        "shareTokens": [SECRETS[2]],
        "extras": {"apiKey": SECRETS[2], "by": f"see {SECRETS[0]}"},
    },
    "tandoor": {
        "name": "Soup",
        "working_time": 1,
        "steps": [{"name": "", "instruction": "Boil.", "ingredients": [{"food": {"name": "water"}}]}],
        "created_by": WHO,
        "shared": [WHO],
        "comments": COMMENTS,
    },
    "schema.org": NODE,
    "page": f"<html><script type='application/ld+json'>{json.dumps(NODE)}</script><p>{' '.join(SECRETS)}</p>",
    "paprika": gzip.compress(
        json.dumps(
            {
                "name": "Soup",
                "ingredients": "water",
                "directions": "Boil.",
                "email": SECRETS[0],
                "token": SECRETS[2],
            }
        ).encode()
    ),
    "plain": {
        "title": "Soup",
        "ingredients": ["water"],
        "steps": ["Boil."],
        "owner": WHO,
        "auth": {"access_token": SECRETS[2], "passwordHash": SECRETS[5]},
        "reviews": COMMENTS,
    },
    "markdown": f"---\ntitle: Soup\nauthor: {SECRETS[0]}\ningredients: [water]\ndirections: [Boil.]\n---\n",
    "table": f"title,ingredients,method,Author Email,owner\nSoup,water,Boil.,{SECRETS[0]},{SECRETS[3]}\n",
    "settings": {"users": [WHO], "smtp": {"password": SECRETS[1]}},
}


def test_no_secret_is_in_anything_written(tmp_path, zipped):
    path = tmp_path / "export.zip"
    path.write_bytes(
        zipped({f"{number}/{name}.json": content for number, (name, content) in enumerate(SOURCES.items())})
    )
    out = tmp_path / "out"
    report = write(find(path), out)
    assert report.counts["read"] == 1  # it is one soup in all of them
    assert report.counts["skipped"] == len(SOURCES) - 1
    written = {str(file): file.read_text("utf-8") for file in out.rglob("*") if file.is_file()}
    assert len(written) == 3
    for text in (*written.values(), json.dumps(report.as_dict())):
        assert not [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "settings"])
def test_nor_in_the_raw_source_of_any_kind(tmp_path, name):
    path = tmp_path / "a"
    content = SOURCES[name]
    path.write_bytes(
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    out = tmp_path / "out"
    assert write(find(path), out).counts["read"] == 1
    written = "".join(file.read_text("utf-8") for file in out.rglob("*") if file.is_file())
    assert not [secret for secret in SECRETS if secret in written]
    assert "Boil" in written


def test_photos_are_not_in_the_raw_source(photo):
    data = base64.b64encode(photo(gps=True)).decode() * 3
    raw = raw_json({"a": [{"data": data}], "images": [data], "image": "data:image/png;base64," + data})
    assert data not in raw
    assert raw.count("(photo of") == 3


def test_what_only_looks_like_an_address_stays():
    text = "Heat @oil{} to 180@C, mix 2@3 and @salt."
    assert without_addresses(text) == text
    assert without_addresses("a" * 300_000 + "@b.c") == "a" * 300_000 + "@b.c"
