"""Whether the server answers, and whether its store does."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from tac_orchestrator.server.answers import Db
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/health", tags=["health"], responses=PROBLEMS)


class Health(BaseModel):
    status: Literal["ok"]


@router.get("")
async def get_health(db: Db) -> Health:
    """The only answer that needs no token: it says nothing else. 503 while the store cannot be read."""
    await db.changes.last()
    return Health(status="ok")
