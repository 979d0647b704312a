"""What a record says, in words of our own: whatever the convention, one vocabulary.

`Facts` are what other records need to know of it to find their place, and are kept for as long as the trace. The long texts go
straight into the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

Kind = Literal["agent", "call", "tool", "handoff", "message", "log", "name", "other"]
State = Literal["completed", "failed", "cancelled"]

# Whose word on tokens and cost counts, where several speak of one request.
BY_INSTRUMENTATION, BY_PROVIDER = 1, 2


@dataclass(slots=True)
class Tokens:
    """`input` includes the cached ones. None is unknown."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None


@dataclass(slots=True)
class CallFacts:
    """A request to a model. `requested` are the tools that it asked for, by the ids of the calls; `results` are the calls whose
    results it was told. `trigger` is what it goes on from, where its messages are known."""

    model: str | None = None
    provider: str | None = None
    rank: int = BY_INSTRUMENTATION
    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = None
    response_id: str | None = None
    request_id: str | None = None
    finish_reason: str | None = None
    ttft_ms: int | None = None
    attempt: int | None = None
    trigger: Literal["said", "tool", "failed_tool"] | None = None
    command: str | None = None
    requested: list[list[str]] = field(default_factory=list[list[str]])
    results: list[str] = field(default_factory=list[str])
    is_partial: bool = False


@dataclass(slots=True)
class Facts:
    """One record. `key` is the id of a span, or a name that is made for a log. `agent` is the name of the agent that it is, or
    says that it belongs to; `agent_key` tells agents of one name apart. One that is open has begun, and not ended yet."""

    trace_id: str
    key: str
    parent: str | None
    kind: Kind
    name: str
    scope: str
    service: str
    process: str
    start_us: int
    end_us: int
    state: State = "completed"
    error: str | None = None
    session: str | None = None
    conversation: str | None = None
    agent: str | None = None
    agent_key: str | None = None
    parent_agent: str | None = None
    is_graph_node: bool = False
    is_flat: bool = False
    is_open: bool = False
    call: CallFacts | None = None
    call_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class Texts:
    """What goes into the rows and is not kept beside them."""

    prompt: str | None = None
    response: str | None = None
    arguments: Any = None
    result: str | None = None


@dataclass(slots=True)
class Reading:
    facts: Facts
    texts: Texts = field(default_factory=Texts)


_FACTS = {one.name: one.default for one in fields(Facts)}
TOKENS = tuple(one.name for one in fields(Tokens))
_CALL = {one.name: one.default for one in fields(CallFacts)}


def as_row(facts: Facts) -> dict[str, Any]:
    """As it is kept: what is not said is left out."""
    kept = {name: value for name, default in _FACTS.items() if (value := getattr(facts, name)) != default and value != {}}
    call = kept.pop("call", None)
    if call is not None:
        told = {name: value for name, default in _CALL.items() if (value := getattr(call, name)) != default and value != []}
        tokens = told.pop("tokens")
        kept["call"] = {**told, "tokens": {name: value for name in TOKENS if (value := getattr(tokens, name)) is not None}}
    columns = {"trace_id": kept.pop("trace_id"), "span_id": kept.pop("key"), "parent_span_id": kept.pop("parent", None)}
    return {**columns, "response_id": call.response_id if call else None, "details": kept}


def from_row(row: dict[str, Any]) -> Facts:
    kept: dict[str, Any] = dict(row["details"])
    if "call" in kept:
        call: dict[str, Any] = {**kept["call"], "tokens": Tokens(**kept["call"]["tokens"])}
        kept["call"] = CallFacts(**call)
    return Facts(trace_id=row["trace_id"], key=row["span_id"], parent=row["parent_span_id"], **kept)
