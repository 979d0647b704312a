"""One writer a process: a thread that commits whatever has queued up.

Callers hand over statements and await the commit. What the tasks of an event loop write in one of its rounds goes to the
thread together, and what gathers while a commit is under way forms the next one, so that all who wait share the cost of making
it durable. A caller that is cancelled before its turn leaves no trace; after that, its write is made as a whole.

Tasks that wait for one commit all go on at its end, and the database is idle until they write again. Where that takes as long
as a commit does, a round is committed in two halves: one half works while the other is made durable, from then on. (Not in a
server: there a commit costs four messages, however few its rows are.)

`post` is for logs that nobody waits for. Their queue is bounded; what does not fit is counted, not kept.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any

from tac_orchestrator.engines.base import Engine, Outcome, Statement, Unit
from tac_orchestrator.errors import DatabaseUnavailable, OrchestratorError
from tac_orchestrator.redaction import Redactor

_LOG = logging.getLogger("tac_orchestrator")

# Short transactions: other processes wait for the end of ours.
_ROWS_A_COMMIT = 2000

# What is posted may gather for so long, up to so many rows: nobody waits for it, and a thread that wakes for each of them would
# keep the one that posts from going on.
_POSTS_GATHER_S = 0.01
_POSTS_TOGETHER = 500

# The engine is given a moment for its upkeep whenever so many rows have been written.
_ROWS_BETWEEN_UPKEEP = 50_000

# A round is halved if it has so many requests, and the writer had to wait for it about as long as for the commit before. Who
# waits much longer is not held up by commits, and who waits less would only sync the disk more often.
_WORTH_HALVING = 48
_WAIT_TO_COMMIT = (0.7, 10.0)

# More rows than these are best committed by multiples of them: engines have statements prepared for those.
_ROWS_A_STATEMENT = 64

# How long the end of the interpreter waits for what was posted.
_EXIT_PATIENCE_S = 10.0

Pulse = Callable[[], Statement | None]
Make = Callable[[], Statement]


class _Posts(list[Make]):
    """Logs that nobody waits for: what makes each of them."""


@dataclass(slots=True, eq=False)
class _Request(Unit):
    """A unit and who waits for it, if anybody does. `make` says what is to be written, once it is written."""

    future: asyncio.Future[Sequence[Outcome]] | None = None
    stops: bool = False
    make: Make | None = None


class Writer:
    """Hands units to an engine, on a thread of its own. `write` is for tasks, `post` for any thread."""

    def __init__(self, engine: Engine, *, redactor: Redactor | None, queue_size: int, upkeep: Callable[[], Statement]) -> None:
        self._engine = engine
        self._redactor = redactor
        self._queue_size = queue_size
        self._upkeep = upkeep
        self._queue: SimpleQueue[list[_Request] | _Posts] = SimpleQueue()
        self._round: list[_Request] = []
        self._lock = threading.RLock()  # a signal's handler may post while its thread is posting
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._refusal: OrchestratorError | None = None
        self._is_of_parent = False
        self._waiting_posts = 0
        self._gathering: _Posts | None = None  # in the queue, and more may still join them
        self._rest: list[_Request] = []  # the second half of a round
        self._done: list[_Request] = []  # committed, and not told yet
        self._commit_s = 0.0
        self._rows_since_upkeep = 0
        self._pulse: Pulse | None = None
        self._pulse_interval_s = 0.0
        self._next_pulse = 0.0
        self.dropped = 0
        self.failed = 0
        self.commits = 0
        self.rows = 0
        _LIVING.add(self)

    def write(self, statements: list[Statement]) -> Awaitable[Sequence[Outcome]]:
        """Returns once the statements are committed, all of them; raises if none is."""
        if self._refusal is not None:
            raise self._refusal.with_traceback(None)  # it would grow with each time that it is raised
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._work_for(loop)
        future: asyncio.Future[Sequence[Outcome]] = loop.create_future()
        self._round.append(_Request(statements, future))
        if len(self._round) == 1:
            loop.call_soon(self._end_round)
        return future

    async def write_bulk(self, statement: Statement) -> Awaitable[Sequence[Outcome]]:
        """`write` for many rows: their secrets are taken out on yet another thread, while the one before is committed."""
        if self._redactor is not None:
            await asyncio.to_thread(_scrub, [statement], self._redactor)
            statement.secrets = statement.secrets or Counter()
        return self.write([statement])

    def post(self, make: Make) -> None:
        """Have what this makes committed some time soon. Never raises and never waits: it is made on the writer's thread."""
        with self._lock:
            if self._refusal is not None or self._waiting_posts >= self._queue_size:
                self.dropped += 1
                return
            self._waiting_posts += 1
            gathering = self._gathering
            if gathering is not None and len(gathering) < _POSTS_TOGETHER:
                gathering.append(make)
            else:
                self._gathering = posts = _Posts((make,))
                self._hand_over(posts)

    async def flush(self) -> None:
        """Returns once everything that was handed over before is committed."""
        if self._thread is not None:
            await self.write([])

    def open(self) -> None:
        """Take writes again, after `close` or `refuse`."""
        if self._refusal is not None and not self._is_of_parent:
            self._refusal = self._pulse = None

    def refuse(self, reason: OrchestratorError) -> None:
        """Take nothing any more; `write` raises this."""
        self._refusal = reason

    @property
    def waiting(self) -> tuple[int, int]:
        """How many rounds, and how many posted logs, have not been committed yet."""
        return self._queue.qsize(), self._waiting_posts

    @property
    def has_written(self) -> bool:
        return self._thread is not None

    def pulse_every(self, seconds: float, pulse: Pulse) -> None:
        """Have `pulse`'s statement committed again and again, from now on."""
        self._pulse_interval_s = seconds
        self._next_pulse = time.monotonic() + seconds
        self._pulse = pulse

    async def close(self) -> None:
        """Commit what is left, and let go of the database."""
        thread = self._end()
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _work_for(self, loop: asyncio.AbstractEventLoop) -> None:
        """One loop at a time: rounds of two would get into each other. What one that has ended left over, nobody waits for."""
        if self._loop is not None and self._loop.is_running():
            raise DatabaseUnavailable(self._engine.target, "another event loop uses this store", hint="Open it in each loop.")
        self._loop = loop
        self._round = []

    def _end_round(self) -> None:
        """Hand over what the tasks of the loop have written in this round."""
        with self._lock:
            gathered, self._round = self._round, []
            self._gathering = None  # what is posted from now on comes behind this round
            self._hand_over(gathered)

    def _hand_over(self, requests: list[_Request] | _Posts) -> None:
        self._queue.put(requests)
        if self._thread is None and self._refusal is None:
            self._start()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="tac-orchestrator-writer", daemon=True)
        self._thread.start()

    def _end(self) -> threading.Thread | None:
        """Take nothing any more, and have the thread end with what it has."""
        with self._lock:
            gathered, self._round = self._round, []
            self._gathering = None
            if gathered and self._thread is None and self._refusal is None:
                self._start()
            thread, self._thread = self._thread, None
            if not self._is_of_parent:
                hint = "Use it in its block, or enter that again."
                self._refusal = DatabaseUnavailable(self._engine.target, "this store has been closed", hint=hint)
            if thread is not None:
                self._queue.put([*gathered, _Request([], stops=True)])
        return thread

    def end_with_interpreter(self) -> None:
        thread = self._end()
        if thread is not None:
            thread.join(_EXIT_PATIENCE_S)
            if thread.is_alive():
                _LOG.warning("%d posted log(s) may be lost: %s takes too long", self._waiting_posts, self._engine.target)

    def _work(self) -> None:
        stopping = False
        while not stopping:
            requests = self._take()
            stopping = any(request.stops for request in requests)
            self._commit([request for request in requests if request.future is None or not request.future.cancelled()])
        self._tell()
        self._engine.stop_writing()

    def _take(self) -> list[_Request]:
        """The second half of a round. Or waits for a round, and takes those that have queued up behind it, or half of it."""
        if self._rest:
            taken, self._rest = self._rest, []
            return taken
        if self._queue.empty():
            self._tell()
        began = time.monotonic()
        handed = self._wait()
        waited_s = time.monotonic() - began
        taken = self._gathered(handed) if handed is self._gathering else self._closed(handed)
        rows = sum(map(_row_count, taken))
        while rows < _ROWS_A_COMMIT and not self._queue.empty():
            following = self._closed(self._queue.get_nowait())
            taken += following
            rows += sum(map(_row_count, following))
        self._rows_since_upkeep += rows
        return self._halved(taken, waited_s)

    def _halved(self, taken: list[_Request], waited_s: float) -> list[_Request]:
        least, most = _WAIT_TO_COMMIT
        is_held_up = least * self._commit_s < waited_s < most * self._commit_s
        if len(taken) < _WORTH_HALVING or not is_held_up or taken[0].future is None or self._engine.whole_rounds:
            return taken
        half = len(taken) // 2
        if half > _ROWS_A_STATEMENT:
            half += -half % _ROWS_A_STATEMENT
        self._rest = taken[half:]
        return taken[:half]

    def _gathered(self, posts: list[_Request] | _Posts) -> list[_Request]:
        """What joins these posts for a moment, or until something comes behind them."""
        following: list[_Request] | _Posts = []
        with suppress(Empty):
            following = self._queue.get(timeout=_POSTS_GATHER_S)
        return self._closed(posts) + self._closed(following)

    def _closed(self, requests: list[_Request] | _Posts) -> list[_Request]:
        """Nothing joins them any more."""
        if not isinstance(requests, _Posts):
            return requests
        with self._lock:
            if requests is self._gathering:
                self._gathering = None
        return [_Request([], make=make) for make in requests]

    def _wait(self) -> list[_Request] | _Posts:
        """The next round; or the pulse, when that is due before one comes, or has become due while others came."""
        if self._pulse is None:
            return self._queue.get()
        patience_s = self._next_pulse - time.monotonic()
        with suppress(Empty):
            if patience_s > 0:
                return self._queue.get(timeout=patience_s)
        self._next_pulse = time.monotonic() + self._pulse_interval_s
        statement = self._pulse()
        return [] if statement is None else [_Request([statement])]

    def _commit(self, requests: list[_Request]) -> None:
        for request in requests:
            if request.make is not None:
                _prepare(request, request.make)
        units: list[Unit] = [request for request in requests if request.statements]
        try:
            if units:
                if self._redactor is not None:
                    _scrub([statement for unit in units for statement in unit.statements], self._redactor)
                units += _redaction_counts(self._engine, units)
                began = time.monotonic()
                self._engine.commit(units, self._tell)
                self._commit_s = time.monotonic() - began
                self.commits += 1
                self.rows += sum([_row_count(unit) for unit in units if unit.error is None])
        except Exception as error:  # nobody may wait for ever, whatever happened
            for unit in units:
                unit.error = error
        self._note_posts([request for request in requests if request.make is not None])
        self._tell()  # if nothing had to be committed
        self._done = [request for request in requests if request.future is not None]
        self._keep_up()

    def _tell(self) -> None:
        """Those whose writes are committed."""
        done, self._done = self._done, []
        for loop, those in groupby(done, _loop_of):
            with suppress(RuntimeError):  # the loop has ended, and its tasks with it
                loop.call_soon_threadsafe(_resolve, list(those))

    def _note_posts(self, requests: list[_Request]) -> None:
        """Before anybody is told: who has flushed finds room in the queue, and all failures counted."""
        with self._lock:
            self._waiting_posts -= len(requests)
        for request in requests:
            if request.error is not None:
                self.failed += 1
                if self.failed & (self.failed - 1) == 0:  # the 1st, 2nd, 4th, 8th…: a flood of one fault stays readable
                    with suppress(Exception):  # a handler of the program's own must not end this thread
                        _LOG.warning("%d posted log(s) could not be stored; the last because: %s", self.failed, request.error)

    def _keep_up(self) -> None:
        if self._rows_since_upkeep >= _ROWS_BETWEEN_UPKEEP:
            self._tell()
            self._rows_since_upkeep = 0
            with suppress(Exception):  # it can wait for the next time; those who write cannot
                self._engine.commit([Unit([self._upkeep()])])

    def forget_parent(self) -> None:
        """After a fork the child has neither our thread nor a right to our connections."""
        self._lock = threading.RLock()
        self._thread = None
        self._is_of_parent = True
        self._engine.forget_parent()
        self._refusal = DatabaseUnavailable(
            self._engine.target, "this store was opened by the parent process", hint="Open it again after the fork."
        )


