"""Which files are refused: each is left as it is, and the reason is told."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop of a test

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tac_orchestrator import (
    Database,
    DatabaseCorrupt,
    DatabaseUnavailable,
    MigrationFailed,
    OrchestratorError,
    SchemaDrift,
    SchemaTooNew,
)
from tac_orchestrator.testing import make_agent

from .support import (
    OPENING,
    PROMPT,
    TODAY,
    VALID_ROWS,
    connected,
    contents,
    definitions,
    insert_all,
    migrate_by_hand,
    start_python,
)

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
