"""The specification of the database, clause by clause, in its order."""
# ruff: noqa: ASYNC221, ASYNC240 - nothing else runs in the loop of a test

from __future__ import annotations

import csv
import json
import re
import shutil
import stat
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatch
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, AlreadyExists, Database, InvalidRecord, NotFound
from tac_orchestrator.engines.sqlite.library import VERSION, sqlite
from tac_orchestrator.models import (
    AgentStatus,
    AgentType,
    LogLevel,
    LogType,
    PromptStatus,
    PromptType,
)
from tac_orchestrator.schema import migrations
from tac_orchestrator.settings import Settings
from tac_orchestrator.testing import make_agent, make_prompt

from .store.support import (
    AGENT,
    KIND,
    PROMPT,
    VALID_ROWS,
    connected,
    definitions,
    insert,
    insert_all,
    migrate_by_hand,
    run_leniently,
    run_python,
)

ROOT = Path(__file__).parents[2]
INITIAL = ROOT / "adws" / "schema" / "migrations" / "001_initial.sql"


@pytest.fixture
async def store(path: Path) -> Path:
    """The file of a store that was made and closed."""
    async with Database.open(path):
        pass
    return path


@pytest.fixture
async def plain(store: Path) -> AsyncGenerator[sqlite.Connection]:
    """A plain connection to a store that has one row in each table."""
    with connected(store) as connection:
        insert_all(connection)
        yield connection


# Overview


def test_the_engine_is_sqlite_3_35_or_later() -> None:
    assert VERSION >= (3, 35, 0)


def test_the_async_driver_is_aiosqlite_0_19_or_later() -> None:
    assert tuple(map(int, version("aiosqlite").split(".")[:2])) >= (0, 19)


@pytest.mark.parametrize("table", VALID_ROWS)
def test_it_has_the_five_core_tables(plain: sqlite.Connection, table: str) -> None:
    assert plain.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] == 1


# Database location


@pytest.mark.parametrize("marker", ["adws", ".git"])
async def test_its_default_path_is_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str) -> None:
    deep = tmp_path / "project" / "source" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "project" / marker).mkdir()
    monkeypatch.chdir(deep)
    async with Database.open() as db:
        assert Path(db.target) == tmp_path / "project" / "adws" / "schema" / "orchestrator.db"
    assert Path(db.target).is_file()


def test_without_a_project_its_default_path_is_in_the_current_folder(tmp_path: Path) -> None:
    settings = Settings.from_environment({}, start=tmp_path)
    assert Path(settings.database) == tmp_path / "adws" / "schema" / "orchestrator.db"


async def test_the_environment_overrides_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "path" / "to" / "custom" / "location.db"
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(elsewhere))
    async with Database.open():
        pass
    assert elsewhere.is_file()


def test_reading_the_modules_makes_no_file(tmp_path: Path) -> None:
    run_python(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import tac_orchestrator, tac_orchestrator.blocking\n"
        "import adw_modules.adw_database, adw_modules.orch_database_models\n"
        "tac_orchestrator.Database.open(); adw_modules.adw_database.DatabaseManager()",
        ROOT / "adws",
        cwd=tmp_path,
        env={"TAC_ORCHESTRATOR_DB": str(tmp_path / "made.db")},
    )
    assert list(tmp_path.iterdir()) == []


async def test_first_access_makes_the_file(path: Path) -> None:
    database = Database.open(path)
    assert not path.exists()
    async with database as db:
        assert await db.agents.list() == []
    assert path.is_file()


@pytest.mark.parametrize("name", ["orchestrator.db", "orchestrator.db-wal", "orchestrator.db-shm", "orchestrator.db-lock"])
def test_git_ignores_it_and_the_files_beside_it(name: str) -> None:
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert any(fnmatch(name, line) for line in lines if line and not line.startswith("#"))


# Auto-initialization


async def test_a_new_file_gets_the_schema_of_today(store: Path) -> None:
    with connected(store) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations())


