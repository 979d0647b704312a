"""What all tables share: from values to a row and back, and lists that are read page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice, permutations
from operator import attrgetter
from types import NoneType
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

import uuid_utils
from pydantic import TypeAdapter, ValidationError

from tac_orchestrator.engines.base import Engine, Outcome, RawRow, Statement
from tac_orchestrator.errors import InvalidRecord, NotFound, OrchestratorError
from tac_orchestrator.models import Name, Row, Time
from tac_orchestrator.queries import Query
from tac_orchestrator.tables.columns import NotPlain, columns

MAX_PAGE = 100_000

# Values that most rows have: any other filter goes first, and the indexes may leave them out.
COMMON = frozenset(("completed", "INFO", "milestone", "tool_call", "adw", "followup"))

_UUID_LENGTH = 36
_KEYS = (str, int, float, bytes, UUID, NoneType)

PIECE = 512
"""Rows that are written or deleted in one commit where there are many."""

# The first is being committed; the others are ready to be committed together, as many as the writer takes.
_PIECES_UNDER_WAY = 4

# These restrict the time, by which every index ends: they never need to go first.
_TIMES = ("since", "until", "before")


class Sink(Protocol):
    """Where statements go: to the writer, or into a transaction that is being put together."""

    def write(self, statements: list[Statement]) -> Awaitable[Sequence[Outcome]]:
        """Hands them over at once; what it returns can be awaited for the commit."""
        ...

    async def write_bulk(self, statement: Statement) -> Awaitable[Sequence[Outcome]]:
        """The same for many rows, prepared while others are committed. Returns once they are handed over."""
        ...

    def post(self, make: Callable[[], Statement]) -> None:
        """Has what this makes written some time soon. Never raises."""
        ...


def new_id() -> str:
    """Ids grow with time, so that a new row's place in the index is at its end."""
    return str(uuid_utils.uuid7())


def now() -> datetime:
    return datetime.now(UTC)


M = TypeVar("M", bound=Row)
T = TypeVar("T")

Page = list[T]
"""Some rows, in order. It has a name of its own because the tables have a method called `list`."""


