"""What an engine does, and the words in which it is told to.

A write is a `Unit`: statements that are committed together or not at all. The writer hands an engine whatever units have
queued up; the engine commits them in one go and answers each unit for itself: one that fails does not harm the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.queries import Query
from tac_orchestrator.schema import Migration

RawRow = dict[str, Any]
"""A row as the driver gives it: column name to value."""

Progress = Callable[[int, int], None]
"""Called now and then with how much of some work is done, and how much there is. It stops the work by raising."""


def part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """The progress of one part of some work, in terms of the whole. The parts are taken to be of the same size."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, parts * total)


@dataclass(slots=True)
class Statement:
    """A query with the values of one row or more, in the order of its parameters.

    What `missing` makes is raised, and the unit undone, when the statement finds nothing to change. `secrets` are the
    kinds of secrets that were taken out of the rows, and how many; None while nobody has looked for them.
    """

    query: Query
    rows: list[tuple[Any, ...]]
    missing: Callable[[], OrchestratorError] | None = None
    secrets: Counter[str] | None = None


@dataclass(slots=True)
class Outcome:
    """What a statement did. `first_id` is the number that the first of its rows got, where the table numbers its rows; of
    many rows at once it may be unknown."""

    first_id: int = 0
    changed: int = 0
    returned: Sequence[RawRow] = ()


@dataclass(slots=True)
class Unit:
    """Statements that are committed together, and how that went: either `outcomes`, one a statement, or `error`."""

    statements: list[Statement]
    outcomes: Sequence[Outcome] = field(default=(), kw_only=True)
    error: Exception | None = field(default=None, kw_only=True)


def nothing() -> None:
    """There is nothing to do meanwhile."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word or a phrase that is looked for, or, as a prefix, the words that begin so. `words` are these, where they are
    known."""

    text: str
    is_prefix: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is looked for. AND or OR stands between any two of the wanted; AND binds more closely."""

    wanted: Sequence[Term | Literal["AND", "OR"]]
    unwanted: Sequence[Term] = ()


def distinct(names: Sequence[str]) -> Sequence[str]:
    """Names of columns, of which two may be the same in SQL that somebody has typed: the second `id` is `id:1`."""
    if len(set(names)) == len(names):
        return names
    seen = Counter[str]()
    found = list[str]()
    for name in names:
        found.append(f"{name}:{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


class Codec(Protocol):
    """How an engine keeps times and money, and writes down what is looked for. Reading never fails: what cannot be understood
    is given as it is."""

    def time(self, value: datetime) -> Any:
        """`value` is in UTC."""
        ...

    def money(self, value: Decimal | float) -> Any:
        """Rounded to eight decimals."""
        ...

    def match(self, terms: Terms) -> str:
        """In the language of its search index, in which nothing that people type is an error."""
        ...

    def read_time(self, value: Any) -> Any: ...
    def read_money(self, value: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A row of schema_version."""

    number: int
    name: str
    checksum: str
    schema_hash: str
    product_version: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a database is found to be. `objects` are its tables, indexes, triggers and views by name, as the engine tells them;
    `schema_hash` is a fingerprint of those that are ours."""

    is_ours: bool
    is_empty: bool
    holds_data: bool
    version: int
    applied: tuple[AppliedMigration, ...]
    objects: Mapping[str, str]
    schema_hash: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy has in common with its original: `rows` are the numbers of rows by table. `orphans` are the rows, in words,
    that refer to a row that does not exist."""

    inspection: Inspection
    rows: Mapping[str, int]
    orphans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, how it is, and what to do where it is not well."""

    name: str
    state: Literal["ok", "warning", "error"]
    message: str
    remedy: str = ""


UNFINISHED = "unfinished_transfer"
"""The table that a database has while it is filled with the rows of another one. It is no store before that is done.

