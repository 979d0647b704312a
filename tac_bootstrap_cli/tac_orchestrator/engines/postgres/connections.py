"""Opens connections, each with the settings that its purpose needs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from tac_orchestrator.engines.postgres.address import Address
from tac_orchestrator.engines.postgres.driver import Connection, connect
from tac_orchestrator.engines.postgres.faults import is_lost
from tac_orchestrator.engines.postgres.values import number
from tac_orchestrator.settings import Settings

LOCKS = 0x5441434F
"""The first number of our advisory locks: "TACO" in ASCII."""

INSTALLING = -1
"""The lock of whoever makes or changes the schema. Those from 0 on are the slots of recorders, see the migration of totals."""

# Behind a dead network a server neither answers nor is gone.
_SILENCE_S = 60.0
_IDLE_TRANSACTION_S = 120

# Our queries are many and short. A reader's are planned for the values that it asks for: common ones want another index.
_COMMON = "SET timezone = 'UTC'; SET jit = off; SET client_min_messages = warning; SET standard_conforming_strings = on;"
_READER = "SET default_transaction_read_only = on; SET plan_cache_mode = force_custom_plan;"
_SLOT = f"""
    SELECT set_config('tac_orchestrator.slot', (
        SELECT slot::TEXT FROM generate_series(0, 63) AS slot WHERE pg_try_advisory_lock({LOCKS}, slot::INTEGER) LIMIT 1
    ), false)
"""  # noqa: S608


async def open_plain(address: Address, settings: Settings, *, database: str | None = None) -> Connection:
    """For the schema and for upkeep."""
    connection = await _connect(address, database=database)
    with _ended_by_trouble(connection):
        await connection.execute(_COMMON + _patience(settings))
    return connection


async def open_writer(address: Address, settings: Settings) -> Connection:
    """The one connection of this process that writes, with a slot for its totals where there is one left."""
    connection = await _connect(address, command_timeout=settings.busy_timeout_s + _SILENCE_S)
    off = "" if settings.synchronous == "FULL" else "SET synchronous_commit = off;"
    idle = f"SET idle_in_transaction_session_timeout = '{_IDLE_TRANSACTION_S}s';"
    with _ended_by_trouble(connection):
        await connection.execute(_COMMON + _patience(settings) + off + idle)
        await connection.execute(_SLOT)
    return connection


async def open_reader(address: Address, settings: Settings) -> Connection:
    """A connection that does not write. Ids are read as text, and sums of whole numbers as such."""
    connection = await _connect(address)
    with _ended_by_trouble(connection):
        await connection.execute(_COMMON + _patience(settings) + _READER)
        await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=number)
    return connection


async def close(connection: Connection) -> None:
    """Politely, if the server still answers. Raises nothing."""
    try:
        await connection.close(timeout=1)
    except Exception:
        connection.terminate()


@contextmanager
def _ended_by_trouble(connection: Connection) -> Generator[None]:
    """Also when whoever wanted it goes away: nobody else could close it."""
    try:
        yield
    except BaseException:
        connection.terminate()
        raise


def _patience(settings: Settings) -> str:
    return f"SET lock_timeout = {max(round(settings.busy_timeout_s * 1000), 1)};"


async def _connect(address: Address, *, database: str | None = None, command_timeout: float | None = None) -> Connection:
    """To the first host that answers, and is of the kind that the address asks for."""
    for place, url in enumerate(address.urls, 1):
        try:
            return await connect(
                url,
                database=database,
                timeout=address.connect_timeout_s,
                command_timeout=command_timeout,
                statement_cache_size=512,
                max_cacheable_statement_size=64 * 1024,
                max_cached_statement_lifetime=0,
                server_settings={"application_name": address.application},
            )
        except Exception as error:
            if place == len(address.urls) or not is_lost(error):
                raise
    raise AssertionError("an address has a host")
