"""Rows that the other engine could not hold are told, each with its reason, and nothing is moved. PostgreSQL is real."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tac_orchestrator.ops.transfer import MAX_MISFITS, Misfit

from ..postgres.running import Cluster
from ..store.support import connected, insert
from .support import NAME, NUMBERS, moved

NOBODY = "00000000-0000-4000-8000-00000000dead"
UNFIT: dict[str, tuple[str, str, Any, str]] = {
    "NUL in a text": ("prompts", "prompt_text", "a\0b", "NUL"),
    "NUL in JSON": ("agents", "context", '{"a": "\\u0000"}', "NUL"),
    "no UTF-8": ("prompts", "response_text", b"caf\xe9", "not valid UTF-8"),
    "bytes": ("agent_logs", "message", b"text", "bytes"),
    "no JSON": ("agent_logs", "details", "{", "not JSON"),
    "half a character in JSON": ("agent_logs", "details", '{"a": "\\ud800"}', "not JSON"),
    "a number that no float holds": ("agent_logs", "details", '{"a": 1e400}', "infinity"),
    "a number of too many digits": ("agent_logs", "details", '{"a": [1e-99999]}', "out of range"),
    "deep JSON": ("agent_logs", "details", "[" * 1020 + "]" * 1020, "deeply"),
    "no UUID": ("prompts", "id", "prompt-1", "not a UUID"),
    "no time": ("agents", "started_at", "yesterday", "not a time"),
    "a time that is none in UTC": ("agents", "completed_at", "9999-12-31 23:59:59-05:00", "not a time"),
    "too much money": ("prompts", "cost_usd", 1e12, "amount of money"),
    "money in words": ("prompts", "cost_usd", "free", "amount of money"),
    "negative money": ("prompts", "cost_usd", -1, "amount of money"),
    "a fraction": ("prompts", "tokens_input", 1.5, "whole number"),
    "a negative number": ("prompts", "tokens_output", -1, "negative"),
    "a number of 65 bits": ("prompts", "latency_ms", 2.0**64, "whole number"),
    "an unknown word": ("agents", "status", "bogus", "not one of cancelled, completed"),
    "a name that is too long": ("agents", "session_id", "é" * 1400, "2,600 bytes"),
    "a prompt of nobody": ("prompts", "agent_id", NOBODY, "row of agents"),
    "a child of nobody": ("agents", "parent_agent_id", NOBODY, "row of agents"),
}


def test_each_row_that_cannot_go_is_told_and_nothing_is_moved(store: Path, tmp_path: Path) -> None:
    expected = set[tuple[str, str, str]]()
    with as_if_nothing_was_checked(store) as connection:
        for number, (table, column, value, _) in enumerate(UNFIT.values(), 100):
            key = number if table == "agent_logs" else f"00000000-0000-4000-8000-{number:012}"
            columns = {"id": key, column: value}
            insert(connection, table, **columns)
            expected.add((table, str(columns["id"]), column))
        connection.execute("UPDATE prompts SET response_text = CAST(response_text AS TEXT)")
    done = moved(store, tmp_path / "target.db")
    assert {(misfit.table, misfit.id, misfit.column) for misfit in done.misfits} == expected
    assert (done.tables, done.misfit_count) == ({}, len(UNFIT))
    told_of = {(misfit.table, misfit.column): misfit.reason for misfit in done.misfits}
    reasons = [misfit.reason for misfit in done.misfits]
    assert [case for case, (*_, reason) in UNFIT.items() if not any(reason in one for one in reasons)] == [], told_of
    assert not (tmp_path / "target.db").exists()


@contextmanager
def as_if_nothing_was_checked(path: Path) -> Generator[Any]:
    """As a program can write that has the checks switched off."""
    with connected(path) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, definition in triggers:
            connection.execute(definition)


def test_rows_of_a_server_that_no_file_could_hold_are_told(store: Path, server: Cluster, url: str, tmp_path: Path) -> None:
    moved(store, url)
    server.sql("UPDATE agents SET started_at = '0044-03-15 BC'", database=NAME)
    server.sql("UPDATE prompts SET completed_at = '10000-03-15', created_at = '-infinity'", database=NAME)
    server.sql("""UPDATE agent_logs SET details = '{"a": 1e400}'""", database=NAME)
    server.sql("UPDATE system_logs SET details = (repeat('[', 1000) || repeat(']', 1000))::JSONB", database=NAME)
    done = moved(url, tmp_path / "back.db")
    assert [(misfit.table, misfit.column) for misfit in done.misfits] == [
        ("agents", "started_at"),
        ("prompts", "completed_at"),
        ("agent_logs", "details"),
        ("system_logs", "details"),
        ("sessions", "started_at"),
    ]
    assert not (tmp_path / "back.db").exists()


def test_all_rows_that_cannot_go_are_counted_and_the_first_are_told(store: Path, server: Cluster, url: str) -> None:
    with connected(store) as connection:
        insert(connection, "system_logs", message="a\0b")
        connection.execute(f"{NUMBERS} INSERT INTO system_logs (component, message) SELECT 'api', 'a' || char(0) FROM numbers",
                           (MAX_MISFITS + 9,))  # fmt: skip
        insert(connection, "system_logs", id=5000, message=b"a", created_at="never")
    done = moved(store, url)
    assert (len(done.misfits), done.misfit_count) == (MAX_MISFITS, MAX_MISFITS + 12)
    assert done.misfits[0] == Misfit("system_logs", "2", "message", "it holds a NUL character")
    assert server.sql("SELECT 1 FROM pg_database WHERE datname = $1", NAME) == []
