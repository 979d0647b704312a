"""Vercel's AI SDK: a span for what the program asked for, and inside it one for each request that this took."""

from __future__ import annotations

from typing import Any, cast

from tac_orchestrator.ingest.otel.conventions import genai
from tac_orchestrator.ingest.otel.conventions.reading import call_reading, count, name, structural
from tac_orchestrator.ingest.otel.facts import CallFacts, Reading, Texts, Tokens
from tac_orchestrator.ingest.otel.messages import Message, json_object, newest, parsed, text_of
from tac_orchestrator.ingest.otel.wire import Span

_OPERATION = "ai.operationId"
_REQUESTS = (".doGenerate", ".doStream")


def recognises(span: Span) -> bool:
    return _OPERATION in span.attributes


def read(span: Span) -> Reading:
    attributes, facts = span.attributes, structural(span)
    operation = str(attributes[_OPERATION])
    facts.session = name(attributes, "session.id", "ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.session.id")
    if operation == "ai.toolCall":
        facts.kind, facts.name = "tool", name(attributes, "ai.toolCall.name") or facts.name
        facts.call_id = name(attributes, "ai.toolCall.id")
        arguments, result = (
            attributes.get("ai.toolCall.args", attributes.get("ai.toolCall.input")),
            attributes.get("ai.toolCall.result"),
        )
        return Reading(facts, Texts(arguments=parsed(arguments), result=text_of(result)))
    if not operation.endswith(_REQUESTS):
        return Reading(facts)
    counted = genai.tokens(attributes)
    call = CallFacts(
        model=genai.model_of(attributes, "ai.response.model", "gen_ai.response.model", "ai.model.id", "gen_ai.request.model"),
        provider=name(attributes, "ai.model.provider", "gen_ai.system"),
        tokens=Tokens(
            input=count(attributes, "ai.usage.inputTokens", "ai.usage.promptTokens") or counted.input,
            output=count(attributes, "ai.usage.outputTokens", "ai.usage.completionTokens") or counted.output,
            cache_read=count(attributes, "ai.usage.cachedInputTokens") or counted.cache_read,
            cache_write=counted.cache_write,
            reasoning=count(attributes, "ai.usage.reasoningTokens"),
        ),
        response_id=name(attributes, "ai.response.id", "gen_ai.response.id"),
        finish_reason=name(attributes, "ai.response.finishReason"),
        ttft_ms=count(attributes, "ai.response.msToFirstChunk"),
    )
    answers = Message("assistant", [shown] if (shown := text_of(attributes.get("ai.response.text"))) else [])
    answers.calls += _calls(attributes.get("ai.response.toolCalls"))
    return call_reading(facts, call, newest(attributes.get("ai.prompt.messages") or []), [answers])


def _calls(value: Any) -> list[list[str]]:
    found = parsed(value)
    calls = [json_object(one) for one in cast(list[Any], found)] if isinstance(found, list) else []
    return [
        [str(one.get("toolCallId") or ""), str(one["toolName"]), (text_of(one.get("args", one.get("input"))) or "")[:20_000]]
        for one in calls
        if "toolName" in one
    ]
