"""For tests of programs that record: a store that goes away with the test, and rows to fill it with."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tac_orchestrator.database import Database
from tac_orchestrator.models import Agent, AgentType, Prompt

__all__ = ["make_agent", "make_prompt", "temporary_database"]


@asynccontextmanager
async def temporary_database() -> AsyncGenerator[Database]:
    """A real store in a folder of its own."""
    with TemporaryDirectory(prefix="tac-orchestrator-") as folder:
        async with Database.open(Path(folder, "orchestrator.db")) as database:
            yield database


async def make_agent(
    database: Database,
    name: str = "builder",
    *,
    agent_type: AgentType = "builder",
    session_id: str = "session",
    **columns: Any,
) -> Agent:
    """An agent of this kind, which is registered if it is new."""
    kind = await database.orchestrator_agents.register(name, agent_type=agent_type)
    return await database.agents.create(kind.id, session_id, **columns)


async def make_prompt(database: Database, agent: Agent, text: str = "Do it.", **columns: Any) -> Prompt:
    """A prompt of this agent; pending, unless the columns say more."""
    return await database.prompts.create(agent.id, columns.pop("prompt_type", "adw"), text, **columns)
