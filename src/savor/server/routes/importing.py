"""`/import`: recipes of other applications, uploaded as they were exported."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from savor.server.problems import Problem
from savor.server.schemas import ImportStarted, ImportState
from savor.server.security import Writes
from savor.server.service import Service, TheService

router = APIRouter(tags=["import"])
FIELD = {"type": "array", "items": {"type": "string", "contentMediaType": "application/octet-stream"}}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {**FIELD, "description": "Exports, pages, archives; as they are."},
                        "dry_run": {
                            "type": "boolean",
                            "default": False,
                            "description": "Change nothing; only report what would be done.",
                        },
                    },
                }
            }
        },
    }
}
LONGEST = 100  # letters of a name in a path
TRUE, FALSE = ("1", "true", "on", "yes"), ("", "0", "false", "off", "no")


@router.post(
    "/import", status_code=202, response_model=ImportStarted, dependencies=[Writes], openapi_extra=FORM
)
async def import_(request: Request, service: TheService) -> ImportStarted:
    """Begin to import files; the answer names the job that `/import/{job}` reports on.

    The application is told by what is in a file. Importing again updates what has changed.
    """
    limits = service.settings.limits
    async with request.form(max_files=limits.files, max_fields=limits.files) as form:
        files = [one for one in form.getlist("files") if isinstance(one, UploadFile) and one.filename]
        if not files:
            raise Problem(422, "files: there is none; send at least one export, page or archive")
        return await run_in_threadpool(_started, service, files, _dry_run(form))


@router.get("/import/{job}")
def state(job: str, service: TheService) -> ImportState:
    """Say how far an import is; of one that has ended, what became of every recipe."""
    found = service.jobs.get(job)
    if found is None:
        raise Problem(404, f"there is no import {job!r}; the server forgets them when it is stopped")
    return ImportState(**vars(found))


def _dry_run(form: FormData) -> bool:
    given = str(form.get("dry_run", "")).lower()
    if given not in (*TRUE, *FALSE):
        raise Problem(422, f"dry_run: {given[:20]!r} is neither true nor false")
    return given in TRUE


def _started(service: Service, files: list[UploadFile], dry_run: bool) -> ImportStarted:
    service.library.searcher  # noqa: B018 - waits until the index is open
    folder = Path(tempfile.mkdtemp(prefix="savor-import-"))
    try:
        for file in files:
            target = free_path(folder, file.filename or "")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(file.file, out)
        return ImportStarted(job=service.jobs.start(folder, dry_run))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def free_path(folder: Path, name: str) -> Path:
    """Return where an uploaded file goes: never outside the folder, never over another one.

    >>> free_path(Path("/nowhere"), "../../etc/passwd").as_posix()
    '/nowhere/etc/passwd'
    """
    printable = "".join(letter for letter in name.replace("\\", "/") if letter.isprintable())
    parts = [part.replace(":", "_")[-LONGEST:] for part in PurePosixPath(printable).parts]
    kept = [part for part in parts if part not in ("/", ".", "..", "//")][-8:] or ["upload"]
    path, number = folder.joinpath(*kept), 1
    while path.exists() or any(parent.is_file() for parent in path.parents if parent != folder):
        number += 1
        path = folder.joinpath(f"{number}", *kept)
    return path
