from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .support import Caller


def test_rows_are_given_as_they_are(call: Caller, store: Path) -> None:
    sql = "SELECT name, 1 AS one, 0.5 AS half, NULL AS gone, x'ff' AS bytes FROM orchestrator_agents ORDER BY name LIMIT 1"

    assert call("query", sql, "--json").json == [{"name": "builder", "one": 1, "half": 0.5, "gone": None, "bytes": "X'ff'"}]
    assert call("query", sql).out.split() == ["name", "one", "half", "gone", "bytes", "builder", "1", "0.5", "-", "X'ff'"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [("5", "integer"), ("-5", "integer"), ("0.5", "real"), ("007", "text"), ("1e5", "text"), ("", "text"), ("a=b", "text")],
)
def test_parameters_that_read_as_numbers_are_numbers(call: Caller, store: Path, value: str, kind: str) -> None:
    assert call("query", "SELECT typeof(:v) AS t, :v AS v", "-p", f"v={value}").rows[0][0] == kind


def test_a_colon_in_a_text_is_no_parameter(call: Caller, store: Path) -> None:
    assert call("query", "SELECT 'at:noon' AS t, :t AS u", "-p", "t=x", "--json").json == [{"t": "at:noon", "u": "x"}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM agents",
        "INSERT INTO system_logs (component, message) VALUES ('a', 'b')",
        "CREATE TABLE t (a)",
        "DROP TABLE agents",
        "PRAGMA user_version = 99",
    ],
)
def test_the_database_refuses_to_write(call: Caller, store: Path, sql: str) -> None:
    result = call("query", sql)

    assert result.code == 4
    assert "Only SQL that reads is taken here." in result.err
    assert call("status", "--json").json["agent_count"] == 5


@pytest.mark.parametrize("sql", ["SELEC 1", "SELECT nothing FROM agents", "SELECT * FROM nowhere", "SELECT :missing"])
def test_sql_that_is_wrong_is_answered_with_help(call: Caller, store: Path, sql: str) -> None:
    result = call("query", sql)

    assert result.code == 5
    assert "sqlite_schema" in result.err
    assert "doctor" not in result.err


@pytest.mark.parametrize("parameter", ["v", "=1", "a b=1"])
def test_a_parameter_needs_a_name_and_a_value(call: Caller, store: Path, parameter: str) -> None:
    assert call("query", "SELECT 1", "-p", parameter).code == 2


def test_no_rows_are_an_answer(call: Caller, store: Path) -> None:
    result = call("query", "SELECT 1 WHERE FALSE")

    assert (result.code, result.out, result.err) == (0, "", "No rows.\n")


def test_sql_can_come_from_standard_input(store: Path, program: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert program("query", "-", input="SELECT 'ü' AS t;\n").stdout == "t\nü\n"
    assert program("query", "-", input="SELECT '\udcff'", errors="surrogateescape").returncode == 2


def test_a_wide_answer_loses_columns_on_a_narrow_terminal(call: Caller, store: Path) -> None:
    columns = ", ".join(f"{number} AS column_{number}" for number in range(30))

    lines = call("query", f"SELECT {columns}", columns=60).plain.splitlines()

    assert max(map(len, lines)) <= 60
    assert lines[1].split()[:3] == ["0", "1", "2"]
