"""The feed of changes: everything that any process commits. A listener that comes back misses nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import InvalidRecord, NotFound
from tac_orchestrator.models import Change
from tac_orchestrator.tables.base import Page, Table

KEPT_CHANGES = 1_000_000
"""So many of the newest changes are kept for listeners that come back. Of logs, all that the store has."""

_PAGE = 1000
_SEQUENCES = ("changes_after", "agent_logs_after", "system_logs_after")


class _Position(NamedTuple):
    """How far the feed has been read: a number for each of the sequences that make it up. Where it is one sequence, it has all
    three numbers to itself."""

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
        """The position behind everything that has been committed; on a server, as far as no open transaction holds it back."""
        return (await self._fetch(self._queries["last"]))[0]["position"]

    async def after(self, position: str = "0.0.0", *, limit: int = _PAGE) -> Page[Change]:
        """What was committed behind this position: rows that changed in the order of their changes, then new logs in theirs.

        Each change tells the position behind itself. Raises NotFound if what followed this one is no longer kept.
        """
        self._check_limit(limit)
        at = self._parsed(position)
        ends = await self._ends()
        found = list[Change]()
        for place, sequence in enumerate(_SEQUENCES):
            if sequence not in self._queries:
                continue
            wanted = {**at._asdict(), **ends, "position": str(at), "limit": limit - len(found)}
            rows = await self._fetch(self._queries[sequence], **wanted)
            if place == 0 and rows and self._parsed(rows[0]["position"]).change != at.change + 1:
                await self._refuse_gap(at)
            found += map(self._row, rows)
            if len(found) == limit:
                break
            at = self._parsed(found[-1].position) if rows else at
        return found

    async def follow(self, position: str | None = None) -> AsyncIterator[Change]:
        """Every change behind this position, or from now on, as long as the listener likes. Raises NotFound, see `after`."""
        async for found in self.follow_pages(position):
            for change in found:
                yield change

    async def follow_pages(self, position: str | None = None) -> AsyncIterator[Page[Change]]:
        """The same, with all that one look has found together."""
        if position is None:
            position = await self.last()
        else:
            await self._refuse_gap(self._parsed(position))
        seen = None
        while True:
            generation = await self._engine.generation()
            if generation == seen:
                await self._engine.lull()
                continue
            while found := await self.after(position):
                yield found
                position = found[-1].position
            seen = generation

    def seen_at(self, position: str) -> Callable[[Change], bool]:
        """Whether somebody who has read up to this position has seen a change."""
        reached = self._parsed(position)
        if not self._is_split:
            return lambda change: self._parsed(change.position) <= reached
        return lambda change: self._parsed(change.position)[_sequence_of(change)] <= reached[_sequence_of(change)]

    def trim(self) -> Statement:
        """Forgets the oldest changes."""
        return self._statement("trim", {"keep": KEPT_CHANGES})

    async def _ends(self) -> dict[str, int]:
        """How far logs are told where they are counted by themselves: as they were before the rows that they belong to are
        looked up. Who is told of a log knows its agent."""
        if not self._is_split:
            return {}
        _, agent_log, system_log = self._parsed(await self.last())
        return {"last_agent_log": agent_log, "last_system_log": system_log}

    @property
    def _is_split(self) -> bool:
        return all(sequence in self._queries for sequence in _SEQUENCES)

    def _parsed(self, position: str) -> _Position:
        parts = position.split(".") if isinstance(position, str) else ()  # pyright: ignore[reportUnnecessaryIsInstance]
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
            raise InvalidRecord(self.kind, "a position reads like 12.345.6", field="position", value=position)
        return _Position(*map(int, parts))

    async def _refuse_gap(self, at: _Position) -> None:
        if await self._fetch(self._queries["gone"], id=at.change, position=str(at)):
            raise NotFound(self.kind, str(at), hint="What followed it is no longer kept. Read the tables anew.")


def _sequence_of(change: Change) -> int:
    """Where each kind is counted by itself, new logs have their own numbers."""
    return {"agent_log": 1, "system_log": 2}.get(change.entity, 0) if change.operation == "insert" else 0
