"""Whole copies of a database: made while others go on writing to it, put back in its place, or rid of its empty pages.

What is copied onto an existing database goes through SQLite's own log, as one transaction, so that a crash at any moment leaves
all of the old content or all of the new. Files are never exchanged beneath somebody who has them open.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from tac_orchestrator.engines.base import Contents, Progress, part
from tac_orchestrator.engines.new_files import new_file, scratch_file, sync
from tac_orchestrator.engines.sqlite.connections import open_probe, open_reader, open_writer
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.files import make_folder, make_private, side_file, size_of
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.engines.sqlite.maintenance import contents_of, examine, processes_with, reporting
from tac_orchestrator.engines.sqlite.turns import Turns
from tac_orchestrator.errors import DatabaseBusy, DatabaseCorrupt, DatabaseFull
from tac_orchestrator.settings import Settings

_PAGES_A_STEP = 2000
_SIDE_FILES = ("-wal", "-journal", "-shm")

# A process that is about to close the store may take as long as this, when somebody wants to have it alone.
_PATIENCE_S = 1.0


def backup(source: Path, copy: Path, settings: Settings, progress: Progress | None = None) -> None:
    """Copy the database as of now to a new private file. The file has its name only once it is whole.

    Raises AlreadyExists rather than overwrite something.
    """
    with new_file(copy, _SIDE_FILES) as partial, closing(open_reader(source, settings)) as reader:
        _copy(reader, partial, progress)


def checked_backup(source: Path, copy: Path, settings: Settings, progress: Progress | None = None) -> Contents:
    """A `backup` that is restored to yet another file before it gets its name: that one must be sound and hold just as much."""
    with new_file(copy, _SIDE_FILES) as partial:
        with closing(open_reader(source, settings)) as reader:
            wanted = _copy(reader, partial, part(progress, 0, 3))
        with scratch_file(copy, _SIDE_FILES) as restored:
            with closing(open_probe(partial, settings)) as reader:
                _copy(reader, restored, part(progress, 1, 3))
            found = examine(restored, settings, part(progress, 2, 3))
        if (found.inspection, found.rows) != (wanted.inspection, wanted.rows):
            raise DatabaseCorrupt(str(source), "what was restored from its copy is not what it holds")
    return found


def restore(source: Path, path: Path, aside: Path | None, settings: Settings, progress: Progress | None = None) -> bool:
    """See `engines.base.Engine.restore`."""
    make_folder(path)
    if aside is None or not path.exists():
        if aside is not None:
            _move_leftovers(path, aside)
        with new_file(path, _SIDE_FILES) as partial, closing(open_probe(source, settings)) as reader:
            _copy(reader, partial, progress)
        return False
    try:
        _look_into(path, settings)
        _restore_into(source, path, aside, settings, progress)
    except sqlite.DatabaseError as error:
        if not isinstance(translated(error, str(path)), DatabaseCorrupt):
            raise
        _exchange_damaged(source, path, aside, settings, progress)
    return True


def compact(path: Path, settings: Settings, progress: Progress | None = None) -> tuple[int, int]:
    """Returns the bytes before and after.

    SQLite's own VACUUM builds the new database in memory, where it was compiled to keep all that is temporary there. This one
    builds it in a file, and copies that back.
    """
    before = size_of(path, side_file(path, "-wal"))
    with (
        Turns(path, settings.busy_timeout_s),
        scratch_file(path, _SIDE_FILES) as compacted,
        closing(open_reader(path, settings)) as reader,
    ):
        generation = _generation(reader)
        reader.execute("PRAGMA query_only = OFF")  # it would refuse what writes to another file, too
        with reporting(reader, part(progress, 0, 2)):
            reader.execute("VACUUM INTO ?", (str(compacted),))
        pouring = part(progress, 1, 2)

        def report(done: int, total: int) -> None:
            if done < total and _generation(reader) != generation:
                raise DatabaseBusy(f"{path} is written to by a program that does not queue for it.")
            if pouring is not None:
                pouring(done, total)

        with closing(open_reader(compacted, settings)) as new, closing(open_writer(path, settings)) as writer:
            _pour(new, writer, report)
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, size_of(path)


def _copy(reader: sqlite.Connection, copy: Path, progress: Progress | None) -> Contents:
    """Returns what was copied, as the source had it at that moment."""
    with closing(sqlite.connect(copy, isolation_level=None)) as writer:
        reader.execute("BEGIN")  # one view of the source for all steps: a commit by others would start the copy anew
        contents = contents_of(reader)
        _pour(reader, writer, progress)
        writer.execute("PRAGMA journal_mode = DELETE")  # one file, whole in itself; opening it as a store sets the log again
    return contents


def _pour(source: sqlite.Connection, destination: sqlite.Connection, progress: Progress | None) -> None:
    """Make the destination's content that of the source, in one transaction. `progress` is told once before the last step."""

    def report(status: int, left: int, total: int) -> None:
        if status in {sqlite.SQLITE_BUSY, sqlite.SQLITE_LOCKED}:  # else Python would try again for ever
            raise DatabaseBusy("The database is held by another process.")
        if progress is not None:
            progress(total - left, total)

    pages = source.execute("PRAGMA page_count").fetchone()[0]
    source.backup(destination, pages=max(1, min(_PAGES_A_STEP, pages - 1)), progress=report)


