"""What Claude Code's transcripts become, however they are read."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop of a test

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import AgentNode, Database, Session
from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.ingest.claude_code import Report, default_folders, import_claude_code, watch_claude_code

from .samples import (
    SAMPLES,
    contents,
    expected,
    lines_of,
    main_transcript,
    projects,
    transcript_files,
    write_lines,
)

SUBAGENTS = "claude-code-subagents"
NESTED = "claude-code-2.1.330-nested-2"
BASIC = "claude-code-basic"
FORK = "00000000-0000-4000-8000-00000000f04c"


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Database]:
    """A second store, to compare with."""
    async with Database.open(tmp_path / "other.db") as database:
        yield database


async def only_session(db: Database) -> Session:
    (session,) = await db.sessions.list()
    return session


async def tree(db: Database) -> list[AgentNode]:
    return await db.sessions.tree((await only_session(db)).session_id)


def forget_reading(folder: Path) -> None:
    """The files look as if they had changed."""
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, ns=(1, 1))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder for transcripts that a test changes."""
    return tmp_path / "projects"


def copy_of(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(projects(name), folder))


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_session_costs_what_it_truly_cost(db: Database, name: str) -> None:
    await import_claude_code(db, [projects(name)])
    session, truth = await only_session(db), expected(name)
    told = truth["from_transcripts"]
    assert session.agent_count == truth["agents"]
    assert session.prompt_count - session.prompt_failed_count == truth["llm_calls"]
    assert session.tokens_output == told["output_tokens"]
    assert session.tokens_cache_read == told["cache_read_input_tokens"]
    assert session.tokens_cache_write == told["cache_creation_input_tokens"]
    assert session.tokens_input == told["input_tokens"] + session.tokens_cache_read + session.tokens_cache_write
    assert (session.cost_usd or 0) == Decimal(str(truth["cost_usd_genai_prices"]))


@pytest.mark.parametrize("name", SAMPLES)
async def test_sub_agents_stand_under_who_started_them(db: Database, name: str) -> None:
    await import_claude_code(db, [projects(name)])
    agents = {node.id: await db.agents.get(node.id) for node in await tree(db)}
    keys = {(agent.context or {}).get("agent_key") or agent.session_id: agent for agent in agents.values()}
    for told in expected(name)["from_transcripts"]["agents"]:
        agent = keys[told["agent"]]
        assert agent.parent_agent_id == (keys[told["parent"]].id if told["parent"] else None)


@pytest.mark.parametrize("name", SAMPLES)
async def test_every_use_of_a_tool_is_a_log(db: Database, name: str) -> None:
    await import_claude_code(db, [projects(name)])
    told = expected(name)["from_transcripts"]
    logs = await db.agent_logs.list(log_type="tool_call", limit=1000)
    assert len(logs) == told["tool_uses"]
    assert sum(log.log_level == "ERROR" for log in logs) == told["tool_results_is_error"]


async def test_kinds_are_named_as_in_the_session(db: Database) -> None:
    await import_claude_code(db, [projects(SUBAGENTS)])
    assert [(node.name, node.agent_type) for node in await tree(db)] == [
        ("claude-code", "orchestrator"),
        ("code-reviewer", "reviewer"),
        ("general-purpose", "utility"),
        ("general-purpose", "utility"),
    ]


async def test_sub_agents_nest_as_deep_as_they_did(db: Database) -> None:
    await import_claude_code(db, [projects(NESTED)])
    assert [node.depth for node in await tree(db)] == [0, 1, 2]


async def test_a_command_is_a_prompt_of_its_own_type(db: Database) -> None:
    await import_claude_code(db, [projects("claude-code-slash-command")])
    (prompt,) = await db.prompts.list(prompt_type="command")
    assert prompt.prompt_name == f"/{expected('claude-code-slash-command')['command'].strip('/')}"


async def test_a_request_after_a_failed_tool_is_a_correction(db: Database) -> None:
    await import_claude_code(db, [projects(BASIC)])
    assert len(await db.prompts.list(prompt_type="correction")) == 1


async def test_a_fatal_error_fails_the_agent_and_costs_nothing(db: Database) -> None:
    await import_claude_code(db, [projects("claude-code-fatal-error")])
    (agent,), (prompt,) = await db.agents.list(), await db.prompts.list()
    assert (agent.status, prompt.status, prompt.cost_usd) == ("failed", "failed", None)
    assert agent.error_message is not None
    assert agent.error_message.startswith("API Error: 400")


