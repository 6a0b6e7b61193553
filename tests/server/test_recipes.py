"""The collection over HTTP: listed, one by one, similar ones, its photos and its map."""

from __future__ import annotations

import time
from io import BytesIO
from urllib.parse import quote

import pytest
from PIL import Image


def test_the_list_goes_through_the_whole_collection_once(client) -> None:
    first = client.get("/recipes", params={"limit": 20}).json()
    rest = [client.get("/recipes", params={"limit": 20, "offset": start}).json() for start in (20, 40)]
    ids = [recipe["id"] for part in (first, *rest) for recipe in part["recipes"]]
    assert len(ids) == len(set(ids)) == first["total"] == client.get("/health").json()["index"]["recipes"]
    titles = [recipe["title"].casefold() for recipe in first["recipes"]]
    assert titles == sorted(titles)


def test_the_list_can_be_narrowed_by_words_and_category(client) -> None:
    everything = client.get("/recipes", params={"limit": 200}).json()
    category = everything["facets"]["categories"][0]
    some = client.get("/recipes", params={"category": category["name"], "limit": 200}).json()
    assert some["total"] == len(some["recipes"]) == category["count"]
    word = everything["recipes"][0]["title"].split()[-1]
    found = client.get("/recipes", params={"text": word}).json()
    assert everything["recipes"][0]["id"] in {recipe["id"] for recipe in found["recipes"]}


def test_a_recipe_is_told_in_full(client, toy_folder) -> None:
    import json

    wanted = json.loads((toy_folder / "recipes.jsonl").read_text().splitlines()[0])
    listed = {recipe["id"] for recipe in client.get("/recipes", params={"limit": 200}).json()["recipes"]}
    assert wanted["id"] in listed
    recipe = client.get(f"/recipes/{wanted['id']}").json()
    for part in ("title", "ingredients", "instructions", "category"):
        assert recipe[part] == wanted[part]
    assert [photo["id"] for photo in recipe["photos"]] == wanted["photos"]


def test_similar_recipes_are_others(client) -> None:
    recipe = client.get("/recipes").json()["recipes"][0]["id"]
    hits = client.get(f"/recipes/{recipe}/similar", params={"k": 5}).json()["hits"]
    assert len(hits) == 5
    assert recipe not in {hit["recipe_id"] for hit in hits}


def test_what_is_not_there_is_not_found(client, error_of) -> None:
    for path in ("/recipes/none", "/recipes/none/similar", "/photos/none?recipe=none", "/import/none", "/no"):
        answer = client.get(path)
        assert (answer.status_code, error_of(answer)) == (404, "not_found"), path


@pytest.fixture
def address(client):
    return client.get("/recipes").json()["recipes"][0]["photo_url"]


@pytest.mark.parametrize(("wanted", "given"), [(1, 80), (100, 160), (320, 274), (4000, 274)])
def test_photos_come_in_a_few_widths_and_never_larger(client, address, wanted, given) -> None:
    answer = client.get(address, params={"width": wanted} | dict([address.split("?")[1].split("=")]))
    assert Image.open(BytesIO(answer.content)).width == given


def test_a_photo_that_is_known_is_not_sent_again(client, address) -> None:
    first = client.get(address)
    again = client.get(address, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "max-age" in again.headers["cache-control"]
    narrow = client.get(address + "&width=80")
    assert narrow.headers["etag"] != first.headers["etag"]
    assert client.get(address, headers={"If-None-Match": narrow.headers["etag"]}).status_code == 200


@pytest.mark.parametrize("path", ["../manifest.json", "/etc/passwd", "..\\..\\x", "a/../../b", "\0"])
def test_no_path_leads_out_of_the_index(client, error_of, path) -> None:
    for address in (f"/photos/{quote(path, safe='')}?recipe=x", f"/{quote(path, safe='')}"):
        answer = client.get(address)
        assert (answer.status_code, error_of(answer)) == (404, "not_found")


def mapped(client):
    """Ask for the map until it is ready."""
    until = time.monotonic() + 20
    while (answer := client.get("/map")).status_code == 202:
        assert answer.json()["kind"] == "pending"
        assert time.monotonic() < until
    return answer.json()


def test_the_map_of_what_must_stay_as_it_is_is_kept_elsewhere(serve, own_index, tmp_path) -> None:
    client = serve(own_index, own_copy=tmp_path / "copy")
    before = sorted(own_index.rglob("*"))
    plan = mapped(client)
    assert sorted(own_index.rglob("*")) == before
    assert mapped(serve(own_index, read_only=True)) == plan
    assert sorted(own_index.rglob("*")) == before


def test_the_map_places_every_recipe_and_is_made_once(client, toy_index) -> None:
    plan = mapped(client)
    assert plan["kind"] == "tsne"
    assert len(plan["points"]) == plan["total"] == client.get("/health").json()["index"]["recipes"]
    assert all(0 <= point[axis] <= 1 for point in plan["points"] for axis in "xy")
    assert len({(point["x"], point["y"]) for point in plan["points"]}) > plan["total"] / 2
    assert (toy_index / "map.json").is_file()
    assert client.get("/map").json() == plan
