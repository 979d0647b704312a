"""What hooks are told, taken in from the file beside the store: alone, and together with what else tells of the same runs."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, Database, hook
from tac_orchestrator.ingest.adw import import_adw
from tac_orchestrator.ingest.claude_code import import_claude_code
from tac_orchestrator.ingest.spool import spool_files, take_in
from tac_orchestrator.settings import Settings

from .samples import SAMPLES, contents, expected, projects, stream

HOOKED = tuple(name for name in SAMPLES if (stream(name).parent / "hooks.jsonl").is_file())
SUBAGENTS = "claude-code-subagents"
ASYNC = "claude-code-2.1.330-async-subagents"
NESTED = "claude-code-2.1.330-nested-2"
SESSION = "00000000-0000-4000-8000-000000000001"
CALL = "toolu_01ABCDEFGHIJKLMNOPQRSTUV"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the store that it would have, hooks write what a store in a server is told of."""
    own = tmp_path / "own"
    (own / "adws" / "schema").mkdir(parents=True)
    monkeypatch.chdir(own)


def place(db: Database) -> str:
    return str(db.settings.place)


def told(event: str, **more: Any) -> dict[str, Any]:
    return {"session_id": SESSION, "hook_event_name": event, "cwd": "/home/dev/project", "permission_mode": "default", **more}


def captured(name: str) -> list[dict[str, Any]]:
    """What the hooks of a run were told, with ids of tool calls as long as real ones are."""
    lines = _with_long_ids((stream(name).parent / "hooks.jsonl").read_text()).splitlines()
    return [line.get("input", line) for line in map(json.loads, lines)]


def _with_long_ids(text: str) -> str:
    return text.replace("toolu_stub", "toolu_01ABCDEFGHIJKLMN")


def long_ids(name: str, folder: Path) -> Path:
    """The transcripts of the same run, with the same ids."""
    copy = Path(shutil.copytree(projects(name), folder / name))
    for path in copy.rglob("*.json*"):
        path.write_text(_with_long_ids(path.read_text()))
    return copy


def workflow_of(name: str, folder: Path) -> Path:
    """What the same run has printed, in the folder of a workflow."""
    output = folder / "agents" / "a1b2c3d4" / "builder_1" / "raw_output.jsonl"
    output.parent.mkdir(parents=True)
    output.write_text(_with_long_ids(stream(name).read_text()))
    return folder / "agents"


def began(name: str) -> datetime:
    """When the first line of the transcript was written: the hooks were called about then."""
    main = next(projects(name).glob("*/*.jsonl"))
    times = [line["timestamp"] for line in map(json.loads, main.read_text().splitlines()) if "timestamp" in line]
    return datetime.fromisoformat(min(times))


def write(db: Database, records: Iterable[dict[str, Any]], at: datetime | None = None) -> None:
    """As the hook writes them, a millisecond apart."""
    start = at or datetime(2026, 11, 23, 13, tzinfo=UTC)
    spool = Path(hook.spool_of(place(db)))
    spool.parent.mkdir(parents=True, exist_ok=True)
    with spool.open("a") as stream:
        for number, record in enumerate(records):
            moment = start + timedelta(milliseconds=number, microseconds=1)
            stream.write(f"{json.dumps({'at': round(moment.timestamp() * 1_000_000), 'hook': record})}\n")


async def agents(db: Database) -> list[Agent]:
    return sorted(await db.agents.list(), key=lambda agent: agent.started_at)


async def only_agent(db: Database) -> Agent:
    (agent,) = await db.agents.list()
    return agent


@pytest.mark.parametrize(
    ("events", "status"),
    [
        (["SessionStart"], "initializing"),
        (["SessionStart", "UserPromptSubmit"], "executing"),
        (["SessionStart", "UserPromptSubmit", "Stop"], "completed"),
        (["UserPromptSubmit", "Stop", "UserPromptSubmit"], "executing"),
        (["UserPromptSubmit", "StopFailure", "SessionEnd"], "failed"),
        (["UserPromptSubmit", "Stop", "SessionEnd"], "completed"),
        (["UserPromptSubmit", "SessionEnd"], "cancelled"),
        (["SessionStart", "SessionEnd"], "completed"),
    ],
)
async def test_the_state_of_a_session_is_known_as_soon_as_its_hooks_are(db: Database, events: list[str], status: str) -> None:
    for number, event in enumerate(events):  # each is taken in alone, as by a server that watches
        write(db, [told(event)], datetime(2026, 11, 23, 13, 0, number, tzinfo=UTC))
        await take_in(db)

    agent = await only_agent(db)
    assert (agent.status, agent.session_id) == (status, SESSION)
    assert (agent.completed_at is None) == (status in {"initializing", "executing"})


