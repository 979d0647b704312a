"""Calls that are made in the wrong way or at the wrong time: each is told so, and nothing is lost in silence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import (
    Agent,
    Database,
    DatabaseUnavailable,
    InvalidRecord,
    InvalidSetting,
    NotFound,
    OrchestratorAgent,
)

TABLES = ("orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs", "sessions")
NO_IDS = (["a"], {"a": {1}}, object(), Decimal("sNaN"), datetime(2026, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize("table", TABLES)
async def test_what_can_be_no_id_is_refused(db: Database, agent: Agent, table: str) -> None:
    rows = getattr(db, table)
    for key in (agent, *NO_IDS):
        for use in (rows.get(key), rows.delete(key), rows.list(before=key)):
            with pytest.raises(InvalidRecord, match=f"type {type(key).__name__}") as caught:
                await use
            assert "row.id" in caught.value.hint
    assert len(await db.agents.list()) == 1


@pytest.mark.parametrize(
    ("field", "use"),
    [
        ("sql", lambda db, value: db.query(value)),
        ("words", lambda db, value: db.search.find(value)),
        ("prefix", lambda db, value: db.sessions.matching(value)),
        ("position", lambda db, value: db.changes.after(value)),
        ("limit", lambda db, value: db.changes.after(limit=value)),
        ("until", lambda db, value: db.agent_logs.delete_older(value)),
        ("until", lambda db, value: db.system_logs.delete_older(value)),
    ],
)
async def test_an_argument_of_another_type_is_refused(
    db: Database, agent: Agent, field: str, use: Callable[[Database, Any], Awaitable[Any]]
) -> None:
    await db.agent_logs.create(agent.id, "milestone", "stays")
    await db.system_logs.create("api", "stays")
    for value in (None, b"x", ["x"], {}, object(), datetime(2026, 3, 1)):
        with pytest.raises(InvalidRecord) as caught:
            await use(db, value)
        assert (caught.value.field, bool(caught.value.hint)) == (field, True)
    assert (len(await db.agent_logs.list()), len(await db.system_logs.list())) == (1, 1)


async def test_a_text_that_is_no_time_deletes_nothing(db: Database, agent: Agent) -> None:
    await db.agent_logs.create(agent.id, "milestone", "stays")
    with pytest.raises(InvalidRecord):
        await db.agent_logs.delete_older("yesterday")  # pyright: ignore[reportArgumentType]
    assert len(await db.agent_logs.list()) == 1


@pytest.mark.parametrize("target", [5, b"a.db", True, ["a.db"], "a\0.db", "\ud800.db"])
def test_what_can_be_no_store_is_refused(target: Any) -> None:
    with pytest.raises(InvalidSetting, match="the path of a file"):
        Database.open(target)


async def test_a_store_may_have_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / b"caf\xe9.db".decode("utf-8", "surrogateescape")
    async with Database.open(path) as db:
        await db.system_logs.create("api", "x")
    assert path.is_file()


async def test_a_key_as_long_as_a_document_is_not_told_in_full(db: Database) -> None:
    with pytest.raises(NotFound) as caught:
        await db.agents.get("x" * 1_000_000)
    assert len(str(caught.value)) < 300


async def test_a_transaction_that_has_ended_takes_nothing(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    async with db.transaction() as together:
        await together.system_logs.create("api", "in time")
    with pytest.raises(DatabaseUnavailable, match="this transaction has ended") as caught:
        await together.system_logs.create("api", "too late")
    assert "within its block" in caught.value.hint
    together.agent_logs.log_soon("x", "milestone", "too late")
    assert "its transaction has ended" in caplog.text
    assert [log.message for log in await db.system_logs.list()] == ["in time"]


async def test_a_prompt_is_answered_in_its_block(db: Database, builder: OrchestratorAgent) -> None:
    async with db.agents.run(builder) as run:
        prompt = run.prompt("adw", text="x")
        for answer in (lambda: prompt.answer("y"), lambda: prompt.fail("z")):
            with pytest.raises(InvalidRecord, match="its block has not begun") as caught:
                answer()
            assert "async with agent.prompt" in caught.value.hint
        async with prompt:
            prompt.answer("y")
    assert [row.response_text for row in await db.prompts.list()] == ["y"]


async def test_a_generator_is_no_run(db: Database) -> None:
    async def bit_by_bit() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(InvalidRecord, match="after it has returned"):
        db.recorded("builder")(bit_by_bit)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", [ValueError("x"), ["a", "b"], {"a": 1}, 5, b"x", object()])
async def test_what_is_no_text_stops_no_program_that_is_forgiven(path: Path, text: Any) -> None:
    async with Database.open(path, forgiving=True) as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run("builder") as run:
            await run.log("error", text)
            run.log_soon("error", text)
            async with run.prompt("adw", text=text) as prompt:
                prompt.answer("y")
            async with run.prompt("adw", text="x") as prompt:
                prompt.answer(text)
            async with run.prompt("adw", text="x") as prompt:
                prompt.fail(text)
            await run.fail(text)
            await run.cancel(text)
        assert (await db.agents.get(run.id)).status == "completed"
        assert [row.status for row in await db.prompts.list()] == ["failed", "failed"]
