"""All rows of a database for another engine, and a database that gets all rows of another one.

It is filled by COPY. Whoever owns its tables may switch their triggers off and make their indexes anew, see
`engines.base.UNFINISHED`; the server checks what rows refer to when that is made known to it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from tac_orchestrator.engines.base import UNFINISHED, ColumnKind, Layout, Spellings, Values
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import INSTALLING, LOCKS, open_plain
from tac_orchestrator.engines.postgres.driver import FAILURES, Connection
from tac_orchestrator.engines.postgres.faults import translated
from tac_orchestrator.errors import DatabaseBusy
from tac_orchestrator.settings import Settings

T = TypeVar("T")

_A_PIECE = 256 * 1024
_NUMBERED = ("agent_logs", "system_logs")

# What the rows of a view are kept in.
_BEHIND = {"sessions": ("session_starts", "session_totals"), "daily_usage": ("daily_totals",)}

# One side waits while the other one works.
_NO_HURRY = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"
_SNAPSHOT = "SELECT pg_current_snapshot()::TEXT"
_NUMBER = "SELECT last_value FROM pg_sequences WHERE schemaname = current_schema() AND sequencename = $1 || '_id_seq'"

# A listener that comes with a position of the old store is told that what followed it is gone, and reads everything anew.
_BEGIN_FEED = f"INSERT INTO feed_trimmed (xid, id) VALUES (pg_current_xact_id(), {2**63 - 1})"  # noqa: S608
_TO_BE_SEARCHED = """
    INSERT INTO search_backlog (entity, row_ids)
    SELECT '{entity}', array_agg(id::TEXT) FROM (
        SELECT id, (row_number() OVER (ORDER BY created_at, id) - 1) / 500 AS piece FROM {entity}s
    ) AS numbered GROUP BY piece ORDER BY piece
"""
_LOGS_COUNTED = """
    INSERT INTO log_counts (entity, slot, log_count)
    SELECT 'agent_log', 0, COUNT(*) FROM agent_logs UNION ALL SELECT 'system_log', 0, COUNT(*) FROM system_logs
