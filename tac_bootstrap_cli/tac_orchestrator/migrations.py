"""Brings a database to the schema of today, or refuses it and leaves it as it is.

nothing there           the whole schema is made
current                 nothing to do
older                   a snapshot if it holds data, then the missing migrations, each in one transaction
made by hand            recognised by what it is made of, then as above
newer, altered, foreign refused: SchemaTooNew, SchemaDrift
being filled            refused until all is there, see `begin_to_fill`
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tac_orchestrator.engines.base import UNFINISHED, AppliedMigration, Engine, Inspection, Installation
from tac_orchestrator.errors import (
    AlreadyExists,
    DatabaseUnavailable,
    InvalidRecord,
    MigrationFailed,
    OrchestratorError,
    SchemaDrift,
    SchemaTooNew,
)
from tac_orchestrator.schema import Migration
from tac_orchestrator.version import VERSION


def prepare(engine: Engine, *, create: bool = True) -> Path | None:
    """Make the database ready for use. Returns where the snapshot is, if it had to be taken.

    Raises SchemaError, or DatabaseUnavailable if there is no database and none shall be made.
    """
    found = engine.inspect()
    if not create and (found is None or found.is_empty):
        raise _missing(engine)
    if found is None:
        engine.create()
    elif version_of(engine, found) == len(engine.migrations()) and _is_recorded(engine, found):
        return None
    return _bring_up_to_date(engine)


def begin_to_fill(engine: Engine) -> None:
    """Make a database with tables and without rows, which nobody can open before it is filled.

    One that somebody has begun to fill stays as it is. Raises AlreadyExists if there is another one, be it without rows: who
    has it open would write beside us.
    """
    if engine.inspect() is None:
        engine.create()
    with engine.install() as installation:
        found = installation.inspect()
        if found.is_empty:
            _take_a_step(engine, installation, 0)
            installation.mark()
        elif UNFINISHED not in found.objects:
            raise AlreadyExists("database", engine.target, hint="Name a new file, or a database that has no tables yet.")
        elif found.version != len(engine.migrations()):
            raise SchemaDrift(engine.target, "another version has begun to fill it", hint="Delete it, or use that version.")


def present_version(engine: Engine) -> int:
    """As `version_of`, of what is there. Raises DatabaseUnavailable if nothing is, and SchemaError if it is not usable."""
    found = engine.inspect()
    if found is None:
        raise _missing(engine)
    return version_of(engine, found)


def version_of(engine: Engine, found: Inspection) -> int:
    """The number of the last migration that this database has had, recorded or not. Raises SchemaError if it is not usable."""
    known = engine.migrations()
    if found.is_empty:
        return 0
    if UNFINISHED in found.objects:
        raise SchemaDrift(engine.target, "a transfer into it has not ended", hint=_UNFINISHED_HINT)
    if found.is_ours and found.version > len(known):
        raise SchemaTooNew(engine.target, found=found.version, supported=len(known))
    _refuse_altered(engine, found, known)
    if _is_recorded(engine, found) and found.applied[-1].schema_hash == found.schema_hash:
        return found.version
    lowest = max(found.version if found.is_ours else 1, 1)
    for number in range(len(known), lowest - 1, -1):
        if _difference(engine, found, number) is None:
            return number
    reason = _difference(engine, found, lowest)
    raise SchemaDrift(engine.target, reason or "its tables are unknown", hint=_DRIFT_HINT)


def _difference(engine: Engine, found: Inspection, number: int) -> str | None:
    scripts = [migration.sql for migration in engine.migrations()]
    return engine.difference(found.objects, scripts[:number], scripts[number:])


_UNFINISHED_HINT = "Call the same `tac-orch transfer` again, which goes on. Who has given it up deletes this database."
_DRIFT_HINT = "Restore a backup, or set TAC_ORCHESTRATOR_DB to another file; this one was not touched."


def _missing(engine: Engine) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        engine.target, "there is no database yet", hint="`tac-orch init` or the first recording makes it."
    )


def _is_recorded(engine: Engine, found: Inspection) -> bool:
    return found.is_ours and found.version == len(engine.migrations()) == len(found.applied)


def _refuse_altered(engine: Engine, found: Inspection, known: Sequence[Migration]) -> None:
    for applied in found.applied:
        if applied.number > len(known):
            raise SchemaTooNew(engine.target, found=applied.number, supported=len(known))
        if applied.checksum != known[applied.number - 1].checksum:
            raise SchemaDrift(engine.target, f"its migration {applied.name} is not the one of this version", hint=_DRIFT_HINT)


def _bring_up_to_date(engine: Engine) -> Path | None:
    """One migration a transaction; others who come at the same time wait, and then find it done."""
    snapshot: Path | None = None
    while True:
        with engine.install() as installation:
            found = installation.inspect()
            version = version_of(engine, found)
            if version == len(engine.migrations()) and _is_recorded(engine, found):
                return snapshot
            if found.holds_data and version < len(engine.migrations()) and snapshot is None:
                snapshot = engine.snapshot(f"before-{len(engine.migrations()):03}-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
            _take_a_step(engine, installation, version)


def _take_a_step(engine: Engine, installation: Installation, version: int) -> None:
    known = engine.migrations()
    if version == 0:
        _run(engine, installation, "schema_orchestrator", engine.whole_schema())
        version = len(known)
    elif version < len(known):
        _run(engine, installation, known[version].name, known[version].sql)
        version += 1
    _record(installation, known[:version])


def _run(engine: Engine, installation: Installation, name: str, script: str) -> None:
    try:
        installation.run(script)
    except InvalidRecord as error:
        raise MigrationFailed(engine.target, name, error.reason, hint=_DRIFT_HINT) from error
    except OrchestratorError as error:
        raise MigrationFailed(engine.target, name, str(error), hint=error.hint) from error


def _record(installation: Installation, applied: Sequence[Migration]) -> None:
    schema_hash = installation.inspect().schema_hash
    installation.record([AppliedMigration(one.number, one.name, one.checksum, schema_hash, VERSION) for one in applied])
