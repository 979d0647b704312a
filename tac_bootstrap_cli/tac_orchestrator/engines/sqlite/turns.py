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
        self._place: _Place | None = None

    def begin(self) -> None:
        """Returns when it is our turn. Raises DatabaseBusy when that takes longer than our patience."""
        if fcntl is None:
            return
        if self._place is None or not self._place.take_up():
            self._place = None
            descriptor = self._descriptor = _open(self._path) if self._descriptor is None else self._descriptor
            if _is_free(descriptor):
                return
            self._place, self._descriptor = _Place(descriptor), None
        if not self._place.wait(self._patience_s):
            raise DatabaseBusy(f"{self._target} has been held by another process for {self._patience_s:g} s.")
        self._place, self._descriptor = None, self._place.descriptor

    def end(self) -> None:
        """Let the next one write."""
        if fcntl is not None and self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def forget_parent(self) -> None:
        """After a fork: what the child keeps open would keep the parent's turn from ending."""
        if self._place is not None:
            os.close(self._place.descriptor)
            self._place = None
        self.close()

    def __enter__(self) -> None:
        self.begin()

    def __exit__(self, *_error: object) -> None:
        self.end()
        self.close()


class _Place:
    """A place in the kernel's queue. Who stands there cannot leave before the turn comes, so a thread does it for us; when we
    have gone meanwhile, it lets go at once, and when we have come back, we have kept our place."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._lock = threading.Lock()
        self._is_wanted = True
        self._has_left = False
        self._reached = threading.Event()
        threading.Thread(target=self._stand, name="tac-orchestrator-queue", daemon=True).start()

    def take_up(self) -> bool:
        """Come back to it. False if the turn has come and gone."""
        with self._lock:
            self._is_wanted = not self._has_left
        return self._is_wanted

    def wait(self, patience_s: float) -> bool:
        """Whether the turn came in time."""
        self._reached.wait(patience_s)
        with self._lock:
            self._is_wanted = self._reached.is_set()
        return self._is_wanted

    def _stand(self) -> None:
        assert fcntl is not None
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        with self._lock:
            if self._is_wanted:
                self._reached.set()
            else:
                self._has_left = True
                os.close(self.descriptor)  # which lets go of the lock


def _is_free(descriptor: int) -> bool:
    """Whether it is our turn at once."""
    assert fcntl is not None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE)
