"""SQLite: the embedded engine. One file, made on first use.

Its limits: one writer at a time over all processes (they queue, see `turns`), and no network file systems.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tac_orchestrator.engines.base import Contents, Finding, Inspection, Progress, RawRow, Unit, View, nothing
from tac_orchestrator.engines.new_files import create_private
from tac_orchestrator.engines.sqlite import backups, diagnosis, files, installation, maintenance, transfers
from tac_orchestrator.engines.sqlite.backups import backup
from tac_orchestrator.engines.sqlite.commits import commit
from tac_orchestrator.engines.sqlite.connections import open_probe, open_writer
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.engines.sqlite.readers import Readers, connect
from tac_orchestrator.engines.sqlite.turns import Turns
from tac_orchestrator.engines.sqlite.values import SqliteCodec
from tac_orchestrator.errors import DatabaseUnavailable, OrchestratorError, SchemaDrift
from tac_orchestrator.queries import Query, queries
from tac_orchestrator.schema import Migration, migrations, whole_schema
from tac_orchestrator.settings import Settings

__all__ = ["SqliteEngine"]

_LOOK_EVERY_S = 0.05


class SqliteEngine:
    """See `engines.base.Engine`."""

    codec = SqliteCodec()
    catalog = "SELECT name, sql FROM sqlite_schema"
    whole_rounds = False

    def __init__(self, path: Path, settings: Settings) -> None:
        self.path = path.absolute()
        self.target = str(self.path)
        self._settings = settings
        self._turns = Turns(self.path, settings.busy_timeout_s)
        self._writer: sqlite.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._readers = Readers(self.path, settings)

    @property
    def undelayed(self) -> SqliteEngine:
        return self

    def queries(self, table: str) -> Mapping[str, Query]:
        return queries(table)

    def migrations(self) -> Sequence[Migration]:
        return migrations()

    def whole_schema(self) -> str:
        return whole_schema()

    def create(self) -> None:
        with self._translating():
            files.make_folder(self.path)
            create_private(self.path)

    def inspect(self) -> Inspection | None:
        with self._translating():
            files.refuse_strange(self.path)
            if not self.path.exists():
                return None
            self._warn_of_network()
            try:
                return self._probe()
            except sqlite.DatabaseError as error:
                if "not a database" in str(error) and not files.has_signature(self.path):
                    raise SchemaDrift(self.target, "this is not an SQLite file", hint=_OTHER_FILE) from error
                return self._probe()  # somebody may have begun to write between a look for its log and our reading

    def difference(self, objects: Mapping[str, str], scripts: Sequence[str], upcoming: Sequence[str] = ()) -> str | None:
        return installation.difference(objects, tuple(scripts), tuple(upcoming))

    @contextmanager
    def install(self) -> Generator[installation.SqliteInstallation]:
        turns = Turns(self.path, self._settings.busy_timeout_s)
        with self._translating(), turns, closing(open_writer(self.path, self._settings)) as connection:
            files.make_private(self.path)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield installation.SqliteInstallation(connection, self.target)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def snapshot(self, name: str) -> Path:
        copy = self.path.with_name(f"{self.path.stem}.{name}{self.path.suffix}")
        self.copy_to(copy)
        return copy

    def copy_to(self, copy: Path) -> None:
        """A consistent copy of the database as of now, private, while others go on writing."""
        with self._translating():
            backup(self.path, copy, self._settings)

    def commit(self, units: Sequence[Unit], meanwhile: Callable[[], None] = nothing) -> None:
        try:
            self._turns.begin()
            try:
                if self._writer is None:
                    self._writer = open_writer(self.path, self._settings)
                    self._file = files.identity(self.path)
                elif files.identity(self.path) != self._file:  # whoever looks for these rows would not find them
                    raise DatabaseUnavailable(self.target, "its file has been removed, moved or replaced meanwhile", hint=_GONE)
                commit(self._writer, units, self.target, meanwhile)
            finally:
                self._turns.end()
        except (OrchestratorError, sqlite.Error, OSError) as error:
            reason = error if isinstance(error, OrchestratorError) else translated(error, self.target)
            for unit in units:
                unit.error = reason

    def stop_writing(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._turns.close()

    def forget_parent(self) -> None:
        self._turns.forget_parent()

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        rows = len(values) // len(query.parameters) if query.row is not None else 1
        return await self._readers.fetch(query.with_marks("?", rows), values)

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        return await self._readers.query(sql, values)

    def stream(self, query: Query, values: Sequence[Any]) -> AsyncIterator[list[RawRow]]:
        return self._readers.stream(query.with_marks("?"), values)

    async def raw_connection(self) -> Any:
        connection = await connect(partial(open_writer, self.path, self._settings))
        connection.isolation_level = "DEFERRED"  # as people expect it: a transaction begins by itself and ends with commit()
        return connection

    async def generation(self) -> int:
        return await self._readers.generation()

    async def size(self) -> int:
        return files.size_of(self.path, files.side_file(self.path, "-wal"))

    async def lull(self) -> None:
        await asyncio.sleep(_LOOK_EVERY_S)

    def back_up(self, copy: Path, progress: Progress | None = None) -> Contents:
        with self._translating():
            return backups.checked_backup(self.path, copy, self._settings, progress)

    def examine(self, progress: Progress | None = None) -> Contents:
        with self._translating():
            return maintenance.examine(self.path, self._settings, progress)

    def restore(self, source: Path, aside: Path | None, progress: Progress | None = None) -> bool:
        with self._translating():
            files.refuse_strange(self.path)
            return backups.restore(source, self.path, aside, self._settings, progress)

    def check(self, progress: Progress | None = None) -> list[Finding]:
        with self._translating():
            return maintenance.check(self.path, self._settings, progress)

    def vacuum(self, progress: Progress | None = None) -> tuple[int, int]:
        with self._translating():
            return backups.compact(self.path, self._settings, progress)

    def analyze(self) -> None:
        with self._translating():
            maintenance.analyze(self.path, self._settings)

    def diagnose(self) -> list[Finding]:
        with self._translating():
            return diagnosis.diagnose(self.path, self._settings)

    def view(self) -> AbstractAsyncContextManager[View]:
        return maintenance.view(self.path, self._settings)

    @contextmanager
    def dump(self) -> Generator[transfers.SqliteDump]:
        with transfers.dump(self.path, self._settings) as found:
            yield found

    @contextmanager
    def filling(self) -> Generator[transfers.SqliteFilling]:
        turns = Turns(self.path, self._settings.busy_timeout_s)
        with turns, transfers.filling(self.path, self._settings) as found:
            yield found

    async def close(self) -> None:
        await self._readers.close()

    def _probe(self) -> Inspection:
        with closing(open_probe(self.path, self._settings)) as connection:
            return installation.inspect(connection)

    @contextmanager
    def _translating(self) -> Generator[None]:
        try:
            yield
        except (sqlite.Error, OSError) as error:
            raise translated(error, self.target) from error

    def _warn_of_network(self) -> None:
        kind = files.network_file_system(self.path)
        if kind is not None:
            warnings.warn(
                f"{self.target} is on a network file system ({kind}), where SQLite's locks are not reliable. "
                "Keep the database on a local disk.",
                RuntimeWarning,
                stacklevel=2,
            )


_GONE = "Open the store again. What was written before went with the old file."
_OTHER_FILE = "Set TAC_ORCHESTRATOR_DB to another file; this one was not touched."
