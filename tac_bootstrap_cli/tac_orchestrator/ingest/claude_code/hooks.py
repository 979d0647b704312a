"""From what Claude Code tells its hooks to agents and logs: above all, what runs now.

A hook knows when something began and ended, and neither tokens nor words of an answer; those are in the transcript and the
telemetry of the same session. So its rows yield to theirs, and have the same names. A sub-agent is known to all by the call
that started it, which a hook learns when the call returns; until then it goes by its own key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tac_orchestrator.ingest.claude_code.session import APPROXIMATE, fitting
from tac_orchestrator.ingest.claude_code.transcript import Json, json_object
from tac_orchestrator.ingest.identity import MAIN_AGENT, agent_type_of, alias, claimed, named, row_id, unique_key
from tac_orchestrator.ingest.values import brief, tool_message
from tac_orchestrator.models import AgentType, storable
from tac_orchestrator.tables.sources import Batch, Values

SOURCE = "hooks"

_TASKS = frozenset(("Agent", "Task"))
_OPEN = frozenset(("initializing", "planning", "executing", "reviewing"))
_AT_WORK = frozenset(
    ("UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest", "PreCompact", "SubagentStart")
)
_TOOL_EVENTS = frozenset(("PreToolUse", "PostToolUse", "PostToolUseFailure"))
_LEFT = "The session ended in the middle of a turn."
_UNKNOWN_KIND = "claude-code-subagent"


@dataclass(frozen=True, slots=True)
class HookRecord:
    """What one hook was told, and when."""

    at: datetime
    told: Json

    @property
    def event(self) -> str:
        return str(self.told.get("hook_event_name"))

    @property
    def session_id(self) -> str | None:
        return _text(self.told.get("session_id"))

    @property
    def agent_key(self) -> str | None:
        """None for the session's own agent."""
        return _text(self.told.get("agent_id"))


@dataclass(frozen=True, slots=True)
class Known:
    """What the store has of a session: its agents by their keys, each with its `kind`."""

    agents: Mapping[str | None, Values]

    @property
    def session_id(self) -> str | None:
        """That of the workflow that ran it, if one did."""
        main = self.agents.get(None)
        return main["session_id"] if main else None

    @property
    def is_of_workflow(self) -> bool:
        main = self.agents.get(None)
        return main is not None and json_object(main["context"]).get("source") == "adw"


@dataclass(slots=True)
class _Call:
    """The call that started a sub-agent, and what came of it."""

    tool_use_id: str
    owner: str | None
    kind: str | None
    description: str | None


@dataclass(slots=True)
class _State:
    """How an agent stands, as of the last that was heard of it."""

    key: str | None
    began_at: datetime
    status: str = "initializing"
    ended_at: datetime | None = None
    error: str | None = None
    as_of: datetime | None = None
    kind: str | None = None
    cwd: str | None = None
    permission_mode: str | None = None

    def heard(self, at: datetime, status: str, error: str | None = None) -> None:
        if self.as_of is None or at >= self.as_of:
            self.status, self.error, self.as_of = status, error, at
            self.ended_at = None if status in _OPEN else at

    def left(self, at: datetime) -> None:
        """The session has ended. Whoever knows better how the agent did, and no later than that, is to be believed."""
        if self.status in _OPEN and (self.as_of is None or at >= self.as_of):
            is_idle = self.status == "initializing"
            self.status, self.error = ("completed", None) if is_idle else ("cancelled", _LEFT)
            self.ended_at = at


