"""From the transcripts of one Claude Code session to agents, prompts and logs.

A prompt is a request to the model, a tool's use is a log. There are no logs of changes of state or of costs: a transcript is
read when it is over, or half way, and its rows must not tell when that was; the agent's and the prompts' own columns say it
all. An agent that is planning is one whose permission mode is `plan`; none is ever reviewing, for no line says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tac_orchestrator.ingest.claude_code.transcript import Event, Request, ToolCall, Transcript, json_object
from tac_orchestrator.ingest.identity import MAIN_AGENT, agent_type_of, alias, named, row_id, unique_key
from tac_orchestrator.ingest.values import shortened, tool_message
from tac_orchestrator.models import AgentType, dump_json, storable
from tac_orchestrator.tables.sources import Values

APPROXIMATE = "approximate"
"""Marks rows whose times were concluded; those of another source go before them."""

SILENCE = timedelta(hours=1)
"""A turn that has not ended, and of which nothing was heard for so long, will not go on."""

_RESULT_CHARACTERS = 20_000

_EVENT_LEVELS = {"error": "ERROR", "performance": "WARNING"}

_FINAL_REASONS = frozenset(("end_turn", "stop_sequence", "max_tokens", "refusal", "model_context_window_exceeded"))


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of a session: its transcript, and what is known of it from elsewhere (its .meta.json, or a stream)."""

    transcript: Transcript
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def key(self) -> str | None:
        return self.transcript.agent_key

    @property
    def tool_use_id(self) -> str | None:
        return self.meta.get("toolUseId")

    @property
    def agent_id(self) -> str:
        """The call that started a sub-agent is what all sources know of it."""
        if self.key is None:
            return row_id("cc", self.transcript.session_id, "main")
        return row_id("cc", self.transcript.session_id, self.tool_use_id or self.key)

    @property
    def provisional_id(self) -> str:
        """By its own key, as long as nobody has said which call started it."""
        return row_id("cc", self.transcript.session_id, self.key or "main")

    @property
    def began_at(self) -> datetime | None:
        """By the first line that has a time, and by what is concluded about the process."""
        return min(filter(None, (self.transcript.first_at, self.meta.get("began_at"))), default=None)

    @property
    def ended_at(self) -> datetime | None:
        return max(filter(None, (self.transcript.last_at, self.meta.get("ended_at"))), default=None)

    @property
    def tells_something(self) -> bool:
        """Claude Code also keeps files of titles and settings, of which nobody can say when anything happened."""
        return self.began_at is not None or bool(self.transcript.requests or self.transcript.waiting)

    @property
    def times(self) -> str | None:
        """A mark, if they were concluded."""
        return APPROXIMATE if self.meta.get("began_at") or self.transcript.first_at is None else None

    @property
    def kind(self) -> str:
        return MAIN_AGENT if self.key is None else named(self.meta.get("agentType") or "claude-code-subagent")

    @property
    def agent_type(self) -> AgentType:
        return agent_type_of(self.kind)


@dataclass(frozen=True, slots=True)
class SessionRows:
    """What a session amounts to. An agent names its kind as `kind`, for kinds have ids of their own.

    `renamed` are ids that agents have had while it was not known which call started them; `names` are those of rows, by what
    telemetry knows of them.
    """

    session_id: str
    kinds: dict[str, AgentType]
    agents: list[Values]
    prompts: list[Values]
    agent_logs: list[Values]
    renamed: dict[str, str]
    names: dict[str, str]


def session_rows(session_id: str, members: Iterable[Member], at: datetime) -> SessionRows:
    """All rows of a session, parents before children; none, if nothing happened in it.

    `at` is now: it tells a turn that goes on from one that was left.
    """
    found = {member.key: member for member in members if member.tells_something}
    if not found:
        return SessionRows(session_id, {}, [], [], [], {}, {})
    if None not in found:
        found[None] = Member(_stand_in(session_id, found.values()))
    _identify_sidechains(found)
    parents = {key: _parent_of(member, found) for key, member in found.items()}
    ordered = list(_parents_first(found, parents))
    return SessionRows(
        session_id,
        kinds={member.kind: member.agent_type for member in ordered},
        agents=[_agent(member, found[parents[member.key]].agent_id, at) for member in ordered],
        prompts=[prompt for member in ordered for prompt in _prompts(member, at)],
        agent_logs=[log for member in ordered for log in _logs(member, at)],
        renamed={one.provisional_id: one.agent_id for one in ordered if one.agent_id != one.provisional_id},
        names=_names(ordered),
    )


def _names(members: Iterable[Member]) -> dict[str, str]:
    """What a copy of a message among a sub-agent's says of it does not count: the session's own agent comes first."""
    requests, others = dict[str, str](), dict[str, str]()
    for member in members:
        key = member.meta.get("agentKey", member.key)
        if isinstance(key, str) and member.tool_use_id:
            others[alias("agent", key)] = member.agent_id
        for request in member.transcript.requests.values():
            if request.request_id:
                requests.setdefault(prompt_id(request), alias("request", request.request_id))
        for call in member.transcript.tool_calls.values():
            if unique_key(call.call_id, "") != call.call_id:  # telemetry cannot make a name of such a one by itself
                others[alias("tool", call.call_id)] = tool_key(call)
    return {**others, **{name: row for row, name in requests.items()}}


