"""Readers on a replica: it takes what is shown, and nobody misses what they know of."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tac_orchestrator import Database, InvalidSetting
from tac_orchestrator.engines.postgres import replica as reading
from tac_orchestrator.ops.doctor import diagnose
from tac_orchestrator.settings import Settings
from tac_orchestrator.testing import make_agent, make_prompt

from ..server.support import Server, serving
from ..store.support import start_python
from .running import Cluster, free_port, new_cluster

PATIENCE_S = 20.0
HOSTS = [f"127.0.0.{number}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def primary() -> Generator[Cluster]:
    with new_cluster(settings={"listen_addresses": ",".join(HOSTS)}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def replica(primary: Cluster) -> Generator[Cluster]:
    with primary.replicated() as cluster:
        yield cluster


@pytest.fixture
def settings(primary: Cluster, replica: Cluster) -> Generator[Settings]:
    """Of a store that is written to on the primary, and read on the replica."""
    with primary.clean_database() as url:
        catch_up(primary, replica)
        yield Settings(url, read_database=replica.url(url.rpartition("/")[2]))


@pytest.fixture
async def other(settings: Settings) -> AsyncGenerator[Database]:
    """Another process, which records and knows of no replica."""
    async with Database(replace(settings, read_database=None)) as database:
        yield database


@pytest.fixture
async def db(settings: Settings) -> AsyncGenerator[Database]:
    """One that has asked the replica, and found it well."""
    async with Database(settings) as database:
        assert await database.agents.list() == []
        yield database


def catch_up(primary: Cluster, replica: Cluster) -> None:
    (place,) = primary.sql("SELECT pg_current_wal_flush_lsn()::TEXT AS place")
    give_up = time.monotonic() + PATIENCE_S
    while not replica.sql("SELECT pg_last_wal_replay_lsn() >= $1::TEXT::PG_LSN AS reached", place["place"])[0]["reached"]:
        assert time.monotonic() < give_up
        time.sleep(0.01)


@contextmanager
def lagging(primary: Cluster, replica: Cluster) -> Generator[None]:
    """It has all that there is now, and nothing that comes while the block lasts."""
    catch_up(primary, replica)
    replica.sql("SELECT pg_wal_replay_pause()")
    give_up = time.monotonic() + PATIENCE_S
    while replica.sql("SELECT pg_get_wal_replay_pause_state() AS state")[0]["state"] != "paused":
        assert time.monotonic() < give_up
        time.sleep(0.01)
    try:
        yield
    finally:
        replica.sql("SELECT pg_wal_replay_resume()")
        catch_up(primary, replica)


@asynccontextmanager
async def lag(primary: Cluster, replica: Cluster) -> AsyncGenerator[None]:
    block = lagging(primary, replica)
    await asyncio.to_thread(block.__enter__)
    try:
        yield
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


SHOWN: dict[str, Callable[[Database], Awaitable[object]]] = {
    "agents": lambda db: db.agents.list(),
    "prompts": lambda db: db.prompts.list(session_id="session"),
    "agent logs": lambda db: db.agent_logs.list(),
    "system logs": lambda db: db.system_logs.list(),
    "kinds": lambda db: db.orchestrator_agents.list(),
    "sessions": lambda db: db.sessions.list(),
    "a tree": lambda db: db.sessions.tree("session"),
    "totals": lambda db: db.sessions.totals(),
    "usage": lambda db: db.usage.by("session"),
    "SQL": lambda db: db.query("SELECT id FROM agents UNION ALL SELECT id FROM prompts ORDER BY id"),
}


async def record(db: Database) -> None:
    """Something for every list."""
    agent = await make_agent(db)
    prompt = await make_prompt(db, agent)
    await db.prompts.answer(prompt.id, "Done.", tokens_input=1, tokens_output=1)
    await db.agent_logs.create(agent.id, "milestone", "done")
    await db.system_logs.create("api", "started")
    await db.orchestrator_agents.register(agent.id, agent_type="builder")


# What goes where


async def test_what_is_shown_comes_from_the_replica(primary: Cluster, replica: Cluster, db: Database, other: Database) -> None:
    await record(other)
    await asyncio.to_thread(catch_up, primary, replica)
    before = {name: await ask(db) for name, ask in SHOWN.items()}
    async with lag(primary, replica):
        await record(other)
        assert {name: await ask(db) for name, ask in SHOWN.items()} == before
    after = {name: await ask(db) for name, ask in SHOWN.items()}
    assert [name for name in SHOWN if after[name] == before[name]] == []


async def test_what_is_asked_for_by_its_id_is_found_although_the_replica_lags(
    primary: Cluster, replica: Cluster, db: Database, other: Database
) -> None:
    async with lag(primary, replica):
        agent = await make_agent(other)
        assert await db.agents.list() == []
        assert (await db.agents.get(agent.id)).id == agent.id
        assert (await db.sessions.get("session")).agent_count == 1
        assert await db.orchestrator_agents.find("builder") is not None


async def test_who_has_written_sees_it_at_once(primary: Cluster, replica: Cluster, db: Database) -> None:
    async with lag(primary, replica):
        for number in range(1, 4):
            agent = await make_agent(db, session_id=f"{number}")
            await make_prompt(db, agent, f"zebra{number}")
            assert len(await db.agents.list()) == number
            assert (await db.sessions.totals())["session_count"] == number
            assert [hit.agent_id for hit in await db.search.find(f"zebra{number}")] == [agent.id]


async def test_after_a_while_the_replica_tells_that_too(
    primary: Cluster, replica: Cluster, db: Database, other: Database
) -> None:
    agent = await make_agent(db)
    await asyncio.to_thread(catch_up, primary, replica)
    async with lag(primary, replica):
        await make_agent(other)
        assert [one.id for one in await db.agents.list()] == [agent.id]


async def test_a_list_has_what_the_feed_has_told(primary: Cluster, replica: Cluster, db: Database, other: Database) -> None:
    position = await db.changes.last()
    async with lag(primary, replica):
        agent = await make_agent(other)
        assert await db.agents.list() == []
        changes = await db.changes.after(position)
        assert agent.id in [change.row_id for change in changes]
        assert [one.id for one in await db.agents.list()] == [agent.id]
    await asyncio.to_thread(catch_up, primary, replica)
    async with lag(primary, replica):
        await make_agent(other)
        assert [one.id for one in await db.agents.list()] == [agent.id]  # it is the replica again that answers


async def test_a_transaction_reads_what_is(primary: Cluster, replica: Cluster, db: Database, other: Database) -> None:
    async with lag(primary, replica):
        agent = await make_agent(other)
        async with db.transaction() as transaction:
            assert [one.id for one in await transaction.agents.list()] == [agent.id]


async def test_a_new_connection_does_not_go_back_in_time(
    primary: Cluster, replica: Cluster, settings: Settings, other: Database
) -> None:
    """The replica lags when it is asked for the first time: it is waited for, and then left alone."""
    async with lag(primary, replica):
        agent = await make_agent(other)
        async with Database(settings) as db:
            assert [one.id for one in await db.agents.list()] == [agent.id]


async def test_a_replica_that_stands_still_is_found_out(
    primary: Cluster, replica: Cluster, db: Database, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_TRUSTED_FOR_S", 0.0)
    async with lag(primary, replica):
        agent = await make_agent(other)
        assert [one.id for one in await db.agents.list()] == [agent.id]


# When it is gone


async def test_without_the_replica_the_primary_answers_and_one_warning_is_given(
    settings: Settings, other: Database, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await make_agent(other)
    secret = "geh" + "eim"
    nowhere = f"postgresql://somebody:{secret}@127.0.0.1:{free_port()}/nothing"
    async with Database(replace(settings, read_database=nowhere)) as db:
        with caplog.at_level(logging.WARNING, "tac_orchestrator"):
            for _ in range(3):
                assert [one.id for one in await db.agents.list()] == [agent.id]
                assert await db.query("SELECT id FROM agents") == [{"id": agent.id}]
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("Reads go to the primary meanwhile. postgresql://somebody@127.0.0.1:")
    assert secret not in told + repr(db.settings)


async def test_a_replica_that_goes_and_comes_back_is_asked_again(
    primary: Cluster, replica: Cluster, settings: Settings, other: Database, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(reading, "_LEFT_ALONE_S", 0.0)
    async with Database(settings) as db:
        await make_agent(other)
        assert (await db.sessions.totals())["agent_count"] <= 1
        await asyncio.to_thread(replica.stop)
        with caplog.at_level(logging.WARNING, "tac_orchestrator"):
            assert [(await db.sessions.totals())["agent_count"] for _ in range(2)] == [1, 1]
        await asyncio.to_thread(replica.start)
        assert (await db.sessions.totals())["agent_count"] == 1
        await asyncio.to_thread(catch_up, primary, replica)
        async with lag(primary, replica):
            await make_agent(other)
            assert (await db.sessions.totals())["agent_count"] == 1
    assert len(caplog.records) == 1


# What it must be


@pytest.mark.parametrize("another", ["another database", "another schema"])
async def test_a_server_that_is_no_replica_of_the_store_is_refused(replica: Cluster, settings: Settings, another: str) -> None:
    database = f"{settings.read_database}?search_path=information_schema"
    stranger = replica.url("postgres") if another == "another database" else database
    async with Database(replace(settings, read_database=stranger)) as db:
        with pytest.raises(InvalidSetting, match=r"TAC_ORCHESTRATOR_READ_DB .* takes a streaming replica of the store"):
            await db.agents.list()


@pytest.mark.parametrize("address", ["/some/file.db", "mysql://a:geheim@b/c"])
def test_what_is_no_address_of_postgresql_is_refused(settings: Settings, address: str) -> None:
    with pytest.raises(InvalidSetting, match=r"TAC_ORCHESTRATOR_READ_DB .* takes the address of a replica") as caught:
        Database(replace(settings, read_database=address))
    assert "geheim" not in str(caught.value)


def test_a_store_in_a_file_has_no_replicas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(tmp_path / "orchestrator.db"))
    monkeypatch.setenv("TAC_ORCHESTRATOR_READ_DB", "postgresql://a:geheim@b/c")
    with pytest.raises(InvalidSetting, match="takes nothing while TAC_ORCHESTRATOR_DB is no address") as caught:
        Database.open()
    assert "geheim" not in str(caught.value)
    Database.open(tmp_path / "another.db")  # whose replica it is not


async def test_the_doctor_says_whether_it_keeps_up(primary: Cluster, replica: Cluster, settings: Settings) -> None:
    async def finding(one: Settings) -> tuple[str, str]:
        (found,) = [finding for finding in await diagnose(one) if finding.name == "replica"]
        return found.state, found.message

    state, message = await finding(settings)
    assert (state, "has what the primary had" in message) == ("ok", True)
    async with lag(primary, replica):
        async with Database(replace(settings, read_database=None)) as db:
            await make_agent(db)
        state, message = await finding(settings)
    assert (state, "lags by" in message) == ("warning", True)
    state, message = await finding(replace(settings, read_database=f"postgresql://a@127.0.0.1:{free_port()}/b"))
    assert (state, "Reads go to the primary" in message) == ("warning", True)
    assert [one for one in await diagnose(replace(settings, read_database=None)) if one.name == "replica"] == []


# Many at once


_RECORDS = """
import asyncio, sys
from tac_orchestrator import Database
async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async def work(number):
            async with db.agents.run("builder", session_id=f"{sys.argv[2]}-{number % 2}") as agent:
                async with agent.prompt("adw", text="Build it.") as prompt:
                    prompt.answer("Built.", tokens_input=10, tokens_output=1)
                for step in range(25):
                    await agent.log("milestone", f"{sys.argv[2]}:{number}:{step}")
        await asyncio.gather(*map(work, range(4)))