async def test_all_at_once_is_the_same_as_one_by_one(db: Database, tmp_path: Path) -> None:
    records = captured(ASYNC)
    write(db, records)
    await take_in(db)
    async with Database.open(tmp_path / "other.db") as other:
        for number, record in enumerate(records):
            write(other, [record], datetime(2026, 11, 23, 13, tzinfo=UTC) + timedelta(milliseconds=number))
            await take_in(other)

        assert await contents(other) == await contents(db)


async def test_who_plans_is_planning(db: Database) -> None:
    write(db, [told("UserPromptSubmit", permission_mode="plan")])
    await take_in(db)

    assert (await only_agent(db)).status == "planning"


async def test_a_tool_is_a_log_from_when_it_begins(db: Database) -> None:
    given = {"tool_name": "Bash", "tool_use_id": CALL, "tool_input": {"command": "pytest -q"}}
    write(db, [told("PreToolUse", **given)])
    await take_in(db)

    (log,) = await db.agent_logs.list()
    assert (log.log_type, log.log_level, log.message) == ("tool_call", "INFO", "Bash: pytest -q")

    later = datetime(2026, 11, 23, 13, 0, 5, tzinfo=UTC)
    write(db, [told("PostToolUseFailure", **given, error="Exit code 3", duration_ms=4900)], later)
    await take_in(db)

    (log,) = await db.agent_logs.list()
    assert log.log_level == "ERROR"
    assert log.details is not None
    assert (log.details["duration_ms"], log.details["result"]) == (4900, "Exit code 3")


async def test_a_sub_agent_is_there_before_anybody_knows_which_call_started_it(db: Database) -> None:
    sub = {"agent_id": "a26e42d402b8d01e1", "agent_type": "code-reviewer"}
    call = {
        "tool_name": "Agent",
        "tool_use_id": CALL,
        "tool_input": {"subagent_type": "code-reviewer", "description": "Review"},
    }
    read = {"tool_name": "Read", "tool_use_id": f"{CALL}_2", "tool_input": {"file_path": "app.py"}}
    write(db, [told("UserPromptSubmit"), told("PreToolUse", **call), told("SubagentStart", **sub)])
    write(db, [told("PreToolUse", **sub, **read)], datetime(2026, 11, 23, 13, 0, 1, tzinfo=UTC))
    await take_in(db)

    main, reviewer = await agents(db)
    assert (reviewer.parent_agent_id, reviewer.status) == (main.id, "executing")

    done = told("PostToolUse", **call, tool_response={"status": "completed", "agentId": sub["agent_id"]}, duration_ms=900)
    write(db, [told("SubagentStop", **sub), done], datetime(2026, 11, 23, 13, 0, 2, tzinfo=UTC))
    await take_in(db)

    main, settled = await agents(db)
    assert settled.id != reviewer.id
    assert (settled.parent_agent_id, settled.status) == (main.id, "completed")
    assert settled.started_at == reviewer.started_at
    (log,) = await db.agent_logs.list(agent_id=settled.id)
    assert log.message == "Read: app.py"


@pytest.mark.parametrize("name", HOOKED)
async def test_hooks_alone_tell_of_the_agents_of_a_run_and_how_they_ended(db: Database, name: str) -> None:
    write(db, captured(name))
    await take_in(db)

    tree = {agent.id: agent for agent in await db.agents.list()}
    assert len(tree) == len({record.get("agent_id") for record in captured(name)})
    assert {agent.status for agent in tree.values()} <= {"completed", "failed", "cancelled", "executing"}
    if "2.1.330" in name or name == SUBAGENTS:
        assert len(tree) == expected(name)["agents"]
    if "agent_depths" in expected(name):
        assert sorted(_depth(agent, tree) for agent in tree.values()) == expected(name)["agent_depths"]


def _depth(agent: Agent, tree: dict[str, Agent]) -> int:
    return 0 if agent.parent_agent_id is None else 1 + _depth(tree[agent.parent_agent_id], tree)


