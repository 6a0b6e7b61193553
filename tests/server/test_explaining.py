"""Explanations over HTTP: an uploaded photo, one of the index, the ways there are."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import pytest
from PIL import Image


@pytest.fixture
def recipe(client):
    return client.get("/recipes").json()["recipes"][0]["id"]


def test_an_uploaded_photo_is_explained(client, photo, recipe) -> None:
    answer = client.post("/explain", files={"photo": photo}, data={"recipe": recipe})
    body = answer.json()
    assert answer.status_code == 200
    assert body["way"] == body["ways"][0] == client.get("/health").json()["ways"][0]
    assert len(body["boxes"]) == body["grid"][0] * body["grid"][1] == len(body["words"][0]["weights"])
    assert body["recipe"]["id"] == recipe
    lines = [line for line in body["recipe"]["ingredients"] if isinstance(line, str)]
    word = next(word for word in body["words"] if word["part"] == "ingredients")
    assert lines[word["line"]][word["start"] : word["end"]] == word["word"]
    kind, _, data = body["photo_data_url"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(BytesIO(b64decode(data))).size == (body["width"], body["height"])


@pytest.mark.parametrize("way", ["similarity", "masking"])
def test_a_photo_of_the_index_is_explained_in_every_way(client, recipe, way) -> None:
    photo = client.get(f"/recipes/{recipe}").json()["photos"][0]
    data = {"recipe": recipe, "photo_id": photo["id"], "way": way}
    body = client.post("/explain", data=data).json()
    assert (body["way"], body["photo_url"], body["photo_data_url"]) == (way, photo["url"], None)
    assert body["words"]
    other = client.get("/recipes").json()["recipes"][1]["id"]
    across = client.post("/explain", data={**data, "recipe": other, "photo_recipe": recipe}).json()
    assert across["photo_url"] == photo["url"]
    assert across["recipe"]["id"] == other


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({}, 422),
        ({"recipe": "none", "photo_id": "x"}, 404),
        ({"recipe": None}, 422),
        ({"recipe": None, "photo_id": "none"}, 404),
        ({"recipe": None, "photo_id": "none", "photo_recipe": "none"}, 404),
    ],
)
def test_what_cannot_be_explained_is_told(client, recipe, error_of, data, status) -> None:
    answer = client.post("/explain", data={name: value or recipe for name, value in data.items()})
    assert answer.status_code == status
    assert error_of(answer) in ("invalid", "not_found")


def test_an_unknown_way_is_told_with_those_there_are(client, photo, recipe, error_of) -> None:
    answer = client.post("/explain", files={"photo": photo}, data={"recipe": recipe, "way": "magic"})
    assert (answer.status_code, error_of(answer)) == (422, "invalid")
    assert "similarity or masking" in answer.json()["error"]["message"]
