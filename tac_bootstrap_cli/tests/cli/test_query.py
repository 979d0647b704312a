from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .support import Caller


def test_rows_are_given_as_they_are(call: Caller, store: Path | str) -> None:
    bytes = f"CAST('a' AS {'BLOB' if isinstance(store, Path) else 'BYTEA'})"
    values = f"1 AS one, CAST(0.5 AS REAL) AS half, NULL AS gone, {bytes} AS bytes"
    sql = f"SELECT name, {values} FROM orchestrator_agents ORDER BY name LIMIT 1"

    assert call("query", sql, "--json").json == [{"name": "builder", "one": 1, "half": 0.5, "gone": None, "bytes": "X'61'"}]
    assert call("query", sql).out.split() == ["name", "one", "half", "gone", "bytes", "builder", "1", "0.5", "-", "X'61'"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("5", "integer"), ("-5", "integer"), ("0.5", "real"), ("007", "text"), ("1e5", "text"), ("", "text"), ("a=b", "text")],
)
def test_parameters_that_read_as_numbers_are_numbers(
    call: Caller, store: Path | str, path: Path, value: str, kind: str
) -> None:
    assert call("query", "SELECT typeof(:v) AS t, :v AS v", "-p", f"v={value}").rows[0][0] == kind


@pytest.mark.parametrize(
    ("condition", "value", "rows"),
    [
        ("tokens_input = :v", "800", 2),
        ("cost_usd = :v", "0.25", 2),
        ("model_used = :v", "m1", 2),
        ("model_used = :v", "1", 0),
        ("created_at > :v", "2020-01-01 00:00:00", 6),
        ("agent_id IN (SELECT id FROM agents WHERE session_id = :v)", "issue-41", 3),
    ],
)
def test_a_value_is_of_the_kind_of_its_place(call: Caller, store: Path | str, condition: str, value: str, rows: int) -> None:
    sql = f"SELECT COUNT(*) AS found FROM prompts WHERE {condition}"

    assert call("query", sql, "-p", f"v={value}", "--json").json == [{"found": rows}]


def test_a_colon_in_a_text_is_no_parameter(call: Caller, store: Path | str) -> None:
    assert call("query", "SELECT 'at:noon' AS t, :t AS u", "-p", "t=x", "--json").json == [{"t": "at:noon", "u": "x"}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM agents",
        "INSERT INTO system_logs (component, message) VALUES ('a', 'b')",
        "CREATE TABLE t (a INTEGER)",
        "DROP TABLE agents",
    ],
)
def test_the_database_refuses_to_write(call: Caller, store: Path | str, sql: str) -> None:
    result = call("query", sql)

    assert result.code == 4
    assert "Only SQL that reads is taken here." in result.err
    assert call("status", "--json").json["agent_count"] == 5


def test_the_database_refuses_to_change_what_it_is(call: Caller, store: Path | str, path: Path) -> None:
    assert call("query", "PRAGMA user_version = 99").code == 4
    assert call("status").code == 0


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM agents", "SELECT * FROM nowhere", "SELECT :missing"])
def test_sql_that_is_wrong_is_answered_with_help(call: Caller, store: Path | str, sql: str) -> None:
    result = call("query", sql)

    assert result.code == 5
    assert "shows the tables" in result.err
    assert "doctor" not in result.err


@pytest.mark.parametrize("parameter", ["v", "=1", "a b=1"])
def test_a_parameter_needs_a_name_and_a_value(call: Caller, store: Path | str, parameter: str) -> None:
    assert call("query", "SELECT 1", "-p", parameter).code == 2


def test_no_rows_are_an_answer(call: Caller, store: Path | str) -> None:
    result = call("query", "SELECT 1 WHERE FALSE")

    assert (result.code, result.out, result.err) == (0, "", "No rows.\n")


def test_sql_can_come_from_standard_input(store: Path | str, program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert program("query", "-", input="SELECT 'ü' AS t;\n").stdout == "t\nü\n"
    assert program("query", "-", input="SELECT '\udcff'", errors="surrogateescape").returncode == 2


def test_a_wide_answer_loses_columns_on_a_narrow_terminal(call: Caller, store: Path | str) -> None:
    columns = ", ".join(f"{number} AS column_{number}" for number in range(30))

    lines = call("query", f"SELECT {columns}", columns=60).plain.splitlines()

    assert max(map(len, lines)) <= 60
    assert lines[1].split()[:3] == ["0", "1", "2"]
