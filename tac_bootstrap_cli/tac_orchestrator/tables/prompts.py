"""Requests to models, and their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from tac_orchestrator import pricing
from tac_orchestrator.engines.base import Engine, Statement
from tac_orchestrator.errors import InvalidTransition, NotFound
from tac_orchestrator.models import (
    CostSource,
    Count,
    Id,
    JsonObject,
    Money,
    Name,
    Prompt,
    PromptStatus,
    PromptType,
    Row,
    Text,
    Time,
)
from tac_orchestrator.queries import Query
from tac_orchestrator.tables.base import Page, Sink, Table, new_id, now

_ENDED = ("completed", "failed", "cancelled")
_TOKENS = ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write", "tokens_cache_write_1h")
_DECIDES_COST = frozenset((*_TOKENS, "model_used", "cost_usd", "status"))


class _Answer(Row):
    """The columns that the end of a request sets."""

    id: Id
    status: PromptStatus
    response_text: Text | None = None
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
    completed_at: Time
    error_message: Text | None = None
    details: JsonObject | None = None


class _Answers(Table[_Answer]):
    kind = "prompt"
    name = "prompts"
    model = _Answer

    def statement(self, values: dict[str, Any]) -> Statement:
        statement = self._insert("answer", with_cost(values))
        statement.missing = partial(NotFound, self.kind, values["id"])
        return statement


class _Beginnings(Table[Prompt]):
    kind = "prompt"
    name = "prompts"
    model = Prompt

    async def page(self, filters: Mapping[str, Any], *, limit: int, before: str | None) -> Page[Prompt]:
        return await self._list(filters, limit=limit, before=before)

    def _chosen_list(self, wanted: Mapping[str, Any]) -> Query:
        names = self._fragments(wanted)
        if "session_id" in wanted and "agent_id" not in wanted:
            return self._queries["list.of_session.brief"].filtered(name for name in names if name != "session_id")
        return self._queries["list.brief"].filtered(names)


class Prompts(Table[Prompt]):
    kind = "prompt"
    name = "prompts"
    model = Prompt

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._answers = _Answers(engine, sink)
        self._beginnings = _Beginnings(engine, sink)
        self._of_requests = frozenset(self._queries["request"].parameters)

    async def create(
        self,
        agent_id: str,
        prompt_type: PromptType,
        prompt_text: str,
        *,
        prompt_name: str | None = None,
        status: PromptStatus = "pending",
        model_used: str | None = None,
        created_at: datetime | None = None,
        id: str | None = None,
        **answer: Any,
    ) -> Prompt:
        """A request; with `answer`, one that has been answered already: any other columns of Prompt."""
        statement = self.statement(
            agent_id,
            prompt_type,
            prompt_text,
            prompt_name=prompt_name,
            status=status,
            model_used=model_used,
            created_at=created_at,
            id=id,
            **answer,
        )
        await self._write(statement)
        return self._inserted(statement)

    def statement(self, agent_id: str, prompt_type: PromptType, prompt_text: str, **columns: Any) -> Statement:
        """What stores a request. Raises InvalidRecord."""
        values = _completed({"agent_id": agent_id, "prompt_type": prompt_type, "prompt_text": prompt_text, **columns})
        return self._insert("request" if values.keys() <= self._of_requests else "create", values)

    async def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Prompts in bulk, a mapping of columns each. Returns how many. A bad row stops it; see `Table._insert_many`."""
        return await self._insert_many(map(_completed, map(dict, rows)))

    async def answer(self, key: str, response_text: str | None = None, **answer: Any) -> None:
        """End a request: `answer` are the other columns that its end sets. Raises NotFound and InvalidTransition.

        A cost that is given counts as reported. Without one, the tokens are priced; `model_used` says at what price.
        """
        if answer.get("model_used") is None and answer.get("tokens_input") is not None:
            answer["model_used"] = (await self.get(key)).model_used
        statement = self.answer_statement(key, response_text=response_text, **answer)
        await self.write_transition(key, answer.get("status", "completed"), statement)

    def answered(self, create: Statement, answer: Statement) -> Statement:
        """What stores a request together with its answer, if neither has been stored yet."""
        values = dict(zip(create.query.parameters, create.rows[0], strict=True))
        for name, value in zip(answer.query.parameters, answer.rows[0], strict=True):
            if value is not None:
                values[name] = value
        whole = self._queries["create"]
        return Statement(whole, [tuple([values.get(name) for name in whole.parameters])])

    def answer_statement(self, key: str, **answer: Any) -> Statement:
        """Raises InvalidRecord; the statement, NotFound."""
        return self._answers.statement({"id": key, "status": "completed", "completed_at": now(), **answer})

    async def update(self, key: str, **changes: Any) -> None:
        """Set columns. The state changes only until it has ended. Raises NotFound and InvalidTransition."""
        if changes.keys() & _DECIDES_COST and "cost_source" not in changes:
            changes |= _new_cost(await self.get(key), changes)
        if "status" not in changes:
            await self._write(self._update(key, changes))
            return
        if changes["status"] in _ENDED:
            changes.setdefault("completed_at", now())
        values = self._checked(changes)
        query = self._queries["change_status"].changing(values)
        statement = self._statement(query, {**values, "id": self._key(key)}, missing=partial(NotFound, self.kind, key))
        await self.write_transition(key, changes["status"], statement)

    async def list(
        self,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        status: PromptStatus | None = None,
        prompt_type: PromptType | None = None,
        model_used: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
        brief: bool = False,
    ) -> Page[Prompt]:
        """The newest first. `before` is the id of the last row of the page before.

        `brief` ones have the first 300 characters of their texts and no details, as a listener to changes gets them.
        """
        filters = {
            "agent_id": agent_id,
            "session_id": session_id,
            "status": status,
            "prompt_type": prompt_type,
            "model_used": model_used,
            "since": since,
            "until": until,
        }
        if brief:
            return await self._beginnings.page(filters, limit=limit, before=before)
        return await self._list(filters, limit=limit, before=before)

    async def write_transition(self, key: str, wanted: str, statement: Statement) -> None:
        """Commit the end of a request. Raises NotFound and InvalidTransition."""
        try:
            await self._write(statement)
        except NotFound:
            current = await self.get(key)
            raise InvalidTransition(self.kind, key, current=current.status, wanted=wanted) from None


