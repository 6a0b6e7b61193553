"""Importing over HTTP: from an upload to a search that finds it, and back out again."""

from __future__ import annotations

import json
import threading
import time

import pytest

from savor.importing import finding

PAGE = """<html><head><script type="application/ld+json">{{"@context": "https://schema.org",
"@type": "Recipe", "name": "{title}", "recipeIngredient": ["1 kg nettles", "1 onion"],
"recipeInstructions": ["Boil.", "Blend."], "totalTime": "PT30M"}}</script></head></html>"""
SOUP = PAGE.format(title="Nettle soup").encode()
STEW = PAGE.format(title="Nettle stew").encode()


def finished(client, started):
    """Wait for an import and return its last state."""
    assert started.status_code == 202, started.text
    until = time.monotonic() + 20
    while (state := client.get(f"/import/{started.json()['job']}").json())["state"] == "running":
        assert time.monotonic() < until
        time.sleep(0.01)
    return state


def send(client, *files, **data):
    return client.post("/import", files=[("files", file) for file in files], data=data)


@pytest.fixture
def own(serve, own_index):
    return serve(own_index)


def test_what_is_imported_is_found_at_once_and_survives_a_restart(own, own_index, serve) -> None:
    before = own.get("/health").json()["index"]
    state = finished(own, send(own, ("soup.html", SOUP)))
    assert state["state"] == state["stage"] == "done"
    assert state["report"]["counts"] == {"read": 1, "updated": 0, "unchanged": 0, "skipped": 0}
    (row,) = state["report"]["recipes"]
    assert (row["source"], row["status"]) == ("soup.html", "read")
    after = own.get("/health").json()["index"]
    assert after["recipes"] == before["recipes"] + 1
    assert after["version"] != before["version"]
    for client in (own, serve(own_index)):
        recipe = client.get(f"/recipes/{row['id']}").json()
        assert (recipe["title"], recipe["minutes"]) == ("Nettle soup", 30)
        hits = client.get("/search", params={"text": "Nettle soup", "k": 100}).json()["hits"]
        assert row["id"] in {hit["recipe_id"] for hit in hits}
    assert (own_index / "imported" / "recipes.jsonl").is_file()


def test_imported_again_nothing_changes(own) -> None:
    finished(own, send(own, ("soup.html", SOUP)))
    version = own.get("/health").json()["index"]["version"]
    state = finished(own, send(own, ("soup.html", SOUP)))
    assert state["report"]["counts"]["unchanged"] == 1
    assert own.get("/health").json()["index"]["version"] == version


def test_several_files_are_one_import_wherever_they_say_they_belong(own, own_index, tmp_path) -> None:
    state = finished(own, send(own, ("../../soup.html", SOUP), ("a/../soup.html", STEW), ("/x/b.txt", b"hm")))
    assert state["report"]["counts"] == {"read": 2, "updated": 0, "unchanged": 0, "skipped": 1}
    assert not any("savor-import" in row["source"] for row in state["report"]["recipes"])
    assert not list(tmp_path.glob("*.html"))
    assert {path.name for path in tmp_path.iterdir()} == {own_index.name}


def test_a_dry_run_changes_nothing(own, own_index) -> None:
    before = sorted(own_index.rglob("*"))
    state = finished(own, send(own, ("soup.html", SOUP), dry_run="true"))
    assert (state["state"], state["report"]["counts"]["read"]) == ("done", 1)
    assert sorted(own_index.rglob("*")) == before


def test_imports_go_to_a_folder_of_ones_own(serve, own_index, tmp_path) -> None:
    client = serve(own_index, data=tmp_path / "mine")
    finished(client, send(client, ("soup.html", SOUP)))
    assert "Nettle soup" in (tmp_path / "mine" / "recipes.jsonl").read_text()
    assert not (own_index / "imported").exists()


def test_an_import_without_recipes_says_so(own) -> None:
    state = finished(own, send(own, ("notes.txt", b"buy milk")))
    assert state["state"] == "failed"
    assert "no recipe was found (notes.txt: a text in which no recipe is marked)" in state["message"]
    assert state["report"]["counts"]["skipped"] == 1


