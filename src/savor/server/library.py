"""The library: the index that is served, opened once, with its model and encoders loaded once."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savor.errors import SavorError
from savor.server.problems import Problem

if TYPE_CHECKING:
    from savor.encoders import ImageEncoder, TextEncoder
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

    The index itself notices what is added to it or removed; another one takes its place in one step.

    Args:
        settings: where the index is, and who may write to it.
        encoding: the threads in which photos and texts are encoded.
    """

    def __init__(self, settings: Settings, encoding: Worker) -> None:
        self.settings, self._encoding = settings, encoding
        self.path = settings.index
        self.state: Literal["starting", "ready", "failed"] = "starting"
        self.failure = ""
        self._searcher: Searcher | None = None
        self._loaded, self._copying = threading.Event(), threading.Lock()
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
        return self.index.version

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

    @property
    def in_place(self) -> bool:
        """Whether files may be put beside the index as it is served now."""
        own, settings = self.settings.own_copy, self.settings
        return not settings.read_only and own in (None, self.path) and os.access(self.path, os.W_OK)

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
        with self._copying:
            if own is not None and self.path != own:
                _copy(self.path, own)
                self.path = own
                self._searcher = self._opened(self.embedder)
        return self.path

    def renew(self) -> None:
        """Read what has changed, so that the searches that follow need not wait for it."""
        _touch(self.searcher)

    def _load(self) -> None:
        """Open all that photos need, then the text encoder: one of Hugging Face takes longer than that."""
        try:
            self._searcher = self._opened()
            self.state = "ready"
            self._loaded.set()
            _warm_texts(self.embedder)
        except SavorError as error:
            self.state, self.failure = "failed", str(error)
        except Exception:
            log.exception("the index %s cannot be opened", self.path)
            self.state, self.failure = "failed", "the index cannot be opened; the server's terminal says why"
        finally:
            self._loaded.set()

    def _opened(self, embedder: Embedder | None = None) -> Searcher:
        """Open the index and touch all that a first search would otherwise wait for."""
        from threadpoolctl import threadpool_limits

        from savor.search import Searcher

        # Requests run side by side, see `savor.server.batching`; threads within them would wait for each
        # other, and those of NumPy's products wait by spinning.
        threadpool_limits(1, "blas")
        searcher = Searcher(self.path)
        with ThreadPoolExecutor(1, "savor-index") as beside:
            touched = beside.submit(_touch, searcher)
            if embedder is None or embedder.run.fingerprint != searcher.index.manifest["run"]:
                embedder = self._loaded_embedder(searcher)
            searcher.embedder = embedder
            touched.result()
        return searcher

    def _loaded_embedder(self, searcher: Searcher) -> Embedder:
        """Load the run and its image encoder and encode a picture."""
        import torch
        from PIL import Image

        torch.set_num_threads(1)
        embedder = _sharing(searcher.embedder, self._encoding)
        embedder.photos([Image.new("RGB", (352, 224), "white")])
        return embedder


def _copy(index: Path, own: Path) -> None:
    """Copy an index to a place where there is none yet."""
    if not own.exists():
        unfinished = own.with_name(f".{own.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(index, unfinished)
        unfinished.rename(own)


def _touch(searcher: Searcher) -> None:
    """Make an index read what a search would otherwise wait for."""
    import numpy as np

    index = searcher.index
    query = np.full(index.manifest["dim"], index.manifest["dim"] ** -0.5, np.float32)
    for find in FINDS:
        if index.count(find):
            index.nearest(find, query, 1)
    searcher.calibration  # noqa: B018 - found out on the way


def _warm_texts(embedder: Embedder) -> None:
    """Encode a word; where that fails, searches by words will say why."""
    from savor.recipe import Recipe

    with contextlib.suppress(SavorError):
        embedder.recipes([Recipe("", "soup")])


def _sharing(embedder: Embedder, worker: Worker) -> Embedder:
    """Return an embedder like the one given that encodes together what several threads bring."""
    from savor.index.embedding import Embedder
    from savor.reranking import Side

    class Sharing(Embedder):
        # Who needs an encoder that is being loaded waits for it, and only who needs that one.
        _loading_images, _loading_texts = threading.Lock(), threading.Lock()

        @property
        def image_encoder(self) -> ImageEncoder:
            with self._loading_images:
                return super().image_encoder

        @property
        def text_encoder(self) -> TextEncoder:
            with self._loading_texts:
                return super().text_encoder

        def encode_photos(self, images: Sequence[Any]) -> Side:
            return self._shared("photos", super().encode_photos, images)

        def encode_recipes(self, recipes: Sequence[Any]) -> Side:
            return self._shared("recipes", super().encode_recipes, recipes)

        def _shared(self, kind: str, encode: Callable[[Sequence[Any]], Side], items: Sequence[Any]) -> Side:
            if len(items) == 1:
                return Side.collect([worker.do(kind, lambda some: list(encode(some).items()), items[0])])
            groups = [items[start : start + GROUP] for start in range(0, max(1, len(items)), GROUP)]
            one_by_one = f"{kind} of one query"
            return Side.join(
                [worker.do(one_by_one, lambda some: list(map(encode, some)), group) for group in groups]
            )

    return Sharing(embedder.run, embedder.grid)
