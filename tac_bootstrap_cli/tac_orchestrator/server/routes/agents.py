"""Runs of agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import Agent, AgentNode, AgentStatus
from tac_orchestrator.server.answers import Db, Page, TimedFilters, listed, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=PROBLEMS)


class _Filters(TimedFilters):
    session_id: str | None = None
    status: AgentStatus | None = None
    orchestrator_agent_id: str | None = None
    parent_agent_id: str | None = None


@router.get("", response_model=Page[Agent])
async def list_agents(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """The newest first."""
    return page(await db.agents.list(**filters.values()), limit=filters.limit)


@router.get("/tree", response_model=list[AgentNode])
async def get_agent_tree(db: Db, session_id: str) -> Response:
    """All agents of one session, each behind its parent, with the totals of its own prompts."""
    return listed(await db.sessions.tree(session_id))


@router.get("/{id}", response_model=Agent)
async def get_agent(db: Db, id: str) -> Response:
    """One run of an agent."""
    return one(await db.agents.get(id))
