"""A store that was moved is what it was, wherever it came from and wherever it may go. PostgreSQL is real."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tac_orchestrator import AlreadyExists, Database, DatabaseUnavailable, MigrationFailed, NotFound
from tac_orchestrator.ops.canonical import LAYOUTS
from tac_orchestrator.ops.checks import check
from tac_orchestrator.ops.jsonb import written
from tac_orchestrator.ops.retention import prune
from tac_orchestrator.ops.transfer import transfer
from tac_orchestrator.schema import project_files, whole_schema
from tac_orchestrator.testing import make_agent

from ..postgres.running import Cluster
from ..store.support import AGENT, connected, insert, insert_all, migrate_by_hand, run_python
from .support import NAME, everything, make_store, moved, new_place, told

# There and back

ODD = (
    *("", "😀👩‍👩‍👧", "e\u0301", "\x01\x1f\x7f", "\uffff\U0010ffff", "'\"\\", "\t\r\n", "\b\f\v", "\\N"),
    *("\\t\\\n", "\\u0000", "\\."),
)
texts = st.text().filter(lambda text: "\0" not in text) | st.sampled_from(ODD)
names = texts.map(lambda text: text[:100] or "-")
inner = st.text(max_size=5).filter(lambda text: "\0" not in text)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | inner
    | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1.0, -0.0, 1e22, 1e300, 5e-324, 0.1]),
    lambda more: st.lists(more, max_size=3) | st.dictionaries(inner, more, max_size=3),
)  # fmt: skip
objects = st.none() | st.dictionaries(inner, json_values, max_size=3)
times = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
)
counts = st.none() | st.integers(0, 2**63 - 1) | st.sampled_from([0, 2**63 - 1])
summands = counts.map(lambda count: count and count // 8)  # SQLite keeps a sum of more than 63 bits as a float
money = st.none() | st.decimals(0, Decimal("9999999.99999999"), places=8)
prompt = st.fixed_dictionaries({
    "prompt_type": st.sampled_from(["adw", "tool_call"]), "prompt_text": texts, "response_text": st.none() | texts,
    "prompt_name": st.none() | names, "model_used": st.none() | names, "details": objects, "error_message": st.none() | texts,
    "status": st.sampled_from(["pending", "completed", "failed"]), "cost_usd": money, "created_at": times,
    "latency_ms": counts, "tokens_cache_write_1h": counts,
    **{name: summands for name in ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write")},
})  # fmt: skip
log = st.fixed_dictionaries(
    {"message": texts, "details": objects, "created_at": times, "log_level": st.sampled_from(["INFO", "ERROR"])}
)
kind = st.tuples(names, st.none() | texts, st.none() | st.lists(json_values, max_size=3))
agent = st.tuples(names, objects, times, st.sampled_from(["executing", "completed", "failed"]))
store_rows = st.fixed_dictionaries({
    "kinds": st.lists(kind, min_size=1, max_size=3, unique_by=lambda one: one[0]),
    "agents": st.lists(agent, min_size=1, max_size=4),
    "prompts": st.lists(prompt, max_size=6),
    "logs": st.lists(log, max_size=6),
})  # fmt: skip


async def record(path: Path, rows: dict[str, Any]) -> None:
    """Each agent is the child of the one that was created before it, whenever it began."""
    async with Database.open(path) as db:
        kinds = [
            await db.orchestrator_agents.create(name, agent_type="builder", description=text, capabilities=capabilities)
            for name, text, capabilities in rows["kinds"]
        ]
        agents = list[str]()
        for number, (session, context, at, status) in enumerate(rows["agents"]):
            agent = await db.agents.create(
                kinds[number % len(kinds)].id, session, parent_agent_id=agents[-1] if agents else None, context=context,
                started_at=at, status=status,
            )  # fmt: skip
            agents.append(agent.id)
        await db.prompts.create_many({"agent_id": agents[n % len(agents)], **one} for n, one in enumerate(rows["prompts"]))
        await db.agent_logs.create_many({"agent_id": agents[0], "log_type": "milestone", **one} for one in rows["logs"])
        await db.system_logs.create_many({"component": rows["kinds"][0][0], **one} for one in rows["logs"])
        await db.system_logs.create("api", "x" * 1_000_000)
    with connected(path) as plain:
        plain.execute("INSERT INTO source_files VALUES ('a.jsonl', 5, -1, 0, '2026-03-01 12:00:00')")
        plain.execute("INSERT INTO redactions VALUES ('2026-03-01', 'key', 'prompt', 3)")
        plain.execute("""INSERT INTO spans VALUES ('t', 's', NULL, 'r', '{"b": 1e2, "a": 2}', '2026-03-01 12:00:00')""")


def comes_back(server: Cluster, folder: Path, rows: Any) -> None:
    asyncio.run(record(folder / "source.db", rows))
    with new_place(server) as url:
        there = moved(folder / "source.db", url)
        back = moved(url, folder / "back.db")
        assert there.misfits == back.misfits == ()
        assert there.tables == back.tables
        assert there.tables["agents"].rows == len(rows["agents"])
        before = asyncio.run(told(folder / "source.db"))
        assert asyncio.run(told(url)) == before
        assert asyncio.run(told(folder / "back.db")) == before
    with connected(folder / "back.db") as plain:
        assert [tuple(row) for row in plain.execute("SELECT details FROM spans")] == [('{"b": 1e2, "a": 2}',)]


_GENERATED: Any = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}


@settings(max_examples=3, **_GENERATED)
@given(store_rows)
def test_what_was_moved_there_and_back_is_what_it_was(
    server: Cluster, tmp_path_factory: pytest.TempPathFactory, rows: Any
) -> None:
    comes_back(server, tmp_path_factory.mktemp("odd"), rows)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=200, **_GENERATED)
@given(store_rows)
def test_what_was_moved_there_and_back_is_what_it_was_at_length(
    server: Cluster, tmp_path_factory: pytest.TempPathFactory, rows: Any
) -> None:
    comes_back(server, tmp_path_factory.mktemp("odd"), rows)


def test_odd_texts_and_large_numbers_come_back(store: Path, url: str, tmp_path: Path) -> None:
    with connected(store) as connection:
        for text in ODD:
            insert(connection, "system_logs", message=text, details=json.dumps({"": text, "é" * 3: [text, None]}))
        usage = [(0, 0), (1e-8, 1), (2.0**53 + 2, 2**63 - 1), (1e15, 2.0**63), (9.9e19, 9.9e19)]
        connection.executemany(
            "INSERT INTO daily_usage (day, orchestrator_agent_id, model, cost_usd, tokens_input) VALUES (?, ?, '', ?, ?)",
            [(f"2026-03-0{day}", AGENT, *row) for day, row in enumerate(usage, 1)],
        )
    there, back = moved(store, url), moved(url, tmp_path / "back.db")
    assert there.tables == back.tables
    with connected(tmp_path / "back.db") as connection:
        assert [row[0] for row in connection.execute("SELECT message FROM system_logs WHERE id > 1 ORDER BY id")] == list(ODD)
        assert [
            tuple(row) for row in connection.execute("SELECT cost_usd, tokens_input FROM daily_usage ORDER BY day")
        ] == usage


numerals = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@settings(max_examples=20, **_GENERATED)
@given(st.lists(st.tuples(json_values, st.booleans()), min_size=20), st.lists(numerals, min_size=20))
def test_json_is_written_as_the_server_writes_it(server: Cluster, values: Any, numbers: list[str]) -> None:
    texts = [json.dumps(value, ensure_ascii=is_ascii) for value, is_ascii in values] + numbers
    numbered = "unnest($1::TEXT[]) WITH ORDINALITY AS one (text, place)"
    (row,) = server.sql(f"SELECT array_agg(text::JSONB::TEXT ORDER BY place) AS texts FROM {numbered}", texts)
    assert [written(text) for text in texts] == row["texts"]


async def test_a_past_of_which_rows_were_removed_still_counts(
    db: Database, past: Any, totals: Any, url: str, path: Path
) -> None:
    await past()
    await prune(db, timedelta(days=3))
    await transfer(db, url)
    async with Database.open(url) as other:
        assert await totals(other) == await totals(db)
        assert [(one.session_id, one.pruned_at) for one in await other.sessions.list()] == [
            (one.session_id, one.pruned_at) for one in await db.sessions.list()
        ]
        await transfer(other, path.with_name("back.db"))
    async with Database.open(path.with_name("back.db")) as back:
        assert await totals(back) == await totals(db)


async def test_numbers_go_on_and_totals_are_kept_from_then_on(db: Database, past: Any, url: str, path: Path) -> None:
    await past()
    last = await db.system_logs.create("api", "the last")
    with connected(path) as plain:
        plain.execute("DELETE FROM system_logs WHERE id = ?", (last,))
    await transfer(db, url)
    async with Database.open(url) as other:
        agent = (await other.agents.list(limit=1))[0]
        await other.prompts.create(agent.id, "adw", "a zebra", status="completed", cost_usd=1)
        assert await other.system_logs.create("api", "the next") == last + 1
        assert [hit.entity for hit in await other.search.find("zebra")] == ["prompt"]
        assert len(await other.search.find("built", limit=100)) == 60
        assert [finding for finding in await check(other) if finding.state != "ok"] == []
        await transfer(other, path.with_name("back.db"))
    async with Database.open(path.with_name("back.db")) as back:
        assert await back.system_logs.create("api", "the next but one") == last + 2


async def test_a_listener_of_the_old_store_is_told_to_begin_anew(db: Database, past: Any, url: str, path: Path) -> None:
    await past()
    position = await db.changes.last()
    await transfer(db, url)
    async with Database.open(url) as other:
        new = await other.changes.last()
        agent = await make_agent(other)
        assert agent.id in [change.row_id for change in await other.changes.after(new)]
        with pytest.raises(NotFound):
            await other.changes.follow_pages(position).__anext__()
        await transfer(other, path.with_name("back.db"))
    async with Database.open(path.with_name("back.db")) as back:
        with pytest.raises(NotFound):
            await back.changes.follow_pages(new).__anext__()


async def test_agents_whose_process_is_gone_are_closed_in_the_new_store(db: Database, url: str) -> None:
    code = """
