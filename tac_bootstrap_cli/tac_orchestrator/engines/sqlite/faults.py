"""Translates what SQLite and the file system report into the errors of this package."""

from __future__ import annotations

import errno
import re

from tac_orchestrator.engines.sqlite.library import sqlite
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

_UNIQUE = re.compile(r"UNIQUE constraint failed: (\w+)\.(\w+)")
_CHECK = re.compile(r"CHECK constraint failed: (.*)", re.DOTALL)
_NOT_NULL = re.compile(r"NOT NULL constraint failed: (\w+)\.(\w+)")
_QUOTED = re.compile(r"'([^']*)'")

_FATAL = (DatabaseBusy, DatabaseUnavailable, SchemaDrift)


def translated(error: Exception, target: str) -> OrchestratorError:
    """The error as the caller shall see it, with the driver's own as its cause."""
    found = _translated(error, target)
    found.__cause__ = error
    return found


def concerns_all(error: OrchestratorError) -> bool:
    """Whether the store itself is in trouble, so that trying each write for itself makes no sense."""
    return isinstance(error, _FATAL)


def _translated(error: Exception, target: str) -> OrchestratorError:
    if isinstance(error, OSError):
        return _of_file_system(error, target)
    text = str(error)
    if isinstance(error, sqlite.IntegrityError):
        return _of_constraint(text)
    if isinstance(error, (OverflowError, UnicodeEncodeError, sqlite.DataError, sqlite.InterfaceError)):
        return InvalidRecord("record", text)
    if isinstance(error, sqlite.ProgrammingError) and "binding" in text:
        return InvalidRecord("record", text)
    return _of_storage(getattr(error, "sqlite_errorname", None) or "", text, target)


def _of_constraint(text: str) -> OrchestratorError:
    if match := _UNIQUE.search(text):
        return AlreadyExists(match[1], match[2])
    if match := _NOT_NULL.search(text):
        return InvalidRecord(match[1], "a value is required", field=match[2])
    if match := _CHECK.search(text):
        allowed = _QUOTED.findall(match[1])
        wanted = f"it takes {', '.join(allowed)}" if allowed else f"it must satisfy {' '.join(match[1].split())}"
        return InvalidRecord("record", wanted)
    if "FOREIGN KEY" in text:
        return NotFound("row", "that this one refers to", hint="Create the agent, or the kind of agent, before its rows.")
    return InvalidRecord("record", text)


def _of_storage(name: str, text: str, target: str) -> OrchestratorError:
    low = text.lower()
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or "locked" in low:
        return DatabaseBusy(f"{target} is held by another process.")
    if name.startswith("SQLITE_FULL") or "is full" in low:
        return DatabaseFull(target, "the disk is full")
    if name.startswith("SQLITE_READONLY") or "readonly" in low:
        return DatabaseReadOnly(target, "it cannot be written to")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "malformed" in low or "not a database" in low:
        return DatabaseCorrupt(target, f"the file is damaged ({text})")
    if "no such table" in low or "no such column" in low or "no such module" in low:
        return SchemaDrift(target, text, hint="`tac-orch db check` says what is missing.")
    return DatabaseUnavailable(target, text or name or "an unknown error", hint="`tac-orch doctor` looks for the cause.")


def _of_file_system(error: OSError, target: str) -> OrchestratorError:
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return DatabaseReadOnly(target, reason)
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return DatabaseFull(target, reason)
    return DatabaseUnavailable(target, reason)
