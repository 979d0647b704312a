"""Kinds of agents: the templates that runs are started from."""

from __future__ import annotations

from typing import Any

from tac_orchestrator.errors import AlreadyExists
from tac_orchestrator.models import AgentType, JsonArray, OrchestratorAgent
from tac_orchestrator.tables.base import Page, Table, new_id, now


class OrchestratorAgents(Table[OrchestratorAgent]):
    kind = "orchestrator_agent"
    name = "orchestrator_agents"
    model = OrchestratorAgent

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