asyncio.run(main())
"""


@pytest.mark.long
async def test_recorders_on_several_addresses_readers_and_two_servers_do_not_disturb_each_other(settings: Settings) -> None:
    values = {"TAC_ORCHESTRATOR_DB": settings.database, "TAC_ORCHESTRATOR_READ_DB": settings.read_database or ""}
    async with AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(Database(settings)) for _ in range(10)]
        servers = [stack.enter_context(serving(settings.database, environment=more)) for more in (values, {})]
        told, looks = asyncio.create_task(logs_told(readers[0], 400)), 0
        recorders = [start_python(_RECORDS, settings.database.replace(HOSTS[0], host), host) for host in HOSTS]
        while any(recorder.poll() is None for recorder in recorders):
            await asyncio.gather(*(asyncio.to_thread(look, server) for server in servers), *map(ask_all, readers))
            looks += 1
        assert [(recorder.returncode, *recorder.communicate()) for recorder in recorders] == [(0, "", "")] * 4
        assert looks > 1
        expected = [f"{host}:{number}:{step}" for host in HOSTS for number in range(4) for step in range(25)]
        assert sorted(await asyncio.wait_for(told, PATIENCE_S)) == sorted(expected)
        assert [len(look(server)) for server in servers] == [8, 8]


async def logs_told(db: Database, number: int) -> list[str]:
    """The first messages of agents of which the feed tells, once their ids are read."""
    ids = list[str]()
    async for change in db.changes.follow("0.0.0"):
        ids += [change.row_id] if change.entity == "agent_log" else []
        logs = [log for log in await db.agent_logs.list(limit=1000) if str(log.id) in ids] if len(ids) >= number else []
        if len(milestones := [log.message for log in logs if log.log_type == "milestone"]) >= number:
            return milestones
    return []


async def ask_all(db: Database) -> None:
    for name, ask in SHOWN.items():
        if name != "a tree":
            await ask(db)
    for session in await db.sessions.list():
        assert await db.sessions.tree(session.session_id)


def look(server: Server) -> list[object]:
    for path in ("/api/agent-logs", "/api/costs", "/api/health"):
        assert server.get(path).status_code == 200
    found = server.get("/api/sessions")
    assert found.status_code == 200
    return found.json()["items"]
