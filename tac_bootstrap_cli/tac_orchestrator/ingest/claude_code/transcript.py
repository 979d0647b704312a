"""Reads the transcripts that Claude Code keeps: a line for each message, and one line for each block of an answer.

What is told here depends on nothing but the lines. Lines of unknown types are counted and passed over, for every version brings
new ones; so is a line that is no JSON, unless it is the last and still being written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from tac_orchestrator.models import MAX_TEXT, storable

Json = dict[str, Any]

# Lines that say nothing about agents, requests or tools. Some hold system prompts of 70 KB, which nobody wants twice.
_IGNORED = frozenset(
    (
        "agent-name",
        "agent-setting",
        "api-request",
        "api-request-blob",
        "api-request-shape",
        "atis-latch",
        "cost-state",
        "custom-title",
        "file-history-snapshot",
        "last-prompt",
        "mode",
        "pr-link",
        "progress",
        "queue-operation",
        "summary",
        "tag",
        "tools-used",
    )
)
_COMMAND = re.compile(r"<command-name>/?([^<\s]+)</command-name>(?:.*?<command-args>(.*?)</command-args>)?", re.DOTALL)

# A database's JSON nests less deeply than a file's.
_DEEPEST = 100

_INTERRUPTED = "[Request interrupted by user"


@dataclass(slots=True)
class Input:
    """Something that an agent was given, and answers with its next request."""

    text: str
    at: datetime | None
    is_result: bool = False
    is_error: bool = False
    command: str | None = None


@dataclass(slots=True)
class Request:
    """One request to the model, whatever number of lines its answer takes."""

    message_id: str
    line_id: str
    inputs: list[Input]
    is_first: bool
    model: str | None = None
    request_id: str | None = None
    stop_reason: str | None = None
    texts: list[str] = field(default_factory=list[str])
    tool_names: list[str] = field(default_factory=list[str])
    usage: Json = field(default_factory=dict[str, Any])
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None


@dataclass(slots=True)
class ToolCall:
    """A tool that the model asked for, and what came of it, if that is known yet."""

    call_id: str
    line_id: str
    request: Request
    name: str
    arguments: Json
    at: datetime | None
    result: str | None = None
    is_error: bool = False
    duration_ms: int | None = None


@dataclass(slots=True)
class Event:
    """Something worth a log: a compaction, an interruption, an error."""

    line_id: str
    kind: str
    text: str
    at: datetime | None
    details: Json


@dataclass
class Transcript:
    """The story of one agent in one session. `agent_key` is None for the session's own agent."""

    session_id: str
    agent_key: str | None = None
    requests: dict[str, Request] = field(default_factory=dict[str, Request])
    tool_calls: dict[str, ToolCall] = field(default_factory=dict[str, ToolCall])
    events: list[Event] = field(default_factory=list[Event])
    context: Json = field(default_factory=dict[str, Any])
    permission_mode: str | None = None
    opened_at: datetime | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    failure: str | None = None
    interrupted: bool = False
    waiting: list[Input] = field(default_factory=list[Input])
    first_text: str | None = None

    @property
    def last_request(self) -> Request | None:
        return next(reversed(self.requests.values()), None)

    def take(self, line: Json) -> bool:
        """Read one line. False if it is of a kind that is not known."""
        at = _time(line.get("timestamp"))
        self._note_time(at)
        self._note_context(line)
        kind = _name(line.get("type"))
        if kind == "assistant":
            self._take_answer(line, at)
        elif kind == "user":
            self._take_input(line, at)
        elif kind == "system":
            self._take_event(line, at)
        elif kind == "attachment":
            self._take_attachment(line)
        else:
            return kind in _IGNORED
        return True

    def _note_time(self, at: datetime | None) -> None:
        if at is not None:
            self.opened_at = self.opened_at or at
            self.first_at = min(self.first_at or at, at)
            self.last_at = max(self.last_at or at, at)

    def _note_context(self, line: Json) -> None:
        for name, column in (("cwd", "cwd"), ("version", "version"), ("gitBranch", "git_branch"), ("entrypoint", "entrypoint")):
            if isinstance(line.get(name), str):
                self.context.setdefault(column, line[name])
        if isinstance(line.get("permissionMode"), str):
            self.permission_mode = line["permissionMode"]

    def _take_answer(self, line: Json, at: datetime | None) -> None:
        message = json_object(line.get("message"))
        message_id = str(message.get("id") or line.get("uuid") or "")
        line_id = str(line.get("uuid") or message_id)
        if message.get("model") == "<synthetic>":
            self._take_synthetic(line, message, line_id, at)
            return
        request = self.requests.get(message_id)
        if request is None:
            request = self.requests[message_id] = self._new_request(message_id, line_id, at)
        request.model = _name(message.get("model")) or request.model
        request.request_id = _name(line.get("requestId")) or request.request_id
        request.stop_reason = _name(message.get("stop_reason")) or request.stop_reason
        request.ended_at = max(request.ended_at or at, at) if at else request.ended_at
        usage = json_object(message.get("usage"))
        if _count(usage, "output_tokens") >= _count(request.usage, "output_tokens"):
            request.usage = usage
        for block in _blocks(message.get("content")):
            self._take_block(block, request, line_id, at)
        self.failure, self.interrupted = None, False

    def _new_request(self, message_id: str, line_id: str, at: datetime | None) -> Request:
        inputs, self.waiting = self.waiting, []
        request = Request(message_id, line_id, inputs, is_first=not self.requests)
        request.started_at = next((one.at for one in reversed(inputs) if one.at), at)
        return request

    def _take_block(self, block: Json, request: Request, line_id: str, at: datetime | None) -> None:
        if block.get("type") == "text" and block.get("text"):
            request.texts.append(str(block["text"]))
        elif block.get("type") == "tool_use":
            call_id, name = str(block.get("id") or line_id), str(block.get("name") or "tool")
            request.tool_names.append(name)
            self.tool_calls.setdefault(call_id, ToolCall(call_id, line_id, request, name, json_object(block.get("input")), at))

    def _take_synthetic(self, line: Json, message: Json, line_id: str, at: datetime | None) -> None:
        """Claude Code's own words in the place of an answer: an error, or nothing that matters."""
        text = "\n".join(str(block.get("text", "")) for block in _blocks(message.get("content")))
        if line.get("isApiErrorMessage") or text.startswith("API Error"):
            self.failure = text
            request = self._new_request(line_id, line_id, at)
            request.error, request.ended_at = text, at
            self.requests[line_id] = request
            self.events.append(Event(line_id, "error", text, at, {}))

    def _take_input(self, line: Json, at: datetime | None) -> None:
        content = json_object(line.get("message")).get("content")
        results = [block for block in _blocks(content) if block.get("type") == "tool_result"]
        for block in results:
            self._take_result(block, line, at)
        if results:
            return
        text = content if isinstance(content, str) else _text_of(content)
        if text.startswith(_INTERRUPTED):
            self.interrupted = True
            self.events.append(Event(str(line.get("uuid")), "milestone", "Interrupted by the user", at, {}))
            return
        command = _COMMAND.search(text)
        if command is not None:
            text = f"/{command[1]} {command[2] or ''}".rstrip()
        self.first_text = text if self.first_text is None else self.first_text
        self.failure, self.interrupted = None, False
        self.waiting.append(Input(text, at, command=command[1] if command else None))

    def _take_result(self, block: Json, line: Json, at: datetime | None) -> None:
        text, is_error = _text_of(block.get("content")), bool(block.get("is_error"))
        self.waiting.append(Input(text, at, is_result=True, is_error=is_error))
        call = self.tool_calls.get(str(block.get("tool_use_id")))
        if call is not None:
            call.result, call.is_error = text, is_error
            extra = json_object(line.get("toolUseResult"))
            duration = extra.get("totalDurationMs", extra.get("durationMs"))
            call.duration_ms = duration if type(duration) is int and duration >= 0 else None

    def _take_event(self, line: Json, at: datetime | None) -> None:
        if line.get("subtype") == "compact_boundary":
            details = json_object(line.get("compactMetadata"))
            self.events.append(Event(str(line.get("uuid")), "milestone", "The conversation was compacted", at, details))

    def _take_attachment(self, line: Json) -> None:
        attachment = json_object(line.get("attachment"))
        if attachment.get("type") == "max_turns_reached":
            self.failure = f"The limit of {attachment.get('maxTurns')} turns was reached."