Rows come faster, in any order and as they are while nothing looks after them: triggers, indexes and foreign keys are made anew
when all rows are there. The table holds what undoes each of them, and what makes it again."""

ColumnKind = Literal["id", "text", "word", "name", "count", "integer", "total", "time", "money", "sum", "json", "document"]
"""`word` is of a closed vocabulary; a `name` may be in an index; a `total` and a `sum` of money may be larger than what
they are made of; a `document` is JSON that is kept as it was written."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is moved. `vocabulary` is what a `word` may be."""

    name: str
    kind: ColumnKind
    is_required: bool = True
    vocabulary: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Layout:
    """A table whose rows are moved: in an order in which new ones come last, and so many at a time as the processor's cache
    holds."""

    table: str
    columns: tuple[Column, ...]
    order: str
    piece: int = 500

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


Values = tuple[Any, ...]
"""A row, in the order of the columns of its layout. Ids, words and JSON are text. So are times, in any form of ISO 8601."""

Spellings = Mapping[ColumnKind, Callable[[Any], str]]
"""How values of some kinds are written as `COPIED` says, where that is not how they are kept."""

COPIED = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\b": "\\b", "\f": "\\f", "\v": "\\v"}
"""How rows travel: as lines of PostgreSQL's COPY, in UTF-8, columns between tabs, a missing value as `\\N`, and these
characters escaped. Values are as PostgreSQL writes them: times in UTC with all six decimals, money as a float."""


class Dump(Protocol):
    """All rows of a database as of one moment, in the words that all engines share."""

    def count(self, layout: Layout) -> int: ...

    def doubtful(self, layout: Layout) -> Generator[Sequence[Values]]:
        """The rows that perhaps could not be kept elsewhere, or are not as they are to be written: not fewer, at most all."""
        ...

    def lines(self, layout: Layout, spellings: Spellings, after: int = 0, count: int | None = None) -> Generator[bytes]:
        """So many rows behind the first ones, in order, or all of them."""
        ...

    def orphans(self) -> Iterator[tuple[str, str, str, str]]:
        """Table, id and column of what refers to a row that does not exist, and the table in which it does not."""
        ...

    def numbers(self) -> Mapping[str, int]:
        """The last number that each table has given to a row, and that the feed of changes has come to (`changes`)."""
        ...

    def is_current(self) -> bool:
        """False if anything may have been committed since."""
        ...


class Filling(Protocol):
    """A database that has the mark `UNFINISHED`, and nobody else who fills it. What has been filled in stays, come what may."""

    @property
    def keeps_json(self) -> bool:
        """As it was written. Otherwise it comes back as PostgreSQL writes it."""
        ...

    def lines(self, layout: Layout, spellings: Spellings) -> Generator[bytes]:
        """In no order."""
        ...

    def fill(self, layout: Layout, pieces: Iterable[bytes]) -> None:
        """As they are: totals are not added to, and nobody is told."""
        ...

    def empty(self, layout: Layout) -> None: ...

    def finish(self, numbers: Mapping[str, int]) -> None:
        """Make a store of it, all at once: numbers go on behind these, and listeners begin anew."""
        ...


class View(Protocol):
    """A database as it was at one moment, however long one looks and whatever is written meanwhile."""

    def stream(self, query: Query, values: Sequence[Any]) -> AsyncGenerator[list[RawRow]]: ...


class Installation(Protocol):
    """A database that nobody else writes to while its schema is made or changed: all of it or nothing."""

    def inspect(self) -> Inspection: ...
    def run(self, script: str) -> None: ...
    def record(self, applied: Sequence[AppliedMigration]) -> None: ...

    def mark(self) -> None:
        """Make the table `UNFINISHED`."""
        ...


