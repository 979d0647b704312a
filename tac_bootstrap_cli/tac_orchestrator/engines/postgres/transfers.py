"""All rows of a database for another engine, and a database that gets all rows of another one.

It is filled by COPY. Whoever owns its tables may switch their triggers off and make their indexes anew, see
`engines.base.UNFINISHED`; the server checks what rows refer to when that is made known to it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from tac_orchestrator.engines.base import UNFINISHED, ColumnKind, Layout, Values
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import INSTALLING, LOCKS, open_plain
from tac_orchestrator.engines.postgres.driver import FAILURES, Connection
from tac_orchestrator.engines.postgres.faults import translated
from tac_orchestrator.errors import DatabaseBusy
from tac_orchestrator.settings import Settings

T = TypeVar("T")

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


# The driver takes the first and the last moment that Python has for infinite ones, which have no day.
_SHOWN: Mapping[ColumnKind, str] = {
    "id": "{0}::TEXT",
    "time": "CASE {0} WHEN '-infinity' THEN '0001-01-01' WHEN 'infinity' THEN '9999-12-31 23:59:59.999999' ELSE {0}::TEXT END",
}


_EPOCH = datetime(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(text: str) -> tuple[int]:
    return ((datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND,)


def _number(value: float) -> Decimal:
    return Decimal(repr(value))


_ENCODERS: Mapping[ColumnKind, Callable[[Any], Any]] = {"money": _number, "sum": _number, "total": Decimal}


class _Rows:
    _in_order = False

    def __init__(self, runner: asyncio.Runner, connection: Connection, target: str) -> None:
        self._runner = runner
        self._connection = connection
        self._target = target

    def rows(self, layout: Layout) -> Generator[Sequence[Values]]:
        """A name in ORDER BY alone would be that of the text that is shown."""
        columns = ", ".join(_SHOWN.get(column.kind, "{0}").format(column.name) for column in layout.columns)
        order = " ORDER BY " + ", ".join(f"{layout.table}.{name}" for name in layout.order.split(", "))
        transaction = self._connection.transaction()
        self._do(transaction.start())
        try:
            cursor = self._do(self._cursor(f"SELECT {columns} FROM {layout.table}{order if self._in_order else ''}"))  # noqa: S608
            while rows := self._do(cursor.fetch(layout.piece)):
                yield rows
        finally:
            if not self._connection.is_closed():
                self._do(transaction.rollback())

    async def _cursor(self, sql: str) -> Any:
        return await self._connection.cursor(sql)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except FAILURES as error:
            raise translated(error, self._target) from error


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

    def begin(self) -> None:
        if not self._do(self._connection.fetchval(f"SELECT pg_try_advisory_lock({LOCKS}, {INSTALLING})")):
            raise DatabaseBusy(f"{self._target} is being filled or migrated by somebody else.")
        times: dict[str, Any] = {"encoder": _microseconds, "decoder": tuple, "format": "tuple"}
        self._do(self._connection.set_type_codec("timestamptz", schema="pg_catalog", **times))
        self._run(*self._each("undo"))

    def fill(self, layout: Layout, pieces: Iterable[Sequence[Values]]) -> None:
        """One piece is made while the one before it is stored."""
        under_way: Future[None] | None = None
        with ThreadPoolExecutor(1) as thread:
            for rows in pieces:
                if under_way is not None:
                    under_way.result()
                under_way = thread.submit(self._do, self._copy(layout, rows))
        if under_way is not None:
            under_way.result()

    async def _copy(self, layout: Layout, rows: Sequence[Values]) -> None:
        columns = [
            _encoded(_ENCODERS[column.kind], values) if column.kind in _ENCODERS else values
            for column, values in zip(layout.columns, zip(*rows, strict=True), strict=True)
        ]
        records = list(zip(*columns, strict=True))
        await self._connection.copy_records_to_table(layout.table, records=records, columns=layout.names)

    def empty(self, layout: Layout) -> None:
        self._run(f"TRUNCATE {', '.join(_BEHIND.get(layout.table, (layout.table,)))}")

    def finish(self, numbers: Mapping[str, int]) -> None:
        searched = [_TO_BE_SEARCHED.format(entity=entity) for entity in ("prompt", "agent_log", "system_log")]
        counted = [f"SELECT setval('{table}_id_seq', {numbers[table]:d})" for table in _NUMBERED if numbers.get(table)]
        self._run(*searched, *counted, *self._each("redo"), _BEGIN_FEED, f"DROP TABLE {UNFINISHED}")

    def _each(self, what: str) -> list[str]:
        found = self._do(self._connection.fetch(f"SELECT {what} FROM {UNFINISHED} ORDER BY place, {what}"))  # noqa: S608
        return [row[what] for row in found]

    def _run(self, *statements: str) -> None:
        """All of them or none."""
        self._do(self._connection.execute(";".join(statements)))


def _encoded(encode: Callable[[Any], Any], values: Iterable[Any]) -> list[Any]:
    return [None if value is None else encode(value) for value in values]


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
