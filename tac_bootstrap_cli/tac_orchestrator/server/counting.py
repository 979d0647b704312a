"""Counts what is asked for, how long the answers take, and what comes in, for as long as the server runs.

Counting is two additions a request; what Prometheus wants of it is made when it asks, see `server.exposition`. It is grouped by
routes, never by what somebody has put into a path, so that there are no more groups than the server has routes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from time import perf_counter
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_BROKEN_OFF = 499


class Request(NamedTuple):
    method: str
    route: str
    status: int


@dataclass(slots=True)
class Latency:
    """`counts` has one place for each bucket, and one for what took longer than all of them."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.seconds += seconds


@dataclass(slots=True)
class Counts:
    """Of one server. What is taken in is counted by its source: `traces`, `logs`, `metrics`, `hooks`."""

    requests: Counter[Request] = field(default_factory=Counter[Request])
    latencies: defaultdict[str, Latency] = field(default_factory=lambda: defaultdict(Latency))
    accepted: Counter[str] = field(default_factory=Counter[str])
    rejected: Counter[str] = field(default_factory=Counter[str])

    def take(self, source: str, accepted: int, rejected: int) -> None:
        self.accepted[source] += accepted
        self.rejected[source] += rejected


class Counting:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, counts: Counts) -> None:
        self._app = app
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, began = _BROKEN_OFF, perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._count(scope, status, perf_counter() - began)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route(scope, status)
        self._counts.requests[Request(method, route, status)] += 1
        self._counts.latencies[route].add(seconds)


def _route(scope: Scope, status: int) -> str:
    """As it is written down, `/api/agents/{id}`; where no route answered, whether the page did."""
    found = getattr(scope.get("route"), "path", None)
    if found is not None:
        return found
    return "page" if status < 400 else "none"