class Table(Generic[M]):
    """One table. `kind` is what one of its rows is called."""

    kind: ClassVar[str]
    name: ClassVar[str]
    model: type[M]

    def __init__(self, engine: Engine, sink: Sink) -> None:
        self._engine = engine
        self._sink = sink
        self._queries = engine.queries(self.name)
        self._columns = columns(self.model, engine.codec)

    async def get(self, key: str) -> M:
        """Raises NotFound."""
        row = await self._first("get", key)
        if row is None:
            raise NotFound(self.kind, key)
        return row

    async def delete(self, key: str) -> None:
        """Raises NotFound."""
        await self._write(self._statement("delete", {"id": self._key(key)}, missing=partial(NotFound, self.kind, key)))

    def write(self, statement: Statement) -> Awaitable[Sequence[Outcome]]:
        """Hands it over at once; what it returns can be awaited for the commit."""
        return self._sink.write([statement])

    def insist(self, *statements: Statement) -> None:
        """Has them written although nobody waits any more. A caller that is cancelled takes back what has not had its turn yet;
        what has had it is refused the second time, which nobody needs to hear."""
        with suppress(OrchestratorError):
            asyncio.ensure_future(self._write(*statements)).add_done_callback(_heard)

    def _new(self, **values: Any) -> M:
        """A checked row. Raises InvalidRecord."""
        try:
            return self.model(**values)
        except ValidationError as error:
            raise invalid(self.kind, error) from None

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of an update, checked as in a whole row. Raises InvalidRecord."""
        if not values:
            raise InvalidRecord(self.kind, "no column was named that is to change")
        if "id" in values:
            raise InvalidRecord(self.kind, "it does not change", field="id", value=values["id"])
        return {name: self._check(name, value) for name, value in values.items()}

    def _check(self, name: str, value: Any) -> Any:
        if name not in self.model.model_fields:
            raise InvalidRecord(self.kind, "there is no such column", field=name)
        try:
            return _adapter(self.model, name).validate_python(value)
        except ValidationError as error:
            raise invalid(self.kind, error, field=name) from None

    def _kept(self, query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row, checked and as the database keeps it. Raises InvalidRecord."""
        try:
            return self._columns.plain(query, values)
        except NotPlain:
            return self._columns.encode(_getter(query)(self._new(**values)))

    def _row(self, raw: RawRow) -> M:
        return made(self.model, self._columns.read(raw))

    def _insert(self, name: str, values: Mapping[str, Any]) -> Statement:
        """Raises InvalidRecord."""
        query = self._queries[name]
        return Statement(query, [self._kept(query, values)])

    def _inserted(self, statement: Statement) -> M:
        """The row that an insert makes."""
        return self._row(dict(zip(statement.query.parameters, statement.rows[0], strict=True)))

    def _statement(
        self, query: str | Query, values: Mapping[str, Any], *, missing: Callable[[], OrchestratorError] | None = None
    ) -> Statement:
        found = self._queries[query] if isinstance(query, str) else query
        return Statement(found, [self._columns.encode(values[name] for name in found.parameters)], missing)

    def _update(self, key: str, changes: Mapping[str, Any]) -> Statement:
        """Sets columns. Raises InvalidRecord; the statement, NotFound."""
        values = self._checked(changes)
        query = self._queries["update"].changing(values)
        return self._statement(query, {**values, "id": self._key(key)}, missing=partial(NotFound, self.kind, key))

    def _key(self, key: Any, column: str = "id") -> Any:
        """As it is kept: a UUID in lower case, a name as it was given. An id that is no UUID may have come in by plain SQL.
        Raises InvalidRecord for what can be none, a whole row for example."""
        if not isinstance(key, _KEYS):
            reason = f"it takes an id, not something of the type {type(key).__name__}"
            raise InvalidRecord(self.kind, reason, field=column, value=key, hint="The id of a row is `row.id`.")
        if column not in self._columns.ids:
            return key
        return str(key).lower() if isinstance(key, UUID) or (isinstance(key, str) and len(key) == _UUID_LENGTH) else key

    def _write(self, *statements: Statement) -> Awaitable[Sequence[Outcome]]:
        return self._sink.write(list(statements))

    async def _insert_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """In pieces, one of which is checked while those before it are committed. Returns how many rows there were.

        A bad row ends it with an error; the pieces before its own are stored.
        """
        query, iterator = self._queries["create"], iter(rows)
        count, under_way = 0, list[Awaitable[Any]]()
        try:
            while piece := [self._kept(query, values) for values in islice(iterator, PIECE)]:
                if len(under_way) == _PIECES_UNDER_WAY:
                    await under_way.pop(0)
                under_way.append(await self._sink.write_bulk(Statement(query, piece)))
                count += len(piece)
        finally:
            await asyncio.gather(*under_way)
        return count

    async def _fetch(self, query: Query, **values: Any) -> list[RawRow]:
        return await self._engine.fetch(query, self._columns.encode(values[name] for name in query.parameters))

    async def _first(self, name: str, key: Any) -> M | None:
        query = self._queries[name]
        rows = await self._engine.fetch(query, (self._key(key, query.parameters[0]),))
        return self._row(rows[0]) if rows else None

    async def _list(self, filters: Mapping[str, Any], *, limit: int, before: Any = None) -> list[M]:
        """A page. `before` is the id of the last row of the page before; None begins with the first.

        Raises InvalidRecord for a filter that can match nothing by its kind, NotFound if `before` has gone meanwhile.
        """
        wanted = {name: self._checked_filter(name, value) for name, value in filters.items() if value is not None}
        if before is not None:
            wanted["before"] = self._key(before)
        self._check_limit(limit)
        query = self._chosen_list(wanted)
        rows = await self._fetch(query, **wanted, limit=limit)
        if not rows and before is not None:
            await self.get(before)
        return [self._row(row) for row in rows]

    def _check_limit(self, limit: int) -> None:
        if type(limit) is not int or not 1 <= limit <= MAX_PAGE:
            raise InvalidRecord(self.kind, f"a page has 1 to {MAX_PAGE} rows", field="limit", value=limit)

    def _chosen_list(self, wanted: Mapping[str, Any]) -> Query:
        names = self._fragments(wanted)
        if "session_id" in wanted and "agent_id" not in wanted and "list.of_session" in self._queries:
            others = [name for name in names if name != "session_id"]
            newest = self._queries.get("list.newest_of_session")
            if newest is not None and all(name.partition(".")[0] in _TIMES for name in others):
                newest = self._queries["list.newest_of_session.since"] if "since" in others else newest
                return newest.filtered(name for name in others if name != "since")
            return self._queries["list.of_session"].filtered(self._within_each_agent(others))
        return self._queries["list"].filtered(names)

    def _fragments(self, wanted: Mapping[str, Any]) -> list[str]:
        """The fragments for these filters, the one that leaves the fewest rows first."""
        names = sorted(wanted, key=lambda name: (name in _TIMES, wanted[name] in COMMON))
        for first, second in permutations(names, 2):
            together = f"list.{first}.{second}" in self._queries and {first, second} <= set(names)
            if together and wanted[first] not in COMMON:
                names[min(names.index(first), names.index(second))] = f"{first}.{second}"
                names = [name for name in names if name not in {first, second}]
        return [
            f"{name}.common" if wanted.get(name) in COMMON and f"list.{name}.common" in self._queries else name
            for name in names
        ]

    def _within_each_agent(self, names: list[str]) -> list[str]:
        """The same, where the first has an index for the rows of one agent."""
        chosen = [f"of_session.{name}" for name in names[:1]]
        return [*chosen, *names[1:]] if all(f"list.{name}" in self._queries for name in chosen) else names

    def _checked_filter(self, name: str, value: Any) -> Any:
        if name in self.model.model_fields:
            return self._check(name, value)
        try:
            return (_TIME if name in _TIMES else _NAME).validate_python(value)
        except ValidationError as error:
            raise invalid(self.kind, error, field=name) from None


