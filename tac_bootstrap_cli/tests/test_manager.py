"""The flat verbs: what scripts give, what they get back, and what happens when they are wrong."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from tac_orchestrator import AlreadyExists, DatabaseUnavailable, InvalidRecord, InvalidTransition, NotFound, manager
from tac_orchestrator.manager import DatabaseManager

NOBODY = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
async def flat(path: Path) -> AsyncGenerator[DatabaseManager]:
    async with DatabaseManager(path) as connected:
        yield connected


@pytest.fixture
async def kind(flat: DatabaseManager) -> str:
    return await flat.create_orchestrator_agent("sdlc_planner", "Plans.", "planner", "plan,estimate", "claude-opus-5-5")


@pytest.fixture
async def agent(flat: DatabaseManager, kind: str) -> str:
    return await flat.create_agent(kind, "session-1")


async def test_a_kind_of_agent_is_made_and_read(flat: DatabaseManager, kind: str) -> None:
    row = await flat.get_orchestrator_agent(kind)
    assert row is not None
    assert datetime.fromisoformat(row.pop("created_at")) <= datetime.fromisoformat(row.pop("updated_at"))
    assert row == {
        "id": kind,
        "name": "sdlc_planner",
        "description": "Plans.",
        "agent_type": "planner",
        "capabilities": '["plan","estimate"]',
        "default_model": "claude-opus-5-5",
    }


async def test_kinds_are_listed_newest_first_updated_and_deleted(flat: DatabaseManager, kind: str) -> None:
    other = await flat.create_orchestrator_agent("builder", None, "builder")
    assert [row["id"] for row in await flat.list_orchestrator_agents()] == [other, kind]
    assert await flat.update_orchestrator_agent(kind, description="New", capabilities=json.dumps(["a"]))
    row = await flat.get_orchestrator_agent(kind)
    assert row is not None
    assert (row["description"], row["capabilities"]) == ("New", '["a"]')
    assert await flat.delete_orchestrator_agent(other)
    assert await flat.get_orchestrator_agent(other) is None


async def test_an_agent_is_made_and_read(flat: DatabaseManager, kind: str, agent: str) -> None:
    child = await flat.create_agent(
        orchestrator_agent_id=kind,
        session_id="session-1",
        parent_agent_id=agent,
        status="executing",
        context=json.dumps({"issue": 42}),
        config={"model": "opus"},
    )
    row = await flat.get_agent(child)
    assert row is not None
    assert (row["parent_agent_id"], row["status"], row["session_id"]) == (agent, "executing", "session-1")
    assert (json.loads(row["context"]), json.loads(row["config"])) == ({"issue": 42}, {"model": "opus"})
    assert datetime.fromisoformat(row["started_at"]).tzinfo is None
    assert row["cost_usd"] is None


async def test_agents_are_listed_newest_first_of_one_session_or_of_all(flat: DatabaseManager, kind: str, agent: str) -> None:
    other = await flat.create_agent(kind, "session-2")
    assert [row["id"] for row in await flat.list_agents()] == [other, agent]
    assert [row["id"] for row in await flat.list_agents("session-1")] == [agent]
    assert [row["id"] for row in await flat.list_agents(session_id="")] == [other, agent]


async def test_an_agent_ends(flat: DatabaseManager, agent: str) -> None:
    ended = datetime(2026, 2, 4, 10, 30, tzinfo=UTC).replace(tzinfo=None).isoformat()
    assert await flat.update_agent(agent, status="failed", completed_at=ended, error_message="no tests")
    row = await flat.get_agent(agent)
    assert row is not None
    assert (row["status"], row["completed_at"], row["error_message"]) == ("failed", "2026-02-04T10:30:00.000000", "no tests")
    with pytest.raises(InvalidTransition):
        await flat.update_agent(agent, status="executing")


async def test_what_an_agent_cost_beyond_its_prompts_is_kept_as_a_prompt(flat: DatabaseManager, agent: str) -> None:
    prompt = await flat.create_prompt(agent, "adw", "Plan it.")
    await flat.update_prompt(prompt, status="completed", cost_usd=0.1)
    assert await flat.update_agent(agent, status="completed", cost_usd=0.35)
    row = await flat.get_agent(agent)
    assert row is not None
    assert (row["status"], row["cost_usd"]) == ("completed", 0.35)
    assert [row["cost_usd"] for row in await flat.list_prompts(agent)] == [0.1, 0.25]


async def test_a_sum_of_floats_is_the_sum_that_it_means(flat: DatabaseManager, agent: str) -> None:
    for cost in (0.1, 0.2, 0.7):
        await flat.update_prompt(await flat.create_prompt(agent, "adw", "Do it."), status="completed", cost_usd=cost)
    await flat.update_agent(agent, cost_usd=0.1 + 0.2 + 0.7)
    await flat.update_agent(agent, cost_usd=0.7 + 0.2 + 0.1)
    assert len(await flat.list_prompts(agent)) == 3


async def test_a_cost_below_that_of_the_prompts_does_not_hide_theirs(
    flat: DatabaseManager, agent: str, caplog: pytest.LogCaptureFixture
) -> None:
    await flat.update_prompt(await flat.create_prompt(agent, "adw", "Do it."), status="completed", cost_usd=0.5)
    assert await flat.update_agent(agent, cost_usd=0.25)
    row = await flat.get_agent(agent)
    assert row is not None
    assert row["cost_usd"] == 0.5
    assert "keeps its cost" in caplog.text


@pytest.mark.parametrize("cost", ["free", -1, float("nan"), float("inf")])
async def test_what_is_no_money_changes_nothing(flat: DatabaseManager, agent: str, cost: Any) -> None:
    with pytest.raises(InvalidRecord, match=r"agent\.cost_usd"):
        await flat.update_agent(agent, status="completed", cost_usd=cost)
    row = await flat.get_agent(agent)
    assert row is not None
    assert row["status"] == "initializing"


async def test_a_prompt_is_made_answered_and_listed_oldest_first(flat: DatabaseManager, agent: str) -> None:
    first = await flat.create_prompt(agent, "adw", "Plan it.", prompt_name="/plan", model_used="claude-opus-5-5")
    second = await flat.create_prompt(agent_id=agent, prompt_type="followup", prompt_text="And now?", status="streaming")
    assert await flat.update_prompt(
        first,
        response_text="Planned.",
        status="completed",
        tokens_input=1000,
        tokens_output=100,
        latency_ms=1234.56,
        completed_at="2026-02-04T10:30:00",
    )
    rows = await flat.list_prompts(agent)
    assert [(row["id"], row["status"]) for row in rows] == [(first, "completed"), (second, "streaming")]
    assert (rows[0]["latency_ms"], rows[0]["cost_usd"], rows[0]["cost_source"]) == (1235, 0.006, "priced")
    assert await flat.get_prompt(first) == rows[0]
    assert await flat.delete_prompt(second)


async def test_logs_are_made_and_read_in_all_their_ways(flat: DatabaseManager, kind: str, agent: str) -> None:
    other = await flat.create_agent(kind, "session-2")
    first = await flat.create_agent_log(agent, "INFO", "milestone", "begun", {"phase": "plan"})
    second = await flat.create_agent_log(agent_id=other, log_level="ERROR", log_type="error", message="broken", details=None)
    third = await flat.log_agent_event(agent, "milestone", "done", metadata={"files": 3})
    assert [(row["id"], row["details"]) for row in await flat.get_agent_logs(agent)] == [
        (first, {"phase": "plan"}),
        (third, {"files": 3}),
    ]
    assert [row["id"] for row in await flat.get_agent_logs(other, "ERROR")] == [second]
    assert [row["id"] for row in await flat.get_agent_logs(other, log_level="INFO")] == []
    assert [row["id"] for row in await flat.list_recent_agent_logs()] == [third, second, first]
    assert await flat.get_recent_logs(limit=2) == await flat.list_recent_agent_logs(2)
    assert [row["id"] for row in await flat.get_agent_logs_by_type(agent, "milestone", limit=1)] == [third]
    assert [row["id"] for row in await flat.get_logs_by_type("error")] == [second]


async def test_system_logs_are_made_and_read(flat: DatabaseManager) -> None:
    first = await flat.create_system_log("INFO", "database", "opened")
    second = await flat.create_system_log(log_level="ERROR", component="api", message="refused", details={"code": 500})
    assert [row["id"] for row in await flat.get_system_logs()] == [first, second]
    assert [row["details"] for row in await flat.get_system_logs("ERROR")] == [{"code": 500}]
    assert [row["id"] for row in await flat.get_system_logs(component="database")] == [first]
    assert [row["id"] for row in await flat.list_recent_system_logs(limit=1)] == [second]


async def test_old_logs_are_deleted_and_counted(flat: DatabaseManager, agent: str) -> None:
    old = datetime.now(UTC) - timedelta(days=31)
    row = {"agent_id": agent, "log_type": "milestone", "message": "old", "created_at": old}
    await flat.database.agent_logs.create_many([row] * 3)
    await flat.create_agent_log(agent, "INFO", "milestone", "new")
    assert await flat.cleanup_old_logs(days=30) == 3
    assert [row["message"] for row in await flat.get_agent_logs(agent)] == ["new"]
    assert await flat.cleanup_old_logs(10**9) == 0


@pytest.mark.parametrize("number", [b"3", ["3"], {}, "three", math.nan, math.inf, "nan", 10**400, datetime(2026, 3, 1)])
async def test_what_is_no_number_is_refused(flat: DatabaseManager, agent: str, number: Any) -> None:
    for verb, field in ((flat.cleanup_old_logs, "days"), (flat.list_recent_agent_logs, "limit")):
        with pytest.raises(InvalidRecord) as caught:
            await verb(number)
        assert caught.value.field == field
    with pytest.raises(InvalidRecord):
        await flat.cleanup_old_logs(-1)


async def test_a_number_may_be_a_text_as_it_comes_from_a_command_line(flat: DatabaseManager, agent: str) -> None:
    for message in ("first", "second"):
        await flat.create_agent_log(agent, "INFO", "milestone", message)
    text: Any = "1"
    assert [row["message"] for row in await flat.list_recent_agent_logs(text)] == ["second"]
    assert await flat.cleanup_old_logs(text) == 0


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 7, 8, 100, -1])
async def test_a_list_is_not_shortened_to_a_page(
    flat: DatabaseManager, agent: str, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(manager, "MAX_PAGE", 3)
    ids = [await flat.create_agent_log(agent, "INFO", "milestone", str(number)) for number in range(7)]
    assert [row["id"] for row in await flat.get_agent_logs(agent)] == ids
    recent = [row["id"] for row in await flat.list_recent_agent_logs(limit)]
    assert recent == ids[::-1][: 7 if limit < 0 else limit]


async def test_what_is_not_there_is_none_or_false(flat: DatabaseManager) -> None:
    assert await flat.get_orchestrator_agent(NOBODY) is None
    assert await flat.get_agent(NOBODY) is None
    assert await flat.get_agent("no UUID") is None
    assert await flat.get_prompt(NOBODY) is None
    assert not await flat.update_orchestrator_agent(NOBODY, description="x")
    assert not await flat.update_agent(NOBODY, status="completed")
    assert not await flat.update_agent(NOBODY, cost_usd=1)
    assert not await flat.update_prompt(NOBODY, status="completed")
    assert not await flat.delete_orchestrator_agent(NOBODY)
    assert not await flat.delete_agent(NOBODY)
    assert not await flat.delete_prompt(NOBODY)


async def test_to_set_nothing_does_nothing(flat: DatabaseManager, kind: str, agent: str) -> None:
    assert not await flat.update_orchestrator_agent(kind)
    assert not await flat.update_agent(agent)
    assert not await flat.update_prompt(NOBODY)


async def test_a_column_that_there_is_not_is_left_out_with_a_warning(
    flat: DatabaseManager, kind: str, agent: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert not await flat.update_agent(agent, is_active=True)
    assert await flat.update_orchestrator_agent(kind, description="kept", is_active=True, metadata={})
    row = await flat.get_orchestrator_agent(kind)
    assert row is not None
    assert row["description"] == "kept"
    assert "there is no column for is_active, metadata: not recorded" in caplog.text


async def test_wrong_values_are_refused_with_the_column(flat: DatabaseManager, kind: str, agent: str) -> None:
    with pytest.raises(AlreadyExists):
        await flat.create_orchestrator_agent("sdlc_planner", None, "planner")
    with pytest.raises(InvalidRecord, match=r"agent\.status"):
        await flat.create_agent(kind, "session-1", status="pending")
    with pytest.raises(NotFound):
        await flat.create_agent(NOBODY, "session-1")
    with pytest.raises(InvalidRecord, match=r"agent_log\.log_type"):
        await flat.create_agent_log(agent, "INFO", "step_start", "x")
    with pytest.raises(InvalidRecord, match="completed_at"):
        await flat.update_agent(agent, completed_at="yesterday")


@pytest.mark.parametrize(
    "event",
    [
        {"agent_id": NOBODY, "log_type": "milestone"},
        {"agent_id": None, "log_type": "milestone"},
        {"agent_id": NOBODY, "log_type": "agent_started"},
        {"agent_id": NOBODY, "log_type": "milestone", "metadata": {"what": object()}},
        {"agent_id": NOBODY, "log_type": "milestone", "log_level": "loud"},
    ],
)
async def test_an_event_that_cannot_be_recorded_never_raises(
    flat: DatabaseManager, event: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert await flat.log_agent_event(message="x", **event) is None
    assert "is not recorded" in caplog.text


async def test_an_event_without_a_connection_never_raises(path: Path) -> None:
    assert await DatabaseManager(path).log_agent_event(NOBODY, "milestone", "x") is None


async def test_it_connects_and_closes_as_often_as_one_likes(path: Path) -> None:
    flat = DatabaseManager(path)
    with pytest.raises(DatabaseUnavailable, match="not connected"):
        await flat.list_agents()
    assert flat.conn is None
    for _ in range(2):
        await flat.connect()
        await flat.connect()
        assert await flat.list_agents() == []
        await flat.close()
        await flat.close()
        assert flat.conn is None


async def test_conn_is_an_aiosqlite_connection_on_the_same_store(flat: DatabaseManager, agent: str) -> None:
    assert isinstance(flat.conn, aiosqlite.Connection)
    async with flat.conn.execute("SELECT id, status FROM agents WHERE id = ?", (agent,)) as cursor:
        row = await cursor.fetchone()
    assert row is not None
    assert dict(row) == {"id": agent, "status": "initializing"}
    await flat.conn.execute("UPDATE agents SET status = 'planning' WHERE id = ?", (agent,))
    await flat.conn.commit()
    found = await flat.get_agent(agent)
    assert found is not None
    assert found["status"] == "planning"


async def test_the_next_verb_that_writes_commits_what_conn_has_written(flat: DatabaseManager, agent: str) -> None:
    await flat.conn.execute("UPDATE agents SET status = 'planning' WHERE id = ?", (agent,))
    await flat.create_agent_log(agent, "INFO", "milestone", "not held up by it")
    found = await flat.get_agent(agent)
    assert found is not None
    assert found["status"] == "planning"


async def test_secrets_stay_out(flat: DatabaseManager, agent: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await flat.log_agent_event(agent, "tool_call", "curl", metadata={"password": "hunter2"})
    assert [row["details"] for row in await flat.get_agent_logs(agent)] == [{"password": "[REDACTED:password]"}]
