"""From records to rows. The rows of some traces follow from their records alone, whatever came when; only the long texts, which
are not kept with the records, are added to what a row has already."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tac_orchestrator.ingest.identity import agent_type_of, named
from tac_orchestrator.ingest.otel.agents import Agents, Instance
from tac_orchestrator.ingest.otel.conventions.logs import NO_TRACE
from tac_orchestrator.ingest.otel.facts import Facts
from tac_orchestrator.ingest.otel.forest import Forest, Place, place_of
from tac_orchestrator.ingest.otel.naming import Names, is_name
from tac_orchestrator.ingest.otel.requests import Request, ToolUse, find_requests, find_tools, own_id
from tac_orchestrator.models import AgentType
from tac_orchestrator.tables.sources import Values

Table = Literal["agents", "prompts", "agent_logs", "system_logs"]
Home = tuple[Table, str]
"""A row, by its table and the name that its source gives it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Derived:
    """Rows by their names. `homes` tells which row the texts of a record go to; `shared` are rows of which others may tell."""

    kinds: dict[str, AgentType] = field(default_factory=dict[str, AgentType])
    rows: dict[Home, Values] = field(default_factory=dict[Home, Values])
    homes: dict[Place, Home] = field(default_factory=dict[Place, Home])
    shared: set[Home] = field(default_factory=set[Home])

    def joined(self, other: Derived) -> Derived:
        return Derived(
            {**self.kinds, **other.kinds},
            {**self.rows, **other.rows},
            {**self.homes, **other.homes},
            self.shared | other.shared,
        )


def derive(facts: Iterable[Facts]) -> Derived:
    facts = list(facts)
    names, forest = Names(facts), Forest(one for one in facts if not is_name(one))
    agents = Agents(forest, names)
    requests = find_requests(forest, agents, names)
    uses = find_tools(forest, agents, requests, names)
    found = Derived()
    said = _said_before(forest, agents, requests)
    by_owner = _by_owner(requests)
    prompts = _prompts(by_owner, uses, said)
    logs = dict(_logs(forest, agents, found))
    for instance in agents.all():
        found.kinds[instance.name] = agent_type_of(instance.name)
        found.rows["agents", instance.id] = agent_row(instance, by_owner.get(instance.id, []))
    for request in requests:
        found.rows["prompts", request.id] = prompts[request.id]
        for place in request.places:
            found.homes[place] = ("prompts", request.id)
        if request.id != own_id(request.whole):
            found.shared.add(("prompts", request.id))
        if request.has_failed and not request.is_named:  # whoever named it says so as well
            found.rows[failure_of(request)] = failure_row(request)
    for use in uses:
        found.rows["agent_logs", use.key] = tool_row(use)
        for record in use.records:
            found.homes[place_of(record)] = ("agent_logs", use.key)
    found.rows |= logs
    found.shared |= {home for home, row in found.rows.items() if is_shared(home, row)}
    return found


def is_shared(home: Home, row: Values) -> bool:
    """Whether a row may be there although no record of its trace is: from other sources, or for a log of no trace at all."""
    if home[0] == "agents":
        return row["context"]["source"] != "otel"
    return home[0] != "prompts" and (home[1].startswith(f"otlp:{NO_TRACE}:") or not home[1].startswith("otlp:"))


def _by_owner(requests: list[Request]) -> dict[str, list[Request]]:
    found = defaultdict[str, list[Request]](list)
    for request in requests:
        found[request.owner.id].append(request)
    return found


def agent_row(instance: Instance, requests: list[Request]) -> Values:
    state, error = _ending(instance, requests)
    first = instance.records[0]
    is_claude = instance.agent_key is not None or first.trace_id.startswith("cc:")
    details = instance.spans[0].details if instance.spans else {}
    context = {
        "source": "claude-code" if is_claude else "otel",
        "claude_session": instance.session if is_claude else None,
        "agent_key": instance.agent_key,
        "tool_use_id": instance.tool_use_id,
        "as_of": _time(instance.end_us).isoformat() if is_claude else None,
        "opened_at": _time(instance.start_us).isoformat() if is_claude else None,
        "service": None if is_claude else first.service,
        "scope": None if is_claude else first.scope or None,
        "trace_id": None if is_claude else first.trace_id,
        "implicit": True if instance.is_implicit else None,
        "agent_id": details.get("agent_id"),
        "description": details.get("description"),
        "version": details.get("version"),
    }
    model = details.get("model") or next((call.model for request in requests for call in request.calls if call.model), None)
    if is_claude and instance.agent_key is None:
        model = None  # until it is known whose they are, requests of its sub-agents are taken for its own
    return {
        "id": instance.id,
        "kind": instance.name,
        "session_id": instance.session,
        "parent_agent_id": instance.parent.id if instance.parent else None,
        "status": state,
        "context": _known(context),
        "config": {"model": model} if model else None,
        "started_at": _time(instance.start_us),
        "completed_at": None if state == "executing" else _time(instance.end_us),
        "error_message": error,
    }


