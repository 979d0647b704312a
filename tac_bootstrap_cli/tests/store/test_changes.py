"""The feed of changes: every change is in it, and a listener goes on where it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, Change, Database, InvalidRecord, NotFound
from tac_orchestrator.testing import make_agent, make_prompt

from .support import NewAgent, NewPrompt, Sample, connected, insert


async def changes_of(db: Database, position: str = "0.0.0") -> list[tuple[str, str, str]]:
    return [(change.entity, change.operation, change.row_id) for change in await db.changes.after(position)]


async def test_every_change_of_a_row_is_in_the_feed(db: Database) -> None:
    kind = await db.orchestrator_agents.create("planner", agent_type="planner")
    agent = await db.agents.create(kind.id, "session")
    prompt = await make_prompt(db, agent)
    await db.orchestrator_agents.update(kind.id, description="Plans.")
    await db.agents.update(agent.id, context={})
    await db.prompts.update(prompt.id, prompt_name="x")
    await db.prompts.delete(prompt.id)
    await db.agents.delete(agent.id)
    await db.orchestrator_agents.delete(kind.id)
    rows = [("orchestrator_agent", kind.id), ("agent", agent.id), ("prompt", prompt.id)]
    assert await changes_of(db) == [
        *((entity, "insert", key) for entity, key in rows),
        *((entity, "update", key) for entity, key in rows),
        *((entity, "delete", key) for entity, key in reversed(rows)),
    ]


async def test_every_change_of_a_log_is_in_the_feed(db: Database, agent: Agent, path: Path) -> None:
    before = await db.changes.last()
    number = await db.agent_logs.create(agent.id, "milestone", "first")
    other = await db.system_logs.create("api", "first")
    assert await changes_of(db, before) == [("agent_log", "insert", str(number)), ("system_log", "insert", str(other))]
    before = await db.changes.last()
    with connected(path) as connection:
        connection.execute("UPDATE agent_logs SET message = 'second'")
        connection.execute("UPDATE system_logs SET message = 'second'")
    await db.agent_logs.delete(number)
    await db.system_logs.delete(other)
    assert await changes_of(db, before) == [
        ("agent_log", "update", str(number)),
        ("system_log", "update", str(other)),
        ("agent_log", "delete", str(number)),
        ("system_log", "delete", str(other)),
    ]


async def test_what_follows_from_a_change_is_no_change_of_its_own(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    before = await db.changes.last()
    prompt = await new_prompt(agent, status="completed", cost_usd=1)
    assert await changes_of(db, before) == [("prompt", "insert", prompt.id)]


async def test_rows_that_go_with_another_are_in_the_feed(
    db: Database, agent: Agent, new_agent: NewAgent, new_prompt: NewPrompt
) -> None:
    child = await new_agent(parent_agent_id=agent.id)
    prompt = await new_prompt(agent)
    number = await db.agent_logs.create(agent.id, "milestone", "x")
    before = await db.changes.last()
    await db.agents.delete(agent.id)
    assert set(await changes_of(db, before)) == {
        ("prompt", "delete", prompt.id),
        ("agent_log", "delete", str(number)),
        ("agent", "update", child.id),
        ("agent", "delete", agent.id),
    }


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_a_listener_that_comes_back_goes_on_where_it_was(db: Database, sample: Sample, size: int) -> None:
    everything = await db.changes.after(limit=10_000)
    position, found = "0.0.0", list[Change]()
    for _ in range(len(everything) if size > 3 else 40):
        page = await db.changes.after(position, limit=size)
        found += page
        position = page[-1].position if page else position
    assert found == everything[: len(found)]
    assert len(found) == (len(everything) if size > 3 else 40 * size)


async def test_there_is_nothing_behind_the_last_change(db: Database, sample: Sample) -> None:
    assert await db.changes.after(await db.changes.last()) == []


async def test_a_change_that_is_no_longer_kept_is_told(db: Database, sample: Sample, path: Path) -> None:
    position = (await db.changes.after(limit=5))[-1].position
    with connected(path) as connection:
        connection.execute("DELETE FROM changes WHERE id <= 7")
    for stale in ("0.0.0", position):
        with pytest.raises(NotFound) as caught:
            await db.changes.after(stale)
        assert "anew" in caught.value.hint
    assert (await db.changes.after("7.0.0", limit=1))[0].position == "8.0.0"


@pytest.mark.parametrize("position", ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0", "1.0.0 ", "１.0.0", "9" * 30 + ".0.0"])
async def test_a_position_that_is_none_is_refused(db: Database, position: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await db.changes.after(position)
    assert caught.value.field == "position"


async def listened(db: Database, number: int, position: str) -> list[Change]:
    found = list[Change]()
    async for change in db.changes.follow(position):
        found.append(change)
        if len(found) == number:
            break
    return found


async def test_a_listener_hears_what_any_process_commits(db: Database, agent: Agent, path: Path) -> None:
    position = await db.changes.last()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, Database.open(path) as other:
        listening = tasks.create_task(listened(db, 3, position))
        await other.agent_logs.create(agent.id, "milestone", "one")
        await other.agents.update(agent.id, context={})
        with connected(path) as connection:
            insert(connection, "system_logs")
    assert {(change.entity, change.operation) for change in listening.result()} == {
        ("agent_log", "insert"),
        ("agent", "update"),
        ("system_log", "insert"),
    }


async def test_a_log_is_never_told_before_its_agent(db: Database, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is committed between two looks of one that reads the feed."""
    position, fetch = await db.changes.last(), db.changes._fetch  # pyright: ignore[reportPrivateUsage]

    async def fetch_and_write(*query: Any, **values: Any) -> Any:
        found = await fetch(*query, **values)
        async with Database.open(path) as other:
            await other.agent_logs.create((await make_agent(other)).id, "milestone", "begun")
            await other.system_logs.create("api", "begun")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(db.changes, "_fetch", fetch_and_write)
        told = await db.changes.after(position)
    agents = {change.row_id for change in told if change.entity == "agent"}
    logs = [await db.agent_logs.get(int(change.row_id)) for change in told if change.entity == "agent_log"]
    assert {log.agent_id for log in logs} <= agents
    everything = await db.changes.after(position)
    assert len(await db.changes.after(told[-1].position)) == len(everything) - len(told) > 0


async def test_a_listener_without_a_position_hears_what_comes(db: Database, agent: Agent) -> None:
    stream = db.changes.follow()
    async with asyncio.timeout(10):
        hearing = asyncio.ensure_future(anext(stream))
        while not hearing.done():
            await db.system_logs.create("api", "now")
            await asyncio.sleep(0)
    assert (hearing.result().entity, hearing.result().operation) == ("system_log", "insert")
