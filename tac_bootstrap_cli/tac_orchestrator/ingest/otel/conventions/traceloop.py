"""Traceloop's instrumentations (OpenLLMetry): the conventions of OpenTelemetry, with kinds of their own."""

from __future__ import annotations

from tac_orchestrator.ingest.otel.conventions import genai
from tac_orchestrator.ingest.otel.conventions.reading import name, structural
from tac_orchestrator.ingest.otel.facts import Facts, Reading
from tac_orchestrator.ingest.otel.wire import Span

_SCOPES = ("opentelemetry.instrumentation.", "traceloop")
_ASSOCIATED = "traceloop.association.properties."

# Its agents are all children of the workflow, whoever called them.
_FLAT = "opentelemetry.instrumentation.openai_agents"


def recognises(span: Span) -> bool:
    if not span.scope.startswith(_SCOPES) or "traceloop." not in "\0".join(span.attributes):
        return False
    return any(key.startswith("traceloop.") for key in span.attributes)


def read(span: Span) -> Reading:
    attributes = span.attributes
    kind = attributes.get("traceloop.span.kind")
    if kind == "tool" and "gen_ai.tool.name" not in attributes:
        attributes = {
            **attributes,
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": attributes.get("traceloop.entity.name"),
        }
        span.attributes = attributes
    reading = genai.read(span) if kind != "agent" else _agent(span)
    facts = reading.facts
    facts.session = facts.session or name(attributes, f"{_ASSOCIATED}session_id")
    facts.conversation = facts.conversation or name(attributes, f"{_ASSOCIATED}thread_id")
    if kind == "workflow" and facts.agent != attributes.get(f"{_ASSOCIATED}lc_agent_name"):
        facts.kind, facts.agent = "other", None
    facts.is_flat = facts.kind == "agent" and span.scope == _FLAT
    return reading


def _agent(span: Span) -> Reading:
    facts: Facts = structural(span)
    facts.agent = name(span.attributes, "gen_ai.agent.name", "traceloop.entity.name")
    return genai.agent(span, facts)
