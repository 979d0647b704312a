from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, InvalidSetting
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.checks import check
from tac_orchestrator.ops.export import export
from tac_orchestrator.ops.formats import COLUMNS, SQL_COLUMNS
from tac_orchestrator.ops.retention import prune

RECORDED = ("orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs")

ODD = [
    'it\'s "quoted", \\ and ; -- no comment',
    "=HYPERLINK(1)\r\nsecond\rthird\n\nfifth\t",
    "\x01\x1b[2J\x7f\x85\u2028\u202e\ufeff",
    "🜚 ünï 漢字 \U0010ffff",
    "NULL",
    " ",
    "'; DROP TABLE agents; --",
]

LONG = '{\n "long": 123456789012345678901234567890\r\n}'


@pytest.fixture
async def odd(db, past, sql, path) -> Database:
    """A store with odd values that were written in any way, and with totals of rows that are gone."""
    await past(prompts=60)
    await prune(db, timedelta(days=2, hours=12))
    agent = (await db.agents.list())[0]
    for text in ODD:
        prompt = await db.prompts.create(
            agent.id, "adw", text, status="completed", response_text=text, cost_usd=Decimal("1e-8")
        )
        await db.agent_logs.create(agent.id, "error", text, details={text: [text, 0.1, None, {"deep": [[]]}]})
        await db.system_logs.create("api", text)
    sql(
        path,
        "UPDATE prompts SET prompt_text = 'a' || char(0) || 'b', tokens_input = 10000000000000000, cost_usd = 12345.67890123",
    )
    sql(path, "UPDATE prompts SET tokens_input = 3 WHERE id <> ?", prompt.id)
    sql(path, "UPDATE agent_logs SET details = ? WHERE id = (SELECT MAX(id) FROM agent_logs)", LONG)
    return db


async def exported(db: Database, format: Any = "jsonl", **choice: Any) -> str:
    stream = StringIO(newline="")
    await export(db, stream, format, **choice)
    return stream.getvalue()


def contents(path: Path, tables: Any = RECORDED) -> dict[str, list[Any]]:
    """The rows, with JSON in one form."""
    with closing(sqlite.connect(path)) as connection:
        return {
            name: [
                tuple(map(_in_one_form, row))
                for row in connection.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY 1, 2, 3, 4")
            ]
            for name, columns in {**COLUMNS, **SQL_COLUMNS}.items()
            if name in tables
        }


def _in_one_form(value: Any) -> Any:
    return json.dumps(json.loads(value)) if isinstance(value, str) and value.startswith(("{", "[")) else value


def insert(path: Path, table: str, rows: list[dict[str, Any]]) -> None:
    """As somebody would who brings the rows back. An agent's cost follows from its prompts."""
    with closing(sqlite.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN")
        connection.execute("PRAGMA defer_foreign_keys = ON")
        for row in rows:
            values = {name: value for name, value in row.items() if (table, name) != ("agents", "cost_usd")}
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values()))
        connection.execute("COMMIT")