async def test_an_older_file_is_migrated_and_keeps_its_rows(path: Path) -> None:
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        insert_all(connection)
    async with Database.open(path) as db:
        assert (await db.agents.get(AGENT)).session_id == "session-123"
        assert (await db.prompts.get(PROMPT)).tokens_cache_read is None


async def test_write_ahead_logging_is_on(store: Path) -> None:
    with connected(store) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


async def test_foreign_keys_are_checked(db: Database) -> None:
    with pytest.raises(NotFound):
        await db.agents.create(KIND, "session-123")


# Schema tables: key fields and their types

TEXT, INTEGER, REAL = "TEXT", "INTEGER", "REAL"
KEY_FIELDS: dict[str, dict[str, str]] = {
    "orchestrator_agents": {
        **dict.fromkeys(("id", "name", "agent_type", "capabilities", "default_model", "created_at", "updated_at"), TEXT)
    },
    "agents": {
        **dict.fromkeys(("id", "orchestrator_agent_id", "session_id", "parent_agent_id", "status", "context", "config"), TEXT),
        **dict.fromkeys(("started_at", "completed_at", "error_message"), TEXT),
        "cost_usd": REAL,
    },
    "prompts": {
        **dict.fromkeys(("id", "agent_id", "prompt_type", "prompt_name", "prompt_text", "response_text", "status"), TEXT),
        **dict.fromkeys(("model_used", "created_at", "completed_at", "error_message"), TEXT),
        **dict.fromkeys(("tokens_input", "tokens_output", "latency_ms"), INTEGER),
        "cost_usd": REAL,
    },
    "agent_logs": {
        "id": INTEGER,
        **dict.fromkeys(("agent_id", "log_level", "log_type", "message", "details", "created_at"), TEXT),
    },
    "system_logs": {"id": INTEGER, **dict.fromkeys(("log_level", "component", "message", "details", "created_at"), TEXT)},
}


@pytest.mark.parametrize("table", KEY_FIELDS)
def test_each_table_has_its_key_fields(plain: sqlite.Connection, table: str) -> None:
    found = {row["name"]: row["type"] for row in plain.execute(f"PRAGMA table_info({table})")}
    assert found.items() >= KEY_FIELDS[table].items()


@pytest.mark.parametrize("table", KEY_FIELDS)
def test_the_initial_migration_has_exactly_the_key_fields(path: Path, table: str) -> None:
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        found = {row["name"]: row["type"] for row in connection.execute(f"PRAGMA table_info({table})")}
    assert found == KEY_FIELDS[table]


@pytest.mark.parametrize("table", KEY_FIELDS)
def test_id_is_the_primary_key(plain: sqlite.Connection, table: str) -> None:
    assert [row["name"] for row in plain.execute(f"PRAGMA table_info({table})") if row["pk"]] == ["id"]


@pytest.mark.parametrize("table", ["agent_logs", "system_logs"])
def test_the_numbers_of_logs_grow_and_are_never_given_twice(plain: sqlite.Connection, table: str) -> None:
    insert(plain, table)
    plain.execute(f"DELETE FROM {table} WHERE id = 2")
    insert(plain, table)
    assert [row["id"] for row in plain.execute(f"SELECT id FROM {table} ORDER BY id")] == [1, 3]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("orchestrator_agents", "name"),
        ("orchestrator_agents", "agent_type"),
        ("agents", "orchestrator_agent_id"),
        ("agents", "session_id"),
        ("prompts", "agent_id"),
        ("prompts", "prompt_type"),
        ("prompts", "prompt_text"),
        ("agent_logs", "agent_id"),
        ("agent_logs", "log_type"),
        ("agent_logs", "message"),
        ("system_logs", "component"),
        ("system_logs", "message"),
    ],
)
def test_what_identifies_a_row_is_required(plain: sqlite.Connection, table: str, column: str) -> None:
    with pytest.raises(sqlite.IntegrityError, match="NOT NULL"):
        insert(plain, table, **{"id": None if "logs" in table else str(uuid.uuid4()), column: None})