@pytest.mark.parametrize("name", HOOKED)
async def test_with_the_transcripts_they_are_the_rows_of_one_run_in_any_order(db: Database, name: str, tmp_path: Path) -> None:
    transcripts = long_ids(name, tmp_path)
    async with Database.open(tmp_path / "only.db") as only:
        await import_claude_code(only, [transcripts])
        truth = await contents(only)
    write(db, captured(name), began(name))
    await take_in(db)
    await import_claude_code(db, [transcripts])
    async with Database.open(tmp_path / "other.db") as other:
        await import_claude_code(other, [transcripts])
        write(other, captured(name), began(name))
        await take_in(other)

        assert await contents(other) == await contents(db)
    found = await contents(db)
    assert found["prompts"] == truth["prompts"]
    assert _names(found, "source_key", "logs") == _names(truth, "source_key", "logs")
    for column in ("id", "orchestrator_agent_id", "parent_agent_id", "session_id", "status", "error_message", "started_at"):
        assert _names(found, column) == _names(truth, column)


def _names(rows: dict[str, list[Any]], column: str, table: str = "agents") -> list[Any]:
    return [row[column] for row in rows[table]]


@pytest.mark.parametrize("name", [SUBAGENTS, ASYNC, NESTED])
async def test_three_channels_of_one_run_give_the_rows_of_one_in_any_order(name: str, tmp_path: Path) -> None:
    transcripts, folder = long_ids(name, tmp_path), workflow_of(name, tmp_path)
    found = list[Any]()
    for number, order in enumerate(itertools.permutations(("hooks", "transcripts", "stream"))):
        async with Database.open(tmp_path / f"{number}.db") as db:
            for channel in order:
                if channel == "hooks":
                    write(db, captured(name), began(name))
                    await take_in(db)
                elif channel == "transcripts":
                    await import_claude_code(db, [transcripts])
                else:
                    await import_adw(db, folder)
            rows = await contents(db)
            found.append((order, rows))
    assert len(found[0][1]["agents"]) == expected(name)["agents"] + 1  # and the workflow
    for order, rows in found:
        assert rows == found[0][1], order


async def test_the_same_again_changes_nothing(db: Database) -> None:
    write(db, captured(SUBAGENTS))
    await take_in(db)
    before = await contents(db)
    write(db, captured(SUBAGENTS))

    again = await take_in(db)

    assert (again.agents, again.agent_logs) == (0, 0)
    assert await contents(db) == before


async def test_the_file_is_gone_when_it_is_taken_in(db: Database) -> None:
    write(db, captured(SUBAGENTS))
    assert (await take_in(db)).records == len(captured(SUBAGENTS))

    assert spool_files(place(db)) == []
    assert (await take_in(db)).records == 0


async def test_what_somebody_could_not_finish_is_taken_in_by_the_next(db: Database) -> None:
    write(db, captured(SUBAGENTS))
    (spool,) = spool_files(place(db))
    spool.rename(f"{spool}.1234.taken")

    assert (await take_in(db)).records == len(captured(SUBAGENTS))
    assert spool_files(place(db)) == []


async def test_secrets_are_taken_out(db: Database) -> None:
    secret = "sk-ant-" + "api03-" + "Ab1" * 30
    write(db, [told("PreToolUse", tool_name="Bash", tool_use_id=CALL, tool_input={"command": f"curl -H {secret}"})])
    await take_in(db)

    (log,) = await db.agent_logs.list()
    assert secret not in json.dumps([log.message, log.details])


async def test_what_is_no_record_is_counted_and_passed_over(db: Database) -> None:
    lines = b'{"at":1,"hook":}\n\xff\xfe\n{"at":99999999999999999999,"hook":{"session_id":"x"}}\n[]\n{"at":"x"}\n'
    await asyncio.to_thread(Path(hook.spool_of(place(db))).write_bytes, lines)
    write(db, [told("UserPromptSubmit")])

    taken = await take_in(db)

    assert (taken.skipped_lines, taken.records) == (5, 1)


async def test_a_compaction_is_no_agent(db: Database) -> None:
    write(db, [told("UserPromptSubmit"), told("SubagentStop", agent_id="acompact123", agent_type="compact"), told("Stop")])
    await take_in(db)

    assert (await only_agent(db)).status == "completed"


