"""Fixtures of the store's tests: a kind of agent, and rows for lists."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tac_orchestrator import Agent, Database, OrchestratorAgent

from .support import DAY, Sample


@pytest.fixture
async def builder(db: Database) -> OrchestratorAgent:
    return await db.orchestrator_agents.register("builder", agent_type="builder")


@pytest.fixture
async def sample(db: Database) -> Sample:
    kinds = [await db.orchestrator_agents.create(name, agent_type="builder") for name in ("one", "two")]
    agents = list[Agent]()
    async with db.transaction() as tables:
        for place in range(48):
            agents.append(
                await tables.agents.create(
                    kinds[place % 2].id,
                    f"session-{place % 3}",
                    parent_agent_id=agents[0].id if place % 4 == 1 else None,
                    status=("completed", "executing", "failed")[place // 3 % 3],
                    started_at=DAY + timedelta(hours=place // 12),
                )
            )
    places = range(240)
    hours = [DAY + timedelta(hours=place // 60) for place in places]
    owners = [agents[place % 7].id for place in places]
    await db.prompts.create_many(
        {
            "agent_id": owners[place],
            "prompt_type": ("adw", "correction", "tool_call")[place % 3],
            "prompt_text": str(place),
            "status": ("completed", "failed")[place // 3 % 2],
            "model_used": ("small", "large", None)[place % 5 % 3],
            "created_at": hours[place],
        }
        for place in places
    )
    await db.agent_logs.create_many(
        {
            "agent_id": owners[place],
            "log_type": ("milestone", "error")[place % 2],
            "log_level": ("INFO", "ERROR", "DEBUG")[place // 2 % 3],
            "message": str(place),
            "created_at": hours[place],
        }
        for place in places
    )
    await db.system_logs.create_many(
        {
            "component": ("api", "database")[place % 2],
            "log_level": ("INFO", "ERROR", "DEBUG")[place // 2 % 3],
            "message": str(place),
            "created_at": hours[place],
        }
        for place in places
    )
    return Sample(kinds, agents)