def _stand_in(session_id: str, members: Iterable[Member]) -> Transcript:
    """The session's own agent, when only its sub-agents' transcripts are there."""
    transcript = Transcript(session_id, is_missing=True)
    for member in members:
        transcript.first_at = min(filter(None, (transcript.first_at, member.transcript.first_at)), default=None)
        transcript.last_at = max(filter(None, (transcript.last_at, member.transcript.last_at)), default=None)
    transcript.opened_at = transcript.first_at
    return transcript


def _identify_sidechains(members: dict[str | None, Member]) -> None:
    """Which call started a sub-agent, where nothing beside its file says so: its call's result, or its first words, which are
    the call's prompt. Of several calls with the same prompt each started another one."""
    calls = [call for member in members.values() for call in member.transcript.tool_calls.values()]
    free = [call for call in calls if call.agent_key not in members or call.agent_key is None]
    known = {member.tool_use_id for member in members.values()}
    nameless = sorted((member for key, member in members.items() if key and not member.tool_use_id), key=_opening)
    for member in nameless:
        call = next((call for call in calls if call.agent_key == member.key), None) or next(
            (call for call in free if call.call_id not in known and _is_task_of(call, member)), None
        )
        if call is not None:
            known.add(call.call_id)
            told = {"agentType": call.arguments.get("subagent_type"), "description": call.arguments.get("description")}
            members[member.key] = replace(member, meta={**told, **member.meta, "toolUseId": call.call_id})


def _opening(member: Member) -> tuple[str, str]:
    first_at = member.transcript.first_at
    return first_at.isoformat() if first_at else "", member.key or ""


def _is_task_of(call: ToolCall, member: Member) -> bool:
    return "prompt" in call.arguments and call.arguments["prompt"] == member.transcript.first_text


def _parent_of(member: Member, members: Mapping[str | None, Member]) -> str | None:
    """The key of the agent that started this one: as its file says, else the one whose call it is, else the session's own."""
    named = member.meta.get("parentAgentId")
    if named in members and named != member.key:
        return named
    for key, other in members.items():
        if key != member.key and member.tool_use_id in other.transcript.tool_calls:
            return key
    return None


def _parents_first(members: Mapping[str | None, Member], parents: Mapping[str | None, str | None]) -> Iterator[Member]:
    done: set[str | None] = {None}
    yield members[None]
    left = [key for key in members if key is not None]
    while left:
        ready = [key for key in left if parents[key] in done] or left  # a circle is broken anywhere
        for key in ready:
            done.add(key)
            yield members[key]
        left = [key for key in left if key not in done]


def _agent(member: Member, parent_id: str, at: datetime) -> Values:
    transcript = member.transcript
    status, error, ended_at = _ending(member, at)
    context = {
        **transcript.context,
        "source": "claude-code",
        "claude_session": transcript.session_id,
        "reported": member.meta.get("reported"),
        "times": member.times,
        "agent_key": member.meta.get("agentKey", member.key),
        "tool_use_id": member.tool_use_id,
        "description": member.meta.get("description"),
        "opened_at": transcript.opened_at and transcript.opened_at.isoformat(),
        "as_of": None if transcript.is_missing else transcript.last_at and transcript.last_at.isoformat(),
    }
    model = next((request.model for request in transcript.requests.values() if request.model), None)
    return {
        "id": member.agent_id,
        "kind": member.kind,
        "session_id": transcript.session_id,
        "parent_agent_id": None if member.key is None else parent_id,
        "status": status,
        "context": _known(context),
        "config": _known({"permission_mode": transcript.permission_mode, "model": model}) or None,
        "started_at": member.began_at or at,
        "completed_at": ended_at,
        "error_message": error,
    }


def _ending(member: Member, at: datetime) -> tuple[str, str | None, datetime | None]:
    """State, reason and time of the end, as far as the transcript tells."""
    transcript, last = member.transcript, member.transcript.last_request
    ended_at = member.ended_at or at
    if transcript.is_missing and at - ended_at > SILENCE:
        return "cancelled", "Its own transcript is not there.", ended_at
    if transcript.failure is not None:
        return "failed", transcript.failure, ended_at
    if transcript.interrupted:
        return "cancelled", "Interrupted by the user.", ended_at
    if member.meta.get("finished") or (last and last.stop_reason in _FINAL_REASONS and not transcript.is_asked):
        return "completed", None, ended_at
    if at - ended_at > SILENCE:
        return "cancelled", "The transcript ends in the middle of a turn.", ended_at
    return "planning" if transcript.permission_mode == "plan" else "executing", None, None


