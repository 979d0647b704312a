"""OpenTelemetry's own conventions for generative AI, from 1.27 to today's, and what frameworks that speak them add."""

from __future__ import annotations

from typing import Any

from tac_orchestrator.ingest.otel.conventions.reading import call_reading, count, known, money, name, structural, text
from tac_orchestrator.ingest.otel.facts import BY_INSTRUMENTATION, BY_PROVIDER, CallFacts, Facts, Reading, Texts, Tokens
from tac_orchestrator.ingest.otel.messages import Message, json_object, message, messages, newest, parsed, text_of
from tac_orchestrator.ingest.otel.wire import Event, Span

_CALLS = frozenset(("chat", "text_completion", "generate_content", "generate", "completion"))
_PREFIX = "gen_ai."

# Spans of a provider's own library: it knows what was used, where others reckon.
_PROVIDERS = ("com.anthropic.sdk", "com.openai.sdk")

_EVENT_ROLES = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
    "gen_ai.choice": "choice",
}
DETAILS_EVENTS = frozenset(("gen_ai.client.inference.operation.details", "gen_ai.client.inference.details"))


def recognises(span: Span) -> bool:
    attributes = span.attributes
    if "gen_ai.operation.name" in attributes or "agent_name" in attributes:
        return True
    return _PREFIX in "\0".join(attributes) and any(key.startswith(_PREFIX) for key in attributes)


def read(span: Span) -> Reading:
    attributes, facts = span.attributes, structural(span)
    operation = text(attributes, "gen_ai.operation.name")
    facts.session = name(attributes, "session.id", "gen_ai.session.id")
    facts.conversation = name(attributes, "gen_ai.conversation.id")
    facts.agent = name(attributes, "gen_ai.agent.name", "agent_name")
    if operation in _CALLS or (operation is None and _is_old_call(attributes)):
        return call(span, facts)
    if operation == "execute_tool" or (operation is None and "gen_ai.tool.name" in attributes):
        return tool(span, facts)
    if operation == "invoke_agent" or (operation is None and "agent_name" in attributes):
        return agent(span, facts)
    if operation == "handoff":
        return handoff(span, facts)
    return Reading(facts)


def call(span: Span, facts: Facts) -> Reading:
    attributes = span.attributes
    rank = BY_PROVIDER if span.scope.startswith(_PROVIDERS) else BY_INSTRUMENTATION
    ttft = attributes.get("gen_ai.response.time_to_first_chunk")
    found = CallFacts(
        model=model_of(attributes, "gen_ai.response.model", "gen_ai.request.model"),
        provider=name(attributes, "gen_ai.provider.name", "gen_ai.system"),
        rank=rank,
        tokens=tokens(attributes),
        cost=money(attributes, "operation.cost", "gen_ai.usage.cost"),
        response_id=name(attributes, "gen_ai.response.id"),
        request_id=name(attributes, "anthropic.request.id", "gen_ai.request.id"),
        finish_reason=_first(attributes.get("gen_ai.response.finish_reasons")),
        ttft_ms=round(ttft * 1000)
        if isinstance(ttft, float) and 0 <= ttft < 10**9
        else count(attributes, "gen_ai.server.time_to_first_token"),
    )
    told, answers = content(attributes, span.events)
    return call_reading(facts, found, told, answers)


def tokens(attributes: dict[str, Any]) -> Tokens:
    return Tokens(
        input=count(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        output=count(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        cache_read=count(
            attributes,
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
        ),
        cache_write=count(
            attributes,
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.cache_write_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
        ),
        cache_write_1h=count(attributes, "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
        reasoning=count(attributes, "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.details.reasoning_tokens"),
    )


def tool(span: Span, facts: Facts) -> Reading:
    attributes = span.attributes
    facts.kind, facts.name = "tool", name(attributes, "gen_ai.tool.name") or facts.name
    facts.call_id = _call_id(span)
    arguments = attributes.get("gen_ai.tool.call.arguments", attributes.get("tool_arguments"))
    result = attributes.get("gen_ai.tool.call.result", attributes.get("tool_response"))
    for event in span.events:
        if event.name == "gen_ai.tool.message" and arguments is None:
            arguments = event.attributes.get("content")
        elif event.name == "gen_ai.choice" and result is None:
            result = event.attributes.get("message")
    if isinstance(facts.agent, str) and attributes.get("gen_ai.agent.name") == attributes.get("gen_ai.tool.name"):
        facts.agent = None  # an agent that is called as a tool names itself here
    return Reading(facts, Texts(arguments=parsed(arguments), result=text_of(result)))


def _call_id(span: Span) -> str | None:
    """Google's ADK makes one up for a call that has none, and another one where it tells of the request that asked for it."""
    found = name(span.attributes, "gen_ai.tool.call.id")
    is_made_up = found is not None and found.startswith("adk-") and span.scope.startswith("gcp.vertex.agent")
    return None if is_made_up else found


def agent(span: Span, facts: Facts) -> Reading:
    attributes = span.attributes
    facts.kind = "agent" if facts.agent else "other"
    facts.details = known(
        agent_id=name(attributes, "gen_ai.agent.id"),
        description=text(attributes, "gen_ai.agent.description"),
        version=name(attributes, "gen_ai.agent.version"),
        model=model_of(attributes, "gen_ai.request.model", "model_name"),
    )
    return Reading(facts)


def handoff(span: Span, facts: Facts) -> Reading:
    facts.kind = "handoff"
    target = name(span.attributes, "gen_ai.handoff.to_agent")
    facts.details = known(target=None if target == "unknown" else target)
    return Reading(facts)


def content(attributes: dict[str, Any], events: list[Event]) -> tuple[list[Message], list[Message]]:
    """What a model was told and what it answered: from attributes, from one event that has both, or from one event each."""
    holders = [attributes, *(event.attributes for event in events if event.name in DETAILS_EVENTS)]
    for holder in holders:
        if "gen_ai.input.messages" in holder or "gen_ai.output.messages" in holder:
            return newest(holder.get("gen_ai.input.messages") or []), messages(holder.get("gen_ai.output.messages") or [])
    if "gen_ai.prompt" in attributes or "gen_ai.completion" in attributes:
        return messages(attributes.get("gen_ai.prompt") or []), messages(attributes.get("gen_ai.completion") or [])
    told = [(event.name, event_message(event.name, event.attributes)) for event in events if event.name in _EVENT_ROLES]
    return [one for kind, one in told if kind != "gen_ai.choice"], [one for kind, one in told if kind == "gen_ai.choice"]


def event_message(kind: str, found: dict[str, Any]) -> Message:
    """One message of the older form, in which each has an event of its own."""
    if kind == "gen_ai.choice":
        return message(json_object(found.get("message")) or {"content": found.get("message")}, "assistant")
    return message(found, _EVENT_ROLES[kind])


def is_message_event(kind: str) -> bool:
    return kind in _EVENT_ROLES


def model_of(attributes: dict[str, Any], *names: str) -> str | None:
    """Without the mark of a long context. Some write that they do not know."""
    found = next((value for key in names if (value := name(attributes, key)) and value != "unknown"), None)
    return found.removesuffix("[1m]") if found else None


def _is_old_call(attributes: dict[str, Any]) -> bool:
    return "gen_ai.request.model" in attributes and any(key.startswith("gen_ai.usage.") for key in attributes)


def _first(value: Any) -> str | None:
    found = parsed(value)
    if isinstance(found, list):
        found = next(iter(found), None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return found if isinstance(found, str) and found else None


def session_in(value: Any) -> str | None:
    return name(json_object(value), "session_id", "thread_id")
