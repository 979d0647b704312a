"""Captured telemetry of real frameworks becomes what truly happened, however it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tac_orchestrator import Agent, AgentLog, Database, Prompt
from tac_orchestrator.ingest.otel import Body, ingest_otlp

from ...postgres.running import Cluster
from ..samples import contents
from .captured import CAPTURED, bodies, one_by_one, reversed_bodies, shuffled, truth

# What the telemetry itself does not carry, so that nobody can know it from there.
WITHOUT_CACHE = ("openai-client-otel-events", "openai-client-otel-latest", "openai-client-otel-v2.3", "smolagents")
WITHOUT_TOKENS = ("openai-agents-traceloop",)
WITHOUT_ONE_REQUEST = ("openai-client-otel-latest", "openai-client-otel-v2.3")  # the responses API is not instrumented there
WITHOUT_ONE_USAGE = ("langchain-error-traceloop",)  # that of the streamed request: 30 tokens in, 5 out
WITHOUT_REFUSED_TOOLS = ("claude-code-partial-messages", "claude-code-slash-command")  # one, whose input was invalid


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Database]:
    """A second store, to compare with."""
    async with Database.open(tmp_path / "other.db") as database:
        yield database


class Story:
    """What a store tells of all that was taken."""

    def __init__(self, agents: list[Agent], prompts: list[Prompt], logs: list[AgentLog], names: dict[str, str]) -> None:
        self.names = {agent.id: names[agent.orchestrator_agent_id] for agent in agents}
        self.agents = [agent for agent in agents if not (agent.context or {}).get("implicit")]
        self.all_agents = agents
        self.prompts = prompts
        self.tools = [log for log in logs if log.log_type == "tool_call"]

    def answered(self) -> list[Prompt]:
        return [prompt for prompt in self.prompts if prompt.status == "completed"]

    def total(self, column: str) -> Any:
        return sum(value for prompt in self.answered() if (value := getattr(prompt, column)) is not None)

    def tree(self) -> dict[str, str | None]:
        return {self.names[one.id]: self.names[one.parent_agent_id] if one.parent_agent_id else None for one in self.agents}


async def story(db: Database) -> Story:
    names = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
    logs = await db.agent_logs.list(limit=10_000)
    return Story(await db.agents.list(limit=1000), await db.prompts.list(limit=10_000), logs, names)


async def send(db: Database, sent: list[Body]) -> None:
    for body in sent:
        assert not (await ingest_otlp(db, [body])).rejected


class Account(NamedTuple):
    """What a store holds after a sample was sent as it was captured."""

    story: Story
    rows: dict[str, list[Any]]


_ACCOUNTS: dict[tuple[bool, str], Account] = {}


@pytest.fixture
async def account(engine: Cluster | None, tmp_path: Path, name: str) -> Account:
    """It is only read, so that a process asks each engine once."""
    key = engine is None, name
    if key not in _ACCOUNTS:
        with nullcontext(tmp_path / "as captured.db") if engine is None else engine.clean_database() as target:
            async with Database.open(target) as database:
                await send(database, bodies(name))
                _ACCOUNTS[key] = Account(await story(database), await everything(database))
    return _ACCOUNTS[key]


@pytest.fixture
def told(account: Account) -> Story:
    return account.story


@pytest.mark.parametrize("name", CAPTURED)
def test_agents_are_those_that_ran_and_each_has_its_true_parent(told: Story, name: str) -> None:
    expected = truth(name)
    assert len(told.agents) == expected["agents"]
    assert told.tree() == {**told.tree(), **expected.get("agent_tree", {})}
    assert sorted(expected.get("agent_names", told.names.values())) == sorted(told.names.values())
    failed = [agent for agent in told.agents if agent.status == "failed"]
    assert len(failed) == expected.get("failed_agents", len(failed))


@pytest.mark.parametrize("name", [name for name in CAPTURED if name.startswith("claude-code")])
def test_agents_of_claude_code_are_those_of_its_transcripts(told: Story, name: str) -> None:
    expected = truth(name)
    keys = {agent.id: (agent.context or {}).get("agent_key") or agent.session_id for agent in told.agents}
    parents = {keys[agent.id]: keys[agent.parent_agent_id] if agent.parent_agent_id else None for agent in told.agents}
    assert parents == {one["agent"]: one["parent"] for one in expected["from_transcripts"]["agents"]}
    kinds = {keys[agent.id]: told.names[agent.id] for agent in told.agents if agent.parent_agent_id}
    assert kinds == {one["agent"]: one["type"] for one in expected["from_transcripts"]["agents"] if one["parent"]}


@pytest.mark.parametrize("name", [name for name in CAPTURED if name != "stdlib-logging"])
def test_each_request_is_there_once(told: Story, name: str) -> None:
    expected = truth(name)
    missing = 1 if name in WITHOUT_ONE_REQUEST else 0
    assert len(told.answered()) == expected["llm_calls"] - missing
    failed = [prompt for prompt in told.prompts if prompt.status == "failed"]
    assert len(failed) == expected.get("llm_calls_failed", 0)
    assert len(told.prompts) == len(told.answered()) + len(failed)


@pytest.mark.parametrize("name", [name for name in CAPTURED if "tool_calls" in truth(name)])
def test_each_use_of_a_tool_is_there_once(told: Story, name: str) -> None:
    expected = truth(name)
    missing = 1 if name in WITHOUT_REFUSED_TOOLS else 0
    assert len(told.tools) == expected["tool_calls"] - missing
    failed = [log for log in told.tools if log.log_level == "ERROR"]
    assert len(failed) == expected.get("failed_tools", len(failed) + missing) - missing


@pytest.mark.parametrize("name", [name for name in CAPTURED if name != "stdlib-logging"])
def test_tokens_are_those_that_the_provider_counted(told: Story, name: str) -> None:
    expected = truth(name)
    provider = expected.get("llm_api_truth", {})
    tokens_input = expected.get("tokens_input", provider.get("input_tokens_incl_cache"))
    tokens_output = expected.get("tokens_output", provider.get("output_tokens"))
    if name in WITHOUT_TOKENS:
        assert {prompt.tokens_input for prompt in told.prompts} == {None}
        return
    if name in WITHOUT_ONE_REQUEST:
        tokens_input, tokens_output = tokens_input - 1471, tokens_output - 47
    if name in WITHOUT_ONE_USAGE:
        tokens_input, tokens_output = tokens_input - 30, tokens_output - 5
    assert (told.total("tokens_input"), told.total("tokens_output")) == (tokens_input, tokens_output)
    if provider and name not in WITHOUT_CACHE:
        assert told.total("tokens_cache_read") == provider["cache_read_tokens"]
        assert told.total("tokens_cache_write") == provider["cache_write_tokens"]


@pytest.mark.parametrize(
    "name", [name for name in CAPTURED if "cost_usd_genai_prices" in truth(name) and name not in WITHOUT_CACHE]
)
def test_a_run_costs_what_it_truly_cost(told: Story, name: str) -> None:
    assert float(told.total("cost_usd")) == pytest.approx(truth(name)["cost_usd_genai_prices"], abs=1e-6)
    assert sum(float(agent.cost_usd or 0) for agent in told.all_agents) == pytest.approx(
        float(told.total("cost_usd")), abs=1e-8
    )


@pytest.mark.parametrize("name", [name for name in CAPTURED if "session_id" in truth(name)])
def test_a_session_has_the_name_that_the_program_gave_it(told: Story, name: str) -> None:
    assert {agent.session_id for agent in told.all_agents if agent.context} == {truth(name)["session_id"].split()[0]}


ARRIVALS: dict[str, Callable[[str], list[Body]]] = {
    "twice": lambda name: bodies(name) * 2,
    "each record alone": one_by_one,
    "reversed": reversed_bodies,
    "shuffled": shuffled(1),
    "each twice, shuffled": shuffled(2, times=2),
}


@pytest.mark.parametrize("arrival", ARRIVALS)
@pytest.mark.parametrize("name", CAPTURED)
async def test_however_records_arrive_the_rows_are_the_same(db: Database, account: Account, name: str, arrival: str) -> None:
    await send(db, ARRIVALS[arrival](name))
    assert await everything(db) == account.rows


@pytest.mark.parametrize(
    "name", ["anthropic-client-openinference-double", "langchain-supervisor-openinference", "claude-code-subagents"]
)
async def test_two_processes_may_take_parts_of_one_trace_at_once(db: Database, other: Database, path: Path, name: str) -> None:
    await send(other, bodies(name))
    singles = shuffled(3)(name)
    async with Database.open(path) as second:
        await asyncio.gather(send(db, singles[::2]), send(second, singles[1::2]))
    assert await everything(db) == await everything(other)


@pytest.mark.parametrize("name", ["pydantic-ai-v5", "claude-code-subagents"])
async def test_many_may_send_at_once(db: Database, other: Database, name: str) -> None:
    await send(other, bodies(name))
    await asyncio.gather(*(ingest_otlp(db, [body]) for body in shuffled(4)(name)))
    assert await everything(db) == await everything(other)


async def everything(db: Database) -> dict[str, list[Any]]:
    system = [dict(row) for row in await db.system_logs.list(limit=10_000)]
    rows = [{name: value for name, value in row.items() if name != "id"} for row in system]
    return {**await contents(db), "system_logs": sorted(rows, key=lambda row: row["source_key"])}
