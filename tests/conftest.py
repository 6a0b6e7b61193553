"""What every test gets: no network, one thread, fixed seeds and a cache folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Before torch and transformers are first imported, and inherited by commands run as subprocesses.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NetworkUsedError(AssertionError):
    """A test tried to leave this machine."""


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> object:
    """Refuse every connection that leaves this machine, so that no test can come to need one."""

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event == "socket.getaddrinfo":
            host = arguments[0]
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            host = arguments[1][0]
        else:
            return
        if guarding and host not in (*LOOPBACK, None, ""):
            raise NetworkUsedError(f"a test tried to reach {host!r}; tests run without a network")

    guarding = True
    sys.addaudithook(refuse)
    yield
    guarding = False


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAVOR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _same_every_time() -> None:
    """Seed the generators; torch and NumPy only where something has imported them."""
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a toy kitchen of 60 dishes, once for each worker; tests read it and never write to it."""
    from savor.datasets.toy_kitchen import write

    return write(tmp_path_factory.mktemp("toy") / "kitchen", n=60, seed=0)


class FakeImageEncoder:
    """A small deterministic encoder: the colours of a photo on a grid; `fail_at` interrupts a call."""

    name = "fake-image"
    dim = 12

    def __init__(self, weights: str = "1") -> None:
        self.weights, self.calls, self.fail_at = weights, 0, 0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "weights": self.weights, "runtime": {"dtype": "fp32"}}

    def encode(self, images: Sequence[Any], *, patches: tuple[int, int] | None = None) -> Any:
        import torch

        from savor.encoders import ImageStates

        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        pooled = self._colours(images, (2, 2)).reshape(len(images), self.dim)
        if patches is None:
            return ImageStates(pooled)
        regions = self._colours(images, patches)
        filled = torch.cat([regions, torch.zeros(*regions.shape[:2], self.dim - 3)], 2)
        return ImageStates(pooled, filled, patches)

    def view(self, width: int, height: int) -> tuple[float, float, float, float]:
        return (0.0, 0.0, 1.0, 1.0)

    @staticmethod
    def _colours(images: Sequence[Any], grid: tuple[int, int]) -> Any:
        """Mean colours, `(n, cells, 3)`."""
        import numpy as np
        import torch

        small = [np.asarray(image.resize(grid[::-1], 4), np.float32).reshape(-1, 3) / 255 for image in images]
        return torch.from_numpy(np.stack([*small, np.zeros((grid[0] * grid[1], 3), np.float32)])[:-1])


class FakeTextEncoder:
    """A small deterministic encoder: the sum of a random vector for each word."""

    name = "fake-text"
    dim = 16

    def __init__(self, weights: str = "1") -> None:
        self.weights, self.calls, self.fail_at = weights, 0, 0

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "weights": self.weights, "runtime": {"dtype": "fp32"}}

    def encode(self, lines: Sequence[str], *, tokens: bool = False) -> Any:
        import torch

        from savor.encoders import TextStates

        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        spans = [[match.span() for match in re.finditer(r"\S+", line)] for line in lines]
        states = [
            torch.stack([self._word(line[start:end]) for start, end in one])
            for line, one in zip(lines, spans, strict=True)
        ]
        pooled = torch.nn.functional.normalize(torch.stack([one.sum(0) for one in states]), dim=-1)
        return TextStates(pooled, states, spans) if tokens else TextStates(pooled)

    def _word(self, word: str) -> Any:
        import numpy as np
        import torch

        rng = np.random.default_rng(zlib.crc32(word.lower().encode()))
        return torch.from_numpy(rng.standard_normal(self.dim, dtype=np.float32))


@pytest.fixture(scope="session")
def fake_image() -> type[FakeImageEncoder]:
    """Offer the class of the small image encoder; `fake_image()` makes one."""
    return FakeImageEncoder


@pytest.fixture(scope="session")
def fake_text() -> type[FakeTextEncoder]:
    """Offer the class of the small text encoder."""
    return FakeTextEncoder


