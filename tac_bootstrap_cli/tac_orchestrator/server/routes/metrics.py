"""Figures for Prometheus: what the store holds and costs, what this server does, and what its process takes."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from tac_orchestrator.ops.figures import figures
from tac_orchestrator.server.answers import Db

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def get_metrics(request: Request, db: Db) -> Response:
    """It costs little at any size, so that it may be asked for often."""
    from tac_orchestrator.server.exposition import exposition  # see there

    state = request.app.state
    accept = request.headers.get("accept", "")
    told, media_type = exposition(accept, await figures(db), db.writing, state.live, state.counts)
    return Response(told, headers={"Content-Type": media_type, "Cache-Control": "no-store"})
