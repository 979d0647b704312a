"""The schema: nothing is stated twice without agreeing, in migrations, models and checks."""

from __future__ import annotations

import re
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from tac_orchestrator import Agent, AgentLog, Database, OrchestratorAgent, Prompt, Session, SystemLog
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.models import Change, Lease, Usage
from tac_orchestrator.schema import whole_schema

from .support import TODAY, connected, definitions, migrate_by_hand, run_leniently


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