async def test_the_limit_of_turns_fails_the_agent(db: Database) -> None:
    await import_claude_code(db, [projects("claude-code-max-turns")])
    (agent,) = await db.agents.list()
    assert (agent.status, agent.error_message) == ("failed", "The limit of 3 turns was reached.")


@pytest.mark.parametrize("name", SAMPLES)
async def test_the_second_import_changes_nothing(db: Database, copied: Path, name: str) -> None:
    copy_of(name, copied)
    await import_claude_code(db, [copied])
    position = await db.changes.last()
    assert await import_claude_code(db, [copied]) == Report(sessions=1, unchanged=1)
    forget_reading(copied)
    again = await import_claude_code(db, [copied])
    assert again.files > 0
    assert (again.unchanged, again.changed_rows) == (1, 0)
    assert await db.changes.after(position) == []


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("backwards", [False, True])
async def test_file_by_file_is_as_all_at_once(
    db: Database, other: Database, copied: Path, name: str, *, backwards: bool
) -> None:
    await import_claude_code(other, [projects(name)])
    for file in sorted(transcript_files(name), reverse=backwards):
        place = copied / file.relative_to(projects(name))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
        if (meta := file.with_suffix(".meta.json")).exists():
            shutil.copy(meta, place.with_suffix(".meta.json"))
        await import_claude_code(db, [place])
    await import_claude_code(db, [copied])
    assert await contents(db) == await contents(other)


