"""A thread that takes records into a store while the program goes on, whichever event loops the program has.

What is handed over waits in a bounded queue. The program never waits for it, and no trouble of the store reaches it: what could
not be kept is counted, and told to the log. The thread starts with the first record, and ends with the program at the latest.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures.thread import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Generic, TypeVar

from tac_orchestrator.database import Database

T = TypeVar("T")

Target = Any
"""Where to record: None for the project's own store, the path of a file, or an open store, of which the file is taken."""

_LOG = logging.getLogger("tac_orchestrator")
_ROOM = 20_000
_TOGETHER = 500
_EXIT_PATIENCE_S = 10.0


class BackgroundIntake(Generic[T]):
    """`take` stores what has gathered. It is called on the thread, with a store that is opened there."""

    def __init__(self, target: Target, take: Callable[[Database, list[T]], Awaitable[object]], *, room: int = _ROOM) -> None:
        self._target: str | Path | None = target if target is None or isinstance(target, (str, Path)) else target.target
        self._take = take
        self._queue: Queue[T | threading.Event] = Queue(room)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._ended = threading.Event()
        self.lost = 0
        _LIVING.add(self)

    @property
    def is_closing(self) -> bool:
        return self._ended.is_set()

    def put(self, record: T) -> None:
        """Never waits and never raises."""
        if self._ended.is_set():
            self._lose(1, "it has been closed")
            return
        try:
            self._queue.put_nowait(record)
        except Full:
            self._lose(1, "the store takes too long")
        self._start()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Whether all that was handed over before has been taken by then."""
        if self._thread is None:
            return True
        reached = threading.Event()
        with suppress(Full):
            self._queue.put(reached, timeout=timeout_s)
            return reached.wait(timeout_s)
        return False

    def close(self, timeout_s: float = _EXIT_PATIENCE_S) -> None:
        """Take what is left, and nothing after that. Safe to call twice."""
        self._ended.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            with suppress(Full):
                self._queue.put_nowait(threading.Event())  # wakes it
            thread.join(timeout_s)
            if thread.is_alive():
                self._lose(self._queue.qsize(), "the store takes too long, and nobody waits any more")

    def _start(self) -> None:
        thread = self._thread
        if thread is not None and thread.is_alive():
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="tac-orchestrator-intake", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        try:
            asyncio.run(self._record())
        except Exception as error:
            while not (self._ended.is_set() and self._queue.empty()):  # whoever flushes must not wait for ever
                records = self._gathered()
                self._lose(len(_told(records)), error)
                _answer(records)

    async def _record(self) -> None:
        asyncio.get_running_loop().set_default_executor(_Here())
        async with Database.open(self._target) as database:
            while not (self._ended.is_set() and self._queue.empty()):
                records = self._gathered()
                told = _told(records)
                try:
                    if told:
                        await self._take(database, told)
                except Exception as error:
                    self._lose(len(told), error)
                finally:
                    _answer(records)

    def _gathered(self) -> list[T | threading.Event]:
        """Waits for a record, and takes what has queued up behind it. Nothing else goes on in the loop of this thread."""
        found = [self._queue.get()]
        with suppress(Empty):
            while len(found) < _TOGETHER:
                found.append(self._queue.get_nowait())
        return found

    def _lose(self, number: int, reason: object) -> None:
        before, self.lost = self.lost, self.lost + number
        if number and before.bit_length() < self.lost.bit_length():  # at 1, 2, 4, 8…: a flood of one fault stays readable
            with suppress(Exception):
                _LOG.warning("%d record(s) are not recorded; the last because: %s", self.lost, reason)


_LIVING: weakref.WeakSet[BackgroundIntake[Any]] = weakref.WeakSet()


@atexit.register
def _end_with_interpreter() -> None:
    """Registered before anybody records, so that what others still record while they end is taken too; and after the writer's,
    which ends last."""
    for intake in list(_LIVING):
        intake.close()


class _Here(ThreadPoolExecutor):
    """Does on this thread what others have done in a pool: while a program ends, a pool takes nothing any more."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


def _told(records: list[T | threading.Event]) -> list[T]:
    return [one for one in records if not isinstance(one, threading.Event)]


def _answer(records: list[Any]) -> None:
    """Those who flushed have waited for this."""
    for one in records:
        if isinstance(one, threading.Event):
            one.set()
