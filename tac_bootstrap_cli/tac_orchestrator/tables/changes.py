"""The feed of changes: everything that any process commits, in order. A listener that comes back misses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import NotFound
from tac_orchestrator.models import Change
from tac_orchestrator.tables.base import Page, Table

KEPT_CHANGES = 1_000_000
"""So many of the newest changes are kept for listeners that come back."""

_LOOK_EVERY_S = 0.05
_PAGE = 1000


class Changes(Table[Change]):
    kind = "change"
    name = "changes"
    model = Change

    async def last(self) -> int:
        """The id of the newest change; 0 if there is none."""
        return (await self._fetch(self._queries["ends"]))[0]["last"] or 0

    async def after(self, key: int, *, limit: int = _PAGE) -> Page[Change]:
        """What was committed after this change. Raises NotFound if what followed it is no longer kept."""
        found = [self._row(raw) for raw in await self._fetch(self._queries["after"], id=key, limit=limit)]
        if found and found[0].id > key + 1:
            first = (await self._fetch(self._queries["ends"]))[0]["first"]
            if first > key + 1:
                raise NotFound(self.kind, key + 1, hint=f"Changes before {first} are no longer kept. Read the tables anew.")
        return found

    async def follow(self, key: int | None = None) -> AsyncIterator[Change]:
        """Every change after this one, or from now on, for as long as the listener likes. Raises NotFound, see `after`."""
        key = await self.last() if key is None else key
        seen = None
        while True:
            generation = await self._engine.generation()
            if generation == seen:
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            while found := await self.after(key):
                for change in found:
                    yield change
                key = found[-1].id
            seen = generation

    def trim(self) -> Statement:
        """Forgets the oldest changes."""
        return self._statement("trim", {"keep": KEPT_CHANGES})
