"""Jobs: imports that go on in the background, one at a time, and how far they are."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savor.errors import DataError, SavorError
from savor.server import background
from savor.server.problems import Problem

if TYPE_CHECKING:
    from savor.importing.writing import ImportReport
    from savor.server.library import Library

log = logging.getLogger(__name__)

REMEMBERED = 50
IMPORTED, STATE = "imported", "import.json"


@dataclass
class Job:
    """An import; the fields are those of its answer, see `savor.server.schemas.ImportState`."""

    state: Literal["running", "done", "failed"] = "running"
    stage: Literal["reading", "indexing", "opening", "done"] = "reading"
    done: int = 0
    total: int | None = None
    report: dict[str, Any] | None = None
    message: str | None = None


class Jobs:
    """Everything that changes the index: imports and removals, never two at a time."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._changing = threading.Lock()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def get(self, name: str) -> Job | None:
        """Return a job, or None where there is none of this name."""
        return self._jobs.get(name)

    @property
    def folder(self) -> Path:
        """The plain folder with the recipes that were imported."""
        return self.library.settings.data or self.library.path / IMPORTED

    def start(self, upload: Path, dry_run: bool) -> str:
        """Begin to import a folder of uploaded files, which is removed in the end; return the job's name.

        Raises:
            Problem: an import is running, or the index must not be changed.
        """
        self._begin()
        try:
            if not dry_run:
                self.library.to_write()
        except BaseException:
            self._changing.release()
            raise
        name, job = secrets.token_urlsafe(9), Job()
        self._jobs[name] = job
        while len(self._jobs) > REMEMBERED:
            self._jobs.popitem(last=False)
        self._thread = background.start("savor-import", lambda: self._run(job, upload, dry_run))
        return name

    def remove(self, recipe_id: str) -> int:
        """Remove a recipe from the index and from what was imported; return how many were there.

        Raises:
            Problem: an import is running, or the index must not be changed.
        """
        from savor.importing.writing import remove
        from savor.index import open_index

        self._begin()
        try:
            removed = open_index(self.library.to_write()).remove([recipe_id])
            if (self.folder / STATE).is_file():
                remove([recipe_id], self.folder)
            self.library.renew()
        finally:
            self._changing.release()
        return removed

    def close(self) -> None:
        """End what is running; the index stays as it was."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if not self._changing.acquire(blocking=False):
            raise Problem(409, "an import is running; wait until it has ended", "import_running")

    def _run(self, job: Job, upload: Path, dry_run: bool) -> None:
        try:
            self._import(job, upload, dry_run)
            job.state, job.stage = "done", "done"
        except SavorError as error:
            job.state, job.message = "failed", str(error)
        except background.Stopped:
            job.state, job.message = "failed", "the server was stopped; import again"
        except OSError as error:
            job.state, job.message = "failed", f"{error.filename or upload}: {error.strerror or error}"
        except Exception:
            log.exception("an import failed")
            job.state, job.message = "failed", "an internal error; the server's terminal says more"
        finally:
            self._changing.release()
            shutil.rmtree(upload, ignore_errors=True)

    def _import(self, job: Job, upload: Path, dry_run: bool) -> None:
        from savor.importing.finding import FORMATS, find
        from savor.importing.writing import write

        files = list(upload.iterdir())
        source = files[0] if len(files) == 1 else upload
        report = write(
            find(source), self.folder, dry_run=dry_run, on_progress=lambda done: self._progress(job, done)
        )
        # Several files lie in a folder whose name says nothing to who sent them.
        report.recipes = [
            replace(one, source=one.source.removeprefix(f"{upload.name}/")) for one in report.recipes
        ]
        job.report = report.as_dict()
        if not any(one.id for one in report.recipes):
            raise DataError(f"no recipe was found{_first_reason(report)}. Known are {FORMATS}")
        if not dry_run:
            self._index(job)

    def _index(self, job: Job) -> None:
        """Bring the imported recipes into the index and open it as it is then."""
        from savor.datasets import open_dataset
        from savor.index.building import build

        job.stage, job.done, job.total = "indexing", 0, None
        summary = build(
            open_dataset(self.folder),
            self.library.embedder,
            self.library.path,
            on_progress=lambda done, total: self._progress(job, done, total),
        )
        left_out = len(summary.failed_photos)
        job.message = f"photos that cannot be read: {left_out:,}" if left_out else None
        job.stage = "opening"
        self.library.renew()

    def _progress(self, job: Job, done: int, total: int | None = None) -> None:
        job.done, job.total = done, total
        if self._stopping:
            raise background.Stopped


def _first_reason(report: ImportReport) -> str:
    one = next(iter(report.recipes), None)
    return "" if one is None else f" ({one.source}: {one.reason})"
