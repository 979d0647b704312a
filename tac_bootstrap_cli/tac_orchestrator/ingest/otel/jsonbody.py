"""OTLP in JSON: ids in hex, as the standard says, or in base64, as generic writers of protobuf have them; numbers as numbers or
in texts; names in either style."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import orjson

from tac_orchestrator.ingest.otel.wire import (
    MAX_DEPTH,
    Body,
    Event,
    LogRecord,
    Records,
    Resource,
    Span,
    UnreadableBody,
    attribute_map,
    usable_number,
    usable_text,
    usable_time,
)

Json = dict[str, Any]

_TRACE_SIGNS, _SPAN_SIGNS = 32, 16
_HEX = re.compile(r"[0-9a-fA-F]+")
_STATUS_CODES = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}


def read_json(body: Body, records: Records) -> None:
    """Raises UnreadableBody."""
    try:
        found = orjson.loads(body.data)
    except ValueError as error:
        raise UnreadableBody(body.signal, f"it is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnreadableBody(body.signal, "its JSON is not an object")
    readers = {"traces": _read_traces, "logs": _read_logs, "metrics": _count_metrics}
    readers[body.signal](cast(Json, found), records)


def _read_traces(request: Json, records: Records) -> None:
    for group, scope, resource in _scopes(request, "resourceSpans", "scopeSpans"):
        for span in _objects(group, "spans"):
            records.span(_span(span, scope, resource))


def _read_logs(request: Json, records: Records) -> None:
    for group, scope, resource in _scopes(request, "resourceLogs", "scopeLogs"):
        for record in _objects(group, "logRecords"):
            records.log(_log(record, scope, resource))


def _count_metrics(request: Json, records: Records) -> None:
    for group, _, _ in _scopes(request, "resourceMetrics", "scopeMetrics"):
        records.ignored += len(_objects(group, "metrics"))


def _scopes(request: Json, outer: str, inner: str) -> Iterator[tuple[Json, str, Resource]]:
    for group in _objects(request, outer):
        resource = Resource.of(_attributes(_objects(_object(group, "resource"), "attributes")))
        for scope in _objects(group, inner):
            yield scope, _text(_object(scope, "scope").get("name")), resource


def _span(span: Json, scope: str, resource: Resource) -> Span:
    status = _object(span, "status")
    code = status.get("code", 0)
    return Span(
        trace_id=_id(_get(span, "traceId"), _TRACE_SIGNS) or "",
        span_id=_id(_get(span, "spanId"), _SPAN_SIGNS) or "",
        parent_id=_id(_get(span, "parentSpanId"), _SPAN_SIGNS),
        name=_text(span.get("name")),
        scope=scope,
        resource=resource,
        start_ns=_time(_get(span, "startTimeUnixNano")),
        end_ns=_time(_get(span, "endTimeUnixNano")),
        status_code=_STATUS_CODES.get(code, 0) if isinstance(code, str) else _integer(code) or 0,
        status_message=_text(status.get("message")),
        attributes=_attributes(_objects(span, "attributes")),
        events=[
            Event(_text(event.get("name")), _time(_get(event, "timeUnixNano")), _attributes(_objects(event, "attributes")))
            for event in _objects(span, "events")
        ],
    )


def _log(record: Json, scope: str, resource: Resource) -> LogRecord:
    return LogRecord(
        trace_id=_id(_get(record, "traceId"), _TRACE_SIGNS),
        span_id=_id(_get(record, "spanId"), _SPAN_SIGNS),
        time_ns=_time(_get(record, "timeUnixNano")) or _time(_get(record, "observedTimeUnixNano")),
        name=_text(_get(record, "eventName")),
        severity=_integer(_get(record, "severityNumber")) or 0,
        severity_text=_text(_get(record, "severityText")),
        scope=scope,
        resource=resource,
        body=_value(record.get("body"), MAX_DEPTH),
        attributes=_attributes(_objects(record, "attributes")),
    )


def _id(value: Any, signs: int) -> str | None:
    """In hex. None for one that is missing, all zeros, or neither hex nor base64 of the right length."""
    if not isinstance(value, str):
        return None
    if len(value) != signs or not _HEX.fullmatch(value):
        try:
            value = base64.b64decode(value, validate=True).hex()
        except (binascii.Error, ValueError):
            return None
    return value.lower() if len(value) == signs and value.strip("0") else None


def _attributes(pairs: Iterable[Json]) -> dict[str, Any]:
    return attribute_map(_pairs(pairs, MAX_DEPTH))


def _pairs(pairs: Iterable[Json], depth: int) -> Iterator[tuple[str, Any]]:
    for pair in pairs:
        yield _text(pair.get("key")), _value(pair.get("value"), depth)


def _value(value: Any, depth: int) -> Any:
    """Of a value that says in its only name what kind it is."""
    if not isinstance(value, dict) or not value:
        return None
    kind, held = next(iter(cast(Json, value).items()))
    kind = kind.replace("_value", "Value")
    if kind == "intValue":
        return _integer(held)
    if kind == "doubleValue":
        return _number(held)
    if kind == "boolValue":
        return held if isinstance(held, bool) else None
    if kind in ("stringValue", "bytesValue"):
        return _text(held)
    if depth == 0:
        return "[nests too deep]"
    if kind == "arrayValue":
        return [_value(item, depth - 1) for item in _objects(held, "values")]
    return attribute_map(_pairs(_objects(held, "values"), depth - 1)) if kind == "kvlistValue" else None


def _get(found: Json, name: str) -> Any:
    """By its name in JSON, else by that in protobuf."""
    if name in found:
        return found[name]
    return found.get(re.sub("([A-Z])", r"_\1", name).lower())


def _object(found: Json, name: str) -> Json:
    value = _get(found, name)
    return cast(Json, value) if isinstance(value, dict) else {}


def _objects(found: Any, name: str) -> list[Json]:
    value = _get(cast(Json, found), name) if isinstance(found, dict) else None
    return [cast(Json, one) for one in cast(list[Any], value) if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return usable_text(value) if isinstance(value, str) else ""


def _integer(value: Any) -> int | None:
    try:
        found = int(value) if isinstance(value, (int, str)) else None
    except ValueError:
        return None
    return found if found is not None and abs(found) < 2**63 else None


def _number(value: Any) -> Any:
    try:
        return usable_number(float(value))
    except (TypeError, ValueError):
        return None


def _time(value: Any) -> int:
    return usable_time(_integer(value) or 0)
