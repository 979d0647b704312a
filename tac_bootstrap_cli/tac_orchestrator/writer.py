"""One writer a process: a thread that commits whatever has queued up.

Callers hand over statements and await the commit. What is handed over while a commit is under way forms the next one, so that
all who wait share the cost of making it durable. A caller that is cancelled before its turn leaves no trace; after that, its
write is made as a whole.

`post` is for logs that nobody waits for. Their queue is bounded; what does not fit is counted, not kept.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from tac_orchestrator.engines.base import Engine, Outcome, Statement, Unit
from tac_orchestrator.errors import DatabaseUnavailable, OrchestratorError
from tac_orchestrator.queries import queries
from tac_orchestrator.redaction import Redactor

_LOG = logging.getLogger("tac_orchestrator")

# Short transactions: other processes wait for the end of ours.
_ROWS_A_COMMIT = 2000

# The engine is given a moment for its upkeep whenever so many rows have been written.
_ROWS_BETWEEN_UPKEEP = 50_000

# How long the end of the interpreter waits for what was posted.
_EXIT_PATIENCE_S = 10.0

Pulse = Callable[[], Statement | None]


@dataclass(slots=True, eq=False)
class _Request(Unit):
    """A unit and who waits for it, if anybody does."""

    future: asyncio.Future[Sequence[Outcome]] | None = None
    posted: bool = False
    stops: bool = False


class Writer:
    """Hands units to an engine, on a thread of its own. `write` is for tasks, `post` for any thread."""

    def __init__(
        self, engine: Engine, *, redactor: Redactor | None, queue_size: int, upkeep: Callable[[], Statement]
    ) -> None:
        self._engine = engine
        self._upkeep = upkeep
        self._rows_since_upkeep = 0
        self._redactor = redactor
        self._queue_size = queue_size
        self._queue: SimpleQueue[_Request] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process_id = os.getpid()
        self._closed = False
        self._waiting_posts = 0
        self._pulse: Pulse | None = None
        self._pulse_interval_s = 0.0
        self.dropped = 0
        self.failed = 0

    async def write(self, statements: list[Statement]) -> Sequence[Outcome]:
        """Returns once the statements are committed, all of them; raises if none is."""
        future = asyncio.get_running_loop().create_future()
        self._put(_Request(statements, future=future))
        return await future

    def post(self, statement: Statement) -> None:
        """Have it committed some time soon. Never raises and never waits."""
        try:
            self._put(_Request([statement], posted=True))
        except OrchestratorError:
            self.dropped += 1

    async def flush(self) -> None:
        """Returns once everything that was handed over before is committed."""
        if self._thread is not None:
            await self.write([])

    @property
    def has_written(self) -> bool:
        return self._thread is not None

    def pulse_every(self, seconds: float, pulse: Pulse) -> None:
        """Have `pulse`'s statement committed again and again, from now on."""
        self._pulse_interval_s = seconds
        self._pulse = pulse

    async def close(self) -> None:
        """Commit what is left, and let go of the database."""
        await asyncio.to_thread(self._stop, None)

    def _put(self, request: _Request) -> None:
        if os.getpid() != self._process_id:
            raise DatabaseUnavailable(
                self._engine.target, "this store was opened by the parent process", hint="Open it again after the fork."
            )
        with self._lock:
            if self._closed:
                raise DatabaseUnavailable(self._engine.target, "this store has been closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="tac-orchestrator-writer", daemon=True)
                self._thread.start()
                atexit.register(self._stop, _EXIT_PATIENCE_S)
            if request.posted:
                if self._waiting_posts >= self._queue_size:
                    self.dropped += 1
                    return
                self._waiting_posts += 1
            self._queue.put(request)

    def _stop(self, patience_s: float | None) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._thread is None:
                return
            self._queue.put(_Request([], stops=True))
        self._thread.join(patience_s)
        atexit.unregister(self._stop)

    def _work(self) -> None:
        stopping = False
        while not stopping:
            requests = self._take()
            stopping = any(request.stops for request in requests)
            self._commit([request for request in requests if request.future is None or not request.future.cancelled()])
        self._engine.stop_writing()

    def _take(self) -> list[_Request]:
        """Waits for a request, and takes what has queued up behind it."""
        first = self._wait()
        taken = [first] if first is not None else []
        rows = _row_count(first)
        while rows < _ROWS_A_COMMIT and not self._queue.empty():
            taken.append(self._queue.get_nowait())
            rows += _row_count(taken[-1])
        return taken

    def _wait(self) -> _Request | None:
        """The next request; or the pulse, when that is due before one comes."""
        if self._pulse is None:
            return self._queue.get()
        try:
            return self._queue.get(timeout=self._pulse_interval_s)
        except Empty:
            statement = self._pulse()
            return None if statement is None else _Request([statement])

    def _commit(self, requests: list[_Request]) -> None:
        units: list[Unit] = [request for request in requests if request.statements]
        try:
            if self._redactor is not None and units:
                units += _scrub(units, self._redactor)
            if units:
                self._engine.commit(units)
        except Exception as error:  # nobody may wait for ever, whatever happened
            for unit in units:
                unit.error = error
        self._answer(requests)
        self._keep_up(units)

    def _keep_up(self, units: Sequence[Unit]) -> None:
        self._rows_since_upkeep += sum(_row_count(unit) for unit in units)
        if self._rows_since_upkeep >= _ROWS_BETWEEN_UPKEEP:
            self._rows_since_upkeep = 0
            self._engine.commit([Unit([self._upkeep()])])

    def _answer(self, requests: Sequence[_Request]) -> None:
        waiting = defaultdict[asyncio.AbstractEventLoop, list[_Request]](list)
        posts = 0
        for request in requests:
            if request.future is not None:
                waiting[request.future.get_loop()].append(request)
            elif request.posted:
                posts += 1
                self._note_failure(request.error)
        with self._lock:
            self._waiting_posts -= posts
        for loop, answered in waiting.items():
            with suppress(RuntimeError):  # the loop has ended, and its tasks with it
                loop.call_soon_threadsafe(_resolve, answered)

    def _note_failure(self, error: Exception | None) -> None:
        if error is not None:
            self.failed += 1
            if self.failed & (self.failed - 1) == 0:  # the 1st, 2nd, 4th, 8th…: a flood of one fault stays readable
                _LOG.warning("%d posted log(s) could not be stored; the last because: %s", self.failed, error)


def _row_count(unit: Unit | None) -> int:
    return sum(len(statement.rows) for statement in unit.statements) if unit is not None else 0


def _resolve(requests: Iterable[_Request]) -> None:
    for request in requests:
        future = request.future
        if future is None or future.done():
            continue
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.outcomes)


