"""The feed of changes: everything that any process commits. A listener that comes back misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import InvalidRecord, NotFound
from tac_orchestrator.models import Change
from tac_orchestrator.tables.base import Page, Table

KEPT_CHANGES = 1_000_000
"""So many of the newest changes are kept for listeners that come back. Of logs, all that the store has."""

_LOOK_EVERY_S = 0.05
_PAGE = 1000


class _Position(NamedTuple):
    """How far each of the three sequences has been read that make up the feed."""

    change: int
    agent_log: int
    system_log: int

    def __str__(self) -> str:
        return f"{self.change}.{self.agent_log}.{self.system_log}"


class Changes(Table[Change]):
    kind = "change"
    name = "changes"
    model = Change

    async def last(self) -> str:
        """The position behind everything that has been committed."""
        ends = (await self._fetch(self._queries["ends"]))[0]
        return str(_Position(ends["change"] or 0, ends["agent_log"] or 0, ends["system_log"] or 0))

    async def after(self, position: str = "0.0.0", *, limit: int = _PAGE) -> Page[Change]:
        """What was committed behind this position: rows that changed in the order of their changes, then new logs in theirs.

        Each change tells the position behind itself. Raises NotFound if what followed this one is no longer kept.
        """
        at = self._parsed(position)
        found = list[Change]()
        for place, sequence in enumerate(("changes_after", "agent_logs_after", "system_logs_after")):
            rows = await self._fetch(self._queries[sequence], id=at[place], limit=limit - len(found))
            if place == 0 and rows and rows[0]["id"] > at.change + 1:
                await self._refuse_gap(at)
            for raw in rows:
                at = at._replace(**{at._fields[place]: raw["id"]})
                found.append(self._row({**raw, "row_id": str(raw["row_id"]), "position": str(at)}))
        return found

    async def follow(self, position: str | None = None) -> AsyncIterator[Change]:
        """Every change behind this position, or from now on, as long as the listener likes. Raises NotFound, see `after`."""
        async for found in self.follow_pages(position):
            for change in found:
                yield change

    async def follow_pages(self, position: str | None = None) -> AsyncIterator[Page[Change]]:
        """The same, with all that one look has found together."""
        position = await self.last() if position is None else position
        seen = None
        while True:
            generation = await self._engine.generation()
            if generation == seen:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            while found := await self.after(position):
                yield found
                position = found[-1].position
            seen = generation

    def trim(self) -> Statement:
        """Forgets the oldest changes."""
        return self._statement("trim", {"keep": KEPT_CHANGES})

    def _parsed(self, position: str) -> _Position:
        parts = position.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise InvalidRecord(self.kind, "a position reads like 12.345.6", field="position", value=position)
        return _Position(*map(int, parts))

    async def _refuse_gap(self, at: _Position) -> None:
        first = (await self._fetch(self._queries["ends"]))[0]["first"]
        if first is not None and first > at.change + 1:
            raise NotFound(self.kind, str(at), hint="What followed it is no longer kept. Read the tables anew.")
