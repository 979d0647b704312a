"""Runs and the tasks that they are in: cancelled again and again, before they began, or left in the midst of a generator."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tac_orchestrator import Database, OrchestratorAgent, current_run

from .support import connected, for_ever, logs_of, wait_for_a_turn


@pytest.mark.parametrize("is_answered", [False, True])
async def test_an_end_whose_task_is_cancelled_again_and_again_is_stored(
    db: Database, builder: OrchestratorAgent, path: Path, is_answered: bool
) -> None:
    """What a cancel scope of anyio does, and with it a server whose client has gone."""
    with connected(path) as other, anyio.CancelScope() as scope:
        async with db.agents.run(builder) as run, run.prompt("adw", text="x") as prompt:
            other.execute("BEGIN IMMEDIATE")  # until the connection is closed
            db.agent_logs.log_soon(run.id, "milestone", "in its turn, while all others wait")
            await asyncio.to_thread(wait_for_a_turn, path)
            if is_answered:
                prompt.answer("Done.")
            scope.cancel()
            if not is_answered:
                await for_ever()
    await db.flush()
    assert (await db.prompts.get(prompt.id)).status == ("completed" if is_answered else "cancelled")
    assert (await db.agents.get(run.id)).status == "cancelled"
    assert [log.message for log in await logs_of(db, run.id) if log.log_type != "milestone"] == ["executing → cancelled"]


async def test_a_run_that_is_cancelled_before_it_is_handed_over_leaves_neither_a_row_nor_a_warning(
    db: Database, builder: OrchestratorAgent, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with db.agents.run(builder):
            pytest.fail("the block is not entered")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)  # now it waits for its lease
    task.cancel()
    await asyncio.wait({task})
    await db.flush()
    assert await db.agents.list() == []
    assert caplog.text == ""


async def test_who_reads_a_generator_halfway_is_not_in_its_run_any_more(db: Database, builder: OrchestratorAgent) -> None:
    async def bit_by_bit() -> AsyncIterator[str]:
        async with db.agents.run(builder, session_id="bit by bit") as run:
            yield run.id
            yield "never read"

    async with db.agents.run(builder, session_id="outer") as outer:
        async for bit in bit_by_bit():
            left = bit
            break
        gc.collect()
        await asyncio.sleep(0)  # now the loop has a task that closes it
        await asyncio.wait({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})
        assert current_run() is outer
        async with db.agents.run(builder) as inner:
            pass
    assert (await db.agents.get(left)).status == "cancelled"
    assert (await db.agents.get(inner.id)).parent_agent_id == outer.id
    assert current_run() is None


async def test_a_task_that_outlives_its_run_is_still_in_it(db: Database, builder: OrchestratorAgent) -> None:
    go_on = asyncio.Event()

    async def later() -> None:
        await go_on.wait()
        async with db.agents.run(builder):
            pass

    async with db.agents.run(builder, session_id="outer") as outer:
        task = asyncio.create_task(later())
    go_on.set()
    await task
    assert [agent.parent_agent_id for agent in await db.agents.list(parent_agent_id=outer.id)] == [outer.id]
