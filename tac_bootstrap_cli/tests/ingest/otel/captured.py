"""What exporters really sent, whole or taken apart, and what truly happened."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tac_orchestrator.ingest.otel import Body, Signal

_FOLDER = Path(__file__).parents[2] / "samples"


def _manifest(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / name / "manifest.json").read_text())


CAPTURED = tuple(sorted(folder.name for folder in _FOLDER.iterdir() if _manifest(folder.name).get("requests")))


def truth(name: str) -> dict[str, Any]:
    return _manifest(name)["expected"]


def bodies(name: str) -> list[Body]:
    """As they arrived."""
    return [_body(name, request) for request in _manifest(name)["requests"]]


def _body(name: str, request: dict[str, Any]) -> Body:
    data = (_FOLDER / name / request["file"]).read_bytes()
    data = gzip.decompress(data) if request["file"].endswith(".gz") else data
    signal = cast(Signal, request["path"].removeprefix("/v1/"))
    return Body(signal, request["headers"]["content-type"], data)


def reversed_bodies(name: str) -> list[Body]:
    """The last record first, each in a request of its own."""
    return one_by_one(name)[::-1]


def one_by_one(name: str) -> list[Body]:
    """Each record in a request of its own."""
    return [single for body in bodies(name) for single in _singles(body)]


def shuffled(seed: int, times: int = 1) -> Callable[[str], list[Body]]:
    def shuffle(name: str) -> list[Body]:
        singles = one_by_one(name) * times
        random.Random(seed).shuffle(singles)
        return singles

    return shuffle


def _singles(body: Body) -> Iterator[Body]:
    if body.signal == "metrics":
        yield body
    elif body.is_json:
        yield from _json_singles(body)
    else:
        yield from _protobuf_singles(body)


def _json_singles(body: Body) -> Iterator[Body]:
    outer, inner, leaf = {
        "traces": ("resourceSpans", "scopeSpans", "spans"),
        "logs": ("resourceLogs", "scopeLogs", "logRecords"),
    }[body.signal]
    for group in json.loads(body.data)[outer]:
        for scope in group[inner]:
            for record in scope[leaf]:
                single = {outer: [{**group, inner: [{**scope, leaf: [record]}]}]}
                yield Body(body.signal, body.content_type, json.dumps(single).encode())


def _protobuf_singles(body: Body) -> Iterator[Body]:
    kind: Any = ExportTraceServiceRequest if body.signal == "traces" else ExportLogsServiceRequest
    outer, inner, leaf = (
        ("resource_spans", "scope_spans", "spans")
        if body.signal == "traces"
        else ("resource_logs", "scope_logs", "log_records")
    )
    for group in getattr(kind.FromString(body.data), outer):
        for scope in getattr(group, inner):
            for record in getattr(scope, leaf):
                single = kind()
                new_group = getattr(single, outer).add()
                new_group.resource.CopyFrom(group.resource)
                new_scope = getattr(new_group, inner).add()
                new_scope.scope.CopyFrom(scope.scope)
                getattr(new_scope, leaf).add().CopyFrom(record)
                yield Body(body.signal, body.content_type, single.SerializeToString())
