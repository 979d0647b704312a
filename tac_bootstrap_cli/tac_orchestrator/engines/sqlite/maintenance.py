"""Looks after a database: whether it is sound, what troubles it, and how its queries are planned."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import aiosqlite
import psutil

from tac_orchestrator.engines.base import Contents, Finding, Progress, RawRow
from tac_orchestrator.engines.sqlite import installation
from tac_orchestrator.engines.sqlite.connections import open_probe, open_reader, open_writer
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.engines.sqlite.readers import connect
from tac_orchestrator.engines.sqlite.turns import Turns
from tac_orchestrator.errors import DatabaseCorrupt
from tac_orchestrator.queries import Query
from tac_orchestrator.settings import Settings

_FAULTS = 20
_STEPS_BETWEEN_REPORTS = 100_000
_ROWS_A_CHUNK = 200


def contents_of(connection: sqlite.Connection) -> Contents:
    """What is in there now; nothing of it is checked."""
    inspection = installation.inspect(connection)
    tables = sorted(name for name, sql in inspection.objects.items() if sql.startswith("CREATE TABLE"))
    return Contents(inspection, {name: _row_count(connection, name) for name in tables})


def _row_count(connection: sqlite.Connection, table: str) -> int:
    quoted = '"' + table.replace('"', '""') + '"'
    return connection.execute(f"SELECT COUNT(*) FROM {quoted}").fetchone()[0]  # noqa: S608


def examine(path: Path, settings: Settings, progress: Progress | None = None) -> Contents:
    """Read all of it. Raises DatabaseCorrupt if it is damaged."""
    with closing(open_probe(path, settings)) as connection, reporting(connection, progress):
        if faults := damages(connection):
            raise DatabaseCorrupt(str(path), f"it is damaged: {faults[0]}")
        contents = contents_of(connection)
        return Contents(contents.inspection, contents.rows, tuple(orphans(connection)))


def check(path: Path, settings: Settings, progress: Progress | None = None) -> list[Finding]:
    """See `engines.base.Engine.check`."""
    with closing(open_reader(path, settings)) as connection, reporting(connection, progress):
        broken = [Finding("integrity", "error", fault, DatabaseCorrupt.hint) for fault in damages(connection)]
        if broken:
            return broken
        strange = [
            Finding("integrity", "error", fault, DatabaseCorrupt.hint) for fault in _refused_values(path, settings, progress)
        ]
        lost = [Finding("foreign_keys", "error", orphan, ORPHANS_REMEDY) for orphan in orphans(connection)]
    return [
        *(strange or [Finding("integrity", "ok", "every page, index and search index can be read")]),
        *(lost or [Finding("foreign_keys", "ok", "every row refers to rows that exist")]),
    ]


ORPHANS_REMEDY = "Delete these rows, or add what they refer to. Other programs need `PRAGMA foreign_keys = ON` to respect it."


def _refused_values(path: Path, settings: Settings, progress: Progress | None) -> list[str]:
    """Tables that have rows which they do not take. SQLite knows of CHECK constraints only where it could write, which is not
    to be risked where something is damaged: the log would be written into the database."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite.connect(uri, uri=True, timeout=settings.busy_timeout_s, isolation_level=None)) as connection:
        connection.execute("PRAGMA query_only = ON")
        with reporting(connection, progress):
            found = [row[0] for row in connection.execute(f"PRAGMA quick_check({_FAULTS})")]
    return [] if found == ["ok"] else found


def damages(connection: sqlite.Connection) -> list[str]:
    """What SQLite finds broken, in its words."""
    try:
        found = [row[0] for row in connection.execute(f"PRAGMA integrity_check({_FAULTS})")]
    except sqlite.DatabaseError as error:
        if isinstance(translated(error, ""), DatabaseCorrupt):
            return [str(error)]
        raise
    return [] if found == ["ok"] else found


def orphans(connection: sqlite.Connection) -> list[str]:
    """Rows that refer to nothing, in words; the first of them, where there are many."""
    rows = connection.execute("PRAGMA foreign_key_check").fetchmany(_FAULTS)
    return [f"{table} row {row} refers to a row of {parent} that does not exist" for table, row, parent, _ in rows]


def analyze(path: Path, settings: Settings) -> None:
    with Turns(path, settings.busy_timeout_s), closing(open_writer(path, settings)) as connection:
        connection.execute("ANALYZE")


def processes_with(path: Path) -> list[str]:
    """The other processes of this user that have the database open."""
    wanted = {str(path.resolve().with_name(path.name + suffix)) for suffix in ("", "-wal", "-shm")}
    found = list[str]()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(file.path in wanted for file in process.open_files()):
                state = ", which is stopped" if process.status() == psutil.STATUS_STOPPED else ""
                found.append(f"process {process.pid} ({process.name()}){state}")
    return found


class SqliteView:
    """See `engines.base.View`. A text that is not UTF-8 is shown as far as it can be."""

    def __init__(self, connection: aiosqlite.Connection, target: str) -> None:
        self._connection = connection
        self._target = target

    async def stream(self, query: Query, values: Sequence[Any]) -> AsyncGenerator[list[RawRow]]:
        try:
            async with self._connection.execute(query.with_marks("?"), values) as cursor:
                names = [column[0] for column in cursor.description]
                while rows := list(await cursor.fetchmany(_ROWS_A_CHUNK)):
                    yield [dict(zip(names, row, strict=True)) for row in rows]
        except (sqlite.Error, OSError) as error:
            raise translated(error, self._target) from error


@asynccontextmanager
async def view(path: Path, settings: Settings) -> AsyncGenerator[SqliteView]:
    connection = await connect(partial(_open_view, path, settings))
    try:
        yield SqliteView(connection, str(path))
    finally:
        await connection.close()


def _open_view(path: Path, settings: Settings) -> sqlite.Connection:
    connection = open_reader(path, settings)
    connection.text_factory = methodcaller("decode", "utf-8", "replace")
    connection.execute("BEGIN")
    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # the view begins with the first look
    return connection


@contextmanager
def reporting(connection: sqlite.Connection, progress: Progress | None) -> Generator[None]:
    """Long statements tell nobody how far they are, but they can be stopped."""
    if progress is None:
        yield
        return
    pages = connection.execute("PRAGMA page_count").fetchone()[0]

    def report() -> bool:
        try:
            progress(0, pages)
        except Exception:
            return True
        return False

    connection.set_progress_handler(report, _STEPS_BETWEEN_REPORTS)
    try:
        yield
        progress(pages, pages)
    finally:
        connection.set_progress_handler(None, 0)
