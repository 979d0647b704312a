"""From what people type to the rows that they mean: a whole id or number, or as much of an id as no other begins with."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Literal, NamedTuple

import click

from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound

Thing = Literal["session", "agent", "prompt", "agent_log"]

_ID_BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{0,35}")
_NUMBER = re.compile(r"[1-9]\d{0,17}")
_SHOWN = 5

_HINTS = {
    "agent": "It is named by its id: `tac-orch show SESSION` lists the agents of a session.",
    "prompt": "`tac-orch prompts` lists what there is.",
}


class Found(NamedTuple):
    kind: Thing
    id: str


class Names:
    """What agents are called and which session they are of, remembered."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kinds = dict[str, str]()
        self._agents = dict[str, tuple[str, str]]()

    async def of(self, agent_id: str) -> tuple[str, str]:
        """Its name and its session, empty if it has gone."""
        if agent_id not in self._agents:
            self._agents[agent_id] = await self._read(agent_id)
        return self._agents[agent_id]

    async def _read(self, agent_id: str) -> tuple[str, str]:
        try:
            agent = await self._database.agents.get(agent_id)
            kind = agent.orchestrator_agent_id
            if kind not in self._kinds:
                self._kinds[kind] = (await self._database.orchestrator_agents.get(kind)).name
        except NotFound:
            return "", ""
        return self._kinds[kind], agent.session_id


async def find(database: Database, key: str) -> Found:
    """Raises NotFound, and UsageError if it may mean several."""
    if await database.sessions.find(key) is not None:
        return Found("session", key)
    if await _is_log(database, key):
        return Found("agent_log", key)
    found = [Found("session", id) for id in await database.sessions.matching(key, limit=_SHOWN)]
    found += [Found("agent", id) for id in await matching(database, "agents", key)]
    found += [Found("prompt", id) for id in await matching(database, "prompts", key)]
    return _only(found, key, "session, agent, prompt or log")


async def _is_log(database: Database, key: str) -> bool:
    if not _NUMBER.fullmatch(key):
        return False
    with suppress(NotFound):
        await database.agent_logs.get(key)
        return True
    return False


async def session_id(database: Database, key: str | None) -> str | None:
    """Raises NotFound, and UsageError if it may mean several."""
    if key is None or await database.sessions.find(key) is not None:
        return key
    return _only([Found("session", id) for id in await database.sessions.matching(key, limit=_SHOWN)], key, "session").id


async def agent_id(database: Database, key: str | None) -> str | None:
    """Raises NotFound, and UsageError if it may mean several."""
    return None if key is None else _only(_as(await matching(database, "agents", key), "agent"), key, "agent").id


async def prompt_id(database: Database, key: str | None) -> str | None:
    """Raises NotFound, and UsageError if it may mean several."""
    return None if key is None else _only(_as(await matching(database, "prompts", key), "prompt"), key, "prompt").id


def _as(ids: list[str], kind: Thing) -> list[Found]:
    return [Found(kind, id) for id in ids]


async def matching(database: Database, table: str, key: str) -> list[str]:
    """The ids in this table that begin so, as many as are shown."""
    beginning = key.lower()
    if not _ID_BEGINNING.fullmatch(beginning):
        return []
    query = database.engine.queries(table)["matching"]
    values = {"first": beginning, "last": f"{beginning}g", "limit": _SHOWN}
    rows = await database.engine.fetch(query, [values[name] for name in query.parameters])
    return [row["id"] for row in rows]


def _only(found: list[Found], key: str, kinds: str) -> Found:
    if not found:
        raise NotFound(kinds, key, hint=_HINTS.get(kinds, "`tac-orch sessions` lists what there is."))
    if len(found) > 1:
        several = ", ".join(f"{one.kind} {one.id}" for one in found[:_SHOWN])
        raise click.BadArgumentUsage(f"{key!r} is the beginning of several ids: {several}", click.get_current_context())
    return found[0]
