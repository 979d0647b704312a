from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.schema import migrations

from ..store.support import connected
from .support import Caller

NEWEST = len(migrations())


def run_sql(path: Path, *statements: str) -> None:
    with closing(sqlite.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def older(path: Path) -> Path:
    """A store that holds something, made by hand, and without the last migration."""
    with closing(sqlite.connect(path)) as connection:
        for migration in migrations()[:-1]:
            connection.executescript(migration.sql)
    run_sql(path, "INSERT INTO system_logs (component, message) VALUES ('api', 'started')")
    return path


def test_the_place_is_told_whether_or_not_there_is_a_store(call: Caller, path: Path) -> None:
    assert call("db", "path").out == f"{path}\n"
    assert call("db", "path", "--json").json == {"path": str(path), "exists": False}
    assert call("db", "path", "--db", "other.db").out == f"{Path.cwd() / 'other.db'}\n"
    assert not path.exists()


def test_a_place_with_odd_signs_is_harmless_on_a_terminal_and_exact_on_a_pipe(call: Caller) -> None:
    assert call("db", "path", "--db", "/a\x1bb", columns=80).out == "/a\\x1bb\n"
    assert call("db", "path", "--db", "/a\x1bb").out == "/a\x1bb\n"


def test_migration_makes_a_store(call: Caller, path: Path) -> None:
    assert call("db", "migrate").out == f"{path}: made, with schema version {NEWEST}.\n"
    assert call("db", "migrate").out == f"{path}: schema version {NEWEST}, which is up to date.\n"
    assert [file.name for file in path.parent.glob("*.db")] == [path.name]


def test_migration_says_what_it_did_and_where_the_snapshot_is(call: Caller, older: Path) -> None:
    done = call("db", "migrate", "--json").json

    assert (done["path"], done["from_version"], done["to_version"]) == (str(older), NEWEST - 1, NEWEST)
    assert call("db", "check", "--db", done["snapshot"], "--json").json[2]["message"].startswith(f"version {NEWEST - 1};")
    assert call("db", "check").code == 0


def test_migration_leaves_what_is_not_ours_as_it_is(call: Caller, path: Path) -> None:
    run_sql(path, "CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()

    assert call("db", "migrate").code == 4
    assert path.read_bytes() == before


def test_a_sound_store_is_found_sound(call: Caller, store: Path | str) -> None:
    result = call("db", "check", "--json")

    assert result.code == 0
    assert {row["state"] for row in result.json} == {"ok"}
    assert [line.split()[:2] for line in call("db", "check").out.splitlines()] == [
        [row["state"], row["name"]] for row in result.json
    ]


def test_a_wrong_sum_is_found(call: Caller, store: Path | str) -> None:
    with connected(store) as connection:
        connection.execute("UPDATE agents SET cost_usd = 7 WHERE id = (SELECT agent_id FROM prompts LIMIT 1)")

    result = call("db", "check", "--json")

    assert result.code == 1
    [fault] = [row for row in result.json if row["state"] != "ok"]
    assert (fault["name"], "cost_usd is 7" in fault["message"], bool(fault["remedy"])) == ("agents", True, True)
    assert call("db", "check").out.count("Try: ") == 1


def test_an_older_store_is_checked_and_not_changed(call: Caller, older: Path) -> None:
    before = older.read_bytes()

    assert call("db", "check", "--json").json[2]["state"] == "warning"
    assert older.read_bytes() == before


def test_damage_is_found(call: Caller, store: Path | str, path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 65536)

    result = call("db", "check", "--json")

    assert result.code == 1
    assert {(row["name"], row["state"]) for row in result.json} == {("integrity", "error")}


def test_compaction_says_what_it_gave_back(call: Caller, store: Path | str, path: Path) -> None:
    run_sql(path, "CREATE TABLE padding AS SELECT randomblob(2000000) AS bytes", "DROP TABLE padding")

    done = call("db", "vacuum", "--json").json

    assert done["bytes_before"] - done["bytes_after"] > 1_900_000
    assert done["bytes_after"] == path.stat().st_size
    assert call("db", "vacuum").out.endswith(" now.\n")
    assert call("db", "check").code == 0


def test_the_planner_looks_at_the_values(call: Caller, store: Path | str) -> None:
    statistics = "sqlite_stat1" if isinstance(store, Path) else "pg_stats WHERE schemaname = 'public'"
    assert call("db", "analyze", "--json").json == {"path": str(store), "analyzed": True}
    assert call("query", f"SELECT COUNT(*) > 0 AS has FROM {statistics}", "--json").json == [{"has": True}]


@pytest.mark.parametrize("name", ["check", "vacuum", "analyze"])
def test_upkeep_makes_no_store(call: Caller, path: Path, name: str) -> None:
    result = call("db", name)

    assert (result.code, "there is no database yet" in result.err) == (4, True)
    assert not path.exists()


@pytest.mark.parametrize("name", ["vacuum", "analyze"])
def test_what_is_not_ours_is_not_touched(call: Caller, path: Path, name: str) -> None:
    run_sql(path, "CREATE TABLE customers (id INTEGER)")
    before = path.read_bytes()

    assert call("db", name).code == 4
    assert path.read_bytes() == before
