"""Translates what PostgreSQL and its driver report into the errors of this package."""

from __future__ import annotations

import re
from typing import Any

from tac_orchestrator.engines.postgres.driver import (
    ClientConfigurationError,
    InterfaceError,
    InternalClientError,
    PostgresError,
)
from tac_orchestrator.errors import (
    AlreadyExists,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    InvalidRecord,
    NotFound,
    OrchestratorError,
    SchemaDrift,
)

_KEY = re.compile(r"Key \((?:lower\()?(\w+)")
_FATAL = (DatabaseBusy, DatabaseUnavailable, SchemaDrift)
_LOST = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
_TRY_AGAIN = ("40001", "40P01")
_WRONG_VALUE = ("22", "54", "42804")
_MISSING = ("42P01", "42703", "42883", "42704", "3F000", "42P10")

_GRANT_HINT = "Grant its user the right to write, or set TAC_ORCHESTRATOR_DB to another user or database."
_FULL_HINT = "Free some space on the server's disk."
_ROLE_HINT = "Check the user, the password and the database in TAC_ORCHESTRATOR_DB, and the server's pg_hba.conf."
_REACH_HINT = "Check that the server runs and can be reached from here; `tac-orch doctor` looks for the cause."


def translated(error: BaseException, target: str) -> OrchestratorError:
    """The error as the caller shall see it, with the driver's own as its cause."""
    found = _translated(error, target)
    found.__cause__ = error
    return found


def concerns_all(error: OrchestratorError) -> bool:
    """Whether the store itself is in trouble, so that trying each write for itself makes no sense."""
    return isinstance(error, _FATAL)


def state_of(error: BaseException) -> str:
    """The five signs by which PostgreSQL names an error; '' where it is none of its own."""
    return str(getattr(error, "sqlstate", None) or "") if isinstance(error, PostgresError) else ""


def is_lost(error: BaseException) -> bool:
    """Whether the connection, or the server behind it, is gone."""
    if isinstance(error, PostgresError):
        return state_of(error).startswith(_LOST)
    return isinstance(error, (OSError, TimeoutError, InterfaceError, InternalClientError)) and not _is_value(error)


def may_be_tried_again(error: BaseException) -> bool:
    """Whether two transactions were in each other's way, and this one was undone for it."""
    return state_of(error) in _TRY_AGAIN


def _is_value(error: BaseException) -> bool:
    """A value that the driver does not take for its column."""
    return isinstance(error, (ValueError, OverflowError, TypeError))


def _translated(error: BaseException, target: str) -> OrchestratorError:
    if isinstance(error, OrchestratorError):
        return error
    if isinstance(error, PostgresError):
        return _of_server(error, state_of(error), target)
    if isinstance(error, TimeoutError):
        return DatabaseUnavailable(target, "the server does not answer", hint=_REACH_HINT)
    if isinstance(error, OSError):
        return DatabaseUnavailable(target, error.strerror or str(error), hint=_REACH_HINT)
    if isinstance(error, ClientConfigurationError):
        return DatabaseUnavailable(target, str(error), hint=_ROLE_HINT)
    if _is_value(error):
        return InvalidRecord("record", str(error))
    return DatabaseUnavailable(target, str(error) or type(error).__name__, hint=_REACH_HINT)


def _of_server(error: Any, state: str, target: str) -> OrchestratorError:
    text: str = error.args[0] if error.args else str(error)
    if state.startswith("23"):
        return _of_constraint(error, state, text)
    if state.startswith(_WRONG_VALUE):
        return InvalidRecord("record", text)
    if state in _TRY_AGAIN or state in {"55P03", "57014", "53300"}:
        return DatabaseBusy(f"{target}: {text}")
    if state in {"53100", "53200", "53400"}:
        return DatabaseFull(target, text, hint=_FULL_HINT)
    if state in {"25006", "42501"}:
        return DatabaseReadOnly(target, text, hint=_GRANT_HINT)
    if state in _MISSING:
        return SchemaDrift(target, text, hint="`tac-orch db check` says what is missing.")
    if state.startswith(("XX001", "XX002")):
        return DatabaseCorrupt(target, text, hint="Restore a backup of the server: `pg_restore`, or its archive.")
    return DatabaseUnavailable(target, text, hint=_ROLE_HINT if state.startswith(("28", "3D")) else _REACH_HINT)


def _of_constraint(error: Any, state: str, text: str) -> OrchestratorError:
    table, column = str(error.table_name), _KEY.search(str(error.detail or ""))
    if state == "23505":
        return AlreadyExists(table, column[1] if column else str(error.constraint_name))
    if state == "23502":
        return InvalidRecord(table, "a value is required", field=str(error.column_name))
    if state == "23503":
        return NotFound("row", "that this one refers to", hint="Create the agent, or the kind of agent, before its rows.")
    if state == "23514":
        return InvalidRecord("record", f"it must satisfy {error.constraint_name}")
    return InvalidRecord("record", text)
