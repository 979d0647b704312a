"""What is true of a store in PostgreSQL and of no other: the server may go away, and others write at the same time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import traceback
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from tac_orchestrator import (
    AgentLog,
    Database,
    DatabaseReadOnly,
    DatabaseUnavailable,
    InvalidRecord,
    NotFound,
    SchemaDrift,
    SchemaError,
    SchemaTooNew,
)
from tac_orchestrator.schema import migrations, whole_schema
from tac_orchestrator.settings import Settings
from tac_orchestrator.testing import make_agent, make_prompt

from ..store.support import run_python, start_python
from .plain import plainly_connected, run_script
from .running import NEWEST, Cluster, new_cluster

ROOT = Path(__file__).parents[3]
TODAY = len(migrations("postgres"))


@pytest.fixture(scope="module")
def server() -> Generator[Cluster]:
    with new_cluster(NEWEST) as cluster:
        yield cluster


@pytest.fixture
def url(server: Cluster) -> Generator[str]:
    with server.new_database() as found:
        yield found


@pytest.fixture
def empty(server: Cluster) -> Generator[str]:
    """A database without any table."""
    server.sql("CREATE DATABASE nothing_yet")
    yield server.url("nothing_yet")
    server.sql("DROP DATABASE nothing_yet WITH (FORCE)")


@pytest.fixture
async def db(url: str) -> AsyncGenerator[Database]:
    async with Database.open(url) as database:
        yield database


# The schema


def structure(url: str) -> dict[str, str]:
    return dict(Database(Settings(url)).engine.inspect().objects)  # pyright: ignore[reportOptionalMemberAccess]


def test_migrations_have_the_numbers_and_names_of_those_for_files() -> None:
    assert [(one.number, one.name) for one in migrations("postgres")] == [(one.number, one.name) for one in migrations()]


def test_all_migrations_amount_to_the_whole_schema(empty: str, url: str) -> None:
    run_script(empty, *(one.sql for one in migrations("postgres")))
    assert structure(empty) == structure(url)


@pytest.mark.parametrize("version", [1, 4, 7, TODAY])
async def test_a_database_made_by_hand_is_adopted(empty: str, version: int) -> None:
    await asyncio.to_thread(run_script, empty, *(one.sql for one in migrations("postgres")[:version]))
    async with Database.open(empty) as db:
        kind = await db.orchestrator_agents.register("planner", agent_type="planner")
        assert (await db.agents.create(kind.id, "session")).session_id == "session"
        assert (await db.query("SELECT MAX(number) AS number FROM schema_version"))[0]["number"] == TODAY


async def test_what_was_there_before_totals_is_reckoned_once(empty: str) -> None:
    await asyncio.to_thread(run_script, empty, *(one.sql for one in migrations("postgres")[:4]))
    agent, kind = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
    await asyncio.to_thread(
        run_script,
        empty,
        f"INSERT INTO orchestrator_agents (id, name, agent_type) VALUES ('{kind}', 'planner', 'planner')",
        f"INSERT INTO agents (id, orchestrator_agent_id, session_id, cost_usd) VALUES ('{agent}', '{kind}', 'old', 0.75)",
        "INSERT INTO prompts (id, agent_id, prompt_type, prompt_text, status, cost_usd) "
        f"VALUES (gen_random_uuid(), '{agent}', 'adw', 'x', 'completed', 0.5)",
    )
    async with Database.open(empty) as db:
        assert float((await db.agents.get(agent)).cost_usd or 0) == 0.75
        assert [float(prompt.cost_usd or 0) for prompt in await db.prompts.list()] in ([0.25, 0.5], [0.5, 0.25])
        assert float((await db.sessions.get("old")).cost_usd or 0) == 0.75
        assert [hit.entity for hit in await db.search.find("x")] == ["prompt"]


@pytest.mark.parametrize(
    ("statement", "error", "reason"),
    [
        ("UPDATE schema_version SET number = 99 WHERE number = 11", SchemaTooNew, "schema version 99"),
        ("UPDATE schema_version SET checksum = 'x' WHERE number = 3", SchemaDrift, "003_details"),
        ("DROP TRIGGER prompts_insert_totals ON prompts", SchemaDrift, "prompts_insert_totals is missing"),
        ("ALTER TABLE leases ALTER COLUMN host DROP NOT NULL", SchemaDrift, "leases has been changed"),
        ("DROP INDEX idx_prompts_agent", SchemaDrift, "idx_prompts_agent is missing"),
        ("ALTER TABLE prompts DISABLE TRIGGER prompts_insert_change", SchemaDrift, "prompts_insert_change has been changed"),
    ],
)
async def test_what_is_newer_or_altered_is_refused_and_left_as_it_is(
    url: str, statement: str, error: type[SchemaError], reason: str
) -> None:
    with plainly_connected(url) as connection:
        connection.execute(statement)
    before = await asyncio.to_thread(structure, url)
    with pytest.raises(error, match=reason):
        async with Database.open(url):
            pass
    assert await asyncio.to_thread(structure, url) == before


async def test_somebody_elses_database_is_refused_and_left_as_it_is(empty: str) -> None:
    with plainly_connected(empty) as connection:
        connection.execute("CREATE TABLE customers (id INTEGER)")
    with pytest.raises(SchemaDrift, match="is missing"):
        async with Database.open(empty):
            pass
    assert await asyncio.to_thread(structure, empty) == {"customers": "TABLE id integer"}


async def test_what_users_add_is_theirs(url: str) -> None:
    with plainly_connected(url) as connection:
        connection.execute("CREATE TABLE notes (id INTEGER)")
        connection.execute("CREATE INDEX my_index ON agents (error_message)")
    async with Database.open(url) as db:
        await db.orchestrator_agents.register("planner", agent_type="planner")


async def test_a_database_that_is_not_there_is_made(server: Cluster) -> None:
    async with Database.open(server.url("made_on_first_use")) as db:
        assert (await db.sessions.totals())["session_count"] == 0
    server.sql("DROP DATABASE made_on_first_use WITH (FORCE)")


async def test_a_database_that_is_not_there_is_not_made_by_who_only_looks(server: Cluster) -> None:
    with pytest.raises(DatabaseUnavailable, match="there is no database yet"):
        async with Database.open(server.url("never_made"), create=False):
            pass


_OPENS = """
import asyncio, sys
from tac_orchestrator import Database
async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.orchestrator_agents.register("planner", agent_type="planner")
asyncio.run(main())
"""


def test_eight_processes_may_open_a_new_database_at_once(server: Cluster) -> None:
    url = server.url("opened_by_eight")
    processes = [start_python(_OPENS, url) for _ in range(8)]
    told = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, told
    assert [row["name"] for row in server.sql("SELECT name FROM orchestrator_agents", database="opened_by_eight")] == [
        "planner"
    ]
    server.sql("DROP DATABASE opened_by_eight WITH (FORCE)")


# Secrets


async def test_nobody_sees_the_password(server: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "geh" + "eim"
    monkeypatch.setenv(
        "TAC_ORCHESTRATOR_DB", f"postgresql://nobody:{secret}@127.0.0.1:{server.port}/nowhere?sslpassword={secret}"
    )
    db = Database.open()
    assert secret not in repr(db.settings) + db.target + repr(Settings.from_environment())
    with pytest.raises(DatabaseUnavailable) as caught:
        await db.connect()
    assert secret not in "".join(traceback.format_exception(caught.value, chain=True)) + caught.value.hint
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(f"postgresql://nobody:{secret}@127.0.0.1:1/nowhere?sslmode={secret}").connect()
    assert secret not in str(caught.value) + caught.value.hint


# Least privilege


async def test_the_roles_of_the_documentation_can_do_their_work_and_no_more(server: Cluster, url: str) -> None:
    (script,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "scale.md").read_text("utf-8"), re.DOTALL)
    await asyncio.to_thread(run_script, url, script)
    try:
        async with Database.open(url.replace("postgres@", "recorder@")) as db:
            agent = await make_agent(db)
            prompt = await make_prompt(db, agent)
            await db.prompts.answer(prompt.id, "a zebra", tokens_input=1, tokens_output=1)
            await db.agents.finish(agent.id)
            assert [hit.id for hit in await db.search.find("zebra")] == [prompt.id]
            with pytest.raises(DatabaseReadOnly):
                await db.prompts.delete(prompt.id)
        async with Database.open(url.replace("postgres@", "reader@")) as db:
            assert [hit.id for hit in await db.search.find("zebra")] == [prompt.id]
            assert (await db.sessions.get("session")).prompt_count == 1
            with pytest.raises(DatabaseReadOnly):
                await db.agents.update(agent.id, context={})
    finally:
        for role in ("recorder", "reader"):
            await asyncio.to_thread(run_script, url, f"DROP OWNED BY {role}; DROP ROLE {role}")


# Only what reads


@pytest.mark.parametrize(
    "sql",
    ["DELETE FROM agents", "CREATE TABLE t (id INTEGER)", "SELECT setval('agent_logs_id_seq', 9)", "TRUNCATE agents CASCADE"],
)
async def test_a_query_does_not_write(db: Database, sql: str) -> None:
    with pytest.raises(DatabaseReadOnly):
        await db.query(sql)


async def test_a_query_leaves_nothing_behind_on_its_connection(db: Database) -> None:
    for _ in range(5):
        await db.query("SELECT set_config('default_transaction_read_only', 'off', false)")
        await db.query("SELECT pg_advisory_lock(1)")
    assert await db.query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1") == []
    with pytest.raises(DatabaseReadOnly):
        await db.query("DELETE FROM agents")


@pytest.mark.parametrize(
    "sql", ["SELECT no_column FROM agents", "nonsense", "SELECT 1; SELECT 2", "SELECT :missing", "COMMIT; x"]
)
async def test_wrong_sql_is_an_invalid_record(db: Database, sql: str) -> None:
    with pytest.raises(InvalidRecord):
        await db.query(sql)
    assert await db.query("SELECT 'a:b' AS text, :x::INTEGER AS number, '2'::TEXT AS cast", x=7) == [
        {"text": "a:b", "number": 7, "cast": "2"}
    ]


# The feed of changes


async def test_the_feed_misses_nothing_that_is_committed_late(url: str, db: Database) -> None:
    """The first to take a number is the last to commit: who reads by number alone has passed it by then."""
    position = await db.changes.last()
    async with AsyncExitStack() as stack:
        slow = await asyncpg.connect(url)
        stack.push_async_callback(slow.close)
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute("INSERT INTO system_logs (component, message) VALUES ('slow', 'first')")
        number = await db.system_logs.create("fast", "second")
        assert await db.changes.after(position) == []  # it is not told yet, as something may come before it
        await transaction.commit()
        changes = await db.changes.after(position)
    assert [int(change.row_id) for change in changes] == [number - 1, number]
    assert await db.changes.after(changes[0].position) == changes[1:]
    assert await db.changes.after(changes[1].position) == []


async def test_the_feed_tells_each_row_of_a_statement_with_a_position_of_its_own(db: Database) -> None:
    position = await db.changes.last()
    await db.system_logs.create_many({"component": "c", "message": str(number)} for number in range(5))
    changes = await db.changes.after(position)
    assert [await db.changes.after(change.position, limit=1) for change in changes] == [[one] for one in changes[1:]] + [[]]


async def test_a_position_of_what_was_trimmed_is_refused(db: Database) -> None:
    position = await db.changes.last()
    for number in range(4):
        await db.system_logs.create("c", str(number))
    second = (await db.changes.after(position))[1].position
    await db.commit(trimming(db, keep=2))
    with pytest.raises(NotFound):
        await db.changes.after(position)
    assert len(await db.changes.after(second)) == 2


def trimming(db: Database, keep: int):
    statement = db.changes.trim()
    statement.rows = [(keep,)]
    return statement


# A server that goes away


_RECORDS = """
import asyncio, sys
from tac_orchestrator import Database
from tac_orchestrator.testing import make_agent
async def main():
    async with Database.open(sys.argv[1]) as db:
        agent = await make_agent(db)
        print(agent.id, flush=True)
        async def record(name):
            number = 0
            while True:
                await db.agent_logs.create(agent.id, "milestone", f"{name}:{number}")
                print(f"{name}:{number}", flush=True)
                number += 1
        await asyncio.gather(*map(record, "abcd"))
