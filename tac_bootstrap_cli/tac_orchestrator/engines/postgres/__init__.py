"""PostgreSQL: for more than one machine. Needs a server, 14 or later, and the driver asyncpg.

Writes go through one connection of the process, reads through a few others, most of them to a replica where there is one. What
is a matter of files, backups for example, is the server's own: its programs do that, and errors name them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tac_orchestrator.engines.base import Contents, Finding, Inspection, Progress, RawRow, Unit, View, nothing
from tac_orchestrator.engines.postgres import installation, maintenance, transfers
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.bell import Ear
from tac_orchestrator.engines.postgres.connections import open_plain
from tac_orchestrator.engines.postgres.driver import Connection, InvalidCatalogNameError
from tac_orchestrator.engines.postgres.faults import translated
from tac_orchestrator.engines.postgres.installation import ENGINE, PostgresInstallation
from tac_orchestrator.engines.postgres.readers import Readers
from tac_orchestrator.engines.postgres.replica import replica_of
from tac_orchestrator.engines.postgres.values import PostgresCodec
from tac_orchestrator.engines.postgres.writing import Writing
from tac_orchestrator.errors import DatabaseUnavailable, OrchestratorError
from tac_orchestrator.queries import Query, queries
from tac_orchestrator.schema import Migration, migrations, whole_schema
from tac_orchestrator.settings import Settings

__all__ = ["PostgresEngine"]

T = TypeVar("T")

_SIZE = """
    SELECT COALESCE(SUM(pg_total_relation_size(oid)), 0)::BIGINT AS size FROM pg_class
    WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r'
