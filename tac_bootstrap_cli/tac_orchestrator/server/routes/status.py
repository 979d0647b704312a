"""What the store holds, and which one it is."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from tac_orchestrator.schema import migrations
from tac_orchestrator.server.answers import Db
from tac_orchestrator.server.problems import PROBLEMS
from tac_orchestrator.version import VERSION

router = APIRouter(prefix="/api/status", tags=["status"], responses=PROBLEMS)


class Status(BaseModel):
    """`size_bytes` are those of a file with its log, or of the tables in a server."""

    version: str
    schema_version: int
    store: str
    size_bytes: int
    session_count: int
    agent_count: int
    running_count: int
    prompt_count: int


@router.get("")
async def get_status(db: Db) -> Status:
    """Counts are those of the sessions' totals, so that they cost little at any size."""
    totals, size = await db.sessions.totals(), await db.engine.size()
    return Status(version=VERSION, schema_version=len(migrations()), store=db.target, size_bytes=size, **totals)
