"""Whose turn it is to write.

SQLite makes a process that finds the database locked sleep and try again, so that some wait for seconds while others write.
An advisory lock on a file beside the database lets the kernel keep the queue: whoever comes first writes first.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tac_orchestrator.engines.sqlite.files import PRIVATE, side_file
from tac_orchestrator.errors import DatabaseBusy

try:
    import fcntl
except ImportError:  # Windows: SQLite's own waiting has to do
    fcntl = None


class Turns:
    """The queue of the processes that write to one database. One thread uses it."""

    def __init__(self, path: Path, patience_s: float) -> None:
        self._path = side_file(path, "-lock")
        self._target = str(path)
        self._patience_s = patience_s
        self._descriptor: int | None = None
        self._waiter: threading.Thread | None = None

    def begin(self) -> None:
        """Returns when it is our turn. Raises DatabaseBusy when that takes longer than our patience."""
        if fcntl is None:
            return
        if self._descriptor is None:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._path, flags, PRIVATE)
        if self._waiter is None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._waiter = threading.Thread(target=fcntl.flock, args=(self._descriptor, fcntl.LOCK_EX), daemon=True)
                self._waiter.start()
        # The kernel's queue cannot be left, so a thread stands in it: if it is still there when our patience ends, its place
        # serves the next attempt.
        self._waiter.join(self._patience_s)
        if self._waiter.is_alive():
            raise DatabaseBusy(f"{self._target} has been held by another process for {self._patience_s:g} s.")
        self._waiter = None

    def end(self) -> None:
        """Let the next one write."""
        if fcntl is not None and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_error: object) -> None:
        self.end()
        self.close()

    def close(self) -> None:
        if self._descriptor is not None and self._waiter is None:
            os.close(self._descriptor)
            self._descriptor = None
