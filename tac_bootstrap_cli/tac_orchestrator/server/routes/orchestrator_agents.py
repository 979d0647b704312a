"""Kinds of agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tac_orchestrator.models import AgentType, KindUsage, OrchestratorAgent, Time
from tac_orchestrator.server.answers import MAX_LIMIT, Db, Filters, Page, listed, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/orchestrator-agents", tags=["orchestrator agents"], responses=PROBLEMS)


class _Filters(Filters):
    agent_type: AgentType | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Time | None = Field(None, description="From then on.")
    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT)


@router.get("", response_model=Page[OrchestratorAgent])
async def list_orchestrator_agents(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """By name."""
    return page(await db.orchestrator_agents.list(**filters.values()), limit=filters.limit)


@router.get("/usage", response_model=list[KindUsage])
async def list_usage(db: Db, choice: Annotated[_Choice, Query()]) -> Response:
    """By name, with what became of the runs that began since then."""
    return listed(await db.orchestrator_agents.usage(since=choice.since, limit=choice.limit))


@router.get("/{id}", response_model=OrchestratorAgent)
async def get_orchestrator_agent(db: Db, id: str) -> Response:
    """One kind of agent."""
    return one(await db.orchestrator_agents.get(id))
