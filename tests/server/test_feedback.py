"""Feedback over HTTP: on photos and on words, kept with the index."""

from __future__ import annotations

import pytest

from savor import feedback


@pytest.fixture
def own(serve, own_index):
    return serve(own_index)


def say(client, query, recipe, verdict="yes"):
    return client.post("/feedback", json={"query": query, "recipe_id": recipe, "verdict": verdict})


def test_what_is_said_of_photos_and_words_is_kept_with_the_index(own, own_index, photo) -> None:
    by_photo = own.post("/search", files={"photo": photo}).json()
    by_words = own.get("/search", params={"text": "tomato soup"}).json()
    first, second = by_photo["hits"][0], by_words["hits"][1]
    assert say(own, by_photo["query"], first["recipe_id"]).json() == {"kept": True}
    assert say(own, by_words["query"], second["recipe_id"], "no").json() == {"kept": True}
    kept = own.get("/feedback").json()
    assert [(one["recipe_id"], one["verdict"]) for one in kept] == [
        (first["recipe_id"], "yes"),
        (second["recipe_id"], "no"),
    ]
    assert (kept[1]["text"], kept[1]["photo"], kept[0]["text"]) == ("tomato soup", None, None)
    assert (own_index / kept[0]["photo"]).is_file()
    assert [one.verdict for one in feedback.read(own_index)] == ["yes", "no"]


def test_what_nobody_searched_for_has_no_feedback(own, error_of) -> None:
    query = own.get("/search", params={"text": "soup"}).json()["query"]
    recipe = own.get("/recipes").json()["recipes"][0]["id"]
    browsed = own.get("/search", params={"recipe": recipe}).json()["query"]
    for status, answer in (
        (404, say(own, "invented", recipe)),
        (404, say(own, query, "no such recipe")),
        (422, say(own, browsed, recipe)),
        (422, say(own, query, recipe, "perhaps")),
    ):
        assert answer.status_code == status
        assert error_of(answer) in ("not_found", "invalid")
    assert own.get("/feedback").json() == []


def test_feedback_on_the_starter_cookbook_goes_to_the_copy(serve, own_index, tmp_path, photo) -> None:
    client, before = serve(own_index, own_copy=tmp_path / "copy"), sorted(own_index.rglob("*"))
    answer = client.post("/search", files={"photo": photo}).json()
    assert say(client, answer["query"], answer["hits"][0]["recipe_id"]).status_code == 200
    assert sorted(own_index.rglob("*")) == before
    assert len(feedback.read(tmp_path / "copy")) == 1
    assert client.get("/health").json()["index"]["name"] == "copy"
