"""Lists: any filter finds what it should, by an index, page by page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, InvalidRecord, NotFound
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.testing import make_agent, make_prompt

from .support import DAY, Sample, connected

Choice = tuple[str, Any, str | None]
"""A filter, a value for it, and the index that serves it; None if it only goes through what others leave."""

TIMES: list[Choice] = [("since", DAY + timedelta(hours=1), "time"), ("until", DAY + timedelta(hours=3), "time")]


def choices(table: str, sample: Sample) -> list[Choice]:
    """The filters of a list, the one that leaves the fewest rows first."""
    session = ("session_id", "session-1", "session")
    found: dict[str, list[Choice]] = {
        "agents": [
            ("parent_agent_id", sample.agents[0].id, "idx_agents_parent"),
            ("session_id", "session-1", "idx_agents_session"),
            ("status", "failed", "idx_agents_status"),
            ("orchestrator_agent_id", sample.kinds[0].id, "idx_agents_orch"),
            ("status", "completed", "idx_agents_status"),
        ],
        "prompts": [
            ("agent_id", sample.agents[1].id, "idx_prompts_agent"),
            session,
            ("status", "failed", "idx_prompts_status"),
            ("prompt_type", "correction", "idx_prompts_type"),
            ("model_used", "large", "idx_prompts_model"),
            ("status", "completed", "idx_prompts_status"),
            ("prompt_type", "tool_call", None),
        ],
        "agent_logs": [
            ("agent_id", sample.agents[1].id, "idx_agent_logs_agent"),
            session,
            ("log_type", "error", "idx_agent_logs_type"),
            ("log_level", "ERROR", "idx_agent_logs_level"),
            ("log_type", "milestone", None),
            ("log_level", "INFO", None),
            ("log_level", "DEBUG", "idx_agent_logs_level"),
        ],
        "system_logs": [
            ("log_level", "ERROR", "idx_system_logs_level"),
            ("component", "api", "idx_system_logs_component"),
            ("log_level", "INFO", "idx_system_logs_level"),
        ],
        "sessions": [("status", "failed", "idx_sessions_status")],
    }
    return found[table] + TIMES


def combined(options: list[Choice]) -> Iterator[tuple[Choice, ...]]:
    """Every combination of at most three filters."""
    for size in range(4):
        for combination in combinations(options, size):
            if len({name for name, _, _ in combination}) == size:
                yield combination


TIME_COLUMNS = {
    "agents": "started_at",
    "prompts": "created_at",
    "agent_logs": "created_at",
    "system_logs": "created_at",
    "sessions": "started_at",
}


@pytest.mark.parametrize("table", TIME_COLUMNS)
async def test_a_list_finds_what_its_filters_ask_for(db: Database, sample: Sample, table: str) -> None:
    rows = await getattr(db, table).list(limit=1000)
    sessions = {agent.id: agent.session_id for agent in sample.agents}
    for combination in combined(choices(table, sample)):
        filters = {name: value for name, value, _ in combination}
        expected = [row for row in rows if matches(row, filters, sessions, TIME_COLUMNS[table])]
        assert await getattr(db, table).list(limit=1000, **filters) == expected, filters


def matches(row: Any, filters: Mapping[str, Any], sessions: Mapping[str, str], time_column: str) -> bool:
    columns = {**dict(row), "session_id": getattr(row, "session_id", None) or sessions.get(getattr(row, "agent_id", ""))}
    at = columns[time_column]
    return all(
        at >= value if name == "since" else at < value if name == "until" else columns[name] == value
        for name, value in filters.items()
    )


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are executed on connections which are opened from now on, with their values in their places."""
    statements, connect = list[str](), sqlite.connect

    def connect_and_trace(*arguments: Any, **options: Any) -> sqlite.Connection:
        connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite, "connect", connect_and_trace)
    return statements


STATISTICS = {
    "agents": "100000",
    "idx_agents_session": "100000 5 1",
    "idx_agents_orch": "100000 5000 1",
    "idx_agents_status": "100000 25000 1",
    "idx_agents_parent": "80000 4 1",
    "idx_agents_started": "100000 1",
    "prompts": "1000000",
    "idx_prompts_agent": "1000000 10 1",
    "idx_prompts_status": "1000000 250000 1",
    "idx_prompts_type_status": "1000 500 100 1",
    "idx_prompts_type_model": "1000 500 100 1",
    "idx_prompts_status_model": "30000 10000 1000 1",
    "idx_prompts_type": "1000 500 1",
    "idx_prompts_model": "900000 100000 1",
    "idx_prompts_created": "1000000 1",
    "agent_logs": "10000000",
    "idx_agent_logs_agent": "10000000 100 1",
    "idx_agent_logs_level": "100000 30000 1",
    "idx_agent_logs_type": "200000 50000 1",
    "idx_agent_logs_type_level": "200000 50000 10000 1",
    "idx_agent_logs_agent_type": "200000 3 2 1",
    "idx_agent_logs_agent_level": "100000 2 2 1",
    "idx_agent_logs_created": "10000000 1",
    "system_logs": "1000000",
    "idx_system_logs_level": "1000000 200000 1",
    "idx_system_logs_component": "1000000 100000 1",
    "idx_system_logs_created": "1000000 1",
    "sessions": "20000",
    "idx_sessions_started": "20000 1 1",
    "idx_sessions_status": "20000 5000 1 1",
}
"""What ANALYZE finds in a large store."""


