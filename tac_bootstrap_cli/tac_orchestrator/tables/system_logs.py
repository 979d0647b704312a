"""Events that belong to no agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tac_orchestrator.models import JsonObject, LogLevel, SystemLog
from tac_orchestrator.tables.base import PIECE, Page, Table, now


class SystemLogs(Table[SystemLog]):
    kind = "system_log"
    name = "system_logs"
    model = SystemLog

    async def create(
        self,
        component: str,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> int:
        """Returns the number that the log gets."""
        values = {
            "log_level": log_level,
            "component": component,
            "message": message,
            "details": details,
            "created_at": created_at or now(),
        }
        return (await self._write(self._insert("create", values)))[0].first_id

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

    async def list(
        self,
        *,
        log_level: LogLevel | None = None,
        component: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Page[SystemLog]:
        """The newest first. `before` is the id of the last row of the page before."""
        filters = {"log_level": log_level, "component": component, "since": since, "until": until}
        return await self._list(filters, limit=limit, before=before)