def _ending(instance: Instance, requests: list[Request]) -> tuple[str, str | None]:
    """As its last span ended; for an agent that has none, as its last request did."""
    if any(one.is_open for one in instance.spans):
        return "executing", None
    if instance.spans:
        last = max(instance.spans, key=lambda one: (one.end_us, -one.start_us))
        return last.state, last.error
    if requests:
        last = requests[-1].whole[-1]
        return last.state, last.error
    return "completed", None


def _prompts(by_owner: Mapping[str, list[Request]], uses: list[ToolUse], said: Mapping[str, Facts]) -> dict[str, Values]:
    tools = defaultdict[str, list[ToolUse]](list)
    for use in uses:
        if use.records:
            tools[use.owner.id].append(use)
    found = dict[str, Values]()
    for owner_id, requests in by_owner.items():
        for request, is_first, between in following(requests, tools[owner_id]):
            found[request.id] = prompt_row(request, is_first, between, said.get(request.id))
    return found


def following(requests: list[Request], uses: list[ToolUse]) -> Iterator[tuple[Request, bool, list[ToolUse]]]:
    """The requests of one agent, whether each is its first, and the tools that were used between the one before and it."""
    uses = sorted(uses, key=_begun)
    last, place = None, 0
    for request in requests:
        start = place
        while place < len(uses) and _begun(uses[place]) < request.start_us:
            place += 1
        yield request, last is None, uses[start:place] if last is not None else []
        last = request


def _begun(use: ToolUse) -> int:
    return use.records[0].start_us


def prompt_row(request: Request, is_first: bool, between: list[ToolUse], said: Facts | None) -> Values:
    calls, last, tokens = request.calls, request.whole[-1], request.tokens()
    prompt_type, prompt_name = _type_and_name(request, is_first, between, said)
    cost = max(((call.rank, call.cost) for call in calls if call.cost is not None), default=None)
    state = last.state if request.is_told else "streaming"
    details = {
        "provider": _first(call.provider for call in calls),
        "response_id": _first(call.response_id for call in calls),
        "request_id": _first(call.request_id for call in calls),
        "stop_reason": _first(call.finish_reason for call in calls),
        "ttft_ms": _first(call.ttft_ms for call in calls),
        "attempts": _first(call.attempt for call in calls),
        "tokens_reasoning": tokens.reasoning,
        "tools": list(dict.fromkeys(one[1] for call in calls for one in call.requested)) or None,
    }
    texts = _message_texts(request)
    return {
        "id": request.id,
        "agent_id": request.owner.id,
        "prompt_type": prompt_type,
        "prompt_name": prompt_name,
        "prompt_text": texts[0] or (said.details.get("text") if said else None) or "",
        "response_text": texts[1],
        "status": state,
        "model_used": _first(call.model for call in sorted(calls, key=lambda one: -one.rank)),
        "tokens_input": tokens.input,
        "tokens_output": tokens.output,
        "tokens_cache_read": tokens.cache_read,
        "tokens_cache_write": tokens.cache_write,
        "tokens_cache_write_1h": tokens.cache_write_1h,
        "cost_usd": cost[1] if cost else None,
        "cost_source": "reported" if cost else None,
        "cost_basis": None,
        "latency_ms": (request.end_us - request.start_us) // 1000 if request.is_told else None,
        "created_at": _time(request.start_us),
        "completed_at": _time(request.end_us) if request.is_told else None,
        "error_message": last.error,
        "details": _known(details) or None,
    }


def _type_and_name(request: Request, is_first: bool, between: list[ToolUse], said: Facts | None) -> tuple[str, str | None]:
    """What a request goes on from: a command, a failed tool, a tool, something said, or the agent's task."""
    triggers = {call.trigger for call in request.calls}
    command = _first(call.command for call in request.calls) or (said.details.get("command") if said else None)
    if command and not between:
        return "command", f"/{command}"
    if "failed_tool" in triggers or any(one.state != "completed" for use in between for one in use.records):
        return "correction", None
    if "tool" in triggers or between or _answers_tool(request):
        return "tool_call", None
    return ("adw", request.owner.name) if is_first else ("followup", None)