@dataclass
class TranscriptFile:
    """One file. Lines of sub-agents that older versions wrote into their session's own file are told apart.

    `read` may be called again when the file has grown.
    """

    session_id: str
    agent_key: str | None = None
    transcripts: dict[str | None, Transcript] = field(default_factory=dict[str | None, Transcript])
    skipped: int = 0
    read_bytes: int = 0
    _roots: dict[str, str] = field(default_factory=dict[str, str])

    def read(self, data: bytes) -> None:
        """Take the complete lines of what follows in the file. One that is still being written is left for the next time."""
        lines = data.split(b"\n")
        rest = lines.pop()
        for line in lines:
            self._take(line)
            self.read_bytes += len(line) + 1
        if rest.strip() and parsed_line(rest) is not None:
            self._take(rest)
            self.read_bytes += len(rest)

    def _take(self, data: bytes) -> None:
        if not data.strip():
            return
        line = parsed_line(data)
        if line is None or not self._transcript_of(line).take(line):
            self.skipped += 1

    def _transcript_of(self, line: Json) -> Transcript:
        key = self.agent_key
        if key is None and line.get("isSidechain"):
            key = _name(line.get("agentId")) or self._root_of(line)
        if key not in self.transcripts:
            self.transcripts[key] = Transcript(self.session_id, key)
        return self.transcripts[key]

    def _root_of(self, line: Json) -> str:
        """The first line of the conversation that a line belongs to, by which it is told apart from others."""
        line_id, parent = str(line.get("uuid")), str(line.get("parentUuid"))
        root = self._roots.get(parent, line_id)
        self._roots[line_id] = root
        return f"sidechain:{root}"


