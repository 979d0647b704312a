"""The flat verbs that ADW scripts call. Each is one of `Database`, with rows as dicts and times as text.

JSON columns are text, as the scripts make and read them, but for the details of a log, which are a dict.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tac_orchestrator.database import Database
from tac_orchestrator.errors import DatabaseUnavailable, InvalidRecord, NotFound
from tac_orchestrator.models import Row, dump_json
from tac_orchestrator.tables.base import MAX_PAGE, Page

Record = dict[str, Any]

_LOG = logging.getLogger("tac_orchestrator")
_JSON_TEXT = ("capabilities", "context", "config")
_TIMES = ("started_at", "completed_at", "created_at", "updated_at")


class DatabaseManager:
    """One store, connected between `connect` and `close` or in an `async with` block.

    `conn` is an aiosqlite connection while it is connected.
    """

    def __init__(self, db_path: str | Path | None = None) -> None:
        self.db_path = db_path
        self.conn: Any = None
        self._database: Database | None = None

    async def connect(self) -> None:
        if self._database is None:
            self._database = await Database.open(self.db_path).connect()
            self.conn = await self._database.raw_connection()

    async def close(self) -> None:
        """Safe to call twice."""
        database, self._database = self._database, None
        connection, self.conn = self.conn, None
        if connection is not None:
            await connection.close()
        if database is not None:
            await database.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def database(self) -> Database:
        """Everything else that the store can do."""
        if self._database is None:
            raise DatabaseUnavailable(str(self.db_path), "the manager is not connected", hint="Call `connect` first.")
        return self._database

    async def create_orchestrator_agent(
        self,
        name: str,
        description: str | None = None,
        agent_type: str = "utility",
        capabilities: str | list[Any] | None = None,
        default_model: str | None = None,
    ) -> str:
        """Returns the id."""
        values: Any = {"agent_type": agent_type, "capabilities": _as_list(capabilities)}
        row = await self.database.orchestrator_agents.create(
            name, description=description, default_model=default_model, **values
        )
        return row.id

    async def get_orchestrator_agent(self, agent_id: str) -> Record | None:
        return await _found(self.database.orchestrator_agents.get, agent_id)

    async def list_orchestrator_agents(self) -> Page[Record]:
        """The newest first."""
        rows = await self.database.orchestrator_agents.list(limit=MAX_PAGE)
        return _dicts(sorted(rows, key=lambda row: row.created_at, reverse=True))

    async def update_orchestrator_agent(self, agent_id: str, **changes: Any) -> bool:
        """False if there is none."""
        if "capabilities" in changes:
            changes["capabilities"] = _as_list(changes["capabilities"])
        return await _done(self.database.orchestrator_agents.update(agent_id, **changes), changes)

    async def delete_orchestrator_agent(self, agent_id: str) -> bool:
        """False if there is none."""
        return await _done(self.database.orchestrator_agents.delete(agent_id))

    async def create_agent(
        self,
        orchestrator_agent_id: str,
        session_id: str,
        parent_agent_id: str | None = None,
        status: str = "initializing",
        context: str | Record | None = None,
        config: str | Record | None = None,
    ) -> str:
        """Returns the id."""
        values: Any = {"status": status, "context": _as_object(context), "config": _as_object(config)}
        row = await self.database.agents.create(orchestrator_agent_id, session_id, parent_agent_id=parent_agent_id, **values)
        return row.id

    async def get_agent(self, agent_id: str) -> Record | None:
        return await _found(self.database.agents.get, agent_id)

    async def list_agents(self, session_id: str | None = None) -> Page[Record]:
        """The newest first."""
        return _dicts(await self.database.agents.list(session_id=session_id, limit=MAX_PAGE))

    async def update_agent(self, agent_id: str, **changes: Any) -> bool:
        """False if there is none. An agent's cost is the sum of its prompts: one that is set here becomes a prompt of what
        they do not account for."""
        cost = changes.pop("cost_usd", None)
        for name in ("context", "config"):
            if name in changes:
                changes[name] = _as_object(changes[name])
        done = await _done(self.database.agents.update(agent_id, **_with_times(changes)), changes)
        if cost is not None:
            done = await self._account_for(agent_id, cost)
        return done

    async def delete_agent(self, agent_id: str) -> bool:
        """False if there is none."""
        return await _done(self.database.agents.delete(agent_id))

    async def create_prompt(
        self,
        agent_id: str,
        prompt_type: str,
        prompt_text: str,
        prompt_name: str | None = None,
        status: str = "pending",
        model_used: str | None = None,
    ) -> str:
        """Returns the id."""
        kind: Any = prompt_type
        state: Any = status
        row = await self.database.prompts.create(
            agent_id, kind, prompt_text, prompt_name=prompt_name, model_used=model_used, status=state
        )
        return row.id

    async def get_prompt(self, prompt_id: str) -> Record | None:
        return await _found(self.database.prompts.get, prompt_id)

    async def list_prompts(self, agent_id: str) -> Page[Record]:
        """The oldest first."""
        return _dicts(reversed(await self.database.prompts.list(agent_id=agent_id, limit=MAX_PAGE)))

    async def update_prompt(self, prompt_id: str, **changes: Any) -> bool:
        """False if there is none."""
        found = await self.get_prompt(prompt_id)
        if found is None:
            return False
        if changes.get("status") == found["status"]:
            del changes["status"]
        return await _done(self.database.prompts.update(prompt_id, **_with_times(changes)), changes)

    async def delete_prompt(self, prompt_id: str) -> bool:
        """False if there is none."""
        return await _done(self.database.prompts.delete(prompt_id))

    async def create_agent_log(
        self, agent_id: str, log_level: str, log_type: str, message: str, details: Record | None = None
    ) -> int:
        """Returns the number that the log gets."""
        kind: Any = log_type
        level: Any = log_level
        return await self.database.agent_logs.create(agent_id, kind, message, log_level=level, details=details)

    async def log_agent_event(
        self, agent_id: str, log_type: str, message: str, metadata: Record | None = None, log_level: str = "INFO"
    ) -> int | None:
        """The number that the log gets, or None if it could not be stored. Never raises."""
        try:
            return await self.create_agent_log(agent_id, log_level, log_type, message, metadata)
        except Exception as error:
            _LOG.warning("an event of agent %s is not recorded: %s", agent_id, error)
            return None

    async def get_agent_logs(self, agent_id: str, log_level: str | None = None) -> Page[Record]:
        """The oldest first."""
        level: Any = log_level
        return _dicts(reversed(await self.database.agent_logs.list(agent_id=agent_id, log_level=level, limit=MAX_PAGE)))

    async def list_recent_agent_logs(self, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await self.database.agent_logs.list(limit=limit))

    get_recent_logs = list_recent_agent_logs

    async def get_agent_logs_by_type(self, agent_id: str, log_type: str, limit: int = 100) -> Page[Record]:
        """The newest first."""
        kind: Any = log_type
        return _dicts(await self.database.agent_logs.list(agent_id=agent_id, log_type=kind, limit=limit))

    async def get_logs_by_type(self, log_type: str, limit: int = 100) -> Page[Record]:
        """The newest first."""
        kind: Any = log_type
        return _dicts(await self.database.agent_logs.list(log_type=kind, limit=limit))

    async def cleanup_old_logs(self, days: int = 30) -> int:
        """Deletes the logs of agents that are older. Returns how many there were."""
        if days < 0:
            raise InvalidRecord("agent_log", "it takes 0 or more", field="days", value=days)
        return await self.database.agent_logs.delete_older(datetime.now(UTC) - timedelta(days=days))

    async def create_system_log(self, log_level: str, component: str, message: str, details: Record | None = None) -> int:
        """Returns the number that the log gets."""
        level: Any = log_level
        return await self.database.system_logs.create(component, message, log_level=level, details=details)

    async def get_system_logs(self, log_level: str | None = None, component: str | None = None) -> Page[Record]:
        """The oldest first."""
        level: Any = log_level
        return _dicts(reversed(await self.database.system_logs.list(log_level=level, component=component, limit=MAX_PAGE)))

    async def list_recent_system_logs(self, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await self.database.system_logs.list(limit=limit))

    async def _account_for(self, agent_id: str, cost: Decimal | float) -> bool:
        found = await self.get_agent(agent_id)
        if found is None:
            return False
        missing = Decimal(str(cost)) - Decimal(str(found["cost_usd"] or 0))
        if missing < 0:
            raise InvalidRecord("agent", "its prompts cost more than that", field="cost_usd", value=cost)
        if missing > 0:
            await self.database.prompts.create(
                agent_id, "adw", "", prompt_name="cost reported by the script", status="completed", cost_usd=missing
            )
        return True


async def _found(get: Callable[[str], Awaitable[Row]], key: str) -> Record | None:
    try:
        return _dict(await get(key))
    except NotFound:
        return None


async def _done(write: Awaitable[None], changes: Record | None = None) -> bool:
    """Whether there was a row to write to. To set nothing is to do nothing."""
    if changes == {}:
        if hasattr(write, "close"):
            write.close()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        return False
    try:
        await write
    except NotFound:
        return False
    return True


def _dicts(rows: Any) -> Page[Record]:
    return [_dict(row) for row in rows]


def _dict(row: Row) -> Record:
    """A row with times, money and JSON as the scripts know them."""
    values = dict(row)
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = value.replace(tzinfo=None).isoformat(timespec="microseconds")
        elif isinstance(value, Decimal):
            values[name] = float(value)
        elif name in _JSON_TEXT and value is not None:
            values[name] = dump_json(value)
    return values


def _with_times(changes: Record) -> Record:
    """Scripts give times as text, in UTC and without saying so."""
    for name in _TIMES:
        if isinstance(changes.get(name), str):
            changes[name] = datetime.fromisoformat(changes[name])
        if isinstance(changes.get(name), datetime) and changes[name].tzinfo is None:
            changes[name] = changes[name].replace(tzinfo=UTC)
    return changes


def _as_object(value: str | Record | None) -> Any:
    """JSON text is what scripts give; other text is kept as the value of "text"."""
    found: Any = _parsed(value) if isinstance(value, str) else value
    return found if found is None or type(found) is dict else {"text": value}  # pyright: ignore[reportUnknownVariableType]


def _as_list(value: str | list[Any] | None) -> Any:
    """A JSON array, or names with commas between them."""
    found: Any = _parsed(value) if isinstance(value, str) else value
    if isinstance(found, str):
        return [part.strip() for part in found.split(",") if part.strip()]
    return found if found is None or type(found) is list else [found]  # pyright: ignore[reportUnknownVariableType]


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text
