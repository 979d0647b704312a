"""How a database comes to the schema of today, and which files are refused."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop of a test

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from tac_orchestrator import (
    Agent,
    AgentLog,
    Database,
    DatabaseCorrupt,
    DatabaseUnavailable,
    MigrationFailed,
    OrchestratorAgent,
    OrchestratorError,
    Prompt,
    SchemaDrift,
    SchemaTooNew,
    Session,
    SystemLog,
)
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.models import Change, Lease, Usage
from tac_orchestrator.schema import migrations, whole_schema
from tac_orchestrator.testing import make_agent, make_prompt

from .support import (
    AGENT,
    PROMPT,
    VALID_ROWS,
    connected,
    contents,
    definitions,
    insert_all,
    migrate_by_hand,
    run_leniently,
    run_python,
    start_python,
    statements,
)

TODAY = len(migrations())


# Nothing is stated twice without agreeing


def test_the_migrations_amount_to_the_whole_schema(tmp_path: Path) -> None:
    migrate_by_hand(tmp_path / "migrated.db", until=TODAY)
    with connected(tmp_path / "whole.db") as connection:
        connection.executescript(whole_schema())
    assert described(tmp_path / "migrated.db") == described(tmp_path / "whole.db")


async def test_a_new_file_and_a_migrated_one_have_the_same_schema(tmp_path: Path) -> None:
    migrate_by_hand(tmp_path / "old.db", until=1)
    for name in ("old.db", "new.db"):
        async with Database.open(tmp_path / name):
            pass
    assert described(tmp_path / "old.db") == described(tmp_path / "new.db")


def test_the_whole_schema_may_be_applied_twice(path: Path) -> None:
    with connected(path) as connection:
        connection.executescript(whole_schema())
        once = definitions(path)
        run_leniently(connection, whole_schema(), passing_over="duplicate column name: .*")
    assert definitions(path) == once


def described(path: Path) -> dict[str, Any]:
    """What a database is made of, whatever the order and the words in which it was said."""
    with connected(path) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%'").fetchall()
        return {row["name"]: _description(connection, *row) for row in rows}


def _description(connection: sqlite.Connection, type: str, name: str, sql: str) -> object:
    words = " ".join(re.sub(r"--[^\n]*", "", sql).split()).replace("IF NOT EXISTS ", "")
    if type != "table" or "VIRTUAL" in words:
        return words
    facts = [
        frozenset(tuple(row)[1:] for row in connection.execute(f"PRAGMA table_xinfo({name})")),
        frozenset(tuple(row)[2:] for row in connection.execute(f"PRAGMA foreign_key_list({name})")),
        frozenset(tuple(row)[2:] for row in connection.execute(f"PRAGMA index_list({name})")),
    ]
    return [*facts, sorted(checks_of(words)), "AUTOINCREMENT" in words, "WITHOUT ROWID" in words]


def checks_of(sql: str) -> list[str]:
    """The expressions of the CHECK constraints of a CREATE TABLE."""
    found = list[str]()
    for start in re.finditer(r"CHECK \(", sql):
        depth, end = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        found.append(" ".join(sql[start.end() : end - 1].split()))
    return found


MODELS: dict[str, tuple[type[BaseModel], set[str]]] = {
    "orchestrator_agents": (OrchestratorAgent, set()),
    "agents": (Agent, set()),
    "prompts": (Prompt, set()),
    "agent_logs": (AgentLog, set()),
    "system_logs": (SystemLog, set()),
    "leases": (Lease, set()),
    "sessions": (Session, {"root_failed_count", "root_cancelled_count"}),
}
"""The model of each table, and the columns that only its triggers use."""


@pytest.fixture
def made(path: Path) -> Path:
    """A file that has the whole schema."""
    with connected(path) as connection:
        connection.executescript(whole_schema())
    return path


@pytest.mark.parametrize("table", MODELS)
def test_a_model_has_the_columns_of_its_table(made: Path, table: str) -> None:
    model, internal = MODELS[table]
    with connected(made) as connection:
        columns = {row["name"] for row in connection.execute(f"PRAGMA table_xinfo({table})")}
    assert set(model.model_fields) == columns - internal


@pytest.mark.parametrize("table", MODELS)
def test_a_model_lets_be_unknown_what_its_table_does(made: Path, table: str) -> None:
    model, internal = MODELS[table]
    with connected(made) as connection:
        rows = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
    nullable = {row["name"] for row in rows if not row["notnull"]} - internal
    optional = {name for name, field in model.model_fields.items() if NoneType in get_args(field.annotation)}
    if table == "sessions":
        nullable.add("cost_usd")  # 0 in the table while no cost is known, so that it can be added to
    assert optional == nullable


@pytest.mark.parametrize("table", MODELS)
def test_a_models_vocabularies_are_those_of_the_checks(made: Path, table: str) -> None:
    model, _ = MODELS[table]
    checked = dict[str, set[str]]()
    for check in checks_of(definitions(made)[table]):
        if re.match(r"\w+ = '", check):
            checked[check.split()[0]] = set(re.findall(r"'(\w+)'", check))
    stated = {name: vocabulary_of(field.annotation) for name, field in model.model_fields.items()}
    assert {name: words for name, words in stated.items() if words and table != "sessions"} == checked


def test_the_states_of_a_session_are_those_that_its_column_computes(made: Path) -> None:
    sql = definitions(made)["sessions"]
    assert vocabulary_of(Session.model_fields["status"].annotation) == set(re.findall(r"'(\w+)'", sql))


def test_the_feed_names_what_its_triggers_write(made: Path) -> None:
    written = re.findall(r"INTO changes \(entity, operation, row_id\) VALUES \('(\w+)', '(\w+)'", str(definitions(made)))
    assert {entity for entity, _ in written} == vocabulary_of(Change.model_fields["entity"].annotation)
    assert {operation for _, operation in written} == vocabulary_of(Change.model_fields["operation"].annotation)


def test_usage_has_the_counts_of_daily_usage(made: Path) -> None:
    with connected(made) as connection:
        columns = {row["name"] for row in connection.execute("PRAGMA table_info(daily_usage)") if not row["pk"]}
    assert set(Usage.model_fields) - {"group"} == columns


def vocabulary_of(hint: Any) -> set[str]:
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set[str]().union(*(vocabulary_of(part) for part in get_args(hint)))


# What is brought up to date


@pytest.mark.parametrize("version", range(1, TODAY + 1))
async def test_a_file_made_by_hand_is_adopted_at_any_version(path: Path, version: int) -> None:
    migrate_by_hand(path, until=version)
    async with Database.open(path) as db:
        agent = await make_agent(db)
        await make_prompt(db, agent, "Find me.", status="completed", cost_usd=1)
        assert [hit.agent_id for hit in await db.search.find("find")] == [agent.id]
        assert (await db.sessions.get("session")).cost_usd == 1


@pytest.mark.parametrize("version", range(1, TODAY + 1))
async def test_the_rows_of_an_older_file_are_kept(path: Path, version: int) -> None:
    migrate_by_hand(path, until=version)
    with connected(path) as connection:
        insert_all(connection)
        before = {table: _rows(connection, table) for table in VALID_ROWS}
    async with Database.open(path):
        pass
    with connected(path) as connection:
        assert all(set(_rows(connection, table)[0]) >= set(before[table][0]) for table in VALID_ROWS)
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def _rows(connection: sqlite.Connection, table: str) -> list[list[tuple[str, Any]]]:
    return [list(dict(row).items()) for row in connection.execute(f"SELECT * FROM {table}")]


async def test_the_totals_of_an_older_file_are_reckoned(path: Path) -> None:
    """Rows that were there before the totals were kept count as much as later ones."""
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        insert_all(connection)
        connection.execute(
            "UPDATE prompts SET status = 'completed', cost_usd = 0.5, tokens_input = 10, tokens_output = 20, model_used = 'm'"
        )
    async with Database.open(path) as db:
        session = await db.sessions.get("session-123")
        assert (session.agent_count, session.running_count, session.prompt_count) == (1, 1, 1)
        assert (session.cost_usd, session.tokens_input, session.tokens_output) == (0.5, 10, 20)
        assert (await db.agents.get(AGENT)).cost_usd == 0.5
        assert [(usage.group, usage.cost_usd) for usage in await db.usage.by("model")] == [("m", 0.5)]


async def test_the_texts_of_an_older_file_are_found(path: Path) -> None:
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        insert_all(connection)
    async with Database.open(path) as db:
        assert [hit.id for hit in await db.search.find("plan")] == [PROMPT]


async def test_a_current_file_is_opened_without_changing_it(path: Path) -> None:
    async with Database.open(path) as db:
        await make_agent(db)
    before = path.read_bytes()
    async with Database.open(path) as db:
        await db.agents.list()
    assert path.read_bytes() == before


async def test_an_empty_file_is_made_a_database(path: Path) -> None:
    path.touch()
    async with Database.open(path) as db:
        await make_agent(db)


@pytest.mark.parametrize(
    "addition",
    [
        "CREATE INDEX my_index ON agents (error_message)",
        "CREATE TABLE my_notes (agent_id TEXT REFERENCES agents (id), note TEXT)",
        "CREATE VIEW my_view AS SELECT id FROM agents",
        "CREATE TRIGGER my_trigger AFTER INSERT ON agents BEGIN SELECT 1; END",
        "CREATE VIRTUAL TABLE my_words USING fts5 (word)",
    ],
)
@pytest.mark.parametrize("version", [1, TODAY])
async def test_what_users_add_is_tolerated(path: Path, addition: str, version: int) -> None:
    migrate_by_hand(path, until=version)
    with connected(path) as connection:
        connection.execute(addition)
    for _ in range(2):
        async with Database.open(path) as db:
            await make_agent(db)
    assert addition in definitions(path).values()


async def test_a_store_that_shall_not_be_made_is_not_made(path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="no database yet") as caught:
        await Database.open(path, create=False).connect()
    assert caught.value.hint
    assert contents(path.parent) == {}


# Snapshots


def snapshots(path: Path) -> list[Path]:
    return sorted(path.parent.glob("orchestrator.before-*.db"))


async def test_a_file_with_data_is_copied_before_it_is_migrated(path: Path) -> None:
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        insert_all(connection)
    old = definitions(path)
    async with Database.open(path):
        pass
    (snapshot,) = snapshots(path)
    assert definitions(snapshot) == old
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    with connected(snapshot) as connection:
        assert connection.execute("SELECT id FROM agents").fetchall()[0]["id"] == AGENT
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


@pytest.mark.parametrize("version", [0, 1])
async def test_a_file_without_data_is_not_copied(path: Path, version: int) -> None:
    migrate_by_hand(path, until=version)
    async with Database.open(path):
        pass
    assert snapshots(path) == []


async def test_a_current_file_is_not_copied(path: Path) -> None:
    for _ in range(2):
        async with Database.open(path) as db:
            await make_agent(db)
    assert snapshots(path) == []


async def test_a_snapshot_can_be_opened_as_a_store(path: Path) -> None:
    migrate_by_hand(path, until=1)
    with connected(path) as connection:
        insert_all(connection)
    async with Database.open(path):
        pass
    async with Database.open(snapshots(path)[0]) as db:
        assert (await db.agents.get(AGENT)).id == AGENT


# What is refused


def execute(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with connected(path) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


def overwrite(start: int, length: int) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[start : start + length] = b"\xa5" * length
        path.write_bytes(content)

    return change


def edit_schema(table: str, old: str, new: str) -> Callable[[Path], None]:
    return execute(
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = replace(sql, '{old}', '{new}') WHERE name = '{table}'",
        "PRAGMA writable_schema = OFF",
    )


REFUSED: dict[str, tuple[Callable[[Path], object], type[OrchestratorError]]] = {
    "newer": (execute(f"PRAGMA user_version = {TODAY + 1}"), SchemaTooNew),
    "newer, by its list": (
        execute(
            "INSERT INTO schema_version (number, name, checksum, product_version, schema_hash) "
            f"VALUES ({TODAY + 1}, '{TODAY + 1:03}_future', '', '9.9', '')"
        ),
        SchemaTooNew,
    ),
    "altered migration": (execute("UPDATE schema_version SET checksum = 'other' WHERE number = 5"), SchemaDrift),
    "a column more": (execute("ALTER TABLE agents ADD COLUMN mine TEXT"), SchemaDrift),
    "a column less": (execute("ALTER TABLE prompts DROP COLUMN cost_basis"), SchemaDrift),
    "a column renamed": (execute("ALTER TABLE agents RENAME COLUMN context TO surroundings"), SchemaDrift),
    "a vocabulary longer": (edit_schema("agents", "''planning''", "''plotting''"), SchemaDrift),
    "a trigger less": (execute("DROP TRIGGER prompts_insert_totals"), SchemaDrift),
    "a trigger other": (
        execute(
            "DROP TRIGGER agents_insert_totals",
            "CREATE TRIGGER agents_insert_totals AFTER INSERT ON agents BEGIN SELECT 1; END",
        ),
        SchemaDrift,
    ),
    "an index less": (execute("DROP INDEX idx_agents_session"), SchemaDrift),
    "an index other": (
        execute("DROP INDEX idx_agents_session", "CREATE INDEX idx_agents_session ON agents (status)"),
        SchemaDrift,
    ),
    "a view less": (execute("DROP VIEW agent_reversals"), SchemaDrift),
    "a search index less": (execute("DROP TABLE prompt_search"), SchemaDrift),
    "foreign": (lambda path: (path.unlink(), execute("CREATE TABLE recipes (id INTEGER)")(path)), SchemaDrift),
    "foreign, with a table of the same name": (
        lambda path: (path.unlink(), execute("CREATE TABLE agents (id INTEGER PRIMARY KEY, name TEXT)")(path)),
        SchemaDrift,
    ),
    "foreign and empty": (lambda path: (path.unlink(), execute("PRAGMA application_id = 7")(path)), SchemaDrift),
    "a text": (lambda path: path.write_text("# My notes\n" * 100), SchemaDrift),
    "a short text": (lambda path: path.write_text("notes"), SchemaDrift),
    "damaged in its header": (overwrite(18, 82), DatabaseCorrupt),
    "damaged in its schema": (overwrite(100, 3000), DatabaseCorrupt),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:6000]), DatabaseCorrupt),
}


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_file_that_is_not_usable_is_refused_and_left_as_it_is(path: Path, fault: str) -> None:
    async with Database.open(path) as db:
        await make_agent(db)
    change, expected = REFUSED[fault]
    change(path)
    path.with_name(f"{path.name}-lock").unlink(missing_ok=True)
    before = contents(path.parent)
    with pytest.raises(expected) as caught:
        await Database.open(path).connect()
    assert contents(path.parent) == before
    assert_explained(caught.value, path)


@pytest.mark.parametrize("table", [*VALID_ROWS, "schema_version", "sessions", "daily_usage", "changes", "leases", "redactions"])
async def test_a_missing_table_is_refused(path: Path, table: str) -> None:
    async with Database.open(path):
        pass
    with connected(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(f"DROP TABLE {table}")
    before = path.read_bytes()
    with pytest.raises(SchemaDrift) as caught:
        await Database.open(path).connect()
    assert table in caught.value.reason
    assert path.read_bytes() == before
    assert_explained(caught.value, path)


def assert_explained(error: OrchestratorError, path: Path) -> None:
    """One sentence that names the file, and a remedy."""
    message = str(error)
    assert str(path) in message
    assert re.fullmatch(r"[^\n]+\.", message)
    assert not re.search(r"\. [A-Z]", message)
    assert error.hint
    assert "\n" not in error.hint


async def test_a_refusal_says_which_versions_it_is_about(path: Path) -> None:
    async with Database.open(path):
        pass
    execute("PRAGMA user_version = 99")(path)
    with pytest.raises(SchemaTooNew) as caught:
        await Database.open(path).connect()
    assert (caught.value.found, caught.value.supported, caught.value.target) == (99, TODAY, str(path))


async def test_a_newer_file_is_left_as_it_is_with_the_log_of_a_program_that_died(path: Path, tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    async with Database.open(path) as db:
        await make_agent(db)
        execute(f"PRAGMA user_version = {TODAY + 1}")(path)
        for file in (path, path.with_name(f"{path.name}-wal")):
            shutil.copy(file, copies)
        execute(f"PRAGMA user_version = {TODAY}")(path)
    before = contents(copies)
    with pytest.raises(SchemaTooNew):
        await Database.open(copies / path.name).connect()
    assert contents(copies).items() >= before.items()


async def test_damage_in_a_table_is_told_when_it_is_met(path: Path) -> None:
    async with Database.open(path) as db:
        agent = await make_agent(db)
        await db.agent_logs.create_many(
            {"agent_id": agent.id, "log_type": "milestone", "message": "x" * 2000} for _ in range(2000)
        )
    size = path.stat().st_size
    overwrite(size // 2, size // 4)(path)
    async with Database.open(path) as db:
        with pytest.raises(DatabaseCorrupt) as caught:
            await db.agent_logs.list(limit=2000)
    assert "restore" in caught.value.hint


async def test_a_failed_migration_is_undone(path: Path) -> None:
    """A table stands where the search index would keep its data."""
    migrate_by_hand(path, until=7)
    with connected(path) as connection:
        insert_all(connection)
        connection.execute("CREATE TABLE prompt_search_data (note TEXT)")
    before = definitions(path)
    with pytest.raises(MigrationFailed) as caught:
        await Database.open(path).connect()
    assert caught.value.migration == "008_search"
    assert definitions(path) == before
    assert_explained(caught.value, path)
    with connected(path) as connection:
        connection.execute("DROP TABLE prompt_search_data")
    async with Database.open(path) as db:
        assert [hit.id for hit in await db.search.find("plan")] == [PROMPT]


@pytest.mark.parametrize(
    "addition",
    [
        "CREATE INDEX idx_agents_started ON agents (error_message)",
        "CREATE TABLE leases (tenant TEXT)",
        "CREATE VIEW sessions AS SELECT DISTINCT session_id FROM agents",
    ],
)
async def test_a_file_in_which_a_name_is_taken_that_a_migration_needs_is_left_as_it_is(path: Path, addition: str) -> None:
    migrate_by_hand(path, until=1)
    execute(addition)(path)
    before = definitions(path)
    with pytest.raises((SchemaDrift, MigrationFailed)):
        await Database.open(path).connect()
    assert definitions(path) == before


# Where it may not be


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-lock"])
@pytest.mark.parametrize("dangling", [True, False])
async def test_symbolic_links_are_not_followed(path: Path, tmp_path: Path, suffix: str, *, dangling: bool) -> None:
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_text("precious")
    path.with_name(path.name + suffix).symlink_to(victim)
    with pytest.raises(DatabaseUnavailable, match="symbolic link") as caught:
        await Database.open(path).connect()
    assert caught.value.hint
    assert (victim.read_text() == "precious") if not dangling else not victim.exists()


@pytest.mark.parametrize("create", [True, False])
async def test_a_folder_is_no_database(tmp_path: Path, create: bool) -> None:
    with pytest.raises(DatabaseUnavailable, match="this is a folder"):
        await Database.open(tmp_path, create=create).connect()


async def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(DatabaseUnavailable, match="not a folder"):
        await Database.open(tmp_path / "notes" / "orchestrator.db").connect()


def test_a_pipe_is_no_database(path: Path) -> None:
    os.mkfifo(path)
    with start_python(OPENING, path) as process:
        try:
            _, errors = process.communicate("go\n", timeout=10)
        finally:
            process.kill()
    assert "DatabaseUnavailable" in errors


# Many processes at once

OPENING = """
import asyncio, sys
from tac_orchestrator import Database

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Database.open(sys.argv[1]) as db:
        await db.system_logs.create("api", "opened at once")

