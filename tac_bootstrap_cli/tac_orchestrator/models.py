"""The vocabulary: one model a table, one name a concept, and the closed sets of values, stated here and in the SQL's CHECKs.

A model that was made by a caller has been validated. A model that was read from the store holds what the store holds: rows
that came in by other ways (plain SQL) are shown as they are, never refused.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

AgentType = Literal["planner", "builder", "reviewer", "tester", "orchestrator", "utility"]
AgentStatus = Literal["initializing", "planning", "executing", "reviewing", "completed", "failed", "cancelled"]
WorkingStatus = Literal["initializing", "planning", "executing", "reviewing"]
EndedStatus = Literal["completed", "failed", "cancelled"]
PromptType = Literal["adw", "command", "followup", "correction", "tool_call"]
PromptStatus = Literal["pending", "streaming", "completed", "failed", "cancelled"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LogType = Literal["state_change", "milestone", "error", "performance", "tool_call", "cost_update"]
CostSource = Literal["reported", "priced", "unknown"]
SessionStatus = Literal["running", "completed", "failed", "cancelled"]
Entity = Literal["orchestrator_agent", "agent", "prompt", "agent_log", "system_log"]
Operation = Literal["insert", "update", "delete"]

MAX_TEXT = 32 * 1024 * 1024
"""Characters that a text may have, and bytes that JSON may. Larger ones belong into a file whose path is recorded."""

MAX_NAME = 1000
"""Characters that a name may have."""

MAX_COST = Decimal(10_000_000)
"""Dollars, exclusive: up to here a REAL holds eight decimals exactly."""


def storable(text: str) -> str:
    """The text, changed as little as it takes to store it: what a recorder does with texts that are not its own."""
    if "\0" in text:
        text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT - 100]}\n[{len(text) - MAX_TEXT + 100} more characters]"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


class Kind:
    """What a column holds: marks a field type, so that its values can be checked and translated without asking the model."""

    def __init__(self, name: Literal["id", "text", "name", "count", "time", "money", "object", "array"]) -> None:
        self.name = name


def _identifier(value: object) -> object:
    return str(value) if isinstance(value, UUID) else value


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, which a database cannot keep in a text")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range in UTC") from error


def eight_places(value: Decimal | float) -> Decimal:
    """Money as it is kept."""
    return Decimal(repr(round(float(value), 8)))


def dump_json(value: Any) -> str:
    """JSON, of which a database takes less than Python does. Raises ValueError, which says what it does not take."""
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if len(text) > MAX_TEXT:
        raise ValueError(f"is larger than {MAX_TEXT} bytes as JSON")
    if (b"null" in text or (b"\\" in text and b"\\u0000" in text)) and (fault := _fault_of(value)):
        raise ValueError(fault)
    return text.decode()


def _fault_of(value: Any) -> str | None:
    """What orjson writes although it cannot be read back."""
    if isinstance(value, dict):
        return next(filter(None, map(_fault_of, (*value, *value.values()))), None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(_fault_of, value)), None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, float) and not isfinite(value):
        return "holds NaN or infinity, which JSON does not know"
    if isinstance(value, str) and "\0" in value:
        return "holds a NUL character, which a database cannot keep in a text"
    return None


def _is_json(value: Any) -> Any:
    dump_json(value)
    return value


_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

Id = Annotated[str, StringConstraints(to_lower=True, pattern=_UUID), BeforeValidator(_identifier), Kind("id")]
Text = Annotated[str, StringConstraints(strict=True, max_length=MAX_TEXT), AfterValidator(_no_nul), Kind("text")]
Name = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=MAX_NAME), AfterValidator(_no_nul), Kind("name")]
Count = Annotated[int, Field(strict=True, ge=0, lt=2**63), Kind("count")]
Time = Annotated[AwareDatetime, AfterValidator(_in_utc), Kind("time")]
Money = Annotated[Decimal, Field(ge=0, lt=MAX_COST, allow_inf_nan=False), AfterValidator(eight_places), Kind("money")]
JsonObject = Annotated[dict[str, Any], AfterValidator(_is_json), Kind("object")]
JsonArray = Annotated[list[Any], AfterValidator(_is_json), Kind("array")]


class Row(BaseModel):
    """What all models share: unknown fields are refused, and a model does not change after it was made."""

    # A program that starts builds no validator that it does not use.
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), defer_build=True)


class OrchestratorAgent(Row):
    """A kind of agent: the template that runs are started from. Its name is unique."""

    id: Id
    name: Name
    agent_type: AgentType
    description: Text | None = None
    capabilities: JsonArray | None = None
    default_model: Name | None = None
    created_at: Time
    updated_at: Time


class Agent(Row):
    """One run of an agent, in one session. `cost_usd` is the sum of its prompts; None while no cost is known."""

    id: Id
    orchestrator_agent_id: Id
    session_id: Name
    parent_agent_id: Id | None = None
    status: AgentStatus = "initializing"
    context: JsonObject | None = None
    config: JsonObject | None = None
    started_at: Time
    completed_at: Time | None = None
    cost_usd: Money | None = None
    error_message: Text | None = None
    lease_id: Id | None = None


class Prompt(Row):
    """One request to a model and its answer.

    `tokens_input` includes the cached tokens; `tokens_cache_write` includes those written for an hour. `cost_source` says
    whether the cost was reported, priced from the tokens, or is unknown (then it is None), and `cost_basis` by what.
    """

    id: Id
    agent_id: Id
    prompt_type: PromptType
    prompt_name: Name | None = None
    prompt_text: Text
    response_text: Text | None = None
    status: PromptStatus = "pending"
    model_used: Name | None = None
    tokens_input: Count | None = None
    tokens_output: Count | None = None
    tokens_cache_read: Count | None = None
    tokens_cache_write: Count | None = None
    tokens_cache_write_1h: Count | None = None
    cost_usd: Money | None = None
    cost_source: CostSource | None = None
    cost_basis: Text | None = None
    latency_ms: Count | None = None
    created_at: Time
    completed_at: Time | None = None
    error_message: Text | None = None
    details: JsonObject | None = None


class AgentLog(Row):
    """One event in the life of an agent. `id` is None until it is stored. `source_key` names an imported record."""

    id: Count | None = None
    agent_id: Id
    log_level: LogLevel = "INFO"
    log_type: LogType
    message: Text
    details: JsonObject | None = None
    created_at: Time
    source_key: Name | None = None


class SystemLog(Row):
    """One event that belongs to no agent. `id` is None until it is stored. `source_key` names an imported record."""

    id: Count | None = None
    log_level: LogLevel = "INFO"
    component: Name
    message: Text
    details: JsonObject | None = None
    created_at: Time
    source_key: Name | None = None


class Session(Row):
    """All agents of one workflow, with their totals. `cost_usd` is the sum of the known costs, None if none is known;
    `unpriced_count` says how many answered prompts it lacks. The rows of a session with `pruned_at` were removed."""

    session_id: Name
    status: SessionStatus
    started_at: Time
    last_activity_at: Time
    agent_count: Count
    running_count: Count
    failed_count: Count
    prompt_count: Count
    prompt_failed_count: Count
    priced_count: Count
    unpriced_count: Count
    tokens_input: Count
    tokens_output: Count
    tokens_cache_read: Count
    tokens_cache_write: Count
    cost_usd: Money | None = None
    pruned_at: Time | None = None


class AgentNode(Agent):
    """An agent in the tree of its session: the name of its kind, how deep it stands, and the totals of its own prompts."""

    name: Name
    agent_type: AgentType
    depth: Count = 0
    prompt_count: Count = 0
    tokens_input: Count | None = None
    tokens_output: Count | None = None


class Usage(Row):
    """Tokens and cost of a group of prompts: a model, a day, a type of agent, or a session, as `group` says."""

    group: str
    prompt_count: Count
    prompt_failed_count: Count
    priced_count: Count
    unpriced_count: Count
    tokens_input: Count
    tokens_output: Count
    tokens_cache_read: Count
    tokens_cache_write: Count
    cost_usd: Money | None = None


class DailyUsage(Usage):
    """Tokens and cost of one model, whose name is `group`, on one day (UTC)."""

    day: str


class KindUsage(OrchestratorAgent):
    """A kind of agent with what became of its runs, and what those cost. `cost_usd` is None while no cost is known."""

    agent_count: Count
    running_count: Count
    completed_count: Count
    failed_count: Count
    cancelled_count: Count
    cost_usd: Money | None = None


class Change(Row):
    """One committed change. `position` is how far a listener has read that has seen it, and where it goes on."""

    position: str
    entity: Entity
    operation: Operation
    row_id: str


class Event(Change):
    """A change, and what it is about. `row` is the row as it is now, of a prompt with the beginnings of its texts; None if it
    has gone."""

    session_id: str | None
    agent_id: str | None
    row: AgentNode | Prompt | AgentLog | SystemLog | OrchestratorAgent | None


class SearchHit(Row):
    """A prompt or a log that was found. `excerpt` shows the words in their place, `⟦` and `⟧` around each."""

    entity: Entity
    id: str
    agent_id: str | None
    session_id: str | None
    created_at: Time
    excerpt: str


class Lease(Row):
    """A recording process: its running agents point to it, so that they can be closed when it is gone."""

    id: Id
    host: Name
    process_id: Count
    process_started_at: str
    acquired_at: Time
    heartbeat_at: Time
    released_at: Time | None = None
