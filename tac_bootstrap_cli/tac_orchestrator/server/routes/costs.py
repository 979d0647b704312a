"""What models cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tac_orchestrator.models import DailyUsage, Time, Usage
from tac_orchestrator.server.answers import MAX_LIMIT, Db, listed
from tac_orchestrator.server.problems import PROBLEMS
from tac_orchestrator.tables.usage import Group

router = APIRouter(prefix="/api/costs", tags=["costs"], responses=PROBLEMS)


class _Days(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Time | None = None
    until: Time | None = None
    limit: int = Field(100, ge=1, le=MAX_LIMIT)


class _Choice(_Days):
    by: Group = "model"


@router.get("", response_model=list[Usage])
async def list_costs(db: Db, choice: Annotated[_Choice, Query()]) -> Response:
    """The dearest first; days, the newest first. Whole days count, in UTC."""
    return listed(await db.usage.by(choice.by, since=choice.since, until=choice.until, limit=choice.limit))


@router.get("/daily", response_model=list[DailyUsage])
async def list_daily_costs(db: Db, days: Annotated[_Days, Query()]) -> Response:
    """Each model of each day, the newest day and its dearest model first. Days are in UTC."""
    return listed(await db.usage.daily(since=days.since, until=days.until, limit=days.limit))
