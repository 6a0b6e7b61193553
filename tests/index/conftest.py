"""Indexes of made-up vectors, with every backend."""

from __future__ import annotations

import json

import numpy as np
import pytest

from savor.index import backends, folder

FACTS = {"run": "sha256:1", "method": "cca", "encoders": {}, "grid": [7, 7]}


def unit(*numbers):
    return np.array(numbers, np.float32) / np.linalg.norm(numbers)


def recipe(name, vector, *photos, content="1", **more):
    """Return the entry of a recipe."""
    return {"id": name, "title": name.title(), "photos": list(photos), "content": content, **more}, vector


def photo(name, recipe_id, vector, thumbnail=None, content="1"):
    """Return the entry of a photo."""
    return {"id": name, "recipe_id": recipe_id, "thumbnail": thumbnail, "content": content}, vector


@pytest.fixture(scope="session")
def empty_run(tmp_path_factory):
    """A folder that looks like a run to an index, which only copies it."""
    run = tmp_path_factory.mktemp("run")
    for name in ("config.json", "model.safetensors"):
        (run / name).write_text(json.dumps({}))
    return run


@pytest.fixture(scope="session")
def make_index(empty_run):
    """Make an empty index in a folder."""

    def make(path, backend="exact", dim=3):
        folder.begin(path, empty_run)
        return backends.create(path, backend, dim, **FACTS)

    return make
