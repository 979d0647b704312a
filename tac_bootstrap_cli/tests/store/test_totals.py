"""Totals are kept by triggers: whatever happens to the rows, they equal what is reckoned anew from the rows."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import permutations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tac_orchestrator import Agent, Database, Prompt
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.figures import holdings
from tac_orchestrator.ops.retention import prune
from tac_orchestrator.schema import whole_schema
from tac_orchestrator.testing import make_agent, make_prompt

from ..postgres.running import Cluster
from .support import connected


def ids(table: int, count: int) -> tuple[str, ...]:
    return tuple(f"{table:08}-0000-4000-8000-{number:012}" for number in range(count))


KINDS = ids(1, 2)
SESSIONS = ("session-0", "session-1", "session-2")
AGENTS = ids(2, 5)
PROMPTS = ids(3, 8)
MODELS = ("small", "large", None)
DAYS = ("2026-03-01 10:00:00.000000", "2026-03-01 23:59:59.999999", "2026-03-02 00:00:00.000000")
AGENT_STATES = ("initializing", "executing", "completed", "failed", "cancelled")
PROMPT_STATES = ("pending", "streaming", "completed", "failed", "cancelled")

# Up to 100 dollars a prompt, in whole hundred-millionths, as they are kept.
costs = st.none() | st.integers(0, 10**10).map(lambda number: number / 10**8) | st.sampled_from([0.1, 0.2, 0.3, 1e-8, 0.0])
tokens = st.none() | st.integers(0, 10**9)

agent_columns = st.fixed_dictionaries(
    {
        "orchestrator_agent_id": st.sampled_from(KINDS),
        "session_id": st.sampled_from(SESSIONS),
        "status": st.sampled_from(AGENT_STATES),
        "parent_agent_id": st.none() | st.sampled_from(AGENTS),
        "started_at": st.sampled_from(DAYS),
    }
)
prompt_columns = st.fixed_dictionaries(
    {
        "agent_id": st.sampled_from(AGENTS),
        "status": st.sampled_from(PROMPT_STATES),
        "model_used": st.sampled_from(MODELS),
        "tokens_input": tokens,
        "tokens_output": tokens,
        "tokens_cache_read": tokens,
        "tokens_cache_write": tokens,
        "cost_usd": costs,
        "created_at": st.sampled_from(DAYS),
    }
)


def some_of(columns: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(columns, st.sets(st.integers(0, 8), min_size=1)).map(
        lambda drawn: {name: drawn[0][name] for place, name in enumerate(drawn[0]) if place in drawn[1]} or drawn[0]
    )


actions = st.one_of(
    st.tuples(st.just("add"), st.just("agents"), st.sampled_from(AGENTS), agent_columns),
    st.tuples(st.just("add"), st.just("prompts"), st.sampled_from(PROMPTS), prompt_columns),
    st.tuples(st.just("add"), st.just("prompts"), st.sampled_from(PROMPTS), prompt_columns),
    st.tuples(st.just("change"), st.just("agents"), st.sampled_from(AGENTS), some_of(agent_columns)),
    st.tuples(st.just("change"), st.just("prompts"), st.sampled_from(PROMPTS), some_of(prompt_columns)),
    st.tuples(st.just("change"), st.just("prompts"), st.sampled_from(PROMPTS), some_of(prompt_columns)),
    st.tuples(st.just("remove"), st.just("agents"), st.sampled_from(AGENTS), st.just({})),
    st.tuples(st.just("remove"), st.just("prompts"), st.sampled_from(PROMPTS), st.just({})),
    st.tuples(st.just("remove"), st.just("orchestrator_agents"), st.sampled_from(KINDS), st.just({})),
)


@contextmanager
def empty_store(engine: Cluster | None) -> Generator[Any]:
    with new_file() if engine is None else engine.new_database() as target, connected(target) as connection:
        for kind in KINDS:
            add_kind(connection, kind)
        yield connection


@contextmanager
def new_file() -> Generator[Path]:
    with TemporaryDirectory() as folder, connected(Path(folder, "orchestrator.db")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(f"BEGIN; {whole_schema()} COMMIT;")
        yield Path(folder, "orchestrator.db")


def add_kind(connection: Any, kind: str) -> None:
    connection.execute(
        "INSERT INTO orchestrator_agents (id, name, agent_type) VALUES (?, ?, 'builder') ON CONFLICT (id) DO NOTHING",
        (kind, kind),
    )


def do(connection: Any, verb: str, table: str, key: str, columns: dict[str, Any]) -> None:
    """As any writer may, also one that has never heard of this package. What a constraint refuses has not happened."""
    for kind in KINDS:
        add_kind(connection, kind)
    try:
        if verb == "add":
            if table == "prompts":
                columns = {**columns, "prompt_type": "adw", "prompt_text": ""}
            places = ", ".join("?" * (len(columns) + 1))
            connection.execute(f"INSERT INTO {table} (id, {', '.join(columns)}) VALUES ({places})", [key, *columns.values()])
        elif verb == "change":
            changes = ", ".join(f"{name} = ?" for name in columns)
            connection.execute(f"UPDATE {table} SET {changes} WHERE id = ?", [*columns.values(), key])
        else:
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (key,))
    except (sqlite.IntegrityError, asyncpg.IntegrityConstraintViolationError):
        pass


Totals = dict[Any, Counter[str]]


def reckoned(connection: Any) -> tuple[dict[str, Decimal | None], Totals, Totals, dict[str, str]]:
    """Costs of agents, totals of sessions and of days, and the states of sessions, from the rows alone."""
    agents = {row["id"]: row for row in connection.execute("SELECT * FROM agents")}
    costs: dict[str, Decimal | None] = dict.fromkeys(agents)
    sessions, days, states = defaultdict[Any, Counter[str]](Counter), defaultdict[Any, Counter[str]](Counter), defaultdict(list)
    for agent in agents.values():
        running = agent["status"] not in {"completed", "failed", "cancelled"}
        states[agent["session_id"]].append("running" if running else agent["status"] if not agent["parent_agent_id"] else "")
        sessions[agent["session_id"]].update(agent_count=1, running_count=running, failed_count=agent["status"] == "failed")
    for prompt in connection.execute("SELECT * FROM prompts"):
        agent, cost = agents[prompt["agent_id"]], prompt["cost_usd"]
        if cost is not None:
            costs[agent["id"]] = (costs[agent["id"]] or Decimal()) + Decimal(repr(cost))
        if cost is None and prompt["status"] not in {"completed", "failed", "cancelled"}:
            continue
        counts = Counter(
            prompt_count=1,
            prompt_failed_count=prompt["status"] == "failed",
            priced_count=cost is not None,
            unpriced_count=cost is None and prompt["status"] == "completed",
            cost_usd=Decimal(repr(cost or 0)),
            **{name: prompt[name] or 0 for name in TOKENS},
        )
        sessions[agent["session_id"]].update(counts)
        days[prompt["created_at"][:10], agent["orchestrator_agent_id"], prompt["model_used"] or ""].update(counts)
    order = ("running", "failed", "cancelled")
    return (
        costs,
        sessions,
        days,
        {key: next((state for state in order if state in found), "completed") for key, found in states.items()},
    )


TOKENS = ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write")
COUNTS = ("prompt_count", "prompt_failed_count", "priced_count", "unpriced_count", "cost_usd", *TOKENS)


def counts_in(row: Any, names: tuple[str, ...]) -> Counter[str]:
    return Counter({name: Decimal(repr(row[name])) if name == "cost_usd" else row[name] for name in names})


def assert_totals_are_right(connection: Any) -> None:
    costs, sessions, days, states = reckoned(connection)
    kept_costs = {row["id"]: row["cost_usd"] for row in connection.execute("SELECT * FROM agents")}
    assert {key: cost if cost is None else Decimal(repr(cost)) for key, cost in kept_costs.items()} == costs
    rows = connection.execute("SELECT * FROM sessions").fetchall()
    names = (*COUNTS, "agent_count", "running_count", "failed_count")
    assert {row["session_id"]: counts_in(row, names) for row in rows} == sessions
    assert {row["session_id"]: row["status"] for row in rows} == states
    starts = connection.execute("SELECT session_id, MIN(started_at) FROM agents GROUP BY session_id")
    assert {row["session_id"]: row["started_at"] for row in rows} == {key: start for key, start in starts}
    kept_days = {
        (row["day"], row["orchestrator_agent_id"], row["model"]): counts_in(row, COUNTS)
        for row in connection.execute("SELECT * FROM daily_usage")
    }
    assert {key: counts for key, counts in kept_days.items() if counts.total()} == {k: c for k, c in days.items() if c.total()}


def check_histories(engine: Cluster | None, *, examples: int, length: int, always: bool = False) -> None:
    """Whatever is done in whatever order. In PostgreSQL all histories begin in one database, which is emptied for each."""

    @settings(max_examples=examples, deadline=None)
    @given(st.lists(actions, max_size=length))
    def check(history: list[tuple[str, str, str, dict[str, Any]]]) -> None:
        with emptied() as connection:
            for action in history:
                do(connection, *action)
                if always:
                    assert_totals_are_right(connection)
            assert_totals_are_right(connection)

    if engine is None:
        emptied: Any = partial(empty_store, engine)
        check()
        return
    with empty_store(engine) as only:
        emptied = partial(without_rows, only)
        check()


@contextmanager
def without_rows(connection: Any) -> Generator[Any]:
    connection.execute("TRUNCATE orchestrator_agents, session_starts, session_totals, daily_totals CASCADE")
    yield connection


def test_totals_equal_what_is_reckoned_anew(engine: Cluster | None) -> None:
    check_histories(engine, examples=80 if engine is None else 20, length=40)


@pytest.mark.long
def test_totals_equal_what_is_reckoned_anew_at_length(engine: Cluster | None) -> None:
    check_histories(engine, examples=3000 if engine is None else 400, length=120, always=True)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE agents SET session_id = 'session-2'",
        "UPDATE agents SET session_id = 'session-1' WHERE session_id = 'session-0'",
        f"UPDATE agents SET orchestrator_agent_id = '{KINDS[1]}'",
        "UPDATE agents SET status = 'failed'",
        f"UPDATE agents SET parent_agent_id = '{AGENTS[0]}' WHERE id <> '{AGENTS[0]}'",
        f"UPDATE prompts SET agent_id = '{AGENTS[1]}'",
        "UPDATE prompts SET cost_usd = NULL",
        "UPDATE prompts SET cost_usd = 0.7, model_used = 'large', created_at = '2026-04-01 00:00:00'",
        "UPDATE prompts SET status = 'pending', cost_usd = NULL",
        "DELETE FROM prompts",
        "DELETE FROM agents",
        f"DELETE FROM agents WHERE id = '{AGENTS[0]}'",
        "DELETE FROM agents WHERE session_id = 'session-0'",
        f"DELETE FROM orchestrator_agents WHERE id = '{KINDS[0]}'",
        "DELETE FROM orchestrator_agents",
        "INSERT INTO prompts (id, agent_id, prompt_type, prompt_text, status, cost_usd) "
        "SELECT {other}, agent_id, prompt_type, prompt_text, status, cost_usd FROM prompts",
    ],
)
def test_totals_are_right_after_one_statement_on_many_rows(engine: Cluster | None, statement: str) -> None:
    chance = random.Random(7)
    with empty_store(engine) as connection:
        for number, key in enumerate(AGENTS):
            columns = {"orchestrator_agent_id": KINDS[number % 2], "session_id": SESSIONS[number % 2], "status": "executing"}
            do(connection, "add", "agents", key, {**columns, "parent_agent_id": AGENTS[0] if number > 2 else None})
        for number in range(60):
            columns = {"agent_id": AGENTS[number % 5], "status": PROMPT_STATES[number % 5], "model_used": MODELS[number % 3]}
            cost = None if number % 4 == 0 else round(chance.random(), 8)
            do(
                connection,
                "add",
                "prompts",
                ids(3, 60)[number],
                {**columns, "cost_usd": cost, "tokens_input": number, "created_at": DAYS[0]},
            )
        assert_totals_are_right(connection)
        connection.execute(statement.replace("{other}", "id || '+'" if engine is None else "gen_random_uuid()"))
        assert_totals_are_right(connection)
        if engine is None:
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("starts", [*permutations(DAYS), (DAYS[1],), (DAYS[2], DAYS[1], DAYS[2], DAYS[1])])
def test_a_session_began_with_its_first_agent(engine: Cluster | None, starts: tuple[str, ...]) -> None:
    with empty_store(engine) as connection:
        for number, start in enumerate(starts):
            columns = {"orchestrator_agent_id": KINDS[0], "session_id": "session-0", "started_at": start}
            do(connection, "add", "agents", ids(2, 6)[number], columns)
        row = connection.execute("SELECT started_at, last_activity_at FROM sessions").fetchone()
        assert (row["started_at"], row["last_activity_at"]) == (min(starts), max(starts))


def test_a_session_of_one_agent_begins_when_the_agent_is_said_to_have_begun(engine: Cluster | None) -> None:
    with empty_store(engine) as connection:
        columns = {"orchestrator_agent_id": KINDS[0], "session_id": "session-0", "started_at": DAYS[0]}
        do(connection, "add", "agents", AGENTS[0], columns)
        do(connection, "change", "agents", AGENTS[0], {"started_at": DAYS[2]})
        assert connection.execute("SELECT started_at FROM sessions").fetchone()[0] == DAYS[2]


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.long)])
async def test_many_small_costs_add_up_to_the_last_decimal(db: Database, agent: Agent, count: int) -> None:
    chance = random.Random(42)
    costs = [Decimal(chance.randrange(1, 10**5)).scaleb(-8) for _ in range(count)]
    rows: list[dict[str, Any]] = [
        {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": "", "status": "completed", "cost_usd": cost}
        for cost in costs
    ]
    await db.prompts.create_many(rows)
    assert (await db.agents.get(agent.id)).cost_usd == sum(costs)
    assert (await db.sessions.get("session")).cost_usd == sum(costs)
    assert [usage.cost_usd for usage in await db.usage.by("day")] == [sum(costs)]


async def test_a_cost_that_comes_and_goes_leaves_nothing(db: Database, agent: Agent, new_prompt: Callable[..., Any]) -> None:
    kept: Prompt = await new_prompt(agent, status="completed", cost_usd=Decimal("0.1"))
    for cost in ("0.2", "0.7", "1e-8", "123.45678901"):
        prompt = await new_prompt(agent, status="completed", cost_usd=Decimal(cost))
        await db.prompts.delete(prompt.id)
    assert (await db.agents.get(agent.id)).cost_usd == Decimal("0.1")
    await db.prompts.delete(kept.id)
    assert (await db.agents.get(agent.id)).cost_usd is None
    assert (await db.sessions.get("session")).cost_usd is None


async def test_a_cost_of_nothing_is_known_to_be_nothing(db: Database, agent: Agent, new_prompt: Callable[..., Any]) -> None:
    await new_prompt(agent, status="completed", cost_usd=0)
    assert (await db.agents.get(agent.id)).cost_usd == 0
    assert (await db.sessions.get("session")).cost_usd == 0


# How much there is


async def test_the_store_says_how_much_it_holds_whatever_comes_and_goes(
    db: Database, target: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However far its logs have been counted before."""
    monkeypatch.setattr("tac_orchestrator.tables.logs._COUNTED_A_STEP", 10)
    monkeypatch.setattr("tac_orchestrator.tables.logs._LEFT_UNCOUNTED", 5)
    agents = [await make_agent(db, name, session_id=name) for name in ("first", "second")]
    for _ in range(3):
        for agent in agents:
            await add_some_of_everything(db, agent)
            await assert_all_is_counted(db, target)
    for log in (await db.agent_logs.list())[::7]:
        await db.agent_logs.delete(log.id)
    for prompt in (await db.prompts.list())[::4]:
        await db.prompts.delete(prompt.id)
    await assert_all_is_counted(db, target)
    await db.system_logs.delete_older((await db.system_logs.list())[20].created_at)
    await db.agents.delete(agents[0].id)
    await assert_all_is_counted(db, target)
    await db.agents.update(agents[1].id, status="completed")
    await prune(db, timedelta(0))
    await assert_all_is_counted(db, target)
    assert (await holdings(db, datetime.now(UTC)))["prompt_count"] == 0


async def add_some_of_everything(db: Database, agent: Agent) -> None:
    for status in PROMPT_STATES:
        for cost in (None, Decimal("0.5")):
            await make_prompt(db, agent, status=status, cost_usd=cost)
    for logs, columns in (
        (db.agent_logs, {"agent_id": agent.id, "log_type": "milestone"}),
        (db.system_logs, {"component": "api"}),
    ):
        await logs.create_many({**columns, "message": f"step {place}"} for place in range(17))


async def assert_all_is_counted(db: Database, target: Path | str) -> None:
    tables = {
        "session": "sessions",
        "agent": "agents",
        "prompt": "prompts",
        "agent_log": "agent_logs",
        "system_log": "system_logs",
    }
    with connected(target) as connection:
        present = {
            f"{kind}_count": connection.execute(f"SELECT COUNT(*) AS number FROM {table}").fetchall()[0]["number"]
            for kind, table in tables.items()
        }
    counted = await holdings(db, datetime.now(UTC))
    assert {name: counted[name] for name in present} == present
