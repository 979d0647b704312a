"""How commands come to the store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Engine
from tac_orchestrator.errors import DatabaseBusy, DatabaseFull, DatabaseReadOnly, OrchestratorError
from tac_orchestrator.hook import has_spool

T = TypeVar("T")

_LOG = logging.getLogger("tac_orchestrator")


def is_there(engine: Engine) -> bool:
    """Whether there is a store: a file of this name, or a database with tables."""
    if engine.path is not None:
        return engine.path.exists()
    found = engine.inspect()
    return found is not None and not found.is_empty


def ask(target: str | None, question: Callable[[Database], Awaitable[T]]) -> T:
    """What the store answers. Makes none where there is none: raises DatabaseUnavailable."""

    async def answer() -> T:
        async with Database.open(target, create=False) as database:
            await take_in_hooks(database)
            await close_lost(database)
            return await question(database)

    return run(answer())


async def take_in_hooks(database: Database) -> None:
    """Store what hooks have written down, before somebody reads what runs. It waits if that cannot be done now."""
    if not has_spool(str(database.settings.place)):
        return
    from tac_orchestrator.ingest.spool import take_in

    try:
        with suppress(DatabaseBusy, DatabaseFull, DatabaseReadOnly):
            await take_in(database)
    except (OrchestratorError, OSError) as error:
        _LOG.warning("what hooks have written down is not taken in yet: %s", error)


async def close_lost(database: Database) -> int:
    """End the agents whose process is gone, before somebody reads that they run. Returns how many there were.

    Whoever only looks is not to fail because nothing can be written.
    """
    with suppress(DatabaseBusy, DatabaseFull, DatabaseReadOnly):
        return len(await database.agents.close_lost())
    return 0
