"""tac-orch db"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

from tac_orchestrator.cli.formats import size
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command, group
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.store import is_there
from tac_orchestrator.cli.upkeep import bar, tell_findings
from tac_orchestrator.database import Database
from tac_orchestrator.ops import checks

T = TypeVar("T")


@group("db")
def db() -> None:
    """The store's file: where it is, its schema, its health and its size."""


@command("path", examples=["tac-orch db path"])
def path(target: str | None, as_json: bool) -> None:
    """Where the store is, or will be."""
    engine = Database.open(target).engine
    if as_json:
        print_json({"path": engine.target, "exists": is_there(engine)})
    else:
        screen = Screen()
        screen.line(visible(engine.target) if screen.is_terminal else engine.target)


@command("migrate", examples=["tac-orch db migrate", "tac-orch db migrate --db other.db --json"])
def migrate(target: str | None, as_json: bool) -> None:
    """Make the store, or bring its schema up to date.

    Every recording does so by itself; here it says what it did. A store that holds data is copied before its schema changes.
    """
    done = _on_store(target, checks.migrate)
    if as_json:
        print_json({**asdict(done), "path": str(done.path), "snapshot": done.snapshot and str(done.snapshot)})
        return
    screen = Screen()
    screen.line(_told(done))
    if done.snapshot is not None:
        screen.line(f"As it was before: {visible(str(done.snapshot))}")


@command("check", examples=["tac-orch db check", "tac-orch db check --json"])
def check(target: str | None, as_json: bool) -> int:
    """Read everything in the store, and see whether it is sound.

    Pages, references between rows, the schema, totals and search indexes are looked at. The exit code is 1 if one is wrong.
    """
    with bar("Reading") as show:
        findings = _on_store(target, lambda database: checks.check(database, show))
    return tell_findings(findings, as_json=as_json)


@command("vacuum", examples=["tac-orch db vacuum"])
def vacuum(target: str | None, as_json: bool) -> None:
    """Give the room of deleted rows back to the disk.

    Whoever wants to record waits meanwhile. Needs room for one more copy of the store, and for its log.
    """
    with bar("Compacting") as show:
        done = _on_store(target, lambda database: checks.vacuum(database, show))
    if as_json:
        print_json(asdict(done))
    else:
        Screen().line(f"{size(done.bytes_before)} before, {size(done.bytes_after)} now.")


@command("analyze", examples=["tac-orch db analyze"])
def analyze(target: str | None, as_json: bool) -> None:
    """Let queries be planned by how values are spread.

    It helps where queries have become slow in a store that has grown by much.
    """
    _on_store(target, checks.analyze)
    if as_json:
        print_json({"path": Database.open(target).target, "analyzed": True})
    else:
        Screen().line("The planner of queries knows how the values are spread.")


for one in (path, migrate, check, vacuum, analyze):
    db.add_command(one)


def _on_store(target: str | None, act: Callable[[Database], Awaitable[T]]) -> T:
    """As it is: it is not connected to, which would bring it up to date."""

    async def answer() -> T:
        database = Database.open(target, create=False)
        try:
            return await act(database)
        finally:
            await database.close()

    return run(answer())


def _told(done: checks.Migrated) -> str:
    where = visible(str(done.path))
    if done.from_version is None:
        return f"{where}: made, with schema version {done.to_version}."
    if done.from_version == done.to_version:
        return f"{where}: schema version {done.to_version}, which is up to date."
    return f"{where}: schema version {done.to_version}; it had {done.from_version}."
