"""Opens connections, each with the settings that its purpose needs."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from tac_orchestrator.engines.sqlite.files import side_file
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.settings import Settings

APPLICATION_ID = 0x5441434F
"""Written into the file's header: "TACO" in ASCII."""

_MILLISECONDS = 1000

# The log is copied into the database every so many pages. 2,000 pages are 8 MB.
_CHECKPOINT_PAGES = 2000

# After a checkpoint the log file is cut back to this size, so that a burst does not keep its disk space for ever.
_KEPT_LOG_BYTES = 64 * 1024 * 1024

_CACHE_KIB = 16 * 1024


# Python's binding of None looks for ways to adapt it, in vain and for a microsecond each time. This finds one: None itself.
_NOTHING: dict[None, None] = {}
sqlite.register_adapter(type(None), _NOTHING.get)


def open_writer(path: Path, settings: Settings) -> sqlite.Connection:
    """The one connection of this process that writes. Transactions are begun and ended by hand."""
    _refuse_unwritable(path)
    connection = _connect(f"{path.absolute().as_uri()}?mode=rw", settings)
    connection.execute("PRAGMA foreign_keys = ON")
    _use_write_ahead_log(connection, settings.busy_timeout_s)
    connection.execute(f"PRAGMA synchronous = {settings.synchronous}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_KEPT_LOG_BYTES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def open_reader(path: Path, settings: Settings) -> sqlite.Connection:
    """A connection that cannot write, and that no writer makes wait."""
    return _only_reading(_connect(_only_to_read(path), settings))


def open_searcher(path: Path, settings: Settings) -> sqlite.Connection:
    """A reader that can also ask which words the search indexes have: in order, once for each place where they stand.

    Were these tables of the database, whoever dumps it would write them out."""
    connection = _connect(_only_to_read(path), settings)
    for index in ("prompt_search", "agent_log_search", "system_log_search"):
        connection.execute(f"CREATE VIRTUAL TABLE temp.{index}_words USING fts5vocab (main, {index}, instance)")
    return _only_reading(connection)


def open_probe(path: Path, settings: Settings) -> sqlite.Connection:
    """Looks into a file of which nothing is known yet, and leaves no trace.

    A file without a log has no connections either: it is read as immutable, for which SQLite makes no files beside it.
    """
    mode = "mode=ro" if side_file(path, "-wal").exists() else "mode=ro&immutable=1"
    return _connect(f"{path.absolute().as_uri()}?{mode}", settings)


def _only_to_read(path: Path) -> str:
    """Where nobody can write, SQLite cannot make the files that it wants beside a log, and needs none."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return f"{uri}&immutable=1" if _never_changes(path) else uri


def _never_changes(path: Path) -> bool:
    if side_file(path, "-wal").exists() or not hasattr(os, "statvfs"):
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _connect(uri: str, settings: Settings) -> sqlite.Connection:
    return sqlite.connect(
        uri,
        uri=True,
        timeout=settings.busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )


def _only_reading(connection: sqlite.Connection) -> sqlite.Connection:
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _refuse_unwritable(path: Path) -> None:
    """SQLite would open it to read, and make files beside it that stay read-only when the database no longer is."""
    if path.exists() and not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _use_write_ahead_log(connection: sqlite.Connection, patience_s: float) -> None:
    """SQLite does not wait for other connections when it changes the journal mode, so we do."""
    give_up = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return
