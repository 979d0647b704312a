"""Transactions, which are whole or not there, and queries of one's own, which only read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tac_orchestrator import Agent, Database, DatabaseReadOnly, InvalidRecord, NotFound
from tac_orchestrator.testing import make_agent, make_prompt

from .support import UNKNOWN, definitions

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


async def test_a_transaction_is_committed_as_a_whole(db: Database, agent: Agent) -> None:
    async with db.transaction() as tables:
        await tables.agents.update(agent.id, status="executing")
        prompt = await tables.prompts.create(agent.id, "adw", "text")
        await tables.agent_logs.create(agent.id, "milestone", "x")
        assert await db.prompts.list() == []
    assert [found.id for found in await db.prompts.list()] == [prompt.id]
    assert (await db.agents.get(agent.id)).status == "executing"
    assert len(await db.agent_logs.list()) == 2


async def test_an_exception_leaves_nothing_of_a_transaction(db: Database, agent: Agent) -> None:
    async def fail() -> None:
        async with db.transaction() as tables:
            await tables.prompts.create(agent.id, "adw", "text")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await db.prompts.list() == []


async def test_a_fault_leaves_nothing_of_a_transaction(db: Database, agent: Agent) -> None:
    async def write() -> None:
        async with db.transaction() as tables:
            await tables.system_logs.create("api", "x")
            await tables.prompts.create(UNKNOWN, "adw", "text")

    with pytest.raises(NotFound):
        await write()
    assert await db.system_logs.list() == []


async def test_a_kind_may_be_registered_in_a_transaction(db: Database) -> None:
    async with db.transaction() as tables:
        kind = await tables.orchestrator_agents.register("planner", agent_type="planner")
        agent = await tables.agents.create(kind.id, "session")
    assert (await db.agents.get(agent.id)).orchestrator_agent_id == kind.id


async def test_a_query_may_hold_colons_and_values(db: Database, agent: Agent) -> None:
    await make_agent(db, session_id="team:alpha")
    rows = await db.query(
        "SELECT session_id, 'a:b' AS text FROM agents WHERE session_id = :name -- or :other", name="team:alpha"
    )
    assert rows == [{"session_id": "team:alpha", "text": "a:b"}]


async def test_a_query_tells_all_columns_of_one_name(db: Database, agent: Agent) -> None:
    prompt = await make_prompt(db, agent)
    (row,) = await db.query("SELECT prompts.id, agents.id, agents.id FROM prompts JOIN agents ON agents.id = agent_id")
    assert {name: str(value) for name, value in row.items()} == {"id": prompt.id, "id:1": agent.id, "id:2": agent.id}


@pytest.mark.parametrize("sql", ["SELEKT 1", "SELECT nothing FROM agents", "SELECT :missing", "SELECT 1; SELECT 2"])
async def test_a_query_that_is_wrong_is_refused(db: Database, sql: str) -> None:
    with pytest.raises(InvalidRecord):
        await db.query(sql)


async def test_a_query_whose_caller_goes_away_ends_wherever_it_is(path: Path) -> None:
    async with Database.open(path) as db:
        for steps in range(12):
            task = asyncio.create_task(db.query(ENDLESS))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
        every_connection = [db.query("SELECT 1 AS one") for _ in range(12)]
        assert await asyncio.gather(*every_connection) == [[{"one": 1}]] * 12


@pytest.mark.parametrize("sql", ["DELETE FROM agents", "DROP TABLE agents", "CREATE TABLE mine (x)", "PRAGMA user_version = 3"])
async def test_a_query_only_reads(db: Database, agent: Agent, path: Path, sql: str) -> None:
    before = definitions(path)
    with pytest.raises(DatabaseReadOnly) as caught:
        await db.query(sql)
    assert "owner" not in caught.value.hint  # nothing is wrong with the file
    assert definitions(path) == before
    assert await db.agents.list() == [agent]


@pytest.mark.parametrize("sql", ["ATTACH {} AS mine", " /* a\ncopy */ ; -- of it\n vacuum main INTO {}"])
async def test_a_query_makes_no_file(db: Database, path: Path, sql: str) -> None:
    made = path.with_name("made.db")
    with pytest.raises(DatabaseReadOnly):
        await db.query(sql.format(f"'{made}'"))
    assert not made.exists()


@pytest.mark.parametrize("comment", ["/**/", "--\n", "/* -- */ ", "--"])
async def test_any_number_of_comments_is_passed_over_at_once(db: Database, path: Path, comment: str) -> None:
    assert await db.query(f"{comment * 1000}\nSELECT 1 AS one") == [{"one": 1}]


async def test_a_query_cannot_make_its_connection_write(db: Database, agent: Agent, path: Path) -> None:
    for _ in range(8):
        await db.query("PRAGMA query_only = 0")
    with pytest.raises(DatabaseReadOnly):
        await db.query("DELETE FROM agents")
    assert await db.agents.list() == [agent]
