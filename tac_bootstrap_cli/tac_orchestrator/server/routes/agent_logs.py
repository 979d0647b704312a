"""Events in the lives of agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import AgentLog, LogLevel, LogType
from tac_orchestrator.server.answers import Db, NumberedFilters, Page, RowNumber, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/agent-logs", tags=["agent logs"], responses=PROBLEMS)


class _Filters(NumberedFilters):
    agent_id: str | None = None
    session_id: str | None = None
    log_level: LogLevel | None = None
    log_type: LogType | None = None


@router.get("", response_model=Page[AgentLog])
async def list_agent_logs(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """The newest first."""
    return page(await db.agent_logs.list(**filters.values()), limit=filters.limit)


@router.get("/{id}", response_model=AgentLog)
async def get_agent_log(db: Db, id: RowNumber) -> Response:
    """One event."""
    return one(await db.agent_logs.get(str(id)))
