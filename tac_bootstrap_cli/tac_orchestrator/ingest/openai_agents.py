"""The OpenAI Agents SDK, by its own tracing: agents, requests and tools while they run, with what they cost.

    from agents import add_trace_processor
    add_trace_processor(RecordingProcessor())          # the project's own store, or: RecordingProcessor("runs.db")

A span that has begun is an agent at work or a request that waits for its answer; its end tells the rest. The same spans
twice, or in another order, give the same rows. `group_id` of a trace is the session, else the trace is. The SDK's own `task`
and `turn` spans repeat what was used in them, and are only places that others stand in; so are spans that a program makes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tac_orchestrator.database import Database
from tac_orchestrator.ingest.background import BackgroundIntake, Target
from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.otel.conventions.reading import call_reading, count, known, name
from tac_orchestrator.ingest.otel.facts import CallFacts, Facts, Reading, Texts, Tokens
from tac_orchestrator.ingest.otel.intake import ingest_readings
from tac_orchestrator.ingest.otel.messages import Message, message, newest, parsed, text_of
from tac_orchestrator.ingest.values import as_json, as_text
from tac_orchestrator.models import MAX_TEXT

Json = dict[str, Any]

_LOG = logging.getLogger("tac_orchestrator")
_SCOPE = "openai-agents"
_CALLS = ("generation", "response")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ERROR_TEXT = 4000

_NEWEST = 500
"""Items of a conversation that are looked at. A model speaks more often than that."""


class RecordingProcessor:
    """A tracing processor: it has what the SDK calls, so that the SDK need not be installed for this to be imported. It never
    waits and never raises. `store` is None for the project's own, a path, or an open store."""

    def __init__(self, store: Target = None) -> None:
        self._intake = BackgroundIntake[Reading](store, _take)

    @property
    def lost(self) -> int:
        """How many spans could not be recorded."""
        return self._intake.lost

    def on_trace_start(self, trace: Any) -> None:
        self._put(read_trace, trace)

    def on_trace_end(self, trace: Any) -> None:
        self._put(read_trace, trace)

    def on_span_start(self, span: Any) -> None:
        self._put(read_span, span)

    def on_span_end(self, span: Any) -> None:
        self._put(read_span, span)

    def force_flush(self) -> None:
        """Returns once all that has ended is stored."""
        self._intake.flush()

    def shutdown(self) -> None:
        self._intake.close()

    def _put(self, read: Any, told: Any) -> None:
        try:
            exported = _exported(told)
            if exported is not None:
                self._intake.put(read(exported))
        except Exception as error:
            with suppress(Exception):
                _LOG.warning("a span is not recorded: %s", error)


async def _take(database: Database, readings: list[Reading]) -> None:
    await ingest_readings(database, readings, is_own=True)


def _exported(told: Any) -> Json | None:
    """What the SDK would send, and what only the object of a `response` has. None for one that nobody wants traced."""
    exported = told.export()
    if not isinstance(exported, dict):
        return None
    found, data = cast(Json, exported), getattr(told, "span_data", None)
    if data is not None and isinstance(found.get("span_data"), dict) and found["span_data"].get("type") == "response":
        answer = getattr(data, "response", None)
        extra = {"input": getattr(data, "input", None)}
        for field in ("id", "model", "output", "usage"):
            extra[field] = getattr(answer, field, None)
        found = {**found, "span_data": {**_known(extra), **_known(found["span_data"])}}
    return as_json({**found, "span_data": _with_the_newest(found.get("span_data"))}, longest=MAX_TEXT)


def _with_the_newest(data: Any) -> Any:
    """Of a long conversation only the end is wanted, which is new."""
    if isinstance(data, dict) and isinstance(data.get("input"), list):  # pyright: ignore[reportUnknownMemberType]
        return {**cast(Json, data), "input": cast(Json, data)["input"][-_NEWEST:]}
    return cast(Any, data)


def read_trace(exported: Json) -> Reading:
    """All that a trace says: which session it is of."""
    trace_id = named(as_text(exported.get("id")))
    facts = _facts(exported, trace_id, trace_id, as_text(exported.get("workflow_name") or "trace"))
    facts.session = name(exported, "group_id")
    facts.details = known(workflow=text_of(exported.get("workflow_name")), metadata=exported.get("metadata") or None)
    return Reading(facts)


