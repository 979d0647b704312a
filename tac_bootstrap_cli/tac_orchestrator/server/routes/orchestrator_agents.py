"""Kinds of agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import AgentType, OrchestratorAgent
from tac_orchestrator.server.answers import Db, Filters, Page, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/orchestrator-agents", tags=["orchestrator agents"], responses=PROBLEMS)


class _Filters(Filters):
    agent_type: AgentType | None = None


@router.get("", response_model=Page[OrchestratorAgent])
async def list_orchestrator_agents(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """By name."""
    return page(await db.orchestrator_agents.list(**filters.values()), limit=filters.limit)


@router.get("/{id}", response_model=OrchestratorAgent)
async def get_orchestrator_agent(db: Db, id: str) -> Response:
    """One kind of agent."""
    return one(await db.orchestrator_agents.get(id))
