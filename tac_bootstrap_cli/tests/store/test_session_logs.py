"""The logs of a session, whichever of its agents wrote how many of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tac_orchestrator import Database
from tac_orchestrator.models import AgentLog
from tac_orchestrator.testing import make_agent

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def logs(db: Database) -> list[AgentLog]:
    """One agent has most of them, some have a few at any time, one has one that is old; the newest first. Some are of one
    moment."""
    agents = [await make_agent(db, session_id="issue-42") for _ in range(6)]
    owners = [agents[1 + place % 4] if place % 9 == 0 else agents[0] for place in range(200)]
    times = [BEGAN + timedelta(seconds=place // 3) for place in range(200)]
    rows = [(agents[5], BEGAN - timedelta(days=1)), *zip(owners, times, strict=True)]
    await db.agent_logs.create_many(
        {"agent_id": agent.id, "log_type": "milestone", "message": f"{place}", "created_at": at}
        for place, (agent, at) in enumerate(rows)
    )
    other = await make_agent(db, session_id="issue-43")
    await db.agent_logs.create(other.id, "milestone", "of another session")
    everything = await db.agent_logs.list(limit=1000)
    return [log for log in everything if log.agent_id != other.id]


@pytest.mark.parametrize("limit", [1, 2, 7, 50, 500])
async def test_pages_together_are_all_of_them_the_newest_first(db: Database, logs: list[AgentLog], limit: int) -> None:
    found, before = list[AgentLog](), None
    while page := await db.agent_logs.list(session_id="issue-42", limit=limit, before=before):
        found += page
        before = page[-1].id
    assert found == logs
    assert all((one.created_at, one.id) > (other.created_at, other.id) for one, other in pairwise(found))


@pytest.mark.parametrize("limit", [3, 500])
async def test_a_page_is_of_the_time_that_is_asked_for(db: Database, logs: list[AgentLog], limit: int) -> None:
    since, until = BEGAN + timedelta(seconds=5), BEGAN + timedelta(seconds=40)
    asked: tuple[dict[str, Any], ...] = ({"since": since}, {"until": until}, {"since": since, "until": until})
    for times in asked:
        wanted = [
            log
            for log in logs
            if times.get("since", log.created_at) <= log.created_at < times.get("until", datetime.max.replace(tzinfo=UTC))
        ]
        assert await db.agent_logs.list(session_id="issue-42", limit=limit, **times) == wanted[:limit]
