"""Whose turn it is to write.

SQLite makes a process that finds the database locked sleep and try again, so that some wait for seconds while others write.
An advisory lock on a file beside the database lets the kernel keep the queue: whoever comes first writes first.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from tac_orchestrator.engines.new_files import PRIVATE
from tac_orchestrator.engines.sqlite.files import side_file
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

    def begin(self) -> None:
        """Returns when it is our turn. Raises DatabaseBusy when that takes longer than our patience."""
        if fcntl is None:
            return
        if self._descriptor is None:
            self._descriptor = _open(self._path)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not _Place(self._descriptor).wait(self._patience_s):
                self._descriptor = None  # the place closes it, once it gets out of the queue
                raise DatabaseBusy(f"{self._target} has been held by another process for {self._patience_s:g} s.") from None

    def end(self) -> None:
        """Let the next one write."""
        if fcntl is not None and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_error: object) -> None:
        self.end()
        self.close()


class _Place:
    """A place in the kernel's queue. Who stands there cannot leave before the turn comes, so a thread does it for us; when we
    have gone meanwhile, it lets go at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._abandoned = False
        self._reached = threading.Event()
        threading.Thread(target=self._stand, name="tac-orchestrator-queue", daemon=True).start()

    def wait(self, patience_s: float) -> bool:
        """Whether the turn came in time."""
        self._reached.wait(patience_s)
        with self._lock:
            self._abandoned = not self._reached.is_set()
        return not self._abandoned

    def _stand(self) -> None:
        assert fcntl is not None
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._lock:
            if self._abandoned:
                os.close(self._descriptor)  # which lets go of the lock
            else:
                self._reached.set()


def _open(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
