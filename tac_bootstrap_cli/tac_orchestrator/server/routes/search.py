"""Words in prompts, answers and logs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tac_orchestrator.models import SearchHit
from tac_orchestrator.server.answers import Db, listed
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/search", tags=["search"], responses=PROBLEMS)


@router.get("", response_model=list[SearchHit])
async def search(
    db: Db,
    words: Annotated[str, Query(min_length=1, max_length=1000)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The newest first. `"a phrase"`, `begin*`, `-without` and `OR` mean what they mean elsewhere."""
    return listed(await db.search.find(words, limit=limit))


@router.get("/sessions", response_model=list[str])
async def search_sessions(
    db: Db,
    beginning: Annotated[str, Query(min_length=1, max_length=1000)],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[str]:
    """The sessions whose names begin so; the newest first."""
    return await db.sessions.matching(beginning, limit=limit)
