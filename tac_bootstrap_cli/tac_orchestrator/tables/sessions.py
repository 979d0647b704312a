"""Workflows: all agents of one session, and their totals. A session comes into being with its first agent."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

from tac_orchestrator.engines.base import Engine
from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.models import AgentNode, Session, SessionStatus
from tac_orchestrator.tables.base import Page, Sink, Table


class Sessions(Table[Session]):
    kind = "session"
    name = "sessions"
    model = Session

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._nodes = _Nodes(engine, sink)

    async def find(self, key: str) -> Session | None:
        return await self._first("get", key)

    async def list(
        self,
        *,
        status: SessionStatus | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[Session]:
        """The newest first. `before` is the session_id of the last row of the page before."""
        return await self._list({"status": status, "since": since, "until": until}, limit=limit, before=before)

    async def matching(self, prefix: str, *, limit: int = 2) -> Page[str]:
        """The ids of the sessions that begin so; the newest first."""
        self._check_limit(limit)
        if not isinstance(prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidRecord(self.kind, "it takes a text", field="prefix", value=prefix)
        values = {"first": prefix, "last": prefix + chr(sys.maxunicode), "limit": limit}
        return [raw["session_id"] for raw in await self._fetch(self._queries["matching"], **values)]

    async def totals(self) -> dict[str, int]:
        """How many sessions, agents, running agents and prompts there are."""
        (raw,) = await self._fetch(self._queries["totals"])
        return {name: int(count) for name, count in raw.items()}

    async def tree(self, key: str) -> Page[AgentNode]:
        """The agents of a session, each behind its parent. Raises NotFound."""
        await self.get(key)
        return list(_depth_first(await self._nodes.of(key)))


class _Nodes(Table[AgentNode]):
    kind = "agent"
    name = "sessions"
    model = AgentNode

    async def of(self, session_id: str) -> Page[AgentNode]:
        return [self._row(raw) for raw in await self._fetch(self._queries["tree"], session_id=session_id)]


def _depth_first(nodes: Iterable[AgentNode]) -> Iterator[AgentNode]:
    """Parents before their children, siblings by their start. An agent whose parent is elsewhere stands as a root, and so
    does one of a circle, which only plain SQL can make."""
    found = {node.id: node for node in nodes}
    children = defaultdict[str | None, list[AgentNode]](list)
    for node in found.values():
        children[node.parent_agent_id if node.parent_agent_id in found else None].append(node)
    left = dict(found)
    for root in (*children[None], *found.values()):
        pending = [(root, 0)]
        while pending:
            node, depth = pending.pop()
            if left.pop(node.id, None) is not None:
                yield node.model_copy(update={"depth": depth})
                pending += [(child, depth + 1) for child in reversed(children[node.id])]
