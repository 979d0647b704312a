"""Reads what `claude -p --output-format stream-json` prints: the lines of a transcript, with less in them.

An answer's output tokens are not final here, so that they count as unknown, unless the stream holds the model's own events.
Older versions give no times. Of an agent deeper than a sub-agent it says no more than that there was one. The last result tells
what the process cost as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, BinaryIO, cast

from tac_orchestrator.ingest.claude_code.session import Member
from tac_orchestrator.ingest.claude_code.transcript import Input, Json, Transcript, complete_lines, json_object, parsed_line

_FAILURES = {
    "error_max_turns": "The limit of turns was reached.",
    "error_during_execution": "An error occurred during execution.",
    "error_max_budget_usd": "The limit of costs was reached.",
}


@dataclass
class Stream:
    """One process of Claude Code, as far as it has printed."""

    session_id: str | None = None
    transcripts: dict[str | None, Transcript] = field(default_factory=dict[str | None, Transcript])
    metas: dict[str, Json] = field(default_factory=dict[str, Json])
    result: Json | None = None
    skipped: int = 0
    _current: dict[str | None, str] = field(default_factory=dict[str | None, str])

    def read(self, output: BinaryIO) -> None:
        """Take the lines. One that is still being written is left out."""
        for line in complete_lines(output):
            if line.data is None or line.data.strip():
                self._take(parsed_line(line.data) if line.data else None)

    def told(self, text: str, command: str | None) -> None:
        """What the process was given to do, which it does not print."""
        transcript = self._transcript({})
        transcript.first_text = text
        transcript.waiting.append(Input(text, None, command=command))

    @property
    def duration_ms(self) -> int:
        """How long the process took; 0, if it has not said so."""
        duration = (self.result or {}).get("duration_ms")
        return duration if type(duration) is int and 0 <= duration < 10**10 else 0

    def members(self) -> list[Member]:
        """The agents that appear, the session's own among them."""
        self._transcript({})
        found = list[Member]()
        for key, transcript in self.transcripts.items():
            found.append(
                Member(transcript, self._main_meta() if key is None else {**self.metas.get(key, {}), "toolUseId": key})
            )
        return found

    def _take(self, line: Json | None) -> None:
        if line is None:
            self.skipped += 1
            return
        if self.session_id is None and isinstance(line.get("session_id"), str):
            self.session_id = line["session_id"]
        kind = line.get("type")
        if kind in {"assistant", "user"}:
            self._transcript(line).take(_as_transcript_line(line))
            self._note_answered_calls(line)
        elif kind == "stream_event":
            self._take_event(line)
        elif kind == "system":
            self._take_system(line)
        elif kind == "result":
            self._take_result(line)
        else:
            self.skipped += 1

    def _transcript(self, line: Json) -> Transcript:
        key = line.get("parent_tool_use_id")
        if key not in self.transcripts:
            self.transcripts[key] = Transcript(self.session_id or "", key)
        return self.transcripts[key]

    def _note_answered_calls(self, line: Json) -> None:
        """A sub-agent whose call has been answered is done, unless it is one of which the stream tells more than that."""
        content = json_object(line.get("message")).get("content")
        for block in map(json_object, cast(list[Any], content) if isinstance(content, list) else ()):
            key = block.get("tool_use_id")
            if (
                isinstance(key, str)
                and key in self.transcripts
                and not block.get("is_error")
                and "agentKey" not in self.metas.get(key, {})
            ):
                self.metas.setdefault(key, {})["finished"] = True

    def _take_event(self, line: Json) -> None:
        """The model's own events: the only ones in a stream that hold the final count of output tokens."""
        event, key = json_object(line.get("event")), line.get("parent_tool_use_id")
        if event.get("type") == "message_start":
            self._current[key] = str(json_object(event.get("message")).get("id"))
        elif event.get("type") == "message_delta":
            request = self._transcript(line).requests.get(self._current.get(key, ""))
            if request is not None:
                request.usage = {**request.usage, **json_object(event.get("usage"))}
                request.stop_reason = json_object(event.get("delta")).get("stop_reason") or request.stop_reason

    def _take_system(self, line: Json) -> None:
        key = line.get("tool_use_id")
        if line.get("subtype") == "init":
            transcript = self._transcript({})
            transcript.session_id = self.session_id or ""
            transcript.permission_mode = line.get("permissionMode")
            known = {"cwd": line.get("cwd"), "version": line.get("claude_code_version")}
            transcript.context |= {name: value for name, value in known.items() if value}
        elif line.get("subtype") == "task_started" and isinstance(key, str):
            self._take_task(key, line)
        elif line.get("subtype") == "task_notification" and isinstance(key, str):
            self.metas.setdefault(key, {})["finished"] = line.get("status") == "completed"
        elif line.get("subtype") == "api_retry":
            self._transcript(line).take(line)

    def _take_task(self, key: str, line: Json) -> None:
        """A sub-agent begins. Deeper ones print nothing more than that."""
        meta = self.metas.setdefault(key, {})
        meta.update(agentType=line.get("subagent_type"), description=line.get("description"), agentKey=line.get("task_id"))
        if line.get("task_type") == "local_agent":
            parents = (other for other, told in self.metas.items() if told.get("agentKey") == line.get("parent_task_id"))
            meta["parentAgentId"] = next(parents, None) if line.get("parent_task_id") else None
            self._transcript({"parent_tool_use_id": key})

    def _take_result(self, line: Json) -> None:
        """Newer versions print several: each tells all that has been used so far."""
        self.result = line
        if line.get("is_error"):
            text = _FAILURES.get(str(line.get("subtype"))) or line.get("result") or line.get("subtype")
            self._transcript({}).failure = str(text)

    def _main_meta(self) -> Json:
        if self.result is None:
            return {}
        told = {
            "total_cost_usd": self.result.get("total_cost_usd"),
            "num_turns": self.result.get("num_turns"),
            "duration_ms": self.result.get("duration_ms"),
            "model_usage": self.result.get("modelUsage"),
        }
        return {"finished": not self.result.get("is_error"), "reported": told}


def _as_transcript_line(line: Json) -> Json:
    """The same in the words of a transcript, without the output tokens of a message that had only just begun."""
    message = json_object(line.get("message"))
    usage = {name: value for name, value in json_object(message.get("usage")).items() if name != "output_tokens"}
    return {
        **line,
        "message": {**message, "usage": usage} if line["type"] == "assistant" else message,
        "requestId": line.get("request_id"),
        "toolUseResult": line.get("tool_use_result"),
    }


def with_times(members: Iterable[Member], began_at: datetime, ended_at: datetime) -> list[Member]:
    """The agents of a stream, whose process ran from then to then, unless its lines know better."""
    members, times = list(members), {"began_at": began_at, "ended_at": ended_at}
    heard = [time for member in members for time in (member.began_at, member.ended_at) if time]
    if heard and min(heard) < began_at:
        times = {"began_at": min(heard), "ended_at": max(heard)}
    return [
        replace(member, meta={**times, **member.meta}) if member.key is None or member.began_at is None else member
        for member in members
    ]
