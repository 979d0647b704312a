"""Kinds of agents: the templates that runs are started from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tac_orchestrator.engines.base import Engine
from tac_orchestrator.errors import AlreadyExists
from tac_orchestrator.models import AgentType, JsonArray, KindUsage, OrchestratorAgent
from tac_orchestrator.tables.base import Page, Sink, Table, new_id, now

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class _Kinds(Table[KindUsage]):
    kind = "orchestrator_agent"
    name = "orchestrator_agents"
    model = KindUsage

    async def since(self, since: datetime, limit: int) -> Page[KindUsage]:
        return [self._row(raw) for raw in await self._fetch(self._queries["usage"], since=since, limit=limit)]


class OrchestratorAgents(Table[OrchestratorAgent]):
    kind = "orchestrator_agent"
    name = "orchestrator_agents"
    model = OrchestratorAgent

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._kinds = _Kinds(engine, sink)

    async def create(
        self,
        name: str,
        *,
        agent_type: AgentType,
        description: str | None = None,
        capabilities: JsonArray | None = None,
        default_model: str | None = None,
        id: str | None = None,
    ) -> OrchestratorAgent:
        """Raises AlreadyExists if the name is taken."""
        statement = self._insert("create", _values(name, agent_type, description, capabilities, default_model, id))
        try:
            await self._write(statement)
        except AlreadyExists as error:
            raise AlreadyExists(self.kind, name, hint="`register` takes the one that exists.") from error
        return self._inserted(statement)

    async def register(
        self,
        name: str,
        *,
        agent_type: AgentType,
        description: str | None = None,
        capabilities: JsonArray | None = None,
        default_model: str | None = None,
    ) -> OrchestratorAgent:
        """The kind of agent of this name, made if there is none. One that exists stays as it is."""
        statement = self._insert("register", _values(name, agent_type, description, capabilities, default_model, None))
        found = await self.find(name)
        if found is None:
            await self._write(statement)
            found = await self.find(name)
        return found or self._inserted(statement)

    async def find(self, name: str) -> OrchestratorAgent | None:
        return await self._first("find", name)

    async def usage(self, *, since: datetime | None = None, limit: int = 1000) -> Page[KindUsage]:
        """By name, with what became of the runs that began since then."""
        self._check_limit(limit)
        return await self._kinds.since(self._checked_filter("since", since or _EVER), limit)

    async def list(
        self, *, agent_type: AgentType | None = None, limit: int = 100, before: str | None = None
    ) -> Page[OrchestratorAgent]:
        """By name. `before` is the id of the last row of the page before."""
        return await self._list({"agent_type": agent_type}, limit=limit, before=before)

    async def update(self, key: str, **changes: Any) -> None:
        """Set columns. Raises NotFound, and AlreadyExists if another has the new name."""
        await self._write(self._update(key, changes))


def _values(
    name: str,
    agent_type: AgentType,
    description: str | None,
    capabilities: JsonArray | None,
    default_model: str | None,
    id: str | None,
) -> dict[str, Any]:
    created_at = now()
    return {
        "id": id or new_id(),
        "name": name,
        "agent_type": agent_type,
        "description": description,
        "capabilities": capabilities,
        "default_model": default_model,
        "created_at": created_at,
        "updated_at": created_at,
    }
