"""What all tables share: from values to a row and back, and lists that are read page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import islice
from math import isfinite
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar, get_args
from uuid import UUID

import orjson
import uuid_utils
from pydantic import TypeAdapter, ValidationError

from tac_orchestrator.engines.base import Engine, Outcome, RawRow, Statement
from tac_orchestrator.errors import InvalidRecord, NotFound, OrchestratorError
from tac_orchestrator.models import Kind, Name, Row, Time
from tac_orchestrator.queries import Query, queries

MAX_PAGE = 100_000

# Values that most rows have. A filter for one of them leaves many rows, so that any other filter goes first.
_COMMON = frozenset(("completed", "INFO", "DEBUG", "milestone", "tool_call", "adw", "followup"))

_ROWS_A_PIECE = 1000

# These restrict the time, by which every index ends: they never need to go first.
_TIMES = ("since", "until", "before")


class Sink(Protocol):
    """Where statements go: to the writer, or into a transaction that is being put together."""

    async def write(self, statements: list[Statement]) -> Sequence[Outcome]: ...

    def post(self, statement: Statement) -> None: ...


def new_id() -> str:
    """Ids grow with time, so that a new row's place in the index is at its end."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    return datetime.now(UTC)


M = TypeVar("M", bound=Row)

Page = list[M]
"""Some rows, in order. It has a name of its own because the tables have a method called `list`."""