asyncio.run(main())
"""


def test_what_was_acknowledged_is_there_once_although_the_server_was_killed() -> None:
    """The recorder goes on without an error; what it was not answered in time it has written again, and not twice."""
    with new_cluster() as cluster:
        recorder = start_python(_RECORDS, cluster.url("kept"))
        assert recorder.stdout is not None
        agent = recorder.stdout.readline().strip()
        acknowledged = list[str]()
        for _ in range(3):
            acknowledged += [recorder.stdout.readline().strip() for _ in range(150)]
            cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'kept'")
            acknowledged += [recorder.stdout.readline().strip() for _ in range(150)]
            os.kill(cluster.process_id, signal.SIGKILL)
            cluster.start()
        acknowledged += [recorder.stdout.readline().strip() for _ in range(50)]
        recorder.kill()
        rest = recorder.stdout.read()  # also what was read ahead, which `communicate` knows nothing of
        _, errors = recorder.communicate()
        acknowledged += [line for line in rest.split("\n")[:-1] if line]
        stored = [row["message"] for row in cluster.sql("SELECT message FROM agent_logs", database="kept")]
    assert agent
    assert "Error" not in errors
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(set(stored) - set(acknowledged)) <= 8


async def test_two_that_block_each_other_both_get_their_way(url: str, db: Database) -> None:
    """PostgreSQL undoes one of two transactions that wait for each other; it is simply made again."""
    names = [(await db.orchestrator_agents.register(name, agent_type="utility")).id for name in ("a", "b")]
    async with Database.open(url) as other:

        async def rename(store: Database, ids: list[str], round: int) -> None:
            async with store.transaction() as transaction:
                for id in ids:
                    await transaction.orchestrator_agents.update(id, description=f"{round}")

        for round in range(10):
            await asyncio.gather(rename(db, names, round), rename(other, names[::-1], round))
    assert {kind.description for kind in await db.orchestrator_agents.list()} == {"9"}


async def test_a_server_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open("postgresql://somebody@127.0.0.1:1/nothing").connect()
    assert "postgresql://somebody@127.0.0.1:1/nothing" in str(caught.value)
    assert caught.value.hint


async def test_what_only_files_know_names_the_program_of_the_server(db: Database) -> None:
    for act, program in [
        (lambda: db.engine.back_up(Path("x")), "pg_dump"),
        (lambda: db.engine.restore(Path("x"), None), "pg_restore"),
        (lambda: db.engine.examine(), "pg_amcheck"),
    ]:
        with pytest.raises(DatabaseUnavailable) as caught:
            act()
        assert program in caught.value.hint


def test_the_whole_schema_is_one_script_for_psql(empty: str) -> None:
    run_script(empty, whole_schema("postgres"))


_WITHOUT_DRIVER = """
import sys
sys.modules["asyncpg"] = None
from tac_orchestrator import Database, DatabaseUnavailable
try:
    Database.open("postgresql://somebody:geheim@db.example/tac")
