"""What is on record of a command that was run, and that a store in trouble costs nothing but the record."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ingest.command import OUTPUT_KEPT

from .support import arguments, descriptor_of, details, execute, only, python, read_until, recorded, start


@pytest.fixture(autouse=True)
def _store(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(target))


# What is on record


def test_a_command_that_went_well_is_a_completed_agent(target: Path | str, tmp_path: Path) -> None:
    done = execute("sh", "-c", "echo hello; echo world >&2", cwd=tmp_path, options=("--type", "tester", "--session", "issue-7"))

    agent, log = only(target)
    found = details(log)
    assert done.returncode == 0
    assert (agent.status, agent.error_message, agent.session_id) == ("completed", None, "issue-7")
    assert agent.context == {"command": ["sh", "-c", "echo hello; echo world >&2"], "folder": str(tmp_path)}
    assert (log.log_level, log.message) == ("INFO", "sh -c 'echo hello; echo world >&2': done")
    assert (found["command"], found["folder"]) == (agent.context["command"], agent.context["folder"])
    assert (found["exit_code"], found["signal"], found["output_bytes"]) == (0, None, 12)
    assert sorted(found["output"].split()) == ["hello", "world"]
    assert found["duration_ms"] >= 0


def test_a_command_that_failed_is_a_failed_agent(target: Path | str) -> None:
    execute("sh", "-c", "exit 3")

    agent, log = only(target)
    assert (agent.status, agent.error_message) == ("failed", "exit code 3")
    assert (log.log_level, log.message, details(log)["exit_code"]) == ("ERROR", "sh -c 'exit 3': exit code 3", 3)


def test_only_the_last_part_of_the_output_is_kept(target: Path | str) -> None:
    done = execute("seq", "100000")

    kept = details(only(target)[1])
    assert len(done.stdout) == kept["output_bytes"] == 588895
    assert OUTPUT_KEPT - 10 < len(kept["output"]) <= OUTPUT_KEPT
    assert done.stdout.decode().endswith("\n" + kept["output"])


def test_the_output_is_kept_as_text(target: Path | str) -> None:
    execute("printf", r"\033[1;31mred\033[0m \033]0;title\007 caf\303\251 \377 \000 a\r\nb\033[K\n")

    assert details(only(target)[1])["output"] == "red  café � ␀ a\nb\n"


def test_secrets_stay_out(target: Path | str) -> None:
    secret = "ghp_" + "a1B2" * 9

    done = execute("echo", secret)

    assert done.stdout.decode() == f"{secret}\n"
    agent, log = only(target)
    assert secret not in json.dumps([agent.context, log.message, log.details])


def test_bytes_that_are_no_text_can_be_arguments(target: Path | str) -> None:
    done = execute("printf", "%s", os.fsdecode(b"\xff\xfe"))

    assert done.stdout == b"\xff\xfe"
    assert only(target)[0].status == "completed"


def test_commands_within_commands_are_its_children(target: Path | str) -> None:
    inner = shlex.join(arguments("true"))

    execute("sh", "-c", f"{inner}; {inner}", options=("--session", "issue-7"))

    (outer, _), (first, _), (second, _) = recorded(target)
    assert [agent.session_id for agent in (outer, first, second)] == ["issue-7"] * 3
    assert [agent.parent_agent_id for agent in (outer, first, second)] == [None, outer.id, outer.id]


def test_what_the_command_records_itself_is_below_it(path: Path, tmp_path: Path) -> None:
    code = """
import asyncio
from tac_orchestrator import Database
async def main():
    async with Database.open() as db:
        kind = await db.orchestrator_agents.register("planner", agent_type="planner")
        async with db.agents.run(kind): pass
asyncio.run(main())
"""
    execute(*python(code), cwd=tmp_path, options=("--db", "here.db"))

    (outer, _), (inner, _) = recorded(tmp_path / "here.db")
    assert (inner.session_id, inner.parent_agent_id) == (outer.session_id, outer.id)
    assert not path.exists()


def test_a_session_of_its_own_has_no_parent(target: Path | str) -> None:
    inner = shlex.join(arguments("true", options=("--session", "other")))

    execute("sh", "-c", inner)

    (outer, _), (other, _) = recorded(target)
    assert (other.session_id, other.parent_agent_id) == ("other", None)
    assert outer.session_id != "other"


@pytest.mark.parametrize("parent", ["019aa2f4-7b1c-7aaa-8000-000000000000", "nonsense"])
def test_a_parent_that_is_not_in_this_store_is_left_out(
    target: Path | str, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_SESSION_ID", "issue-7")
    monkeypatch.setenv("TAC_ORCHESTRATOR_AGENT_ID", parent)

    assert execute("true").stderr == b""

    agent, _ = only(target)
    assert (agent.session_id, agent.parent_agent_id) == ("issue-7", None)


def test_while_it_runs_the_agent_does(target: Path | str) -> None:
    with start("sh", "-c", "echo ready; read line", stdin=subprocess.PIPE) as process:
        read_until(descriptor_of(process), b"ready")
        [(agent, logs)] = recorded(target)
        process.communicate(b"\n", timeout=20)

    assert (agent.status, logs) == ("executing", [])
    assert recorded(target)[0][0].status == "completed"


# A store in trouble


def _make_foreign(path: Path) -> None:
    connection = sqlite.connect(path)
    connection.execute("CREATE TABLE somebody_elses (id)")
    connection.close()


def _make_damaged(path: Path) -> None:
    path.write_bytes(b"not a database at all, " * 1000)


def _make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [_make_foreign, _make_damaged, _make_folder])
def test_a_broken_store_does_not_keep_the_command_from_running(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)

    done = execute("sh", "-c", "cat; exit 3", input=b"in")

    assert (done.returncode, done.stdout) == (3, b"in")
    assert done.stderr.startswith(b"Warning: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TAC_ORCHESTRATOR_DB", "mysql://host/tac"),
        ("TAC_ORCHESTRATOR_DB", ":memory:"),
        ("TAC_ORCHESTRATOR_REDACT", "perhaps"),
    ],
)
def test_a_wrong_setting_does_not_keep_the_command_from_running(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    done = execute("sh", "-c", "exit 3")

    assert done.returncode == 3
    assert done.stderr.startswith(b"Warning: the command is not recorded: ")
    assert done.stderr.count(b"\n") == 1


def test_a_folder_that_has_gone_does_not_keep_the_command_from_running(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    done = subprocess.run(
        ["sh", "-c", f"cd {gone}; rmdir {gone}; {shlex.join(arguments('echo', 'hi'))}"], capture_output=True, check=True
    )

    assert done.stdout == b"hi\n"


def test_a_store_that_is_held_by_another_holds_up_nobody_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute("true")
    monkeypatch.setenv("TAC_ORCHESTRATOR_BUSY_TIMEOUT", "0.5")
    holder = sqlite.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    done = execute("sh", "-c", "echo ran; exit 3")

    holder.close()
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert done.stderr.decode() == f"Warning: the command is not recorded: {path} is held by another process.\n"
    assert len(recorded(path)) == 1


def test_a_store_that_cannot_be_written_any_more_costs_the_end_only(path: Path) -> None:
    with start("sh", "-c", "echo ready; read line; exit 3", stdin=subprocess.PIPE) as process:
        read_until(descriptor_of(process), b"ready")
        connection = sqlite.connect(path)
        connection.execute("DROP TABLE agent_logs")
        connection.close()
        _, err = process.communicate(b"\n", timeout=20)

    assert process.returncode == 3
    assert b"Warning: " in err