def _answers_tool(request: Request) -> bool:
    told = _fresh(request)
    return bool(told) and told[-1].details.get("role") == "tool"


def _fresh(request: Request) -> list[Facts]:
    """The messages that came as events of their own, from where the model spoke last."""
    told = sorted(
        (one for one in request.messages if one.details.get("role") not in ("choice", "system")),
        key=lambda one: (one.details.get("place", 0), one.start_us, one.details.get("role") == "tool", one.key),
    )
    spoken = [place for place, one in enumerate(told) if one.details.get("role") == "assistant"]
    return told[spoken[-1] + 1 if spoken else 0 :]


def _message_texts(request: Request) -> tuple[str | None, str | None]:
    answers = [one for one in request.messages if one.details.get("role") == "choice"]
    told = [text for one in _fresh(request) if (text := one.details.get("text"))]
    answered = [text for one in answers if (text := one.details.get("text"))]
    return "\n\n".join(told) or None, "\n\n".join(answered) or None


def _said_before(forest: Forest, agents: Agents, requests: list[Request]) -> dict[str, Facts]:
    """What somebody said to an agent, by the request that answers it."""
    found = dict[str, Facts]()
    waiting = [one for one in forest.facts if one.kind == "message" and one.trace_id.startswith("cc:")]
    for one in waiting:
        owner = agents.owner(one)
        answer = next((request for request in requests if request.owner is owner and request.end_us >= one.start_us), None)
        if answer is not None:
            found.setdefault(answer.id, one)
    return found


def failure_of(request: Request) -> Home:
    return "agent_logs", f"otlp:error:{request.id}"


def failure_row(request: Request) -> Values:
    last = request.whole[-1]
    return {
        "agent_id": request.owner.id,
        "log_level": "ERROR",
        "log_type": "error",
        "message": last.error or "The request failed.",
        "details": {"prompt_id": request.id},
        "created_at": _time(last.end_us),
        "source_key": failure_of(request)[1],
    }


def tool_row(use: ToolUse) -> Values:
    records = use.records
    failed = next((one for one in records if one.state != "completed"), None)
    first = min(records, key=lambda one: one.start_us, default=None)
    request = use.request
    began_us = first.start_us if first else request.end_us if request else 0
    details = {
        "tool": use.name,
        "tool_use_id": use.call_id,
        "prompt_id": request.id if request else None,
        "duration_ms": (max(one.end_us for one in records) - began_us) // 1000 if records else None,
        "error": failed.error if failed else None,
        "arguments": use.arguments or None,
    }
    return {
        "agent_id": use.owner.id,
        "log_level": "ERROR" if failed else "INFO",
        "log_type": "tool_call",
        "message": use.name,
        "details": _known(details),
        "created_at": _time(began_us),
        "source_key": named(use.key),
    }


def _logs(forest: Forest, agents: Agents, found: Derived) -> Iterable[tuple[Home, Values]]:
    """Logs and handoffs, of an agent or of the system."""
    for one in forest.facts:
        if one.kind == "handoff":
            yield _handoff(one, agents)
        elif one.kind == "log":
            home, row = log_row(one, None if one.details.get("is_of_system") else agents.owner(one))
            found.homes[place_of(one)] = home
            yield home, row


def _handoff(one: Facts, agents: Agents) -> tuple[Home, Values]:
    target, owner = one.details.get("target"), agents.owner(one) or agents.implicit(one)
    key = named(f"otlp:{one.trace_id}:{one.key}")
    return ("agent_logs", key), {
        "agent_id": owner.id,
        "log_level": "INFO",
        "log_type": "milestone",
        "message": f"Handed over to {target}" if target else "Handed over to another agent",
        "details": {"handoff": target},
        "created_at": _time(one.start_us),
        "source_key": key,
    }


def log_row(one: Facts, owner: Instance | None) -> tuple[Home, Values]:
    told, key = one.details, named(f"otlp:{one.trace_id}:{one.key}")
    row = {
        "log_level": told.get("level", "INFO"),
        "message": told.get("message", one.name),
        "details": told.get("said"),
        "created_at": _time(one.start_us),
        "source_key": key,
    }
    if owner is None:
        return ("system_logs", key), {**row, "component": one.service if told.get("is_of_system") else one.name}
    return ("agent_logs", key), {**row, "agent_id": owner.id, "log_type": told.get("type", "milestone")}


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _first(values: Iterable[Any]) -> Any:
    for value in values:
        if value is not None:
            return value
    return None


def _known(values: Mapping[str, Any]) -> Values:
    return {name: value for name, value in values.items() if value is not None}
