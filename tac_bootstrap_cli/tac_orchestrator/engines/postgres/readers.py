"""A few connections to read, opened when they are needed, for each event loop that reads. No reader waits for a writer."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from tac_orchestrator.engines.base import RawRow, distinct
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import close, open_reader
from tac_orchestrator.engines.postgres.driver import FAILURES, Connection, InterfaceError, PostgresError, Record
from tac_orchestrator.engines.postgres.faults import is_lost, state_of, translated
from tac_orchestrator.engines.postgres.statements import told
from tac_orchestrator.engines.postgres.values import sought
from tac_orchestrator.errors import DatabaseReadOnly, DatabaseUnavailable, InvalidRecord, OrchestratorError
from tac_orchestrator.queries import Query
from tac_orchestrator.settings import Settings

_CONNECTIONS = 4
_CHUNK_ROWS = 1000
_WRITES = ("25006",)
_WRONG_SQL = ("42", "22", "21", "0A", "25", "54", "2F", "P0", "XX000")

# Texts, quoted names, comments and dollar quotes are left alone; so is the type behind `::`.
_NAMED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|\$(\w*)\$.*?\$\1\$|::|:([A-Za-z_]\w*)", re.DOTALL)


class Readers:
    """The reading side of one database."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free: list[Connection] = []
        self._abandoned: list[Any] = []
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._process_id = os.getpid()

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        words = told(query)
        if words.takes_many:
            width = len(words.types)
            rows = [sought(words.types, values[start : start + width]) for start in range(0, len(values), width)]
            given: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * width
        else:
            given = sought(words.types, values)
        try:
            return await self._fetch(words.sql, given)
        except DatabaseUnavailable as error:
            if error.__cause__ is None or not is_lost(error.__cause__):
                raise
            return await self._fetch(words.sql, given)  # the server was restarted since the last time

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        """SQL that somebody has typed: what is wrong with it is not the store's fault, and it leaves nothing behind."""
        if "\0" in sql:
            raise InvalidRecord("query", "SQL holds no NUL character", value=sql)
        numbered, given = _numbered(sql, values)
        async with self._connection() as connection:
            try:
                await connection.execute("BEGIN READ ONLY")
                statement = await connection.prepare(numbered)
                types = [parameter.name for parameter in statement.get_parameters()]
                rows = await statement.fetch(*(_as_type(type, value) for type, value in zip(types, given, strict=True)))
            except (PostgresError, ValueError, TypeError, InterfaceError) as error:
                if state_of(error) in _WRITES:
                    raise DatabaseReadOnly(
                        self._address.target, "this SQL writes", hint="Only SQL that reads is taken here."
                    ) from error
                if state_of(error).startswith(_WRONG_SQL) or not isinstance(error, PostgresError):
                    raise InvalidRecord("query", str(error), value=sql) from error
                raise
            finally:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK; SELECT pg_advisory_unlock_all(); UNLISTEN *")
        names = distinct(list(map(str, rows[0].keys()))) if rows else ()
        return [dict(zip(names, map(shown, row.values()), strict=True)) for row in rows]

    async def stream(self, query: Query, values: Sequence[Any]) -> AsyncIterator[list[RawRow]]:
        """All rows as of now, in chunks, however many there are."""
        words = told(query)
        async with self._connection() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(words.sql, *sought(words.types, values))
            while rows := await cursor.fetch(_CHUNK_ROWS):
                yield list(map(dict, rows))

    async def generation(self) -> str:
        """The transactions that have ended: it changes with every commit that anybody could see."""
        return (await self.row("SELECT pg_current_snapshot()::TEXT AS snapshot"))["snapshot"]

    async def row(self, sql: str) -> RawRow:
        """The one row that this finds."""
        return (await self._fetch(sql, ()))[0]

    async def close(self) -> None:
        if os.getpid() != self._process_id or asyncio.get_running_loop() is not self._loop:
            self._abandon()
        while self._free:
            await close(self._free.pop())

    async def _fetch(self, sql: str, values: Sequence[Any]) -> list[RawRow]:
        async with self._connection() as connection:
            return list(map(dict, await connection.fetch(sql, *values)))

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection]:
        """A connection for one query. A query whose caller goes away is cancelled by the driver."""
        self._come_to_this_loop()
        async with self._places:
            connection = None
            try:
                connection = self._take() or await self._open()
                await self._prepare(connection)
                yield connection
            except OrchestratorError:
                raise
            except FAILURES as error:
                if connection is not None and is_lost(error):
                    await self._drop(connection)
                raise translated(error, self._address.target) from error
            finally:
                if connection is not None and not connection.is_closed():
                    self._free.append(connection)

    async def _open(self) -> Connection:
        return await open_reader(self._address, self._settings)

    async def _prepare(self, connection: Connection) -> None:
        """Called before each query."""

    def _take(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _drop(self, connection: Connection) -> None:
        """It, and those that lie idle: what it has lost, they have lost as well."""
        for one in (connection, *self._free):
            await close(one)
        self._free.clear()

    def _come_to_this_loop(self) -> None:
        if os.getpid() != self._process_id:
            raise DatabaseUnavailable(
                self._address.target, "this store was opened by the parent process", hint="Open it again after the fork."
            )
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._abandon()
            self._loop = loop
            self._places = asyncio.Semaphore(_CONNECTIONS)

    def _abandon(self) -> None:
        """Connections belong to the loop that they were opened in. One that has ended cannot close them; nor can a child."""
        if os.getpid() != self._process_id:
            self._abandoned += self._free
        else:
            for connection in self._free:
                with suppress(Exception):
                    connection.terminate()
        self._free = []


def _numbered(sql: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    names = list[str]()

    def number(found: re.Match[str]) -> str:
        name = found[2]
        if name is None:
            return found[0]
        if name not in values:
            raise InvalidRecord("query", f"there is no value for :{name}", value=sql)
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _NAMED.sub(number, sql), [values[name] for name in names]


def _as_type(type: str, value: Any) -> Any:
    """Texts stand for whatever PostgreSQL expects in their place, as they would in the SQL itself."""
    if not isinstance(value, str):
        return str(value) if type in {"text", "varchar", "uuid"} and value is not None else value
    if type in {"timestamptz", "timestamp"}:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=at.tzinfo or UTC) if type == "timestamptz" else at
    if type == "date":
        return date.fromisoformat(value)
    return int(value) if type in {"int2", "int4", "int8"} else float(value) if type in {"float4", "float8"} else value


def shown(value: Any) -> Any:
    """A value of whatever type as JSON and people take it, times as the store writes them elsewhere."""
    if isinstance(value, datetime):
        in_utc = value.astimezone(UTC) if value.tzinfo else value
        return in_utc.replace(tzinfo=None).isoformat(" ", "microseconds")
    if value is None or isinstance(value, (str, int, float, bytes)):
        return value
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Record):
        return {name: shown(one) for name, one in value.items()}
    return str(value) if isinstance(value, UUID) or not hasattr(value, "as_tuple") else value
