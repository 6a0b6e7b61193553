"""The library: the index that is served, opened once, with its model and encoders loaded once."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savor.errors import SavorError
from savor.server.fallbacks import version_of
from savor.server.problems import Problem

if TYPE_CHECKING:
    from savor.index import Find, Index
    from savor.index.embedding import Embedder
    from savor.search import Searcher
    from savor.server.batching import Worker
    from savor.server.settings import Settings

log = logging.getLogger(__name__)

FINDS: tuple[Find, Find] = ("recipes", "photos")
PATIENCE = 60.0  # seconds that a request waits for the model to be loaded
GROUP = 8  # photos of one explanation between which searches may slip in


class Library:
    """An index and all that answers from it. Requests take `searcher` once and stay with it.

    A changed index is opened beside the old one and then takes its place in one step.

    Args:
        settings: where the index is, and who may write to it.
        worker: the thread in which photos and texts are encoded.
    """

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self.settings, self._worker = settings, worker
        self.path = settings.index
        self.state: Literal["starting", "ready", "failed"] = "starting"
        self.failure = ""
        self._searcher: Searcher | None = None
        self._loaded = threading.Event()
        self._thread = threading.Thread(target=self._load, name="savor-load", daemon=True)

    def start(self) -> None:
        """Begin to load; `state` says how far it is."""
        self._thread.start()

    def close(self) -> None:
        """Wait for the loading to end."""
        if self._thread.is_alive():
            self._thread.join()

    @property
    def searcher(self) -> Searcher:
        """What answers now.

        Raises:
            Problem: it is still being loaded, or cannot be.
        """
        if not self._loaded.wait(PATIENCE):
            raise Problem(
                503, "the model is still being loaded; try again", "starting", **{"Retry-After": "5"}
            )
        if self._searcher is None:
            raise Problem(503, self.failure, "failed")
        return self._searcher

    @property
    def index(self) -> Index:
        """The index that answers now."""
        return self.searcher.index

    @property
    def embedder(self) -> Embedder:
        """The run of the index with its encoders, which encodes in the worker's thread."""
        return self.searcher.embedder

    @property
    def version(self) -> str:
        """What changes with the index."""
        return version_of(self.index)

    @property
    def ways(self) -> list[str]:
        """How hits can be explained, the best way first."""
        from savor.explain import ways

        return ways(self.embedder.run.method)

    @property
    def writable(self) -> bool:
        """Whether recipes can be added and removed."""
        if self.settings.read_only:
            return False
        return self.settings.own_copy is not None or os.access(self.path, os.W_OK)

    def to_write(self) -> Path:
        """Return the folder of the index for a change, after copying one that must stay as it is.

        Raises:
            Problem: it cannot be written.
        """
        if not self.writable:
            raise Problem(
                409,
                f"the recipes in {self.path} cannot be changed; make an index of your own with"
                " `savor index --data FOLDER --out INDEX` and serve that one: `savor serve INDEX`",
                "read_only",
            )
        own = self.settings.own_copy
        if own is not None and self.path != own:
            if not own.exists():
                unfinished = own.with_name(f".{own.name}.part")
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(self.path, unfinished)
                unfinished.rename(own)
            self.path = own
        return self.path

    def reload(self) -> None:
        """Open the index as it is now for the searches that follow."""
        self._searcher = self._opened(self.searcher.embedder)

    def _load(self) -> None:
        try:
            self._searcher = self._opened()
            self.state = "ready"
        except SavorError as error:
            self.state, self.failure = "failed", str(error)
        except Exception:
            log.exception("the index %s cannot be opened", self.path)
            self.state, self.failure = "failed", "the index cannot be opened; the server's terminal says why"
        finally:
            self._loaded.set()

    def _opened(self, embedder: Embedder | None = None) -> Searcher:
        """Open the index and touch all that a first search would otherwise wait for."""
        from savor.search import Searcher

        searcher = Searcher(self.path)
        if embedder is None or embedder.run.fingerprint != searcher.index.manifest["run"]:
            embedder = _sharing(searcher.embedder, self._worker)
        searcher.embedder = embedder
        query = _warm(embedder)
        for find in FINDS:
            if searcher.index.count(find):
                searcher.index.nearest(find, query, 1)
        return searcher


def _warm(embedder: Embedder) -> Any:
    """Encode a picture and a word, so that both encoders are here; return a vector `(dim,)`."""
    from PIL import Image

    from savor.recipe import Recipe

    embedder.recipes([Recipe("", "soup")])
    return embedder.photos([Image.new("RGB", (352, 224), "white")])[0]


def _sharing(embedder: Embedder, worker: Worker) -> Embedder:
    """Return an embedder like the one given that encodes together what several threads bring."""
    from savor.index.embedding import Embedder
    from savor.reranking import Side

    class Sharing(Embedder):
        def encode_photos(self, images: Sequence[Any]) -> Side:
            return self._shared("photos", super().encode_photos, images)

        def encode_recipes(self, recipes: Sequence[Any]) -> Side:
            return self._shared("recipes", super().encode_recipes, recipes)

        def _shared(self, kind: str, encode: Any, items: Sequence[Any]) -> Side:
            if len(items) == 1:
                return Side.collect([worker.do(kind, lambda some: list(encode(some).items()), items[0])])
            groups = [items[start : start + GROUP] for start in range(0, max(1, len(items)), GROUP)]
            return Side.join(
                [worker.do(f"{kind} of one", lambda some: [encode(some[0])], group) for group in groups]
            )

    return Sharing(embedder.run, embedder.grid)
