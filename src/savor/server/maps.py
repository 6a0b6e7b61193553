"""Maps: the collection in the plane, near each other what looks and reads alike; made once a version."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savor.server import background

if TYPE_CHECKING:
    import numpy as np

    from savor.index import Index

    Array = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger(__name__)

FEW = 3000  # so many are laid out by their neighbours, which takes some seconds
MOST = 10_000  # of more recipes every n-th is shown: a page draws no more
FILE = "map.json"
PERPLEXITY = 30
PATIENCE = 3.0  # seconds
Plan = dict[str, Any]  # kind, version, ids, xy


class Maps:
    """The maps of an index, computed in the background and kept beside it where that can be written."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._running: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def get(self, index: Index, wait: float, *, beside: bool) -> Plan | None:
        """Return the map of an index as it is now, or None where that is not ready within some seconds.

        Args:
            index: the index.
            wait: seconds.
            beside: whether the map may be kept in the index's folder.
        """
        version = index.version
        with self._lock:
            if self._plan is not None and self._plan["version"] == version:
                return self._plan
            ready = self._running.get(version)
            if ready is None:
                ready = self._running[version] = threading.Event()
                work = background.start("savor-map", lambda: self._make(index, version, beside, ready))
                self._threads = [*(one for one in self._threads if one.is_alive()), work]
        ready.wait(wait)
        plan = self._plan
        return plan if plan is not None and plan["version"] == version else None

    def close(self) -> None:
        """Wait a moment for the maps that are being made; nothing is lost with one that is not ready."""
        for thread in self._threads:
            thread.join(PATIENCE)

    def _make(self, index: Index, version: str, beside: bool, ready: threading.Event) -> None:
        try:
            plan = _kept(index, version) or _computed(index, version, beside)
            with self._lock:
                self._plan = plan
        except Exception:
            log.exception("the map cannot be made")
        finally:
            with self._lock:
                del self._running[version]
            ready.set()


def _computed(index: Index, version: str, beside: bool) -> Plan:
    ids = index.listed(limit=index.count("recipes"), order="id")
    ids = ids[:: -(-len(ids) // MOST) or 1]
    kind, points = place(index.vectors([(one, None) for one in ids]))
    plan = {"version": version, "kind": kind, "ids": ids, "xy": points.round(4).tolist()}
    _keep(_files(index)[0 if beside else 1 :], plan)
    return plan


def place(vectors: Sequence[Any]) -> tuple[str, Array]:
    """Lay n vectors out in the unit square, `(n, 2)`: by their neighbours, or many by their spread."""
    import numpy as np

    rows = np.stack(vectors) if vectors else np.zeros((0, 2))
    kind, points = "pca", _plane(rows)
    if 3 < len(rows) <= FEW and points.std() > 0:
        from sklearn.manifold import TSNE

        start = (points / points.std() * 1e-4).astype(np.float32)
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        kind = "tsne"
        points = TSNE(perplexity=perplexity, init=start, random_state=0, n_jobs=1).fit_transform(rows)
    low, high = points.min(0, initial=np.inf), points.max(0, initial=-np.inf)
    return kind, (points - low) / np.maximum(high - low, 1e-9)


def _plane(rows: Array) -> Array:
    """Return the two principal components of `(n, d)`, `(n, 2)`."""
    import numpy as np

    centred = rows - rows.mean(0) if len(rows) else rows
    _, axes = np.linalg.eigh(centred.T.astype(np.float64) @ centred)
    return np.asarray(centred @ axes[:, :-3:-1])


def _files(index: Index) -> list[Path]:
    """Return where the map of an index may be kept: beside it, or in the user's cache folder."""
    from savor.datasets.sidecar import cache_folder

    name = hashlib.sha256(str(index.path.resolve()).encode()).hexdigest()[:16]
    return [index.path / FILE, cache_folder() / f"map-{name}.json"]


def _kept(index: Index, version: str) -> Plan | None:
    for file in _files(index):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            plan = json.loads(file.read_text("utf-8"))
            if plan["version"] == version and len(plan["ids"]) == len(plan["xy"]):
                return dict(plan)
    return None


def _keep(files: Sequence[Path], plan: Plan) -> None:
    """Write the map to the first place that can be written; it can be made again, so nowhere is no fault."""
    for file in files:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_name(f"{file.name}.{os.getpid()}.part")
            temporary.write_text(json.dumps(plan), "utf-8")
            temporary.replace(file)
            return