async def test_an_agent_that_waits_for_somebody_says_so(db: Database) -> None:
    write(db, [told("UserPromptSubmit"), told("Notification", message="Claude needs your permission to use Bash")])
    await take_in(db)

    assert [log.message for log in await db.agent_logs.list()] == ["Claude needs your permission to use Bash"]


def call_hook(data: bytes, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", "-S", hook.__file__, *arguments]
    return subprocess.run(command, input=data, env={**os.environ, **environment}, capture_output=True, timeout=30, check=False)


def silent(done: subprocess.CompletedProcess[bytes]) -> bool:
    return (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_the_hook_writes_down_what_it_is_told_for_its_owner_only(db: Database) -> None:
    pretty = json.dumps(told("UserPromptSubmit", prompt="one\ntwo"), indent=2).replace("\n", "\r\n").encode()

    assert silent(call_hook(pretty, place(db)))

    (spool,) = spool_files(place(db))
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600
    (line,) = spool.read_text().splitlines()
    assert json.loads(line)["hook"]["prompt"] == "one\ntwo"
    assert (await take_in(db)).records == 1


@pytest.mark.parametrize("data", [b"", b"no JSON", b"\xff" * 100, b"[" * 3_000_000], ids=["nothing", "text", "bytes", "deep"])
def test_the_hook_never_says_anything(path: Path, data: bytes) -> None:
    assert silent(call_hook(data, str(path)))


def test_the_hook_never_fails(tmp_path: Path) -> None:
    assert silent(call_hook(b"{}", str(tmp_path / "no" / "such" / "folder" / "orchestrator.db")))
    (tmp_path / "orchestrator.db-hooks").mkdir()
    assert silent(call_hook(b"{}", str(tmp_path / "orchestrator.db")))


def test_the_hook_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.db-hooks").symlink_to(tmp_path / "precious")

    assert silent(call_hook(b"{}", str(tmp_path / "orchestrator.db")))
    assert not (tmp_path / "precious").exists()


async def test_a_long_answer_of_a_tool_is_cut(db: Database) -> None:
    record = told("PostToolUse", tool_name="Read", tool_use_id=CALL, tool_input={}, tool_response={"content": "x" * 3_000_000})

    call_hook(json.dumps(record).encode(), place(db))

    (spool,) = spool_files(place(db))
    assert spool.stat().st_size < 30_000
    assert (await take_in(db)).records == 1


def test_a_file_that_nobody_takes_in_does_not_grow_for_ever(path: Path) -> None:
    spool = Path(hook.spool_of(str(path)))
    with spool.open("wb") as stream:
        stream.truncate(hook.MAX_SPOOL)

    assert silent(call_hook(b"{}", str(path)))
    assert spool.stat().st_size == hook.MAX_SPOOL


def test_the_hook_loads_nothing_of_the_package() -> None:
    program = (
        "import os, sys; sys.argv = ['hook', '/nowhere/x']; os._exit = lambda code: None; before = set(sys.modules); "
        f"exec(open({hook.__file__!r}).read(), {{'__name__': '__main__'}}); print(*set(sys.modules) - before)"
    )
    command = [sys.executable, "-I", "-S", "-c", program]
    done = subprocess.run(command, input="{}", capture_output=True, text=True, timeout=30, check=True)

    assert set(done.stdout.split()) <= {"__future__", "fcntl"}


@pytest.mark.parametrize("place", ["project", "project/deep/down", "elsewhere"])
def test_the_hook_finds_the_store_where_the_library_does(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / ".git").mkdir(parents=True)
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / place)
    wanted = Path(Settings.from_environment().database)
    wanted.parent.mkdir(parents=True)

    assert silent(call_hook(b"{}"))
    assert spool_files(str(wanted))


async def test_nothing_is_lost_while_many_hooks_write_and_somebody_takes_in(db: Database) -> None:
    count = 60
    records = [
        told("PreToolUse", tool_name="Bash", tool_use_id=f"{CALL}{number:03}", tool_input={"command": "ls"})
        for number in range(count)
    ]
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call_hook, json.dumps(record).encode(), place(db)) for record in records]
        while not all(call.done() for call in calls):
            await take_in(db)
            await asyncio.sleep(0)
    await take_in(db)

    assert len(await db.agent_logs.list(limit=1000)) == count
    assert spool_files(place(db)) == []
