"""A plain connection to PostgreSQL, as another program has one: without this package, in a loop and on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import asyncpg

from tac_orchestrator.engines.postgres.readers import shown


class Row:
    """A row, by names or by places."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str | int) -> Any:
        return list(self._values.values())[key] if isinstance(key, int) else self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())


class Result:
    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def fetchall(self) -> list[Row]:
        return self._rows

    def fetchone(self) -> Row | None:
        return self._rows[0] if self._rows else None


class Plain:
    """Commits each statement."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._thread = ThreadPoolExecutor(1)
        self._runner = self._thread.submit(asyncio.Runner).result()
        self._connection = self._run(asyncpg.connect(url, server_settings={"timezone": "UTC"}))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Result:
        """`?` stands for a value, which becomes a literal, whose type is that of its place."""
        parts = sql.split("?") if values else [sql]
        assert len(parts) == len(values) + 1, sql
        text = parts[0] + "".join(_literal(value) + part for value, part in zip(values, parts[1:], strict=True))
        return Result([Row({name: _plain(value) for name, value in row.items()}) for row in self._run(self._fetch(text))])

    def close(self) -> None:
        self._run(self._connection.close())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _fetch(self, text: str) -> list[Any]:
        return await self._connection.fetch(text)

    def _run(self, work: Any) -> Any:
        async def run() -> Any:
            return await work

        return self._thread.submit(lambda: self._runner.run(run())).result()


def _literal(value: Any) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


def _plain(value: Any) -> Any:
    found = shown(value)
    if isinstance(found, Decimal):
        return float(found) if found.as_tuple().exponent else int(found)
    return found


@contextmanager
def plainly_connected(url: str) -> Generator[Plain]:
    connection = Plain(url)
    try:
        yield connection
    finally:
        connection.close()


def run_script(url: str, *scripts: str) -> None:
    """As psql runs files, all of them in one transaction."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        async with connection.transaction():
            for script in scripts:
                await connection.execute(script)
        await connection.close()

    asyncio.run(run())
