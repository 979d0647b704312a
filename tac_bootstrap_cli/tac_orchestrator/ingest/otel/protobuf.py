"""OTLP in protobuf."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from tac_orchestrator.ingest.otel.wire import (
    MAX_ATTRIBUTES,
    MAX_DEPTH,
    Body,
    Event,
    LogRecord,
    Records,
    Resource,
    Span,
    UnreadableBody,
    usable_number,
    usable_text,
    usable_time,
)

_TRACE_BYTES, _SPAN_BYTES = 16, 8
_ZEROS = bytes(_TRACE_BYTES)


def read_protobuf(body: Body, records: Records) -> None:
    """Raises UnreadableBody."""
    try:
        if body.signal == "traces":
            _read_traces(ExportTraceServiceRequest.FromString(body.data), records)
        elif body.signal == "logs":
            _read_logs(ExportLogsServiceRequest.FromString(body.data), records)
        else:
            found = ExportMetricsServiceRequest.FromString(body.data)
            records.ignored += sum(len(scope.metrics) for one in found.resource_metrics for scope in one.scope_metrics)
    except DecodeError as error:
        raise UnreadableBody(body.signal, "it is not protobuf of this kind, or was cut off") from error


def _read_traces(request: ExportTraceServiceRequest, records: Records) -> None:
    for group in request.resource_spans:
        resource = Resource.of(_attributes(group.resource.attributes))
        for scope in group.scope_spans:
            name = usable_text(scope.scope.name)
            for span in scope.spans:
                records.span(_span(span, name, resource))


def _span(span: SpanMessage, scope: str, resource: Resource) -> Span:
    return Span(
        trace_id=_id(span.trace_id, _TRACE_BYTES) or "",
        span_id=_id(span.span_id, _SPAN_BYTES) or "",
        parent_id=_id(span.parent_span_id, _SPAN_BYTES),
        name=usable_text(span.name),
        scope=scope,
        resource=resource,
        start_ns=usable_time(span.start_time_unix_nano),
        end_ns=usable_time(span.end_time_unix_nano),
        status_code=span.status.code,
        status_message=usable_text(span.status.message),
        attributes=_attributes(span.attributes),
        events=[
            Event(usable_text(event.name), usable_time(event.time_unix_nano), _attributes(event.attributes))
            for event in span.events
        ],
    )


def _read_logs(request: ExportLogsServiceRequest, records: Records) -> None:
    for group in request.resource_logs:
        resource = Resource.of(_attributes(group.resource.attributes))
        for scope in group.scope_logs:
            name = usable_text(scope.scope.name)
            for record in scope.log_records:
                records.log(_log(record, name, resource))


def _log(record: LogMessage, scope: str, resource: Resource) -> LogRecord:
    return LogRecord(
        trace_id=_id(record.trace_id, _TRACE_BYTES),
        span_id=_id(record.span_id, _SPAN_BYTES),
        time_ns=usable_time(record.time_unix_nano or record.observed_time_unix_nano),
        name=usable_text(record.event_name),
        severity=record.severity_number,
        severity_text=usable_text(record.severity_text),
        scope=scope,
        resource=resource,
        body=_value(record.body, record.body.WhichOneof("value"), MAX_DEPTH),
        attributes=_attributes(record.attributes),
    )


def _id(value: bytes, length: int) -> str | None:
    """None for an id that is missing, all zeros, or of the wrong length, which all mean that there is none."""
    return value.hex() if len(value) == length and value != _ZEROS[:length] else None


def _attributes(pairs: Iterable[KeyValue], depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Most are short texts and numbers."""
    found: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        kind = value.WhichOneof("value")
        held: Any = usable_text(value.string_value) if kind == "string_value" else _value(value, kind, depth)
        found.setdefault(usable_text(pair.key), held)
        if len(found) >= MAX_ATTRIBUTES:
            break
    return found


def _value(value: AnyValue, kind: str | None, depth: int) -> Any:
    if kind == "string_value":
        return usable_text(value.string_value)
    if kind in ("int_value", "bool_value"):
        return getattr(value, kind)
    if kind == "double_value":
        return usable_number(value.double_value)
    if kind == "bytes_value":
        return value.bytes_value.hex()
    if kind is None:
        return None
    if depth == 0:
        return "[nests too deep]"
    if kind == "array_value":
        return [_value(item, item.WhichOneof("value"), depth - 1) for item in value.array_value.values]
    return _attributes(value.kvlist_value.values, depth - 1) if kind == "kvlist_value" else None
