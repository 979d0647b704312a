"""Whether the server answers, whether its store is well, and what has come in lately."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel

from tac_orchestrator.engines.base import Finding
from tac_orchestrator.ops.arrivals import diagnose_arrivals
from tac_orchestrator.ops.doctor import diagnose
from tac_orchestrator.server.answers import Db
from tac_orchestrator.server.problems import PROBLEMS
from tac_orchestrator.settings import Settings

router = APIRouter(prefix="/api/health", tags=["health"], responses=PROBLEMS)

State = Literal["ok", "warning", "error"]


class Health(BaseModel):
    status: Literal["ok"]


class Examination(BaseModel):
    """What was looked at, when, and the worst that was found. `remedy` is empty where nothing is to be done."""

    state: State
    looked_at: datetime
    findings: list[Finding]


class Examiner:
    """Looks once for all who ask at about the same time: it takes the store some work, and a page asks again and again."""

    def __init__(self, look: Callable[[], Awaitable[list[Finding]]], keep: timedelta) -> None:
        self._look = look
        self._keep = keep
        self._turn = asyncio.Lock()
        self._last: Examination | None = None

    async def examination(self) -> Examination:
        async with self._turn:
            if self._last is None or datetime.now(UTC) - self._last.looked_at >= self._keep:
                findings = await self._look()
                self._last = Examination(state=_worst(findings), looked_at=datetime.now(UTC), findings=findings)
            return self._last


class Examiners:
    """Of one store."""

    def __init__(self, settings: Settings) -> None:
        self.database = Examiner(lambda: diagnose(settings), timedelta(seconds=30))
        self.ingest = Examiner(lambda: diagnose_arrivals(settings), timedelta(seconds=5))


def _worst(findings: list[Finding]) -> State:
    states = {finding.state for finding in findings}
    if "error" in states:
        return "error"
    return "warning" if "warning" in states else "ok"


@router.get("")
async def get_health(db: Db) -> Health:
    """The only answer that needs no token: it says nothing else. 503 while the store cannot be read."""
    await db.changes.last()
    return Health(status="ok")


@router.get("/database")
async def get_database_health(request: Request) -> Examination:
    """What `tac-orch doctor` says. Those who ask within half a minute are told the same."""
    examiners: Examiners = request.app.state.examiners
    return await examiners.database.examination()


@router.get("/ingest")
async def get_ingest_health(request: Request) -> Examination:
    """What `tac-orch doctor ingest` says: what came from where in the last days, what was left out, and why."""
    examiners: Examiners = request.app.state.examiners
    return await examiners.ingest.examination()
