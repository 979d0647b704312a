"""The command line, called in this process or as a program of its own, and a store to look at: in a file or in PostgreSQL.

What a test calls finds the store by itself: `target` is where it is, `path` where it is for tests that are about files.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database

from .support import PROGRAM, Caller


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is in no project: what the developer's hooks have written down there is not for tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def path(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(path))
    return path


@pytest.fixture
def target(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> Path | str:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(target))
    return target


@pytest.fixture
def call(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """In this process, on the store at `target`."""
    return Caller(monkeypatch)


@pytest.fixture
def program(target: Path | str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As a program of its own, on the store at `target`."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, **options)

    return run


@pytest.fixture
def store(target: Path | str) -> Path | str:
    """Two workflows: issue-41 went well, in issue-42 a tester failed below a builder."""
    asyncio.run(_fill(target))
    return target


async def _fill(target: Path | str) -> None:
    async with Database.open(target) as db:
        for name in ("planner", "builder", "tester"):
            await db.orchestrator_agents.register(name, agent_type=name)
        for session_id in ("issue-41", "issue-42"):
            with suppress(RuntimeError):
                await _work(db, session_id)
        await db.system_logs.create("api", "started")
        await db.system_logs.create("database", "slow", log_level="WARNING")


async def _work(db: Database, session_id: str) -> None:
    async with db.agents.run("planner", session_id=session_id) as planner:
        async with planner.prompt("adw", name="plan", text="Plan the parser.\nThen stop.", model="claude-sonnet-4-5") as prompt:
            prompt.answer("Read, then write.", tokens_input=48_112, tokens_output=924, tokens_cache_read=31_000)
        async with planner.spawn("builder") as builder:
            async with builder.prompt("command", name="/build", text="Build it.", model="m1") as prompt:
                prompt.answer("built", tokens_input=800, tokens_output=200, cost_usd=Decimal("0.25"))
            async with builder.prompt("followup", text="Again.", model="of nobody") as prompt:
                prompt.answer("built again", tokens_input=10, tokens_output=5)
            await builder.log("milestone", f"built for {session_id}", details={"files": 3})
            if session_id == "issue-42":
                async with builder.spawn("tester"):
                    raise RuntimeError("3 tests failed\nin test_parser.py")
