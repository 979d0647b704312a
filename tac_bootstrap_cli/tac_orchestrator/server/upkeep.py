"""What a server does for its store while it runs: it closes the agents whose process is gone, and keeps the search index close
behind what is written, so that the next search need not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from tac_orchestrator.database import Database
from tac_orchestrator.errors import OrchestratorError

_LOG = logging.getLogger("tac_orchestrator")

_LOOK_EVERY_S = 10.0


@asynccontextmanager
async def kept_up(database: Database) -> AsyncGenerator[None]:
    """Until the block ends."""
    task = asyncio.create_task(_keep_up(database))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_up(database: Database) -> None:
    while True:
        try:
            await database.agents.close_lost()
            async for _ in database.search.catch_up():
                await asyncio.sleep(0)  # others first
        except OrchestratorError as error:
            _LOG.warning("the store is not kept up: %s", error)
        await asyncio.sleep(_LOOK_EVERY_S)
