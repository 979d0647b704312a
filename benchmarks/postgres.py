"""How fast rows come into PostgreSQL over the loopback, against what the driver alone needs for the same rows and tables: an
INSERT for each that somebody awaits, one COPY for many.

The server is the one of the tests, here with everything that makes rows durable. Each measurement has a new database.
"""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import orjson
from tac_bootstrap_cli.tests.postgres.running import new_cluster

from benchmarks.harness import MODEL, TOKENS, Budget, Line, ProgressLine, Size, spread
from benchmarks.writes import FEWEST, LOGS, PROMPTS, awaited_logs, bulk_logs, bulk_prompts, rate, running_agent
from tac_orchestrator.tables.base import new_id

DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB"}

AWAITED = Budget(15_000, "/s", at_least=True)
AGAINST_DRIVER = Budget(0.7, " ×", at_least=True)

TASKS = 64
CONNECTIONS = 32
"""As many as serve the driver best here: fewer sync more often, more wait for each other."""

INSERT_LOG = """
INSERT INTO agent_logs (agent_id, log_level, log_type, message, details, created_at)
VALUES ($1, 'INFO', 'milestone', $2, $3, $4)
"""

Copied = Callable[[str, datetime, int], dict[str, Any]]


def copy(table: str, row: Copied) -> Callable[[str, int], Coroutine[Any, Any, float]]:
    """Rows a second of one COPY. They are ready before the clock starts, and nobody checks them."""

    async def measure(url: str, count: int) -> float:
        async with running_agent(url) as (_, agent):
            rows = [row(agent.id, datetime.now(UTC), number) for number in range(count)]
        connection = await asyncpg.connect(url)
        gc.collect()
        start = perf_counter()
        await connection.copy_records_to_table(table, columns=list(rows[0]), records=[tuple(one.values()) for one in rows])
        spent = perf_counter() - start
        await connection.close()
        return count / spent

    return measure


async def inserted_logs(url: str, count: int) -> float:
    """Rows a second of tasks that each have a connection of a pool commit one log after another."""
    async with running_agent(url) as (_, agent):
        agent_id = agent.id
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:

        async def write(number: int) -> None:
            message, details = LOGS[number % len(LOGS)]
            await pool.execute(INSERT_LOG, agent_id, message, orjson.dumps(details).decode(), datetime.now(UTC))

        return await rate(count, write, tasks=TASKS)


def log(agent_id: str, at: datetime, number: int) -> dict[str, Any]:
    message, details = LOGS[number % len(LOGS)]
    told = {"agent_id": agent_id, "log_level": "INFO", "log_type": "milestone", "message": message, "created_at": at}
    return {**told, "details": orjson.dumps(details).decode()}


def prompt(agent_id: str, at: datetime, number: int) -> dict[str, Any]:
    text, response = PROMPTS[number % len(PROMPTS)]
    told = {"id": new_id(), "agent_id": agent_id, "prompt_type": "adw", "prompt_name": "build", "status": "completed"}
    return {**told, "prompt_text": text, "response_text": response, "model_used": MODEL, "created_at": at, **TOKENS}


CONTENDERS = {
    "awaited logs": (awaited_logs(TASKS), 20_000),
    "inserted logs": (inserted_logs, 10_000),
    "bulk logs": (bulk_logs, 50_000),
    "copied logs": (copy("agent_logs", log), 50_000),
    "bulk prompts": (bulk_prompts, 10_000),
    "copied prompts": (copy("prompts", prompt), 10_000),
}


def measure(size: Size, _folder: Path) -> list[Line]:
    results = _run(size)
    awaited = results["awaited logs"]
    return [
        Line("PostgreSQL: awaited logs, 64 tasks, /s", spread(awaited), median(awaited), AWAITED),
        _compared("awaited logs, 64 tasks", awaited, results["inserted logs"]),
        _compared("bulk logs", results["bulk logs"], results["copied logs"]),
        _compared("bulk prompts", results["bulk prompts"], results["copied prompts"]),
    ]


def _run(size: Size) -> dict[str, list[float]]:
    results: defaultdict[str, list[float]] = defaultdict(list)
    progress = ProgressLine("Writing to PostgreSQL", size.rounds * len(CONTENDERS))
    with new_cluster(settings=DURABLE) as cluster:
        for number in range(size.rounds):
            for place, name in enumerate(list(CONTENDERS)[:: 1 if number % 2 == 0 else -1]):
                progress.show(number * len(CONTENDERS) + place)
                measured, rows = CONTENDERS[name]
                with cluster.new_database() as url:
                    cluster.sql("CHECKPOINT")
                    results[name].append(asyncio.run(measured(url, max(int(rows * size.writes), FEWEST))))
    progress.show(size.rounds * len(CONTENDERS))
    return results


def _compared(what: str, ours: list[float], driver: list[float]) -> Line:
    ratios = [own / other for own, other in zip(ours, driver, strict=True)]
    return Line(f"PostgreSQL: {what}, /s", spread(ours), median(ratios), AGAINST_DRIVER, spread(driver), spread(ratios))