@pytest.mark.parametrize(
    ("table", "defaults"),
    [
        ("agents", {"status": "initializing"}),
        ("prompts", {"status": "pending"}),
        ("agent_logs", {"log_level": "INFO"}),
        ("system_logs", {"log_level": "INFO"}),
    ],
)
def test_a_row_that_says_nothing_else_begins_at_the_beginning(
    plain: sqlite.Connection, table: str, defaults: dict[str, str]
) -> None:
    row = plain.execute(f"SELECT * FROM {table}").fetchone()
    assert {name: row[name] for name in defaults} == defaults


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("orchestrator_agents", "created_at"),
        ("orchestrator_agents", "updated_at"),
        ("agents", "started_at"),
        ("prompts", "created_at"),
        ("agent_logs", "created_at"),
        ("system_logs", "created_at"),
    ],
)
def test_times_are_iso_8601_in_utc(plain: sqlite.Connection, table: str, column: str) -> None:
    text = plain.execute(f"SELECT {column} FROM {table}").fetchone()[0]
    assert abs(datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)


# Schema tables: constraints

VOCABULARIES = [
    ("orchestrator_agents", "agent_type", "planner builder reviewer tester orchestrator utility", AgentType),
    ("agents", "status", "initializing planning executing reviewing completed failed cancelled", AgentStatus),
    ("prompts", "prompt_type", "adw command followup correction tool_call", PromptType),
    ("prompts", "status", "pending streaming completed failed cancelled", PromptStatus),
    ("agent_logs", "log_level", "DEBUG INFO WARNING ERROR CRITICAL", LogLevel),
    ("agent_logs", "log_type", "state_change milestone error performance tool_call cost_update", LogType),
    ("system_logs", "log_level", "DEBUG INFO WARNING ERROR CRITICAL", LogLevel),
]


@pytest.mark.parametrize(("table", "column", "words", "vocabulary"), VOCABULARIES)
def test_a_closed_vocabulary_takes_its_words(
    plain: sqlite.Connection, table: str, column: str, words: str, vocabulary: Any
) -> None:
    for word in words.split():
        plain.execute(f"UPDATE {table} SET {column} = ?", (word,))
    assert vocabulary.__args__ == tuple(words.split())


@pytest.mark.parametrize(("table", "column", "words", "vocabulary"), VOCABULARIES)
@pytest.mark.parametrize("word", ["unknown", "", "PLANNER ", None])
def test_a_closed_vocabulary_takes_nothing_else(
    plain: sqlite.Connection, table: str, column: str, words: str, vocabulary: Any, word: str | None
) -> None:
    with pytest.raises(sqlite.IntegrityError):
        plain.execute(f"UPDATE {table} SET {column} = ?", (word,))


async def test_an_agent_type_name_is_unique(db: Database, plain: sqlite.Connection) -> None:
    with pytest.raises(sqlite.IntegrityError, match=r"orchestrator_agents\.name"):
        insert(plain, "orchestrator_agents", id=str(uuid.uuid4()))
    with pytest.raises(AlreadyExists, match="sdlc_planner"):
        await db.orchestrator_agents.create("sdlc_planner", agent_type="planner")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"agent_type": "builder"},
        {"capabilities": "[]"},
        {"default_model": "gpt-4o"},
        {"description": "Plans."},
    ],
)
def test_every_update_of_an_agent_type_sets_updated_at(plain: sqlite.Connection, change: dict[str, str]) -> None:
    plain.execute("UPDATE orchestrator_agents SET updated_at = '2000-01-01 00:00:00'")
    (column, value), *_ = change.items()
    plain.execute(f"UPDATE orchestrator_agents SET {column} = ?", (value,))
    found = datetime.fromisoformat(plain.execute("SELECT updated_at FROM orchestrator_agents").fetchone()[0])
    assert abs(found.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("gone", "with_it"),
    [
        ("orchestrator_agents", {"orchestrator_agents", "agents", "prompts", "agent_logs"}),
        ("agents", {"agents", "prompts", "agent_logs"}),
        ("prompts", {"prompts"}),
        ("agent_logs", {"agent_logs"}),
        ("system_logs", {"system_logs"}),
    ],
)
def test_what_belongs_to_a_row_goes_with_it(plain: sqlite.Connection, gone: str, with_it: set[str]) -> None:
    plain.execute(f"DELETE FROM {gone}")
    assert {table for table in VALID_ROWS if not plain.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]} == with_it


