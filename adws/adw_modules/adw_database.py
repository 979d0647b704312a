"""This project's store, for the scripts of this project.

    from adw_modules.adw_database import open_database

    async with open_database() as db:
        ...

It is adws/schema/orchestrator.db, unless TAC_ORCHESTRATOR_DB names another. Nothing is read or made before it is used.
"""

from __future__ import annotations

import os
from pathlib import Path

from tac_orchestrator import Database
from tac_orchestrator.manager import DatabaseManager as _DatabaseManager

DEFAULT_PATH = Path(__file__).resolve().parents[1] / "schema" / "orchestrator.db"


def database_path() -> Path | str:
    """A file, or the address of a database of PostgreSQL."""
    named = os.environ.get("TAC_ORCHESTRATOR_DB") or DEFAULT_PATH
    return named if "://" in str(named) else Path(named)


def open_database() -> Database:
    """The store, to be used with `async with`. In a script without an event loop: `tac_orchestrator.blocking`."""
    return Database.open(database_path())


class DatabaseManager(_DatabaseManager):
    """The flat verbs, on this project's store unless a path is given."""

    def __init__(self, db_path: str | Path | None = None) -> None:
        super().__init__(db_path or database_path())


__all__ = ["DEFAULT_PATH", "Database", "DatabaseManager", "database_path", "open_database"]
