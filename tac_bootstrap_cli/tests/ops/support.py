"""What tests of moved stores share: the place that one is moved to, the move, and all that a store tells of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tac_orchestrator import Database
from tac_orchestrator.ops.checks import check
from tac_orchestrator.ops.transfer import Transferred, transfer

from ..postgres.running import Cluster

NAME = "moved"
NUMBERS = "WITH RECURSIVE numbers (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"


@contextmanager
def new_place(server: Cluster) -> Generator[str]:
    """Where no database is yet."""
    try:
        yield server.url(NAME)
    finally:
        server.sql(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


async def make_store(target: Path | str) -> None:
    async with Database.open(target):
        pass


def moved(source: Path | str, target: Path | str, progress: Any = None) -> Transferred:
    async def run() -> Transferred:
        return await transfer(Database.open(source, create=False), target, progress)

    return asyncio.run(run())


async def everything(db: Database) -> dict[str, Any]:
    """All that the store tells of itself."""
    tables = (db.orchestrator_agents, db.agents, db.prompts, db.agent_logs, db.system_logs, db.sessions)
    rows: dict[str, Any] = {
        table.name: sorted([floating(row.model_dump()) for row in await table.list(limit=10_000)], key=repr) for table in tables
    }
    rows["usage"] = [await db.usage.by(group) for group in ("model", "day", "agent_type", "session")]
    for table in ("leases", "daily_usage", "source_files", "redactions", "spans"):
        rows[table] = (await db.query(f"SELECT COUNT(*) AS count FROM {table}"))[0]["count"]
    return rows


def floating(value: Any) -> Any:
    """With all numbers as floats: to PostgreSQL, 1e+17 is a whole number like any other."""
    if isinstance(value, dict):
        return {name: floating(one) for name, one in value.items()}
    if isinstance(value, list):
        return [floating(one) for one in value]
    return float(value) + 0.0 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


async def told(target: Path | str) -> dict[str, Any]:
    async with Database.open(target, create=False) as db:
        assert [finding for finding in await check(db) if finding.state != "ok"] == []
        return await everything(db)
