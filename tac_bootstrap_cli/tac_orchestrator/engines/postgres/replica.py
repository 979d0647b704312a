"""Reads from a replica, which takes them off the server that writes.

What is shown goes there: lists, trees, totals, searches, and SQL that somebody has typed. What decides about a write is asked
where it is written: rows by their id, what a source has brought already, leases, retention. So is the feed of changes, whose
order is that of the server's transactions, and which is to be told at once.

A replica lags. What this process has committed, and every change that the feed has told it of, it must have before it answers;
until then the server that writes does. So who has written sees that, and who has read a list and then follows the feed misses
nothing. What others have written meanwhile may be missing, for as long as the replica lags.

A replica that is gone, or lags for long, is left alone for a while, with one warning; a query that it cannot end, since a
row that it reads is to go, is asked again elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from tac_orchestrator.engines.base import Finding, RawRow
from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.connections import open_reader
from tac_orchestrator.engines.postgres.driver import Connection
from tac_orchestrator.engines.postgres.faults import translated
from tac_orchestrator.engines.postgres.readers import Readers
from tac_orchestrator.errors import (
    DatabaseBusy,
    DatabaseReadOnly,
    DatabaseUnavailable,
    InvalidSetting,
    OrchestratorError,
    SchemaDrift,
)
from tac_orchestrator.queries import Query
from tac_orchestrator.settings import READ_DATABASE_VARIABLE, Settings

T = TypeVar("T")

_LOG = logging.getLogger("tac_orchestrator")

_SHOWN = re.compile(r"\w+\.list\b|sessions\.(?:totals|tree)|orchestrator_agents\.usage|usage\.|figures\.|search\.find_")

# Somebody waits for an answer that the other server could give: rather not for long, and rather not often.
_CONNECT_PATIENCE_S = 3.0
_CATCH_UP_PATIENCE_S = 1.0
_LOOK_EVERY_S = 0.02
_LEFT_ALONE_S = 30.0

# One that has lost its primary looks as well as ever: it is compared again after a while.
_TRUSTED_FOR_S = 30.0

_PLACE = """
    SELECT
        concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), current_database(), current_schema()) AS identity,
        (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END)::TEXT AS place
"""
_HAS_REACHED = f"SELECT place::PG_LSN >= $1::TEXT::PG_LSN FROM ({_PLACE}) AS here"  # noqa: S608
_HAS = """
    SELECT pg_snapshot_xmin(now.snapshot) >= $2::TEXT::XID8 AND CASE WHEN $1::TEXT IS NULL THEN TRUE
        WHEN $1::TEXT::XID8 >= pg_snapshot_xmax(now.snapshot) THEN FALSE
        ELSE COALESCE(pg_xact_status($1::TEXT::XID8), 'committed') = 'committed' END
    FROM pg_current_snapshot() AS now (snapshot)
"""
_LAG = """
    SELECT pg_wal_lsn_diff($1::TEXT::PG_LSN, pg_last_wal_replay_lsn())::BIGINT AS bytes,
        EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp())::FLOAT AS seconds
