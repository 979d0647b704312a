"""Listeners are woken by whoever has committed. The table is the truth: who hears nothing comes late, and misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest

from tac_orchestrator import Change, Database
from tac_orchestrator.engines.postgres import bell

from ..store.support import run_python
from .plain import plainly_connected
from .running import NEWEST, Cluster, new_cluster

LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"

RECORDING = """
import asyncio, sys
from tac_orchestrator import Database
async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.system_logs.create("builder", "It is done.")
asyncio.run(main())
"""


@pytest.fixture(scope="module")
def server() -> Generator[Cluster]:
    with new_cluster(NEWEST) as cluster:
        yield cluster


@pytest.fixture
async def db(server: Cluster) -> AsyncGenerator[Database]:
    with server.new_database() as url:
        async with Database.open(url) as database:
            yield database


@pytest.fixture
def url(db: Database) -> str:
    address: str = db.engine.address.urls[0]  # pyright: ignore[reportAttributeAccessIssue]
    return address


@pytest.fixture
def only_by_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not woken asks too late for any test."""
    monkeypatch.setattr(bell, "_ASKED_FOR_S", 0)
    monkeypatch.setattr(bell, "_ASKED_EVERY_S", 600)
    monkeypatch.setattr(bell, "_ASKED_AT_LEAST_EVERY_S", 600)


@pytest.fixture
def never_by_the_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "_RING", "SELECT 1")


@asynccontextmanager
async def listening(db: Database) -> AsyncGenerator[asyncio.Queue[Change]]:
    """What a listener is told, from when it listens."""
    told: asyncio.Queue[Change] = asyncio.Queue()

    async def listen() -> None:
        async for change in db.changes.follow():
            told.put_nowait(change)

    task = asyncio.ensure_future(listen())
    while not await db.query(LISTENERS):
        assert not task.done()
    yield told
    task.cancel()
    await asyncio.wait([task])


async def next_of(told: asyncio.Queue[Change]) -> tuple[str, str]:
    change = await asyncio.wait_for(told.get(), 60)
    return change.entity, change.operation


@pytest.mark.usefixtures("only_by_the_bell")
async def test_a_commit_of_another_process_wakes_a_listener(db: Database, url: str) -> None:
    async with listening(db) as told:
        await asyncio.to_thread(run_python, RECORDING, url)
        assert await next_of(told) == ("system_log", "insert")


@pytest.mark.usefixtures("only_by_the_bell")
async def test_all_listeners_of_a_loop_are_woken(db: Database, url: str) -> None:
    async with listening(db) as one, listening(db) as another:
        await asyncio.to_thread(run_python, RECORDING, url)
        assert await next_of(one) == await next_of(another) == ("system_log", "insert")
        assert len(await db.query(LISTENERS)) == 1


@pytest.mark.usefixtures("never_by_the_bell")
async def test_what_nobody_has_rung_for_is_told_as_well(db: Database, url: str) -> None:
    async with listening(db) as told:
        with plainly_connected(url) as connection:
            connection.execute("INSERT INTO system_logs (component, message) VALUES ('psql', 'Typed in.')")
        assert await next_of(told) == ("system_log", "insert")


async def test_a_listener_whose_connection_is_lost_goes_on(db: Database, url: str) -> None:
    async with listening(db) as told:
        with plainly_connected(url) as connection:
            for (process_id,) in connection.execute(LISTENERS):
                connection.execute(f"SELECT pg_terminate_backend({process_id})")
        await asyncio.to_thread(run_python, RECORDING, url)
        assert await next_of(told) == ("system_log", "insert")


@pytest.mark.usefixtures("only_by_the_bell")
async def test_many_commits_ring_once_in_a_while(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell, "_RUNG_EVERY_S", 600)
    rung = 0

    def hear(*_told: object) -> None:
        nonlocal rung
        rung += 1

    async with listening(db) as told:
        connection = await db.raw_connection()
        await connection.add_listener("tac_orchestrator", hear)
        for number in range(20):
            await db.system_logs.create("builder", f"Step {number}.")
        await next_of(told)
        await connection.fetchval("SELECT 1")
        assert rung == 1
        await connection.close()