def _new_cost(row: Prompt, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What the changes mean for the cost. One that was reported stays, unless it is what changes."""
    if row.cost_source == "reported" and changes.get("cost_usd") is None:
        return {}
    values = with_cost({**row.model_dump(exclude={"cost_usd", "cost_source", "cost_basis"}), **changes})
    return {name: values.get(name) for name in ("cost_usd", "cost_source", "cost_basis")}


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """A new row, with what follows from the values that it was given."""
    values["id"] = values.get("id") or new_id()
    values["created_at"] = values.get("created_at") or now()
    if values.get("status") in _ENDED:
        values["completed_at"] = values.get("completed_at") or now()
    return with_cost(values)


def with_cost(values: dict[str, Any]) -> dict[str, Any]:
    """Says where the cost comes from, and prices the tokens if none was given. Unusable values are left to the row's check."""
    if values.get("cost_source") is None:
        if values.get("cost_usd") is not None:
            values["cost_source"] = "reported"
        elif values.get("status") == "completed":
            values["cost_usd"], values["cost_basis"] = _priced(values)
            values["cost_source"] = "unknown" if values["cost_usd"] is None else "priced"
    return values


def _priced(values: Mapping[str, Any]) -> tuple[Decimal | None, str]:
    counts = [values.get(name) for name in _TOKENS]
    if counts[0] is None or counts[1] is None:
        return None, "the tokens are not known"
    model = values.get("model_used")
    if not isinstance(model, str):
        return None, "the model is not known"
    if not all(count is None or (type(count) is int and 0 <= count < 2**63) for count in counts):
        return None, "the tokens are not numbers"
    found = pricing.price(model, pricing.Tokens(*[count or 0 for count in counts]), values.get("created_at"))
    return found.cost_usd, found.basis
