"""The receiver of telemetry: what it takes, what it refuses, and what a sender is to do then."""

from __future__ import annotations

import gzip
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

from .support import Server, serving

SAMPLE = Path(__file__).parents[1] / "samples" / "agent-framework" / "001_traces.pb"
PROTOBUF = "application/x-protobuf"


@pytest.fixture
def receiver(tmp_path: Path) -> Generator[Server]:
    """A server whose store is empty."""
    with serving(tmp_path / "orchestrator.db") as server:
        yield server


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """The rows that the sample makes when it is sent as it is."""
    with serving(tmp_path_factory.mktemp("plain") / "orchestrator.db") as server:
        send(server, SAMPLE.read_bytes())
        return rows(server)


def send(
    server: Server, body: bytes | Iterator[bytes], *, signal: str = "traces", kind: str = PROTOBUF, encoding: str = "identity"
) -> httpx2.Response:
    headers = {"Content-Type": kind, "Content-Encoding": encoding}
    return server.ask("POST", f"/v1/{signal}", token=None, content=body, headers=headers)


def rows(server: Server) -> tuple[int, int]:
    """How many agents and prompts it has."""
    return len(server.get("/api/agents").json()["items"]), len(server.get("/api/prompts").json()["items"])


def pieces(body: bytes) -> Iterator[bytes]:
    """A body whose length is not told."""
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def as_json(body: bytes) -> bytes:
    """As exporters write it: ids in hexadecimal."""
    import orjson

    told = MessageToDict(ExportTraceServiceRequest.FromString(body))
    for resource in told["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = __import__("base64").b64decode(span[name]).hex()
    return orjson.dumps(told)


def test_what_was_answered_is_stored(receiver: Server) -> None:
    answer = send(receiver, SAMPLE.read_bytes())

    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, PROTOBUF, b"")
    assert min(rows(receiver)) > 0


@pytest.mark.parametrize("form", ["gzip", "two members", "chunked", "chunked gzip", "json", "twice", "split"])
def test_any_form_gives_the_same_rows(receiver: Server, expected: tuple[int, int], form: str) -> None:
    body = SAMPLE.read_bytes()
    packed = gzip.compress(body)
    if form == "gzip":
        send(receiver, packed, encoding="gzip")
    elif form == "two members":
        send(receiver, gzip.compress(body[:500]) + gzip.compress(body[500:]), encoding="gzip")
    elif form == "chunked":
        send(receiver, pieces(body))
    elif form == "chunked gzip":
        send(receiver, pieces(packed), encoding="gzip")
    elif form == "json":
        assert send(receiver, as_json(body), kind="application/json").content == b"{}"
    elif form == "twice":
        with ThreadPoolExecutor(2) as senders:
            assert {200} == {answer.status_code for answer in senders.map(lambda _: send(receiver, body), range(2))}
    else:
        whole = ExportTraceServiceRequest.FromString(body)
        for resource in whole.resource_spans:
            for scope in resource.scope_spans:
                spans = list(scope.spans)
                for span in reversed(spans):
                    del scope.spans[:]
                    scope.spans.append(span)
                    send(receiver, whole.SerializeToString())

    assert rows(receiver) == expected


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        (b"\x0a\xff\xff", {}, 400),
        (b"no protobuf at all", {}, 400),
        (b"{", {"kind": "application/json"}, 400),
        (b"[" * 100_000, {"kind": "application/json"}, 400),
        (b"not gzip", {"encoding": "gzip"}, 400),
        (gzip.compress(b"x" * 1000, mtime=0)[:-20], {"encoding": "gzip"}, 400),
        (b"", {"encoding": "br"}, 415),
        (b"", {"kind": "text/plain"}, 415),
        (b"", {"signal": "profiles"}, 404),
    ],
)
def test_what_cannot_be_read_is_not_asked_for_again(server: Server, body: bytes, options: dict[str, str], status: int) -> None:
    answer = send(server, body, **options)

    assert answer.status_code == status
    assert "retry-after" not in answer.headers


def test_an_empty_body_is_an_empty_request(server: Server) -> None:
    assert [send(server, b"", signal=signal).status_code for signal in ("traces", "logs", "metrics")] == [200, 200, 200]


def test_a_bomb_is_refused_before_it_is_unpacked(server: Server) -> None:
    """A gigabyte of zeros, in a megabyte."""
    bomb = gzip.compress(bytes(10_000_000)) * 100
    answer = send(server, bomb, encoding="gzip")

    assert answer.status_code == 413
    assert _peak_memory(server.process_id) < 400_000


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    assert send(server, (bytes(1_000_000) for _ in range(80))).status_code == 413


def test_what_has_no_name_is_left_out_and_told(receiver: Server) -> None:
    request = ExportTraceServiceRequest.FromString(SAMPLE.read_bytes())
    request.resource_spans[0].scope_spans[0].spans.add(name="nameless")
    answer = send(receiver, request.SerializeToString())
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success

    assert (answer.status_code, told.rejected_spans) == (200, 1)
    assert "without a trace id" in told.error_message
    assert receiver.get("/api/system-logs").json()["items"][0]["component"] == "otlp"


def test_a_store_that_cannot_write_makes_senders_come_back(tmp_path: Path) -> None:
    from ..store.support import turn_taken

    store = tmp_path / "orchestrator.db"
    with serving(store, environment={"TAC_ORCHESTRATOR_BUSY_TIMEOUT": "0.5"}) as server, turn_taken(store):
        answer = send(server, SAMPLE.read_bytes())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def _peak_memory(process_id: int) -> int:
    """In kilobytes."""
    status = Path(f"/proc/{process_id}/status").read_text("utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
