"""Searching over HTTP: photos, words, recipes, conditions, pages, and many at once."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_a_photo_finds_its_own_recipe_first(client, photo) -> None:
    answer = client.post("/search", files={"photo": photo}, data={"k": "3"})
    body = answer.json()
    assert answer.status_code == 200
    assert [hit["rank"] for hit in body["hits"]] == [1, 2, 3]
    first = body["hits"][0]
    recipe = client.get(f"/recipes/{first['recipe_id']}").json()
    assert first["title"] == recipe["title"]
    assert first["ingredients"] == [line for line in recipe["ingredients"] if isinstance(line, str)][:8]
    assert client.get(first["photo_url"]).headers["content-type"] == "image/jpeg"
    assert body["query"]
    assert body["took_ms"] > 0


def test_words_are_answered_by_get_and_post_alike(client) -> None:
    got = client.get("/search", params={"text": "tomato soup", "k": 5}).json()
    posted = client.post("/search", data={"text": "tomato soup", "k": "5"}).json()
    assert got["hits"] == posted["hits"]
    assert len(got["hits"]) == 5


def test_empty_fields_of_a_form_are_no_conditions(client) -> None:
    empty = dict.fromkeys(("recipe", "find", "category", "source", "minutes"), "")
    filled = client.post("/search", data={"text": "soup", **empty}, files={"photo": ("", b"")})
    assert filled.status_code == 200
    assert filled.json()["hits"] == client.get("/search", params={"text": "soup"}).json()["hits"]


def test_a_recipe_finds_photos(client) -> None:
    recipe = client.get("/recipes").json()["recipes"][0]
    hits = client.get("/search", params={"recipe": recipe["id"], "k": 4}).json()["hits"]
    assert len(hits) == 4
    assert all(hit["id"] == hit["photo"] for hit in hits)


def test_pages_follow_one_another(client, photo) -> None:
    def page(offset, k):
        data = {"offset": str(offset), "k": str(k), "group": "false"}
        return [hit["id"] for hit in client.post("/search", files={"photo": photo}, data=data).json()["hits"]]

    assert page(0, 3) + page(3, 3) == page(0, 6)


def test_conditions_hold_for_every_hit(client) -> None:
    category = client.get("/recipes").json()["facets"]["categories"][0]["name"]
    body = client.get("/search", params={"text": "dinner", "category": category}).json()
    assert body["hits"]
    assert {hit["category"] for hit in body["hits"]} == {category}
    assert body["understood"]["category"] == category


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "nothing is asked"),
        ({"text": "  "}, "nothing is asked"),
        ({"text": "a" * 2001}, "text: "),
        ({"text": "soup", "k": "0"}, "k: "),
        ({"text": "soup", "k": "101"}, "k: "),
        ({"text": "soup", "k": "many"}, "k: "),
        ({"text": "soup", "offset": "-1"}, "offset: "),
        ({"text": "soup", "find": "drinks"}, "find: "),
        ({"text": "soup", "minutes": "nan"}, "minutes: "),
        ({"text": "soup", "have": ["salt"] * 21}, "have: "),
        ({"text": "soup", "avoid": "a" * 101}, "avoid.0: "),
        ({"text": "soup", "recipe": "x"}, "ask with a recipe alone"),
        ({"recipe": "no such"}, "no such"),
    ],
)
def test_what_cannot_be_searched_for_is_told(client, error_of, given, words) -> None:
    for answer in (client.get("/search", params=given), client.post("/search", data=given or {"k": "1"})):
        assert answer.status_code in (404, 422)
        assert error_of(answer) in ("invalid", "not_found")
        assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"<svg/>", b"%PDF-1.7", b"\x89PNG\r\n\x1a\n" + bytes(30), b"\xff\xd8\xff\xe0"]
)
def test_what_is_no_photo_is_told(client, error_of, data) -> None:
    answer = client.post("/search", files={"photo": ("dinner.jpg", data, "image/jpeg")})
    assert answer.status_code == 422
    assert error_of(answer) == "bad_photo"


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(client, error_of) -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    )
    answer = client.post("/search", files={"photo": b"\x89PNG\r\n\x1a\n" + chunks})
    assert error_of(answer) == "bad_photo"
    assert "100000 x 100000" in answer.json()["error"]["message"]


def test_32_searches_at_once_are_answered_as_one_by_one(client, photo) -> None:
    def search(number):
        files = {"photo": photo} if number % 2 else None
        answer = client.post("/search", files=files, data={} if number % 2 else {"text": f"dish {number}"})
        return answer.status_code, [hit["id"] for hit in answer.json()["hits"]]

    alone = [search(number) for number in range(32)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(search, range(32))) == alone
    assert {status for status, _ in alone} == {200}