@pytest.mark.parametrize("given", [{"files": []}, {"dry_run": "perhaps"}])
def test_an_import_that_cannot_begin_says_why(own, error_of, given) -> None:
    files = given.get("files", [("a.html", SOUP)])
    answer = send(own, *files, **{"dry_run": given.get("dry_run", "false")})
    assert answer.status_code in (400, 422)
    assert error_of(answer) in ("bad_request", "invalid")


def test_one_import_at_a_time_and_searches_go_on_meanwhile(own, error_of, monkeypatch) -> None:
    gate, find = threading.Event(), finding.find

    def held(*arguments, **options):
        assert gate.wait(20)
        yield from find(*arguments, **options)

    monkeypatch.setattr(finding, "find", held)
    try:
        first = send(own, ("soup.html", SOUP))
        second = send(own, ("stew.html", STEW))
        assert (second.status_code, error_of(second)) == (409, "import_running")
        recipe = own.get("/recipes").json()["recipes"][0]["id"]
        assert own.delete(f"/recipes/{recipe}").status_code == 409
        assert own.get("/search", params={"text": "soup"}).status_code == 200
        assert own.get(f"/import/{first.json()['job']}").json()["stage"] == "reading"
    finally:
        gate.set()
    assert finished(own, first)["state"] == "done"
    assert finished(own, send(own, ("stew.html", STEW)))["state"] == "done"


def test_a_fault_inside_ends_the_job_and_not_the_server(own, monkeypatch) -> None:
    def broken(*arguments, **options):
        raise RuntimeError("loose screw")

    with monkeypatch.context() as patch:
        patch.setattr(finding, "find", broken)
        state = finished(own, send(own, ("soup.html", SOUP)))
    assert state["state"] == "failed"
    assert "screw" not in state["message"]
    assert finished(own, send(own, ("soup.html", SOUP)))["state"] == "done"


def test_an_index_that_cannot_be_written_is_left_alone(serve, own_index, error_of, monkeypatch) -> None:
    client = serve(own_index)
    monkeypatch.setattr("savor.server.library.os.access", lambda path, mode: False)
    before = sorted(own_index.rglob("*"))
    answer = send(client, ("soup.html", SOUP))
    assert (answer.status_code, error_of(answer)) == (409, "read_only")
    assert "savor index" in answer.json()["error"]["message"]
    assert sorted(own_index.rglob("*")) == before


def test_the_starter_cookbook_is_copied_before_the_first_change(serve, own_index, tmp_path) -> None:
    copy, before = tmp_path / "mine" / "cookbook", sorted(own_index.rglob("*"))
    client = serve(own_index, own_copy=copy)
    assert not copy.exists()
    state = finished(client, send(client, ("soup.html", SOUP)))
    assert sorted(own_index.rglob("*")) == before
    assert "Nettle soup" in (copy / "imported" / "recipes.jsonl").read_text()
    assert client.get(f"/recipes/{state['report']['recipes'][0]['id']}").status_code == 200
    assert client.get("/health").json()["index"]["name"] == "cookbook"


def test_a_removed_recipe_is_gone_until_it_is_imported_again(own, own_index, error_of) -> None:
    state = finished(own, send(own, ("soup.html", SOUP), ("stew.html", STEW)))
    soup, stew = (row["id"] for row in state["report"]["recipes"])
    assert own.delete(f"/recipes/{soup}").json() == {"removed": 1}
    assert error_of(own.get(f"/recipes/{soup}")) == "not_found"
    assert error_of(own.delete(f"/recipes/{soup}")) == "not_found"
    assert own.get(f"/recipes/{stew}").status_code == 200
    lines = (own_index / "imported" / "recipes.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [stew]
    finished(own, send(own, ("stew.html", STEW)))
    assert own.get(f"/recipes/{soup}").status_code == 404
    state = finished(own, send(own, ("soup.html", SOUP)))
    assert state["report"]["counts"]["read"] == 1
    assert own.get(f"/recipes/{soup}").status_code == 200
