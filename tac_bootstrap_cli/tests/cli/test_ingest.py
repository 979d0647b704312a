"""What is taken in is tested with the readers; here, that pipes go on, and what the commands take and tell."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tac_orchestrator import Database, DatabaseUnavailable

from ..ingest.otel.captured import truth
from ..ingest.samples import STREAMS, contents, expected, projects, stream
from .support import PROGRAM, Caller, spool_of_hooks

BASIC = "claude-code-basic"
SUBAGENTS = "claude-code-subagents"
PYDANTIC = "pydantic-ai-v2"
LANGCHAIN = "langchain-single-traceloop"
SAMPLE_FOLDER = stream(BASIC).parents[1]


def bodies_of(name: str) -> list[str]:
    return [str(path) for path in sorted((SAMPLE_FOLDER / name).glob("*.pb*"))]


def run_stream(data: bytes, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, "ingest", "stream-json", *arguments]
    return subprocess.run(command, input=data, capture_output=True, timeout=60, check=False, **options)


@pytest.fixture
def piped(target: Path | str) -> Generator[subprocess.Popen[bytes]]:
    """The command, as part of a pipe that is open at both ends."""
    process = subprocess.Popen([PROGRAM, "ingest", "stream-json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    for end in (process.stdin, process.stdout):
        assert end is not None
        end.close()
    process.wait(30)


def told(process: subprocess.Popen[bytes], line: bytes) -> bytes:
    """What comes out for what goes in."""
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()
    return _read(process.stdout, len(line))


def _read(stream: IO[bytes] | None, size: int) -> bytes:
    assert stream is not None
    found = b""
    while len(found) < size and select.select([stream], [], [], 30)[0]:
        found += os.read(stream.fileno(), size - len(found))
    return found


def await_agents(target: Path | str, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(DatabaseUnavailable):
            agents = asyncio.run(_agents(target))
            if wanted(agents):
                return agents
    raise AssertionError("the agents have not come")


async def _agents(target: Path | str) -> list[Any]:
    async with Database.open(target, create=False) as db:
        return list(await db.agents.list())


@pytest.mark.parametrize("name", STREAMS)
def test_every_byte_is_passed_on_and_the_run_recorded(call: Caller, name: str) -> None:
    data = stream(name).read_bytes()

    result = run_stream(data)

    assert (result.returncode, result.stdout, result.stderr) == (0, data, b"")
    (session,) = call("sessions", "--json").json
    assert session["agent_count"] == expected(name)["agents"]
    assert session["status"] in {"completed", "failed"}


def test_what_comes_goes_on_at_once_and_can_be_seen_while_it_comes(piped: subprocess.Popen[bytes], target: Path | str) -> None:
    lines = stream(SUBAGENTS).read_bytes().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if b'"assistant"' in line) + 1

    assert told(piped, b"".join(lines[:start])) == b"".join(lines[:start])

    (agent,) = await_agents(target, bool)
    assert (agent.status, agent.completed_at) == ("executing", None)
    assert told(piped, b"".join(lines[start:])) == b"".join(lines[start:])
    assert len(await_agents(target, lambda agents: len(agents) == expected(SUBAGENTS)["agents"])) == 4


def test_bytes_that_are_no_line_yet_do_not_wait_for_their_end(piped: subprocess.Popen[bytes]) -> None:
    assert told(piped, b'{"type":"assis') == b'{"type":"assis'


def test_a_process_that_was_killed_has_not_completed(call: Caller) -> None:
    lines = stream(BASIC).read_bytes().splitlines(keepends=True)

    assert run_stream(b"".join(lines[: len(lines) // 2])).returncode == 0

    (session,) = call("sessions", "--json").json
    assert session["status"] == "failed"
    assert "The output ended before its result." in call("show", session["session_id"]).out


def test_the_same_again_changes_nothing(target: Path | str) -> None:
    data = stream(SUBAGENTS).read_bytes()

    async def rows() -> dict[str, list[Any]]:
        async with Database.open(target) as db:
            return await contents(db)

    run_stream(data)
    before = asyncio.run(rows())
    run_stream(data)

    assert asyncio.run(rows()) == before


def test_interrupting_the_pipe_lets_the_last_words_through(piped: subprocess.Popen[bytes]) -> None:
    assert told(piped, b"first\n") == b"first\n"

    piped.send_signal(signal.SIGINT)

    assert told(piped, b"last\n") == b"last\n"


@pytest.mark.parametrize("broken", ["no database at all", "a folder in its place", "a setting"])
def test_a_store_in_trouble_costs_the_record_and_not_the_pipe(path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    data = stream(BASIC).read_bytes()
    if broken == "a setting":
        monkeypatch.setenv("TAC_ORCHESTRATOR_BUSY_TIMEOUT", "soon")
    elif broken == "a folder in its place":
        path.mkdir()
    else:
        path.write_text("these are notes, and no database" * 100)

    result = run_stream(data)

    assert (result.returncode, result.stdout) == (0, data)
    assert result.stderr.decode().count("Warning: ") == 1
    assert "Traceback" not in result.stderr.decode()


def test_what_is_no_stream_of_claude_code_is_passed_on_with_a_word(target: Path | str) -> None:
    data = bytes(range(256)) * 1000 + b"\nHello.\n"

    result = run_stream(data)

    assert (result.returncode, result.stdout) == (0, data)
    assert "--output-format stream-json" in result.stderr.decode()


def test_a_run_of_a_workflow_stands_in_it(call: Caller) -> None:
    run_stream(stream(SUBAGENTS).read_bytes(), "--adw-id", "a1b2c3d4", "--agent", "reviewer_1")

    nodes = call("show", "a1b2c3d4", "--json").json["agents"]

    assert [(node["name"], node["depth"]) for node in nodes][:3] == [("adw", 0), ("reviewer_1", 1), ("code-reviewer", 2)]
    assert {node["status"] for node in nodes} == {"completed"}


def test_its_folder_tells_of_the_same_run(call: Caller, tmp_path: Path) -> None:
    run_stream(stream(SUBAGENTS).read_bytes(), "--adw-id", "a1b2c3d4", "--agent", "reviewer_1")
    output = tmp_path / "agents" / "a1b2c3d4" / "reviewer_1" / "raw_output.jsonl"
    output.parent.mkdir(parents=True)
    shutil.copy(stream(SUBAGENTS), output)
    before = [(node["id"], node["prompt_count"]) for node in call("show", "a1b2c3d4", "--json").json["agents"]]

    call("import", "adw", str(tmp_path / "agents"))

    assert [(node["id"], node["prompt_count"]) for node in call("show", "a1b2c3d4", "--json").json["agents"]] == before


def test_an_agent_without_its_workflow_is_asked_for(call: Caller) -> None:
    result = call("ingest", "stream-json", "--agent", "reviewer_1")

    assert (result.code, result.out) == (2, "")
    assert "--adw-id" in result.err


def test_a_claude_in_a_pipe_is_recorded(tmp_path: Path, call: Caller) -> None:
    claude = tmp_path / "claude"
    claude.write_text(f"#!/bin/sh\nexec cat '{stream(BASIC)}'\n")
    claude.chmod(claude.stat().st_mode | stat.S_IXUSR)

    pipe = f"'{claude}' -p hello --output-format stream-json | '{PROGRAM}' ingest stream-json | tail -n 1"
    done = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, timeout=60, check=True)

    assert json.loads(done.stdout)["type"] == "result"
    assert len(call("sessions", "--json").json) == 1


def test_captured_bodies_are_replayed(call: Caller) -> None:
    rows = call("ingest", "otlp", *bodies_of(PYDANTIC), "--json").json

    assert {row["signal"] for row in rows} == {"traces"}
    assert sum(row["rejected"] for row in rows) == 0
    assert sum(session["prompt_count"] for session in call("sessions", "--json").json) == truth(PYDANTIC)["llm_calls"]


def test_a_body_is_known_by_its_name_by_itself_or_by_what_is_said(call: Caller, tmp_path: Path) -> None:
    body = gzip.decompress(Path(bodies_of(LANGCHAIN)[0]).read_bytes())
    nameless, named = tmp_path / "body.pb", tmp_path / "7-trace.pb"
    nameless.write_bytes(body)
    named.write_bytes(body)
    (tmp_path / "body.json").write_text('{"resourceLogs": []}')

    assert [row["signal"] for row in call("ingest", "otlp", str(named), str(tmp_path / "body.json"), "--json").json] == [
        "traces",
        "logs",
    ]
    refused = call("ingest", "otlp", str(nameless))
    assert refused.code == 1
    assert "--signal" in refused.err
    assert call("ingest", "otlp", "--signal", "traces", str(nameless)).code == 0


def test_a_body_may_come_on_standard_input(call: Caller) -> None:
    data = Path(bodies_of(LANGCHAIN)[0]).read_bytes()

    command = [PROGRAM, "ingest", "otlp", "-", "--signal", "traces", "--json"]
    done = subprocess.run(command, input=data, capture_output=True, timeout=60, check=True)

    assert json.loads(done.stdout)[0]["spans"] > 0
    assert len(call("sessions", "--json").json) == 1


def test_each_line_of_a_jsonl_is_a_body(call: Caller, tmp_path: Path) -> None:
    file = tmp_path / "collector.jsonl"
    file.write_text('{"resourceSpans": []}\n{"resourceLogs": []}\n\n')

    assert [row["signal"] for row in call("ingest", "otlp", str(file), "--json").json] == ["traces", "logs"]


def test_what_cannot_be_read_does_not_stop_the_others(call: Caller, tmp_path: Path) -> None:
    broken = tmp_path / "001_traces.pb"
    broken.write_bytes(b"\xff" * 50)

    result = call("ingest", "otlp", str(broken), *bodies_of(PYDANTIC))

    assert result.code == 1
    assert result.err.startswith(f"{broken}: ")
    assert ["bodies", "2,", "1", "of", "them", "unreadable"] in [line.split() for line in result.out.splitlines()]
    assert call("sessions", "--json").json


def test_what_unpacks_without_end_is_refused(call: Caller, tmp_path: Path) -> None:
    bomb = tmp_path / "traces.pb.gz"
    bomb.write_bytes(gzip.compress(bytes(65 * 1024 * 1024), 1))

    assert "a body may have" in call("ingest", "otlp", str(bomb)).err


def test_a_file_that_is_not_there_is_an_error_and_makes_no_store(call: Caller, path: Path) -> None:
    assert call("ingest", "otlp", "nowhere.pb").code == 3
    assert not path.exists()


def write_hooks(*events: str) -> None:
    lines = [
        json.dumps({"at": 1_795_000_000_000_000 + number, "hook": {"session_id": "s-1", "hook_event_name": event}})
        for number, event in enumerate(events)
    ]
    spool_of_hooks().write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("command", [("sessions",), ("status",), ("logs",), ("import", "claude-code", "PROJECTS")])
def test_whoever_looks_takes_in_first_what_hooks_have_written(
    call: Caller, store: Path | str, command: tuple[str, ...]
) -> None:
    write_hooks("SessionStart", "UserPromptSubmit")

    result = call(*(str(projects(BASIC)) if word == "PROJECTS" else word for word in command))

    assert (result.code, result.err) == (0, "")
    assert not spool_of_hooks().exists()
    assert call("show", "s-1", "--json").json["agents"][0]["status"] == "executing"