def test_a_sub_agent_outlives_its_parent(plain: sqlite.Connection) -> None:
    child = str(uuid.uuid4())
    insert(plain, "agents", id=child, parent_agent_id=AGENT)
    plain.execute("DELETE FROM agents WHERE id = ?", (AGENT,))
    assert [tuple(row) for row in plain.execute("SELECT id, parent_agent_id FROM agents")] == [(child, None)]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("agents", "orchestrator_agent_id"),
        ("agents", "parent_agent_id"),
        ("prompts", "agent_id"),
        ("agent_logs", "agent_id"),
    ],
)
def test_a_reference_to_nothing_is_refused(plain: sqlite.Connection, table: str, column: str) -> None:
    key = None if table == "agent_logs" else str(uuid.uuid4())
    with pytest.raises(sqlite.IntegrityError, match="FOREIGN KEY"):
        insert(plain, table, id=key, **{column: str(uuid.uuid4())})


# Data types


async def test_ids_are_uuids_stored_as_text(db: Database, agent: Agent, new_prompt: Callable[..., Any], path: Path) -> None:
    prompt = await new_prompt(agent)
    for key in (agent.orchestrator_agent_id, agent.id, prompt.id):
        assert str(uuid.UUID(key)) == key
    assert (await db.query("SELECT typeof(id) AS kind FROM agents")) == [{"kind": "text"}]


async def test_an_id_may_be_any_uuid(db: Database, agent: Agent) -> None:
    key = uuid.uuid4()
    created = await db.agents.create(agent.orchestrator_agent_id, "session-123", id=str(key))
    assert (await db.agents.get(str(key))) == created


async def test_python_reads_the_times_that_sqlite_writes(plain: sqlite.Connection, db: Database) -> None:
    text = plain.execute("UPDATE agents SET started_at = datetime('now') RETURNING started_at").fetchone()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)
    assert (await db.agents.get(AGENT)).started_at == datetime.fromisoformat(text).replace(tzinfo=UTC)


async def test_python_reads_the_times_that_the_store_writes(db: Database, agent: Agent) -> None:
    (row,) = await db.query("SELECT started_at FROM agents")
    assert datetime.fromisoformat(row["started_at"]).replace(tzinfo=UTC) == agent.started_at


async def test_times_of_both_writers_sort_together(db: Database, plain: sqlite.Connection) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    insert(plain, "system_logs", message="between", created_at="2026-01-02 03:04:05")
    await db.system_logs.create("api", "after", created_at=at + timedelta(microseconds=1))
    await db.system_logs.create("api", "before", created_at=at - timedelta(microseconds=1))
    found = await db.system_logs.list(until=at + timedelta(seconds=1))
    assert [log.message for log in found] == ["after", "between", "before"]


async def test_json_is_stored_as_text_and_read_as_what_it_was(db: Database, agent: Agent, path: Path) -> None:
    value = {"key": "value", "list": [1, 2.5, None, True], "nested": {"ü": "→"}}
    await db.agents.update(agent.id, context=value)
    (row,) = await db.query("SELECT context, typeof(context) AS kind FROM agents")
    assert (json.loads(row["context"]), row["kind"]) == (value, "text")
    assert (await db.agents.get(agent.id)).context == value


