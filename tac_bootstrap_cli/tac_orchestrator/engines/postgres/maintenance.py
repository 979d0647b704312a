"""Looks after a database: makes it, whether it is sound, what troubles it, and a look at it as of one moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tac_orchestrator.engines.base import Finding, Progress, RawRow
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import open_reader
from tac_orchestrator.engines.postgres.driver import FAILURES, Connection, PostgresError
from tac_orchestrator.engines.postgres.faults import state_of, translated
from tac_orchestrator.engines.postgres.readers import shown
from tac_orchestrator.engines.postgres.statements import told
from tac_orchestrator.engines.postgres.values import sought
from tac_orchestrator.queries import Query
from tac_orchestrator.settings import Settings

_ROWS_A_CHUNK = 200
_LONG_S = 60
_MEGABYTE = 1_000_000

_TABLES = "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r' ORDER BY relname"
_UNCHECKED = """
    SELECT conrelid::REGCLASS::TEXT || '.' || conname AS name FROM pg_constraint
    WHERE connamespace = current_schema()::REGNAMESPACE AND NOT convalidated
"""
_INVALID = """
    SELECT indexrelid::REGCLASS::TEXT AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = current_schema()::REGNAMESPACE AND NOT indisvalid
"""
_OLDEST = """
    SELECT datname, usename, application_name, EXTRACT(EPOCH FROM clock_timestamp() - xact_start)::BIGINT AS seconds
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    ORDER BY age(backend_xid) DESC LIMIT 1
"""
_CONNECTIONS = """
    SELECT COUNT(*) AS used, current_setting('max_connections')::INTEGER AS most FROM pg_stat_activity
    WHERE backend_type = 'client backend'
"""
_DURABLE = """
    SELECT name, setting FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' OR name = 'synchronous_commit' AND setting = 'off'
"""


async def create_database(connection: Connection, name: str) -> None:
    """Somebody else may do so at the same time."""
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        await connection.execute(f"CREATE DATABASE {quoted} ENCODING 'UTF8' TEMPLATE template0")
    except PostgresError as error:
        if state_of(error) not in {"42P04", "23505"}:
            raise


async def check(connection: Connection, progress: Progress | None = None) -> list[Finding]:
    """See `engines.base.Engine.check`. PostgreSQL enforces what rows refer to, unless somebody has told it not to."""
    tables = [row["relname"] for row in await connection.fetch(_TABLES)]
    findings = list[Finding]()
    for place, table in enumerate(tables):
        try:
            await connection.execute(f'SELECT COUNT(*) FROM (SELECT * FROM "{table}" OFFSET 0) AS every')  # noqa: S608
        except PostgresError as error:
            if not state_of(error).startswith("XX"):
                raise
            findings.append(Finding("integrity", "error", f"{table}: {error}", "Restore a backup of the server."))
        if progress is not None:
            progress(place + 1, len(tables))
    broken = [
        Finding("integrity", "error", f"{row['name']} is not valid", "REINDEX it.") for row in await connection.fetch(_INVALID)
    ]
    loose = [
        Finding("foreign_keys", "error", f"{row['name']} was never checked", "ALTER TABLE … VALIDATE CONSTRAINT …")
        for row in await connection.fetch(_UNCHECKED)
    ]
    return [
        *(findings + broken or [Finding("integrity", "ok", "every table can be read; pg_amcheck looks at every page")]),
        *(loose or [Finding("foreign_keys", "ok", "the server sees to it that every row refers to rows that exist")]),
    ]


async def vacuum(connection: Connection) -> tuple[int, int]:
    """Writers go on meanwhile. Room that deleted rows took is used again; only what is free at the end of a table goes back."""
    before = await _size(connection)
    for row in await connection.fetch(_TABLES):
        await connection.execute(f'VACUUM (ANALYZE) "{row["relname"]}"')
    return before, await _size(connection)


async def analyze(connection: Connection) -> None:
    await connection.execute("ANALYZE")


async def _size(connection: Connection) -> int:
    return await connection.fetchval("SELECT pg_database_size(current_database())")


async def diagnose(connection: Connection) -> list[Finding]:
    version = await connection.fetchval("SHOW server_version")
    return [
        Finding("server", "ok", f"PostgreSQL {version} ({await _size(connection) / _MEGABYTE:,.1f} MB)"),
        await _durability(connection),
        await _room(connection),
        await _held_back(connection),
    ]


async def _durability(connection: Connection) -> Finding:
    off = [row["name"] for row in await connection.fetch(_DURABLE)]
    if off:
        names = ", ".join(off)
        return Finding("durability", "warning", f"{names} is off: a loss of power loses what was stored", f"Set {names} to on.")
    return Finding("durability", "ok", "what is stored survives a loss of power")


async def _room(connection: Connection) -> Finding:
    used, most = await connection.fetchrow(_CONNECTIONS) or (0, 0)
    message = f"{used} of {most} connections are in use; a process takes up to 6"
    if most and used > most * 0.8:
        return Finding("connections", "warning", message, "Raise max_connections, or put a pool between (session mode).")
    return Finding("connections", "ok", message)


async def _held_back(connection: Connection) -> Finding:
    """The feed of changes is read as far as all transactions have ended, wherever in the server."""
    row = await connection.fetchrow(_OLDEST)
    if row is not None and row["seconds"] > _LONG_S:
        who = f"{row['application_name'] or row['usename']} in {row['datname']}"
        message = f"{who} has had a transaction open for {row['seconds']:,} s: what came after it is not shown live yet"
        return Finding("feed", "warning", message, "Let it end its transaction, or give this store a server of its own.")
    return Finding("feed", "ok", "no transaction holds the feed of changes back")


class PostgresView:
    """See `engines.base.View`. Values are as text and numbers, as programs take them."""

    def __init__(self, connection: Connection, target: str) -> None:
        self._connection = connection
        self._target = target

    async def stream(self, query: Query, values: Sequence[Any]) -> AsyncGenerator[list[RawRow]]:
        words = told(query)
        try:
            cursor = await self._connection.cursor(words.sql, *sought(words.types, values))
            while rows := await cursor.fetch(_ROWS_A_CHUNK):
                yield [{name: shown(value) for name, value in row.items()} for row in rows]
        except FAILURES as error:
            raise translated(error, self._target) from error


@asynccontextmanager
async def view(address: Address, settings: Settings) -> AsyncGenerator[PostgresView]:
    try:
        connection = await open_reader(address, settings)
    except FAILURES as error:
        raise translated(error, address.target) from error
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield PostgresView(connection, address.target)
    finally:
        await connection.close(timeout=5)
