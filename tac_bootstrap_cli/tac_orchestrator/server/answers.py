"""Rows as JSON: money as decimal text, times in UTC, unknown as null; and lists page by page."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import HTTPConnection

from tac_orchestrator.database import Database
from tac_orchestrator.models import Row, Time

T = TypeVar("T")

MAX_LIMIT = 1000
_JSON = "application/json"


class Page(BaseModel, Generic[T]):
    """Some rows, in order. `next` is the value for `before` that asks for the next page; null behind the last one."""

    items: Sequence[T]
    next: str | None


class Filters(BaseModel):
    """What every list takes. What it does not take is refused, so that a misspelt filter is not a missing one."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(100, ge=1, le=MAX_LIMIT)
    before: str | None = Field(None, description="The `next` of the page before.", max_length=1000)

    def values(self) -> dict[str, Any]:
        """Those that were given, by the names that the store has for them."""
        return self.model_dump(exclude_none=True)


class TimedFilters(Filters):
    since: Time | None = Field(None, description="From then on.")
    until: Time | None = Field(None, description="Before then.")


class NumberedFilters(TimedFilters):
    """Of rows whose ids are numbers."""

    before: int | None = Field(None, ge=0, lt=2**63, description="The `next` of the page before.")  # pyright: ignore[reportIncompatibleVariableOverride]


RowNumber = Annotated[int, Path(ge=0, lt=2**63)]


def _database(connection: HTTPConnection) -> Database:
    return connection.app.state.database


Db = Annotated[Database, Depends(_database)]


def page(rows: Sequence[Row], *, limit: int, key: str = "id") -> Response:
    """A page of the store, which has `limit` rows unless it is the last one. `key` is the column that a page goes by."""
    following = str(getattr(rows[-1], key)) if len(rows) == limit else None
    return Response(b'{"items":' + _dumped(rows) + b',"next":' + orjson.dumps(following) + b"}", media_type=_JSON)


def one(row: Row) -> Response:
    return Response(_adapter(type(row)).dump_json([row], warnings=False)[1:-1], media_type=_JSON)


def listed(rows: Sequence[Row]) -> Response:
    """All there are."""
    return Response(_dumped(rows), media_type=_JSON)


def _dumped(rows: Sequence[Row]) -> bytes:
    """As pydantic writes them, in a third of its time. What only plain SQL can put into a row is left to pydantic."""
    try:
        return orjson.dumps([row.__dict__ for row in rows], _money, orjson.OPT_UTC_Z)
    except orjson.JSONEncodeError:
        return _adapter(type(rows[0])).dump_json(list(rows), warnings=False)


def _money(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError


@cache
def _adapter(model: type[Row]) -> TypeAdapter[list[Row]]:
    hint: Any = list.__class_getitem__(model)
    return TypeAdapter[list[Row]](hint)
