"""A small cookbook, a server of its own, and one browser for all tests of the page."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from savor.cookbook import folder as cookbook

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RECIPES = 30
# A title that would run if it were ever taken for markup.
HOSTILE = "<img src=x onerror=\"document.title='broken'\"> & sons' pancakes"
# As long a word as anyone's grandmother wrote.
LONG = "Rindfleischetikettierungsueberwachungsaufgabenuebertragungsauflauf with potatoes, leeks and more"


@pytest.fixture(scope="module")
def small_cookbook(tmp_path_factory):
    """Thirty recipes of the starter cookbook; one has no photo, one has sections, two have trying titles."""
    out = tmp_path_factory.mktemp("page") / "kitchen"
    (out / "photos").mkdir(parents=True)
    lines = (cookbook() / "recipes.jsonl").read_text("utf-8").splitlines()
    recipes = [{**json.loads(line), "partition": "train"} for line in lines[:RECIPES]]
    by_id = {recipe["id"]: recipe for recipe in recipes}
    by_id["granola"]["photos"] = []
    by_id["poha"]["title"] = LONG
    by_id["buttermilk-pancakes"]["title"] = HOSTILE
    soup = by_id["minestrone"]
    soup["ingredients"].insert(0, {"section": "For the soup"})
    soup["source"] = "https://example.org/minestrone"
    for recipe in recipes:
        for photo in recipe["photos"]:
            shutil.copy(cookbook() / photo, out / photo)
    (out / "recipes.jsonl").write_text("".join(json.dumps(recipe) + "\n" for recipe in recipes), "utf-8")
    return out


@pytest.fixture(scope="module")
def small_encoders(fake_image, fake_text):
    """Put the small encoders in the place of the bundled ones."""
    from savor.index import building, embedding

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "open_image_encoder", lambda name, **options: fake_image())
        patch.setattr(embedding, "open_text_encoder", lambda name, **options: fake_text())
        for module in (embedding, building):
            patch.setattr(module, "comparable", lambda described: {"weights": described["weights"]})
        yield fake_image(), fake_text()


@pytest.fixture(scope="module")
def small_index(small_cookbook, small_encoders, tmp_path_factory):
    from savor.datasets import open_dataset
    from savor.extraction import extract
    from savor.features import Features
    from savor.index import building
    from savor.methods.cca import CCA
    from savor.runs import describe, open_run, save_run

    root = tmp_path_factory.mktemp("page-index")
    extract(open_dataset(small_cookbook), root / "features", *small_encoders, grid=(3, 3), tokens=True)
    features = Features.open(root / "features")
    for encoder in features.manifest["encoders"].values():
        encoder.setdefault("options", {})
    method = CCA.build(features.dims, {"dim": 12}).fit(features)
    (root / "run").mkdir()
    save_run(root / "run", method, describe("cca", method, features))
    building.build(open_dataset(small_cookbook), open_run(root / "run"), root / "small.index")
    return root / "small.index"


@contextmanager
def serving(index, **settings):
    """Serve an index on a free port of this machine and give the address."""
    import uvicorn

    from savor.server.app import create_app
    from savor.server.settings import Settings

    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(index, **settings))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address(small_index):
    with serving(small_index) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).exists():
        pytest.skip(f"needs {CHROMIUM}")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens the page at an address; it must ask and say nothing that it should not."""
    contexts, problems = [], []

    def watch(page, expected):
        def said(message):
            if message.type in ("error", "warning") and not any(text in message.text for text in expected):
                problems.append(message.text)

        def asked(request):
            if not request.url.startswith((f"{address}/", "blob:", "data:")):
                problems.append(f"a request to {request.url}")

        page.on("console", said)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", asked)

    def open_(path="/", *, width=1280, height=900, theme="light", expected=(), before=None, **options):
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
            base_url=address,
            **options,
        )
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        watch(page, expected)
        if before:
            before(page)
        page.goto(path)
        page.wait_for_selector("main:not([aria-busy])")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []
