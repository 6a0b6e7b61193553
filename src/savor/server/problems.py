"""Problems: every error leaves the server as `{"error": {"code", "message"}}` with a fitting status."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from savor.errors import EncoderError, PhotoError, SavorError, VectorIndexError

CODES = {
    400: "bad_request",
    401: "token_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    421: "wrong_host",
    422: "invalid",
    500: "internal",
    503: "busy",
}
INTERNAL = (
    "an internal error of Savor: please report it with what the server wrote to its terminal and what"
    " `savor doctor` prints"
)


class Problem(HTTPException):
    """An answer other than the one that was asked for; the message is read by people."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(status, message, headers or None)
        self.code = code or CODES.get(status, "error")


def body(code: str, message: str) -> dict[str, Any]:
    """Return the body of an error."""
    return {"error": {"code": code, "message": message}}


def install(app: FastAPI) -> None:
    """Let every error of an application leave in this shape, without a traceback."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = error.code if isinstance(error, Problem) else CODES.get(error.status_code, "error")
        return JSONResponse(body(code, str(error.detail)), error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(body("invalid", "; ".join(map(_sentence, error.errors()))), 422)

    @app.exception_handler(SavorError)
    async def _known(request: Request, error: SavorError) -> JSONResponse:
        status, code = _kind(error)
        return JSONResponse(body(code, str(error)), status)

    @app.exception_handler(Exception)
    async def _unknown(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse(body("internal", INTERNAL), 500)


def _kind(error: SavorError) -> tuple[int, str]:
    """Tell whose fault an error is: a damaged index or a missing encoder is not the caller's."""
    if isinstance(error, PhotoError):
        return 422, "bad_photo"
    if isinstance(error, VectorIndexError | EncoderError):
        return 500, "index" if isinstance(error, VectorIndexError) else "encoder"
    return 422, "invalid"


def _sentence(found: dict[str, Any]) -> str:
    """Return what is wrong with one value: `k: Input should be less than or equal to 100`."""
    where = ".".join(str(part) for part in found["loc"] if part not in ("body", "query", "path", "header"))
    return f"{where}: {found['msg']}" if where else str(found["msg"])