"""


class _Behind(Exception):
    """It does not have yet what this process knows of."""


def replica_of(primary: Readers, settings: Settings, last_commit: Callable[[], str | None]) -> Replica | None:
    """What TAC_ORCHESTRATOR_READ_DB names, if it is set. Connects to nothing yet."""
    return None if settings.read_database is None else Replica(settings.read_database, primary, settings, last_commit)


class Replica:
    """Reads from it, and from the primary what it cannot tell."""

    def __init__(self, url: str, primary: Readers, settings: Settings, last_commit: Callable[[], str | None]) -> None:
        address = Address.of(url)
        self._address = replace(address, connect_timeout_s=min(address.connect_timeout_s, _CONNECT_PATIENCE_S))
        self._settings = settings
        self._primary = primary
        self._told = 0
        self._readers = _ReplicaReaders(self._address, settings, primary, lambda: (last_commit(), str(self._told)))
        self._ask_again_at = 0.0
        self._is_well = True

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        if _SHOWN.match(query.name):
            return await self._first(lambda readers: readers.fetch(query, values))
        rows = await self._primary.fetch(query, values)
        if query.table == "changes":
            self._note_told(rows)
        return rows

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        return await self._first(lambda readers: readers.query(sql, values))

    async def close(self) -> None:
        await self._readers.close()

    async def diagnose(self, primary: Connection) -> Finding:
        """Whether it keeps up with the primary."""
        try:
            place = await primary.fetchrow(_PLACE)
            connection = await open_reader(self._address, self._settings)
            try:
                _refuse_stranger(await connection.fetchrow(_PLACE), place, self._address)
                return await _keeping_up(connection, place, self._address.target)
            finally:
                await connection.close(timeout=5)
        except Exception as error:
            found = translated(error, self._address.target)
            text = self._address.without_secrets(str(found))
            return Finding("replica", "warning", f"{text} Reads go to the primary.", found.hint or _LAG_REMEDY)

    async def _first(self, ask: Callable[[Readers], Awaitable[T]]) -> T:
        """Ask the replica, and the primary if that cannot say."""
        if time.monotonic() >= self._ask_again_at:
            if not self._is_well:
                self._ask_again_at = time.monotonic() + _LEFT_ALONE_S  # one query finds out; others need not wait for it
            try:
                rows = await ask(self._readers)
            except (_Behind, DatabaseBusy, SchemaDrift):
                pass
            except DatabaseReadOnly:
                raise
            except DatabaseUnavailable as error:
                self._leave_alone(error)
            else:
                self._is_well, self._ask_again_at = True, 0.0
                return rows
        return await ask(self._primary)

    def _leave_alone(self, error: OrchestratorError) -> None:
        self._ask_again_at = time.monotonic() + _LEFT_ALONE_S
        if self._is_well:
            self._is_well = False
            _LOG.warning("Reads go to the primary meanwhile. %s", self._address.without_secrets(str(error)))

    def _note_told(self, rows: Sequence[RawRow]) -> None:
        """A position begins with the number of a transaction: that of the change, or the first of which nothing is told yet."""
        position = rows[-1].get("position") if rows else None
        if position is not None:
            number, _, rest = position.partition(".")
            self._told = max(self._told, int(number) + (rest != "0.0"))


class _ReplicaReaders(Readers):
    """Connections to the replica, each of which knows what it was found to have."""

    def __init__(
        self, address: Address, settings: Settings, primary: Readers, wanted: Callable[[], tuple[str | None, str]]
    ) -> None:
        super().__init__(address, settings)
        self._primary = primary
        self._wanted = wanted
        self._known: WeakKeyDictionary[Any, tuple[str | None, str]] = WeakKeyDictionary()
        self._compared_at: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    async def _open(self) -> Connection:
        """As new as the primary was when it was asked for: who is led from one server to another does not go back in time."""
        connection = await super()._open()
        try:
            await self._catch_up(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _prepare(self, connection: Connection) -> None:
        if time.monotonic() - self._compared_at[connection] > _TRUSTED_FOR_S:
            await self._catch_up(connection)
        wanted = self._wanted()
        if self._known.get(connection) != wanted:
            if not await connection.fetchval(_HAS, *wanted):
                raise _Behind
            self._known[connection] = wanted

    async def _catch_up(self, connection: Connection) -> None:
        primary = await self._place_of_primary()
        if primary is not None:
            _refuse_stranger(await connection.fetchrow(_PLACE), primary, self._address)
            if not await _has_caught_up(connection, primary):
                raise DatabaseUnavailable(self._address.target, "this replica lags behind", hint=_LAG_REMEDY)
        self._compared_at[connection] = time.monotonic()

    async def _place_of_primary(self) -> RawRow | None:
        """None while nobody is there to compare with: what the replica has is all that there is."""
        try:
            return await self._primary.row(_PLACE)
        except DatabaseUnavailable:
            return None


def _refuse_stranger(replica: RawRow, primary: RawRow, address: Address) -> None:
    """Rows of another store would be worse than none. Raises InvalidSetting."""
    if replica["identity"] != primary["identity"]:
        raise InvalidSetting(READ_DATABASE_VARIABLE, address.target, "a streaming replica of the store")


async def _has_caught_up(connection: Connection, primary: RawRow) -> bool:
    """Whether it comes, within a moment, to where the primary was."""
    give_up = time.monotonic() + _CATCH_UP_PATIENCE_S
    while not await connection.fetchval(_HAS_REACHED, primary["place"]):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True


async def _keeping_up(connection: Connection, primary: RawRow, target: str) -> Finding:
    before = time.monotonic()
    if await _has_caught_up(connection, primary):
        return Finding("replica", "ok", f"{target} has what the primary had {(time.monotonic() - before) * 1000:.0f} ms ago")
    lag = await connection.fetchrow(_LAG, primary["place"])
    age = "" if lag["seconds"] is None else f"; its last transaction is {lag['seconds']:,.0f} s old"
    return Finding("replica", "warning", f"{target} lags by {lag['bytes']:,} bytes of the log{age}", _LAG_REMEDY)


_LAG_REMEDY = "Look at pg_stat_replication on the primary, and at the replica's own log."
