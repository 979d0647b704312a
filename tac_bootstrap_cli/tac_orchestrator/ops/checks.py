"""Whether all that is stored is sound, and what keeps it fast. These take their time: they read everything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Engine, Finding, Progress
from tac_orchestrator.errors import DatabaseCorrupt, SchemaError
from tac_orchestrator.migrations import prepare, present_version, version_of
from tac_orchestrator.ops.work import off_the_loop
from tac_orchestrator.schema import migrations

__all__ = ["Finding", "Migrated", "Vacuumed", "analyze", "check", "check_schema", "migrate", "vacuum"]

_DIFFERENCES = 20

_TOTALS = {
    "agents": "the cost of every agent is the sum of its prompts",
    "sessions": "the totals of every session are those of its rows",
    "daily_usage": "the totals of every day are those of its prompts",
    "log_counts": "as many logs are counted as there are",
    "search": "the search indexes have just the rows that they should have",
}


@dataclass(frozen=True, slots=True)
class Migrated:
    """`from_version` is None for a new store. `snapshot` is a copy of what was there, if that held data."""

    path: str
    from_version: int | None
    to_version: int
    snapshot: Path | None


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """The bytes that the store took, and takes now."""

    bytes_before: int
    bytes_after: int


async def check(db: Database, progress: Progress | None = None) -> list[Finding]:
    """What was looked at, and every fault that was found, the first of each kind.

    Raises DatabaseUnavailable if there is none, and SchemaDrift if the file is no database.
    """
    findings = await off_the_loop(lambda report: _check_engine(db.engine, report), progress)
    if findings[-1].name != "schema" or findings[-1].state != "ok":
        return findings
    for name, well in _TOTALS.items():
        rows = await db.engine.fetch(db.engine.queries("checks")[name], (_DIFFERENCES,))
        faults = [
            Finding(name, "error", f"{raw['name']}: {raw['difference']}", _REMEDIES.get(name, _TOTALS_REMEDY)) for raw in rows
        ]
        findings += faults or [Finding(name, "ok", well)]
    return findings


def _check_engine(engine: Engine, report: Progress) -> list[Finding]:
    """Of what is damaged, nothing else can be said for sure."""
    try:
        if engine.inspect() is None:
            present_version(engine)
        findings = engine.check(report)
    except DatabaseCorrupt as error:
        return [Finding("integrity", "error", str(error), error.hint)]
    if any(finding.name == "integrity" and finding.state == "error" for finding in findings):
        return findings
    return [*findings, check_schema(engine)]


_TOTALS_REMEDY = "The triggers keep totals right: a program must have written with them switched off. Restore a backup."
_REMEDIES = {"search": "Restore a backup; until then, a search may miss rows or find ones that are gone."}


async def migrate(db: Database) -> Migrated:
    """Make the store, or bring it up to date. Raises SchemaError for one that is not ours, and leaves it as it is."""
    return await off_the_loop(lambda _report: _migrate(db.engine), None)


async def vacuum(db: Database, progress: Progress | None = None) -> Vacuumed:
    """Give the room of deleted rows back to the disk. Whoever wants to write waits meanwhile, for up to minutes."""

    def work(report: Progress) -> Vacuumed:
        present_version(db.engine)
        return Vacuumed(*db.engine.vacuum(report))

    return await off_the_loop(work, progress)


async def analyze(db: Database) -> None:
    """Let the planner of queries know how the values are spread."""

    def work(_report: Progress) -> None:
        present_version(db.engine)
        db.engine.analyze()

    await off_the_loop(work, None)


def _migrate(engine: Engine) -> Migrated:
    found = engine.inspect()
    before = None if found is None or found.is_empty else version_of(engine, found)
    return Migrated(engine.target, before, len(migrations()), prepare(engine))


def check_schema(engine: Engine) -> Finding:
    """Whether the tables are those of this version. Raises DatabaseUnavailable if the database cannot be read."""
    found = engine.inspect()
    if found is None:
        return Finding("schema", "error", f"{engine.target}: there is no database", "Restore a backup, or `tac-orch init`.")
    try:
        version = version_of(engine, found)
    except SchemaError as error:
        return Finding("schema", "error", str(error), error.hint)
    if version < len(migrations()):
        message = f"version {version}; this version of tac-orchestrator has {len(migrations())}"
        return Finding("schema", "warning", message, "`tac-orch db migrate`, or the next recording, brings it up to date.")
    return Finding("schema", "ok", f"version {version}, with every table and index as they shall be")
