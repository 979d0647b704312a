"""What happens, as it happens: every change of every process, to all who listen.

One task reads the feed and describes each change once; a listener takes what it asked for from a queue of its own. One that is
too slow is told so and let go, so that it harms no other. A listener that comes back names its last position and gets what it
has missed from the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import orjson
from pydantic import TypeAdapter

from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound, OrchestratorError
from tac_orchestrator.models import Change, Entity, Event

_LOG = logging.getLogger("tac_orchestrator")

_QUEUED_FRAMES = 256
"""Frames that may wait for a listener. Each is what one look at the feed has found, at most 1,000 changes."""

_RETRY_S = 1.0
_EVENT = TypeAdapter(Event)


@dataclass(frozen=True, slots=True)
class Interest:
    """What a listener wants to hear of. None is everything."""

    session_id: str | None = None
    agent_id: str | None = None
    entities: frozenset[Entity] | None = None

    def matches(self, event: Event) -> bool:
        return (
            (self.entities is None or event.entity in self.entities)
            and (self.session_id is None or event.session_id == self.session_id or event.operation == "delete")
            and (self.agent_id is None or event.agent_id == self.agent_id or event.operation == "delete")
        )


@dataclass(slots=True)
class _Told:
    """An event, and how it is sent: made once for all listeners."""

    event: Event
    text: bytes


@dataclass(slots=True, eq=False)
class Listener:
    """Takes frames for one connection. `is_late` says that it could not follow."""

    interest: Interest
    frames: asyncio.Queue[Sequence[_Told]] = field(default_factory=lambda: asyncio.Queue(_QUEUED_FRAMES))
    is_late: bool = False

    def offer(self, told: Sequence[_Told]) -> None:
        try:
            self.frames.put_nowait(told)
        except asyncio.QueueFull:
            self.is_late = True


class Live:
    """The feed of one store, for all connections of one server."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners = set[Listener]()
        self._position = "0.0.0"

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        self._position = await self._database.changes.last()
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def listeners(self) -> frozenset[Listener]:
        return frozenset(self._listeners)

    @property
    def position(self) -> str:
        """The position behind everything that was told."""
        return self._position

    async def listen(self, interest: Interest, position: str | None, pulse_s: float) -> AsyncGenerator[bytes]:
        """Frames as JSON: first what was missed since `position`, then what comes; a pulse when nothing does.

        Ends with a frame that says why, if what was missed is no longer kept, or the listener is too slow.
        """
        listener = Listener(interest)
        self._listeners.add(listener)
        try:
            reached = self._position
            if position is not None:
                async for reached, told in self._missed(position):
                    wanted = [one for one in told if interest.matches(one.event)]
                    if wanted:
                        yield _frame(reached, wanted)
            yield _pulse(reached)
            async for frame in self._coming(listener, reached, pulse_s):
                yield frame
        except NotFound:
            yield _ending("reset", self._position, "What followed that position is no longer kept: read everything anew.")
        finally:
            self._listeners.discard(listener)

    async def _missed(self, position: str) -> AsyncGenerator[tuple[str, list[_Told]]]:
        yield position, []
        while changes := await self._database.changes.after(position):
            position = changes[-1].position
            yield position, await self._described(changes)

    async def _coming(self, listener: Listener, reached: str, pulse_s: float) -> AsyncGenerator[bytes]:
        is_seen = self._database.changes.seen_at(reached)
        while not listener.is_late:
            try:
                async with asyncio.timeout(pulse_s):  # wait_for would pass over being cancelled as a frame comes
                    told = await listener.frames.get()
            except TimeoutError:
                yield _pulse(self._position)
                continue
            wanted = [one for one in told if listener.interest.matches(one.event) and not is_seen(one.event)]
            if wanted:
                yield _frame(told[-1].event.position, wanted)
        yield _ending("late", self._position, "You read too slowly. Connect again with the last position that you have.")

    async def _follow(self) -> None:
        """For as long as the server runs. A store in trouble is tried again: nothing is missed by that."""
        while True:
            try:
                async for changes in self._database.changes.follow_pages(self._position):
                    self._tell(await self._described(changes) if self._listeners else [])
                    self._position = changes[-1].position
            except NotFound:
                self._position = await self._database.changes.last()
            except OrchestratorError as error:
                _LOG.warning("the feed is interrupted: %s", error)
                await asyncio.sleep(_RETRY_S)

    def _tell(self, told: Sequence[_Told]) -> None:
        if told:
            for listener in self._listeners:
                listener.offer(told)

    async def _described(self, changes: Sequence[Change]) -> list[_Told]:
        events = await self._database.feed.describe(changes)
        return [_Told(event, _EVENT.dump_json(event, warnings=False)) for event in events]


def _frame(position: str, told: Sequence[_Told]) -> bytes:
    return (
        b'{"type":"changes","position":"' + position.encode() + b'","changes":[' + b",".join(one.text for one in told) + b"]}"
    )


def _pulse(position: str) -> bytes:
    return orjson.dumps({"type": "pulse", "position": position})


def _ending(kind: str, position: str, reason: str) -> bytes:
    return orjson.dumps({"type": kind, "position": position, "reason": reason})