async def test_json_dumps_writes_what_the_store_reads(plain: sqlite.Connection, db: Database) -> None:
    plain.execute("UPDATE agents SET context = ?", (json.dumps({"key": "value"}),))
    assert (await db.agents.get(AGENT)).context == {"key": "value"}


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("orchestrator_agents", "capabilities"),
        ("agents", "context"),
        ("agents", "config"),
        ("agent_logs", "details"),
        ("system_logs", "details"),
    ],
)
def test_json_columns_hold_json_or_nothing(plain: sqlite.Connection, table: str, column: str) -> None:
    for valid in ("{}", "[]", None):
        plain.execute(f"UPDATE {table} SET {column} = ?", (valid,))
    with pytest.raises(sqlite.IntegrityError):
        plain.execute(f"UPDATE {table} SET {column} = '{{not json'")


async def test_counts_are_integers(db: Database, agent: Agent, new_prompt: Callable[..., Any]) -> None:
    prompt = await new_prompt(agent, tokens_input=2**63 - 1, tokens_output=0, latency_ms=1)
    found = await db.prompts.get(prompt.id)
    assert (found.tokens_input, found.tokens_output, found.latency_ms) == (2**63 - 1, 0, 1)


async def test_costs_are_decimals_in_python_and_real_in_sqlite(
    db: Database, agent: Agent, new_prompt: Callable[..., Any], path: Path
) -> None:
    prompt = await new_prompt(agent, cost_usd=Decimal("0.00000001"))
    assert (await db.prompts.get(prompt.id)).cost_usd == Decimal("0.00000001")
    assert await db.query("SELECT cost_usd, typeof(cost_usd) AS kind FROM prompts") == [{"cost_usd": 1e-08, "kind": "real"}]


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("agents", "cost_usd"),
        ("prompts", "cost_usd"),
        ("prompts", "tokens_input"),
        ("prompts", "tokens_output"),
        ("prompts", "latency_ms"),
    ],
)
def test_nothing_is_counted_below_zero(plain: sqlite.Connection, table: str, column: str) -> None:
    with pytest.raises(sqlite.IntegrityError, match="CHECK"):
        plain.execute(f"UPDATE {table} SET {column} = -1")


async def test_the_cost_of_an_agent_accumulates(db: Database, agent: Agent, new_prompt: Callable[..., Any]) -> None:
    for cost in ("0.1", "0.2", "0.3"):
        await new_prompt(agent, status="completed", cost_usd=Decimal(cost))
    assert (await db.agents.get(agent.id)).cost_usd == Decimal("0.6")


# Concurrency


async def test_the_log_and_the_shared_memory_are_beside_the_file_while_it_is_open(db: Database, path: Path) -> None:
    await db.system_logs.create("database", "opened")
    assert {file.name for file in path.parent.glob("*.db*")} >= {path.name, f"{path.name}-wal", f"{path.name}-shm"}


async def test_closing_leaves_one_file(path: Path) -> None:
    async with Database.open(path) as db:
        await db.system_logs.create("database", "opened")
        await db.system_logs.list()
    assert {file.name for file in path.parent.iterdir()} - {f"{path.name}-lock"} == {path.name}


async def test_readers_and_a_writer_do_not_block_each_other(db: Database, path: Path) -> None:
    await db.system_logs.create("database", "first")
    with connected(path) as writer, connected(path) as reader:
        writer.execute("BEGIN IMMEDIATE")
        insert(writer, "system_logs")
        reader.execute("BEGIN")
        assert reader.execute("SELECT COUNT(*) FROM system_logs").fetchone()[0] == 1
        assert len(await db.system_logs.list()) == 1
        writer.execute("COMMIT")
        assert len(await db.system_logs.list()) == 2
        assert reader.execute("SELECT COUNT(*) FROM system_logs").fetchone()[0] == 1


def test_the_aiosqlite_example_works_on_the_file_of_an_open_store(tmp_path: Path) -> None:
    """In a process of its own: it uses another copy of SQLite than the store may."""
    output = run_python(
        "import asyncio, sys, aiosqlite\n"
        "async def main():\n"
        "    async with aiosqlite.connect(sys.argv[1]) as db:\n"
        "        await db.execute('PRAGMA journal_mode=WAL')\n"
        "        await db.execute('PRAGMA foreign_keys=ON')\n"
        "        await db.executescript(open(sys.argv[2]).read())\n"
        "        await db.execute(\"INSERT INTO system_logs (component, message) VALUES ('api', 'written by hand')\")\n"
        "        await db.commit()\n"
        "        print(await db.execute_fetchall('SELECT message FROM system_logs'))\n"
        "asyncio.run(main())",
        tmp_path / "orchestrator.db",
        INITIAL,
    )
    assert output == "[('written by hand',)]\n"


