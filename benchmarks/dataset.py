"""A large store, made by the bulk verbs: what a busy team leaves behind in three months.

Everything follows from the numbers of the rows, so that two builds of one scale are the same. Sessions follow one another in
time; each has a root agent and four below it; each agent has its prompts and logs. One agent in the middle has many more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.harness import ProgressLine, settings, texts
from tac_orchestrator import Database, DatabaseUnavailable, OrchestratorAgent, SchemaError

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=90)
AGENTS_A_SESSION = 5
PROMPTS_AN_AGENT = 10
LOGS_AN_AGENT = 100
RUNNING_SESSIONS = 20
PIECE = 512

KINDS = {"planner": "planner", "builder": "builder", "tester": "tester", "fixer": "builder", "reviewer": "reviewer"}

T = TypeVar("T")


def _pool(weights: Mapping[str, int]) -> list[str]:
    """Each value as often as its weight says, in no order."""
    values = [value for value, weight in weights.items() for _ in range(weight)]
    random.Random(11).shuffle(values)
    return values


# The pools are cycled through. Their lengths have no common divisor, so that no value always meets the same other one.
AGENT_STATUSES = _pool({"completed": 96, "failed": 4, "cancelled": 1})
PROMPT_STATUSES = _pool({"completed": 972, "failed": 20, "cancelled": 4, "pending": 1})
PROMPT_TYPES = _pool({"adw": 100, "command": 100, "followup": 300, "correction": 10, "tool_call": 481})
MODELS = _pool({"claude-haiku-4-5": 200, "claude-opus-4-5": 200, "gpt-5": 581, "local-experimental": 2})
LOG_LEVELS = _pool({"DEBUG": 200, "INFO": 706, "WARNING": 70, "ERROR": 30, "CRITICAL": 3})
LOG_TYPES = _pool({"state_change": 50, "milestone": 200, "error": 30, "performance": 100, "tool_call": 593, "cost_update": 4})
SYSTEM_LEVELS = _pool({"INFO": 90, "WARNING": 10, "ERROR": 3})
COMPONENTS = _pool({"orchestrator": 60, "database": 30, "websocket": 8, "api": 9})

PROMPTS = texts(1021, 400)
RESPONSES = texts(1019, 150)
MESSAGES = texts(4093, 60)


def key(kind: int, number: int, at: datetime) -> str:
    """An id that grows with time, as those of the store do."""
    ms = int(at.timestamp() * 1000)
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{kind:03x}-8000-{number:012x}"


@dataclass(frozen=True, slots=True)
class RunOfAgent:
    id: str
    session_id: str
    parent_id: str | None
    number: int
    started_at: datetime
    is_running: bool
    is_hot: bool


class Dataset:
    """How many rows of each kind there are, and which. `scale` 1 is ten million logs, unless agents have fewer."""

    def __init__(self, scale: float, *, logs_an_agent: int = LOGS_AN_AGENT) -> None:
        self.scale = scale
        self.logs_an_agent = logs_an_agent
        self.session_count = max(int(20_000 * scale), 2 * RUNNING_SESSIONS)
        self.agent_count = self.session_count * AGENTS_A_SESSION
        self.hot_prompt_count = int(5000 * scale)
        self.hot_log_count = 1000 * int(logs_an_agent * scale)
        self.prompt_count = self.agent_count * PROMPTS_AN_AGENT + self.hot_prompt_count
        self.log_count = self.agent_count * logs_an_agent + self.hot_log_count
        self.system_log_count = self.session_count * 5

    @cached_property
    def hot(self) -> RunOfAgent:
        """The agent with the many prompts and logs."""
        return self.agent(self.session_count // 2 * AGENTS_A_SESSION)

    def session_id(self, number: int) -> str:
        return f"issue-{number:06}"

    def agent(self, number: int) -> RunOfAgent:
        session, place = divmod(number, AGENTS_A_SESSION)
        began = START + SPAN * (session / self.session_count)
        at = began + timedelta(minutes=place)
        return RunOfAgent(
            key(1, number, at),
            self.session_id(session),
            key(1, number - place, began) if place else None,
            number,
            at,
            session >= self.session_count - RUNNING_SESSIONS,
            number == self.session_count // 2 * AGENTS_A_SESSION,
        )

    def agents(self) -> Iterator[RunOfAgent]:
        return map(self.agent, range(self.agent_count))

    def prompts(self) -> Iterator[dict[str, Any]]:
        number = 0
        for agent in self.agents():
            count = PROMPTS_AN_AGENT + (self.hot_prompt_count if agent.is_hot else 0)
            for place in range(count):
                yield _prompt(agent, number, agent.started_at + _MINUTE * 10 * (place / count))
                number += 1

    def logs(self) -> Iterator[dict[str, Any]]:
        number = 0
        for agent in self.agents():
            count = self.logs_an_agent + (self.hot_log_count if agent.is_hot else 0)
            for place in range(count):
                yield _log(agent, number, agent.started_at + _MINUTE * 10 * (place / count))
                number += 1

    def system_logs(self) -> Iterator[dict[str, Any]]:
        for number in range(self.system_log_count):
            yield {
                "component": COMPONENTS[number % len(COMPONENTS)],
                "log_level": SYSTEM_LEVELS[number % len(SYSTEM_LEVELS)],
                "message": MESSAGES[number % len(MESSAGES)],
                "created_at": START + SPAN * (number / self.system_log_count),
            }


_MINUTE = timedelta(minutes=1)


def _prompt(agent: RunOfAgent, number: int, at: datetime) -> dict[str, Any]:
    status = PROMPT_STATUSES[number % len(PROMPT_STATUSES)]
    row: dict[str, Any] = {
        "id": key(2, number, at),
        "agent_id": agent.id,
        "prompt_type": PROMPT_TYPES[number % len(PROMPT_TYPES)],
        "prompt_name": "build",
        "prompt_text": f"{PROMPTS[number % len(PROMPTS)]} {number}",
        "status": status,
        "model_used": MODELS[number % len(MODELS)],
        "created_at": at,
    }
    if status == "completed":
        row |= {"response_text": RESPONSES[number % len(RESPONSES)], "tokens_input": 900 + number % 97, "tokens_output": 240}
    if status != "pending":
        row |= {"completed_at": at + _MINUTE / 10, "latency_ms": 6000}
    return row


def _log(agent: RunOfAgent, number: int, at: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {
        "agent_id": agent.id,
        "log_level": LOG_LEVELS[number % len(LOG_LEVELS)],
        "log_type": LOG_TYPES[number % len(LOG_TYPES)],
        "message": f"{MESSAGES[number % len(MESSAGES)]} {number % 65_536}",
        "created_at": at,
    }
    if number % 10 == 0:
        row["details"] = {"tool": "pytest", "attempt": number % 3, "duration_ms": number % 10_007}
    return row


async def is_current(path: Path) -> bool:
    """Whether there is a store with the schema as it is now; one of another schema tells nothing of this version."""
    try:
        async with Database(settings(path), create=False):
            return True
    except (DatabaseUnavailable, SchemaError):
        return False


async def build(path: Path, dataset: Dataset) -> None:
    """Makes the store in a file. An interrupted build leaves nothing under this name."""
    unfinished = path.with_name(f"{path.name}.building")
    for file in unfinished.parent.glob(f"{unfinished.name}*"):
        file.unlink()
    await fill(unfinished, dataset)
    unfinished.rename(path)


async def fill(target: Path | str, dataset: Dataset) -> None:
    """All rows of a new store, in memory that does not depend on its size."""
    async with Database(settings(target)) as database:
        await _create_agents(database, dataset)
        prompts = _shown(dataset.prompts(), "Building: prompts", dataset.prompt_count)
        await database.prompts.create_many(prompts)
        await database.agent_logs.create_many(_shown(dataset.logs(), "Building: logs", dataset.log_count))
        system_logs = _shown(dataset.system_logs(), "Building: system logs", dataset.system_log_count)
        await database.system_logs.create_many(system_logs)


async def _create_agents(database: Database, dataset: Dataset) -> None:
    """There is no bulk verb for agents that also says which process ran them; many that are awaited together do as well."""
    kinds = [await database.orchestrator_agents.register(name, agent_type=type) for name, type in KINDS.items()]  # pyright: ignore[reportArgumentType]
    agents = _shown(dataset.agents(), "Building: agents", dataset.agent_count)
    while piece := list(islice(agents, PIECE)):
        lease = (await database.leases.acquire()).id
        await asyncio.gather(*(_create(database, agent, kinds, lease) for agent in piece))


def _create(database: Database, agent: RunOfAgent, kinds: list[OrchestratorAgent], lease_id: str) -> Awaitable[Any]:
    status = "executing" if agent.is_running else AGENT_STATUSES[agent.number % len(AGENT_STATUSES)]
    return database.agents.create(
        kinds[agent.number % len(kinds)].id,
        agent.session_id,
        parent_agent_id=agent.parent_id,
        status=status,  # pyright: ignore[reportArgumentType]
        started_at=agent.started_at,
        completed_at=None if agent.is_running else agent.started_at + 10 * _MINUTE,
        error_message="AssertionError: the build does not pass" if status == "failed" else None,
        lease_id=lease_id,
        id=agent.id,
    )


def _shown(rows: Iterator[T], what: str, total: int) -> Iterator[T]:
    progress = ProgressLine(what, total)
    for number, row in enumerate(rows):
        if number % 1000 == 0:
            progress.show(number)
        yield row
    progress.show(total)
