"""The application as a whole: health, metrics, its description, the page, and what goes wrong inside."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from savor.index import embedding
from savor.server.app import create_app
from savor.server.routes import page
from savor.server.settings import Settings


def test_health_tells_what_is_served(client, toy_index) -> None:
    health = client.get("/health").json()
    assert health["status"] == "ready"
    assert health["index"]["name"] == "toy.index"
    assert health["index"]["photos"] > 0
    assert (health["method"], health["ways"]) == ("cca", ["similarity", "masking"])
    assert (health["token_required"], health["writable"]) == (False, True)


def test_while_the_model_is_loaded_health_answers_and_searches_wait(toy_index, monkeypatch) -> None:
    gate, opened = threading.Event(), embedding.open_image_encoder

    def slow(*arguments, **options):
        assert gate.wait(20)
        return opened(*arguments, **options)

    monkeypatch.setattr(embedding, "open_image_encoder", slow)
    with TestClient(create_app(Settings(toy_index)), "http://localhost") as client:
        assert client.get("/health").json()["status"] == "starting"
        threading.Timer(0.05, gate.set).start()
        assert client.get("/search", params={"text": "soup"}).status_code == 200
        assert client.get("/health").json()["status"] == "ready"


def test_photos_do_not_wait_for_the_text_encoder(toy_index, photo, monkeypatch) -> None:
    gate, opened = threading.Event(), embedding.open_text_encoder

    def slow(*arguments, **options):
        assert gate.wait(20)
        return opened(*arguments, **options)

    monkeypatch.setattr(embedding, "open_text_encoder", slow)
    with TestClient(create_app(Settings(toy_index)), "http://localhost") as client:
        assert client.post("/search", files={"photo": photo}).status_code == 200
        assert not gate.is_set()
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(client.get, "/search", params={"text": text}) for text in ("soup", "pie")]
            gate.set()
            assert [one.result().status_code for one in asked] == [200, 200]


def test_an_index_that_cannot_be_opened_is_told_by_every_answer(toy_index, tmp_path, error_of) -> None:
    broken = shutil.copytree(toy_index, tmp_path / "broken.index")
    (broken / "run" / "model.safetensors").write_bytes(b"")
    with TestClient(create_app(Settings(broken)), "http://localhost") as client:
        answer = client.get("/search", params={"text": "soup"})
        assert (answer.status_code, error_of(answer)) == (503, "failed")
        health = client.get("/health").json()
        assert (health["status"], health["index"]) == ("failed", None)
        assert "broken.index" in health["message"]


def test_a_fault_inside_is_told_without_a_traceback(client, error_of, monkeypatch) -> None:
    monkeypatch.setattr("savor.server.routes.recipes._facets", lambda index: 1 / 0)
    answer = client.get("/recipes")
    assert (answer.status_code, error_of(answer)) == (500, "internal")
    assert "ZeroDivision" not in answer.text


def test_metrics_count_requests_by_route_batches_and_entries(client, photo) -> None:
    def value(name):
        lines = client.get("/metrics").text.splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " ")), 0.0)

    answered = 'savor_requests_total{method="GET",route="/recipes/{recipe_id:path}",status="404"}'
    encoded, before, invented = 'savor_batch_items_sum{kind="photos"}', value(answered), "BREW"
    photos = value(encoded)
    client.get("/recipes/none")
    client.post("/search", files={"photo": photo})
    client.request(invented, "/coffee")
    assert value(answered) == before + 1
    assert value(encoded) == photos + 1
    assert value('savor_index_entries{kind="recipes"}') == client.get("/health").json()["index"]["recipes"]
    assert invented not in client.get("/metrics").text


def test_the_description_is_complete_and_its_references_lead_somewhere(client) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    paths = described["paths"]
    assert {
        "/search",
        "/explain",
        "/recipes",
        "/photos/{photo_id}",
        "/import",
        "/map",
        "/feedback",
    } <= paths.keys()
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["description"], path
    text = json.dumps(described)
    for reference in text.split('"$ref": "#/components/schemas/')[1:]:
        assert reference.split('"')[0] in described["components"]["schemas"]
    assert '"examples"' in text
    assert "/nothing" not in paths
    for offered in ("/docs", "/redoc"):
        assert client.get(offered).status_code == 404


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A page, as its build leaves it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Savor</title>")
    (tmp_path / "assets" / "page-1a2b.js").write_text("1")
    (tmp_path / "icon.svg").write_text("<svg/>")
    monkeypatch.setattr(page, "STATIC", tmp_path)
    page.files.cache_clear()
    yield
    page.files.cache_clear()


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/", "/browse", "/r/some%2Frecipe", "/map"])
def test_the_page_is_at_each_of_its_addresses(client, built, path) -> None:
    answer = client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.text) == (200, "<title>Savor</title>")
    assert answer.headers["cache-control"] == "no-cache"


def test_built_files_are_sent_and_nothing_else(client, built, error_of) -> None:
    script = client.get("/assets/page-1a2b.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["content-encoding"] == "gzip"
    plain = client.get("/assets/page-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == script.text == "1"
    assert "immutable" in script.headers["cache-control"]
    assert client.get("/icon.svg").headers["cache-control"] == "no-cache"
    for path in ("/unknown", "/assets/", "/index.html", "/r"):
        assert error_of(client.get(path, headers=BROWSER)) == "not_found"


def test_without_a_built_page_that_is_told(client, monkeypatch, tmp_path, error_of) -> None:
    monkeypatch.setattr(page, "STATIC", tmp_path)
    page.files.cache_clear()
    assert error_of(client.get("/")) == "not_found"
    page.files.cache_clear()