async def test_the_connection_that_is_handed_out_has_foreign_keys_and_the_log_on(db: Database, path: Path) -> None:
    connection = await db.raw_connection()
    try:
        (keys,) = await connection.execute_fetchall("PRAGMA foreign_keys")
        (mode,) = await connection.execute_fetchall("PRAGMA journal_mode")
        assert (keys[0], mode[0]) == (1, "wal")
    finally:
        await connection.close()


# Migrations


def test_migration_files_are_named_by_the_convention() -> None:
    names = sorted(file.name for file in INITIAL.parent.iterdir())
    assert all(re.fullmatch(r"\d{3}_[a-z0-9]+(_[a-z0-9]+)*\.sql", name) for name in names)
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))
    assert names[0] == "001_initial.sql"


PROGRAMS: dict[str, list[Any]] = {
    "the sqlite3 program": [shutil.which("sqlite3")],
    "another SQLite": [
        sys.executable,
        "-c",
        "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())",
    ],
}


@pytest.mark.parametrize("program", [name for name, command in PROGRAMS.items() if command[0]])
@pytest.mark.parametrize("times", [1, 2])
async def test_the_initial_migration_applied_by_hand_is_adopted(path: Path, program: str, times: int) -> None:
    for _ in range(times):
        subprocess.run([*PROGRAMS[program], path], input=INITIAL.read_bytes(), check=True)
    async with Database.open(path) as db:
        agent = await make_agent(db)
        assert (await db.agents.get(agent.id)).status == "initializing"
        assert [row["number"] for row in await db.query("SELECT number FROM schema_version ORDER BY number")] == [
            migration.number for migration in migrations()
        ]


@pytest.mark.parametrize("number", range(1, len(migrations()) + 1))
def test_a_migration_applied_twice_does_no_harm(path: Path, number: int) -> None:
    """What the sqlite3 program does, which goes on after a statement that has been carried out already."""
    migrate_by_hand(path, until=number)
    once = definitions(path)
    with connected(path) as connection:
        run_leniently(connection, migrations()[number - 1].sql, passing_over="duplicate column name: .*")
    assert definitions(path) == once


async def test_missing_migrations_run_in_the_order_of_their_numbers(path: Path) -> None:
    migrate_by_hand(path, until=1)
    async with Database.open(path) as db:
        rows = await db.query("SELECT number, name, checksum, applied_at, product_version FROM schema_version ORDER BY rowid")
    assert [(row["number"], row["name"], row["checksum"]) for row in rows] == [
        (migration.number, migration.name, migration.checksum) for migration in migrations()
    ]
    assert all(row["applied_at"] and row["product_version"] for row in rows)


async def test_all_migrations_run_by_hand_in_order_are_adopted(path: Path) -> None:
    migrate_by_hand(path, until=len(migrations()))
    async with Database.open(path) as db:
        await make_agent(db)
        assert len(await db.agents.list()) == 1


# Performance


@pytest.mark.parametrize(
    ("index", "table", "column"),
    [
        ("idx_agents_session", "agents", "session_id"),
        ("idx_agents_orch", "agents", "orchestrator_agent_id"),
        ("idx_prompts_agent", "prompts", "agent_id"),
        ("idx_prompts_status", "prompts", "status"),
        ("idx_agent_logs_agent", "agent_logs", "agent_id"),
        ("idx_system_logs_level", "system_logs", "log_level"),
    ],
)
def test_six_indexes_serve_the_common_queries(plain: sqlite.Connection, index: str, table: str, column: str) -> None:
    assert plain.execute(f"PRAGMA index_info({index})").fetchone()["name"] == column
    plan = plain.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {column} = 'x'").fetchall()
    assert [row["detail"].split(" (")[0] for row in plan] == [f"SEARCH {table} USING INDEX {index}"]


