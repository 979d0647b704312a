"""What the two tables of logs share: rows are only ever added, and go by age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from tac_orchestrator.errors import DatabaseBusy, DatabaseFull, DatabaseReadOnly
from tac_orchestrator.models import AgentLog, SystemLog
from tac_orchestrator.tables.base import PIECE, Table, now

L = TypeVar("L", AgentLog, SystemLog)

# So many are counted in one commit, beside which others wait; and as few again and again by whoever asks.
_COUNTED_A_STEP = 250_000
_LEFT_UNCOUNTED = 20_000


class Logs(Table[L]):
    async def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Logs in bulk, a mapping of columns each. Returns how many. A bad row stops it; see `Table._insert_many`."""
        return await self._insert_many({"created_at": now(), **row} for row in rows)

    async def count(self) -> int:
        """How many there are. What was counted once is not counted again, where the store can be written to."""
        if "uncounted" in self._queries:
            with suppress(DatabaseReadOnly, DatabaseFull, DatabaseBusy):
                await self._note_count()
        return int((await self._fetch(self._queries["count"]))[0]["log_count"])

    async def _note_count(self) -> None:
        """In steps between which others can write. A few are soon counted by whoever asks."""
        (raw,) = await self._fetch(self._queries["uncounted"])
        position: int = raw["position"]
        while raw["last"] - position > _LEFT_UNCOUNTED:
            position = min(position + _COUNTED_A_STEP, raw["last"])
            await self._write(self._statement("note_count", {"last": position}))

    async def delete_older(self, until: datetime) -> int:
        """Those made before this time, in pieces beside which others can write. Returns how many there were."""
        values = {"until": self._checked_filter("until", until), "limit": PIECE}
        count = 0
        while True:
            outcomes = await self._write(self._statement("delete_older", values))
            count += outcomes[0].changed
            if outcomes[0].changed < PIECE:
                return count
