"""What the two tables of logs share: rows are only ever added, and go by age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from tac_orchestrator.models import AgentLog, SystemLog
from tac_orchestrator.tables.base import PIECE, Table, now

L = TypeVar("L", AgentLog, SystemLog)


class Logs(Table[L]):
    async def create_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Logs in bulk, a mapping of columns each. Returns how many. A bad row stops it; see `Table._insert_many`."""
        return await self._insert_many({"created_at": now(), **row} for row in rows)

    async def delete_older(self, until: datetime) -> int:
        """Those made before this time, in pieces beside which others can write. Returns how many there were."""
        count = 0
        while True:
            outcomes = await self._write(self._statement("delete_older", {"until": until, "limit": PIECE}))
            count += outcomes[0].changed
            if outcomes[0].changed < PIECE:
                return count