"""


# The driver takes the first and the last moment that Python has for infinite ones, which have no day.
_TIME = """CASE {{0}} WHEN '-infinity' THEN '0001-01-01 00:00:00.000000' WHEN 'infinity' THEN '9999-12-31 23:59:59.999999'
    ELSE {0} END"""

_SHOWN: Mapping[ColumnKind, str] = {"id": "{0}::TEXT", "time": _TIME.format("{0}::TEXT")}
_WRITTEN: Mapping[ColumnKind, str] = {
    "time": _TIME.format("to_char({0}, 'YYYY-MM-DD HH24:MI:SS.US')"),
    "money": "{0}::FLOAT8",
    "sum": "{0}::FLOAT8",
    "total": f"CASE WHEN {{0}} < {2**63} THEN {{0}}::TEXT ELSE {{0}}::FLOAT8::TEXT END",
}

# What a column can hold here and perhaps not elsewhere. Short JSON neither nests deeply nor has a number of many digits.
_DOUBTFUL: Mapping[ColumnKind, str] = {
    "count": "{0} < 0",
    "total": "{0} < 0 OR {0} >= 1e20",
    "sum": "{0} < 0 OR {0} >= 1e20",
    "time": "{0} < '0001-01-01' AND {0} <> '-infinity' OR {0} >= '10000-01-01' AND {0} <> 'infinity'",
    "json": "octet_length({0}::TEXT) > 300",
    "document": "octet_length({0}::TEXT) > 300",
}


class _Rows:
    _in_order = False

    def __init__(self, runner: asyncio.Runner, connection: Connection, target: str) -> None:
        self._runner = runner
        self._connection = connection
        self._target = target

    def lines(self, layout: Layout, spellings: Spellings, after: int = 0, count: int | None = None) -> Generator[bytes]:
        columns = ", ".join(_WRITTEN.get(column.kind, "{0}").format(column.name) for column in layout.columns)
        part = f"LIMIT {'ALL' if count is None else count} OFFSET {after}"
        sql = f"SELECT {columns} FROM {layout.table} {self._order(layout)} {part}"  # noqa: S608
        copied = _Copied()
        copying = self._do(copied.begun(self._connection, sql))
        try:
            while lines := self._do(copied.more(copying)):
                yield lines
        finally:
            copying.cancel()

    def _order(self, layout: Layout) -> str:
        """A name in ORDER BY alone would be that of the text that is shown."""
        return "ORDER BY " + ", ".join(f"{layout.table}.{name}" for name in layout.order.split(", ")) if self._in_order else ""

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except FAILURES as error:
            raise translated(error, self._target) from error


class _Copied:
    """What COPY writes, a piece at a time: meanwhile the server is as far ahead as the connection holds."""

    def __init__(self) -> None:
        self._parts = list[bytes]()
        self._size = 0
        self._is_enough = asyncio.Event()
        self._is_wanted = asyncio.Event()

    async def begun(self, connection: Connection, sql: str) -> asyncio.Future[None]:
        return asyncio.ensure_future(connection.copy_from_query(sql, output=self._take))

    async def _take(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _A_PIECE:
            self._is_enough.set()
            self._is_wanted.clear()
            await self._is_wanted.wait()

    async def more(self, copying: asyncio.Future[None]) -> bytes:
        """Empty when there is no more."""
        self._is_enough.clear()
        self._is_wanted.set()
        enough = asyncio.ensure_future(self._is_enough.wait())
        await asyncio.wait({copying, enough}, return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()
        if copying.done():
            copying.result()
        lines = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return lines


class PostgresDump(_Rows):
    """See `engines.base.Dump`. The connection is in a transaction that sees one moment; the watcher is in none."""

    _in_order = True

    def __init__(self, runner: asyncio.Runner, connection: Connection, watcher: Connection, target: str) -> None:
        super().__init__(runner, connection, target)
        self._watcher = watcher

    def begin(self) -> None:
        self._do(self._connection.transaction(isolation="repeatable_read", readonly=True).start())
        self._do(self._connection.execute("SELECT 1"))  # the view begins with the first look

    def count(self, layout: Layout) -> int:
        return self._do(self._connection.fetchval(f"SELECT COUNT(*) FROM {layout.table}"))  # noqa: S608

    def doubtful(self, layout: Layout) -> Generator[Sequence[Values]]:
        columns = ", ".join(_SHOWN.get(column.kind, "{0}").format(column.name) for column in layout.columns)
        doubts = [_DOUBTFUL[column.kind].format(column.name) for column in layout.columns if column.kind in _DOUBTFUL]
        transaction = self._connection.transaction()
        self._do(transaction.start())
        try:
            cursor = self._do(self._cursor(f"SELECT {columns} FROM {layout.table} WHERE {' OR '.join(doubts)}"))  # noqa: S608
            while rows := self._do(cursor.fetch(layout.piece)):
                yield rows
        finally:
            if not self._connection.is_closed():
                self._do(transaction.rollback())

    async def _cursor(self, sql: str) -> Any:
        return await self._connection.cursor(sql)

    def orphans(self) -> Iterator[tuple[str, str, str, str]]:
        """The server sees to it that there are none."""
        return iter(())

    def numbers(self) -> Mapping[str, int]:
        found = {table: self._do(self._connection.fetchval(_NUMBER, table)) or 0 for table in _NUMBERED}
        snapshot: str = self._do(self._connection.fetchval(_SNAPSHOT))
        return {**found, "changes": int(snapshot.split(":")[1])}

    def is_current(self) -> bool:
        return self._do(self._watcher.fetchval(_SNAPSHOT)) == self._do(self._connection.fetchval(_SNAPSHOT))


class PostgresFilling(_Rows):
    """See `engines.base.Filling`."""

    keeps_json = False

    def begin(self) -> None:
        if not self._do(self._connection.fetchval(f"SELECT pg_try_advisory_lock({LOCKS}, {INSTALLING})")):
            raise DatabaseBusy(f"{self._target} is being filled or migrated by somebody else.")
        self._run("SET synchronous_commit = off", *self._each("undo"))  # what a crash takes along is sent again

    def fill(self, layout: Layout, pieces: Iterable[bytes]) -> None:
        """One piece is made while the one before it is stored."""
        under_way: Future[None] | None = None
        with ThreadPoolExecutor(1) as thread:
            for lines in _together(pieces):
                if under_way is not None:
                    under_way.result()
                under_way = thread.submit(self._do, self._copy(layout, lines))
        if under_way is not None:
            under_way.result()

    async def _copy(self, layout: Layout, lines: bytes) -> None:
        view = memoryview(lines)  # bytes would be the name of a file
        await self._connection.copy_to_table(layout.table, source=view, columns=layout.names)

    def empty(self, layout: Layout) -> None:
        self._run(f"TRUNCATE {', '.join(_BEHIND.get(layout.table, (layout.table,)))}")

    def finish(self, numbers: Mapping[str, int]) -> None:
        searched = [_TO_BE_SEARCHED.format(entity=entity) for entity in ("prompt", "agent_log", "system_log")]
        counted = [f"SELECT setval('{table}_id_seq', {numbers[table]:d})" for table in _NUMBERED if numbers.get(table)]
        self._run(
            "RESET synchronous_commit",
            *searched,
            _LOGS_COUNTED,
            *counted,
            *self._each("redo"),
            _BEGIN_FEED,
            f"DROP TABLE {UNFINISHED}",
        )

    def _each(self, what: str) -> list[str]:
        found = self._do(self._connection.fetch(f"SELECT {what} FROM {UNFINISHED} ORDER BY place, {what}"))  # noqa: S608
        return [row[what] for row in found]

    def _run(self, *statements: str) -> None:
        """All of them or none."""
        self._do(self._connection.execute(";".join(statements)))


def _together(pieces: Iterable[bytes]) -> Generator[bytes]:
    """So many that they are worth a statement."""
    found = list[bytes]()
    for lines in pieces:
        found.append(lines)
        if sum(map(len, found)) >= _A_PIECE:
            yield b"".join(found)
            found.clear()
    if found:
        yield b"".join(found)


@contextmanager
def dump(address: Address, settings: Settings) -> Generator[PostgresDump]:
    with _opened(address, settings, 2) as (runner, connection, watcher):
        found = PostgresDump(runner, connection, watcher, address.target)
        found.begin()
        yield found


@contextmanager
def filling(address: Address, settings: Settings) -> Generator[PostgresFilling]:
    with _opened(address, settings, 1) as (runner, connection):
        found = PostgresFilling(runner, connection, address.target)
        found.begin()
        yield found


@contextmanager
def _opened(address: Address, settings: Settings, count: int) -> Generator[tuple[Any, ...]]:
    """A loop, and connections in it."""
    connections = list[Connection]()
    with asyncio.Runner() as runner:
        try:
            for _ in range(count):
                connections.append(runner.run(_open(address, settings)))
            yield (runner, *connections)
        finally:
            for connection in connections:
                runner.run(connection.close(timeout=5))


async def _open(address: Address, settings: Settings) -> Connection:
    try:
        connection = await open_plain(address, settings)
        await connection.execute(_NO_HURRY)
        return connection
    except FAILURES as error:
        raise translated(error, address.target) from error
