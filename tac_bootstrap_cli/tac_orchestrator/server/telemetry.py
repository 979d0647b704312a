"""What exporters of OpenTelemetry send (OTLP/HTTP 1.x): protobuf or JSON, packed or not. Answered after the commit.

A sender that gets 400 does not send the same again; 429, 503 and the like make it wait and try once more.

What reads it is large. It is loaded behind the start of the server, see `server.intake`.
"""

from __future__ import annotations

from typing import get_args

import orjson
from fastapi import Request, Response
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from tac_orchestrator.database import Database
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.ingest.otel import Body, Signal, Taken, UnreadableBody, ingest_otlp
from tac_orchestrator.server.bodies import BodyRefused, Room, read_body
from tac_orchestrator.server.counting import Counts
from tac_orchestrator.server.problems import problem

_PROTOBUF, _JSON = "application/x-protobuf", "application/json"
_RETRY_S = "5"
_INVALID_ARGUMENT, _UNAVAILABLE = 3, 14


async def take(db: Database, request: Request, signal: str) -> Response:
    """Traces and logs are stored; metrics say again what those say, and are passed over."""
    kind = next((one for one in get_args(Signal) if one == signal), None)
    if kind is None:
        return problem(404, f"There is no signal {signal[:40]!r}.", hint="/v1/traces, /v1/logs and /v1/metrics are there.")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in {_PROTOBUF, _JSON}:
        return problem(415, f"A body is {_PROTOBUF} or {_JSON}.", hint="OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    room: Room = request.app.state.room
    try:
        with room.share() as share:
            body = Body(kind, content_type, await read_body(request, share))
            taken = await ingest_otlp(db, [body])
    except BodyRefused as error:
        return _refused(error.status, error.reason, content_type)
    except UnreadableBody as error:
        return _refused(400, str(error), content_type)
    except OrchestratorError as error:
        return _refused(503, str(error), content_type)
    counts: Counts = request.app.state.counts
    counts.take(kind, taken.spans + taken.logs + taken.ignored, taken.rejected_count)
    return _accepted(kind, content_type, taken)


def _accepted(signal: Signal, content_type: str, taken: Taken) -> Response:
    if content_type == _JSON:
        return Response(_as_json(signal, taken), media_type=_JSON)
    if signal == "traces":
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = taken.rejected_count
    elif signal == "logs":
        answer = ExportLogsServiceResponse()
        answer.partial_success.rejected_log_records = taken.rejected_count
    else:
        return Response(ExportMetricsServiceResponse().SerializeToString(), media_type=_PROTOBUF)
    if taken.rejected_count:
        answer.partial_success.error_message = taken.reason
    else:
        answer.ClearField("partial_success")
    return Response(answer.SerializeToString(), media_type=_PROTOBUF)


def _as_json(signal: Signal, taken: Taken) -> bytes:
    if not taken.rejected_count:
        return b"{}"
    name = {"traces": "rejectedSpans", "logs": "rejectedLogRecords", "metrics": "rejectedDataPoints"}[signal]
    return orjson.dumps({"partialSuccess": {name: str(taken.rejected_count), "errorMessage": taken.reason}})


def _refused(status: int, reason: str, content_type: str) -> Response:
    """A google.rpc.Status, as the protocol wants it: field 1 is a code, field 2 the message."""
    headers = {"Retry-After": _RETRY_S} if status == 503 else None
    code, text = _UNAVAILABLE if status == 503 else _INVALID_ARGUMENT, reason[:1000]
    if content_type == _JSON:
        return Response(orjson.dumps({"code": code, "message": text}), status, headers, _JSON)
    message = text.encode()
    return Response(b"\x08" + bytes([code]) + b"\x12" + _varint(len(message)) + message, status, headers, _PROTOBUF)


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)
