"""Events that belong to no agent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import LogLevel, SystemLog
from tac_orchestrator.server.answers import Db, NumberedFilters, Page, RowNumber, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/system-logs", tags=["system logs"], responses=PROBLEMS)


class _Filters(NumberedFilters):
    log_level: LogLevel | None = None
    component: str | None = None


@router.get("", response_model=Page[SystemLog])
async def list_system_logs(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """The newest first."""
    return page(await db.system_logs.list(**filters.values()), limit=filters.limit)


@router.get("/{id}", response_model=SystemLog)
async def get_system_log(db: Db, id: RowNumber) -> Response:
    """One event."""
    return one(await db.system_logs.get(str(id)))
