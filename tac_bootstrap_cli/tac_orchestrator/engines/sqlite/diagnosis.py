"""What is known to go wrong with an SQLite file, looked at item by item. Nothing is changed, and nothing takes long."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shlex import quote

from tac_orchestrator.engines.base import Finding
from tac_orchestrator.engines.sqlite import files, installation, library, structure
from tac_orchestrator.engines.sqlite.connections import open_reader
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.engines.sqlite.maintenance import ORPHANS_REMEDY, processes_with
from tac_orchestrator.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable
from tac_orchestrator.schema import migrations, whole_schema
from tac_orchestrator.settings import Settings

try:
    import fcntl
except ImportError:  # Windows has no queue to look at
    fcntl = None

# Checks that grow with the database are given up after this long; `check` takes its time.
_PATIENCE_S = 1.0

_MANY_ROWS = 100_000
_LARGE_LOG = 256 * 1024 * 1024
_LITTLE_SPACE = 64 * 1024 * 1024
_STEPS_BETWEEN_LOOKS = 10_000


def diagnose(path: Path, settings: Settings) -> list[Finding]:
    """See `engines.base.Engine.diagnose`."""
    findings = [_library(), _place(path), _file_system(path), _space(path)]
    if not path.is_file() or path.is_symlink():
        return findings
    findings += [_modes(path), _log_size(path)]
    try:
        with closing(open_reader(path, settings)) as connection:
            findings += _content(connection, path)
        findings.append(_lock(path))
    except (sqlite.Error, OSError) as error:
        reason = translated(error, str(path))
        name = "damage" if isinstance(reason, DatabaseCorrupt) else "lock" if isinstance(reason, DatabaseBusy) else "file"
        if name != "file" or findings[1].state == "ok":  # else that is why
            findings.append(Finding(name, "error", str(reason), reason.hint))
    return findings


def _library() -> Finding:
    version = ".".join(map(str, library.VERSION))
    if library.is_safe(library.VERSION):
        return Finding("sqlite", "ok", f"SQLite {version} ({sqlite.__name__})")
    return Finding(
        "sqlite",
        "warning",
        f"SQLite {version} can corrupt a database that several connections write to (the WAL-reset bug)",
        "Install the pysqlite3 wheel, or a Python whose SQLite is 3.51.3 or later.",
    )


def _place(path: Path) -> Finding:
    try:
        files.refuse_strange(path)
    except DatabaseUnavailable as error:
        return Finding("file", "error", str(error), error.hint)
    if path.is_dir():
        return Finding("file", "error", f"{path} is a folder", "Set TAC_ORCHESTRATOR_DB to the name of a file.")
    if not path.exists():
        return Finding(
            "file", "warning", f"{path}: there is no database yet", "`tac-orch init` or the first recording makes it."
        )
    if not os.access(path, os.R_OK | os.W_OK) or not os.access(path.parent, os.W_OK):
        return Finding("file", "error", f"{path} or its folder cannot be written to", "Check their owners and modes.")
    return Finding("file", "ok", f"{path} ({_megabytes(files.size_of(path))})")


def _file_system(path: Path) -> Finding:
    kind = files.network_file_system(path)
    if kind is None:
        return Finding("file_system", "ok", "a local disk")
    return Finding(
        "file_system",
        "error",
        f"{path} is on a network file system ({kind}), where SQLite's locks are not reliable",
        "Keep the database on a local disk, and set TAC_ORCHESTRATOR_DB to it.",
    )


def _space(path: Path) -> Finding:
    """A backup is made twice while it is checked, and compaction writes the database twice."""
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    free, size = shutil.disk_usage(folder).free, files.size_of(path)
    message = f"{_megabytes(free)} free, the database has {_megabytes(size)}"
    if free < _LITTLE_SPACE:
        return Finding("disk_space", "error", message, "Free some space: the next recording may fail.")
    if free < 2 * size:
        return Finding(
            "disk_space",
            "warning",
            f"{message}: too little for a backup or `db vacuum`",
            "Free some space, or `tac-orch prune`.",
        )
    return Finding("disk_space", "ok", message)


def _modes(path: Path) -> Finding:
    statuses = {file: files.status_of(file) for file in (path, *(files.side_file(path, end) for end in ("-wal", "-shm")))}
    open_to_others = [str(file) for file, status in statuses.items() if status and stat.S_IMODE(status.st_mode) & 0o077]
    if open_to_others:
        names = " ".join(open_to_others)
        return Finding("file_modes", "warning", f"others may read {names}", f"chmod 600 {names}")
    return Finding("file_modes", "ok", "only their owner may read the files")


def _log_size(path: Path) -> Finding:
    size = files.size_of(files.side_file(path, "-wal"))
    if size > _LARGE_LOG:
        return Finding(
            "write_ahead_log",
            "warning",
            f"the write-ahead log has grown to {_megabytes(size)}",
            "A program reads for very long: end its transaction, and the log is cut back by the next writer.",
        )
    return Finding("write_ahead_log", "ok", f"the write-ahead log has {_megabytes(size)}")


def _content(connection: sqlite.Connection, path: Path) -> Iterator[Finding]:
    yield _journal(connection)
    yield _damage(connection)
    yield _foreign_keys(connection)
    yield _indexes(connection, path)
    yield _statistics(connection)


def _journal(connection: sqlite.Connection) -> Finding:
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if mode == "wal":
        return Finding("journal_mode", "ok", "WAL: readers and the writer do not wait for each other")
    return Finding(
        "journal_mode", "warning", f"{mode}: readers and writers wait for each other", "The next recording sets WAL mode."
    )


def _damage(connection: sqlite.Connection) -> Finding:
    found = _in_time(connection, "PRAGMA quick_check(1)")
    if found is None:
        return Finding("damage", "ok", "none found so far; `tac-orch db check` looks at everything")
    if found == [("ok",)]:
        return Finding("damage", "ok", "none")
    return Finding("damage", "error", found[0][0], DatabaseCorrupt.hint)


def _foreign_keys(connection: sqlite.Connection) -> Finding:
    found = _in_time(connection, "PRAGMA foreign_key_check")
    if found:
        message = f"{len(found)} rows refer to rows that do not exist: a program wrote with foreign keys off"
        return Finding("foreign_keys", "error", message, ORPHANS_REMEDY)
    return Finding("foreign_keys", "ok", "on in every connection that records; no row was found to refer to a missing one")


def _indexes(connection: sqlite.Connection, path: Path) -> Finding:
    """Only those of a database of today: an older one lacks what its migrations have yet to make."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    missing = _missing_indexes(connection) if version == len(migrations()) else {}
    if missing:
        remedy = f"sqlite3 {quote(str(path))} {quote('; '.join(missing.values()))}".replace("\n", " ")
        return Finding("indexes", "error", f"queries are slow without {', '.join(missing)}", remedy)
    return Finding("indexes", "ok", "all are there")