async def test_sql_makes_the_same_store(odd, path, tmp_path, totals):
    copy = tmp_path / "copy.db"
    async with Database.open(copy) as new:
        with closing(sqlite.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(await exported(odd, "sql"))
        assert await totals(new) == await totals(odd)
        assert [finding for finding in await check(new) if finding.state != "ok"] == []
    exact = SQL_COLUMNS.keys() - {"daily_usage"}  # of which a store has rows that have come to nothing
    assert contents(copy, exact) == contents(path, exact)


async def test_json_lines_hold_all_that_was_recorded(odd, path, tmp_path, totals, sql):
    sql(path, "DELETE FROM sessions WHERE pruned_at IS NOT NULL")
    sql(path, "DELETE FROM daily_usage WHERE pruned = 1")
    copy = tmp_path / "copy.db"
    async with Database.open(copy) as new:
        for table in RECORDED:
            rows = [json.loads(line) for line in (await exported(odd, table=table)).split("\n") if line]
            kept = [{k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()} for row in rows]
            insert(copy, table, kept)
        assert await totals(new) == await totals(odd)
    assert contents(copy) == contents(path)


async def test_csv_holds_all_that_was_recorded(odd, path, tmp_path, totals, sql):
    sql(path, "DELETE FROM sessions WHERE pruned_at IS NOT NULL")
    sql(path, "DELETE FROM daily_usage WHERE pruned = 1")
    copy = tmp_path / "copy.db"
    async with Database.open(copy) as new:
        for table in RECORDED:
            lines = StringIO(await exported(odd, "csv", table=table), newline="")
            insert(copy, table, [{k: v or None for k, v in row.items()} for row in csv.DictReader(lines)])
        assert await totals(new) == await totals(odd)
    assert contents(copy) == contents(path)


async def test_each_row_is_a_line_of_json_that_names_its_table(odd):
    rows = [json.loads(line) for line in (await exported(odd)).rstrip("\n").split("\n")]
    counts = Counter(row["table"] for row in rows)
    assert counts["prompts"] == len(await odd.prompts.list(limit=1000))
    assert counts.keys() == COLUMNS.keys()


async def test_money_is_a_decimal_number_and_what_is_unknown_is_null(db, agent):
    for cost in (Decimal("0.00000001"), Decimal("123456.78"), None):
        await db.prompts.create(agent.id, "adw", "x", status="completed", cost_usd=cost)
    rows = [json.loads(line) for line in (await exported(db, table="prompts")).splitlines()]
    assert [row["cost_usd"] for row in rows] == ["0.00000001", "123456.78", None]


async def test_a_session_without_a_known_cost_has_none(db, agent):
    [row] = [json.loads(line) for line in (await exported(db, table="sessions")).splitlines()]
    assert row["cost_usd"] is None


async def test_a_text_that_is_not_utf_8_is_written_as_far_as_it_can_be(db, path, sql):
    sql(path, "INSERT INTO system_logs (component, message) VALUES ('api', CAST(x'61ff62' AS TEXT))")
    for format in ("jsonl", "csv", "sql"):
        assert "a\N{REPLACEMENT CHARACTER}b" in await exported(db, format, table="system_logs")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_a_cell_that_would_be_a_formula_begins_with_an_apostrophe(db, text):
    await db.system_logs.create("api", text)
    lines = StringIO(await exported(db, "csv", table="system_logs", spreadsheet=True), newline="")
    assert lines.read(1) == "\N{BYTE ORDER MARK}"
    assert [row["message"] for row in csv.DictReader(lines)] == [f"'{text}"]
    assert f"'{text}" not in await exported(db, "csv", table="system_logs")


async def test_an_export_beside_processes_that_write_is_of_one_moment(db, past, path, recorder):
    await past(prompts=300)
    writers = [recorder(path, f"live {number}") for number in range(2)]
    for _ in range(3):
        rows = [json.loads(line) for line in (await exported(db)).rstrip("\n").split("\n")]
        by_table = {name: [row for row in rows if row["table"] == name] for name in COLUMNS}
        assert sum(row["prompt_count"] for row in by_table["sessions"]) == sum(map(_counts, by_table["prompts"]))
        assert _total(by_table["agents"]) == _total(by_table["prompts"]) == _total(by_table["daily_usage"])
    assert [writer.poll() for writer in writers] == [None, None]


def _counts(prompt: dict[str, Any]) -> bool:
    return prompt["status"] not in {"pending", "streaming"} or prompt["cost_usd"] is not None


def _total(rows: list[dict[str, Any]]) -> Decimal:
    return sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"] is not None), Decimal(0))


async def test_sql_takes_whole_sessions(db, past, tmp_path):
    await past()
    since = datetime.now(UTC) - timedelta(days=2, hours=12)
    async with Database.open(tmp_path / "copy.db") as new:
        with closing(sqlite.connect(tmp_path / "copy.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(await exported(db, "sql", since=since))
        young = [session for session in await db.sessions.list() if session.started_at >= since]
        assert await new.sessions.list() == young != []


async def test_sql_of_a_session_leaves_out_parents_elsewhere(db, new_agent, tmp_path):
    parent = await new_agent(session_id="outer")
    child = await new_agent(session_id="inner", parent_agent_id=parent.id)
    async with Database.open(tmp_path / "copy.db") as new:
        with closing(sqlite.connect(tmp_path / "copy.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.executescript(await exported(db, "sql", session_id="inner"))
        assert (await new.agents.get(child.id)).parent_agent_id is None


async def test_rows_of_other_times_and_sessions_stay_out(db, past):
    await past()
    at = datetime.now(UTC) - timedelta(days=2, hours=12)
    for table in ("prompts", "agent_logs", "agents"):
        of_session = await exported(db, table=table, session_id="session 5")
        young, old = await exported(db, table=table, since=at), await exported(db, table=table, until=at)
        everything = (await exported(db, table=table)).splitlines()
        assert sorted(young.splitlines() + old.splitlines()) == sorted(everything)
        assert len(of_session.splitlines()) * 6 == len(everything)


@pytest.mark.parametrize(
    "choice",
    [
        {"format": "xml"},
        {"table": "leases"},
        {"format": "csv"},
        {"format": "sql", "table": "sessions"},
        {"spreadsheet": True},
        {"table": "system_logs", "session_id": "x"},
        {"since": datetime(2026, 1, 1)},
    ],
)
async def test_what_makes_no_sense_is_refused(db, choice):
    with pytest.raises(InvalidSetting):
        await exported(db, **choice)


@pytest.mark.parametrize(
    "choice", [{}, {"session_id": "session 2"}, {"table": "prompts", "session_id": "session 2"}, {"format": "sql"}]
)
async def test_progress_ends_with_all_of_it(db, past, choice: dict[str, Any]):
    await past(prompts=300)
    told = list[tuple[int, int]]()
    stream = StringIO()
    count = await export(db, stream, progress=lambda done, total: told.append((done, total)), **choice)
    assert count >= 300
    assert told[-1][0] == count
    assert told[0][1] == told[-1][1] >= count


async def test_an_empty_store_has_nothing_to_export(db):
    assert await exported(db) == ""
    assert (await exported(db, "csv", table="agents")).split("\r\n")[1:] == [""]


def test_every_table_is_exported_or_follows_from_one_that_is(db: Database, path: Path, sql: Callable[..., Any]) -> None:
    """Counts of logs, `prompt_documents`, search indexes are made anew; `changes` is only for who listened to the old store."""
    names = {name for (name,) in sql(path, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%search%'")}
    derived = {"schema_version", "changes", "log_counts", "prompt_documents", "sqlite_sequence", "spans"}
    assert names - SQL_COLUMNS.keys() <= derived