def _generation(connection: sqlite.Connection) -> int:
    return connection.execute("PRAGMA data_version").fetchone()[0]


def _restore_into(source: Path, path: Path, aside: Path, settings: Settings, progress: Progress | None) -> None:
    make_private(path)
    with _alone(path) as store:
        with new_file(aside, _SIDE_FILES) as partial, closing(sqlite.connect(partial, isolation_level=None)) as writer:
            _pour(store, writer, part(progress, 0, 2))
            writer.execute("PRAGMA journal_mode = DELETE")
        with _not_kept_in_vain(aside), closing(open_probe(source, settings)) as reader:
            if _page_size(reader) == _page_size(store):
                _pour(reader, store, part(progress, 1, 2))
                return
            with _resized(reader, path, _page_size(store)) as fitting:
                _pour(fitting, store, part(progress, 1, 2))


@contextmanager
def _not_kept_in_vain(aside: Path) -> Generator[None]:
    """On a full disk, a copy of what is still there would only be in the way. After other errors it may be all there is."""
    try:
        yield
    except sqlite.Error as error:
        if isinstance(translated(error, ""), DatabaseFull):
            aside.unlink(missing_ok=True)
        raise


def _look_into(path: Path, settings: Settings) -> None:
    """A connection that can write may write what a damaged database has in its log, and then delete the log."""
    if not side_file(path, "-journal").exists():  # with a journal, only who can write can read
        with closing(open_probe(path, settings)) as connection:
            connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()


def _page_size(connection: sqlite.Connection) -> int:
    return connection.execute("PRAGMA page_size").fetchone()[0]


@contextmanager
def _resized(reader: sqlite.Connection, path: Path, page_size: int) -> Generator[sqlite.Connection]:
    """The same content in pages of another size: a database with a write-ahead log keeps the size that it has."""
    with scratch_file(path, _SIDE_FILES) as scratch:
        _copy(reader, scratch, None)
        with closing(sqlite.connect(scratch, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {page_size}")
            connection.execute("VACUUM")
            yield connection


@contextmanager
def _alone(path: Path) -> Generator[sqlite.Connection]:
    """A connection beside which there is no other. In its exclusive mode SQLite refuses while one is open, even an idle one."""
    with closing(
        sqlite.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE_S, isolation_level=None)
    ) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except sqlite.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise _held(path) from error
        yield connection


def _held(path: Path) -> DatabaseBusy:
    holders = ", ".join(processes_with(path)) or "this process, or in one of another user"
    return DatabaseBusy(f"{path} is open in {holders}.", hint="End what has it open, and try again.")


def _exchange_damaged(source: Path, path: Path, aside: Path, settings: Settings, progress: Progress | None) -> None:
    """What SQLite cannot read it cannot overwrite either. First all of it is kept, then the file is exchanged."""
    if processes_with(path):
        raise _held(path)
    with scratch_file(path, _SIDE_FILES) as partial:
        with closing(open_probe(source, settings)) as reader:
            _copy(reader, partial, progress)
        sync(partial)
        for suffix in ("", "-wal", "-journal"):
            if side_file(path, suffix).exists() and not side_file(aside, suffix).exists():
                with new_file(side_file(aside, suffix)) as kept:
                    shutil.copyfile(side_file(path, suffix), kept)
        for suffix in _SIDE_FILES:  # gone before the new file comes: SQLite would take them for its own
            side_file(path, suffix).unlink(missing_ok=True)
        sync(path.parent)
        partial.replace(path)
        sync(path.parent)


def _move_leftovers(path: Path, aside: Path) -> None:
    """A log whose database is gone would be taken for that of the next one of its name."""
    for suffix in _SIDE_FILES:
        if side_file(path, suffix).exists():
            side_file(path, suffix).rename(side_file(aside, suffix))
