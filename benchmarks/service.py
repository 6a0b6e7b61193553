"""From a photo to its ranked page: latency for one user, throughput of many against the bare encoder.

    python benchmarks/service.py [RUN] [--size 100000] [--requests 160] [--rounds 3] [--index FOLDER]

Starts `savor serve` on an index of made-up recipes around RUN (the starter model if left out) and asks it
over loopback. The bare encoder, one user, 8 users and 32 users take turns, so that whatever else the machine
does meets all of them. The bare encoder gets the same photos, decoded, in the largest batches the server
makes, and nothing else to do; the clients' own work is part of the service's time. The shares are the thing
to read.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from extraction import header
from savor.datasets.folder import recipe_from_json
from savor.encoders import ImageEncoder, open_image_encoder
from savor.index import backends
from savor.index.embedding import Embedder
from savor.index.folder import Array, begin
from savor.index.ranking import unit
from savor.runs import Run, open_run
from savor.server.batching import MOST

FOODS = re.findall(
    r"\w+",
    """lentils onions spinach rice beans carrots garlic chickpeas tomatoes potatoes butter flour eggs milk
    basil mushrooms salmon chicken beef tofu noodles cumin ginger lemon yoghurt cheese peas leeks honey""",
)
DISHES = ["soup", "stew", "curry", "salad", "pie", "cake", "risotto", "bread", "tart", "bowl"]
KNOWN = 2_000  # recipes that are embedded, to know how vectors are spread
BLOCK = 20_000  # recipes at a time
USERS = (8, 32)


def make_index(run: Run, out: Path, size: int) -> None:
    """Write an index of `size` recipes; their vectors are made up too, spread as those of real texts are."""
    embedder = Embedder(run)
    facts = {"run": run.fingerprint, "method": run.config["method"], "encoders": run.config["encoders"]}
    begin(out, run.path)
    index = backends.create(
        out, backends.by_size(size), embedder.dim, grid=list(embedder.grid), reranks=0, **facts
    )
    rng = np.random.default_rng(0)
    vectors = like(embedder.recipes([recipe_from_json(one) for one in recipes(range(KNOWN), rng)]), size, rng)
    for start in range(0, size, BLOCK):
        index.contents()
        rows = range(start, min(start + BLOCK, size))
        entries = list(zip(recipes(rows, rng), vectors[rows.start : rows.stop], strict=True))
        index.add({"recipes": entries, "photos": []}, ())
    index.close()


def like(known: Array, size: int, rng: np.random.Generator) -> Array:
    """Return `size` unit vectors that are spread as some known ones `(n, dim)` are."""
    variances, directions = np.linalg.eigh(np.cov(known, rowvar=False))
    spread = (np.sqrt(np.maximum(variances, 0)) * directions).astype(np.float32)
    return unit(known.mean(0) + rng.standard_normal((size, known.shape[1]), np.float32) @ spread.T)


def recipes(rows: range, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Make up recipes: of the length that recipes have, and of some thirty foods."""
    for row in rows:
        foods = [str(food) for food in rng.choice(FOODS, 9, replace=False)]
        yield {
            "id": f"{row:07d}",
            "title": f"{foods[0]} and {foods[1]} {DISHES[row % len(DISHES)]}".capitalize(),
            "ingredients": [f"{number + 1} cups of {food}" for number, food in enumerate(foods)],
            "instructions": [f"Cook the {food} gently until it is done, stirring." for food in foods],
            "category": DISHES[row % len(DISHES)],
            "times": {"total": f"{10 + row % 90} min"},
            "photos": [],
            "content": str(row),
        }


def draw(count: int) -> list[bytes]:
    """Draw JPEGs of the size and weight of photos on recipe pages, each different."""
    rng = np.random.default_rng(0)
    files = []
    for cells in rng.integers(0, 256, (count, 24, 32, 3), dtype=np.uint8):
        file = BytesIO()
        Image.fromarray(cells).resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def form(photo: bytes) -> tuple[bytes, dict[str, str]]:
    """Return a search by photo as a browser sends it: body and headers."""
    parts = [
        b'--savor\r\nContent-Disposition: form-data; name="photo"; filename="photo.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n",
        b'--savor\r\nContent-Disposition: form-data; name="k"\r\n\r\n10\r\n--savor--\r\n',
    ]
    return b"".join(parts), {"Content-Type": "multipart/form-data; boundary=savor"}


