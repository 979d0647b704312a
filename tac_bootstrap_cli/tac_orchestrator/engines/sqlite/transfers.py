"""All rows of a database for another engine, and a database that gets all rows of another one.

Triggers would count everything once more, and go with the indexes until all rows are there, see `engines.base.UNFINISHED`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import groupby
from operator import methodcaller
from pathlib import Path
from typing import Any, get_args

from tac_orchestrator.engines.base import COPIED, UNFINISHED, Column, ColumnKind, Layout, Spellings, Values
from tac_orchestrator.engines.sqlite.connections import open_reader, open_writer
from tac_orchestrator.engines.sqlite.faults import translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.settings import Settings

_CACHE_KIB = 256 * 1024
_CHECKPOINT_PAGES = 16_000
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

# In UTF-16, which somebody may have chosen by hand, SQL cannot put together what follows.
_EACH_BY_ITSELF: Spellings = dict.fromkeys(get_args(ColumnKind), str)

# No text has these: the first two are in no UTF-8, and the last one is refused.
_TAB, _NULL, _NEWLINE = b"\xfe", b"\xff", b"\0"
_ESCAPES = [(plain.encode(), escaped.encode()) for plain, escaped in COPIED.items()]

_NUMBERS_OF: Mapping[ColumnKind, Callable[[str], float]] = {
    "money": float,
    "sum": float,
    "total": lambda text: int(text) if text.isdecimal() else float(text),
}


class _Rows:
    """Its errors are this database's: two are in use at a time."""

    _in_order = False

    def __init__(self, connection: sqlite.Connection, target: str) -> None:
        self._connection = connection
        self._target = target
        self._is_utf8 = connection.execute("PRAGMA encoding").fetchone()[0] == "UTF-8"

    def lines(self, layout: Layout, spellings: Spellings, after: int = 0, count: int | None = None) -> Generator[bytes]:
        """Put together by SQL, but for what it cannot spell: an object of each value would cost more than all the rest."""
        parts = list(_parts(layout, spellings if self._is_utf8 else {**_EACH_BY_ITSELF, **spellings}))
        values = {"tab": _TAB, "null": _NULL, "count": -1 if count is None else count, "after": after}
        with translating(self._target):
            for rows in self._pieces(", ".join(sql for sql, _ in parts), layout, values):
                written = [spell(found) for (_, spell), found in zip(parts, zip(*rows, strict=True), strict=True)]
                yield _escaped(_NEWLINE.join(map(_TAB.join, zip(*written, strict=True)))) + b"\n"

    def _pieces(self, columns: str, layout: Layout, values: Mapping[str, Any]) -> Generator[Sequence[Values]]:
        order = f" ORDER BY {layout.order}" if self._in_order else ""
        sql = f"SELECT {columns} FROM {layout.table}{order} LIMIT :count OFFSET :after"  # noqa: S608
        cursor = self._connection.execute(sql, values)
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

    def doubtful(self, layout: Layout) -> Generator[Sequence[Values]]:
        """All of them: whoever finds out pays as much as whoever looks at them."""
        with translating(self._target):
            try:
                yield from self._all(layout)
            finally:
                self._connection.text_factory = str

    def _all(self, layout: Layout) -> Generator[Sequence[Values]]:
        """Decoded by SQLite's library, or from where that fails by a function, which costs more."""
        columns, seen = ", ".join(layout.names), 0
        for self._connection.text_factory in (str, _decoded):
            try:
                for rows in self._pieces(columns, layout, {"count": -1, "after": seen}):
                    yield rows
                    seen += len(rows)
                return
            except sqlite.OperationalError as error:
                if "decode" not in str(error):
                    raise

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

    keeps_json = True

    def fill(self, layout: Layout, pieces: Iterable[bytes]) -> None:
        columns, places = ", ".join(layout.names), ", ".join("?" * len(layout.columns))
        for lines in pieces:
            with self._transaction():
                self._connection.executemany(
                    f"INSERT INTO {layout.table} ({columns}) VALUES ({places})",  # noqa: S608
                    _values(layout, lines),
                )

    def empty(self, layout: Layout) -> None:
        with self._transaction():
            self._connection.execute(f"DELETE FROM {layout.table}")  # noqa: S608

    def begin(self) -> None:
        with self._transaction():
            self._each("undo")

    def finish(self, numbers: Mapping[str, int]) -> None:
        self._fetch("PRAGMA synchronous = FULL")
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


def _parts(layout: Layout, spellings: Spellings) -> Iterator[tuple[str, Callable[[Sequence[Any]], Sequence[bytes]]]]:
    """SQL for the parts of a line, and what becomes of the values that it finds."""
    for is_spelled, columns in groupby(layout.columns, lambda column: column.kind in spellings):
        if is_spelled:
            yield from ((column.name, partial(_spelled, spellings[column.kind])) for column in columns)
        else:
            joined = " || :tab || ".join(f"COALESCE({column.name}, :null)" for column in columns)
            yield f"CAST({joined} AS BLOB)", tuple


def _spelled(spell: Callable[[Any], str], values: Sequence[Any]) -> Sequence[bytes]:
    return [_NULL if value is None else spell(value).encode() for value in values]


def _escaped(lines: bytes) -> bytes:
    """To look for a character costs a tenth of replacing it."""
    for plain, escaped in _ESCAPES:
        if plain in lines:
            lines = lines.replace(plain, escaped)
    return lines.replace(_TAB, b"\t").replace(_NULL, b"\\N").replace(_NEWLINE, b"\n")


def _values(layout: Layout, lines: bytes) -> Iterable[Values]:
    """Whole numbers may stay texts: columns make numbers of these by themselves."""
    columns = zip(*[line.split("\t") for line in lines.decode().split("\n")[:-1]], strict=True)
    return zip(*map(_unescaped, layout.columns, columns), strict=True)


def _unescaped(column: Column, values: Iterable[str]) -> Sequence[Any]:
    plain = [_plain(value) if "\\" in value else value for value in values]
    if column.kind in _NUMBERS_OF:
        return [None if value is None else _NUMBERS_OF[column.kind](value) for value in plain]
    return plain


def _plain(value: str) -> str | None:
    if value == "\\N":
        return None
    parts = value.split("\\\\")
    for plain, escaped in COPIED.items():
        parts = [part.replace(escaped, plain) if "\\" in part else part for part in parts]
    return "\\".join(parts)


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
        connection.execute("PRAGMA synchronous = NORMAL")  # what a loss of power takes along is sent again
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    with closing(connection):
        found = SqliteFilling(connection, str(path))
        found.begin()
        yield found