def _prompts(member: Member, at: datetime) -> Iterator[Values]:
    requests = list(member.transcript.requests.values())
    clock = member.began_at or at
    for request in requests:
        is_last = request is requests[-1]
        began_at = request.started_at or clock + timedelta(microseconds=1)  # keeps the order of those that have no time
        clock = max(clock, began_at, request.ended_at or began_at)
        yield _prompt(member, request, began_at, is_open=is_last and not request.stop_reason and _is_open(member, at))


def _is_open(member: Member, at: datetime) -> bool:
    return _ending(member, at)[0] in {"executing", "planning"}


def _prompt(member: Member, request: Request, began_at: datetime, *, is_open: bool) -> Values:
    prompt_type, name = _type_and_name(member, request)
    usage = request.usage
    status = "failed" if request.error else "streaming" if is_open else "completed"
    return {
        "id": prompt_id(request),
        "agent_id": member.agent_id,
        "prompt_type": prompt_type,
        "prompt_name": name and named(name),
        "prompt_text": storable("\n\n".join(one.text for one in request.inputs)),
        "response_text": storable("\n\n".join(request.texts)) or None,
        "status": status,
        "model_used": request.model and named(request.model.removesuffix("[1m]")),
        **_tokens(usage),
        "created_at": began_at,
        "completed_at": None if is_open else request.ended_at or began_at,
        "error_message": request.error,
        "details": _known(
            {
                "message_id": None if request.error else request.message_id,
                "line_id": request.line_id if request.error else None,
                "request_id": request.request_id,
                "stop_reason": request.stop_reason,
                "tools": request.tool_names or None,
                "service_tier": usage.get("service_tier"),
                "times": None if request.started_at else APPROXIMATE,
            }
        )
        or None,
    }


def prompt_id(request: Request) -> str:
    return row_id("llm", unique_key(request.message_id, request.line_id))


def _tokens(usage: Mapping[str, Any]) -> Values:
    """Claude counts cached tokens beside the input; the store counts them in."""
    if "input_tokens" not in usage:
        return {}
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    return {
        "tokens_input": _count(usage, "input_tokens") + read + written,
        "tokens_output": _count(usage, "output_tokens") if "output_tokens" in usage else None,
        "tokens_cache_read": read,
        "tokens_cache_write": written,
        "tokens_cache_write_1h": min(_count(json_object(usage.get("cache_creation")), "ephemeral_1h_input_tokens"), written),
    }


def _type_and_name(member: Member, request: Request) -> tuple[str, str | None]:
    """What a request goes on from: a command, a failed tool, a tool, something said, or the agent's task."""
    command = next((one.command for one in request.inputs if one.command), None)
    if command is not None:
        return "command", f"/{command}"
    results = [one for one in request.inputs if one.is_result]
    if any(one.is_error for one in request.inputs):
        return "correction", None
    if results:
        return "tool_call", None
    return ("adw", member.kind) if request.is_first else ("followup", None)


def _logs(member: Member, at: datetime) -> Iterator[Values]:
    for call in member.transcript.tool_calls.values():
        yield _tool_log(member, call, at)
    for event in member.transcript.events:
        yield _event_log(member, event, at)


def _tool_log(member: Member, call: ToolCall, at: datetime) -> Values:
    details = {
        "tool": call.name,
        "tool_use_id": call.call_id,
        "arguments": call.arguments,
        "result": None if call.result is None else shortened(call.result, _RESULT_CHARACTERS),
        "duration_ms": call.duration_ms,
        "prompt_id": prompt_id(call.request),
        "times": None if call.at else APPROXIMATE,
    }
    return {
        "agent_id": member.agent_id,
        "log_level": "ERROR" if call.is_error else "INFO",
        "log_type": "tool_call",
        "message": tool_message(call.name, call.arguments),
        "details": fitting(_known(details)),
        "created_at": call.at or call.request.started_at or member.began_at or at,
        "source_key": tool_key(call),
    }


def tool_key(call: ToolCall) -> str:
    return named(f"cc:tool:{unique_key(call.call_id, call.line_id)}")


def _event_log(member: Member, event: Event, at: datetime) -> Values:
    return {
        "agent_id": member.agent_id,
        "log_level": _EVENT_LEVELS.get(event.kind, "INFO"),
        "log_type": event.kind,
        "message": event.text,
        "details": ({"times": APPROXIMATE} if event.at is None else {}) | event.details or None,
        "created_at": event.at or member.began_at or at,
        "source_key": named(f"cc:line:{event.line_id}"),
    }


def fitting(details: Values) -> Values:
    """Details of a tool's use, without the arguments, if a database does not take them."""
    try:
        dump_json(details)
    except ValueError as error:
        return {**details, "arguments": {}, "arguments_left_out": f"This {error}."}
    return details


def _known(values: Mapping[str, Any]) -> Values:
    return {name: value for name, value in values.items() if value is not None}


def _count(usage: Mapping[str, Any], name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int and 0 <= value < 2**63 else 0