class Engine(Protocol):
    """A database. `commit` blocks and is called by one thread, the writer's; the rest may be called from any."""

    target: str

    @property
    def catalog(self) -> str:
        """SQL that lists the tables, for people who ask in SQL."""
        ...

    @property
    def path(self) -> Path | None:
        """The file that the database is. None where it is in a server."""
        ...

    @property
    def codec(self) -> Codec: ...

    @property
    def whole_rounds(self) -> bool:
        """Whether a commit costs so much for itself that two halves of a round cost more than they gain."""
        ...

    @property
    def undelayed(self) -> Engine:
        """The same database, read where it is written. Elsewhere lists, searches and totals may come from a replica, which lags
        behind what others have written; it never lags behind this engine's own commits."""
        ...

    def queries(self, table: str) -> Mapping[str, Query]:
        """The queries of one table by name, in this engine's words."""
        ...

    def migrations(self) -> Sequence[Migration]: ...

    def whole_schema(self) -> str: ...

    def create(self) -> None:
        """Make room for a database, if there is none."""
        ...

    def inspect(self) -> Inspection | None:
        """Look without changing anything. None if there is no database."""
        ...

    def difference(self, objects: Mapping[str, str], scripts: Sequence[str], upcoming: Sequence[str] = ()) -> str | None:
        """What these objects lack of what the scripts make, or have in the place of what the upcoming ones will make. None if
        nothing."""
        ...

    def install(self) -> AbstractContextManager[Installation]: ...

    def snapshot(self, name: str) -> Path | None:
        """Copy the whole database to a file beside it. None where that is not a matter of files."""
        ...

    def commit(self, units: Sequence[Unit], meanwhile: Callable[[], None] = nothing) -> None:
        """Commit the units, and leave in each what it did or why it failed.

        `meanwhile` is called, if nothing fails before, when the rest is the database's own work: whom it wakes finds the
        interpreter free.
        """
        ...

    def stop_writing(self) -> None: ...

    def forget_parent(self) -> None:
        """After a fork: let go, in the child, of what only the parent may use."""
        ...

    async def fetch(self, query: Query, values: Sequence[Any]) -> list[RawRow]:
        """`values` may be those of many rows, one after another, for a query that takes many."""
        ...

    async def query(self, sql: str, values: Mapping[str, Any]) -> list[RawRow]:
        """Any SQL that only reads. Raises InvalidRecord for SQL that is wrong, and DatabaseReadOnly for SQL that writes."""
        ...

    def stream(self, query: Query, values: Sequence[Any]) -> AsyncIterator[list[RawRow]]: ...

    async def raw_connection(self) -> Any:
        """A connection of the driver's own, for SQL of the user's own. Whoever asks for it closes it."""
        ...

    async def generation(self) -> object:
        """A value that changes with every commit of any process."""
        ...

    async def size(self) -> int:
        """The bytes of all that is stored: of a file with the log that is not merged into it yet, of the tables in a server."""
        ...

    async def lull(self) -> None:
        """Returns when it is time to ask for the generation once more."""
        ...

    def back_up(self, copy: Path, progress: Progress | None = None) -> Contents:
        """Copy the whole database to a new private file, which gets its name once it has been restored and checked."""
        ...

    def examine(self, progress: Progress | None = None) -> Contents:
        """Read all of it. Raises DatabaseCorrupt if it is damaged."""
        ...

    def restore(self, source: Path, aside: Path | None, progress: Progress | None = None) -> bool:
        """Take on what is in a backup, all of it or nothing. Returns whether something was there before; it is in `aside` now.

        Raises DatabaseBusy while anybody else has the database open, and AlreadyExists if there is one and no `aside`.
        """
        ...

    def check(self, progress: Progress | None = None) -> list[Finding]:
        """Whether all that is stored can be read and refers to what exists."""
        ...

    def vacuum(self, progress: Progress | None = None) -> tuple[int, int]:
        """Give back what deleted rows took, while writers wait. Returns the bytes before and after."""
        ...

    def analyze(self) -> None:
        """Have the planner of queries look at how the values are spread."""
        ...

    def diagnose(self) -> list[Finding]:
        """What is known to go wrong with this kind of database. Raises nothing that the database is to blame for."""
        ...

    def view(self) -> AbstractAsyncContextManager[View]: ...

    def dump(self) -> AbstractContextManager[Dump]: ...

    def filling(self) -> AbstractContextManager[Filling]:
        """Raises DatabaseBusy if somebody else is filling it."""
        ...

    async def close(self) -> None: ...
