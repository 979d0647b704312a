"""Events in the lives of agents."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from time import time

import orjson

from tac_orchestrator.engines.base import Statement
from tac_orchestrator.models import AgentLog, JsonObject, LogLevel, LogType
from tac_orchestrator.tables.base import Page, now
from tac_orchestrator.tables.logs import Logs

_LOG = logging.getLogger("tac_orchestrator")


class AgentLogs(Logs[AgentLog]):
    kind = "agent_log"
    name = "agent_logs"
    model = AgentLog

    async def create(
        self,
        agent_id: str,
        log_type: LogType,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> int:
        """Returns the number that the log gets; 0 in a transaction, where it has none yet."""
        statement = self.statement(agent_id, log_type, message, log_level=log_level, details=details, created_at=created_at)
        return (await self.write(statement))[0].first_id

    def log_soon(
        self,
        agent_id: str,
        log_type: LogType,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
    ) -> None:
        """Have a log written without waiting for it. Never raises: what cannot be written is counted and reported.

        The details are taken as they are now; all else is left to the writer's thread.
        """
        try:
            taken = None if details is None else orjson.dumps(details)
        except TypeError as error:
            _LOG.warning("a log was refused: its details are not JSON: %s", error)
        else:
            self._sink.post(partial(self._taken, agent_id, log_type, message, log_level, taken, time()))

    def _taken(
        self, agent_id: str, log_type: LogType, message: str, log_level: LogLevel, details: bytes | None, at: float
    ) -> Statement:
        told = None if details is None else orjson.loads(details)
        created_at = datetime.fromtimestamp(at, UTC)
        return self.statement(agent_id, log_type, message, log_level=log_level, details=told, created_at=created_at)

    async def list(
        self,
        *,
        agent_id: str | None = None,
        session_id: str | None = None,
        log_level: LogLevel | None = None,
        log_type: LogType | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Page[AgentLog]:
        """The newest first. `before` is the id of the last row of the page before."""
        filters = {
            "agent_id": agent_id,
            "session_id": session_id,
            "log_type": log_type,
            "log_level": log_level,
            "since": since,
            "until": until,
        }
        return await self._list(filters, limit=limit, before=before)

    def statement(
        self,
        agent_id: str,
        log_type: LogType,
        message: str,
        *,
        log_level: LogLevel = "INFO",
        details: JsonObject | None = None,
        created_at: datetime | None = None,
    ) -> Statement:
        """What stores a log, to be committed together with something else. Raises InvalidRecord."""
        values = {
            "agent_id": agent_id,
            "log_level": log_level,
            "log_type": log_type,
            "message": message,
            "details": details,
            "created_at": created_at or now(),
        }
        return self._insert("create", values)
