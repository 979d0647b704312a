from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, DatabaseUnavailable, SchemaDrift
from tac_orchestrator.engines.base import Finding
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.checks import analyze, check, migrate, vacuum
from tac_orchestrator.schema import migrations


@pytest.fixture
async def full(db, past) -> Database:
    await past()
    await db.search.find("step")
    return db


async def faults(db: Database) -> dict[str, Finding]:
    return {finding.name: finding for finding in await check(db) if finding.state != "ok"}


async def test_everything_that_is_looked_at_is_told(full):
    assert [finding.name for finding in await check(full)] == [
        "integrity",
        "foreign_keys",
        "schema",
        "agents",
        "sessions",
        "daily_usage",
        "log_counts",
        "search",
    ]
    assert await faults(full) == {}


@pytest.mark.parametrize(
    ("statement", "name", "message"),
    [
        ("UPDATE agents SET cost_usd = 7 WHERE id = (SELECT MIN(agent_id) FROM prompts)", "agents", "cost_usd is 7.0"),
        ("UPDATE agents SET cost_usd = NULL WHERE cost_usd > 0", "agents", "cost_usd is unknown"),
        ("UPDATE sessions SET prompt_count = prompt_count + 2", "sessions", "2 prompts"),
        ("UPDATE sessions SET running_count = 1", "sessions", "1 running"),
        ("DELETE FROM daily_usage", "daily_usage", "off by -"),
        ("UPDATE daily_usage SET cost_usd = cost_usd + 1", "daily_usage", "1.0 dollars"),
        (
            "UPDATE log_counts SET log_count = 7 WHERE entity = 'agent_log'",
            "log_counts",
            "agent_logs: 7 are counted, 0 are there",
        ),
        ("DELETE FROM agent_log_search_docsize WHERE id = 1", "search", "agent_logs: "),
        ("DROP INDEX idx_agents_session", "schema", "idx_agents_session is missing"),
        ("DROP TRIGGER post_agent", "schema", "post_agent is missing"),
        ("PRAGMA user_version = 999", "schema", "version 999"),
        ("UPDATE schema_version SET checksum = 'x' WHERE number = 1", "schema", "001_initial"),
        ("INSERT INTO agent_logs (agent_id, log_type, message) VALUES ('no', 'error', 'm')", "foreign_keys", "agent_logs row"),
    ],
)
async def test_what_is_wrong_is_found(full, path, sql, statement, name, message):
    sql(path, statement)
    found = (await faults(full))[name]
    assert found.state == "error"
    assert message in found.message
    assert found.remedy


async def test_a_value_that_no_writer_may_write_is_found(full, path):
    with closing(sqlite.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("UPDATE agents SET status = 'asleep' WHERE id = (SELECT MIN(id) FROM agents)")
    assert "CHECK constraint failed in agents" in (await faults(full))["integrity"].message


async def test_many_faults_are_told_up_to_a_number(full, path, sql):
    sql(path, "UPDATE agents SET cost_usd = 7")
    assert len([finding for finding in await check(full) if finding.name == "agents"]) == 20


async def test_damage_is_found_and_nothing_else_is_said(full, path):
    await full.close()
    _overwrite(path, 8192)
    assert {finding.name for finding in await check(Database.open(path))} == {"integrity"}


async def test_a_broken_beginning_is_damage_too(full, path):
    await full.close()
    _overwrite(path, 100)
    [finding] = await check(Database.open(path))
    assert (finding.name, finding.state) == ("integrity", "error")


async def test_an_older_store_is_not_compared_with_the_schema_of_today(path, sql):
    _older(path, sql)
    before = path.read_bytes()
    assert [finding.state for finding in await check(Database.open(path))] == ["ok", "ok", "warning"]
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused(path):
    with pytest.raises(DatabaseUnavailable, match="no database yet"):
        await check(Database.open(path))
    path.write_text("no database at all " * 100)
    with pytest.raises(SchemaDrift):
        await check(Database.open(path))


async def test_migration_tells_the_versions_and_the_snapshot(path, sql):
    newest = len(migrations())
    made = await migrate(Database.open(path.with_name("new.db")))
    assert (made.from_version, made.to_version, made.snapshot) == (None, newest, None)
    _older(path, sql)
    done = await migrate(Database.open(path))
    assert (done.from_version, done.to_version) == (newest - 1, newest)
    assert sql(done.snapshot, "SELECT message FROM system_logs") == [("kept",)]
    again = await migrate(Database.open(path))
    assert (again.from_version, again.snapshot) == (newest, None)


async def test_compaction_keeps_everything_and_gives_back_the_rest(full, path, sql):
    before = await full.prompts.list()
    sql(path, "CREATE TABLE padding AS SELECT randomblob(1000000) AS bytes")
    sql(path, "DROP TABLE padding")
    done = await vacuum(full)
    assert done.bytes_before - done.bytes_after > 900_000
    assert await full.prompts.list() == before
    assert await faults(full) == {}


async def test_compaction_and_recording_beside_each_other_lose_nothing(full, path, recorder, sql):
    recording = recorder(path)
    for _ in range(3):
        await vacuum(full)
    assert recording.poll() is None
    recording.kill()
    recording.wait()
    assert await faults(full) == {}


async def test_what_is_analyzed_is_known_to_the_planner(full, path, sql):
    await analyze(full)
    assert sql(path, "SELECT COUNT(*) FROM sqlite_stat1")[0][0] > 5


def _overwrite(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 32768)


def _older(path: Path, sql: Callable[..., Any]) -> None:
    with closing(sqlite.connect(path)) as connection:
        for migration in migrations()[:-1]:
            connection.executescript(migration.sql)
    sql(path, "INSERT INTO system_logs (component, message) VALUES ('api', 'kept')")
