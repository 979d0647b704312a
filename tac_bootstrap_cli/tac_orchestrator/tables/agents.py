"""Runs of agents: their rows, and how their states follow one another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import InvalidRecord, InvalidTransition, NotFound
from tac_orchestrator.models import Agent, AgentStatus, JsonObject, LogLevel
from tac_orchestrator.tables.base import Page, Table, new_id, now

ENDED = ("completed", "failed", "cancelled")
_LEVELS: Mapping[str, LogLevel] = {"failed": "ERROR", "cancelled": "WARNING"}


class Agents(Table[Agent]):
    kind = "agent"
    name = "agents"
    model = Agent

    async def create(
        self,
        orchestrator_agent_id: str,
        session_id: str,
        *,
        parent_agent_id: str | None = None,
        status: AgentStatus = "initializing",
        context: JsonObject | None = None,
        config: JsonObject | None = None,
        started_at: datetime | None = None,
        completed_at: datetime | None = None,
        error_message: str | None = None,
        lease_id: str | None = None,
        id: str | None = None,
    ) -> Agent:
        """A run that somebody else ends. `run` makes one that ends by itself."""
        values = {
            "id": id or new_id(),
            "orchestrator_agent_id": orchestrator_agent_id,
            "session_id": session_id,
            "parent_agent_id": parent_agent_id,
            "status": status,
            "context": context,
            "config": config,
            "started_at": started_at or now(),
            "completed_at": completed_at or (now() if status in ENDED else None),
            "error_message": error_message,
            "lease_id": lease_id,
        }
        statement = self._insert("create", values)
        await self._write(statement)
        return self._inserted(statement)

    async def list(
        self,
        *,
        session_id: str | None = None,
        status: AgentStatus | None = None,
        orchestrator_agent_id: str | None = None,
        parent_agent_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[Agent]:
        """The newest first. `before` is the id of the last row of the page before."""
        filters = {
            "parent_agent_id": parent_agent_id,
            "session_id": session_id,
            "status": status,  # fewer agents are in any state but "completed" than are of one kind
            "orchestrator_agent_id": orchestrator_agent_id,
            "since": since,
            "until": until,
        }
        return await self._list(filters, limit=limit, before=before)

    async def update(self, key: str, **changes: Any) -> None:
        """Set columns. A state that has ended is final; see `resume`. Raises NotFound and InvalidTransition."""
        if "cost_usd" in changes:
            raise InvalidRecord(self.kind, "it is the sum of the prompts' costs", field="cost_usd", value=changes["cost_usd"])
        if "status" not in changes:
            await self._write(self._update(key, changes))
            return
        await self.write_status(key, self.status_statements(key, **changes), wanted=changes["status"])

    async def finish(self, key: str) -> None:
        """It completed. Raises NotFound and InvalidTransition."""
        await self.update(key, status="completed")

    async def fail(self, key: str, reason: str) -> None:
        """Raises NotFound and InvalidTransition."""
        await self.update(key, status="failed", error_message=reason)

    async def cancel(self, key: str, reason: str | None = None) -> None:
        """Raises NotFound and InvalidTransition."""
        await self.update(key, status="cancelled", error_message=reason)

    async def let_go(self, lease_id: str) -> None:
        """The agents that run under this lease are not ended with its process any more."""
        await self._write(self._statement("let_go", {"lease_id": lease_id}))

    def status_statements(self, key: str, **changes: Any) -> list[Statement]:
        """The change of a state, and the log that says so, which are committed together."""
        at = now()
        if changes["status"] in ENDED:
            changes.setdefault("completed_at", at)
        values = self._checked(changes)
        logged = {
            "id": self._key(key),
            "status": values["status"],
            "log_level": _LEVELS.get(values["status"], "INFO"),
            "details": {"error": values["error_message"]} if values.get("error_message") else None,
            "created_at": values.get("completed_at") or at,
        }
        query = self._queries["change_status"].changing(values)
        return [
            self._statement("log_status", logged),
            self._statement(query, {**values, "id": self._key(key)}, missing=partial(NotFound, "running agent", key)),
        ]

    def resume_statements(self, key: str, lease_id: str | None) -> list[Statement]:
        """The way back from an end, and the log that says so."""
        return [
            self._statement("log_resume", {"id": self._key(key), "created_at": now()}),
            self._statement("resume", {"id": self._key(key), "lease_id": lease_id}, missing=partial(NotFound, self.kind, key)),
        ]

    async def write_status(self, key: str, statements: list[Statement], *, wanted: str) -> None:
        """Commit a change of state. Ending twice in the same way is one end. Raises NotFound and InvalidTransition."""
        try:
            await self._write(*statements)
        except NotFound:
            current = (await self.get(key)).status
            if current != wanted:
                raise InvalidTransition(self.kind, key, current=current, wanted=wanted, hint=_HINT) from None


_HINT = "`db.agents.resume` takes it up again."
