"""What OTLP bodies hold, in plain values, whichever of its two encodings they came in.

A body that cannot be read is refused as a whole. A record in it that has no usable name is left out and counted; texts are made
storable, and what nests or grows without end is cut, so that nothing after this has to be careful.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.models import storable

Signal = Literal["traces", "logs", "metrics"]

MAX_ATTRIBUTES = 10_000
"""Attributes of one record that are looked at; conversations that are flattened into attributes have thousands."""

MAX_DEPTH = 32
"""How deep values may nest. What is deeper is named, not kept."""

_LATEST_NS = 2**63


class UnreadableBody(OrchestratorError):
    """A body that is not what it was sent as. Sending it again is of no use."""

    def __init__(self, signal: Signal, reason: str) -> None:
        self.signal = signal
        self.reason = reason
        super().__init__(f"this body of {signal} cannot be read: {reason}", hint="Check the exporter's protocol and its URL.")


@dataclass(frozen=True, slots=True)
class Body:
    """One request's body, already unpacked."""

    signal: Signal
    content_type: str
    data: bytes

    @property
    def is_json(self) -> bool:
        return "json" in self.content_type


@dataclass(frozen=True, slots=True)
class Resource:
    """Who sent something. `process` tells one run of a program from others."""

    attributes: dict[str, Any]
    service: str
    process: str

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> Resource:
        known = "\0".join(f"{name}={attributes[name]}" for name in sorted(attributes))
        service = attributes.get("service.name")
        digest = hashlib.sha256(known.encode()).hexdigest()[:16]
        return cls(attributes, service if isinstance(service, str) and service else "unknown_service", digest)


@dataclass(slots=True)
class Event:
    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(slots=True)
class Span:
    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    scope: str
    resource: Resource
    start_ns: int
    end_ns: int
    status_code: int
    status_message: str
    attributes: dict[str, Any]
    events: list[Event]


@dataclass(slots=True)
class LogRecord:
    """`trace_id` and `span_id` are None for a record that was made outside of any span."""

    trace_id: str | None
    span_id: str | None
    time_ns: int
    name: str
    severity: int
    severity_text: str
    scope: str
    resource: Resource
    body: Any
    attributes: dict[str, Any]


class Records:
    """What some bodies hold, handed on one by one, and why some of it was left out."""

    def __init__(self, take_span: Callable[[Span], None], take_log: Callable[[LogRecord], None]) -> None:
        self._take_span = take_span
        self._take_log = take_log
        self.spans = self.logs = self.ignored = 0
        self.rejected = Counter[str]()

    def span(self, span: Span) -> None:
        """One to which nothing could refer is left out."""
        if not span.trace_id or not span.span_id:
            self.rejected["a span without a trace id and a span id"] += 1
            return
        span.start_ns = span.start_ns or span.end_ns
        self.spans += 1
        self._take_span(span)

    def log(self, record: LogRecord) -> None:
        self.logs += 1
        self._take_log(record)


def usable_time(value: int) -> int:
    return value if 0 <= value < _LATEST_NS else 0


def usable_number(value: float) -> float | str:
    return value if isfinite(value) else str(value)


usable_text = storable


def attribute_map(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The first of two that have the same name stays."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if len(found) >= MAX_ATTRIBUTES:
            break
        found.setdefault(name, value)
    return found