import asyncio, os, sys
from tac_orchestrator import Database

async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.orchestrator_agents.register("planner", agent_type="planner")
        async with db.agents.run("planner", session_id="killed"):
            os._exit(0)

asyncio.run(main())
"""
    await asyncio.to_thread(run_python, code, db.target)
    await transfer(db, url)
    async with Database.open(url) as other:
        (closed,) = await other.agents.close_lost()
        assert (await other.agents.get(closed)).status == "failed"


@pytest.mark.long
async def test_one_server_can_be_exchanged_for_another(db: Database, past: Any, server: Cluster, url: str) -> None:
    await past()
    await transfer(db, url)
    async with Database.open(url) as other:
        try:
            done = await transfer(other, server.url("elsewhere"))
            assert done.tables["prompts"].rows == 60
            async with Database.open(server.url("elsewhere")) as third:
                assert await everything(third) == await everything(db)
        finally:
            await asyncio.to_thread(server.sql, "DROP DATABASE IF EXISTS elsewhere WITH (FORCE)")


def test_the_owner_of_a_database_needs_no_more_rights(store: Path, server: Cluster, url: str) -> None:
    server.sql("CREATE ROLE owner LOGIN")
    server.sql(f"CREATE DATABASE {NAME} OWNER owner")
    try:
        assert moved(store, url.replace("postgres@", "owner@")).tables["agents"].rows == 1
        assert asyncio.run(told(url)) == asyncio.run(told(store))
    finally:
        server.sql(f"DROP DATABASE {NAME} WITH (FORCE)")
        server.sql("DROP ROLE owner")


def test_hand_made_values_are_moved_as_they_are_meant(store: Path, url: str, tmp_path: Path) -> None:
    with connected(store) as connection:
        connection.execute("UPDATE agents SET started_at = '2026-03-01T12:00:00+02:00', context = ' {\"b\": 1E2, \"a\": -0} '")
        insert(connection, "system_logs", created_at="2026-03-01", details="[1.0, 10000000000000000000000]")
    there = moved(store, url)
    assert there.tables == moved(url, tmp_path / "back.db").tables
    with connected(tmp_path / "back.db") as back:
        assert list(back.execute("SELECT started_at FROM agents").fetchone()) == ["2026-03-01 10:00:00.000000"]
        assert list(back.execute("SELECT MAX(created_at) FROM system_logs WHERE details NOT NULL").fetchone()) == [
            "2026-03-01 00:00:00.000000"
        ]


# Where it comes from


def test_a_file_that_was_made_in_utf16_is_moved_as_any_other(url: str, tmp_path: Path) -> None:
    with connected(tmp_path / "utf16.db") as connection:
        connection.executescript("PRAGMA encoding = 'UTF-16'; CREATE TABLE first (a); DROP TABLE first")
    migrate_by_hand(tmp_path / "utf16.db", 9)
    asyncio.run(make_store(tmp_path / "utf16.db"))
    with connected(tmp_path / "utf16.db") as connection:
        insert_all(connection)
        insert(connection, "system_logs", message="é\t😀")
        assert connection.execute("PRAGMA encoding").fetchone()[0] != "UTF-8"
    there = moved(tmp_path / "utf16.db", url)
    assert (there.tables["system_logs"].rows, there.misfits) == (2, ())
    assert there.tables == moved(url, tmp_path / "back.db").tables
    with connected(tmp_path / "back.db") as back:
        assert back.execute("SELECT message FROM system_logs WHERE id = 2").fetchone()[0] == "é\t😀"


def test_an_older_store_is_brought_up_to_date_first(path: Path, tmp_path: Path) -> None:
    migrate_by_hand(path, 9)
    with pytest.raises(DatabaseUnavailable) as caught:
        moved(path, tmp_path / "target.db")
    assert "tac-orch db migrate" in caught.value.hint
    assert not (tmp_path / "target.db").exists()


# Where it goes


@pytest.mark.parametrize("engine_of_target", ["file", "server"])
def test_a_store_that_holds_something_is_left_alone(store: Path, tmp_path: Path, url: str, engine_of_target: str) -> None:
    target = tmp_path / "target.db" if engine_of_target == "file" else url
    moved(store, target)
    before = asyncio.run(told(target))
    with pytest.raises(AlreadyExists, match=r"target\.db|moved"):
        moved(store, target)
    assert asyncio.run(told(target)) == before


def test_a_store_is_not_moved_to_itself(store: Path) -> None:
    before = asyncio.run(told(store))
    with pytest.raises(AlreadyExists):
        moved(store, store)
    assert asyncio.run(told(store)) == before


def test_tables_of_somebody_else_are_left_alone(store: Path, server: Cluster, url: str) -> None:
    server.sql(f"CREATE DATABASE {NAME}")
    server.sql("CREATE TABLE agents (id TEXT)", database=NAME)
    with pytest.raises(AlreadyExists):
        moved(store, url)
    assert [row["relname"] for row in server.sql("SELECT relname FROM pg_stat_user_tables", database=NAME)] == ["agents"]


def test_a_store_without_rows_may_be_open_and_is_left_alone(store: Path, tmp_path: Path) -> None:
    asyncio.run(make_store(tmp_path / "target.db"))
    with pytest.raises(AlreadyExists):
        moved(store, tmp_path / "target.db")
    assert asyncio.run(told(tmp_path / "target.db"))["agents"] == []


def test_a_new_file_is_private(store: Path, tmp_path: Path) -> None:
    moved(store, tmp_path / "new" / "target.db")
    assert (tmp_path / "new" / "target.db").stat().st_mode & 0o777 == 0o600


def test_a_server_that_is_not_there_or_lets_nobody_in_is_told_without_the_password(store: Path, server: Cluster) -> None:
    secret = "geh" + "eim"
    rules = (server.data / "pg_hba.conf").read_text()
    (server.data / "pg_hba.conf").write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{rules}")
    server.sql("CREATE ROLE locked LOGIN PASSWORD 'another'")
    server.sql("SELECT pg_reload_conf()")
    try:
        for target in (server.url(NAME, user="locked", password=secret), f"postgresql://locked:{secret}@127.0.0.1:1/{NAME}"):
            with pytest.raises(DatabaseUnavailable) as caught:
                moved(store, target)
            assert secret not in str(caught.value) + caught.value.hint
            assert caught.value.hint
    finally:
        (server.data / "pg_hba.conf").write_text(rules)
        server.sql("SELECT pg_reload_conf()")
        server.sql("DROP ROLE locked")


def test_who_may_not_make_tables_is_told(store: Path, server: Cluster, url: str) -> None:
    server.sql(f"CREATE DATABASE {NAME}")
    server.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=NAME)  # as it is from PostgreSQL 15 on
    server.sql("CREATE ROLE guest LOGIN")
    try:
        with pytest.raises(MigrationFailed, match="permission denied"):
            moved(store, url.replace("postgres@", "guest@"))
    finally:
        server.sql("DROP ROLE guest")


# What it knows of the schema


def test_every_column_of_every_table_is_moved_or_follows_from_others() -> None:
    """On both engines; what is derived is made anew."""
    derived = {"schema_version", "changes", "log_counts", "search_progress", "prompt_documents"}
    schema = re.sub(r"--[^\n]*", "", whole_schema())
    made = {name: body for name, body in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\)", schema, re.DOTALL)}
    assert set(made) - derived == {layout.table for layout in LAYOUTS}
    for layout in LAYOUTS:
        added = re.findall(rf"ALTER TABLE {layout.table} ADD COLUMN (\w+)", schema)
        columns = re.findall(r"^    ([a-z_0-9]+) [A-Z]", made[layout.table], re.MULTILINE)
        kept = [name for name in (*columns, *added) if (layout.table, name) != ("sessions", "status")]
        assert sorted(kept) == sorted(layout.names)


def test_the_file_for_pgloader_names_every_table_that_is_one_on_both_sides() -> None:
    script = (project_files() / "schema" / "postgres" / "pgloader.load").read_text("utf-8")
    _, _, listed = script.partition("INCLUDING ONLY TABLE NAMES LIKE")
    names = re.findall(r"'(\w+)'", listed.partition("AFTER LOAD")[0])
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", whole_schema("postgres")))
    assert sorted(names) == sorted(tables & {layout.table for layout in LAYOUTS})
    searched = [name for name in tables if name.endswith("_search")]
    assert [name for name in searched if f"ALTER TABLE {name} ADD FOREIGN KEY" not in script] == []