def pretend_to_have_analysed(connection: sqlite.Connection) -> None:
    connection.execute("ANALYZE")
    connection.execute("DELETE FROM sqlite_stat1")
    for name, numbers in STATISTICS.items():
        table = next(table for table in TIME_COLUMNS if f"{name}_".startswith((f"{table}_", f"idx_{table}_")))
        index = name if name != table else None
        connection.execute("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", (table, index, numbers))
    connection.execute("ANALYZE sqlite_schema")


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("table", TIME_COLUMNS)
async def test_a_list_goes_by_the_index_of_its_most_selective_filter(
    executed: list[str], db: Database, path: Path, sample: Sample, table: str, *, analysed: bool
) -> None:
    bad_plans = dict[tuple[str, ...], list[str]]()
    key = "session_id" if table == "sessions" else "id"
    (first,) = await getattr(db, table).list(limit=1)
    with connected(path) as connection:
        if analysed:
            pretend_to_have_analysed(connection)
        for combination in combined(choices(table, sample)):
            for paged in ({}, {"before": getattr(first, key)}):
                filters = {name: value for name, value, _ in combination} | paged
                executed.clear()
                await getattr(db, table).list(limit=10, **filters)
                query = next(sql for sql in executed if sql.startswith("SELECT"))
                plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
                if not is_good(plan, table, combination):
                    bad_plans[tuple(f"{name}={value}" for name, value in filters.items())] = plan
    assert bad_plans == {}


INDEXES_OF_AN_AGENT = (
    ("log_type=error", "idx_agent_logs_agent_type"),
    ("log_level=ERROR", "idx_agent_logs_agent_level"),
    ("log_level=DEBUG", "idx_agent_logs_agent_level"),
)

INDEXES_OF_TWO = (
    ({"log_type=error", "log_level"}, "idx_agent_logs_type_level"),
    ({"status=failed", "model_used"}, "idx_prompts_status_model"),
    ({"prompt_type=correction", "model_used"}, "idx_prompts_type_model"),
    ({"prompt_type=correction", "status"}, "idx_prompts_type_status"),
)


def is_good(plan: list[str], table: str, combination: Iterable[Choice]) -> bool:
    """Whether it finds its rows by the index of the first filter that has one, else by that of the time, in order."""
    by_time = f"idx_{table}_{TIME_COLUMNS[table].removesuffix('_at')}"
    index = next((index for _, _, index in combination if index not in {None, "time"}), by_time)
    by_session = index == "session"
    asked = {part for name, value, _ in combination for part in (name, f"{name}={value}")}
    if index in {f"idx_{table}_agent", "session"}:
        index = next((both for name, both in INDEXES_OF_AN_AGENT if name in asked), f"idx_{table}_agent")
    else:
        index = next((both for names, both in INDEXES_OF_TWO if names <= asked), index)
    step = next(step for step in plan if step.split()[1] == table)
    return (
        re.search(f"USING (COVERING )?INDEX {index}( |$)", step) is not None
        and (step.startswith("SEARCH") or index == by_time)
        and not any(step.startswith("SCAN") and "USING INDEX" not in step for step in plan)
        and ("USE TEMP B-TREE FOR ORDER BY" not in plan or by_session)
        and (not by_session or any(step.startswith("SEARCH agents USING INDEX idx_agents_session") for step in plan))
    )


@pytest.mark.parametrize("table", [*TIME_COLUMNS, "orchestrator_agents"])
@pytest.mark.parametrize("size", [1, 2, 5, 17, 100])
async def test_pages_lose_nothing_and_repeat_nothing(db: Database, sample: Sample, table: str, size: int) -> None:
    list_rows = getattr(db, table).list
    everything = await list_rows(limit=1000)
    key = "session_id" if table == "sessions" else "id"
    found, page = [], await list_rows(limit=size)
    while page:
        found += page
        page = await list_rows(limit=size, before=getattr(page[-1], key))
    assert found == everything
    assert len(everything) > 1


@pytest.mark.parametrize("table", ["agents", "prompts", "agent_logs", "system_logs", "sessions"])
async def test_a_list_begins_with_the_newest(db: Database, sample: Sample, table: str) -> None:
    key = "session_id" if table == "sessions" else "id"
    order = [(getattr(row, TIME_COLUMNS[table]), getattr(row, key)) for row in await getattr(db, table).list(limit=1000)]
    assert order == sorted(order, reverse=True)


async def test_rows_that_come_meanwhile_do_not_disturb_the_pages(db: Database, sample: Sample) -> None:
    everything = await db.agent_logs.list(limit=1000)
    found, page = [], await db.agent_logs.list(limit=50)
    while page:
        found += page
        await db.agent_logs.create(sample.agents[0].id, "milestone", "meanwhile")
        page = await db.agent_logs.list(limit=50, before=page[-1].id)
    assert found == everything


@pytest.mark.parametrize("table", ["agents", "prompts", "agent_logs", "system_logs", "orchestrator_agents"])
async def test_a_page_behind_a_row_that_has_gone_is_refused(db: Database, sample: Sample, table: str) -> None:
    last = (await getattr(db, table).list(limit=2))[-1]
    await getattr(db, table).delete(last.id)
    with pytest.raises(NotFound):
        await getattr(db, table).list(before=last.id)


@pytest.mark.parametrize("limit", [0, -1, 100_001])
@pytest.mark.parametrize("table", [*TIME_COLUMNS, "orchestrator_agents"])
async def test_a_page_has_at_least_a_row_and_not_everything(db: Database, table: str, limit: int) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await getattr(db, table).list(limit=limit)
    assert (caught.value.field, caught.value.value) == ("limit", limit)


async def test_a_filter_may_have_the_name_of_a_common_word(db: Database) -> None:
    agent = await make_agent(db, session_id="completed")
    prompt = await make_prompt(db, agent, model_used="INFO", prompt_type="correction")
    assert [found.id for found in await db.agents.list(session_id="completed", status="initializing")] == [agent.id]
    assert [found.id for found in await db.prompts.list(model_used="INFO", prompt_type="correction")] == [prompt.id]
