"""The one SQLite library of this process.

Two copies of SQLite in one process break each other's file locks, so the copy is chosen here, once, and everything else in
this package takes it from here. Python's own is used when it is free of the WAL-reset bug, which can corrupt a database that
several connections write to (https://www.sqlite.org/wal.html#walresetbug); else the one that the `pysqlite3` wheel brings.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3 as sqlite

Version = tuple[int, int, int]


def is_safe(version: Version) -> bool:
    """Whether this SQLite has the fix: 3.51.3 and later, or the backports 3.50.7 and 3.44.6."""
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)


if not TYPE_CHECKING:
    sqlite = importlib.import_module("sqlite3")
    if not is_safe(sqlite.sqlite_version_info):
        try:
            newer = importlib.import_module("pysqlite3.dbapi2")
        except ImportError:
            newer = sqlite
        if is_safe(newer.sqlite_version_info):
            sqlite = newer

VERSION: Version = sqlite.sqlite_version_info
"""The version of the SQLite that is used."""

__all__ = ["VERSION", "Version", "is_safe", "sqlite"]
