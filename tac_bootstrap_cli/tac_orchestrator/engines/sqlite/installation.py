"""Makes and changes the schema of a database file, in one transaction that nobody else writes beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache

from tac_orchestrator.engines.base import UNFINISHED, AppliedMigration, Inspection
from tac_orchestrator.engines.sqlite import structure
from tac_orchestrator.engines.sqlite.connections import APPLICATION_ID
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.schema import whole_schema

_APPLIED = "SELECT number, name, checksum, schema_hash, product_version FROM schema_version ORDER BY number"
_RECORD = """
    INSERT INTO schema_version (number, name, checksum, schema_hash, product_version) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET schema_hash = excluded.schema_hash
"""
_MARK = f"""
    CREATE TABLE {UNFINISHED} AS
    SELECT 'DROP ' || type || ' IF EXISTS "' || name || '"' AS undo, sql AS redo FROM sqlite_master
    WHERE type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid
"""  # noqa: S608
_HOLDS_DATA = "SELECT EXISTS (SELECT 1 FROM orchestrator_agents) OR EXISTS (SELECT 1 FROM system_logs)"


class SqliteInstallation:
    """See `engines.base.Installation`. The connection is inside a transaction."""

    def __init__(self, connection: sqlite.Connection, target: str) -> None:
        self._connection = connection
        self._target = target

    def inspect(self) -> Inspection:
        return inspect(self._connection)

    def run(self, script: str) -> None:
        try:
            run_script(self._connection, script)
        except sqlite.Error as error:
            raise translated(error, self._target) from error

    def record(self, applied: Sequence[AppliedMigration]) -> None:
        """The list of migrations as far as there is a table for it, and the version in the file's header."""
        with suppress(sqlite.OperationalError):  # before its migration, schema_version does not exist
            self._connection.executemany(
                _RECORD, [(one.number, one.name, one.checksum, one.schema_hash, one.product_version) for one in applied]
            )
        self._connection.execute(f"PRAGMA user_version = {applied[-1].number}")
        self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def mark(self) -> None:
        self._connection.execute(_MARK)


def inspect(connection: sqlite.Connection) -> Inspection:
    """What the connected database is, read in one statement's view of it after another."""
    found = structure.objects(connection)
    applied = connection.execute(_APPLIED).fetchall() if "schema_version" in found else []
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return Inspection(
        is_ours=application == APPLICATION_ID,
        is_empty=not found and application in {0, APPLICATION_ID},
        holds_data=_holds_data(connection) if {"orchestrator_agents", "system_logs"} <= found.keys() else False,
        version=connection.execute("PRAGMA user_version").fetchone()[0],
        applied=tuple(AppliedMigration(*row) for row in applied),
        objects=found,
        schema_hash=structure.structure_hash(found, structure.created_names(whole_schema())),
    )


def _holds_data(connection: sqlite.Connection) -> bool:
    return bool(connection.execute(_HOLDS_DATA).fetchone()[0])


def difference(found: Mapping[str, str], scripts: tuple[str, ...], upcoming: tuple[str, ...]) -> str | None:
    """What is missing, other than the scripts would have made it, or in the way. Objects that users added do not count else."""
    expected = _made_by(scripts)
    for name, definition in expected.items():
        if name not in found:
            return f"{name} is missing"
        if structure.normal_form(found[name]) != definition:
            return f"{name} has been changed"
    for name, definition in _made_by(scripts + upcoming).items():
        if name in found and name not in expected and structure.normal_form(found[name]) != definition:
            return f"{name} is there already, and other than this version will make it"
    return None


@cache
def _made_by(scripts: tuple[str, ...]) -> Mapping[str, object]:
    """Name and normal form of all that these scripts make."""
    with closing(sqlite.connect(":memory:", isolation_level=None)) as connection:
        for script in scripts:
            run_script(connection, script)
        return {name: structure.normal_form(sql) for name, sql in structure.objects(connection).items()}


def run_script(connection: sqlite.Connection, script: str) -> None:
    """Statement by statement: executescript would commit first, and a trigger's body holds semicolons of its own."""
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if line.rstrip().endswith(";") and sqlite.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip() and not all(line.startswith("--") or not line.strip() for line in pending.splitlines()):
        yield pending
