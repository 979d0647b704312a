"""How soon the server is ready, what it takes, and how long its answers take over HTTP on a large store.

The store is that of the reads, with one log an agent: what is asked here does not depend on logs. Answers are read to their
end over one connection that stays open, as a browser has it.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from benchmarks import dataset
from benchmarks.dataset import Dataset
from benchmarks.harness import Budget, Line, Size, settings, spread
from benchmarks.startup import environment
from tac_orchestrator import Database

READY, MEMORY, LIST, SESSION, FRAME = (
    Budget(600, " ms"),
    Budget(100, " MB"),
    Budget(5, " ms"),
    Budget(30, " ms"),
    Budget(250, " ms"),
)
TOKEN = "the-token-of-the-benchmarks"
LISTENERS = 100
AGENTS, PROMPTS_EACH = 21, 50
SPANS = AGENTS + (AGENTS - 1) * PROMPTS_EACH
TRACE = "5" * 32


@dataclass(frozen=True)
class Server:
    connection: HTTPConnection
    port: int
    process: psutil.Process

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status} {told[:200]!r}")
        return told

    @property
    def memory_mb(self) -> float:
        return self.process.memory_info().rss / 1e6


@contextmanager
def serving(path: Path) -> Generator[Server]:
    """It has answered once when the block begins."""
    command = [sys.executable, "-m", "tac_orchestrator", "serve", "--db", str(path), "--port", "0", "--json"]
    values = {**environment(), "TAC_ORCHESTRATOR_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=values, cwd=path.parent) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["ports"][0]
            server = Server(HTTPConnection("127.0.0.1", port), port, psutil.Process(process.pid))
            server.ask("GET", "/api/health")
            yield server
        finally:
            process.terminate()


def measure(size: Size, folder: Path) -> list[Line]:
    data, path = _dataset(size), asyncio.run(large_store(size, folder))
    found = [Line("server: store", f"{data.session_count} sessions, {data.prompt_count} prompts"), _ready(path, size.rounds)]
    with serving(path) as server:
        fresh = server.memory_mb
        found += [_session_list(server, size.repeats), _session(server, size.repeats), _metrics(server, size.repeats)]
        found.append(asyncio.run(_listeners(server, path, size.repeats)))
        found.append(Line("server: memory, ready and then", f"{fresh:.0f} MB, {server.memory_mb:.0f} MB", fresh, MEMORY))
    return found


async def large_store(size: Size, folder: Path) -> Path:
    """It stays in the folder, and is used again when it is there and of today's schema."""
    path = folder / f"server-{size.reads:g}.db"
    if not await dataset.is_current(path):
        path.unlink(missing_ok=True)
        await dataset.build(path, _dataset(size))
    return path


def _dataset(size: Size) -> Dataset:
    return Dataset(size.reads, logs_an_agent=1)


def _ready(path: Path, rounds: int) -> Line:
    spent = list[float]()
    for number in range(-1, 2 * rounds - 1):  # the first compiles
        began = perf_counter()
        with serving(path):
            if number >= 0 or rounds == 1:
                spent.append((perf_counter() - began) * 1000)
    return Line("server: from its start to its first answer, ms", spread(spent), median(spent), READY)


def _session_list(server: Server, repeats: int) -> Line:
    spent = _timed(lambda: server.ask("GET", "/api/sessions?limit=50"), repeats)
    return Line("server: a page of 50 sessions, ms", spread(spent), median(spent), LIST)


def _session(server: Server, repeats: int) -> Line:
    """As the page asks for it."""
    server.ask("POST", "/v1/traces", json.dumps(_trace()).encode())

    def whole() -> None:
        agents = json.loads(server.ask("GET", f"/api/agents/tree?session_id={TRACE}"))
        prompts = json.loads(server.ask("GET", f"/api/prompts?session_id={TRACE}&limit=1000&brief=true"))["items"]
        if len(agents) + len(prompts) != SPANS:
            raise RuntimeError(f"{SPANS} spans are {len(agents)} agents and {len(prompts)} prompts")

    spent = _timed(whole, repeats)
    return Line(f"server: a session of {SPANS} spans, ms", spread(spent), median(spent), SESSION)


def _metrics(server: Server, repeats: int) -> Line:
    return Line("server: metrics, ms", spread(_timed(lambda: server.ask("GET", "/metrics"), repeats)))


def _timed(ask: Callable[[], object], repeats: int) -> list[float]:
    """The first warms up."""
    spent = list[float]()
    for _ in range(10 * repeats + 1):
        began = perf_counter()
        ask()
        spent.append((perf_counter() - began) * 1000)
    return spent[1:]


async def _listeners(server: Server, path: Path, repeats: int) -> Line:
    """From before a commit in another process than the server's until the last of them has its frame."""
    address = f"ws://127.0.0.1:{server.port}/api/live?entity=system_log"
    async with AsyncExitStack() as stack, Database(settings(path)) as database:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        sockets = [await stack.enter_async_context(connect(address, additional_headers=headers)) for _ in range(LISTENERS)]
        await asyncio.gather(*(socket.recv() for socket in sockets))
        spent = list[float]()
        for number in range(5 * repeats):
            began = perf_counter()
            await database.system_logs.create("benchmark", f"{number}")
            await asyncio.gather(*(_told(socket, str(number)) for socket in sockets))
            spent.append((perf_counter() - began) * 1000)
    return Line(f"server: commit to frame, the last of {LISTENERS} listeners, ms", spread(spent), max(spent), FRAME)


async def _told(socket: ClientConnection, message: str) -> None:
    while True:
        frame: dict[str, Any] = json.loads(await socket.recv())
        if any(change["row"]["message"] == message for change in frame.get("changes", ())):
            return


def _trace() -> dict[str, Any]:
    """An agent, those that it has called, and their requests."""
    spans, number = [_span(1, None, "invoke_agent", **{"gen_ai.agent.name": "planner"})], AGENTS
    for agent in range(2, AGENTS + 1):
        spans.append(_span(agent, 1, "invoke_agent", **{"gen_ai.agent.name": f"builder_{agent}"}))
        for _ in range(PROMPTS_EACH):
            number += 1
            spans.append(_span(number, agent, "chat", **_REQUEST))
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


_REQUEST: dict[str, str | int] = {
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 240,
}


def _span(number: int, parent: int | None, operation: str, **attributes: str | int) -> dict[str, Any]:
    began = 1_780_000_000_000_000_000 + number * 1_000_000
    values = {"gen_ai.operation.name": operation, **attributes}
    return {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        **({} if parent is None else {"parentSpanId": f"{parent:016x}"}),
        "name": operation,
        "startTimeUnixNano": str(began),
        "endTimeUnixNano": str(began + 500_000),
        "attributes": [{"key": key, "value": _value(value)} for key, value in values.items()],
    }


def _value(value: str | int) -> dict[str, Any]:
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
