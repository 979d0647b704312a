"""tac-orch cost --explain: where the cost of each request of a session comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.output import Column, Line, Screen, print_json
from tac_orchestrator.database import Database
from tac_orchestrator.models import Prompt

_PAGE = 500

_COLUMNS = (
    Column("ASKED", "clock", spare=5),
    Column("AGENT", least=8, spare=4),
    Column("MODEL", least=12),
    Column("INPUT", "tokens"),
    Column("READ", "tokens", spare=3),
    Column("WRITE 5M", "tokens", spare=2),
    Column("WRITE 1H", "tokens", spare=1),
    Column("OUTPUT", "tokens"),
    Column("COST", "money"),
    Column("SOURCE"),
    Column("BASIS", least=12),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as far as its cost goes. `tokens_input` includes all cached tokens; of those written to the cache, some were
    for five minutes and some for an hour."""

    prompt_id: str
    agent_name: str
    created_at: datetime
    status: str
    model: str | None
    tokens_input: int | None
    tokens_cache_read: int | None
    tokens_cache_write_5m: int | None
    tokens_cache_write_1h: int | None
    tokens_output: int | None
    cost_usd: Decimal | None
    cost_source: str | None
    basis: str

    @classmethod
    def of(cls, prompt: Prompt, agent_name: str) -> Request:
        return cls(
            prompt.id,
            agent_name,
            prompt.created_at,
            prompt.status,
            prompt.model_used,
            prompt.tokens_input,
            prompt.tokens_cache_read,
            _for_minutes(prompt),
            prompt.tokens_cache_write_1h,
            prompt.tokens_output,
            prompt.cost_usd,
            prompt.cost_source,
            _basis(prompt),
        )


@dataclass(frozen=True, slots=True)
class Explanation:
    session_id: str
    requests: Sequence[Request]

    @property
    def cost_usd(self) -> Decimal | None:
        """What is known of it."""
        known = [one.cost_usd for one in self.requests if one.cost_usd is not None]
        return sum(known, Decimal(0)) if known else None

    @property
    def unpriced_count(self) -> int:
        return sum(one.cost_usd is None and one.status == "completed" for one in self.requests)


async def explain(database: Database, session: str) -> Explanation:
    """Raises NotFound, and UsageError if several sessions begin so."""
    session_id = await lookup.session_id(database, session) or session
    names, requests, before = lookup.Names(database), list[Request](), None
    while page := await database.prompts.list(session_id=session_id, limit=_PAGE, before=before):
        requests += [Request.of(prompt, (await names.of(prompt.agent_id))[0]) for prompt in page]
        before = page[-1].id
    return Explanation(session_id, requests[::-1])


def show_explanation(told: Explanation, *, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(told))
    elif told.requests:
        Screen().table(_COLUMNS, [*map(_line, told.requests), _total(told)])
    else:
        click.echo("No requests yet.", err=True)


def _as_json(told: Explanation) -> dict[str, Any]:
    requests = [{name: getattr(one, name) for name in Request.__dataclass_fields__} for one in told.requests]
    return {
        "session_id": told.session_id,
        "cost_usd": told.cost_usd,
        "unpriced_count": told.unpriced_count,
        "requests": requests,
    }


def _for_minutes(prompt: Prompt) -> int | None:
    if prompt.tokens_cache_write is None:
        return None
    return prompt.tokens_cache_write - (prompt.tokens_cache_write_1h or 0)


def _basis(prompt: Prompt) -> str:
    """The entry of the price table, who reported the cost, or why there is none."""
    if prompt.cost_basis:
        return prompt.cost_basis
    if prompt.cost_usd is not None:
        return "as its source reported it"
    return f"it is {prompt.status}" if prompt.status != "completed" else "nobody has said"


def _line(one: Request) -> Line:
    return Line(
        (
            one.created_at,
            one.agent_name,
            one.model,
            one.tokens_input,
            one.tokens_cache_read,
            one.tokens_cache_write_5m,
            one.tokens_cache_write_1h,
            one.tokens_output,
            one.cost_usd,
            one.cost_source,
            one.basis,
        )
    )


def _total(told: Explanation) -> Line:
    requests = told.requests
    counts = (
        _sum(one.tokens_input for one in requests),
        _sum(one.tokens_cache_read for one in requests),
        _sum(one.tokens_cache_write_5m for one in requests),
        _sum(one.tokens_cache_write_1h for one in requests),
        _sum(one.tokens_output for one in requests),
    )
    missing = f"without {told.unpriced_count} of unknown cost" if told.unpriced_count else ""
    return Line(("", "", "total", *counts, told.cost_usd, "", missing), strong=True)


def _sum(values: Iterable[int | None]) -> int | None:
    """What is known of it."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