def _missing_indexes(connection: sqlite.Connection) -> dict[str, str]:
    found = structure.objects(connection)
    with closing(sqlite.connect(":memory:", isolation_level=None)) as whole:
        installation.run_script(whole, whole_schema())
        wanted = structure.objects(whole)
    return {name: sql for name, sql in wanted.items() if name not in found and " INDEX " in sql.partition("(")[0]}


def _statistics(connection: sqlite.Connection) -> Finding:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables = [name for name in ("prompts", "agent_logs") if name in names]
    rows = sum(connection.execute(f"SELECT COALESCE(MAX(rowid), 0) FROM {name}").fetchone()[0] for name in tables)  # noqa: S608
    if rows >= _MANY_ROWS and "sqlite_stat1" not in names:
        return Finding(
            "statistics",
            "warning",
            f"about {rows:,} rows, and ANALYZE was never run",
            "If queries are slow: `tac-orch db analyze`.",
        )
    return Finding("statistics", "ok", "known to the planner" if "sqlite_stat1" in names else "not needed at this size")


def _lock(path: Path) -> Finding:
    """Whether one can write: first comes our own queue, then SQLite's lock, which other programs take without queueing."""
    holders = processes_with(path)
    open_in = f"open in {', '.join(holders)}" if holders else "not open in any other process of this user"
    if _queue_moves(files.side_file(path, "-lock")) and _can_write(path):
        return Finding("lock", "ok", f"free; {open_in}")
    return Finding(
        "lock",
        "warning",
        f"the database has been locked for {_PATIENCE_S:g} s; {open_in}",
        "Let that program end its transaction. One that is stopped (state T) has to continue, `kill -CONT`, or to end.",
    )


def _queue_moves(lock: Path) -> bool:
    if fcntl is None or not lock.exists():
        return True
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        give_up = time.monotonic() + _PATIENCE_S
        while time.monotonic() < give_up:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.001)
            else:
                return True
        return False
    finally:
        os.close(descriptor)


def _can_write(path: Path) -> bool:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite.connect(uri, uri=True, timeout=_PATIENCE_S, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite.OperationalError as error:
            if "locked" in str(error):
                return False
            raise
        connection.execute("ROLLBACK")
    return True


def _in_time(connection: sqlite.Connection, sql: str) -> list[tuple[str, ...]] | None:
    """None if it takes too long."""
    give_up = time.monotonic() + _PATIENCE_S
    connection.set_progress_handler(lambda: time.monotonic() > give_up, _STEPS_BETWEEN_LOOKS)
    try:
        return connection.execute(sql).fetchall()
    except sqlite.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return None
    finally:
        connection.set_progress_handler(None, 0)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"
