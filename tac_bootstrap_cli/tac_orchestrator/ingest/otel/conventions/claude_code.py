"""Claude Code's own telemetry. Its spans and its events tell of one session, each a part, and either may be switched off.

All of a session is one tree here, however many traces it took: agents are told apart by the ids that Claude Code gives them.
Its input tokens do not include those from the cache; the store's do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.otel.conventions.genai import model_of
from tac_orchestrator.ingest.otel.conventions.reading import count, known, money, name, structural, text
from tac_orchestrator.ingest.otel.facts import BY_PROVIDER, CallFacts, Facts, Reading, Texts, Tokens
from tac_orchestrator.ingest.otel.messages import json_object, parsed, text_of
from tac_orchestrator.ingest.otel.wire import LogRecord, Span

SPANS = "com.anthropic.claude_code.tracing"
EVENTS = "com.anthropic.claude_code.events"
SUBAGENT_TOOLS = frozenset(("Agent", "Task"))

_COMMAND = re.compile(r"\s*/([A-Za-z][\w:-]*)(?=\s|$)")
# About the program, not about what its agents do.
_OF_SYSTEM = frozenset(
    ("hook_registered", "plugin_loaded", "managed_settings_resolved", "mcp_server_connection", "auth", "internal_error")
)

# What every event says.
_COMMON = frozenset(
    ("user.id", "session.id", "terminal.type", "event.name", "event.timestamp", "event.sequence", "deployment.environment")
)

_QUIET = frozenset(("hook_execution_start", "tool_decision", "assistant_response_chunk"))


def recognises(span: Span) -> bool:
    return span.scope == SPANS


def read(span: Span) -> Reading:
    attributes, facts = span.attributes, structural(span)
    if _place(facts, attributes) is None:
        return Reading(facts)
    kind = attributes.get("span.type") or span.name.removeprefix("claude_code.")
    if kind == "llm_request":
        return _request(facts, attributes)
    if kind == "tool":
        return _tool(facts, attributes, span)
    if kind == "interaction":
        facts.details = known(turn=count(attributes, "interaction.sequence"))
    return Reading(facts)


def read_event(record: LogRecord, facts: Facts) -> Reading:
    """`facts` are those of a log; what the event means is added."""
    attributes = record.attributes
    if _place(facts, attributes) is None:
        return Reading(facts)
    kind = str(attributes.get("event.name") or record.name)
    facts.name = named(kind or "event")
    facts.key = f"event:{attributes.get('event.timestamp')}:{attributes.get('event.sequence')}:{facts.name}"
    reader = _EVENTS.get(kind)
    if reader is not None:
        return reader(facts, attributes)
    facts.kind = "other" if kind in _QUIET else facts.kind
    facts.details = {
        "message": kind,
        "level": "DEBUG",
        "is_of_system": kind in _OF_SYSTEM,
        "said": {key: value for key, value in attributes.items() if key not in _COMMON and value is not None},
    }
    return Reading(facts)


def _place(facts: Facts, attributes: dict[str, Any]) -> str | None:
    """In the tree of its session."""
    facts.session = name(attributes, "session.id")
    if facts.session is None:
        return None
    facts.trace_id = f"cc:{facts.session}"
    facts.agent_key = name(attributes, "agent_id")
    facts.parent_agent = name(attributes, "parent_agent_id")
    return facts.session


def _request(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.kind = "call"
    facts.agent = _agent_name(
        attributes.get("agent.name") or attributes.get("query_source_safe") or attributes.get("query_source")
    )
    if attributes.get("success") is False or attributes.get("error"):
        facts.state, facts.error = "failed", text(attributes, "error") or facts.error or "The request failed."
    attempt = count(attributes, "attempt")
    facts.call = CallFacts(
        model=model_of(attributes, "model", "gen_ai.request.model"),
        provider="anthropic",
        rank=BY_PROVIDER,
        tokens=_tokens(attributes) if facts.state == "completed" else Tokens(),
        cost=money(attributes, "cost_usd") if facts.state == "completed" else None,
        request_id=name(attributes, "request_id"),
        finish_reason=name(attributes, "stop_reason"),
        ttft_ms=count(attributes, "ttft_ms"),
        attempt=attempt if attempt and attempt > 1 else None,
    )
    return Reading(facts)


def _tokens(attributes: dict[str, Any]) -> Tokens:
    fresh = count(attributes, "input_tokens")
    read, written = count(attributes, "cache_read_tokens"), count(attributes, "cache_creation_tokens")
    return Tokens(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        output=count(attributes, "output_tokens"),
        cache_read=read,
        cache_write=written,
        cache_write_1h=count(attributes, "cache_creation_1h_tokens"),
    )


def _tool(facts: Facts, attributes: dict[str, Any], span: Span) -> Reading:
    facts.kind, facts.name = "tool", name(attributes, "tool_name", "gen_ai.tool.name") or "tool"
    facts.call_id = name(attributes, "tool_use_id", "gen_ai.tool.call.id")
    facts.details = known(subagent_type=name(attributes, "subagent_type"))
    told = {key: attributes[key] for key in ("file_path", "full_command", "subagent_type", "skill_name") if key in attributes}
    output = next((event.attributes for event in span.events if event.name == "tool.output"), dict[str, Any]())
    shown = next((output[key] for key in ("output", "content", "stdout") if key in output), output or None)
    return Reading(facts, Texts(arguments=told or None, result=text_of(shown)))


def _tool_result(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.kind, facts.name = "tool", name(attributes, "tool_name") or "tool"
    facts.call_id = name(attributes, "tool_use_id")
    parameters = json_object(attributes.get("tool_parameters"))
    facts.details = known(subagent_type=name(parameters, "subagent_type"))
    if attributes.get("success") in ("false", False):
        facts.state, facts.error = "failed", text(attributes, "error", "error_type") or "The tool failed."
    duration = count(attributes, "duration_ms")
    facts.start_us = max(0, facts.end_us - (duration or 0) * 1000)
    arguments = parsed(attributes.get("tool_input")) or parameters or None
    return Reading(facts, Texts(arguments=arguments, result=facts.error))


def _api_request(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.start_us = max(0, facts.end_us - (count(attributes, "duration_ms") or 0) * 1000)
    return _request(facts, attributes)


def _response(facts: Facts, attributes: dict[str, Any]) -> Reading:
    """The words of an answer, whose tokens another event tells."""
    facts.kind = "call"
    facts.call = CallFacts(model=model_of(attributes, "model"), request_id=name(attributes, "request_id"), is_partial=True)
    shown = text(attributes, "response")
    return Reading(facts, Texts(response=None if shown == "<REDACTED>" else shown))


def _user_prompt(facts: Facts, attributes: dict[str, Any]) -> Reading:
    """What somebody said, which the next request of the agent answers."""
    facts.kind = "message"
    shown = text(attributes, "prompt", "prompt_text")
    shown = None if shown == "<REDACTED>" else shown
    command = name(attributes, "command_name") or ((found := _COMMAND.match(shown or "")) and found[1]) or None
    facts.details = known(text=shown, command=command, role="user")
    return Reading(facts)


def _completed(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.kind = "log"
    facts.agent = _agent_name(attributes.get("agent_type"))
    facts.details = {"message": "The sub-agent has finished.", "type": "milestone", "finishes": True}
    return Reading(facts)


def _compaction(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.details = {"message": "The conversation was compacted.", "type": "milestone"}
    return Reading(facts)


def _hook_done(facts: Facts, attributes: dict[str, Any]) -> Reading:
    facts.details = {
        "message": f"Hook {attributes.get('hook_name') or attributes.get('hook_event')} has run.",
        "type": "performance",
        "level": "DEBUG",
        "said": known(duration_ms=count(attributes, "total_duration_ms", "duration_ms")),
    }
    return Reading(facts)


def _agent_name(value: Any) -> str | None:
    """Which kind of sub-agent; None for the session's own agent, and for one of which only that somebody made it is told."""
    if not isinstance(value, str):
        return None
    kind = re.split(r"[:.]", value)[-1]
    return named(kind) if kind and kind not in ("sdk", "custom", "repl_main_thread", "compact", "agent") else None


_EVENTS: dict[str, Callable[[Facts, dict[str, Any]], Reading]] = {
    "api_request": _api_request,
    "api_error": _api_request,
    "assistant_response": _response,
    "tool_result": _tool_result,
    "user_prompt": _user_prompt,
    "subagent_completed": _completed,
    "compaction": _compaction,
    "hook_execution_complete": _hook_done,
}