async def test_sessions_of_many_runs_do_not_mix(db: Database) -> None:
    await import_claude_code(db, [projects(name) for name in SAMPLES])
    sessions = {session.session_id: session for session in await db.sessions.list()}
    assert len(sessions) == len(SAMPLES)
    for name in SAMPLES:
        session = sessions[main_transcript(name).stem]
        assert session.prompt_count - session.prompt_failed_count == expected(name)["llm_calls"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_what_a_fork_copied_is_counted_once_where_it_happened(db: Database, copied: Path, order: tuple[int, int]) -> None:
    original = lines_of(main_transcript(BASIC))
    fork = [
        {"type": "queue-operation", "timestamp": "2026-12-31T23:59:59.000Z"},
        *(line for line in original if "uuid" in line),
    ]
    fork = [{**line, "sessionId": FORK} for line in fork]
    fork += [_said("later", "And now?", fork), _answered("msg_of_the_fork_0000000", "Done.", fork)]
    files = [
        write_lines(copied / "p" / main_transcript(BASIC).name, original),
        write_lines(copied / "p" / f"{FORK}.jsonl", fork),
    ]
    for place in order:
        await import_claude_code(db, [files[place]])
    sessions = {session.session_id: session for session in await db.sessions.list()}
    assert sessions[main_transcript(BASIC).stem].prompt_count == expected(BASIC)["llm_calls"]
    assert sessions[FORK].prompt_count == 1


async def test_a_fork_that_cannot_be_told_from_its_original_is_counted_once_all_the_same(
    db: Database, other: Database, copied: Path
) -> None:
    original = lines_of(main_transcript(BASIC))
    files = [
        write_lines(copied / "p" / main_transcript(BASIC).name, original),
        write_lines(copied / "p" / f"{FORK}.jsonl", [{**line, "sessionId": FORK} for line in original]),
    ]
    for store, order in ((db, files), (other, files[::-1])):
        for file in order:
            await import_claude_code(store, [file])
    assert await contents(db) == await contents(other)
    assert len(await db.prompts.list()) == expected(BASIC)["llm_calls"]


async def test_a_session_that_is_resumed_in_its_own_file_goes_on(db: Database, copied: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    path = write_lines(copied / "p" / main_transcript(BASIC).name, lines)
    await import_claude_code(db, [path])
    write_lines(path, [*lines, _said("later", "And now?", lines), _answered("msg_of_the_second_turn_0", "Done.", lines)])
    await import_claude_code(db, [path])
    assert (await only_session(db)).prompt_count == expected(BASIC)["llm_calls"] + 1
    assert (await db.prompts.list(limit=1))[0].prompt_text == "And now?"


async def test_sub_agents_inside_their_sessions_file_are_told_apart(db: Database, other: Database, copied: Path) -> None:
    """Older versions write all agents of a session into one file, and do not say which is which."""
    main, *subagents = sorted(transcript_files(SUBAGENTS), key=lambda path: len(path.parts))
    lines = lines_of(main)
    for file in subagents:
        lines += [_without(line, "agentId", isSidechain=True) for line in lines_of(file)]
    lines.sort(key=lambda line: line.get("timestamp") or "")
    await import_claude_code(db, [write_lines(copied / "p" / main.name, lines)])
    await import_claude_code(other, [projects(SUBAGENTS)])
    assert [(node.id, node.name, node.depth, node.prompt_count, node.cost_usd) for node in await tree(db)] == [
        (node.id, node.name, node.depth, node.prompt_count, node.cost_usd) for node in await tree(other)
    ]


@pytest.mark.parametrize("part", [1, 3, 5, 7])
async def test_a_half_written_line_is_picked_up_the_next_time(db: Database, other: Database, copied: Path, part: int) -> None:
    whole = main_transcript(BASIC).read_bytes()
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[: len(whole) * part // 8])
    report = await import_claude_code(db, [path])
    path.write_bytes(whole)
    await import_claude_code(db, [path])
    await import_claude_code(other, [projects(BASIC)])
    assert report.skipped_lines == 0
    assert await contents(db) == await contents(other)


async def test_every_prefix_of_a_session_leads_to_the_same_end(db: Database, other: Database, copied: Path) -> None:
    """As somebody sees it who imports while the session runs."""
    lines = main_transcript(BASIC).read_bytes().splitlines(keepends=True)
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    path.touch()
    for line in lines:
        with path.open("ab") as file:
            file.write(line)
        await import_claude_code(db, [path])
    await import_claude_code(other, [projects(BASIC)])
    assert await contents(db) == await contents(other)


async def test_unknown_and_damaged_lines_are_counted_and_passed_over(db: Database, copied: Path) -> None:
    lines = main_transcript(BASIC).read_bytes().splitlines()
    damaged = [b'{"type": "of-tomorrow"}', b"{not json", b"[1, 2]", b"\xff\xfe", b'"text"', b"null", *lines]
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join(damaged) + b"\n")
    report = await import_claude_code(db, [path])
    assert report.skipped_lines == 6
    assert (await only_session(db)).prompt_count == expected(BASIC)["llm_calls"]


ODD: tuple[Any, ...] = (None, True, 1e300, 2**70, -1, "x" * 10_000, "\ud800", "a\0b", [], {}, [[]], {"a": {"b": [None]}})


@pytest.mark.parametrize("place", ["message", "timestamp", "uuid", "parentUuid", "sessionId", "toolUseResult", "cwd", "type"])
@pytest.mark.parametrize("value", ODD, ids=repr)
async def test_no_value_in_a_line_stops_the_import(db: Database, copied: Path, place: str, value: Any) -> None:
    lines = [
        {**line, place: value} if line.get("type") in {"user", "assistant"} else line
        for line in lines_of(main_transcript(BASIC))
    ]
    await import_claude_code(db, [write_lines(copied / "p" / main_transcript(BASIC).name, lines)])


@pytest.mark.parametrize("place", ["id", "model", "content", "usage", "stop_reason", "role"])
@pytest.mark.parametrize("value", ODD, ids=repr)
async def test_no_value_in_a_message_stops_the_import(db: Database, copied: Path, place: str, value: Any) -> None:
    lines = [
        {**line, "message": {**line["message"], place: value}} if "message" in line else line
        for line in lines_of(main_transcript(BASIC))
    ]
    await import_claude_code(db, [write_lines(copied / "p" / main_transcript(BASIC).name, lines)])


@pytest.mark.parametrize("place", ["agentType", "description", "toolUseId", "parentAgentId"])
@pytest.mark.parametrize("value", ODD, ids=repr)
async def test_no_value_beside_a_transcript_stops_the_import(db: Database, copied: Path, place: str, value: Any) -> None:
    copy_of(SUBAGENTS, copied)
    for meta in copied.rglob("*.meta.json"):
        meta.write_text(json.dumps({**json.loads(meta.read_text()), place: value}))
    await import_claude_code(db, [copied])
    assert (await only_session(db)).prompt_count == expected(SUBAGENTS)["llm_calls"]


async def test_half_a_sign_does_not_cost_a_line(db: Database, copied: Path) -> None:
    """Claude Code cuts long results by JavaScript's characters, of which an emoji has two."""
    lines = [line.replace("issue", "issue \\ud83d") for line in main_transcript(BASIC).read_text().splitlines()]
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines))
    report = await import_claude_code(db, [path])
    assert "\\ud83d" in path.read_text()
    assert (report.skipped_lines, (await only_session(db)).prompt_count) == (0, expected(BASIC)["llm_calls"])


