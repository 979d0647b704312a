"""The bell: recorders ring it once they have committed, so that listeners need not ask all the time whether something is new.

PostgreSQL has transactions that notify commit one after another, each of them until it is durable. So none that holds rows
does: the bell is rung behind it, by a transaction of its own that need not be durable, and not for each. Whoever has heard it
asks for a while, longer than recorders wait before they ring again.

The table of changes is the truth. Who does not hear the bell, because a connection was lost, because a server in between does
not pass it on, or because others than recorders have written, asks now and then, and comes late but misses nothing.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import close, open_reader
from tac_orchestrator.engines.postgres.driver import FAILURES, Connection
from tac_orchestrator.settings import Settings

_CHANNEL = "tac_orchestrator"
_RING = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{_CHANNEL}', '')"

_RUNG_EVERY_S = 0.2
_ASKED_FOR_S = 0.5
_ASKED_EVERY_S = 0.05
_ASKED_AT_LEAST_EVERY_S = 0.5
_DEAF_FOR_S = 30.0


class Bell:
    """One recorder's end of it."""

    def __init__(self) -> None:
        self._again_at = 0.0

    async def ring(self, connection: Connection) -> None:
        """Raises nothing: what it tells of is stored. A connection that is lost is noticed by the next commit."""
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + _RUNG_EVERY_S
            with suppress(Exception):
                await connection.execute(_RING)


class Ear:
    """The listeners' end of it, for all those of one event loop."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._listens_again_at = 0.0
        self._rung = asyncio.Event()
        self._rung_at = 0.0

    async def wait(self) -> None:
        """Returns when it is time to ask whether something is new."""
        self._come_to_this_loop()
        if not await self._listens() or time.monotonic() - self._rung_at < _ASKED_FOR_S:
            await asyncio.sleep(_ASKED_EVERY_S)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_ASKED_AT_LEAST_EVERY_S):
                await self._rung.wait()

    async def close(self) -> None:
        self._come_to_this_loop()
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)

    def _come_to_this_loop(self) -> None:
        """A loop that has ended cannot close its connections."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            left, self._connection = self._connection, None
            self._loop, self._opening, self._rung = loop, asyncio.Lock(), asyncio.Event()
            if left is not None:
                with suppress(Exception):
                    left.terminate()

    async def _listens(self) -> bool:
        async with self._opening:
            if self._connection is not None and not self._connection.is_closed():
                return True
            if time.monotonic() < self._listens_again_at:
                return False
            self._listens_again_at = time.monotonic() + _DEAF_FOR_S
            try:
                self._connection = await self._listening()
            except FAILURES:  # a server that only follows another has no bell
                return False
        self._hear()  # what was rung meanwhile
        return True

    async def _listening(self) -> Connection:
        connection = await open_reader(self._address, self._settings)
        try:
            await connection.add_listener(_CHANNEL, self._hear)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _hear(self, *_told: Any) -> None:
        self._rung_at = time.monotonic()
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()
