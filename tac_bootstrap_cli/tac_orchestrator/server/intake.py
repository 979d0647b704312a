"""Takes in what hooks have written down, for as long as the server runs.

What reads hooks and telemetry is a fourth of all that a server loads. It is loaded here, on another thread, once the server
answers: a page can be shown without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from tac_orchestrator.database import Database
from tac_orchestrator.server.counting import Counts

if TYPE_CHECKING:
    from tac_orchestrator.ingest.spool import TakenIn


@asynccontextmanager
async def taking_in_hooks(database: Database, counts: Counts) -> AsyncGenerator[None]:
    """Until the block ends."""
    task = asyncio.create_task(_take_in(database, counts))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _take_in(database: Database, counts: Counts) -> None:
    def count(taken: TakenIn) -> None:
        counts.take("hooks", taken.records, taken.skipped_lines)

    await asyncio.to_thread(import_module, "tac_orchestrator.server.telemetry")
    spool = await asyncio.to_thread(import_module, "tac_orchestrator.ingest.spool")
    async with spool.taking_in(database, count):
        await asyncio.Event().wait()
