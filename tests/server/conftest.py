"""A small index of the toy kitchen, and applications that serve it."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack

import pytest
from fastapi.testclient import TestClient

from savor.datasets import open_dataset
from savor.features import Features
from savor.index import building, embedding
from savor.methods.cca import CCA
from savor.runs import describe, open_run, save_run
from savor.server.app import create_app
from savor.server.settings import Settings

LOCAL = "http://127.0.0.1:8080"


@pytest.fixture(scope="module", autouse=True)
def _encoders(fake_image, fake_text):
    """Put the small encoders in the place of the bundled ones."""
    with pytest.MonkeyPatch.context() as patch:
        _replace(patch, fake_image, fake_text)
        yield


def _replace(patch, fake_image, fake_text):
    patch.setattr(embedding, "open_image_encoder", lambda name, **options: fake_image())
    patch.setattr(embedding, "open_text_encoder", lambda name, **options: fake_text())
    for module in (embedding, building):
        patch.setattr(module, "comparable", lambda described: {"weights": described["weights"]})


@pytest.fixture(scope="session")
def toy_index(toy_folder, toy_features, fake_image, fake_text, tmp_path_factory):
    """An index of the toy kitchen; read only."""
    folder = tmp_path_factory.mktemp("server")
    features = Features.open(toy_features)
    for encoder in features.manifest["encoders"].values():
        encoder.setdefault("options", {})
    method = CCA.build(features.dims, {"dim": 4}).fit(features)
    (folder / "run").mkdir()
    save_run(folder / "run", method, describe("cca", method, features))
    with pytest.MonkeyPatch.context() as patch:
        _replace(patch, fake_image, fake_text)
        building.build(open_dataset(toy_folder), open_run(folder / "run"), folder / "toy.index")
    return folder / "toy.index"


@pytest.fixture(scope="module")
def serve():
    """Start an application with settings of one's own and wait until it is ready; give a client for it."""
    with ExitStack() as stack:

        def start(index, base_url=LOCAL, **settings):
            client = TestClient(
                create_app(Settings(index, **settings)), base_url, raise_server_exceptions=False
            )
            stack.enter_context(client)
            return ready(client)

        yield start


def ready(client):
    until = time.monotonic() + 20
    while client.get("/health", headers={"Host": "localhost"}).json()["status"] == "starting":
        assert time.monotonic() < until
        time.sleep(0.01)
    return client


@pytest.fixture(scope="module")
def client(serve, toy_index):
    """A client of the index as it is; tests read it and change nothing."""
    return serve(toy_index)


@pytest.fixture
def own_index(toy_index, tmp_path):
    """A copy of the index that may be changed."""
    return shutil.copytree(toy_index, tmp_path / "own.index")


@pytest.fixture(scope="session")
def photo(toy_folder):
    """The bytes of a photo of the toy kitchen."""
    return min((toy_folder / "photos").iterdir()).read_bytes()


def error_of(answer):
    """Check the form of an error and return its code."""
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    assert "Traceback" not in body["error"]["message"]
    return body["error"]["code"]


@pytest.fixture(scope="session", name="error_of")
def _error_of():
    return error_of