def read_span(exported: Json) -> Reading:
    data: Json = exported.get("span_data") or {}
    kind = data.get("type")
    title = as_text(data.get("name") or kind or "span")
    facts = _facts(exported, as_text(exported.get("trace_id")), as_text(exported.get("id")), title)
    facts.is_open = exported.get("ended_at") is None
    if kind == "agent":
        facts.kind, facts.agent = "agent", named(title)
    elif kind in _CALLS:
        return _call(facts, data)
    elif facts.is_open:
        return Reading(facts)
    elif kind == "function":
        facts.kind = "tool"
        return Reading(facts, Texts(arguments=parsed(data.get("input")), result=text_of(data.get("output"))))
    elif kind == "handoff":
        facts.kind, facts.details = "handoff", known(target=name(data, "to_agent"))
    elif kind == "guardrail":
        facts.kind, facts.details = "log", _guardrail(title, triggered=bool(data.get("triggered")))
    return Reading(facts)


def _facts(exported: Json, trace_id: str, key: str, title: str) -> Facts:
    began, ended = _microseconds(exported.get("started_at")), _microseconds(exported.get("ended_at"))
    error = _error(exported.get("error"))
    return Facts(
        trace_id=named(trace_id),
        key=named(key),
        parent=name(exported, "parent_id"),
        kind="other",
        name=named(title),
        scope=_SCOPE,
        service=_SCOPE,
        process=_SCOPE,
        start_us=began or ended,
        end_us=max(began, ended),
        state="completed" if error is None else "cancelled" if "CancelledError" in error else "failed",
        error=error,
    )


def _call(facts: Facts, data: Json) -> Reading:
    call = CallFacts(
        model=name(data, "model"),
        provider="openai" if data.get("type") == "response" else None,
        tokens=_tokens(data.get("usage")),
        response_id=name(data, "response_id", "id"),
    )
    told = newest([_as_message(item) for item in _items(data.get("input"))])
    answers = [message(_as_message(item), "assistant") for item in _items(data.get("output"))]
    return call_reading(facts, call, _without_reasoning(told), _without_reasoning(answers))


def _items(value: Any) -> list[Json]:
    """A conversation as a list; a text alone is what the user said."""
    found = parsed(value)
    if isinstance(found, str):
        return [{"role": "user", "content": found}]
    items = cast(list[Any], found) if isinstance(found, list) else [found]
    return [cast(Json, item) for item in items if isinstance(item, dict)]


def _as_message(item: Json) -> Json:
    """In a conversation of the Responses API, what a model asks for and what a tool answers stand beside the messages."""
    kind = item.get("type")
    if isinstance(kind, str) and kind.endswith("_output"):
        return {"role": "user", "content": [{**item, "type": "function_call_output"}]}
    if kind == "function_call":
        return {"role": "assistant", "content": [{**item, "id": item.get("call_id") or item.get("id")}]}
    if "role" not in item and kind is not None:
        return {"role": "assistant", "content": [item]}
    return item


def _without_reasoning(told: list[Message]) -> list[Message]:
    """What stands for thoughts that are not shown is no text."""
    for one in told:
        one.texts = [text for text in one.texts if text != "[reasoning]"]
    return told


def _tokens(usage: Any) -> Tokens:
    """OpenAI counts cached tokens in."""
    if not isinstance(usage, Mapping):
        return Tokens()
    used = cast(Json, usage)
    told, made = (_object(used, f"{name}_tokens_details") for name in ("input", "output"))
    return Tokens(
        input=count(used, "input_tokens", "prompt_tokens"),
        output=count(used, "output_tokens", "completion_tokens"),
        cache_read=count(told, "cached_tokens"),
        cache_write=count(told, "cache_write_tokens"),
        reasoning=count(made, "reasoning_tokens"),
    )


def _guardrail(title: str, *, triggered: bool) -> Json:
    return {
        "message": f"The guardrail {title} {'was triggered' if triggered else 'let it pass'}",
        "type": "milestone",
        "level": "WARNING" if triggered else "INFO",
        "said": {"guardrail": title, "triggered": triggered},
    }


def _error(error: Any) -> str | None:
    if not error:
        return None
    told = cast(Json, error) if isinstance(error, dict) else {"message": error}
    reason = _object(told, "data").get("error")
    text = as_text(told.get("message") or "an error without a message")
    return (text if reason is None else f"{text}: {as_text(reason)}")[:_ERROR_TEXT]


def _object(value: Json, key: str) -> Json:
    found = value.get(key)
    return cast(Json, found) if isinstance(found, dict) else {}


def _known(values: Mapping[str, Any]) -> Json:
    return {key: value for key, value in values.items() if value is not None}


def _microseconds(value: Any) -> int:
    """0 for a time that is not told."""
    if not isinstance(value, str):
        return 0
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return 0
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found
    return max((found - _EPOCH) // timedelta(microseconds=1), 0)
