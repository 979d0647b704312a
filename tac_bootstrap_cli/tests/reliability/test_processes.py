"""Many processes that write to one store at once: nobody is turned away, and every row is there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tac_orchestrator import Database

from .support import faults, make_store, start

RECORDING = """
# Awaits so many logs, and prompts beside them, in so many tasks. Tells when it is ready to begin.
import asyncio, sys
from tac_orchestrator import Database

async def write(run, numbers):
    for number in numbers:
        if number % 10:
            await run.log("milestone", f"{number}", details={"number": number})
        else:
            async with run.prompt("adw", text=f"{number}") as prompt:
                prompt.answer("yes", tokens_input=number, tokens_output=1, cost_usd=0.001)

async def main(path, writes, tasks):
    async with Database.open(path) as db, db.agents.run("recorder", session_id="together") as run:
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(write(run, range(first, writes, tasks)) for first in range(tasks)))

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def record_together(path: Path, processes: int, writes: int, tasks: int) -> None:
    await make_store(path)
    recorders = [start(RECORDING, path, writes, tasks) for _ in range(processes)]
    for recorder in recorders:
        assert recorder.stdout
        assert await asyncio.to_thread(recorder.stdout.readline) == "ready\n"
    ends = await asyncio.gather(*(asyncio.to_thread(recorder.communicate, "go\n", timeout=600) for recorder in recorders))
    assert [errors for _, errors in ends if errors] == []
    assert [recorder.returncode for recorder in recorders] == [0] * processes


async def assert_everything_is_there(path: Path, processes: int, writes: int) -> None:
    prompts = writes // 10
    async with Database.open(path) as db:
        rows = await db.query(
            "SELECT agent_id, COUNT(*) AS logs, COUNT(DISTINCT message) AS messages FROM agent_logs"
            " WHERE log_type = 'milestone' GROUP BY agent_id"
        )
        assert [(row["logs"], row["messages"]) for row in rows] == [(writes - prompts, writes - prompts)] * processes
        session = await db.sessions.get("together")
        assert (session.agent_count, session.prompt_count, session.status) == (processes, processes * prompts, "completed")
        assert session.tokens_input == processes * sum(range(0, writes, 10))
        assert float(session.cost_usd or 0) == pytest.approx(processes * prompts * 0.001)
    assert await faults(path) == []


@pytest.mark.parametrize(("processes", "writes", "tasks"), [(16, 500, 16)])
async def test_sixteen_processes_lose_nothing_and_are_never_turned_away(
    path: Path, processes: int, writes: int, tasks: int
) -> None:
    await record_together(path, processes, writes, tasks)
    await assert_everything_is_there(path, processes, writes)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("processes", "writes", "tasks"), [(16, 2000, 1), (16, 2000, 16), (64, 500, 4)])
async def test_any_number_of_processes_lose_nothing_and_are_never_turned_away(
    path: Path, processes: int, writes: int, tasks: int
) -> None:
    await record_together(path, processes, writes, tasks)
    await assert_everything_is_there(path, processes, writes)
