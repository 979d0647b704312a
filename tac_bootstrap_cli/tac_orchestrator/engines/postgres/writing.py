"""The writing side: one connection, in an event loop of its own on the writer's thread, which waits for each commit.

A connection that is lost is opened anew, for as long as a writer would wait for a lock: a restart of the server or a fail-over
is noticed only by the time it takes. What was not committed is written again; of what may have been, the server is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any

from tac_orchestrator.engines.base import Unit
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.bell import Bell
from tac_orchestrator.engines.postgres.commits import Mark, Transaction
from tac_orchestrator.engines.postgres.connections import close, open_writer
from tac_orchestrator.engines.postgres.driver import Connection
from tac_orchestrator.engines.postgres.faults import is_lost, may_be_tried_again, state_of, translated
from tac_orchestrator.errors import DatabaseUnavailable, OrchestratorError
from tac_orchestrator.settings import Settings

_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_IN_THE_FUTURE = "22023"

# Since a recovery that has not come as far as the COMMIT, the number may be another's.
_END = """
    SELECT CASE
        WHEN pg_last_wal_replay_lsn() IS DISTINCT FROM $3::TEXT::PG_LSN AND pg_last_wal_replay_lsn() <= $2::TEXT::PG_LSN
        THEN 'lost' ELSE pg_xact_status($1::TEXT::XID8) END
"""


class Writing:
    """See `engines.base.Engine.commit`. `last` is the number of the last transaction that was committed here."""

    def __init__(self, address: Address, settings: Settings) -> None:
        self._address = address
        self._settings = settings
        self._runner: asyncio.Runner | None = None
        self._connection: Connection | None = None
        self._abandoned: list[Any] = []
        self._bell = Bell()
        self.last: str | None = None

    def commit(self, units: Sequence[Unit]) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            self._runner.run(self._commit(units))
        except Exception as error:
            reason = translated(error, self._address.target)
            for unit in units:
                unit.error = reason

    def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.suppress(Exception):
                runner.run(self._disconnect())
            runner.close()

    def forget_parent(self) -> None:
        """The connection is the parent's: were it collected here, the driver would end it for both."""
        self._abandoned += [self._connection, self._runner]
        self._connection = self._runner = None

    async def _commit(self, units: Sequence[Unit]) -> None:
        give_up, pause = time.monotonic() + self._settings.busy_timeout_s, _PAUSE_S
        transaction: Transaction | None = None
        while True:
            try:
                connection = await self._connected()
                if transaction is None or not await self._is_done(transaction):
                    transaction = Transaction(connection, units, self._address.target)
                    await transaction.commit()
                else:
                    transaction.settle()
                self.last = transaction.mark.number if transaction.mark is not None else self.last
                await self._bell.ring(connection)
                return
            except Exception as error:
                await self._after(error, is_last=time.monotonic() + pause > give_up, transaction=transaction)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _after(self, error: Exception, *, is_last: bool, transaction: Transaction | None) -> None:
        """Get ready for another try, or raise."""
        lost = is_lost(error)
        if not lost and may_be_tried_again(error) and self._connection is not None:
            await self._connection.execute("ROLLBACK")
        else:
            await self._disconnect()
        if (lost or may_be_tried_again(error)) and not is_last:
            return
        if transaction is not None and transaction.is_open:
            raise self._unknown(error) from error
        raise error

    def _unknown(self, error: Exception) -> OrchestratorError:
        reason = translated(error, self._address.target)
        told = reason.reason if isinstance(reason, DatabaseUnavailable) else str(reason)
        return DatabaseUnavailable(
            self._address.target, f"{told}; whether the last rows were stored is not known", hint=reason.hint
        )

    async def _is_done(self, transaction: Transaction) -> bool:
        """Whether it was committed, although nobody said so. One that has not ended yet is waited for."""
        assert self._connection is not None
        if not transaction.is_open or transaction.mark is None:
            return False
        while True:
            status = await self._status(transaction.mark)
            if status != "in progress":
                return status == "committed"
            await asyncio.sleep(_PAUSE_S)

    async def _status(self, mark: Mark) -> str | None:
        assert self._connection is not None
        try:
            return await self._connection.fetchval(_END, *mark)
        except Exception as error:
            if state_of(error) == _IN_THE_FUTURE:  # the server that is asked now has never heard of it
                return None
            raise

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await open_writer(self._address, self._settings)
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await close(connection)
