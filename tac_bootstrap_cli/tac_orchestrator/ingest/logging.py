"""A handler for Python's own `logging`: what a program logs becomes logs of the agent that logs it.

    logging.getLogger().addHandler(StoreHandler(db))                        # db of Database.open() or blocking.open_database()
    log.info("plan ready", extra={"log_type": "milestone", "details": {"steps": 3}})

A record belongs to the agent that `extra={"agent_id": …}` names, else to the run whose block the code is in, else to the
system; then its component is the first part of the logger's name, or what `extra={"component": …}` says. A record that names
an agent which the store does not have becomes one of the system's, and keeps the name.

Nobody waits for the store, on whatever thread, and nothing is raised. What the store says of itself is left out, and what reads
it: who watches the store would write by reading. So is what is logged while a record is being taken, by the texts in it.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast, get_args

import orjson

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Statement
from tac_orchestrator.errors import InvalidSetting, OrchestratorError
from tac_orchestrator.ingest.identity import named
from tac_orchestrator.ingest.values import as_json, as_text
from tac_orchestrator.models import LogLevel, LogType, storable
from tac_orchestrator.queries import queries
from tac_orchestrator.runs import current_run, traceback_of

_OWN = ("tac_orchestrator", "aiosqlite")
_LEVELS: tuple[tuple[int, LogLevel], ...] = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (0, "DEBUG"))
_SAYS_ELSEWHERE = frozenset(("agent_id", "component", "log_type", "details", "message", "asctime", "taskName"))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | _SAYS_ELSEWHERE


class StoreHandler(logging.Handler):
    """`store` is a Database, or what `blocking.open_database` gives. `left_out` counts what was logged while logging."""

    def __init__(self, store: Any, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)
        self._database = _database_of(store)
        self._at_work = threading.local()
        self.left_out = 0

    def createLock(self) -> None:  # noqa: N802
        """None: what is posted is guarded by the store, and no thread has to wait for another one's texts."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _OWN:
            return
        if getattr(self._at_work, "busy", False):
            self.left_out += 1
            return
        self._at_work.busy = True
        try:
            self._database.post(*self._statements(record))
        except Exception:
            with suppress(Exception):
                self.handleError(record)
        finally:
            self._at_work.busy = False

    def _statements(self, record: logging.LogRecord) -> list[Statement]:
        told = getattr(record, "agent_id", None)
        run = current_run()
        if told is not None:
            return self._of_named(str(told), record)
        if run is not None and run.is_recorded_by(self._database.agents.recorder):
            return [self._of_agent(run.id, record)]
        return [self._of_system(record, {})]

    def _of_named(self, agent_id: str, record: logging.LogRecord) -> list[Statement]:
        """Whether the store has the agent shows when it is written. If it comes meanwhile, better twice than not at all."""
        system = self._of_system(record, {"agent_id": storable(agent_id)})
        try:
            agents = self._of_agent(agent_id, record)
        except OrchestratorError:  # it cannot be an agent's id
            return [system]
        key = agents.rows[0][0]
        return [
            Statement(queries("system_logs")["create_if_unknown"], [(*system.rows[0], key)]),
            Statement(queries("agent_logs")["create_if_known"], agents.rows),
        ]

    def _of_agent(self, agent_id: str, record: logging.LogRecord) -> Statement:
        return self._database.agent_logs.statement(
            agent_id,
            _type(record),
            _message(record),
            log_level=_level(record),
            details=_details(record),
            created_at=_time(record),
        )

    def _of_system(self, record: logging.LogRecord, more: dict[str, Any]) -> Statement:
        return self._database.system_logs.statement(
            _component(record),
            _message(record),
            log_level=_level(record),
            details={**_details(record), **more},
            created_at=_time(record),
        )


def _database_of(store: Any) -> Database:
    live = store if isinstance(store, Database) else getattr(store, "live", None)
    if not isinstance(live, Database):
        raise InvalidSetting("store", store, "a Database, or what `blocking.open_database` gives in its block")
    return live


def _level(record: logging.LogRecord) -> LogLevel:
    return next(name for least, name in _LEVELS if record.levelno >= least or name == "DEBUG")


def _type(record: logging.LogRecord) -> LogType:
    wanted = getattr(record, "log_type", None)
    if isinstance(wanted, str) and wanted in get_args(LogType):
        return cast(LogType, wanted)
    return "error" if record.exc_info or record.exc_text or record.levelno >= logging.ERROR else "milestone"


def _component(record: logging.LogRecord) -> str:
    told = getattr(record, "component", None) or record.name.partition(".")[0] or "root"
    return named(storable(str(told)))


def _message(record: logging.LogRecord) -> str:
    try:
        return storable(record.getMessage())
    except Exception:  # the arguments do not fit: what is there of it is better than nothing
        return storable(f"{record.msg!s} {as_text(record.args)}")


def _time(record: logging.LogRecord) -> datetime:
    try:
        return datetime.fromtimestamp(record.created, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _details(record: logging.LogRecord) -> dict[str, Any]:
    """What the record says beside its message: what the program adds, where it was logged, and an exception's traceback."""
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    details = {**_object(getattr(record, "details", None)), **as_json(extra)}
    details |= {"logger": as_text(record.name), "where": as_text(f"{record.filename}:{record.lineno} in {record.funcName}")}
    trace = _traceback(record)
    return details if trace is None else {**details, "traceback": trace}


def _traceback(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    if error is not None:
        with suppress(Exception):  # an exception may be unable to say what it is
            return traceback_of(error)
        return type(error).__name__
    return None if record.exc_text is None else as_text(record.exc_text)


def _object(details: Any) -> dict[str, Any]:
    """`details` as a program gives them: an object, or JSON of one; anything else under their own name."""
    if isinstance(details, str):
        with suppress(ValueError):
            details = orjson.loads(details)
    if isinstance(details, dict):
        return as_json(details)
    return {} if details is None else {"details": as_json(details)}
