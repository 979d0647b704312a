"""How many spans of OpenTelemetry are taken in a second, until they are there for all to see.

One sender waits for each answer before it sends the next batch, as exporters do: over HTTP to a server of its own process, and
in one process, as `tac-orch ingest otlp` does.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from benchmarks.harness import Budget, Line, Size, settings, temporary_folder
from benchmarks.server import Server, serving
from benchmarks.spans import agent_traces, bodies, large_trace, single_traces
from tac_orchestrator import Database
from tac_orchestrator.ingest.otel import Body, ingest_otlp

RATE = Budget(8000, "/s", at_least=True)
SPANS = 20_000
PROTOBUF = "application/x-protobuf"
KINDS: dict[str, Callable[[int], Iterator[Span]]] = {
    "traces of one span": single_traces,
    "traces of 49 spans": agent_traces,
    "one trace": large_trace,
}


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent, and how many of its spans are agents or requests."""

    spans: int
    sent: list[bytes]
    requests: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long all of it took, how much of the processor that was, and how long each batch took."""

    wall_s: float
    cpu_s: float
    batches_s: list[float]


def measure(size: Size, folder: Path) -> list[Line]:
    number = max(int(SPANS * size.writes), 600)
    found = list[Line]()
    for name, make in KINDS.items():
        load = _load(make(number))
        with temporary_folder(folder) as own:
            found += _lines(f"OTLP spans until visible, /s: HTTP, {name}", load, _over_http(own / "server.db", load))
            found += _lines(
                f"OTLP spans until visible, /s: in-process, {name}", load, asyncio.run(_inside(own / "own.db", load))
            )
    return found


def _load(spans: Iterator[Span]) -> Load:
    told = list(spans)
    return Load(len(told), list(bodies(iter(told))), sum(span.name.startswith("chat") for span in told))


def _over_http(path: Path, load: Load) -> Pace:
    with serving(path) as server:
        before = sum(server.process.cpu_times()[:2])
        began, batches = perf_counter(), _timed(lambda body: _post(server, body), load.sent)
        seen = _visible(server)
        wall = perf_counter() - began
        if seen != load.requests:
            raise RuntimeError(f"{load.requests} requests were sent, {seen} are there")
        return Pace(wall, sum(server.process.cpu_times()[:2]) - before, batches)


def _post(server: Server, body: bytes) -> None:
    server.connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
    answer = server.connection.getresponse()
    told = answer.read()
    if answer.status != 200 or told:
        raise RuntimeError(f"{answer.status} {told[:200]!r}")


def _visible(server: Server) -> int:
    """Requests, as the page sees them."""
    return sum(row["prompt_count"] for row in json.loads(server.ask("GET", "/api/costs?by=model")))


async def _inside(path: Path, load: Load) -> Pace:
    async with Database(settings(path)) as database:
        began, used, batches = perf_counter(), process_time(), list[float]()
        for body in load.sent:
            start = perf_counter()
            await ingest_otlp(database, [Body("traces", PROTOBUF, body)])
            batches.append(perf_counter() - start)
        return Pace(perf_counter() - began, process_time() - used, batches)


def _timed(send: Callable[[bytes], None], sent: Sequence[bytes]) -> list[float]:
    spent = list[float]()
    for body in sent:
        began = perf_counter()
        send(body)
        spent.append(perf_counter() - began)
    return spent


def _lines(what: str, load: Load, pace: Pace) -> list[Line]:
    rate, per_cpu = load.spans / pace.wall_s, load.spans / pace.cpu_s
    early, late = (
        median(half) * 1000 for half in (pace.batches_s[: len(pace.batches_s) // 2], pace.batches_s[len(pace.batches_s) // 2 :])
    )
    return [
        Line(what, f"{rate:.0f} ({per_cpu:.0f} a second of the processor)", rate, RATE),
        Line("… a batch, earlier and later", f"{early:.0f} ms, {late:.0f} ms"),
    ]