# Inspection and debugging

INSPECTION = [
    "SELECT * FROM orchestrator_agents",
    "SELECT name, status FROM agents JOIN orchestrator_agents ON orchestrator_agents.id = orchestrator_agent_id "
    "WHERE session_id = 'session-123'",
    "SELECT COUNT(*) FROM prompts WHERE status = 'pending'",
    "SELECT * FROM agent_logs WHERE log_level = 'INFO' ORDER BY created_at DESC LIMIT 10",
    "EXPLAIN QUERY PLAN SELECT * FROM agents WHERE session_id = 'session-123'",
]


@pytest.mark.parametrize("sql", INSPECTION)
async def test_the_store_answers_plain_sql(plain: sqlite.Connection, db: Database, sql: str) -> None:
    expected = [dict(row) for row in plain.execute(sql)]
    assert expected
    assert await db.query(sql) == expected


DUMPERS: dict[str, list[Any]] = {
    "the sqlite3 program": [shutil.which("sqlite3"), "{}", ".dump"],
    "Python": [sys.executable, "-c", "import sqlite3; print('\\n'.join(sqlite3.connect(r'{}').iterdump()))"],
}


@pytest.mark.parametrize("dumper", [name for name, command in DUMPERS.items() if command[0]])
async def test_a_dump_of_the_whole_database_can_be_restored(plain: sqlite.Connection, store: Path, dumper: str) -> None:
    async with Database.open(store) as db:
        assert [hit.id for hit in await db.search.find("plan")] == [PROMPT]
    command = [part.format(store) for part in DUMPERS[dumper]]
    dump = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    restored = store.with_name("restored.db")
    with connected(restored) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        run_leniently(connection, dump, passing_over=r"no such table: \w+_search")
        for table in VALID_ROWS:
            expected = [tuple(row) for row in plain.execute(f"SELECT * FROM {table}")]
            assert [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] == expected
    async with Database.open(restored) as db:
        assert [agent.id for agent in await db.agents.list()] == [AGENT]
        assert [hit.id for hit in await db.search.find("plan")] == [PROMPT]


def test_a_table_can_be_exported_as_csv(plain: sqlite.Connection, tmp_path: Path) -> None:
    cursor = plain.execute("SELECT * FROM prompts")
    file = tmp_path / "prompts.csv"
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(chain([[column[0] for column in cursor.description]], cursor))
    with file.open(newline="") as source:
        assert [row["prompt_text"] for row in csv.DictReader(source)] == ["Plan it."]


@pytest.mark.parametrize("command", ["VACUUM", "ANALYZE", "PRAGMA optimize"])
async def test_it_can_be_vacuumed_and_analysed(plain: sqlite.Connection, db: Database, command: str) -> None:
    plain.execute(command)
    assert len(await db.agents.list(session_id="session-123")) == 1
    assert plain.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


# Related files


@pytest.mark.parametrize(
    "name",
    [
        "adws/schema/schema_orchestrator.sql",
        "adws/schema/migrations/001_initial.sql",
        "adws/adw_modules/orch_database_models.py",
        "adws/adw_modules/adw_database.py",
        "tac_bootstrap_cli/tests/test_database.py",
        "scripts/setup_database.sh",
    ],
)
def test_related_files_are_where_they_are_said_to_be(name: str) -> None:
    assert (ROOT / name).is_file()


# Security considerations


