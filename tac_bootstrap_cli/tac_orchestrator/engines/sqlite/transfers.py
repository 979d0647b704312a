"""All rows of a database for another engine, and a database that gets all rows of another one.

Triggers would count everything once more, and go with the indexes until all rows are there, see `engines.base.UNFINISHED`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

from tac_orchestrator.engines.base import UNFINISHED, Layout, Values
from tac_orchestrator.engines.sqlite.connections import open_reader, open_writer
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.settings import Settings

_CACHE_KIB = 256 * 1024
_VERSION = "PRAGMA data_version"
_NUMBERS = "SELECT name, seq FROM sqlite_sequence WHERE name IN ('agent_logs', 'system_logs', 'changes')"

# A listener that comes with a position of the old store finds a gap, and a change behind it, and reads everything anew.
_BEGIN_FEED = """
    INSERT INTO changes (id, entity, operation, row_id)
    SELECT seq + 2, 'orchestrator_agent', 'update', id
    FROM sqlite_sequence, (SELECT id FROM orchestrator_agents ORDER BY id LIMIT 1) WHERE name = 'changes'
"""

# What is not UTF-8 is told by its surrogates, instead of stopping everything.
_decoded = methodcaller("decode", "utf-8", "surrogateescape")


class _Rows:
    """Its errors are this database's: two are in use at a time."""

    _in_order = False

    def __init__(self, connection: sqlite.Connection, target: str) -> None:
        self._connection = connection
        self._connection.text_factory = _decoded
        self._target = target

    def rows(self, layout: Layout) -> Generator[Sequence[Values]]:
        with translating(self._target):
            columns = ", ".join(layout.names)
            order = f" ORDER BY {layout.order}" if self._in_order else ""
            cursor = self._connection.execute(f"SELECT {columns} FROM {layout.table}{order}")  # noqa: S608
            while rows := cursor.fetchmany(layout.piece):
                yield rows

    def _fetch(self, sql: str, *values: Any) -> list[Any]:
        with translating(self._target):
            return self._connection.execute(sql, values).fetchall()


class SqliteDump(_Rows):
    """See `engines.base.Dump`. Its connection has begun to read; the watcher has no view of its own."""

    _in_order = True

    def __init__(self, connection: sqlite.Connection, watcher: sqlite.Connection, version: int, target: str) -> None:
        super().__init__(connection, target)
        self._watcher = watcher
        self._version = version

    def count(self, layout: Layout) -> int:
        return self._fetch(f"SELECT COUNT(*) FROM {layout.table}")[0][0]  # noqa: S608

    def orphans(self) -> Iterator[tuple[str, str, str, str]]:
        for table, row, parent, place in self._fetch("PRAGMA foreign_key_check"):
            column = next(
                name for number, _, _, name, *_ in self._fetch(f'PRAGMA foreign_key_list("{table}")') if number == place
            )
            (key,) = self._fetch(f'SELECT id FROM "{table}" WHERE rowid = ?', row)  # noqa: S608
            yield table, str(key[0]), column, parent

    def numbers(self) -> Mapping[str, int]:
        return dict(self._fetch(_NUMBERS))

    def is_current(self) -> bool:
        with translating(self._target):
            return self._watcher.execute(_VERSION).fetchone()[0] == self._version


class SqliteFilling(_Rows):
    """See `engines.base.Filling`."""

    def fill(self, layout: Layout, pieces: Iterable[Sequence[Values]]) -> None:
        columns, places = ", ".join(layout.names), ", ".join("?" * len(layout.columns))
        for rows in pieces:
            with self._transaction():
                self._connection.executemany(f"INSERT INTO {layout.table} ({columns}) VALUES ({places})", rows)  # noqa: S608

    def empty(self, layout: Layout) -> None:
        with self._transaction():
            self._connection.execute(f"DELETE FROM {layout.table}")  # noqa: S608

    def begin(self) -> None:
        with self._transaction():
            self._each("undo")

    def finish(self, numbers: Mapping[str, int]) -> None:
        with self._transaction():
            self._each("redo")
            for table, number in numbers.items():
                self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
                self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, number))
            self._connection.execute(_BEGIN_FEED)
            self._connection.execute(f"DROP TABLE {UNFINISHED}")

    def _each(self, what: str) -> None:
        for (statement,) in self._fetch(f"SELECT {what} FROM {UNFINISHED} ORDER BY rowid"):  # noqa: S608
            self._connection.execute(statement)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with translating(self._target):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise


@contextmanager
def translating(target: str) -> Generator[None]:
    try:
        yield
    except (sqlite.Error, OSError) as error:
        raise translated(error, target) from error


@contextmanager
def dump(path: Path, settings: Settings) -> Generator[SqliteDump]:
    with translating(str(path)):
        watcher, connection = open_reader(path, settings), open_reader(path, settings)
        version = watcher.execute(_VERSION).fetchone()[0]
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # the view begins with the first look
    with closing(watcher), closing(connection):
        yield SqliteDump(connection, watcher, version, str(path))


@contextmanager
def filling(path: Path, settings: Settings) -> Generator[SqliteFilling]:
    with translating(str(path)):
        connection = open_writer(path, settings)
        connection.execute("PRAGMA foreign_keys = OFF")  # a parent may come after its child
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    with closing(connection):
        found = SqliteFilling(connection, str(path))
        found.begin()
        yield found
