"""The flat verbs that ADW scripts call. Each is one of `Database`, with rows as dicts and times as text.

JSON columns are text, as the scripts make and read them, but for the details of a log, which are a dict. Scripts were written
for a plain SQLite file and are taken as they are: columns that there are not are left out with a warning, and text, numbers and
dicts may stand for each other where the meaning is clear.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite, nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from tac_orchestrator.database import Database
from tac_orchestrator.errors import DatabaseUnavailable, InvalidRecord, NotFound
from tac_orchestrator.models import Agent, OrchestratorAgent, Prompt, Row, dump_json, eight_places
from tac_orchestrator.tables.base import MAX_PAGE, Page

Record = dict[str, Any]

_LOG = logging.getLogger("tac_orchestrator")
_JSON_TEXT = ("capabilities", "context", "config")
_TIMES = ("started_at", "completed_at", "created_at", "updated_at")
_LONGEST_DAYS = 700_000  # before that there is no time
_COUNTS = ("latency_ms", "tokens_input", "tokens_output")

__all__ = ["DatabaseManager", "Record"]


class DatabaseManager:
    """One store, connected between `connect` and `close` or in an `async with` block.

    `conn` is an aiosqlite connection while it is connected, or an asyncpg one to PostgreSQL. What was written with it is
    committed by `conn.commit()`, or by the next verb that writes.
    """

    def __init__(self, db_path: str | Path | None = None) -> None:
        self.db_path = db_path
        self.conn: Any = None
        self._database: Database | None = None

    async def connect(self) -> None:
        """Makes the store on first use. Does nothing if it is connected."""
        if self._database is None:
            self._database = await Database.open(self.db_path).connect()
            try:
                self.conn = await self._database.raw_connection()
            except BaseException:
                await self.close()
                raise

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

    async def _writing(self) -> Database:
        """The store, once `conn` lets others write."""
        database = self.database
        if getattr(self.conn, "in_transaction", False):  # one to PostgreSQL commits each statement by itself
            await self.conn.commit()
        return database

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
        row = await (await self._writing()).orchestrator_agents.create(
            name, description=description, default_model=default_model, **values
        )
        return row.id

    async def get_orchestrator_agent(self, agent_id: str) -> Record | None:
        return await _found(self.database.orchestrator_agents.get, agent_id)

    async def list_orchestrator_agents(self) -> Page[Record]:
        """The newest first."""
        rows = await _rows(self.database.orchestrator_agents.list)
        return _dicts(sorted(rows, key=lambda row: row.created_at, reverse=True))

    async def update_orchestrator_agent(self, agent_id: str, **changes: Any) -> bool:
        """False if there is none."""
        changes = _columns(OrchestratorAgent, changes)
        if "capabilities" in changes:
            changes["capabilities"] = _as_list(changes["capabilities"])
        return await _done((await self._writing()).orchestrator_agents.update, agent_id, changes)

    async def delete_orchestrator_agent(self, agent_id: str) -> bool:
        """False if there is none."""
        return await _done((await self._writing()).orchestrator_agents.delete, agent_id)

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
        agents = (await self._writing()).agents
        row = await agents.create(orchestrator_agent_id, session_id, parent_agent_id=parent_agent_id or None, **values)
        return row.id

    async def get_agent(self, agent_id: str) -> Record | None:
        return await _found(self.database.agents.get, agent_id)

    async def list_agents(self, session_id: str | None = None) -> Page[Record]:
        """The newest first."""
        return _dicts(await _rows(self.database.agents.list, session_id=session_id))

    async def update_agent(self, agent_id: str, **changes: Any) -> bool:
        """False if there is none. An agent's cost is the sum of its prompts: one that is set here becomes a prompt of what
        they do not account for."""
        changes = _columns(Agent, changes)
        cost = _as_money(changes.pop("cost_usd", None))
        for name in ("context", "config"):
            if name in changes:
                changes[name] = _as_object(changes[name])
        agents = (await self._writing()).agents
        done = bool(changes) and await _done(agents.update, agent_id, changes)
        return await self._account_for(agent_id, cost) if cost is not None else done

    async def delete_agent(self, agent_id: str) -> bool:
        """False if there is none."""
        return await _done((await self._writing()).agents.delete, agent_id)

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
        row = await (await self._writing()).prompts.create(
            agent_id, kind, prompt_text, prompt_name=prompt_name, model_used=model_used, status=state
        )
        return row.id

    async def get_prompt(self, prompt_id: str) -> Record | None:
        return await _found(self.database.prompts.get, prompt_id)

    async def list_prompts(self, agent_id: str) -> Page[Record]:
        """The oldest first."""
        return _dicts(reversed(await _rows(self.database.prompts.list, agent_id=agent_id)))

    async def update_prompt(self, prompt_id: str, **changes: Any) -> bool:
        """False if there is none."""
        changes = _columns(Prompt, changes)
        prompts = (await self._writing()).prompts
        if "status" in changes:
            found = await self.get_prompt(prompt_id)
            if found is not None and changes["status"] == found["status"]:
                del changes["status"]
                if not changes:
                    return True
        return await _done(prompts.update, prompt_id, changes)

    async def delete_prompt(self, prompt_id: str) -> bool:
        """False if there is none."""
        return await _done((await self._writing()).prompts.delete, prompt_id)

    async def create_agent_log(
        self, agent_id: str, log_level: str, log_type: str, message: str, details: Record | None = None
    ) -> int:
        """Returns the number that the log gets."""
        kind: Any = log_type
        level: Any = log_level
        logs = (await self._writing()).agent_logs
        return await logs.create(agent_id, kind, message, log_level=level, details=_as_object(details))

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
        return _dicts(reversed(await _rows(self.database.agent_logs.list, agent_id=agent_id, log_level=log_level)))

    async def list_recent_agent_logs(self, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await _rows(self.database.agent_logs.list, limit))

    get_recent_logs = list_recent_agent_logs

    async def get_agent_logs_by_type(self, agent_id: str, log_type: str, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await _rows(self.database.agent_logs.list, limit, agent_id=agent_id, log_type=log_type))

    async def get_logs_by_type(self, log_type: str, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await _rows(self.database.agent_logs.list, limit, log_type=log_type))

    async def cleanup_old_logs(self, days: int = 30) -> int:
        """Deletes the logs of agents that are older. Returns how many there were."""
        wanted = _as_number("days", days)
        if wanted < 0:
            raise InvalidRecord("agent_log", "it takes 0 or more", field="days", value=days)
        since = timedelta(days=min(wanted, _LONGEST_DAYS))
        return await (await self._writing()).agent_logs.delete_older(datetime.now(UTC) - since)

    async def create_system_log(self, log_level: str, component: str, message: str, details: Record | None = None) -> int:
        """Returns the number that the log gets."""
        level: Any = log_level
        logs = (await self._writing()).system_logs
        return await logs.create(component, message, log_level=level, details=_as_object(details))

    async def get_system_logs(self, log_level: str | None = None, component: str | None = None) -> Page[Record]:
        """The oldest first."""
        return _dicts(reversed(await _rows(self.database.system_logs.list, log_level=log_level, component=component)))

    async def list_recent_system_logs(self, limit: int = 100) -> Page[Record]:
        """The newest first."""
        return _dicts(await _rows(self.database.system_logs.list, limit))

    async def _account_for(self, agent_id: str, cost: Decimal) -> bool:
        found = await self.get_agent(agent_id)
        if found is None:
            return False
        missing = cost - eight_places(found["cost_usd"] or 0)
        if missing < 0:
            _LOG.warning("agent %s keeps its cost, which is that of its prompts: more than %s", agent_id, cost)
        elif missing > 0:
            await self.database.prompts.create(
                agent_id, "adw", "", prompt_name="cost reported by the script", status="completed", cost_usd=missing
            )
        return True


async def _found(get: Callable[[str], Awaitable[Row]], key: str) -> Record | None:
    with suppress(NotFound):
        return _dict(await get(key))
    return None


async def _done(write: Callable[..., Awaitable[None]], key: str, changes: Record | None = None) -> bool:
    """Whether there was a row to write to. To set nothing is to do nothing."""
    if changes is not None and not changes:
        return False
    with suppress(NotFound):
        await write(key, **(changes or {}))
        return True
    return False


async def _rows(page: Callable[..., Awaitable[Page[Any]]], limit: int | None = None, **filters: str | None) -> Page[Any]:
    """All rows, or so many, however many pages they fill. A filter without a value is none, and neither is a limit below 0."""
    wanted = {name: value for name, value in filters.items() if value}
    rows: Page[Any] = []
    limit = None if limit is None else int(_as_number("limit", limit))
    while limit is None or limit < 0 or len(rows) < limit:
        size = MAX_PAGE if limit is None or limit < 0 else min(MAX_PAGE, limit - len(rows))
        more = await page(**wanted, limit=size, **({"before": rows[-1].id} if rows else {}))
        rows += more
        if len(more) < size:
            break
    return rows


def _columns(model: type[Row], changes: Record) -> Record:
    """What can be stored, with times and counts as they are kept."""
    unknown = changes.keys() - model.model_fields.keys()
    if unknown:
        _LOG.warning("there is no column for %s: not recorded", ", ".join(sorted(unknown)))
    return {name: _value(name, value) for name, value in changes.items() if name not in unknown}


def _value(name: str, value: Any) -> Any:
    if name in _TIMES:
        return _as_time(name, value)
    return round(value) if name in _COUNTS and isinstance(value, float) and isfinite(value) else value


def _as_time(name: str, value: Any) -> Any:
    """Scripts give times as text, in UTC and without saying so."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise InvalidRecord("time", f"this is not ISO 8601: {error}", field=name, value=value) from None
    return time.replace(tzinfo=UTC) if isinstance(time, datetime) and time.tzinfo is None else time


def _as_number(name: str, value: Any) -> float:
    """Scripts may have it as text, from their command line."""
    try:
        number = float(value) if isinstance(value, (int, float, str)) else nan
    except (ValueError, OverflowError):
        number = nan
    if not isfinite(number):
        raise InvalidRecord("agent_log", "it takes a number", field=name, value=value)
    return number


def _as_money(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        money = Decimal(str(value))
        if money.is_finite() and money >= 0:
            return eight_places(money)
    except InvalidOperation:
        pass
    raise InvalidRecord("agent", "this is no amount of money", field="cost_usd", value=value)


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
