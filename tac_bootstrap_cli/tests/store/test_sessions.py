"""Sessions as the sums and the trees of their agents, and the usage of all of them by group."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, Database, InvalidRecord, NotFound
from tac_orchestrator.testing import make_agent, make_prompt

from .support import DAY, NewAgent, NewPrompt, connected


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


@pytest.mark.parametrize("group", ["model", "day", "agent_type", "session"])
async def test_usage_of_all_times_has_any_day(db: Database, agent: Agent, new_prompt: NewPrompt, group: Any) -> None:
    await new_prompt(agent, status="completed", cost_usd=1, created_at=datetime(1901, 2, 3, tzinfo=UTC))
    assert [usage.cost_usd for usage in await db.usage.by(group)] == [Decimal(1)]


async def test_usage_by_anything_else_is_refused(db: Database) -> None:
    with pytest.raises(InvalidRecord, match="model, day, agent_type, session"):
        await db.usage.by("planet")  # pyright: ignore[reportArgumentType]