asyncio.run(main())
"""


@pytest.mark.parametrize("version", [None, 1, pytest.param(TODAY, marks=pytest.mark.long)])
async def test_eight_processes_may_open_a_file_at_once(path: Path, version: int | None) -> None:
    if version is not None:
        migrate_by_hand(path, until=version)
        with connected(path) as connection:
            insert_all(connection)
    processes = [start_python(OPENING, path) for _ in range(8)]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    results = [process.communicate("go\n", timeout=60) for process in processes]
    assert [errors for _, errors in results if errors] == []
    with connected(path) as connection:
        assert connection.execute("SELECT COUNT(*) FROM system_logs WHERE message = 'opened at once'").fetchone()[0] == 8
        assert connection.execute("SELECT COUNT(*) FROM schema_version").fetchone()[0] == TODAY
    assert len(snapshots(path)) == (1 if version == 1 else len(snapshots(path)))


# Every statement is a crash point

DYING = """
# Opens a file in one process after the other. Each is killed before a statement of its transaction: the first before the first,
# the next before the second, and so on, until one lives to the end. Tells what each has left behind.
import asyncio, json, os, shutil, signal, sys
from contextlib import closing
from pathlib import Path
from tac_orchestrator import Database
from tac_orchestrator.engines.sqlite.library import sqlite