class Server:
    """A server in a process of its own, and how to ask it."""

    def __init__(self, index: Path) -> None:
        started = time.perf_counter()
        command = [sys.executable, "-m", "savor", "serve", str(index), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = urlsplit(self.process.stdout.readline().strip())
        while (state := self.health()) == "starting":
            time.sleep(0.02)
        assert state == "ready", state
        self.start = time.perf_counter() - started

    def health(self) -> str:
        """Return the server's state."""
        connection = self.connect()
        connection.request("GET", "/health")
        return str(json.load(connection.getresponse())["status"])

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection, which stays open."""
        return http.client.HTTPConnection(self.address.hostname or "", self.address.port)

    def search(self, photos: list[bytes]) -> tuple[list[float], int]:
        """Search with one photo after the other; return the seconds each took, and how many failed."""
        connection, seconds, failed = self.connect(), [], 0
        for photo in photos:
            body, headers = form(photo)
            started = time.perf_counter()
            connection.request("POST", "/search", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            seconds.append(time.perf_counter() - started)
            failed += answer.status != 200 or len(json.loads(content)["hits"]) != 10
        connection.close()
        return seconds, failed

    def crowd(self, users: int, photos: list[bytes]) -> tuple[float, list[float], int]:
        """Let several users search at the same time; return photos a second, seconds, and failures."""
        shares = [photos[user::users] for user in range(users)]
        with ThreadPoolExecutor(users) as pool:
            started = time.perf_counter()
            done = list(pool.map(self.search, shares))
            rate = len(photos) / (time.perf_counter() - started)
        return rate, [one for seconds, _ in done for one in seconds], sum(failed for _, failed in done)


@contextmanager
def serving(index: Path) -> Iterator[Server]:
    """Start a server and stop it in the end."""
    server = Server(index)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(20)


def bare(encoder: ImageEncoder, photos: list[Image.Image]) -> float:
    """Return how many photos a second the encoder does with nothing else to do."""
    started = time.perf_counter()
    for first in range(0, len(photos), MOST):
        encoder.encode(photos[first : first + MOST])
    return len(photos) / (time.perf_counter() - started)


def quantiles(seconds: list[float]) -> str:
    """Write the median and the 95th percentile in milliseconds."""
    p50, p95 = np.quantile(seconds, [0.5, 0.95]) * 1000
    return f"p50 {p50:4.0f} ms, p95 {p95:4.0f} ms"


def measure(server: Server, encoder: ImageEncoder, photos: list[bytes], rounds: int) -> None:
    """Let encoder and users take turns; print what they reach."""
    decoded = [Image.open(BytesIO(photo)).convert("RGB") for photo in photos]
    encoder.encode(decoded[:MOST])
    server.crowd(8, photos[:16])
    rates: dict[int, list[float]] = {users: [] for users in (0, *USERS)}
    seconds: dict[int, list[float]] = {users: [] for users in (1, *USERS)}
    failures = 0
    for _ in range(rounds):
        rates[0].append(bare(encoder, decoded))
        alone, failed = server.search(photos[:40])
        seconds[1] += alone
        failures += failed
        for users in USERS:
            rate, waited, failed = server.crowd(users, photos)
            rates[users].append(rate)
            seconds[users] += waited
            failures += failed
    print(f"one user: {quantiles(seconds[1])}")
    print(f"bare encoder: {statistics.median(rates[0]):.1f} photos a second, {MOST} at a time")
    for users in USERS:
        shares = [rate / most for rate, most in zip(rates[users], rates[0], strict=True)]
        print(
            f"{users:2d} users: {statistics.median(rates[users]):.1f} photos a second,"
            f" {statistics.median(shares):.0%} of the bare encoder ({min(shares):.0%} to {max(shares):.0%}),"
            f" {quantiles(seconds[users])}"
        )
    print(f"requests that failed: {failures}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="a run; the starter model if left out")
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=160, help="photos in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--index", type=Path, help="where the index is kept, and taken from if it is there")
    options = parser.parse_args()
    if options.run is None:
        from savor.starter import folder

        options.run = folder()
    run = open_run(options.run)
    print(header())
    with tempfile.TemporaryDirectory() as scratch:
        index = options.index or Path(scratch) / "large.index"
        if not index.exists():
            started = time.perf_counter()
            make_index(run, index, options.size)
            print(f"index of {options.size:,} recipes written in {time.perf_counter() - started:.0f} s")
        with serving(index) as server:
            print(f"started and ready in {server.start:.1f} s")
            described = run.config["encoders"]["image"]
            encoder = open_image_encoder(described["name"], **described["options"])
            measure(server, encoder, draw(options.requests), options.rounds)


if __name__ == "__main__":
    main()
