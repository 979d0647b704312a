"""The verbs of every table: what is written is found again, page by page, by any filter, and by an index."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import (
    Agent,
    AlreadyExists,
    Change,
    Database,
    DatabaseReadOnly,
    InvalidRecord,
    InvalidTransition,
    NotFound,
    OrchestratorAgent,
    Prompt,
)
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.testing import make_agent, make_prompt

from .support import connected, definitions, insert

DAY = datetime(2026, 3, 1, tzinfo=UTC)
UNKNOWN = "00000000-0000-4000-8000-00000000dead"
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"

NewAgent = Callable[..., Awaitable[Agent]]
NewPrompt = Callable[..., Awaitable[Prompt]]


# What is not there

TABLES = ["orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs", "sessions"]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("verb", ["get", "delete"])
async def test_a_row_that_is_not_there_is_not_found(db: Database, table: str, verb: str) -> None:
    key = 4711 if "logs" in table else UNKNOWN
    with pytest.raises(NotFound) as caught:
        await getattr(getattr(db, table), verb)(key)
    assert (caught.value.kind, caught.value.key) == (table.removesuffix("s"), key)
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("orchestrator_agents", {"name": "x"}),
        ("agents", {"context": {}}),
        ("agents", {"status": "completed"}),
        ("prompts", {"prompt_name": "x"}),
        ("prompts", {"status": "completed"}),
        ("prompts", {"tokens_input": 1}),
    ],
)
async def test_a_row_that_is_not_there_is_not_updated(db: Database, table: str, changes: dict[str, Any]) -> None:
    with pytest.raises(NotFound) as caught:
        await getattr(db, table).update(UNKNOWN, **changes)
    assert caught.value.kind == table.removesuffix("s")


@pytest.mark.parametrize("table", ["orchestrator_agents", "agents", "prompts"])
async def test_an_update_that_names_no_column_is_refused(db: Database, agent: Agent, new_prompt: NewPrompt, table: str) -> None:
    keys = {"orchestrator_agents": agent.orchestrator_agent_id, "agents": agent.id, "prompts": (await new_prompt(agent)).id}
    with pytest.raises(InvalidRecord):
        await getattr(db, table).update(keys[table])


@pytest.mark.parametrize("table", ["orchestrator_agents", "agents", "prompts"])
async def test_an_id_does_not_change(db: Database, agent: Agent, new_prompt: NewPrompt, table: str) -> None:
    keys = {"orchestrator_agents": agent.orchestrator_agent_id, "agents": agent.id, "prompts": (await new_prompt(agent)).id}
    with pytest.raises(InvalidRecord) as caught:
        await getattr(db, table).update(keys[table], id=UNKNOWN)
    assert caught.value.field == "id"


async def test_an_id_may_be_asked_for_in_any_of_its_forms(db: Database, agent: Agent) -> None:
    for key in (agent.id, agent.id.upper(), uuid.UUID(agent.id)):
        assert await db.agents.get(key) == agent  # pyright: ignore[reportArgumentType]


# Kinds of agents


async def test_a_kind_of_agent_is_created_and_found(db: Database) -> None:
    created = await db.orchestrator_agents.create(
        "planner", agent_type="planner", description="Plans.", capabilities=["plan", {"depth": 2}], default_model="gpt-4o"
    )
    assert await db.orchestrator_agents.get(created.id) == created
    assert await db.orchestrator_agents.find("planner") == created
    assert await db.orchestrator_agents.find("builder") is None
    assert created.capabilities == ["plan", {"depth": 2}]


async def test_a_name_is_given_once(db: Database) -> None:
    await db.orchestrator_agents.create("planner", agent_type="planner")
    with pytest.raises(AlreadyExists) as caught:
        await db.orchestrator_agents.create("planner", agent_type="builder")
    assert (caught.value.kind, caught.value.key) == ("orchestrator_agent", "planner")
    assert "register" in caught.value.hint


async def test_a_name_that_is_taken_cannot_be_taken_over(db: Database) -> None:
    await db.orchestrator_agents.create("planner", agent_type="planner")
    builder = await db.orchestrator_agents.create("builder", agent_type="builder")
    with pytest.raises(AlreadyExists):
        await db.orchestrator_agents.update(builder.id, name="planner")


async def test_registering_makes_a_kind_or_takes_the_one_that_exists_as_it_is(db: Database) -> None:
    first = await db.orchestrator_agents.register("planner", agent_type="planner", description="Mine.")
    second = await db.orchestrator_agents.register("planner", agent_type="builder", description="Yours.")
    assert second == first


async def test_many_may_register_one_kind_at_once(db: Database, target: Path | str) -> None:
    async with Database.open(target) as other:
        registering = [store.orchestrator_agents.register("planner", agent_type="planner") for store in (db, other) * 20]
        found = await asyncio.gather(*registering)
    assert {kind.id for kind in found} == {(await db.orchestrator_agents.list())[0].id}
    assert len(await db.orchestrator_agents.list()) == 1


async def test_a_name_may_look_like_an_id(db: Database) -> None:
    name = str(uuid.uuid4()).upper()
    kind = await db.orchestrator_agents.register(name, agent_type="utility")
    assert await db.orchestrator_agents.find(name) == kind


async def test_updating_a_kind_sets_its_columns_and_its_time(db: Database) -> None:
    kind = await db.orchestrator_agents.create("planner", agent_type="planner")
    await db.orchestrator_agents.update(kind.id, agent_type="utility", capabilities=["a"], default_model=None)
    found = await db.orchestrator_agents.get(kind.id)
    assert (found.agent_type, found.capabilities, found.default_model, found.name) == ("utility", ["a"], None, "planner")
    assert found.updated_at >= kind.updated_at - timedelta(milliseconds=1)
    assert found.created_at == kind.created_at


async def test_kinds_are_listed_by_name(db: Database) -> None:
    for name, agent_type in (("b", "builder"), ("c", "planner"), ("a", "planner")):
        await db.orchestrator_agents.create(name, agent_type=agent_type)
    assert [kind.name for kind in await db.orchestrator_agents.list()] == ["a", "b", "c"]
    assert [kind.name for kind in await db.orchestrator_agents.list(agent_type="planner")] == ["a", "c"]


# Agents


async def test_an_agent_is_created_and_got(db: Database, agent: Agent) -> None:
    child = await db.agents.create(
        agent.orchestrator_agent_id,
        "issue-42",
        parent_agent_id=agent.id,
        status="planning",
        context={"branch": "main"},
        config={"depth": 3},
        started_at=DAY,
        error_message="none yet",
        id=UNKNOWN,
    )
    assert await db.agents.get(UNKNOWN) == child
    assert (child.parent_agent_id, child.context, child.started_at) == (agent.id, {"branch": "main"}, DAY)


async def test_an_id_is_given_once(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    prompt = await new_prompt(agent)
    with pytest.raises(AlreadyExists):
        await db.agents.create(agent.orchestrator_agent_id, "session", id=agent.id)
    with pytest.raises(AlreadyExists):
        await new_prompt(agent, id=prompt.id)


async def test_an_agent_without_its_kind_or_its_parent_is_refused(db: Database, agent: Agent) -> None:
    with pytest.raises(NotFound) as caught:
        await db.agents.create(UNKNOWN, "session")
    assert caught.value.hint
    with pytest.raises(NotFound):
        await db.agents.create(agent.orchestrator_agent_id, "session", parent_agent_id=UNKNOWN)


async def test_an_agent_that_is_stored_as_ended_has_an_end(new_agent: NewAgent) -> None:
    assert (await new_agent(status="failed")).completed_at is not None
    assert (await new_agent(status="executing")).completed_at is None


async def test_each_change_of_state_is_logged(db: Database, agent: Agent) -> None:
    for status in ("planning", "executing", "reviewing", "executing"):
        await db.agents.update(agent.id, status=status)
    await db.agents.fail(agent.id, "It broke.")
    logs = [log for log in reversed(await db.agent_logs.list(agent_id=agent.id)) if log.log_type == "state_change"]
    assert [log.message for log in logs] == [
        "initializing → planning",
        "planning → executing",
        "executing → reviewing",
        "reviewing → executing",
        "executing → failed",
    ]
    assert (logs[-1].log_level, logs[-1].details) == ("ERROR", {"error": "It broke."})


@pytest.mark.parametrize(
    ("verb", "arguments", "status"), [("finish", (), "completed"), ("fail", ("Why.",), "failed"), ("cancel", (), "cancelled")]
)
async def test_an_agent_ends_once(db: Database, agent: Agent, verb: str, arguments: tuple[str, ...], status: str) -> None:
    await getattr(db.agents, verb)(agent.id, *arguments)
    found = await db.agents.get(agent.id)
    assert (found.status, found.error_message) == (status, next(iter(arguments), None))
    assert found.completed_at is not None
    for other in {"planning", "completed", "failed", "cancelled"} - {status}:
        with pytest.raises(InvalidTransition) as caught:
            await db.agents.update(agent.id, status=other)
        assert (caught.value.current, caught.value.wanted, caught.value.key) == (status, other, agent.id)
        assert "resume" in caught.value.hint
    assert await db.agents.get(agent.id) == found


async def test_ending_twice_in_the_same_way_is_one_end(db: Database, agent: Agent) -> None:
    await db.agents.finish(agent.id)
    found = await db.agents.get(agent.id)
    await db.agents.finish(agent.id)
    assert await db.agents.get(agent.id) == found
    assert len(await db.agent_logs.list(agent_id=agent.id)) == 1


async def test_the_cost_of_an_agent_is_not_set(db: Database, agent: Agent) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await db.agents.update(agent.id, cost_usd=Decimal(1))
    assert caught.value.field == "cost_usd"


async def test_deleting_an_agent_takes_what_it_owns(
    db: Database, agent: Agent, new_agent: NewAgent, new_prompt: NewPrompt
) -> None:
    child = await new_agent(parent_agent_id=agent.id)
    await new_prompt(agent)
    await db.agent_logs.create(agent.id, "milestone", "begun")
    await db.agents.delete(agent.id)
    assert await db.prompts.list() == []
    assert await db.agent_logs.list() == []
    assert (await db.agents.get(child.id)).parent_agent_id is None


# Prompts


async def test_a_prompt_is_created_and_got(db: Database, agent: Agent) -> None:
    created = await db.prompts.create(
        agent.id,
        "command",
        "Do it.",
        prompt_name="/do",
        status="completed",
        model_used="my-model",
        created_at=DAY,
        response_text="Done.",
        tokens_input=100,
        tokens_output=20,
        tokens_cache_read=30,
        tokens_cache_write=40,
        tokens_cache_write_1h=10,
        cost_usd=Decimal("0.12345678"),
        latency_ms=1200,
        completed_at=DAY + timedelta(seconds=2),
        details={"stop_reason": "end_turn"},
    )
    assert await db.prompts.get(created.id) == created
    assert (created.cost_usd, created.cost_source, created.details) == (
        Decimal("0.12345678"),
        "reported",
        {"stop_reason": "end_turn"},
    )


async def test_an_answer_ends_a_prompt(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    prompt = await new_prompt(agent, details={"kept": True})
    await db.prompts.answer(prompt.id, "Done.", tokens_input=10, tokens_output=2, cost_usd=Decimal("0.5"), latency_ms=7)
    found = await db.prompts.get(prompt.id)
    assert (found.status, found.response_text, found.tokens_input, found.cost_usd) == ("completed", "Done.", 10, Decimal("0.5"))
    assert (found.latency_ms, found.details, found.cost_source) == (7, {"kept": True}, "reported")
    assert found.completed_at is not None


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_a_prompt_ends_once(db: Database, agent: Agent, new_prompt: NewPrompt, status: str) -> None:
    prompt = await new_prompt(agent)
    await db.prompts.answer(prompt.id, "first", status=status)
    for ending in (
        db.prompts.answer(prompt.id, "second"),
        db.prompts.update(prompt.id, status="pending"),
        db.prompts.update(prompt.id, status="failed"),
    ):
        with pytest.raises(InvalidTransition) as caught:
            await ending
        assert caught.value.current == status
    assert (await db.prompts.get(prompt.id)).response_text == "first"


async def test_a_prompt_may_stream_before_it_ends(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    prompt = await new_prompt(agent)
    await db.prompts.update(prompt.id, status="streaming", response_text="Do")
    assert (await db.prompts.get(prompt.id)).completed_at is None
    await db.prompts.answer(prompt.id, "Done.")
    assert (await db.prompts.get(prompt.id)).response_text == "Done."


async def test_a_prompt_of_no_agent_is_refused(db: Database) -> None:
    with pytest.raises(NotFound):
        await db.prompts.create(UNKNOWN, "adw", "text")


async def test_prompts_are_created_in_bulk(db: Database, agent: Agent) -> None:
    rows = (
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": f"text {number}", "status": "completed", "cost_usd": 0.01}
        for number in range(1300)
    )
    assert await db.prompts.create_many(rows) == 1300
    assert (await db.agents.get(agent.id)).cost_usd == Decimal("13")
    assert len({prompt.prompt_text for prompt in await db.prompts.list(limit=2000)}) == 1300


# Logs


async def test_each_log_learns_its_own_number(db: Database, agent: Agent) -> None:
    numbers = await asyncio.gather(*(db.agent_logs.create(agent.id, "milestone", f"{place}") for place in range(700)))
    assert {number: (await db.agent_logs.get(number)).message for number in numbers} == {
        number: f"{place}" for place, number in enumerate(numbers)
    }


async def test_logs_of_both_kinds_that_wait_together_learn_their_own_numbers(db: Database, agent: Agent) -> None:
    writing: list[Awaitable[int]] = []
    for place in range(50):
        writing += (db.agent_logs.create(agent.id, "milestone", f"a{place}"), db.system_logs.create("api", f"s{place}"))
    numbers = await asyncio.gather(*writing)
    assert [(await db.agent_logs.get(number)).message for number in numbers[::2]] == [f"a{place}" for place in range(50)]
    assert [(await db.system_logs.get(number)).message for number in numbers[1::2]] == [f"s{place}" for place in range(50)]


async def test_a_log_keeps_what_it_was_given(db: Database, agent: Agent) -> None:
    number = await db.agent_logs.create(
        agent.id, "performance", "slow", log_level="WARNING", details={"ms": 12.5}, created_at=DAY
    )
    found = await db.agent_logs.get(number)
    assert (found.log_type, found.log_level, found.details, found.created_at) == ("performance", "WARNING", {"ms": 12.5}, DAY)


@pytest.mark.parametrize("number", [0, 1, 2, 511, 512, 513, 2000])
async def test_logs_are_created_in_bulk(db: Database, agent: Agent, number: int) -> None:
    rows = [{"agent_id": agent.id, "log_type": "milestone", "message": str(place)} for place in range(number)]
    assert await db.agent_logs.create_many(rows) == number
    assert [log.message for log in await db.agent_logs.list(limit=5000)] == [str(place) for place in reversed(range(number))]


async def test_a_bad_row_ends_a_bulk_with_its_error(db: Database) -> None:
    rows = [{"component": "api", "message": str(place)} for place in range(600)] + [{"component": "api"}]
    with pytest.raises(InvalidRecord) as caught:
        await db.system_logs.create_many(rows)
    assert caught.value.field == "message"
    assert len(await db.system_logs.list(limit=1000)) == 512


@pytest.mark.parametrize("table", ["agent_logs", "system_logs"])
async def test_old_logs_are_deleted_in_pieces(db: Database, agent: Agent, table: str) -> None:
    owner = {"agent_id": agent.id, "log_type": "milestone"} if table == "agent_logs" else {"component": "api"}
    times = [DAY + timedelta(seconds=place) for place in range(1200)]
    await getattr(db, table).create_many([{**owner, "message": "x", "created_at": at} for at in times])
    assert await getattr(db, table).delete_older(times[1100]) == 1100
    assert min(log.created_at for log in await getattr(db, table).list(limit=2000)) == times[1100]
    assert await getattr(db, table).delete_older(times[1100]) == 0


# Lists: any filter finds what it should, by an index


class Sample:
    """Rows with every combination of values that matters to a list, many of them made in the same moment."""

    def __init__(self, kinds: list[OrchestratorAgent], agents: list[Agent]) -> None:
        self.kinds = kinds
        self.agents = agents


@pytest.fixture
async def sample(db: Database) -> Sample:
    kinds = [await db.orchestrator_agents.create(name, agent_type="builder") for name in ("one", "two")]
    agents = list[Agent]()
    async with db.transaction() as tables:
        for place in range(48):
            agents.append(
                await tables.agents.create(
                    kinds[place % 2].id,
                    f"session-{place % 3}",
                    parent_agent_id=agents[0].id if place % 4 == 1 else None,
                    status=("completed", "executing", "failed")[place // 3 % 3],
                    started_at=DAY + timedelta(hours=place // 12),
                )
            )
    places = range(240)
    hours = [DAY + timedelta(hours=place // 60) for place in places]
    owners = [agents[place % 7].id for place in places]
    await db.prompts.create_many(
        {
            "agent_id": owners[place],
            "prompt_type": ("adw", "correction", "tool_call")[place % 3],
            "prompt_text": str(place),
            "status": ("completed", "failed")[place // 3 % 2],
            "model_used": ("small", "large", None)[place % 5 % 3],
            "created_at": hours[place],
        }
        for place in places
    )
    await db.agent_logs.create_many(
        {
            "agent_id": owners[place],
            "log_type": ("milestone", "error")[place % 2],
            "log_level": ("INFO", "ERROR", "DEBUG")[place // 2 % 3],
            "message": str(place),
            "created_at": hours[place],
        }
        for place in places
    )
    await db.system_logs.create_many(
        {
            "component": ("api", "database")[place % 2],
            "log_level": ("INFO", "ERROR", "DEBUG")[place // 2 % 3],
            "message": str(place),
            "created_at": hours[place],
        }
        for place in places
    )
    return Sample(kinds, agents)


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


# Sessions and usage


async def test_a_session_is_the_sum_of_its_agents_and_prompts(db: Database, new_prompt: NewPrompt) -> None:
    first = await make_agent(db, session_id="issue-42", status="completed", started_at=DAY)
    second = await make_agent(db, session_id="issue-42", status="executing", started_at=DAY + timedelta(hours=1))
    await new_prompt(first, status="completed", cost_usd=1, tokens_input=10, tokens_output=1, tokens_cache_read=4)
    await new_prompt(first, status="failed")
    await new_prompt(second, status="completed", model_used="nobody's", tokens_input=5, tokens_output=2)
    await new_prompt(second)
    session = await db.sessions.get("issue-42")
    assert await db.sessions.find("issue-42") == session
    assert (session.agent_count, session.running_count, session.failed_count, session.status) == (2, 1, 0, "running")
    assert (session.prompt_count, session.prompt_failed_count) == (3, 1)
    assert (session.priced_count, session.unpriced_count, session.cost_usd) == (1, 1, Decimal(1))
    assert (session.tokens_input, session.tokens_output, session.tokens_cache_read) == (15, 3, 4)
    assert session.started_at == DAY


async def test_a_session_without_a_known_cost_has_none(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    await new_prompt(agent, status="completed", model_used="nobody's", tokens_input=5, tokens_output=2)
    assert (await db.sessions.get("session")).cost_usd is None
    assert [usage.cost_usd for usage in await db.usage.by("model")] == [None]


@pytest.mark.parametrize(
    ("root", "child", "expected"),
    [
        ("completed", "failed", "completed"),
        ("failed", "completed", "failed"),
        ("cancelled", "completed", "cancelled"),
        ("completed", "executing", "running"),
        ("failed", "planning", "running"),
    ],
)
async def test_a_session_ends_as_its_root_does(db: Database, root: Any, child: Any, expected: str) -> None:
    parent = await make_agent(db, status=root)
    await make_agent(db, status=child, parent_agent_id=parent.id)
    assert (await db.sessions.get("session")).status == expected


async def test_a_session_goes_with_its_last_agent(db: Database, agent: Agent, new_agent: NewAgent) -> None:
    other = await new_agent()
    await db.agents.delete(agent.id)
    assert (await db.sessions.get("session")).agent_count == 1
    await db.agents.delete(other.id)
    assert await db.sessions.find("session") is None


async def test_deleting_a_session_deletes_its_agents(db: Database, agent: Agent) -> None:
    elsewhere = await make_agent(db, session_id="other", parent_agent_id=agent.id)
    await make_agent(db, parent_agent_id=elsewhere.id)
    await db.sessions.delete("session")
    assert [found.id for found in await db.agents.list()] == [elsewhere.id]
    assert [session.session_id for session in await db.sessions.list()] == ["other"]


@pytest.mark.parametrize(
    "name", ["issue-42", "x", "A1B2C3D4-0000-4000-8000-00000000DEAD", "Ünïcode → 😀", " ", "a'b\"c;--", "0"]
)
async def test_a_session_may_have_any_name(db: Database, name: str) -> None:
    agent = await make_agent(db, session_id=name)
    assert (await db.sessions.get(name)).session_id == name
    assert [node.id for node in await db.sessions.tree(name)] == [agent.id]
    assert [found.id for found in await db.agents.list(session_id=name)] == [agent.id]
    await db.sessions.delete(name)
    assert await db.sessions.find(name) is None


async def test_sessions_are_found_by_how_they_begin(db: Database) -> None:
    names = ["issue-1", "issue-10", "issue-😀", "issue", "other", "issue-\N{REPLACEMENT CHARACTER}x"]
    for place, name in enumerate(names):
        await make_agent(db, session_id=name, started_at=DAY + timedelta(hours=place))
    assert await db.sessions.matching("issue-", limit=9) == [names[5], names[2], names[1], names[0]]
    assert await db.sessions.matching("issue-1") == ["issue-10", "issue-1"]
    assert await db.sessions.matching("no") == []


async def test_of_many_sessions_that_begin_so_the_newest_are_found(db: Database) -> None:
    times = {f"issue-{place}": DAY + timedelta(minutes=place * 7 % 600) for place in range(600)}
    kind = await db.orchestrator_agents.register("builder", agent_type="builder")
    await asyncio.gather(*(db.agents.create(kind.id, name, started_at=at) for name, at in times.items()))
    newest = sorted(times, key=lambda name: times[name], reverse=True)
    assert await db.sessions.matching("issue-", limit=9) == newest[:9]
    assert await db.sessions.matching("issue-1", limit=9) == [name for name in newest if name.startswith("issue-1")][:9]


async def test_the_tree_of_a_session_has_children_behind_their_parents(db: Database) -> None:
    root = await make_agent(db, "planner", started_at=DAY)
    late = await make_agent(db, "late", parent_agent_id=root.id, started_at=DAY + timedelta(hours=3))
    early = await make_agent(db, "early", parent_agent_id=root.id, started_at=DAY + timedelta(hours=1))
    deep = await make_agent(db, "deep", parent_agent_id=early.id, started_at=DAY + timedelta(hours=2))
    second = await make_agent(db, "second root", started_at=DAY + timedelta(minutes=1))
    await make_prompt(db, deep, status="completed", tokens_input=3, tokens_output=4)
    tree = await db.sessions.tree("session")
    assert [(node.id, node.depth) for node in tree] == [(root.id, 0), (early.id, 1), (deep.id, 2), (late.id, 1), (second.id, 0)]
    assert [node.name for node in tree] == ["planner", "early", "deep", "late", "second root"]
    assert (tree[2].prompt_count, tree[2].tokens_input, tree[2].tokens_output) == (1, 3, 4)
    assert (tree[0].prompt_count, tree[0].tokens_input) == (0, None)


async def test_an_agent_whose_parent_is_elsewhere_stands_as_a_root(db: Database) -> None:
    elsewhere = await make_agent(db, session_id="other")
    orphan = await make_agent(db, parent_agent_id=elsewhere.id)
    child = await make_agent(db, parent_agent_id=orphan.id)
    assert [(node.id, node.depth) for node in await db.sessions.tree("session")] == [(orphan.id, 0), (child.id, 1)]


async def test_a_circle_of_agents_is_shown_once(db: Database, path: Path) -> None:
    agents = [await make_agent(db, started_at=DAY + timedelta(hours=place)) for place in range(3)]
    own_parent = await make_agent(db, started_at=DAY + timedelta(hours=4))
    with connected(path) as connection:
        for agent, parent in [*zip(agents, agents[1:] + agents[:1], strict=True), (own_parent, own_parent)]:
            connection.execute("UPDATE agents SET parent_agent_id = ? WHERE id = ?", (parent.id, agent.id))
    tree = await db.sessions.tree("session")
    assert [node.depth for node in tree] == [0, 1, 2, 0]
    assert {node.id for node in tree} == {agent.id for agent in [*agents, own_parent]}


async def test_a_deep_tree_is_no_trouble(db: Database) -> None:
    parent = None
    async with db.transaction() as tables:
        kind = await tables.orchestrator_agents.create("builder", agent_type="builder")
        for place in range(3000):
            agent = await tables.agents.create(
                kind.id, "deep", parent_agent_id=parent, started_at=DAY + timedelta(seconds=place)
            )
            parent = agent.id
    assert [node.depth for node in await db.sessions.tree("deep")] == list(range(3000))


async def test_there_is_no_tree_of_no_session(db: Database) -> None:
    with pytest.raises(NotFound):
        await db.sessions.tree("none")


@pytest.fixture
async def spent(db: Database) -> None:
    """Costs of two models, on three days, by two types of agents in two sessions."""
    planner = await make_agent(db, "planner", agent_type="planner", session_id="one", started_at=DAY)
    builder = await make_agent(db, "builder", session_id="two", started_at=DAY + timedelta(days=2))
    costs = [(planner, "small", 0, "0.1"), (planner, "large", 1, "2"), (builder, "small", 2, "0.2"), (builder, None, 2, None)]
    for agent, model, day, cost in costs:
        at = DAY + timedelta(days=day, hours=23, minutes=59)
        await make_prompt(db, agent, status="completed", model_used=model, created_at=at, cost_usd=cost and Decimal(cost))


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ("model", [("large", "2"), ("small", "0.3"), ("", None)]),
        ("day", [("2026-03-03", "0.2"), ("2026-03-02", "2"), ("2026-03-01", "0.1")]),
        ("agent_type", [("planner", "2.1"), ("builder", "0.2")]),
        ("session", [("one", "2.1"), ("two", "0.2")]),
    ],
)
async def test_usage_is_told_by_any_of_four_groups(
    db: Database, spent: None, group: Any, expected: list[tuple[str, str]]
) -> None:
    found = await db.usage.by(group)
    assert [(usage.group, usage.cost_usd) for usage in found] == [(name, cost and Decimal(cost)) for name, cost in expected]
    assert sum(usage.prompt_count for usage in found) == 4
    assert sum(usage.unpriced_count for usage in found) == 1


@pytest.mark.parametrize("group", ["model", "day", "agent_type"])
async def test_usage_is_told_of_whole_days(db: Database, spent: None, group: Any) -> None:
    noon = DAY + timedelta(days=1, hours=12)
    found = await db.usage.by(group, since=noon, until=noon)
    assert [(usage.cost_usd, usage.prompt_count) for usage in found] == [(Decimal(2), 1)]


async def test_usage_of_sessions_counts_by_the_day_they_began(db: Database, spent: None) -> None:
    assert [usage.group for usage in await db.usage.by("session", until=DAY)] == ["one"]
    assert [usage.group for usage in await db.usage.by("session", since=DAY + timedelta(days=1))] == ["two"]


@pytest.mark.parametrize(
    "at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), datetime(999, 1, 1, tzinfo=UTC)]
)
async def test_usage_takes_any_time(db: Database, spent: None, at: datetime) -> None:
    whole = await db.usage.by("day")
    assert await db.usage.by("day", since=at) == ([] if at.year == 9999 else whole)
    assert await db.usage.by("day", until=at) == (whole if at.year == 9999 else [])


async def test_usage_by_anything_else_is_refused(db: Database) -> None:
    with pytest.raises(InvalidRecord, match="model, day, agent_type, session"):
        await db.usage.by("planet")  # pyright: ignore[reportArgumentType]


# The feed of changes


async def changes_of(db: Database, position: str = "0.0.0") -> list[tuple[str, str, str]]:
    return [(change.entity, change.operation, change.row_id) for change in await db.changes.after(position)]


async def test_every_change_of_a_row_is_in_the_feed(db: Database) -> None:
    kind = await db.orchestrator_agents.create("planner", agent_type="planner")
    agent = await db.agents.create(kind.id, "session")
    prompt = await make_prompt(db, agent)
    await db.orchestrator_agents.update(kind.id, description="Plans.")
    await db.agents.update(agent.id, context={})
    await db.prompts.update(prompt.id, prompt_name="x")
    await db.prompts.delete(prompt.id)
    await db.agents.delete(agent.id)
    await db.orchestrator_agents.delete(kind.id)
    rows = [("orchestrator_agent", kind.id), ("agent", agent.id), ("prompt", prompt.id)]
    assert await changes_of(db) == [
        *((entity, "insert", key) for entity, key in rows),
        *((entity, "update", key) for entity, key in rows),
        *((entity, "delete", key) for entity, key in reversed(rows)),
    ]


async def test_every_change_of_a_log_is_in_the_feed(db: Database, agent: Agent, path: Path) -> None:
    before = await db.changes.last()
    number = await db.agent_logs.create(agent.id, "milestone", "first")
    other = await db.system_logs.create("api", "first")
    assert await changes_of(db, before) == [("agent_log", "insert", str(number)), ("system_log", "insert", str(other))]
    before = await db.changes.last()
    with connected(path) as connection:
        connection.execute("UPDATE agent_logs SET message = 'second'")
        connection.execute("UPDATE system_logs SET message = 'second'")
    await db.agent_logs.delete(number)
    await db.system_logs.delete(other)
    assert await changes_of(db, before) == [
        ("agent_log", "update", str(number)),
        ("system_log", "update", str(other)),
        ("agent_log", "delete", str(number)),
        ("system_log", "delete", str(other)),
    ]


async def test_what_follows_from_a_change_is_no_change_of_its_own(db: Database, agent: Agent, new_prompt: NewPrompt) -> None:
    before = await db.changes.last()
    prompt = await new_prompt(agent, status="completed", cost_usd=1)
    assert await changes_of(db, before) == [("prompt", "insert", prompt.id)]


async def test_rows_that_go_with_another_are_in_the_feed(
    db: Database, agent: Agent, new_agent: NewAgent, new_prompt: NewPrompt
) -> None:
    child = await new_agent(parent_agent_id=agent.id)
    prompt = await new_prompt(agent)
    number = await db.agent_logs.create(agent.id, "milestone", "x")
    before = await db.changes.last()
    await db.agents.delete(agent.id)
    assert set(await changes_of(db, before)) == {
        ("prompt", "delete", prompt.id),
        ("agent_log", "delete", str(number)),
        ("agent", "update", child.id),
        ("agent", "delete", agent.id),
    }


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_a_listener_that_comes_back_goes_on_where_it_was(db: Database, sample: Sample, size: int) -> None:
    everything = await db.changes.after(limit=10_000)
    position, found = "0.0.0", list[Change]()
    for _ in range(len(everything) if size > 3 else 40):
        page = await db.changes.after(position, limit=size)
        found += page
        position = page[-1].position if page else position
    assert found == everything[: len(found)]
    assert len(found) == (len(everything) if size > 3 else 40 * size)


async def test_there_is_nothing_behind_the_last_change(db: Database, sample: Sample) -> None:
    assert await db.changes.after(await db.changes.last()) == []


async def test_a_change_that_is_no_longer_kept_is_told(db: Database, sample: Sample, path: Path) -> None:
    position = (await db.changes.after(limit=5))[-1].position
    with connected(path) as connection:
        connection.execute("DELETE FROM changes WHERE id <= 7")
    for stale in ("0.0.0", position):
        with pytest.raises(NotFound) as caught:
            await db.changes.after(stale)
        assert "anew" in caught.value.hint
    assert (await db.changes.after("7.0.0", limit=1))[0].position == "8.0.0"


@pytest.mark.parametrize("position", ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0", "1.0.0 ", "１.0.0", "9" * 30 + ".0.0"])
async def test_a_position_that_is_none_is_refused(db: Database, position: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await db.changes.after(position)
    assert caught.value.field == "position"


async def listened(db: Database, number: int, position: str) -> list[Change]:
    found = list[Change]()
    async for change in db.changes.follow(position):
        found.append(change)
        if len(found) == number:
            break
    return found


async def test_a_listener_hears_what_any_process_commits(db: Database, agent: Agent, path: Path) -> None:
    position = await db.changes.last()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks, Database.open(path) as other:
        listening = tasks.create_task(listened(db, 3, position))
        await other.agent_logs.create(agent.id, "milestone", "one")
        await other.agents.update(agent.id, context={})
        with connected(path) as connection:
            insert(connection, "system_logs")
    assert {(change.entity, change.operation) for change in listening.result()} == {
        ("agent_log", "insert"),
        ("agent", "update"),
        ("system_log", "insert"),
    }


async def test_a_listener_without_a_position_hears_what_comes(db: Database, agent: Agent) -> None:
    stream = db.changes.follow()
    async with asyncio.timeout(10):
        hearing = asyncio.ensure_future(anext(stream))
        while not hearing.done():
            await db.system_logs.create("api", "now")
            await asyncio.sleep(0)
    assert (hearing.result().entity, hearing.result().operation) == ("system_log", "insert")


# Search


async def found_by(db: Database, words: str, **options: Any) -> list[tuple[str, str]]:
    return [(hit.entity, hit.id) for hit in await db.search.find(words, **options)]


async def test_prompts_answers_and_logs_are_found(db: Database, agent: Agent) -> None:
    prompt = await make_prompt(db, agent, "A zebra crosses.")
    answered = await make_prompt(db, agent, "Which animal?", response_text="The zebra.")
    number = await db.agent_logs.create(agent.id, "milestone", "saw it", details={"animal": "zebra"})
    other = await db.system_logs.create("api", "zebra seen")
    hits = await db.search.find("zebra")
    assert [(hit.entity, hit.id, hit.agent_id, hit.session_id) for hit in hits] == [
        ("system_log", str(other), None, None),
        ("agent_log", str(number), agent.id, "session"),
        ("prompt", answered.id, agent.id, "session"),
        ("prompt", prompt.id, agent.id, "session"),
    ]
    assert [hit.excerpt for hit in hits[2:]] == ["The ⟦zebra⟧.", "A ⟦zebra⟧ crosses."]
    assert all(hit.created_at.tzinfo is UTC for hit in hits)


TEXTS = {
    "first": "The quick brown fox jumps over the lazy dog",
    "second": "The quick red fox sleeps",
    "third": "A brown bear eats naïve salmon",
    "fourth": "error in user_id=42: e-mail to bob@example.com failed",
}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fox", "first second"),
        ("FOX", "first second"),
        ("brown fox", "first"),
        ("fox brown", "first"),
        ('"quick red"', "second"),
        ('"red quick"', ""),
        ('"quick red', "second"),
        ("qui*", "first second"),
        ("qui", ""),
        ("fox -red", "first"),
        ('fox -"quick red"', "first"),
        ("fox OR bear", "first second third"),
        ("red fox OR bear", "second third"),
        ("OR fox OR", "first second"),
        ("fox OR OR bear", "first second third"),
        ("naive", "third"),
        ("NAÏVE", "third"),
        ("salm* -dog", "third"),
        ("bob@example.com", "fourth"),
        ("user_id=42", "fourth"),
        ("e-mail", "fourth"),
        ("fox AND dog", ""),
        ("NOT", ""),
        ("NEAR(fox dog)", ""),
        ("prompt_text:fox", ""),
        ("fox)", "first second"),
        ("(fox", "first second"),
        ('fo"x', ""),
        ("fox*bear", ""),
        ("^the", "first second"),
        ("fox +dog", "first"),
        ("fox {dog}", "first"),
    ],
)
async def test_the_language_of_the_search(db: Database, agent: Agent, words: str, expected: str) -> None:
    prompts = {(await make_prompt(db, agent, text)).id: name for name, text in TEXTS.items()}
    assert {prompts[key] for _, key in await found_by(db, words)} == set(expected.split())


@pytest.mark.parametrize("words", ["", " ", "-fox", "*", '""', "OR", "?!", "- -", '"', "\0", "\ud800"])
async def test_a_search_for_no_word_is_refused(db: Database, words: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await db.search.find(words)
    assert caught.value.field == "words"


async def test_the_newest_come_first_and_no_more_than_asked_for(db: Database, agent: Agent) -> None:
    for place in range(30):
        await db.system_logs.create("api", f"word {place}", created_at=DAY + timedelta(hours=place))
        await make_prompt(db, agent, f"word {place}", created_at=DAY + timedelta(hours=place, minutes=30))
    hits = await db.search.find("word", limit=7)
    assert [hit.created_at for hit in hits] == [DAY + timedelta(hours=29, minutes=30 - 30 * place) for place in range(7)]


async def test_a_beginning_is_found_whether_few_words_begin_so_or_many(db: Database, agent: Agent) -> None:
    await db.prompts.create_many(
        {
            "agent_id": agent.id,
            "prompt_type": "adw",
            "prompt_text": f"many{place} few{place % 3}",
            "created_at": DAY + timedelta(seconds=place),
        }
        for place in range(250)
    )

    async def found(words: str) -> list[int]:
        hits = await db.search.find(words, limit=1000)
        return [int((hit.created_at - DAY).total_seconds()) for hit in hits]

    newest_first = [*reversed(range(250))]
    assert await found("many*") == await found("FEW*") == await found("man* OR few1") == newest_first
    assert await found("many24*") == [*reversed(range(240, 250)), 24]
    assert await found("fe* -few1* -many2*") == [place for place in newest_first if place % 3 != 1 and str(place)[0] != "2"]
    assert await found("many* fewer*") == []


async def test_the_index_catches_up_in_steps(db: Database, agent: Agent) -> None:
    await db.prompts.create_many(
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": f"word{place}"} for place in range(1200)
    )
    progress = [(step.done, step.total) async for step in db.search.catch_up()]
    assert progress == [(500, 1200), (1000, 1200), (1200, 1200)]
    assert [step async for step in db.search.catch_up()] == []
    assert len(await found_by(db, "word1199")) == 1


async def test_two_may_catch_up_at_once(db: Database, agent: Agent, path: Path) -> None:
    await db.prompts.create_many(
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": f"word{place}"} for place in range(1200)
    )
    async with Database.open(path) as other:
        results = await asyncio.gather(*(found_by(store, "word*", limit=2000) for store in (db, other) * 3))
    assert [len(result) for result in results] == [1200] * 6
    assert_whole_index(path)


async def test_a_row_that_changes_is_found_as_it_is_now(db: Database, agent: Agent, path: Path) -> None:
    prompt = await make_prompt(db, agent, "zebra")
    number = await db.agent_logs.create(agent.id, "milestone", "zebra")
    other = await db.system_logs.create("api", "zebra")
    assert len(await found_by(db, "zebra")) == 3
    await db.prompts.answer(prompt.id, "lion")
    assert await found_by(db, "lion") == [("prompt", prompt.id)]
    with connected(path) as connection:
        connection.execute("UPDATE prompts SET prompt_text = 'lion'")
        connection.execute("UPDATE agent_logs SET message = 'lion'")
        connection.execute('UPDATE system_logs SET details = \'{"is": "lion"}\'')
    assert set(await found_by(db, "lion")) == {("prompt", prompt.id), ("agent_log", str(number)), ("system_log", str(other))}
    assert await found_by(db, "zebra") == [("system_log", str(other))]
    assert_whole_index(path)


async def test_rows_that_have_gone_are_not_found_and_new_ones_are(db: Database, agent: Agent, path: Path) -> None:
    """SQLite gives the numbers of the last rows again once they have gone."""
    for _ in range(10):
        await make_prompt(db, agent, "zebra")
    assert len(await found_by(db, "zebra")) == 10
    await db.agents.delete(agent.id)
    assert await found_by(db, "zebra") == []
    again = await make_agent(db)
    prompts = [await make_prompt(db, again, "zebra") for _ in range(3)]
    assert {key for _, key in await found_by(db, "zebra")} == {prompt.id for prompt in prompts}
    assert_whole_index(path)


@pytest.mark.parametrize("gone", [slice(0, 5), slice(5, 10), slice(2, 8), slice(0, 9), slice(0, 10, 2), slice(0, 10)])
async def test_rows_are_found_after_a_vacuum(db: Database, agent: Agent, path: Path, gone: slice) -> None:
    """VACUUM may number the rows anew."""
    prompts = [await make_prompt(db, agent, "zebra") for _ in range(10)]
    assert len(await found_by(db, "zebra")) == 10
    for prompt in prompts[gone]:
        await db.prompts.delete(prompt.id)
    late = [await make_prompt(db, agent, "zebra") for _ in range(4)]
    with connected(path) as connection:
        connection.execute("VACUUM")
    late += [await make_prompt(db, agent, "zebra") for _ in range(2)]
    left = [prompt for prompt in prompts if prompt not in prompts[gone]]
    assert {key for _, key in await found_by(db, "zebra")} == {prompt.id for prompt in left + late}
    assert_whole_index(path)


def assert_whole_index(path: Path) -> None:
    with connected(path) as connection:
        for table in ("prompt_search", "agent_log_search", "system_log_search"):
            connection.execute(f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)")


# Transactions and queries of one's own


async def test_a_transaction_is_committed_as_a_whole(db: Database, agent: Agent) -> None:
    async with db.transaction() as tables:
        await tables.agents.update(agent.id, status="executing")
        prompt = await tables.prompts.create(agent.id, "adw", "text")
        await tables.agent_logs.create(agent.id, "milestone", "x")
        assert await db.prompts.list() == []
    assert [found.id for found in await db.prompts.list()] == [prompt.id]
    assert (await db.agents.get(agent.id)).status == "executing"
    assert len(await db.agent_logs.list()) == 2


async def test_an_exception_leaves_nothing_of_a_transaction(db: Database, agent: Agent) -> None:
    async def fail() -> None:
        async with db.transaction() as tables:
            await tables.prompts.create(agent.id, "adw", "text")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await db.prompts.list() == []


async def test_a_fault_leaves_nothing_of_a_transaction(db: Database, agent: Agent) -> None:
    async def write() -> None:
        async with db.transaction() as tables:
            await tables.system_logs.create("api", "x")
            await tables.prompts.create(UNKNOWN, "adw", "text")

    with pytest.raises(NotFound):
        await write()
    assert await db.system_logs.list() == []


async def test_a_kind_may_be_registered_in_a_transaction(db: Database) -> None:
    async with db.transaction() as tables:
        kind = await tables.orchestrator_agents.register("planner", agent_type="planner")
        agent = await tables.agents.create(kind.id, "session")
    assert (await db.agents.get(agent.id)).orchestrator_agent_id == kind.id


async def test_a_query_may_hold_colons_and_values(db: Database, agent: Agent) -> None:
    await make_agent(db, session_id="team:alpha")
    rows = await db.query(
        "SELECT session_id, 'a:b' AS text FROM agents WHERE session_id = :name -- or :other", name="team:alpha"
    )
    assert rows == [{"session_id": "team:alpha", "text": "a:b"}]


@pytest.mark.parametrize("sql", ["SELEKT 1", "SELECT nothing FROM agents", "SELECT :missing", "SELECT 1; SELECT 2"])
async def test_a_query_that_is_wrong_is_refused(db: Database, sql: str) -> None:
    with pytest.raises(InvalidRecord):
        await db.query(sql)


async def test_a_query_whose_caller_goes_away_ends_wherever_it_is(path: Path) -> None:
    async with Database.open(path) as db:
        for steps in range(12):
            task = asyncio.create_task(db.query(ENDLESS))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
        every_connection = [db.query("SELECT 1 AS one") for _ in range(12)]
        assert await asyncio.gather(*every_connection) == [[{"one": 1}]] * 12


@pytest.mark.parametrize("sql", ["DELETE FROM agents", "DROP TABLE agents", "CREATE TABLE mine (x)", "PRAGMA user_version = 3"])
async def test_a_query_only_reads(db: Database, agent: Agent, path: Path, sql: str) -> None:
    before = definitions(path)
    with pytest.raises(DatabaseReadOnly) as caught:
        await db.query(sql)
    assert "owner" not in caught.value.hint  # nothing is wrong with the file
    assert definitions(path) == before
    assert await db.agents.list() == [agent]


async def test_a_query_cannot_make_its_connection_write(db: Database, agent: Agent, path: Path) -> None:
    for _ in range(8):
        await db.query("PRAGMA query_only = 0")
    with pytest.raises(DatabaseReadOnly):
        await db.query("DELETE FROM agents")
    assert await db.agents.list() == [agent]