_LIVING: weakref.WeakSet[Writer] = weakref.WeakSet()


@atexit.register
def _end_with_interpreter() -> None:
    """Registered before anybody has a store, and so the last: what others still record while they end is committed too."""
    for writer in list(_LIVING):
        writer.end_with_interpreter()


def _forget_parents() -> None:
    for writer in _LIVING:
        writer.forget_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)


def _prepare(request: _Request, make: Make) -> None:
    try:
        request.statements = [make()]
    except Exception as error:  # whatever a program has handed over: it fails alone
        request.error = error


def _row_count(unit: Unit) -> int:
    """A post, whose statement is yet to be made, is one row."""
    statements = unit.statements
    if len(statements) == 1:
        return len(statements[0].rows)
    return sum([len(statement.rows) for statement in statements]) if statements else 1


def _loop_of(request: _Request) -> asyncio.AbstractEventLoop:
    assert request.future is not None
    return request.future.get_loop()


def _resolve(requests: Iterable[_Request]) -> None:
    for request in requests:
        future = request.future
        if future is None or future.done():
            continue
        if request.error is not None:
            future.set_exception(request.error)
        else:
            future.set_result(request.outcomes)


def _scrub(statements: Sequence[Statement], redactor: Redactor) -> None:
    """Takes the secrets out of all free text that has not been searched yet, and notes them with the statements."""
    unsearched = [statement for statement in statements if statement.secrets is None]
    texts = _free_texts(unsearched)
    if not texts or not redactor.suspects(texts):
        return
    for statement in unsearched:
        statement.secrets = Counter()
        if redactor.suspects(_free_texts([statement])):
            statement.rows = [_scrub_row(row, statement, redactor) for row in statement.rows]


def _free_texts(statements: Iterable[Statement]) -> list[str]:
    return [
        text
        for statement in statements
        for row in statement.rows
        for place in statement.query.free_text
        if (text := row[place])
    ]


def _scrub_row(row: tuple[Any, ...], statement: Statement, redactor: Redactor) -> tuple[Any, ...]:
    clean = list(row)
    for place in statement.query.free_text:
        if clean[place]:
            clean[place], kinds = redactor.scrub(clean[place])
            statement.secrets = (statement.secrets or Counter()) + kinds
    return tuple(clean)


def _redaction_counts(engine: Engine, units: Sequence[Unit]) -> list[Unit]:
    """What notes how many secrets of which kind were kept out of which table."""
    found = Counter[tuple[str, str]]()
    for statement in [statement for unit in units for statement in unit.statements if statement.secrets]:
        found.update({(kind, statement.query.table): number for kind, number in (statement.secrets or {}).items()})
    if not found:
        return []
    day = time.strftime("%Y-%m-%d", time.gmtime())
    rows = [(day, kind, table, number) for (kind, table), number in found.items()]
    return [Unit([Statement(engine.queries("redactions")["count"], rows)])]