connect = sqlite.connect
left = 0

class Mortal(sqlite.Connection):
    def execute(self, *arguments):
        global left
        left -= self.in_transaction
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(*arguments)

def connect_mortally(target, **options):
    return connect(target, **options, factory=sqlite.Connection if target == ":memory:" else Mortal)

sqlite.connect = connect_mortally

async def open_and_close(path):
    async with Database.open(path):
        pass

def status_of_a_child(path):
    child = os.fork()
    if child == 0:
        asyncio.run(open_and_close(path))
        os._exit(0)
    return os.waitpid(child, 0)[1]

def state(path):
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return connection.execute("PRAGMA user_version").fetchone()[0], dict(rows)

path, lives, version, status = Path(sys.argv[1]), 0, int(sys.argv[2]), -1
left = sys.maxsize
asyncio.run(open_and_close(shutil.copy(path, path.with_name("another.db"))))  # what schemas look like is found out once
while status != 0:
    left = lives
    status = status_of_a_child(path)
    number, definitions = state(path)
    print(json.dumps([status, number, definitions]))
    lives += 1 if number in {0, version} else 10_000
"""


@pytest.mark.parametrize(
    "version", [0, 1, *(pytest.param(version, marks=pytest.mark.long) for version in range(2, TODAY - 1)), TODAY - 1]
)
def test_a_process_that_dies_before_any_statement_leaves_the_old_version_or_the_next(tmp_path: Path, version: int) -> None:
    path = tmp_path / "orchestrator.db"
    old = _by_hand(path, version)
    following = TODAY if version == 0 else version + 1
    expected = {
        0: old,
        version: old,
        following: _by_hand(tmp_path / "next.db", following),
        TODAY: _by_hand(tmp_path / "last.db", TODAY),
    }
    trials = [json.loads(line) for line in run_python(DYING, path, version).splitlines()]
    statuses = [status for status, _, _ in trials]
    assert len(trials) > len(statements(whole_schema() if version == 0 else migrations()[version].sql))
    assert statuses == [9] * (len(trials) - 1) + [0]
    assert all(found == expected[number] for _, number, found in trials)
    assert trials[-1][1] == TODAY


def _by_hand(path: Path, version: int) -> dict[str, str]:
    migrate_by_hand(path, until=version)
    return definitions(path)