def session_named_in(lines: Iterable[bytes]) -> str | None:
    """The session that the first line that names one belongs to."""
    for data in lines:
        line = parsed_line(data)
        if line is not None and isinstance(line.get("sessionId"), str):
            return line["sessionId"]
    return None


def parsed_line(data: bytes) -> Json | None:
    """The object that a line holds, if it holds one, and so that it can be stored."""
    try:
        found = orjson.loads(data)
    except ValueError:
        found = _parsed_leniently(data)
    if not isinstance(found, dict):
        return None
    is_plain = len(data) < MAX_TEXT and b"\\u0000" not in data and data.count(b"[") + data.count(b"{") < _DEEPEST
    return cast(Json, found if is_plain else _storable(found, _DEEPEST))


def _parsed_leniently(data: bytes) -> Any:
    """A program that cuts a text may cut a sign in half, which makes a line that strict readers refuse."""
    if b"\\ud" not in data and b"\\uD" not in data:
        return None
    try:
        return _storable(json.loads(data, parse_constant=str), _DEEPEST)
    except (ValueError, RecursionError):
        return None


def _storable(value: Any, depth: int) -> Any:
    """JSON whose texts can be stored. What nests deeper than this is kept as text."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, (dict, list)) and depth == 0:
        return storable(json.dumps(value))
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {storable(name): _storable(item, depth - 1) for name, item in items}
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in cast(list[Any], value)]
    return value


def json_object(value: Any) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _blocks(content: Any) -> list[Json]:
    return [json_object(block) for block in cast(list[Any], content)] if isinstance(content, list) else []


def _text_of(content: Any) -> str:
    """The words of a message. What is not words is named."""
    if isinstance(content, str):
        return content
    parts = [str(block["text"]) if "text" in block else f"[{block.get('type', 'block')}]" for block in _blocks(content)]
    return "\n".join(parts)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count(usage: Json, name: str) -> int:
    value = usage.get(name)
    return value if type(value) is int else 0


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
