"""The driver, asyncpg, which does not say its types: what we use of it, with as much of a type as it takes.

An extra: whoever keeps the store in a file does without it. Raises ModuleNotFoundError where it is not installed.
"""

from __future__ import annotations

import importlib
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


async def connect(url: str, **options: Any) -> Connection:
    return await _asyncpg.connect(url, **options)
