"""Runs commands through `tac-orch exec`, and reads what is on record of them."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from tac_orchestrator import Agent, AgentLog, Database

PROGRAM = str(Path(sys.executable).with_name("tac-orch"))


def arguments(*command: str, options: tuple[str, ...] = ()) -> list[str]:
    return [PROGRAM, "exec", "--agent", "tester", *options, "--", *command]


def execute(*command: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(arguments(*command, options=options), capture_output=True, timeout=60, check=False, **more)


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def start(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    """Runs on. In a session of its own, so that no terminal of the developer's has a part in it."""
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **more}
    return subprocess.Popen(arguments(*command), bufsize=0, **more)


def recorded(target: Path | str) -> list[tuple[Agent, list[AgentLog]]]:
    """All agents, the oldest first, with their tool calls."""

    async def read() -> list[tuple[Agent, list[AgentLog]]]:
        async with Database.open(target, create=False) as db:
            agents = reversed(await db.agents.list())
            return [(agent, await db.agent_logs.list(agent_id=agent.id, log_type="tool_call")) for agent in agents]

    return asyncio.run(read())


def only(target: Path | str) -> tuple[Agent, AgentLog]:
    [(agent, [log])] = recorded(target)
    return agent, log


def details(log: AgentLog) -> dict[str, Any]:
    assert log.details is not None
    return log.details


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Fails rather than wait for ever."""
    found = b""
    while wanted not in found:
        assert select.select([descriptor], [], [], 20)[0], found
        data = os.read(descriptor, 1000)
        assert data, found
        found += data
    return found


def descriptor_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return process.stdout.fileno()