@pytest.mark.parametrize("umask", ["0o000", "0o022", "0o077"])
def test_only_the_owner_may_read_any_of_its_files(path: Path, umask: str) -> None:
    output = run_python(
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from tac_orchestrator import Database\n"
        "os.umask(int(sys.argv[2], 8))\n"
        "async def main():\n"
        "    async with Database.open(sys.argv[1]) as db:\n"
        "        await db.system_logs.create('database', 'opened')\n"
        "        for file in Path(sys.argv[1]).parent.glob('*.db*'):\n"
        "            print(file.name, oct(file.stat().st_mode & 0o777))\n"
        "asyncio.run(main())",
        path,
        umask,
    )
    names = (path.name, f"{path.name}-lock", f"{path.name}-shm", f"{path.name}-wal")
    assert sorted(output.splitlines()) == [f"{name} 0o600" for name in names]


async def test_a_file_made_by_hand_becomes_the_owners_alone(path: Path) -> None:
    migrate_by_hand(path, until=1)
    path.chmod(0o644)
    async with Database.open(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_key_is_kept_in_a_log(db: Database, agent: Agent) -> None:
    key = "sk-ant-api03-" + "a1b2c3d4" * 8
    await db.agent_logs.create(agent.id, "error", f"refused: {key}", details={"headers": {"x-api-key": key}})
    await db.system_logs.create("api", f"refused: {key}", details={"key": key})
    await make_prompt(db, agent, f"My key is {key}.", response_text=f"{key}?")
    dump = json.dumps([await db.query(f"SELECT * FROM {table}") for table in ("agent_logs", "system_logs", "prompts")])
    assert key not in dump
    assert dump.count("[REDACTED:anthropic_key]") == 6


INJECTION = "'); DROP TABLE agents; --"


async def test_values_are_never_read_as_sql(db: Database, agent: Agent) -> None:
    child = await make_agent(db, INJECTION, session_id=INJECTION, parent_agent_id=agent.id, error_message=INJECTION)
    prompt = await make_prompt(db, child, INJECTION, prompt_name=INJECTION, model_used=INJECTION)
    await db.agent_logs.create(child.id, "milestone", INJECTION)
    await db.system_logs.create(INJECTION, INJECTION)
    assert [found.id for found in await db.agents.list(session_id=INJECTION)] == [child.id]
    assert [found.id for found in await db.prompts.list(model_used=INJECTION)] == [prompt.id]
    assert [found.message for found in await db.system_logs.list(component=INJECTION)] == [INJECTION]
    assert await db.query("SELECT id FROM agents WHERE session_id = :session", session=INJECTION) == [{"id": child.id}]
    assert (await db.orchestrator_agents.find(INJECTION)) is not None


@pytest.mark.parametrize("name", ["agents; DROP TABLE agents", "status = 'failed' --", "rowid"])
async def test_names_of_columns_are_never_read_as_sql(db: Database, agent: Agent, name: str) -> None:
    with pytest.raises(InvalidRecord, match="no such column"):
        await db.agents.update(agent.id, **{name: "x"})
    assert (await db.agents.get(agent.id)) == agent


async def test_the_search_takes_any_text(db: Database, agent: Agent) -> None:
    await make_prompt(db, agent, f"Robert {INJECTION}")
    assert len(await db.search.find(f"Robert {INJECTION}")) == 1


def test_it_uses_no_network(tmp_path: Path) -> None:
    output = run_python(
        "import asyncio, sys\n"
        "used = []\n"
        "names = {'socket.connect', 'socket.bind', 'socket.getaddrinfo', 'socket.sendto', 'urllib.Request'}\n"
        "sys.addaudithook(lambda event, _: used.append(event) if event in names else None)\n"
        "from tac_orchestrator import Database\n"
        "async def main():\n"
        "    async with Database.open('orchestrator.db') as db:\n"
        "        kind = await db.orchestrator_agents.register('planner', agent_type='planner')\n"
        "        async with db.agents.run(kind) as agent, agent.prompt('adw', text='x', model='gpt-4o') as prompt:\n"
        "            prompt.answer('y', tokens_input=10, tokens_output=10)\n"
        "        print(await db.search.find('y') != [], (await db.agents.get(agent.id)).cost_usd)\n"
        "asyncio.run(main())\n"
        "print(used)",
        cwd=tmp_path,
    )
    assert output == "True 0.000125\n[]\n"
