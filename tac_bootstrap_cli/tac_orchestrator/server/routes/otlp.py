"""The way in for exporters of OpenTelemetry, see `server.telemetry`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tac_orchestrator.server.answers import Db

router = APIRouter(include_in_schema=False)


@router.post("/v1/{signal}")
async def take(db: Db, request: Request, signal: str) -> Response:
    """Traces, logs and metrics."""
    from tac_orchestrator.server import telemetry  # the server need not wait for it to be ready

    return await telemetry.take(db, request, signal)
