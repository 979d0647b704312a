"""Messages of the Claude Agent SDK pass as they are, and what they say is recorded."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from tac_orchestrator import Database
from tac_orchestrator.ingest.claude_code import import_claude_code
from tac_orchestrator.ingest.claude_sdk import recorded

from ..reliability.support import start
from .samples import contents, expected, projects

NAME = "claude-agent-sdk-subagents"
_FILE = Path(__file__).parents[1] / "samples" / NAME / "messages.jsonl"


HEARD_TOO_LATE = 3
"""Requests of sub-agents, and of the main agent about them, that came when the program no longer listened."""


def used_by_request(messages: list[Any]) -> dict[str, int]:
    """Input tokens, cached ones included, by the id of the answer: each answer is told of several times."""
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    answers = [message for message in messages if type(message).__name__ == "AssistantMessage"]
    return {one.message_id: sum(one.usage[name] for name in names) for one in answers}


def objects() -> list[Any]:
    """Messages as the SDK has them: objects of classes with these names."""
    return [_object(json.loads(line)) for line in _FILE.read_text().splitlines()]


def _object(value: Any) -> Any:
    if isinstance(value, list):
        return [_object(item) for item in value]
    if not isinstance(value, dict) or "__type__" not in value:
        return value
    kind = type(value["__type__"], (SimpleNamespace,), {})
    return kind(**{name: _object(item) for name, item in value.items() if name != "__type__"})


async def stream(messages: list[Any], error: Exception | None = None) -> AsyncGenerator[Any]:
    for message in messages:
        await asyncio.sleep(0)
        yield message
    if error is not None:
        raise error


async def passed(messages: list[Any], path: Path, **options: Any) -> list[Any]:
    return [message async for message in recorded(stream(messages), store=path, **options)]


async def test_messages_pass_as_they_are_and_the_run_is_recorded(path):
    messages = objects()
    assert await passed(messages, path, prompt="Review the project.") == messages
    truth = expected(NAME)
    async with Database.open(path) as db:
        agents = await db.agents.list()
        names = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
        prompts = [one for one in await db.prompts.list() if one.prompt_name != "unitemised"]
        tools = await db.agent_logs.list(log_type="tool_call")
        (session,) = await db.sessions.list()
    (main,) = [one for one in agents if one.parent_agent_id is None]
    told = sorted((names[one.orchestrator_agent_id], one.parent_agent_id) for one in agents if one is not main)
    assert told == sorted((one["type"], main.id) for one in truth["from_transcripts"]["agents"] if one["parent"])
    assert len(prompts) == truth["llm_calls"] - HEARD_TOO_LATE
    assert len(tools) == truth["tool_calls"]
    assert sum(one.log_level == "ERROR" for one in tools) == truth["failed_tools"]
    assert sum(one.tokens_input for one in prompts) == sum(used_by_request(messages).values())
    assert session.cost_usd == Decimal("0.03409835"), "the rest of what the last result reports"
    assert min(prompts, key=lambda one: one.created_at).prompt_text == "Review the project."


async def test_the_same_messages_again_change_nothing(path):
    await passed(objects(), path)
    async with Database.open(path) as db:
        once = await _counted(db)
    await passed(objects(), path)
    async with Database.open(path) as db:
        assert await _counted(db) == once


async def _counted(db: Database) -> dict[str, Any]:
    """All but what depends on when it was heard: times, and the lease, which who writes before the end takes."""
    rows = await contents(db)
    left_out = ("created_at", "completed_at", "started_at", "context", "details", "lease_id")
    return {table: [{name: row[name] for name in row if name not in left_out} for row in rows[table]] for table in rows}


async def test_with_the_transcripts_added_all_is_as_the_provider_counted(path):
    await passed(objects(), path)
    truth = expected(NAME)
    async with Database.open(path) as db:
        await import_claude_code(db, [projects(NAME)])
        prompts = await db.prompts.list()
        assert len(prompts) == truth["llm_calls"]
        assert sum(one.tokens_output for one in prompts) == truth["llm_api_truth"]["output_tokens"]
        (session,) = await db.sessions.list()
        assert session.cost_usd == Decimal(str(truth["cost_usd_genai_prices"]))
        assert session.agent_count == truth["agents"]


async def test_agents_are_seen_while_the_messages_pass(path):
    messages = objects()
    through = recorded(stream(messages), store=path)
    for _ in range(6):
        await anext(through)
    async with Database.open(path) as db:
        for _ in range(3000):
            if agents := await db.agents.list(status="executing"):
                break
            await asyncio.sleep(0.01)
    await through.aclose()
    assert agents


async def test_a_session_that_breaks_off_has_failed_and_the_error_goes_on(path):
    with pytest.raises(RuntimeError, match="the process is gone"):
        async for _ in recorded(stream(objects()[:6], RuntimeError("the process is gone")), store=path):
            pass
    async with Database.open(path) as db:
        assert {one.status for one in await db.agents.list()} == {"failed"}


LISTENING = """
import asyncio, sys
from tac_orchestrator.ingest.claude_sdk import recorded
from tests.ingest.test_claude_sdk import objects


async def silent():
    for message in objects()[:6]:
        yield message
    await asyncio.sleep(600)


async def listen(path):
    async for message in recorded(silent(), store=path):
        pass


asyncio.run(listen(sys.argv[1]))
"""


async def test_who_is_cancelled_while_messages_pass_leaves_no_thread_behind(path):
    others = set(threading.enumerate())

    def ours() -> list[threading.Thread]:
        return [thread for thread in set(threading.enumerate()) - others if thread.name.startswith("tac-orchestrator")]

    with anyio.CancelScope() as scope:
        async for _ in recorded(stream(objects()), store=path):
            scope.cancel()
    while left := ours():
        await asyncio.to_thread(left[0].join, 30)
        assert not left[0].is_alive()
    async with Database.open(path) as db:
        assert await db.agents.list(status="executing") == []


async def test_agents_of_a_process_that_was_killed_have_failed(path):
    async with Database.open(path) as db:
        with start(LISTENING, path, cwd=Path(__file__).parents[2]) as process:
            await until(lambda: db.agents.list(status="executing"))
            assert await db.agents.close_lost() == [], "as long as it lives"
            process.kill()
            process.wait()
        assert await db.agents.close_lost()
        ends = {(one.status, (one.error_message or "").partition(" on ")[0]) for one in await db.agents.list()}
    assert ends == {("failed", f"Its process ({process.pid}")}


async def test_sub_agents_that_go_on_when_nobody_listens_any_more_are_not_taken_for_lost(path):
    messages = objects()
    result = next(number for number, one in enumerate(messages) if type(one).__name__ == "ResultMessage")
    await passed(messages[: result + 1], path)

    async with Database.open(path) as db:
        assert await db.agents.list(status="executing")
        assert await db.agents.close_lost() == []


async def until(found):
    for _ in range(3000):
        if await found():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def test_a_store_that_is_none_and_strange_messages_do_not_stop_them(tmp_path, caplog):
    broken = tmp_path / "broken.db"
    broken.write_text("no store at all, and long enough to be none" * 100)
    messages = [None, 7, SimpleNamespace(data={"x": object()}, subtype=None), object(), *objects()]
    assert await passed(messages, broken) == messages
    assert "not recorded" in caplog.text
