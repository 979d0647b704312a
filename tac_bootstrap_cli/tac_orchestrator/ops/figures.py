"""What the store holds in numbers, for those who watch it: from totals and small indexes, which cost little at any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args

from tac_orchestrator.database import Database
from tac_orchestrator.models import SessionStatus, Usage, WorkingStatus
from tac_orchestrator.tables.base import MAX_PAGE

_OPEN = ("pending", "streaming")


@dataclass(frozen=True, slots=True)
class Figures:
    """Every state is there, with 0 where there is none of it. Models as `Usages.by` has them, the dearest first."""

    sessions: Mapping[str, int]
    agents_at_work: Mapping[str, int]
    prompts_under_way: Mapping[str, int]
    models: list[Usage]
    models_today: list[Usage]
    stored_bytes: int


async def figures(db: Database) -> Figures:
    return Figures(
        sessions=await _counted(db, "sessions", get_args(SessionStatus)),
        agents_at_work=await _counted(db, "agents_at_work", get_args(WorkingStatus)),
        prompts_under_way=await _counted(db, "prompts_under_way", _OPEN),
        models=await db.usage.by("model", limit=MAX_PAGE),
        models_today=await db.usage.by("model", since=datetime.now(UTC), limit=MAX_PAGE),
        stored_bytes=await db.engine.size(),
    )


async def holdings(db: Database, today: datetime) -> dict[str, int]:
    """How many rows of each kind there are, how many sessions have begun since, and how many agents run."""
    query = db.engine.queries("figures")["holdings"]
    (raw,) = await db.engine.fetch(query, (db.engine.codec.time(today),))
    logs = {"agent_log_count": await db.agent_logs.count(), "system_log_count": await db.system_logs.count()}
    return {name: int(number) for name, number in raw.items()} | logs


async def _counted(db: Database, query: str, states: tuple[str, ...]) -> dict[str, int]:
    found = await db.engine.fetch(db.engine.queries("figures")[query], ())
    return {**dict.fromkeys(states, 0), **{raw["status"]: raw["number"] for raw in found}}
