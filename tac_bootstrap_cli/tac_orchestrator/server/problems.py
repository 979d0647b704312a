"""What went wrong, as `application/problem+json` (RFC 9457): the same words and hints that the command line has."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tac_orchestrator.errors import (
    AlreadyExists,
    DatabaseBusy,
    DatabaseFull,
    DatabaseUnavailable,
    InvalidRecord,
    InvalidSetting,
    InvalidTransition,
    NotFound,
    OrchestratorError,
    SchemaError,
)

_STATUSES: Mapping[type[OrchestratorError], HTTPStatus] = {
    NotFound: HTTPStatus.NOT_FOUND,
    AlreadyExists: HTTPStatus.CONFLICT,
    InvalidTransition: HTTPStatus.CONFLICT,
    InvalidRecord: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidSetting: HTTPStatus.UNPROCESSABLE_ENTITY,
    DatabaseFull: HTTPStatus.INSUFFICIENT_STORAGE,
    DatabaseBusy: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    SchemaError: HTTPStatus.SERVICE_UNAVAILABLE,
    OrchestratorError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_RETRY_S = "2"


class Problem(BaseModel):
    """What an answer says that is none."""

    title: str
    status: int
    detail: str
    hint: str | None = None


def problem(status: int, detail: str, *, hint: str | None = None, headers: Mapping[str, str] | None = None) -> Response:
    told = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, "hint": hint or None}
    return Response(orjson.dumps(told), status, dict(headers or {}), "application/problem+json")


def answer_with_problems(app: FastAPI) -> None:
    """Have every error of the store and of the framework told in one form."""
    app.add_exception_handler(OrchestratorError, _of_store)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(HTTPException, _of_framework)


def status_of(error: OrchestratorError) -> HTTPStatus:
    return next(status for kind, status in _STATUSES.items() if isinstance(error, kind))


def _of_store(_request: Request, error: Any) -> Response:
    status = status_of(error)
    headers = {"Retry-After": _RETRY_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return problem(status, _storable(str(error)), hint=error.hint, headers=headers)


def _of_request(_request: Request, error: Any) -> Response:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _storable(f"{place}: {first['msg']}"))


def _of_framework(_request: Request, error: Any) -> Response:
    return problem(error.status_code, _storable(str(error.detail)), headers=error.headers)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


PROBLEMS: dict[int | str, dict[str, Any]] = {
    int(status): {
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "description": HTTPStatus(status).phrase,
    }
    for status in (400, 401, 403, 404, 422, 503)
}
"""What any route may answer instead, for its documentation. To have it worked out from the model for every route took a fifth
of what the server does before it is ready."""
