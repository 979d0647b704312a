"""Requests to models."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from tac_orchestrator.models import Prompt, PromptStatus, PromptType
from tac_orchestrator.server.answers import Db, Page, TimedFilters, one, page
from tac_orchestrator.server.problems import PROBLEMS

router = APIRouter(prefix="/api/prompts", tags=["prompts"], responses=PROBLEMS)


class _Filters(TimedFilters):
    agent_id: str | None = None
    session_id: str | None = None
    status: PromptStatus | None = None
    prompt_type: PromptType | None = None
    model_used: str | None = None
    brief: bool = Field(False, description="With the first 300 characters of their texts, and without details.")


@router.get("", response_model=Page[Prompt])
async def list_prompts(db: Db, filters: Annotated[_Filters, Query()]) -> Response:
    """The newest first."""
    return page(await db.prompts.list(**filters.values()), limit=filters.limit)


@router.get("/{id}", response_model=Prompt)
async def get_prompt(db: Db, id: str) -> Response:
    """One request, and its answer."""
    return one(await db.prompts.get(id))
