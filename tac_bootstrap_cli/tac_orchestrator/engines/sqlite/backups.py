"""Copies a database while others go on writing to it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tac_orchestrator.engines.sqlite.connections import open_reader
from tac_orchestrator.engines.sqlite.files import create_private
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.settings import Settings

Progress = Callable[[int, int], None]
"""Called with the pages that are copied so far, and how many there are."""

_PAGES_A_STEP = 2000


def backup(source: Path, copy: Path, settings: Settings, progress: Progress | None = None) -> None:
    """Copy the database as of now to a new private file. The file has its name only once it is whole.

    Raises FileExistsError rather than overwrite something.
    """
    if not create_private(copy):
        raise FileExistsError(17, "exists already", str(copy))
    partial = copy.with_name(f"{copy.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        create_private(partial)
        _copy(source, partial, settings, progress)
        partial.replace(copy)
    except BaseException:
        partial.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
        raise


def _copy(source: Path, partial: Path, settings: Settings, progress: Progress | None) -> None:
    with closing(open_reader(source, settings)) as reader, closing(sqlite.connect(partial, isolation_level=None)) as writer:
        reader.execute("BEGIN")  # one view of the source for all steps: a commit by others would start the copy anew
        reader.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        reader.backup(
            writer,
            pages=_PAGES_A_STEP,
            progress=lambda _status, left, total: progress(total - left, total) if progress else None,
        )
        writer.execute("PRAGMA journal_mode = DELETE")  # one file, whole in itself; opening it as a store sets the log again
    descriptor = os.open(partial, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
