"""Workflows: all agents of one session. An id may be any text: it is the rest of the path, percent-encoded."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import Session, SessionStatus
from tac_orchestrator.server.answers import Db, Page, TimedFilters, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/sessions", tags=["sessions"], responses=PROBLEMS)


class _Filters(TimedFilters):
    status: SessionStatus | None = None


@router.get("", response_model=Page[Session])
async def list_sessions(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """The newest first."""
    return page(await db.sessions.list(**filters.values()), limit=filters.limit, key="session_id")


@router.get("/{session_id:path}", response_model=Session)
async def get_session(db: Db, session_id: str) -> Response:
    """One session, with its totals."""
    return one(await db.sessions.get(session_id))
