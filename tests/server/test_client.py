"""The client, against an application and against nothing."""

from __future__ import annotations

import socket

import pytest

from savor.client import Client
from savor.errors import ServiceError

SOUP = """{"@context": "https://schema.org", "@type": "Recipe", "name": "Nettle soup",
"recipeIngredient": ["salt"]}"""


@pytest.fixture
def savor(client):
    return Client("http://127.0.0.1:8080", transport=client._transport)


def test_searching_gives_what_the_server_gives(savor, client, photo, tmp_path) -> None:
    (tmp_path / "dinner.jpg").write_bytes(photo)
    wanted = client.post("/search", files={"photo": photo}, data={"k": "3"}).json()
    for given in (photo, tmp_path / "dinner.jpg", str(tmp_path / "dinner.jpg")):
        answer = savor.search(photo=given, k=3)
        assert [hit.id for hit in answer.hits] == [hit["id"] for hit in wanted["hits"]]
        assert answer.hits[0].ingredients == wanted["hits"][0]["ingredients"]
        assert answer.total == wanted["total"]
    category = wanted["hits"][0]["category"]
    assert savor.search(text="soup", category=category).understood.category == category
    assert savor.search(recipe=wanted["hits"][0]["recipe_id"], find="photos", k=1).hits[0].photo


def test_the_collection_is_listed_read_and_explained(savor, client, photo) -> None:
    health = savor.wait()
    everything = list(savor.all_recipes())
    assert len(everything) == savor.recipes(limit=1).total == health.index["recipes"]
    first = everything[0]
    recipe = savor.recipe(first.id)
    assert recipe.title == first.title
    assert savor.photo(first.id, recipe.photos[0]["id"], 80)[:2] == b"\xff\xd8"
    assert len(savor.similar(first.id, 3)) == 3
    assert savor.recipes(category=first.category).total == savor.recipes().categories[first.category]
    explained = savor.explain(first.id, photo=photo, way=health.ways[-1])
    assert explained.way == health.ways[-1]
    assert explained.recipe == recipe


def test_importing_waits_for_the_end(serve, own_index, tmp_path) -> None:
    (tmp_path / "soup.jsonld").write_text(SOUP)
    server = serve(own_index, token="parsley-sage")
    with Client("http://127.0.0.1:8080", "parsley-sage", transport=server._transport) as savor:
        assert savor.import_([tmp_path / "soup.jsonld"], dry_run=True).counts["read"] == 1
        (row,) = savor.import_([tmp_path / "soup.jsonld"]).recipes
        assert savor.recipe(row["id"]).title == "Nettle soup"
        with pytest.raises(ServiceError, match="no recipe was found"):
            savor.import_([__file__])


def test_errors_say_what_the_server_says(savor, client) -> None:
    with pytest.raises(ServiceError, match="no recipe with the id 'none'") as caught:
        savor.recipe("none")
    assert (caught.value.code, caught.value.status) == ("not_found", 404)
    with pytest.raises(ServiceError, match="known kind") as caught:
        savor.search(photo=b"nonsense")
    assert caught.value.code == "bad_photo"
    with pytest.raises(ServiceError, match="nothing is asked"):
        savor.search()
    with pytest.raises(ServiceError, match="cannot be read"):
        savor.search(photo="no such file")


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ServiceError, match="savor serve") as caught:
        Client(f"http://127.0.0.1:{port}", timeout=2).health()
    assert caught.value.code == "unreachable"