def _scrub(units: Sequence[Unit], redactor: Redactor) -> list[Unit]:
    """Takes the secrets out of all free text; returns the units that count them, where there were any."""
    statements = [statement for unit in units for statement in unit.statements if statement.query.free_text]
    texts = [text for statement in statements for text in _free_texts(statement)]
    if not texts or not redactor.suspects(texts):
        return []
    found = Counter[tuple[str, str]]()
    for statement in statements:
        if redactor.suspects(list(_free_texts(statement))):
            statement.rows = [_scrub_row(row, statement, redactor, found) for row in statement.rows]
    return [Unit([_count(kind, table, number)]) for (kind, table), number in found.items()]


def _free_texts(statement: Statement) -> Iterable[str]:
    places = statement.query.free_text
    return (text for row in statement.rows for place in places if (text := row[place]))


def _scrub_row(
    row: tuple[Any, ...], statement: Statement, redactor: Redactor, found: Counter[tuple[str, str]]
) -> tuple[Any, ...]:
    clean = list(row)
    for place in statement.query.free_text:
        if clean[place]:
            clean[place], kinds = redactor.scrub(clean[place])
            for kind, number in kinds.items():
                found[kind, statement.query.table] += number
    return tuple(clean)


def _count(kind: str, table: str, number: int) -> Statement:
    return Statement(queries("redactions")["count"], [(time.strftime("%Y-%m-%d", time.gmtime()), kind, table, number)])