"""


class PostgresEngine:
    """See `engines.base.Engine`."""

    codec = PostgresCodec()
    catalog = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    whole_rounds = True

    def __init__(self, url: str, settings: Settings) -> None:
        self.path = None
        self.address = Address.of(url)
        self.target = self.address.target
        self._settings = settings
        self._stages: dict[tuple[str, ...], list[dict[str, str]]] = {}
        self._writing = Writing(self.address, settings)
        self._readers = Readers(self.address, settings)
        self._ear = Ear(self.address, settings)
        self._replica = replica_of(self._readers, settings, lambda: self._writing.last)

    @property
    def undelayed(self) -> PostgresEngine:
        if self._replica is None:
            return self
        engine = copy(self)
        engine._replica = None
        return engine

    def queries(self, table: str) -> Mapping[str, Query]:
        return queries(table, ENGINE)

    def migrations(self) -> Sequence[Migration]:
        return migrations(ENGINE)

    def whole_schema(self) -> str:
        return whole_schema(ENGINE)

    def create(self) -> None:
        """The database, where the server has none of this name and lets us make one."""
        self._once(partial(maintenance.create_database, name=self.address.database), database="postgres")

    def inspect(self) -> Inspection | None:
        try:
            return self._once(self._inspect)
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, InvalidCatalogNameError):
                return None
            raise

    def difference(self, objects: Mapping[str, str], scripts: Sequence[str], upcoming: Sequence[str] = ()) -> str | None:
        every = (*scripts, *upcoming)
        if every not in self._stages:
            self._stages[every] = self._once(partial(installation.stages, scripts=every))
        stages = self._stages[every]
        return installation.difference(objects, stages[len(scripts)], stages[-1])

    @contextmanager
    def install(self) -> Generator[PostgresInstallation]:
        with self._translating(), asyncio.Runner() as runner:
            connection = runner.run(open_plain(self.address, self._settings))
            try:
                runner.run(installation.begin(connection))
                yield PostgresInstallation(runner, connection, self.target)
                runner.run(connection.execute("COMMIT"))
            finally:
                runner.run(connection.close(timeout=5))

    def snapshot(self, name: str) -> None:
        """Each migration is one transaction, which leaves nothing half done. Who wants a copy has the server's own ways."""

    def commit(self, units: Sequence[Unit], meanwhile: Callable[[], None] = nothing) -> None:
        meanwhile()
        self._writing.commit(units)

    def stop_writing(self) -> None:
        self._writing.close()

    def forget_parent(self) -> None:
        self._writing.forget_parent()

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        if self._replica is None:
            return await self._readers.fetch(query, values)
        return await self._replica.fetch(query, values)

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        if self._replica is None:
            return await self._readers.query(sql, values)
        return await self._replica.query(sql, values)

    def stream(self, query: Query, values: Sequence[Any]) -> AsyncIterator[list[RawRow]]:
        return self._readers.stream(query, values)

    async def raw_connection(self) -> Any:
        """An asyncpg connection."""
        try:
            return await open_plain(self.address, self._settings)
        except Exception as error:
            raise translated(error, self.target) from error

    async def generation(self) -> str:
        return await self._readers.generation()

    async def size(self) -> int:
        return (await self._readers.row(_SIZE))["size"]

    async def lull(self) -> None:
        await self._ear.wait()

    def back_up(self, copy: Path, progress: Progress | None = None) -> Contents:
        self._refuse("backups of a server are the server's", "pg_dump --format=custom --file=FILE, or its archive")

    def examine(self, progress: Progress | None = None) -> Contents:
        self._refuse("a server cannot be examined as a file", "`tac-orch db check`, and pg_amcheck on the server")

    def restore(self, source: Path, aside: Path | None, progress: Progress | None = None) -> bool:
        self._refuse("a server is restored with its own programs", "pg_restore --clean --if-exists --dbname=…")

    def check(self, progress: Progress | None = None) -> list[Finding]:
        return self._once(partial(maintenance.check, progress=progress))

    def vacuum(self, progress: Progress | None = None) -> tuple[int, int]:
        return self._once(maintenance.vacuum)

    def analyze(self) -> None:
        self._once(maintenance.analyze)

    def diagnose(self) -> list[Finding]:
        try:
            return self._once(self._diagnose)
        except OrchestratorError as error:
            if isinstance(error.__cause__, InvalidCatalogNameError):
                message = f"{self.target}: there is no database yet"
                return [Finding("server", "warning", message, "`tac-orch init` or the first recording makes it.")]
            return [Finding("server", "error", str(error), error.hint)]

    def view(self) -> AbstractAsyncContextManager[View]:
        return maintenance.view(self.address, self._settings)

    @contextmanager
    def dump(self) -> Generator[transfers.PostgresDump]:
        with transfers.dump(self.address, self._settings) as found:
            yield found

    @contextmanager
    def filling(self) -> Generator[transfers.PostgresFilling]:
        with transfers.filling(self.address, self._settings) as found:
            yield found

    async def close(self) -> None:
        if self._replica is not None:
            await self._replica.close()
        await self._ear.close()
        await self._readers.close()

    async def _diagnose(self, connection: Connection) -> list[Finding]:
        of_replica = [] if self._replica is None else [await self._replica.diagnose(connection)]
        return [*await maintenance.diagnose(connection), *of_replica]

    async def _inspect(self, connection: Connection) -> Inspection:
        await installation.refuse_unsuitable(connection, self.target)
        return await installation.inspect(connection)

    def _once(self, work: Callable[[Connection], Awaitable[T]], *, database: str | None = None) -> T:
        """On a connection and in an event loop of its own: whoever calls this is on a thread that may wait."""

        async def run() -> T:
            connection = await open_plain(self.address, self._settings, database=database)
            try:
                return await work(connection)
            finally:
                await connection.close(timeout=5)

        with self._translating(), asyncio.Runner() as runner:
            return runner.run(run())

    @contextmanager
    def _translating(self) -> Generator[None]:
        try:
            yield
        except OrchestratorError:
            raise
        except Exception as error:
            found = translated(error, self.target)
            found.args = tuple(self.address.without_secrets(str(part)) for part in found.args)
            raise found from error

    def _refuse(self, reason: str, hint: str) -> NoReturn:
        raise DatabaseUnavailable(self.target, reason, hint=hint)