def _heard(write: asyncio.Future[Any]) -> None:
    if not write.cancelled():
        write.exception()


def made(model: type[M], values: dict[str, Any]) -> M:
    """A row of values that are all there and need no check. What pydantic has for this takes five times as long, since it looks
    for other names and for defaults, of which there are none. Rows do not change, so that one set says for all that they have
    all fields."""
    row = model.__new__(model)
    object.__setattr__(row, "__dict__", values)
    object.__setattr__(row, "__pydantic_fields_set__", _all_fields(model))
    object.__setattr__(row, "__pydantic_extra__", None)
    object.__setattr__(row, "__pydantic_private__", None)
    return row


@cache
def _all_fields(model: type[Row]) -> set[str]:
    return set(model.model_fields)


def invalid(kind: str, error: ValidationError, *, field: str | None = None) -> OrchestratorError:
    """The first thing that is wrong with a record."""
    first = error.errors(include_url=False)[0]
    reason = _REASONS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    hint = _HINTS.get(first["type"], "")
    return InvalidRecord(kind, reason, field=field or str(first["loc"][0]), value=first["input"], hint=hint)


_REASONS = {
    "extra_forbidden": "there is no such column",
    "timezone_aware": "a time needs its time zone",
    "string_unicode": "the text is not valid Unicode",
    "string_pattern_mismatch": "this is not a UUID",
}
_HINTS = {
    "extra_forbidden": "What no column is for fits into `details`, where the table has them.",
    "timezone_aware": "datetime.now(UTC) has one; value.replace(tzinfo=UTC) says that a time was meant as UTC.",
    "string_unicode": "text.encode('utf-8', 'replace').decode() makes it so.",
    "string_pattern_mismatch": "str(uuid.uuid4()) makes one; names go into the columns for names.",
    "string_too_long": "Keep it in a file, and record the path of the file.",
    "greater_than_equal": "None stands for what is not known.",
    "finite_number": "None stands for what is not known.",
}


_TIME: TypeAdapter[datetime] = TypeAdapter(Time)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@cache
def _adapter(model: type[Row], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    hints: Any = (field.annotation, *field.metadata)
    hint: Any = Annotated[hints] if field.metadata else field.annotation  # pyright: ignore[reportInvalidTypeForm]
    return TypeAdapter[Any](hint)


@cache
def _getter(query: Query) -> Callable[[Row], tuple[Any, ...]]:
    return attrgetter(*query.parameters)
