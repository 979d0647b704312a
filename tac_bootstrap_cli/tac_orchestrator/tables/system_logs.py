"""Events that belong to no agent."""

from __future__ import annotations

from datetime import datetime

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.models import JsonObject, LogLevel, SystemLog
from tac_orchestrator.tables.base import Page, now
from tac_orchestrator.tables.logs import Logs


class SystemLogs(Logs[SystemLog]):
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
        """Returns the number that the log gets; 0 in a transaction, where it has none yet."""
        statement = self.statement(component, message, log_level=log_level, details=details, created_at=created_at)
        return (await self._write(statement))[0].first_id

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

    def statement(
        self,
        component: str,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> Statement:
        """What stores a log. Raises InvalidRecord."""
        values = {
            "log_level": log_level,
            "component": component,
            "message": message,
            "details": details,
            "created_at": created_at or now(),
        }
        return self._insert("create", values)