class Table(Generic[M]):
    """One table. `kind` is what one of its rows is called."""

    kind: ClassVar[str]
    name: ClassVar[str]
    model: type[M]

    def __init__(self, engine: Engine, sink: Sink) -> None:
        self._engine = engine
        self._sink = sink
        self._queries = queries(self.name)
        self._encoders: Mapping[type, Callable[[Any], Any]] = {
            datetime: engine.codec.time,
            Decimal: engine.codec.money,
            dict: self._dump,
            list: self._dump,
            UUID: str,
        }
        readers = {"time": engine.codec.read_time, "money": engine.codec.read_money, "json": _load}
        self._columns = [(name, readers[kind] if kind else None) for name, kind in _columns(self.model)]

    async def get(self, key: str) -> M:
        """Raises NotFound."""
        row = await self._first("get", key)
        if row is None:
            raise NotFound(self.kind, key)
        return row

    async def delete(self, key: str) -> None:
        """Raises NotFound."""
        await self._write(self._statement("delete", {"id": key}, missing=NotFound(self.kind, key)))

    def _new(self, **values: Any) -> M:
        """A checked row. Raises InvalidRecord."""
        try:
            return self.model(**values)
        except ValidationError as error:
            raise invalid(self.kind, error) from None

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Single columns, checked as in a whole row. Raises InvalidRecord."""
        return {name: self._check(name, value) for name, value in values.items()}

    def _check(self, name: str, value: Any) -> Any:
        if name not in self.model.model_fields:
            raise InvalidRecord(self.kind, "there is no such column", field=name)
        try:
            return _adapter(self.model, name).validate_python(value)
        except ValidationError as error:
            raise invalid(self.kind, error, field=name) from None

    def _encoded(self, values: Iterable[Any]) -> tuple[Any, ...]:
        encoders = self._encoders
        return tuple([encoders[type(value)](value) if type(value) in encoders else value for value in values])

    def _dump(self, value: Any) -> str:
        try:
            text = orjson.dumps(value)
        except TypeError as error:
            raise InvalidRecord(self.kind, f"not JSON: {error}", value=value) from error
        if b"null" in text and _has_nan(value):
            raise InvalidRecord(self.kind, "JSON knows neither NaN nor infinity", value=value)
        return text.decode()

    def _row(self, raw: RawRow) -> M:
        """A row as it is in the store. Nothing is checked: what is there is shown."""
        return self.model.model_construct(
            **{name: read(raw[name]) if read and raw[name] is not None else raw[name] for name, read in self._columns}
        )

    def _insert(self, name: str, *rows: Row) -> Statement:
        query = self._queries[name]
        return Statement(query, [self._encoded(_getter(query)(row)) for row in rows])

    def _statement(
        self, query: str | Query, values: Mapping[str, Any], *, missing: OrchestratorError | None = None
    ) -> Statement:
        found = self._queries[query] if isinstance(query, str) else query
        return Statement(found, [self._encoded(values[name] for name in found.parameters)], missing)

    def _update(self, key: str, changes: Mapping[str, Any]) -> Statement:
        """Sets columns. Raises InvalidRecord; the statement, NotFound."""
        values = self._checked(changes)
        query = self._queries["update"].changing(values)
        return self._statement(query, {**values, "id": key}, missing=NotFound(self.kind, key))

    async def _write(self, *statements: Statement) -> Sequence[Outcome]:
        return await self._sink.write(list(statements))

    async def _insert_many(self, rows: Iterable[Row]) -> int:
        """In pieces, one of which is checked while the one before it is committed. Returns how many rows there were.

        A bad row ends it with an error; the pieces before its own are stored.
        """
        count, under_way = 0, None
        try:
            for piece in batched(rows, _ROWS_A_PIECE):
                statement = self._insert("create", *piece)
                if under_way is not None:
                    await under_way
                under_way = asyncio.ensure_future(self._write(statement))
                await asyncio.sleep(0)
                count += len(piece)
        finally:
            if under_way is not None:
                await under_way
        return count

    async def _fetch(self, query: Query, **values: Any) -> list[RawRow]:
        return await self._engine.fetch(query, self._encoded(values[name] for name in query.parameters))

    async def _first(self, name: str, key: Any) -> M | None:
        query = self._queries[name]
        rows = await self._engine.fetch(query, (key,))
        return self._row(rows[0]) if rows else None

    async def _list(self, filters: Mapping[str, Any], *, limit: int, before: Any = None) -> list[M]:
        """A page. `before` is the id of the last row of the page before; None begins with the first.

        Raises InvalidRecord for a filter that can match nothing by its kind, NotFound if `before` has gone meanwhile.
        """
        wanted = {name: self._checked_filter(name, value) for name, value in filters.items() if value is not None}
        if before is not None:
            wanted["before"] = before
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRecord(self.kind, f"a page has 1 to {MAX_PAGE} rows", field="limit", value=limit)
        query = self._queries["list"].filtered(sorted(wanted, key=lambda name: (name in _TIMES, wanted[name] in _COMMON)))
        rows = await self._fetch(query, **wanted, limit=limit)
        if not rows and before is not None:
            await self.get(before)
        return [self._row(row) for row in rows]

    def _checked_filter(self, name: str, value: Any) -> Any:
        if name in self.model.model_fields:
            return self._check(name, value)
        try:
            return (_TIME if name in _TIMES else _NAME).validate_python(value)
        except ValidationError as error:
            raise invalid(self.kind, error, field=name) from None


def invalid(kind: str, error: ValidationError, *, field: str | None = None) -> OrchestratorError:
    """The first thing that is wrong with a record."""
    first = error.errors(include_url=False)[0]
    place = field or ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "there is no such column"
    elif first["type"] == "timezone_aware":
        reason = "a time needs its time zone; datetime.now(UTC) has one"
    elif first["type"] == "string_unicode":
        reason = "the text is not valid Unicode; text.encode('utf-8', 'replace').decode() makes it so"
    elif first["type"] == "string_pattern_mismatch":
        reason = "this is not a UUID"
    return InvalidRecord(kind, reason, field=place, value=first["input"])


_TIME: TypeAdapter[datetime] = TypeAdapter(Time)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


def batched(rows: Iterable[M], size: int) -> Iterator[list[M]]:
    """Lists of this many rows, and one of what remains."""
    iterator = iter(rows)
    while piece := list(islice(iterator, size)):
        yield piece


@cache
def _adapter(model: type[Row], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    return TypeAdapter(Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation)


@cache
def _columns(model: type[Row]) -> list[tuple[str, str | None]]:
    """The columns of a model, and how those are kept that are neither text nor number."""
    return [(name, _kind((field.annotation, *field.metadata))) for name, field in model.model_fields.items()]


def _kind(hints: Iterable[Any]) -> str | None:
    for hint in hints:
        if isinstance(hint, Kind):
            return hint.name
        if found := _kind(get_args(hint)):
            return found
    return None


@cache
def _getter(query: Query) -> Callable[[Row], tuple[Any, ...]]:
    return attrgetter(*query.parameters)


def _load(text: Any) -> Any:
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return text


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nan(item) for item in value.values())  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return any(_has_nan(item) for item in value)  # pyright: ignore[reportUnknownVariableType]
    return isinstance(value, float) and not isfinite(value)