except DatabaseUnavailable as error:
    print(error, error.hint)
"""


def test_who_lacks_the_driver_is_told_how_to_get_it() -> None:
    told = run_python(_WITHOUT_DRIVER)
    assert "postgresql://db.example: the driver for PostgreSQL is not installed" in told
    assert "pip install 'tac-orchestrator[postgres]'" in told
    assert "geheim" not in told


async def test_a_host_that_is_silent_does_not_keep_from_the_next(url: str) -> None:
    """As one is that has lost its power: it refuses nothing, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        several = url.replace("@", f"@127.0.0.1:{silent.getsockname()[1]},")
        async with Database.open(f"{several}?connect_timeout=0.5&target_session_attrs=read-write") as db:
            agent = await make_agent(db)
            assert [one.id for one in await db.agents.list()] == [agent.id]


async def test_a_connection_whose_host_falls_silent_is_given_up_before_patience_ends(db: Database) -> None:
    """As far as one machine can show it: the kernel is told to find out."""
    connection = await db.raw_connection()
    its: socket.socket = connection._transport.get_extra_info("socket")
    assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    idle, interval, count = (
        its.getsockopt(socket.IPPROTO_TCP, option) for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    )
    assert idle + interval * count < db.settings.busy_timeout_s
    assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) < db.settings.busy_timeout_s * 1000
    await connection.close()