@pytest.fixture(scope="session")
def toy_features(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of the toy kitchen by the small encoders, with patches and tokens; read only."""
    from savor.datasets import open_dataset
    from savor.extraction import extract

    out = tmp_path_factory.mktemp("toy") / "features"
    dataset = open_dataset(toy_folder)
    extract(dataset, out, FakeImageEncoder(), FakeTextEncoder(), grid=(3, 3), tokens=True, shard_size=16)
    return out


def write_features(
    out: Path,
    photos: Sequence[Any],
    parts: Mapping[str, Sequence[Any]],
    *,
    splits: Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    encoder: str = "vectors",
    shard_size: int = 100,
    **more: Sequence[Any],
) -> Path:
    """Write vectors as a feature folder, as `savor.features` describes one.

    `photos[k]` is `(photos of recipe k, d)`, `parts[part][k]` is `(lines of recipe k, d)`; `more` are other
    fields: `patches[k]` `(photos, 4, d)` on a grid of 2 x 2, `words[k]` `(pieces, d)`, `words_spans[k]`.
    """
    import numpy as np

    n = len(photos)
    ragged = {"image": photos, **parts, **more}
    shards = []
    for number, start in enumerate(range(0, n, shard_size)):
        folder = out / f"shard-{number:05d}"
        folder.mkdir(parents=True)
        some = range(start, min(start + shard_size, n))
        for name, values in ragged.items():
            counts = [len(values[k]) for k in some]
            rows = np.concatenate([values[k] for k in some])
            np.save(folder / f"{name}.npy", rows if rows.dtype == np.int32 else rows.astype(np.float16))
            np.save(folder / f"{name}.offsets.npy", np.cumsum([0, *counts]))
        lines = [
            {
                "id": f"{k:05d}",
                "title": titles[k] if titles else f"Dish {k}",
                "partition": splits[k] if splits else "train",
                "photos": [f"{k}-{photo}" for photo in range(len(photos[k]))],
            }
            for k in some
        ]
        (folder / "recipes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        files = {
            file.name: {
                "bytes": file.stat().st_size,
                "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            }
            for file in sorted(folder.iterdir())
        }
        shards.append({"name": folder.name, "recipes": len(some), "photos": len(some), "files": files})
    described = {kind: {"name": f"{encoder}-{kind}", "weights": encoder} for kind in ("image", "text")}
    manifest = {
        "format": 1,
        "finished": True,
        "dataset": {"path": "nowhere", "kind": "folder", "fingerprint": f"sha256:{n}"},
        "encoders": described,
        "settings": {"patches": None, "tokens": False, "shard_size": shard_size},
        "fields": {
            name: {"dim": int(values[0].shape[-1]), **({"grid": [2, 2]} if name == "patches" else {})}
            for name, values in ragged.items()
        },
        "failed_photos": [],
        "shards": shards,
    }
    (out / "manifest.json").write_text(json.dumps(manifest))
    return out


@pytest.fixture(scope="session", name="write_features")
def _write_features() -> Callable[..., Path]:
    return write_features


@pytest.fixture(scope="session")
def pairs_features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 training pairs, 60 for validation and 60 to test on that share four factors, bent on both sides.

    A third of the recipes has nothing but a title; two dozen rows lack the photo or all text.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    n, factors = 444, rng.standard_normal((444, 4))

    def side(width: int, noise: float) -> Any:
        bent = np.concatenate([factors, np.tanh(2 * factors), factors[:, :1] * factors[:, 1:2]], 1)
        values = bent @ rng.standard_normal((bent.shape[1], width))
        values += noise * rng.standard_normal(values.shape)
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    photos = [row[None] for row in 3 * side(24, 0.2)]
    parts = {
        "title": [row[None] for row in side(16, 0.4)],
        "ingredients": [row[None].repeat(1 + k % 3, 0) for k, row in enumerate(side(16, 0.4))],
        "instructions": [row[None].repeat(1 + k % 2, 0) for k, row in enumerate(side(16, 0.4))],
    }
    for k in range(0, n, 3):
        parts["ingredients"][k] = parts["instructions"][k] = np.zeros((0, 16))
    for k in range(300, 312):
        photos[k] = np.zeros((0, 24))
    for k in range(312, 324):
        for lines in parts.values():
            lines[k] = np.zeros((0, 16))
    splits = ["train"] * 324 + ["val"] * 60 + ["test"] * 60
    out = tmp_path_factory.mktemp("pairs") / "features"
    return write_features(out, photos, parts, splits=splits, **_regions_and_words(photos, parts, rng))


def _regions_and_words(photos: Sequence[Any], parts: Mapping[str, Sequence[Any]], rng: Any) -> dict[str, Any]:
    """Four patches that average to each photo, and two noisy word pieces a line with their spans."""
    import numpy as np

    patches, words, spans = [], [], []
    for photo in photos:
        noise = 0.2 * rng.standard_normal((len(photo), 4, photo.shape[-1]))
        patches.append(photo[:, None] + noise - noise.mean(1, keepdims=True))
    for k in range(len(photos)):
        lines = [(p, n, line) for p, some in enumerate(parts.values()) for n, line in enumerate(some[k])]
        pieces = [line + 0.1 * rng.standard_normal(16) for _, _, line in lines for _ in range(2)]
        words.append(np.array(pieces).reshape(-1, 16))
        where = [(p, n, 5 * w, 5 * w + 4) for p, n, _ in lines for w in range(2)]
        spans.append(np.array(where, np.int32).reshape(-1, 4))
    return {"patches": patches, "words": words, "words_spans": spans}
