"""Spans as frameworks send them: in batches, each when it has ended, so that those inside come before those around them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from itertools import islice

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.harness import MODEL, texts

BATCH = 512
"""Spans in a request, as OpenTelemetry's own exporter sends them."""

_SECOND = 1_000_000_000
_BEGUN = 1_764_000_000 * _SECOND
_SAID = texts(100, 900)
_RANDOM = random.Random(11)


def single_traces(number: int) -> Iterator[Span]:
    """Requests of a program without agents, each a trace of its own."""
    for place in range(number):
        yield _request(_RANDOM.randbytes(16), None, _BEGUN + place * _SECOND, place, None)


def agent_traces(number: int) -> Iterator[Span]:
    """Traces of 49 spans: an agent that starts four, each of which asks a model four times and uses three tools."""
    for place in range(-(-number // 49)):
        yield from agent_trace(4, 4, _BEGUN + place * 100 * _SECOND)


def large_trace(number: int) -> Iterator[Span]:
    """One trace: an agent that starts many, each of which asks a model fifteen times."""
    return agent_trace(-(-number // 45), 15, _BEGUN)


def agent_trace(agents: int, rounds: int, start: int) -> Iterator[Span]:
    trace, root, end = _RANDOM.randbytes(16), _RANDOM.randbytes(8), start
    for place in range(agents):
        key, begun = _RANDOM.randbytes(8), end
        for step in range(rounds):
            call_id = f"toolu_{_RANDOM.randbytes(12).hex()}" if step < rounds - 1 else None
            request = _request(trace, key, end, step, call_id)
            yield _span(trace, request.span_id, "POST", end, end + _SECOND, {"http.request.method": "POST", "server.port": 443})
            yield request
            end += _SECOND
            if call_id is not None:
                yield _tool(trace, key, end, step, call_id)
        yield _agent(trace, root, f"builder{place % 4}", begun, end, key)
    yield _agent(trace, None, "planner", start, end, root)


def bodies(spans: Iterator[Span], batch: int = BATCH) -> Iterator[bytes]:
    while some := list(islice(spans, batch)):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.extend(_attributes({"service.name": "benchmark", "telemetry.sdk.language": "python"}))
        scope = group.scope_spans.add()
        scope.scope.name = "opentelemetry.instrumentation.anthropic"
        scope.spans.extend(some)
        yield request.SerializeToString()


def _request(trace: bytes, parent: bytes | None, start: int, place: int, call_id: str | None) -> Span:
    answer = [{"type": "text", "content": _SAID[place % 100][:300]}]
    asked = [{"type": "tool_call", "id": call_id, "name": "read_file", "arguments": {"path": "main.py"}}] if call_id else []
    told = {"role": "user", "parts": [{"type": "text", "content": _SAID[place % 100]}]}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": MODEL,
        "gen_ai.response.id": f"msg_{_RANDOM.randbytes(12).hex()}",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.usage.output_tokens": 240,
        "server.address": "api.anthropic.com",
        "gen_ai.input.messages": json.dumps([told]),
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": answer + asked}]),
    }
    return _span(trace, parent, f"chat {MODEL}", start, start + _SECOND, attributes)


def _tool(trace: bytes, parent: bytes, start: int, place: int, call_id: str) -> Span:
    attributes: dict[str, str | int] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read_file",
        "gen_ai.tool.call.id": call_id,
        "gen_ai.tool.call.arguments": '{"path": "main.py"}',
        "gen_ai.tool.call.result": _SAID[place % 100][:200],
    }
    return _span(trace, parent, "execute_tool read_file", start, start + _SECOND // 20, attributes)


def _agent(trace: bytes, parent: bytes | None, name: str, start: int, end: int, key: bytes) -> Span:
    attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
    span = _span(trace, parent, f"invoke_agent {name}", start, end, attributes)
    span.span_id = key
    return span


def _span(trace: bytes, parent: bytes | None, name: str, start: int, end: int, attributes: Mapping[str, str | int]) -> Span:
    return Span(
        trace_id=trace,
        span_id=_RANDOM.randbytes(8),
        parent_span_id=parent or b"",
        name=name,
        start_time_unix_nano=start,
        end_time_unix_nano=end,
        attributes=_attributes(attributes),
    )


def _attributes(values: Mapping[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value))
        for key, value in values.items()
    ]
