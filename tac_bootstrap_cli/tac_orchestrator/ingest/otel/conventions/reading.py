"""What all conventions share: from attributes to values that can be trusted, and a span of which only its place matters."""

from __future__ import annotations

from typing import Any

from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.otel.facts import CallFacts, Facts, Reading, State, Texts
from tac_orchestrator.ingest.otel.messages import Message, answer, newest_input
from tac_orchestrator.ingest.otel.wire import Span

_ERROR = 2

# Exceptions by which a framework hands control from one agent to another: nothing failed.
_CONTROL_FLOW = ("ParentCommand", "GraphInterrupt", "GraphBubbleUp", "NodeInterrupt", "AgentsException.Handoff")
_CANCELLED = ("CancelledError", "KeyboardInterrupt", "AbortError")

# Some write it behind the error.
_TRACEBACK = "Traceback (most recent call last)"
_ERROR_TEXT = 4000


def structural(span: Span) -> Facts:
    """A span of which nothing but its place matters."""
    state, error = _outcome(span)
    return Facts(
        trace_id=span.trace_id,
        key=span.span_id,
        parent=span.parent_id,
        kind="other",
        name=named(span.name or span.scope or "span"),
        scope=span.scope,
        service=named(span.resource.service),
        process=span.resource.process,
        start_us=span.start_ns // 1000,
        end_us=max(span.start_ns, span.end_ns) // 1000,
        state=state,
        error=error,
    )


def call_reading(facts: Facts, call: CallFacts, told: list[Message], answers: list[Message]) -> Reading:
    """A request to a model, with what it was told and what it answered."""
    facts.kind, facts.call = "call", call
    texts = Texts()
    found = newest_input(told)
    if found is not None:
        texts.prompt, call.trigger, call.command, call.results = found.text, found.trigger, found.command, found.results
    texts.response, call.requested = answer(answers)
    return Reading(facts, texts)


def text(attributes: dict[str, Any], *names: str) -> str | None:
    """The first of these that is a text with something in it."""
    for name in names:
        value = attributes.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def name(attributes: dict[str, Any], *names: str) -> str | None:
    found = text(attributes, *names)
    return named(found) if found else None


def count(attributes: dict[str, Any], *names: str) -> int | None:
    """The first of these that is a number of something. Some senders write numbers as texts, or with a fraction of 0."""
    for key in names:
        value = attributes.get(key)
        if value is None:
            continue
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is int and 0 <= value < 2**63:
            return value
    return None


def money(attributes: dict[str, Any], *names: str) -> float | None:
    for key in names:
        value = attributes.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10_000_000:
            return float(value)
    return None


def known(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _outcome(span: Span) -> tuple[State, str | None]:
    thrown = next((event.attributes for event in reversed(span.events) if event.name == "exception"), dict[str, Any]())
    kind = str(thrown.get("exception.type") or span.attributes.get("error.type") or "")
    if span.status_code != _ERROR or kind.endswith(_CONTROL_FLOW) or any(one in span.status_message for one in _CONTROL_FLOW):
        return "completed", None
    message = (
        span.status_message.partition(_TRACEBACK)[0].strip()
        or str(thrown.get("exception.message") or "")
        or kind
        or "an error without a message"
    )
    return "cancelled" if kind.endswith(_CANCELLED) else "failed", message[:_ERROR_TEXT]
