"""One server for the tests of a file, on a store with a few workflows in it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from tac_orchestrator import Database

from ..postgres.running import Cluster
from .support import Server, serving


@pytest.fixture(scope="module")
def store(engine: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> Generator[Path | str]:
    """issue-1 to issue-3, each a planner with a builder below it; the builder of issue-3 failed."""
    file = tmp_path_factory.mktemp("store") / "orchestrator.db"
    with nullcontext(file) if engine is None else engine.new_database() as target:
        asyncio.run(_fill(target))
        yield target


@pytest.fixture(scope="module")
def server(store: Path | str) -> Generator[Server]:
    with serving(store) as running:
        yield running


async def _fill(target: Path | str) -> None:
    async with Database.open(target) as db:
        await db.orchestrator_agents.register("planner", agent_type="planner")
        await db.orchestrator_agents.register("builder", agent_type="builder")
        for session_id in ("issue-1", "issue-2", "issue-3"):
            with suppress(RuntimeError):
                await _work(db, session_id)
        await db.system_logs.create("api", "started")


async def _work(db: Database, session_id: str) -> None:
    async with db.agents.run("planner", session_id=session_id) as planner:
        async with planner.prompt("adw", text=f"Plan {session_id}.", model="claude-sonnet-4-5") as prompt:
            prompt.answer("Read, then write.", tokens_input=1000, tokens_output=100)
        async with planner.spawn("builder") as builder:
            await builder.log("milestone", "<script>alert(1)</script>")
            if session_id == "issue-3":
                raise RuntimeError("the tests fail")
