"""The driver, asyncpg, which does not say its types: what we use of it, with as much of a type as it takes.

An extra: whoever keeps the store in a file does without it. Raises ModuleNotFoundError where it is not installed.
"""

from __future__ import annotations

import importlib
import socket
from typing import Any, TypeAlias

_asyncpg: Any = importlib.import_module("asyncpg")

Connection: TypeAlias = Any
Record: type[Any] = _asyncpg.Record

PostgresError: type[Exception] = _asyncpg.PostgresError
InterfaceError: type[Exception] = _asyncpg.InterfaceError
InternalClientError: type[Exception] = _asyncpg.InternalClientError
ClientConfigurationError: type[Exception] = _asyncpg.exceptions.ClientConfigurationError
InvalidCatalogNameError: type[Exception] = _asyncpg.InvalidCatalogNameError

FAILURES: tuple[type[Exception], ...] = (PostgresError, InterfaceError, InternalClientError, OSError, TimeoutError, ValueError)
"""What it raises, whatever goes wrong. ValueError is for values that it does not take, and for addresses."""


# A host that has lost its power, or a network that drops everything, says nothing: it is given up after twenty seconds, before
# a recorder's patience ends. The host of a server that is only slow answers to these.
_PROBES = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}


async def connect(url: str, **options: Any) -> Connection:
    connection = await _asyncpg.connect(url, **options)
    _probe(connection._transport.get_extra_info("socket"))
    return connection


def _probe(its: socket.socket | None) -> None:
    if its is not None and its.family in {socket.AF_INET, socket.AF_INET6}:
        its.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _PROBES.items():
            if hasattr(socket, name):
                its.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
