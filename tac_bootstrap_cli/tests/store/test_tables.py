"""The verbs of every table: what is written is found again, changes, and goes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, AlreadyExists, Database, InvalidRecord, InvalidTransition, NotFound

from .support import DAY, UNKNOWN, NewAgent, NewPrompt

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