async def test_arguments_too_large_for_a_log_do_not_cost_the_session(db: Database, copied: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    for line in lines:
        for block in _content(line):
            if block.get("type") == "tool_use":
                block["input"] = {"a": "x" * 20_000_000, "b": "y" * 20_000_000}
    await import_claude_code(db, [write_lines(copied / "p" / main_transcript(BASIC).name, lines[:8])])
    (log, *_) = await db.agent_logs.list(log_type="tool_call")
    assert "larger than" in (log.details or {})["arguments_left_out"]


async def test_json_that_nests_ten_thousand_deep_is_passed_over(db: Database, copied: Path) -> None:
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    deep = b'{"type":"user","message":{"content":' + b"[" * 10_000 + b"]" * 10_000 + b"}}\n"
    path.write_bytes(deep + main_transcript(BASIC).read_bytes())
    assert (await import_claude_code(db, [path])).skipped_lines == 1


async def test_a_secret_in_a_transcript_is_not_stored(db: Database, copied: Path) -> None:
    secret = "sk-ant-api03-" + "Ab1" * 31 + "AA"
    text = main_transcript(BASIC).read_text().replace("issue", f"issue {secret}")
    assert secret in text
    path = copied / "p" / main_transcript(BASIC).name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    await import_claude_code(db, [path])
    await db.close()
    assert all(secret.encode() not in file.read_bytes() for file in copied.parent.glob("orchestrator.db*"))


async def test_a_turn_that_nothing_was_heard_of_for_an_hour_was_left(db: Database, copied: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    await import_claude_code(db, [write_lines(copied / "p" / main_transcript(BASIC).name, _until_a_tool_is_asked_for(lines))])
    (agent,) = await db.agents.list()
    assert (agent.status, agent.error_message) == ("cancelled", "The transcript ends in the middle of a turn.")


async def test_a_turn_of_just_now_goes_on(db: Database, copied: Path) -> None:
    lines = _as_of_now(_until_a_tool_is_asked_for(lines_of(main_transcript(BASIC))))
    await import_claude_code(db, [write_lines(copied / "p" / main_transcript(BASIC).name, lines)])
    (agent,) = await db.agents.list()
    assert (agent.status, agent.completed_at) == ("executing", None)


async def test_watching_follows_a_session_that_grows(db: Database, copied: Path) -> None:
    lines = lines_of(main_transcript(BASIC))
    path = write_lines(copied / "p" / main_transcript(BASIC).name, lines[:2])
    reports = watch_claude_code(db, [copied])
    assert (await anext(reports)).sessions == 1
    following = asyncio.ensure_future(anext(reports))
    while (await only_session(db)).prompt_count < expected(BASIC)["llm_calls"]:
        with path.open("a") as file:
            file.write(f"{json.dumps(lines[len(lines_of(path))])}\n" if len(lines_of(path)) < len(lines) else "")
        if following.done():
            following = asyncio.ensure_future(anext(reports))
        await asyncio.sleep(0.01)
    following.cancel()


async def test_a_path_that_is_not_there_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        await import_claude_code(db, [tmp_path / "nowhere"])


def test_claude_code_keeps_its_sessions_at_home_or_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("home/.claude/projects", "config/projects"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_folders() == [tmp_path / "home" / ".claude" / "projects"]
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "config"))
    assert default_folders() == [tmp_path / "config" / "projects"]


def _said(line_id: str, text: str, before: list[dict[str, Any]]) -> dict[str, Any]:
    at = "2027-01-01T00:00:00.000Z"
    return {"type": "user", "uuid": line_id, "timestamp": at, **_session(before), "message": {"role": "user", "content": text}}


def _answered(message_id: str, text: str, before: list[dict[str, Any]]) -> dict[str, Any]:
    message = {
        "id": message_id,
        "role": "assistant",
        "model": "claude-opus-4-8",
        "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}],
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    at = "2027-01-01T00:00:01.000Z"
    return {"type": "assistant", "uuid": f"line of {message_id}", "timestamp": at, **_session(before), "message": message}


def _session(lines: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sessionId": next(line["sessionId"] for line in lines if "sessionId" in line)}


def _without(line: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != name} | more


def _until_a_tool_is_asked_for(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for number, line in enumerate(lines):
        if any(block.get("type") == "tool_use" for block in _content(line)):
            return lines[: number + 1]
    raise AssertionError("no tool was asked for")


def _content(line: dict[str, Any]) -> list[dict[str, Any]]:
    content = (line.get("message") or {}).get("content")
    return content if isinstance(content, list) else []


def _as_of_now(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    at = datetime.now(UTC).isoformat()
    return [{**line, "timestamp": at} if "timestamp" in line else line for line in lines]
