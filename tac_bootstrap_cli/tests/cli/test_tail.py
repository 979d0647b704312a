from __future__ import annotations

import asyncio
import json
import re
import select
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent

from .support import PROGRAM, Caller, has_open


def messages(call: Caller, *arguments: str) -> list[str]:
    return [log["message"] for log in call("tail", "--json", *arguments).json]


def test_the_last_logs_are_shown_the_oldest_first(call: Caller, store: Path | str) -> None:
    assert messages(call, "-n", "2") == ["started", "slow"]
    assert messages(call, "--session", "issue-41", "--type", "milestone") == ["built for issue-41"]
    assert messages(call, "--level", "WARNING") == ["slow"]
    assert messages(call, "--type", "milestone") == ["built for issue-41", "built for issue-42"]
    assert len(messages(call, "--limit", "5")) == 5


def test_a_line_says_when_and_who(call: Caller, store: Path | str) -> None:
    first, second = call("tail", "-n", "3", "--type", "milestone").out.splitlines()

    assert re.fullmatch(r"\S+Z  INFO      issue-41        builder         milestone     built for issue-41", first)
    assert second.endswith("built for issue-42")
    assert call("tail", "-n", "1").out.split()[1:] == ["WARNING", "-", "database", "system", "slow"]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  INFO      issue-41        builder         built for issue-41",
        call("tail", "--type", "milestone", columns=80).plain.splitlines()[0],
    )


@contextmanager
def following(*arguments: str) -> Generator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    command = [PROGRAM, "tail", "-f", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def read_line(output: IO[bytes]) -> str:
    """Fails rather than wait for ever."""
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([output], [], [], 20)[0], line
        line += output.read(1)
    return line.decode().rstrip("\n")


async def _log(target: Path | str, *messages: str, session_id: str = "issue-41", level: str = "INFO") -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db, "late", session_id=session_id)
        for message in messages:
            await db.agent_logs.create(agent.id, "milestone", message, log_level=level)  # type: ignore[arg-type]
        await db.system_logs.create("api", f"system {messages[0]}")


def test_what_other_processes_write_follows_at_once(store: Path | str) -> None:
    with following("-n", "1") as (_, output):
        assert read_line(output).endswith("slow")

        for word in ("first", "second"):
            subprocess.run([PROGRAM, "exec", "--agent", word, "--", "true"], check=True)
            assert read_line(output).endswith("true: done")
            assert read_line(output).endswith("executing → completed")


def test_only_what_is_wanted_follows(store: Path | str) -> None:
    with following("-n", "1", "--session", "issue-42", "--level", "ERROR", "--json") as (_, output):
        assert json.loads(read_line(output))["log_level"] == "ERROR"

        asyncio.run(_log(store, "another session", level="ERROR"))
        asyncio.run(_log(store, "not so bad", session_id="issue-42"))
        asyncio.run(_log(store, "bad", session_id="issue-42", level="ERROR"))

        assert json.loads(read_line(output))["message"] == "bad"


def test_an_interrupt_ends_it(store: Path | str) -> None:
    with following("-n", "1") as (process, output):
        read_line(output)

        process.send_signal(signal.SIGINT)

        assert process.wait(20) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == b""


def test_it_ends_when_its_reader_does(store: Path | str) -> None:
    with following("-n", "1") as (process, output):
        read_line(output)

        output.close()

        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_no_log_is_lost_or_told_twice_while_others_write(store: Path | str) -> None:
    with following("-n", "3", "--type", "milestone") as (_, output):
        asyncio.run(_log(store, *(f"message {number}" for number in range(500))))
        seen = [read_line(output).rpartition("  ")[2]]
        while seen[-1] != "message 499":
            seen.append(read_line(output).rpartition("  ")[2])

    told = [int(message.removeprefix("message ")) for message in seen if message.startswith("message ")]
    assert told == list(range(told[0], 500))


def test_an_empty_store_can_be_followed(target: Path | str) -> None:
    asyncio.run(_make(target))

    with following() as (process, output):
        while not has_open(process, target):
            assert process.poll() is None
        asyncio.run(_log(target, "the first"))

        lines = {read_line(output).rpartition("  ")[2] for _ in range(2)}

    assert lines == {"the first", "system the first"}


async def _make(target: Path | str) -> None:
    async with Database.open(target):
        pass


def test_a_log_that_has_gone_meanwhile_is_passed_over(store: Path | str) -> None:
    with following("-n", "1") as (_, output):
        read_line(output)
        asyncio.run(_log_and_delete(store))

        assert read_line(output).endswith("kept")


async def _log_and_delete(target: Path | str) -> None:
    async with Database.open(target) as db:
        agent = await make_agent(db, "late")
        async with db.transaction() as tables:
            await tables.agent_logs.create(agent.id, "milestone", "gone")
            await tables.agent_logs.create(agent.id, "milestone", "kept")
            last = (await db.agent_logs.list(limit=1))[0].id
            assert last is not None
            await tables.agent_logs.delete(str(last + 1))


@pytest.mark.parametrize("arguments", [["--session", "nobody"], ["--agent", "nobody"]])
def test_whom_nobody_knows_cannot_be_followed(call: Caller, store: Path | str, arguments: list[str]) -> None:
    assert call("tail", "-f", *arguments).code == 3