@dataclass
class HookSession:
    """One session, put together from what the store knows and what its hooks were told since."""

    session_id: str
    known: Known
    _states: dict[str | None, _State] = field(default_factory=dict[str | None, _State])
    _calls: dict[str, _Call] = field(default_factory=dict[str, _Call])
    _logs: dict[str, Values] = field(default_factory=dict[str, Values])

    def rows(self, records: Iterable[HookRecord]) -> tuple[dict[str, AgentType], Batch]:
        """What it amounts to: kinds of agents, and rows, the session's own agent first."""
        ordered = sorted(records, key=lambda record: record.at)
        for record in ordered:
            self._note_call(record)
        self._state(None, ordered[0].at)
        for record in ordered:
            self._take(record)
        states = list(self._parents_first())
        agents = [self._agent(state) for state in states]
        kinds: dict[str, AgentType] = {row["kind"]: agent_type_of(row["kind"]) for row in agents}
        renamed = {row_id("cc", self.session_id, key): self._id(key) for key in self._calls}
        return kinds, Batch(agents, agent_logs=list(self._logs.values()), renamed=renamed)

    @property
    def names(self) -> dict[str, str]:
        """What telemetry knows of the agents whose call is known, with the names of their rows."""
        return {alias("agent", key): self._id(key) for key in self._calls}

    def _note_call(self, record: HookRecord) -> None:
        """Which call started which sub-agent."""
        told, response = record.told, json_object(record.told.get("tool_response"))
        key, call_id = _text(response.get("agentId")), _text(told.get("tool_use_id"))
        if record.event == "PostToolUse" and told.get("tool_name") in _TASKS and key and call_id:
            given = json_object(told.get("tool_input"))
            self._calls[key] = _Call(
                call_id, record.agent_key, _text(given.get("subagent_type")), _text(given.get("description"))
            )

    def _take(self, record: HookRecord) -> None:
        key, event = record.agent_key, record.event
        if event == "SubagentStop" and key not in self._states and key not in self.known.agents and key not in self._calls:
            return  # a compaction, which never was an agent
        state = self._state(key, record.at)
        state.kind = _text(record.told.get("agent_type")) or state.kind
        state.cwd = _text(record.told.get("cwd")) or state.cwd
        state.permission_mode = _text(record.told.get("permission_mode")) or state.permission_mode
        self._take_state(record, state)
        if event in _TOOL_EVENTS:
            self._take_tool(record)
            self._take_answer(record)
        elif event in {"Notification", "PermissionRequest"}:
            self._take_notice(record)

    def _take_state(self, record: HookRecord, state: _State) -> None:
        event, at = record.event, record.at
        if event in _AT_WORK:
            state.heard(at, "planning" if state.permission_mode == "plan" else "executing")
        elif event in {"Stop", "SubagentStop"}:
            state.heard(at, "completed")
        elif event == "StopFailure":
            error = _text(record.told.get("last_assistant_message")) or _text(record.told.get("error"))
            state.heard(at, "failed", storable(error or "The turn failed."))
        elif event == "SessionEnd":
            for key in {*self._states, *self.known.agents}:
                self._state(key, at).left(at)

    def _take_answer(self, record: HookRecord) -> None:
        """A call that started a sub-agent returns: when it began, or when it is done."""
        response = json_object(record.told.get("tool_response"))
        key = _text(response.get("agentId"))
        if record.event != "PostToolUse" or key not in self._calls:
            return
        state = self._state(key, record.at - timedelta(milliseconds=_count(record.told.get("duration_ms")) or 0))
        is_done = response.get("status") == "completed"
        if is_done and state.status in _OPEN:
            state.heard(record.at, "completed")
        elif not is_done and state.status == "initializing":
            state.heard(record.at, "executing")

    def _state(self, key: str | None, at: datetime) -> _State:
        if key not in self._states:
            row = self.known.agents.get(key)
            self._states[key] = _State(key, at) if row is None else _stored_state(key, row)
        return self._states[key]

    def _id(self, key: str | None) -> str:
        if key is None:
            return row_id("cc", self.session_id, "main")
        call, row = self._calls.get(key), self.known.agents.get(key)
        if call is not None:
            return row_id("cc", self.session_id, call.tool_use_id)
        return row["id"] if row else row_id("cc", self.session_id, key)

    def _parent_id(self, key: str | None) -> str | None:
        """Whose call it was, if that is known; what the store says of it; else the session's own agent."""
        if key is None:
            return None
        if key in self._calls:
            return self._id(self._calls[key].owner)
        row = self.known.agents.get(key)
        return row["parent_agent_id"] if row else self._id(None)

    def _parents_first(self) -> Iterable[_State]:
        left, done = dict(self._states), set[str | None]()
        while left:
            ready = [key for key in left if key is None or self._owner(key) in done or self._owner(key) not in left]
            for key in ready or list(left):  # a circle is broken anywhere
                done.add(key)
                yield left.pop(key)

    def _owner(self, key: str) -> str | None:
        return self._calls[key].owner if key in self._calls else None

    def _agent(self, state: _State) -> Values:
        call = self._calls.get(state.key or "")
        row = self.known.agents.get(state.key)
        kind = MAIN_AGENT if state.key is None else named(storable(state.kind or (call and call.kind) or _UNKNOWN_KIND))
        context = {
            "source": SOURCE,
            "claude_session": self.session_id,
            "agent_key": state.key,
            "tool_use_id": call and call.tool_use_id,
            "description": call and call.description,
            "cwd": state.cwd,
            "times": APPROXIMATE,
            "as_of": state.as_of and state.as_of.isoformat(),
        }
        session_id = self.known.session_id or self.session_id
        told: Values = {
            "id": self._id(state.key),
            "kind": row["kind"] if row else kind,
            "session_id": session_id,
            "parent_agent_id": self._parent_id(state.key),
            "status": state.status,
            "context": {name: value for name, value in context.items() if value is not None},
            "config": {"permission_mode": state.permission_mode} if state.permission_mode else None,
            "started_at": state.began_at,
            "completed_at": state.ended_at,
            "error_message": state.error,
        }
        return claimed(told, session_id) if self.known.is_of_workflow else told

    def _take_tool(self, record: HookRecord) -> None:
        told = record.told
        call_id, name = _text(told.get("tool_use_id")), _text(told.get("tool_name")) or "tool"
        if call_id is None:
            return
        duration = _count(told.get("duration_ms"))
        arguments, failed = json_object(told.get("tool_input")), record.event == "PostToolUseFailure"
        details = {
            "tool": name,
            "tool_use_id": call_id,
            "arguments": arguments,
            "result": _text(told.get("error")) if failed else None,
            "duration_ms": duration,
            "times": APPROXIMATE,
        }
        began_at = record.at - timedelta(milliseconds=duration or 0)
        before = self._logs.get(call_id)
        self._logs[call_id] = {
            "agent_id": self._id(record.agent_key),
            "log_level": "ERROR" if failed else "INFO",
            "log_type": "tool_call",
            "message": tool_message(name, arguments),
            "details": fitting({key: value for key, value in details.items() if value is not None}),
            "created_at": min(before["created_at"], began_at) if before else began_at,
            "source_key": named(f"cc:tool:{unique_key(call_id, self.session_id)}"),
        }

    def _take_notice(self, record: HookRecord) -> None:
        """Somebody is waited for: only hooks tell of that."""
        told = record.told
        asked = f"Permission is asked for: {told.get('tool_name')} {brief(json_object(told.get('tool_input')))}".rstrip()
        text = _text(told.get("message")) or (asked if record.event == "PermissionRequest" else record.event)
        key = row_id("hook", self.session_id, record.event, record.at.isoformat(), record.agent_key or "")
        self._logs[key] = {
            "agent_id": self._id(record.agent_key),
            "log_level": "INFO",
            "log_type": "milestone",
            "message": storable(text),
            "details": {"event": record.event},
            "created_at": record.at,
            "source_key": f"cc:hook:{key}",
        }


def _stored_state(key: str | None, row: Values) -> _State:
    as_of = json_object(row["context"]).get("as_of")
    heard = datetime.fromisoformat(as_of) if isinstance(as_of, str) else None
    return _State(key, row["started_at"], row["status"], row["completed_at"], row["error_message"], heard, row["kind"])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 10**10 else None
