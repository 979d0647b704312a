"""tac-orch show"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import click
import orjson

from tac_orchestrator.cli import logs as log_tables
from tac_orchestrator.cli import lookup
from tac_orchestrator.cli import prompts as prompt_tables
from tac_orchestrator.cli.formats import color_of, counted, exact, money, number, plain
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.options import command, limit_option
from tac_orchestrator.cli.output import Column, Line, Screen, print_json, short_ids
from tac_orchestrator.cli.store import ask
from tac_orchestrator.cli.times import full, seconds_between, span
from tac_orchestrator.database import Database
from tac_orchestrator.models import Agent, AgentLog, AgentNode, OrchestratorAgent, Prompt, Session

_TREE = (
    Column("AGENT", least=18),
    Column("TYPE", spare=2),
    Column("STATUS", "state"),
    Column("TOOK", "span"),
    Column("PROMPTS", "count", spare=1),
    Column("INPUT", "tokens"),
    Column("OUTPUT", "tokens"),
    Column("COST", "money"),
    Column("ID", "id"),
    Column("ERROR", only="pipe"),
)

_DEEPEST = 4
"""Levels of a tree whose lines are drawn; of an agent that stands deeper, the last ones are."""

_NOTE = 500
"""Signs of an error that stand below an agent."""

_TEXTS = (("traceback", "Traceback"), ("output", "Output"))
"""Long texts that the details of a log may have."""


@command(
    "show",
    examples=[
        "tac-orch show issue-42",
        "tac-orch show 019aa2f4-7b1c",
        "tac-orch show 1042                                   # a log that `logs` or `search` has listed",
        "tac-orch show issue-42 --json | jq '.agents[].name'",
    ],
)
@click.argument("id", metavar="SESSION|AGENT|PROMPT|LOG")
@limit_option(20)
def show(target: str | None, as_json: bool, id: str, limit: int) -> None:
    """One session as a tree of agents, one agent, one prompt, or one log of an agent.

    The beginning of an id is enough if nothing else begins so; a log has a number. --limit is for the prompts and logs of an
    agent.
    """

    thing = ask(target, lambda database: _find(database, id, limit))
    if as_json:
        print_json(thing.as_json())
    else:
        thing.show(Screen())


async def _find(database: Database, key: str, limit: int) -> _Session | _Agent | _Prompt | _Log:
    found = await lookup.find(database, key)
    if found.kind == "session":
        return _Session(await database.sessions.get(found.id), await database.sessions.tree(found.id))
    if found.kind == "agent":
        return await _read_agent(database, found.id, limit)
    if found.kind == "agent_log":
        log = await database.agent_logs.get(found.id)
        return _Log(log, *await lookup.Names(database).of(log.agent_id))
    prompt = await database.prompts.get(found.id)
    return _Prompt(prompt, *await lookup.Names(database).of(prompt.agent_id))


async def _read_agent(database: Database, key: str, limit: int) -> _Agent:
    agent = await database.agents.get(key)
    kind = await database.orchestrator_agents.get(agent.orchestrator_agent_id)
    parent = await lookup.Names(database).of(agent.parent_agent_id) if agent.parent_agent_id else None
    prompts = await database.prompts.list(agent_id=key, limit=limit)
    logs = await database.agent_logs.list(agent_id=key, limit=limit)
    return _Agent(agent, kind, parent[0] if parent else "", prompts[::-1], logs[::-1], limit)


@dataclass(frozen=True, slots=True)
class _Session:
    session: Session
    agents: Sequence[AgentNode]

    def as_json(self) -> dict[str, Any]:
        return {"kind": "session", **dict(self.session), "agents": self.agents}

    def show(self, screen: Screen) -> None:
        screen.fields(_session_fields(self.session, screen))
        if self.agents:
            screen.line()
            screen.table(_TREE, _tree_lines(self.agents, screen))


@dataclass(frozen=True, slots=True)
class _Agent:
    agent: Agent
    kind: OrchestratorAgent
    parent_name: str
    prompts: Sequence[Prompt]
    logs: Sequence[AgentLog]
    limit: int

    def as_json(self) -> dict[str, Any]:
        named = {"name": self.kind.name, "agent_type": self.kind.agent_type}
        return {"kind": "agent", **dict(self.agent), **named, "prompts": self.prompts, "logs": self.logs}

    def show(self, screen: Screen) -> None:
        screen.fields(self._fields(screen))
        name = self.kind.name
        if self.prompts:
            screen.heading(self._titled("Prompts", self.prompts))
            screen.table(prompt_tables.COLUMNS, prompt_tables.lines_of(self.prompts, [name] * len(self.prompts)))
        if self.logs:
            screen.heading(self._titled("Logs", self.logs))
            screen.table(log_tables.COLUMNS, [log_tables.agent_line(log, name) for log in self.logs])
        for key, title in _TEXTS:
            texts = [log.details[key] for log in self.logs if isinstance(log.details, dict) and key in log.details]
            if texts and isinstance(texts[-1], str):
                screen.block(title, texts[-1])

    def _titled(self, title: str, rows: Sequence[object]) -> str:
        """Whoever counts them has to know that there may be more."""
        return f"{title} (the last {number(self.limit)}; --limit shows more)" if len(rows) == self.limit else title

    def _fields(self, screen: Screen) -> Iterator[tuple[str, str | None]]:
        agent = self.agent
        yield "Agent", f"{visible(self.kind.name)} ({visible(self.kind.agent_type)}), {agent.id}"
        yield "Session", visible(agent.session_id)
        yield "Parent", agent.parent_agent_id and f"{visible(self.parent_name)}, {agent.parent_agent_id}"
        yield "Status", screen.state(agent.status)
        yield "Error", agent.error_message and visible(agent.error_message)
        yield "Started", _duration(agent.started_at, agent.completed_at or screen.now, screen.now)
        yield "Cost", money(agent.cost_usd) if agent.cost_usd is not None else None
        yield "Context", _compact_json(agent.context)
        yield "Config", _compact_json(agent.config)


@dataclass(frozen=True, slots=True)
class _Prompt:
    prompt: Prompt
    agent_name: str
    session_id: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": "prompt", **dict(self.prompt), "agent_name": self.agent_name, "session_id": self.session_id}

    def show(self, screen: Screen) -> None:
        screen.fields(self._fields(screen))
        screen.block("Request", self.prompt.prompt_text)
        if self.prompt.response_text is not None:
            screen.block("Answer", self.prompt.response_text)

    def _fields(self, screen: Screen) -> Iterator[tuple[str, str | None]]:
        prompt = self.prompt
        yield "Prompt", prompt.id
        yield "Agent", f"{visible(self.agent_name)}, {prompt.agent_id}"
        yield "Session", visible(self.session_id)
        yield "Type", visible(f"{prompt.prompt_type}, {prompt.prompt_name}" if prompt.prompt_name else prompt.prompt_type)
        yield "Model", prompt.model_used and visible(prompt.model_used)
        yield "Status", screen.state(prompt.status)
        yield "Error", prompt.error_message and visible(prompt.error_message)
        yield "Asked", _moment(prompt.created_at, screen.now)
        yield "Took", span(prompt.latency_ms / 1000) if isinstance(prompt.latency_ms, int) else None
        yield "Tokens", _tokens(prompt)
        yield "Cost", _cost(prompt)
        yield "Details", _compact_json(prompt.details)


@dataclass(frozen=True, slots=True)
class _Log:
    log: AgentLog
    agent_name: str
    session_id: str

    def as_json(self) -> dict[str, Any]:
        return {"kind": "agent_log", **dict(self.log), "agent_name": self.agent_name, "session_id": self.session_id}

    def show(self, screen: Screen) -> None:
        details = self.log.details if isinstance(self.log.details, dict) else {}
        texts = {key: text for key, text in details.items() if isinstance(text, str) and "\n" in text}
        screen.fields(self._fields(screen, {key: value for key, value in details.items() if key not in texts}))
        screen.block("Message", self.log.message)
        for key, text in texts.items():
            screen.block(visible(key).capitalize(), text)

    def _fields(self, screen: Screen, details: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
        log = self.log
        yield "Log", str(log.id)
        yield "Agent", f"{visible(self.agent_name)}, {log.agent_id}"
        yield "Session", visible(self.session_id)
        yield "Type", visible(log.log_type)
        yield "Level", screen.styled(plain(log.log_level), fg=color_of(log.log_level, "level"))
        yield "At", _moment(log.created_at, screen.now)
        yield "Details", _compact_json(details) if details else None


def _session_fields(session: Session, screen: Screen) -> Iterator[tuple[str, str | None]]:
    end = screen.now if session.status == "running" else session.last_activity_at
    yield "Session", visible(session.session_id)
    yield "Status", screen.state(session.status)
    yield "Started", _duration(session.started_at, end, screen.now)
    yield "Agents", _with_failed(counted(session.agent_count, "agent"), session.failed_count)
    yield "Prompts", _with_failed(counted(session.prompt_count, "prompt"), session.prompt_failed_count)
    cached = f" ({number(session.tokens_cache_read)} from cache)" if session.tokens_cache_read else ""
    yield "Tokens", f"{number(session.tokens_input)} in{cached}, {number(session.tokens_output)} out"
    missing = f", without {counted(session.unpriced_count, 'prompt')} of unknown price" if session.unpriced_count else ""
    yield "Cost", f"{'unknown' if session.cost_usd is None else money(session.cost_usd)}{missing}"
    yield "Pruned", session.pruned_at and f"its rows were removed {_moment(session.pruned_at, screen.now)}"


def _tree_lines(agents: Sequence[AgentNode], screen: Screen) -> Iterator[Line]:
    guides = tree_guides([agent.depth for agent in agents], drawn=screen.is_terminal)
    ids = short_ids([agent.id for agent in agents]) if screen.is_terminal else [agent.id for agent in agents]
    for agent, guide, id in zip(agents, guides, ids, strict=True):
        values = (
            guide + agent.name,
            agent.agent_type,
            agent.status,
            seconds_between(agent.started_at, agent.completed_at or screen.now),
            agent.prompt_count,
            agent.tokens_input,
            agent.tokens_output,
            agent.cost_usd,
            id,
            agent.error_message,
        )
        error = agent.error_message
        yield Line(values, note=f"{' ' * len(guide)}  error: {visible(str(error)[:_NOTE])}" if error else None)


def tree_guides(depths: Sequence[int], *, drawn: bool) -> list[str]:
    """What stands before each row of a tree: parents come before their children."""
    if not drawn:
        return ["  " * depth for depth in depths]
    found, continued = list[str](), set[int]()
    for depth in reversed(depths):
        lines = "".join("│  " if level in continued else "   " for level in range(1, depth))
        branch = ("├─ " if depth in continued else "└─ ") if depth else ""
        found.append((lines + branch)[-3 * _DEEPEST :])
        continued = {level for level in continued if level < depth} | {depth}
    return found[::-1]


def _moment(time: Any, now: datetime) -> str:
    return full(time, now) if isinstance(time, datetime) else plain(time)


def _duration(start: Any, end: Any, now: datetime) -> str:
    seconds = seconds_between(start, end)
    return _moment(start, now) if seconds is None else f"{_moment(start, now)}, took {span(seconds)}"


def _with_failed(text: str, failed: int) -> str:
    return f"{text}, {number(failed)} failed" if failed else text


def _tokens(prompt: Prompt) -> str | None:
    if prompt.tokens_input is None and prompt.tokens_output is None:
        return None
    cached = [
        f"{number(count)} {what}"
        for count, what in (
            (prompt.tokens_cache_read, "from cache"),
            (prompt.tokens_cache_write, "written to cache"),
            (prompt.tokens_cache_write_1h, "of them for an hour"),
        )
        if count
    ]
    split = f" ({', '.join(cached)})" if cached else ""
    return f"{number(prompt.tokens_input)} in{split}, {number(prompt.tokens_output)} out"


def _cost(prompt: Prompt) -> str | None:
    if prompt.cost_source is None and prompt.cost_usd is None:
        return None
    known = f"${exact(prompt.cost_usd)}" if isinstance(prompt.cost_usd, Decimal) else plain(prompt.cost_usd)
    source = [visible(str(part)) for part in (prompt.cost_source, prompt.cost_basis) if part]
    return f"{known} ({': '.join(source)})" if source else known


def _compact_json(value: Any) -> str | None:
    return None if value is None else visible(orjson.dumps(value).decode())
