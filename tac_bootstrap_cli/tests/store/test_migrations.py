"""How a database comes to the schema of today: from any version, with many at once, and whoever dies on the way."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop of a test

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, DatabaseUnavailable
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.schema import migrations, whole_schema
from tac_orchestrator.testing import make_agent, make_prompt

from .support import (
    AGENT,
    OPENING,
    PROMPT,
    TODAY,
    VALID_ROWS,
    connected,
    contents,
    definitions,
    insert_all,
    migrate_by_hand,
    run_python,
    start_python,
    statements,
)

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


# Many processes at once


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
