"""Leases: agents whose process is gone are closed, and those of a living one are not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, Database, OrchestratorAgent
from tac_orchestrator.tables.leases import this_host

from .support import changes_of, connected, start_python

RECORDING = """
import asyncio, sys
from tac_orchestrator import Database

async def main(path):
    async with Database.open(path) as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run("builder") as run, run.spawn("builder") as child:
            print(run.id, child.id, flush=True)
            await asyncio.to_thread(sys.stdin.read)

asyncio.run(main(sys.argv[1]))
"""


def begin(process: subprocess.Popen[str]) -> list[str]:
    """The ids of the agents that the process runs."""
    assert process.stdout
    return process.stdout.readline().split()


def kill(process: subprocess.Popen[str]) -> None:
    """Nobody takes note of its end: it stays, as a zombie."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


async def test_the_agents_of_a_killed_process_are_closed_and_those_of_a_living_one_are_not(db: Database, path: Path) -> None:
    with start_python(RECORDING, path) as killed, start_python(RECORDING, path) as living:
        lost, kept = begin(killed), begin(living)
        assert await db.agents.close_lost() == []
        kill(killed)
        assert sorted(await db.agents.close_lost()) == sorted(lost)
        assert await db.agents.close_lost() == []
        for key in lost:
            agent = await db.agents.get(key)
            assert (agent.status, await changes_of(db, key)) == ("failed", ["executing → failed"])
            assert f"Its process ({killed.pid} on " in (agent.error_message or "")
        assert {(await db.agents.get(key)).status for key in kept} == {"executing"}
        living.communicate(timeout=30)
    assert {(await db.agents.get(key)).status for key in kept} == {"completed"}


@pytest.fixture
async def leased(db: Database, target: Path | str, builder: OrchestratorAgent) -> Callable[..., Awaitable[Agent]]:
    """A running agent whose process is described by these columns of its lease. A span of time is so long ago."""

    async def make(**columns: Any) -> Agent:
        lease = await db.leases.acquire()
        changes = ", ".join(f"{name} = ?" for name in columns)
        values = [ago(value) if isinstance(value, timedelta) else value for value in columns.values()]
        with connected(target) as connection:
            connection.execute(f"UPDATE leases SET {changes} WHERE id = ?", [*values, lease.id])
        return await db.agents.create(builder.id, "session", status="executing", lease_id=lease.id)

    return make


def ago(span: timedelta) -> str:
    return f"{datetime.now(UTC) - span:%Y-%m-%d %H:%M:%S.%f}"


@pytest.mark.parametrize(
    ("columns", "is_lost"),
    [
        ({"heartbeat_at": timedelta(days=1)}, False),
        ({"process_started_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}, True),
        ({"process_id": 2**22 + 1}, True),
        ({"released_at": timedelta(seconds=1)}, True),
        ({"host": "elsewhere", "process_id": 2**22 + 1}, False),
        ({"host": "elsewhere", "heartbeat_at": timedelta(minutes=4)}, False),
        ({"host": "elsewhere", "heartbeat_at": timedelta(minutes=6)}, True),
    ],
    ids=["alive", "number given anew", "gone", "released", "other host", "other host, quiet", "other host, silent"],
)
async def test_an_agent_is_lost_when_its_process_is(
    db: Database, leased: Callable[..., Awaitable[Agent]], columns: dict[str, Any], is_lost: bool
) -> None:
    agent = await leased(**columns)
    assert await db.agents.close_lost() == ([agent.id] if is_lost else [])
    assert (await db.agents.get(agent.id)).status == ("failed" if is_lost else "executing")


@pytest.mark.parametrize(("is_set", "is_another"), [(True, False), (False, True)], ids=["clock set", "number given anew"])
async def test_a_process_is_known_by_what_no_clock_changes(
    db: Database, leased: Callable[..., Awaitable[Agent]], is_set: bool, is_another: bool
) -> None:
    told, _, mark = (await db.leases.acquire()).process_started_at.partition(" ")
    told = (datetime.fromisoformat(told) - timedelta(hours=is_set)).isoformat()
    agent = await leased(process_started_at=f"{told} {mark}{1 if is_another else ''}")
    assert await db.agents.close_lost() == ([agent.id] if is_another else [])


async def test_agents_of_no_process_are_left_alone(db: Database, agent: Agent) -> None:
    assert await db.agents.close_lost() == []
    assert (await db.agents.get(agent.id)).status == "initializing"


async def test_a_process_has_one_lease_for_all_its_runs_and_gives_it_back(db: Database, target: Path | str) -> None:
    async with Database.open(target) as other:
        await other.orchestrator_agents.register("builder", agent_type="builder")
        async with other.agents.run("builder") as first, first.spawn("builder") as second:
            rows = [await db.agents.get(run.id) for run in (first, second)]
            (lease,) = await db.query("SELECT * FROM leases")
            assert {row.lease_id for row in rows} == {lease["id"]}
            assert (lease["host"], lease["process_id"], lease["released_at"]) == (this_host(), os.getpid(), None)
    assert (await db.query("SELECT released_at FROM leases"))[0]["released_at"] is not None


async def test_an_agent_that_is_resumed_belongs_to_the_process_that_resumes_it(
    db: Database, leased: Callable[..., Awaitable[Agent]]
) -> None:
    agent = await leased(process_id=2**22 + 1)
    await db.agents.close_lost()
    async with db.agents.resume(agent.id):
        assert await db.agents.close_lost() == []
    assert (await db.agents.get(agent.id)).status == "completed"
