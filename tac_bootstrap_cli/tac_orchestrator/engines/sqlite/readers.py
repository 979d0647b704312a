"""A few read-only connections, opened when they are needed. In WAL mode a reader neither waits for a writer nor stops one."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, cast

import aiosqlite

from tac_orchestrator.engines.base import RawRow, distinct
from tac_orchestrator.engines.sqlite.connections import open_searcher
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.errors import DatabaseReadOnly, DatabaseUnavailable, InvalidRecord, SchemaDrift
from tac_orchestrator.settings import Settings

_CONNECTIONS = 4
_CHUNK_ROWS = 1000
_ONLY_READS = "Only SQL that reads is taken here."

# What makes a file also for a connection that may not write to any; behind comments, too. Possessive: to try other ways of
# dividing a thousand comments would take for ever.
_MAKES_FILES = re.compile(r"(?>\s|;|--[^\n]*|/\*.*?\*/)*+(?:ATTACH|VACUUM)\b", re.IGNORECASE | re.DOTALL)


class Readers:
    """The reading side of one database in one event loop."""

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._free: list[aiosqlite.Connection] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places = asyncio.Semaphore(_CONNECTIONS)
        self._watcher: aiosqlite.Connection | None = None
        self._process_id = os.getpid()

    async def fetch(self, sql: str, values: Sequence[Any]) -> list[RawRow]:
        async with self._connection() as connection:
            return await _rows(connection, sql, values)

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        """SQL that somebody has typed: what is wrong with it is not the store's fault."""
        if "\0" in sql:
            raise InvalidRecord("query", "SQL holds no NUL character", value=sql)
        if _MAKES_FILES.match(sql):
            raise DatabaseReadOnly(str(self._path), "this SQL writes", hint=_ONLY_READS)
        try:
            async with self._connection() as connection:
                return await _rows(connection, sql, dict(values))
        except DatabaseReadOnly as error:
            raise DatabaseReadOnly(str(self._path), "this SQL writes", hint=_ONLY_READS) from error
        except (DatabaseUnavailable, SchemaDrift) as error:
            if isinstance(error.__cause__, (sqlite.OperationalError, sqlite.ProgrammingError, sqlite.Warning)):
                raise InvalidRecord("query", str(error.__cause__), value=sql) from error
            raise

    async def stream(self, sql: str, values: Sequence[Any]) -> AsyncIterator[list[RawRow]]:
        """All rows as of now, in chunks, however many there are."""
        async with self._connection() as connection:
            connection.text_factory = _readable
            async with connection.execute(sql, values) as cursor:
                while rows := await cursor.fetchmany(_CHUNK_ROWS):
                    yield _as_dicts(rows)

    async def generation(self) -> int:
        """A number that changes with every commit of any process. It is compared with what the same method said before."""
        self._refuse_child()
        try:
            if self._watcher is None:
                self._watcher = await self._open()
            rows = list(await self._watcher.execute_fetchall("PRAGMA data_version"))
        except (sqlite.Error, OSError) as error:
            raise translated(error, str(self._path)) from error
        return int(rows[0][0])

    async def close(self) -> None:
        if os.getpid() != self._process_id:
            self._free, self._watcher = [], None  # their threads are in the parent
        if self._watcher is not None:
            self._free.append(self._watcher)
            self._watcher = None
        while self._free:
            await self._free.pop().close()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[aiosqlite.Connection]:
        """A connection for one query. A query whose caller goes away is interrupted."""
        self._refuse_child()
        self._come_to_this_loop()
        async with self._places:
            connection = None
            try:
                connection = self._free.pop() if self._free else await self._open()
                yield connection
            except (sqlite.Error, sqlite.Warning, OSError, OverflowError, UnicodeEncodeError) as error:
                raise translated(error, str(self._path)) from error
            except asyncio.CancelledError:
                if connection is not None:
                    await asyncio.shield(_stop(connection))
                raise
            finally:
                if connection is not None:
                    self._free.append(connection)

    def _come_to_this_loop(self) -> None:
        """Connections may be used in one loop after another; who waits for a place waits in one."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._places = loop, asyncio.Semaphore(_CONNECTIONS)

    def _refuse_child(self) -> None:
        if os.getpid() != self._process_id:
            raise DatabaseUnavailable(
                str(self._path), "this store was opened by the parent process", hint="Open it again after the fork."
            )

    async def _open(self) -> aiosqlite.Connection:
        return await connect(partial(open_searcher, self._path, self._settings))


async def connect(connector: Callable[[], sqlite.Connection]) -> aiosqlite.Connection:
    """A connection on a thread of its own, whose rows know their columns."""
    connection = aiosqlite.Connection(connector, _CHUNK_ROWS)
    # A connection that is never closed would keep the interpreter from exiting (omnilib/aiosqlite#299).
    connection._thread.daemon = True  # pyright: ignore[reportPrivateUsage]
    opening = asyncio.ensure_future(_opened(connection))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        with suppress(sqlite.Error, OSError):
            await (await opening).close()  # or its thread would speak to a loop that has ended
        raise


async def _opened(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    await connection
    connection.row_factory = sqlite.Row
    return connection


async def _stop(connection: aiosqlite.Connection) -> None:
    """Interrupts what the connection was asked. An interrupt is lost on a statement that its thread is only about to begin."""
    idle = asyncio.ensure_future(connection.commit())
    while not idle.done():
        await connection.interrupt()
        await asyncio.wait({idle}, timeout=0.01)
    await asyncio.gather(idle, return_exceptions=True)


async def _rows(connection: aiosqlite.Connection, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[RawRow]:
    """All rows. Plain SQL can store a text that is not UTF-8; to look out for it costs as much again as reading does."""
    try:
        return _as_dicts(await connection.execute_fetchall(sql, cast("Any", values)))
    except sqlite.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
        connection.text_factory = _readable
        return _as_dicts(await connection.execute_fetchall(sql, cast("Any", values)))


_readable = methodcaller("decode", "utf-8", "replace")


def _as_dicts(rows: Iterable[sqlite.Row]) -> list[RawRow]:
    found = list(rows)
    names: Sequence[str] = distinct(found[0].keys()) if found else ()
    return [dict(zip(names, row, strict=True)) for row in found]
