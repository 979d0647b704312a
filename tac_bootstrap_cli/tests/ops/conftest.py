"""What tests of upkeep need: stores with a past, other processes that record meanwhile, and a server to move stores to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tac_orchestrator import Database, Session, Usage
from tac_orchestrator.engines.sqlite.library import sqlite

from ..postgres.running import NEWEST, Cluster, new_cluster
from ..store.support import connected, insert_all
from .support import make_store, new_place

Totals = tuple[list[list[Usage]], list[Session]]

_RECORD = """
import asyncio, sys
from tac_orchestrator import Database

async def record(path, session_id):
    async with Database.open(path) as db:
        await db.orchestrator_agents.register("recorder", agent_type="utility")
        async with db.agents.run("recorder", session_id=session_id) as agent:
            while True:
                await db.prompts.create(agent.id, "adw", "Count.", status="completed", cost_usd=0.01)
                await agent.log("milestone", "counted")
                print(flush=True)

asyncio.run(record(*sys.argv[1:]))
"""


@pytest.fixture
def python() -> Generator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python with some code and its arguments. It is killed when the test ends, if it still runs."""
    started = list[subprocess.Popen[str]]()

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def recorder(python: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Starts a process that records into a session until it is killed. It has recorded something once this returns."""

    def start(path: object, session_id: str = "recorded") -> subprocess.Popen[str]:
        process = python(_RECORD, path, session_id)
        assert process.stdout is not None
        assert process.stdout.readline() == "\n"
        return process

    return start


@pytest.fixture
def past(db: Database) -> Callable[..., Any]:
    """Fills the store with sessions, one a day, the newest of them of today."""

    async def fill(sessions: int = 6, *, agents: int = 4, prompts: int = 10, logs: int = 20, seed: int = 1) -> None:
        random = Random(seed)
        kinds = [await db.orchestrator_agents.register(f"kind {kind}", agent_type=kind) for kind in ("planner", "builder")]
        for number in range(sessions):
            at = datetime.now(UTC) - timedelta(days=sessions - 1 - number, minutes=10)
            ids = list[str]()
            for _ in range(agents):
                agent = await db.agents.create(
                    random.choice(kinds).id,
                    f"session {number}",
                    parent_agent_id=random.choice([None, *ids]),
                    status=random.choice(["completed", "failed", "cancelled"]),
                    started_at=at,
                    completed_at=at + timedelta(minutes=5),
                )
                ids.append(agent.id)
            await db.prompts.create_many(_prompt(random, random.choice(ids), at) for _ in range(prompts))
            await db.agent_logs.create_many(
                {"agent_id": random.choice(ids), "log_type": "milestone", "message": f"step {n}", "created_at": at}
                for n in range(logs)
            )
        await db.system_logs.create_many(
            {"component": "api", "message": "served", "created_at": datetime.now(UTC) - timedelta(days=day)}
            for day in range(sessions)
        )

    return fill


def _prompt(random: Random, agent_id: str, at: datetime) -> dict[str, Any]:
    status = random.choice(["completed", "completed", "failed", "cancelled", "pending"])
    counts = {f"tokens_{name}": random.choice([None, random.randrange(5000)]) for name in ("input", "output", "cache_read")}
    return {
        "agent_id": agent_id,
        "prompt_type": "adw",
        "prompt_text": "Build it.",
        "response_text": "Built.",
        "status": status,
        "model_used": random.choice([None, "claude-sonnet-4-5", "unheard-of"]),
        "cost_usd": random.choice([None, random.randrange(10**7) / 10**8]) if status != "pending" else None,
        "created_at": at + timedelta(hours=random.randrange(-3, 1), seconds=random.randrange(60)),
        "completed_at": None if status == "pending" else at + timedelta(minutes=2),
        **counts,
    }


@pytest.fixture
def totals() -> Callable[[Database], Any]:
    """What everything has cost, as usage and as the list of sessions tell it."""

    async def read(db: Database) -> Totals:
        usage = [await db.usage.by(group) for group in ("model", "day", "agent_type", "session")]
        sessions = [session.model_copy(update={"pruned_at": None}) for session in await db.sessions.list(limit=1000)]
        return usage, sessions

    return read


@pytest.fixture
def sql() -> Callable[..., list[tuple[Any, ...]]]:
    """Runs SQL on a file, as another program would: with foreign keys off, and committed at once."""

    def run(path: object, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite.connect(str(path), isolation_level=None, timeout=10)) as connection:
            return connection.execute(statement, values).fetchall()

    return run


@pytest.fixture(scope="session")
def server() -> Generator[Cluster]:
    with new_cluster(NEWEST) as cluster:
        yield cluster


@pytest.fixture
def url(server: Cluster) -> Generator[str]:
    with new_place(server) as found:
        yield found


@pytest.fixture
def store(path: Path) -> Path:
    """A valid row in each of the five tables."""
    asyncio.run(make_store(path))
    with connected(path) as connection:
        insert_all(connection)
    return path
