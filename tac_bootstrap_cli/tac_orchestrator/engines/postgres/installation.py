"""Makes and changes the schema of a database, in one transaction that no other installation runs beside."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from tac_orchestrator.engines.base import UNFINISHED, AppliedMigration, Inspection
from tac_orchestrator.engines.postgres import structure
from tac_orchestrator.engines.postgres.connections import INSTALLING, LOCKS
from tac_orchestrator.engines.postgres.driver import Connection
from tac_orchestrator.engines.postgres.faults import translated
from tac_orchestrator.errors import SchemaDrift
from tac_orchestrator.schema import whole_schema

T = TypeVar("T")

ENGINE = "postgres"

_SCRATCH = "tac_orchestrator_scratch"
_APPLIED = "SELECT number, name, checksum, schema_hash, product_version FROM schema_version ORDER BY number"
_RECORD = """
    INSERT INTO schema_version (number, name, checksum, schema_hash, product_version) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (number) DO UPDATE SET schema_hash = excluded.schema_hash
"""
_MARK = f"""
    CREATE TABLE {UNFINISHED} AS
    SELECT 1 AS place, format('DROP INDEX IF EXISTS %s', indexrelid::REGCLASS) AS undo, pg_get_indexdef(indexrelid) AS redo
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = current_schema()::REGNAMESPACE
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT 2, format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', conrelid::REGCLASS, conname),
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::REGCLASS, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = current_schema()::REGNAMESPACE AND contype = 'f'
    UNION ALL
    SELECT DISTINCT 3, format('ALTER TABLE %s DISABLE TRIGGER USER', tgrelid::REGCLASS),
        format('ALTER TABLE %s ENABLE TRIGGER USER', tgrelid::REGCLASS)
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = current_schema()::REGNAMESPACE AND relkind = 'r' AND NOT tgisinternal
"""  # noqa: S608
_HOLDS_DATA = "SELECT EXISTS (SELECT 1 FROM orchestrator_agents) OR EXISTS (SELECT 1 FROM system_logs)"
_COLUMNS = {"number", "name", "checksum", "applied_at", "product_version", "schema_hash"}


class PostgresInstallation:
    """See `engines.base.Installation`. The connection is inside a transaction, and in the event loop of the runner."""

    def __init__(self, runner: asyncio.Runner, connection: Connection, target: str) -> None:
        self._runner = runner
        self._connection = connection
        self._target = target

    def inspect(self) -> Inspection:
        return self._do(inspect(self._connection))

    def run(self, script: str) -> None:
        self._do(self._connection.execute(script))

    def record(self, applied: Sequence[AppliedMigration]) -> None:
        """As far as there is a table for it: before its migration there is none."""
        rows = [(one.number, one.name, one.checksum, one.schema_hash, one.product_version) for one in applied]
        if self._do(self._connection.fetchval("SELECT to_regclass('schema_version') IS NOT NULL")):
            self._do(self._connection.executemany(_RECORD, rows))

    def mark(self) -> None:
        self._do(self._connection.execute(_MARK))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._runner.run(work)
        except Exception as error:
            raise translated(error, self._target) from error


async def begin(connection: Connection) -> None:
    """Returns once no other installation is under way."""
    await connection.execute(f"BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, {INSTALLING})")


async def inspect(connection: Connection) -> Inspection:
    found = await structure.objects(connection)
    is_ours = all(column in found.get("schema_version", "") for column in _COLUMNS)
    applied = tuple(AppliedMigration(*row) for row in await connection.fetch(_APPLIED)) if is_ours else ()
    holds_data = {"orchestrator_agents", "system_logs"} <= found.keys() and await connection.fetchval(_HOLDS_DATA)
    return Inspection(
        is_ours=is_ours,
        is_empty=not found,
        holds_data=holds_data,
        version=max((one.number for one in applied), default=0),
        applied=applied,
        objects=found,
        schema_hash=structure.structure_hash(found, structure.created_names(whole_schema(ENGINE))),
    )


async def refuse_unsuitable(connection: Connection, target: str) -> None:
    """What no migration could mend. Raises SchemaDrift."""
    encoding, schema = await connection.fetchrow("SELECT current_setting('server_encoding'), current_schema()") or ("", None)
    if encoding != "UTF8":
        raise SchemaDrift(target, f"its encoding is {encoding}, and texts need UTF8", hint=_ENCODING_HINT)
    if schema is None:
        raise SchemaDrift(target, "no schema of its search_path exists", hint="CREATE SCHEMA, or correct the search_path.")
    if connection.get_server_version() < (14,):
        raise SchemaDrift(target, f"this is PostgreSQL {connection.get_server_version().major}", hint="It takes 14 or later.")


_ENCODING_HINT = "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and set TAC_ORCHESTRATOR_DB to it."


def difference(found: Mapping[str, str], expected: Mapping[str, str], upcoming: Mapping[str, str]) -> str | None:
    """See `engines.base.Engine.difference`: `expected` is what the scripts make, `upcoming` what all of them do."""
    for name, definition in expected.items():
        if name not in found:
            return f"{name} is missing"
        if found[name] != definition:
            return f"{name} has been changed"
    for name, definition in upcoming.items():
        if name in found and name not in expected and found[name] != definition:
            return f"{name} is there already, and other than this version will make it"
    return None


async def stages(connection: Connection, scripts: Sequence[str]) -> list[dict[str, str]]:
    """Name and definition of all that is there before the first script, and after each of them. They are run in a schema of
    their own, which is undone."""
    found: list[dict[str, str]] = [{}]
    await connection.execute(f"BEGIN; CREATE SCHEMA {_SCRATCH}; SET LOCAL search_path = {_SCRATCH}")
    try:
        for script in scripts:
            await connection.execute(script)
            found.append(await structure.objects(connection))
    finally:
        await connection.execute("ROLLBACK")
    return found
