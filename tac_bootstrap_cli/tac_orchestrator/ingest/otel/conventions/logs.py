"""Log records: messages of the conversation of a request, and whatever else programs write down."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.otel.conventions import claude_code, genai
from tac_orchestrator.ingest.otel.conventions.reading import call_reading, known, name
from tac_orchestrator.ingest.otel.facts import CallFacts, Facts, Reading
from tac_orchestrator.ingest.otel.messages import json_object, text_of
from tac_orchestrator.ingest.otel.wire import LogRecord
from tac_orchestrator.models import LogLevel

# The tree of those that stand in none.
NO_TRACE = ""

_LEVELS: tuple[tuple[int, LogLevel], ...] = ((21, "CRITICAL"), (17, "ERROR"), (13, "WARNING"), (9, "INFO"), (1, "DEBUG"))
_NAMED: dict[str, LogLevel] = {
    "FATAL": "CRITICAL",
    "CRITICAL": "CRITICAL",
    "ERROR": "ERROR",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "INFO": "INFO",
    "DEBUG": "DEBUG",
    "TRACE": "DEBUG",
}
_TYPES = frozenset(("state_change", "milestone", "error", "performance", "tool_call", "cost_update"))
_STANDARD = frozenset(("log_type", "component", "event.name", "agent_id"))


def read_log(record: LogRecord) -> Reading:
    facts = _log(record)
    event = record.name or str(record.attributes.get("event.name") or "")
    if record.scope == claude_code.EVENTS:
        return claude_code.read_event(record, facts)
    if record.trace_id and record.span_id and genai.is_message_event(event):
        return _message(record, facts, event)
    if record.trace_id and record.span_id and event in genai.DETAILS_EVENTS:
        return _details(record, facts)
    return Reading(facts)


def _log(record: LogRecord) -> Facts:
    attributes, level = record.attributes, _level(record)
    shown = text_of(record.body) or record.name or name(attributes, "event.name") or "(no text)"
    wanted = attributes.get("log_type")
    failed = "exception.type" in attributes or level in ("ERROR", "CRITICAL")
    said = {key: value for key, value in attributes.items() if key not in _STANDARD and value is not None}
    return Facts(
        trace_id=record.trace_id or NO_TRACE,
        key=f"log:{_digest(record)}",
        parent=record.span_id,
        kind="log",
        name=named(name(attributes, "component") or record.scope or record.resource.service),
        scope=record.scope,
        service=named(record.resource.service),
        process=record.resource.process,
        start_us=record.time_ns // 1000,
        end_us=record.time_ns // 1000,
        session=name(attributes, "session.id"),
        details={
            "message": shown,
            "type": wanted if wanted in _TYPES else "error" if failed else "milestone",
            "level": level,
            **({"said": said} if said else {}),
        },
    )


def _message(record: LogRecord, facts: Facts, event: str) -> Reading:
    """One message of a conversation. The request that it belongs to may not have come yet."""
    told = genai.event_message(event, json_object_of(record))
    place = record.attributes.get("gen_ai.message.index")
    facts.kind, facts.name = "message", event
    facts.details = known(
        role="choice" if event == "gen_ai.choice" else told.role,
        text=told.text or None,
        calls=told.calls or None,
        results=told.results or None,
        place=place if type(place) is int else None,
    )
    return Reading(facts)


def _details(record: LogRecord, facts: Facts) -> Reading:
    """All of a conversation in one event: the same as on the request's span, which may lack it."""
    told, answers = genai.content(record.attributes, [])
    facts.details = {}
    reading = call_reading(facts, CallFacts(is_partial=True), told, answers)
    facts.name = "operation.details"
    return reading


def json_object_of(record: LogRecord) -> dict[str, Any]:
    return json_object(record.body) or ({"content": record.body} if record.body else dict(record.attributes))


def _level(record: LogRecord) -> LogLevel:
    numbered: LogLevel = "INFO"
    for least, level in reversed(_LEVELS):
        numbered = level if record.severity >= least else numbered
    return _NAMED.get(record.severity_text.upper(), numbered)


def _digest(record: LogRecord) -> str:
    """What a record is called, which nobody has named: the same for the same record."""
    said = [record.time_ns, record.span_id, record.name, record.severity, record.scope, record.body, record.attributes]
    return hashlib.sha256(orjson.dumps([record.resource.process, record.trace_id, *said])).hexdigest()[:40]