async def test_when_no_host_answers_all_of_them_are_named() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"postgresql://127\.0\.0\.1:1,127\.0\.0\.1:2/nothing"):
        await Database.open("postgresql://127.0.0.1:1,127.0.0.1:2/nothing").connect()


async def test_each_schema_of_a_database_is_a_store_of_its_own(empty: str) -> None:
    await asyncio.to_thread(run_script, empty, "CREATE SCHEMA team_a", "CREATE SCHEMA team_b")
    for team in ("team_a", "team_b"):
        async with Database.open(f"{empty}?search_path={team}") as db:
            prompt = await make_prompt(db, await make_agent(db, session_id=team), "a zebra")
            assert [session.session_id for session in await db.sessions.list()] == [team]
            assert [hit.id for hit in await db.search.find("zebra")] == [prompt.id]
    with pytest.raises(SchemaDrift, match="no schema of its search_path exists"):
        await Database.open(f"{empty}?search_path=team_c").connect()


# Many rows at once


async def test_many_rows_at_once_are_the_same_as_one_after_another(db: Database) -> None:
    """They come in by COPY; what counts them, tells of them and finds them sees each of them as well."""
    agent, other = await make_agent(db, session_id="many"), await make_agent(db, session_id="single")
    secret = "sk-ant-" + "api03-" + "a" * 93 + "AA"
    rows = [
        {
            "log_type": "milestone",
            "message": f"née {number} {secret}",
            "details": {"a": [number, None, "é"]} if number % 2 else None,
            "created_at": datetime(2026, 1, 1, 12, 0, 0, number, UTC),
        }
        for number in range(1500)
    ]
    position = await db.changes.last()
    assert await db.agent_logs.create_many({"agent_id": agent.id, **row} for row in rows) == 1500
    for row in rows[:3]:
        await db.agent_logs.create(other.id, **row)
    one, many = await db.agent_logs.list(agent_id=other.id), await db.agent_logs.list(agent_id=agent.id, limit=2000)
    assert len(many) == 1500
    assert [replace_ids(log) for log in many[-3:]] == [replace_ids(log) for log in one]
    assert secret not in many[0].message
    assert len(await db.changes.after(position, limit=2000)) == 1503
    assert [hit.id for hit in await db.search.find("1499")] == [str(many[0].id)]


def replace_ids(log: AgentLog) -> AgentLog:
    return log.model_copy(update={"id": 0, "agent_id": ""})


async def test_a_bad_row_among_many_keeps_its_own_piece_out(db: Database) -> None:
    agent = await make_agent(db)
    known = {"agent_id": agent.id, "log_type": "milestone", "message": "known"}
    unknown = {**known, "agent_id": "00000000-0000-4000-8000-000000000009"}
    with pytest.raises(NotFound):
        await db.agent_logs.create_many([known] * 1200 + [unknown])
    assert len(await db.agent_logs.list(limit=2000)) == 1024
