"""Moves all rows of a store to another one, in whatever engine: a file that has been outgrown to a server, or back.

First all rows are read: what could not be kept there is reported, and nothing is written. Then they are copied, parents before
their children, into a database that nobody can open yet, and read back: the number of rows and the sum of their hashes have to
be the same on both sides. In the end the source must still be as it was. Only then, at once, the database becomes a store.

Whatever stops it, the same call goes on: of each table, what arrived is kept if it is how the table begins in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Dump, Engine, Filling, Layout, Progress, Values
from tac_orchestrator.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable
from tac_orchestrator.migrations import begin_to_fill, present_version
from tac_orchestrator.ops.canonical import LAYOUTS, Digest, Misfit, Unfit, canonical, misfits, storable
from tac_orchestrator.ops.work import off_the_loop

MAX_MISFITS = 1000
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Transferred:
    """What was moved, by table. With `misfits` nothing was: the first are told, and `misfit_count` says how many there are."""

    source: str
    target: str
    tables: Mapping[str, Digest]
    misfits: tuple[Misfit, ...] = ()
    misfit_count: int = 0


@dataclass(slots=True)
class _Findings:
    """What one look at all rows has found."""

    digests: dict[str, Digest] = field(default_factory=dict[str, Digest])
    misfits: list[Misfit] = field(default_factory=list[Misfit])
    misfit_count: int = 0

    def add(self, found: Sequence[Misfit]) -> None:
        self.misfit_count += len(found)
        self.misfits += found[: MAX_MISFITS - len(self.misfits)]


async def transfer(db: Database, target: str | Path, progress: Progress | None = None) -> Transferred:
    """Move all rows to `target`: a new file, or a database of PostgreSQL that has no tables yet.

    The source is not written to, and nobody else should write to it meanwhile: raises DatabaseBusy if somebody has. Raises
    AlreadyExists if the target is something, DatabaseCorrupt if what arrived there is not what was sent.
    """
    other = Database(db.settings.at(target)).engine
    return await off_the_loop(lambda report: _transfer(db.engine, other, report), progress)


def _transfer(source: Engine, target: Engine, report: Progress) -> Transferred:
    _refuse_old(source)
    with source.dump() as dump:
        count = sum(dump.count(layout) for layout in LAYOUTS)
        steps = _Steps(report, count * _PASSES)
        found = _look(dump, steps)
        if found.misfits:
            return Transferred(source.target, target.target, {}, tuple(found.misfits), found.misfit_count)
        begin_to_fill(target)
        with target.filling() as filling:
            _fill(dump, filling, found.digests, steps)
            _verify(filling, found.digests, target, steps)
            _refuse_changed(source, dump, found.digests)
            filling.finish(dump.numbers())
    present_version(target)
    target.analyze()
    return Transferred(source.target, target.target, found.digests)


def _refuse_old(source: Engine) -> None:
    if present_version(source) < len(source.migrations()):
        raise DatabaseUnavailable(source.target, "its schema is of an older version", hint="`tac-orch db migrate`, then again.")


class _Steps:
    """How much of all that is to be done is done."""

    def __init__(self, report: Progress, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        self._report(min(self._done, self._total), self._total)


def _look(dump: Dump, steps: _Steps | None = None) -> _Findings:
    found = _Findings()
    for layout in LAYOUTS:
        found.digests[layout.table] = _digest(layout, dump.rows(layout), steps, found.add)
    found.add([
        Misfit(table, key, column, f"the row of {parent} that it refers to does not exist")
        for table, key, column, parent in dump.orphans()
    ])  # fmt: skip
    return found


def _digest(
    layout: Layout,
    pieces: Iterable[Sequence[Values]],
    steps: _Steps | None = None,
    tell: Callable[[Sequence[Misfit]], None] | None = None,
) -> Digest:
    """Pieces that have something unfit do not count, and are looked at row by row."""
    digest = Digest()
    for rows in pieces:
        try:
            digest = digest.plus(canonical(layout, rows))
        except (Unfit, TypeError):
            if tell is None:
                raise
            tell(misfits(layout, rows))
        if steps is not None:
            steps.add(len(rows))
    return digest


def _fill(dump: Dump, filling: Filling, wanted: Mapping[str, Digest], steps: _Steps) -> None:
    for layout in LAYOUTS:
        arrived = _digest(layout, filling.rows(layout))
        if arrived.rows and not _begins_with(dump, layout, arrived):
            filling.empty(layout)
            arrived = Digest()
        steps.add(arrived.rows)
        if arrived.rows < wanted[layout.table].rows:
            filling.fill(layout, _kept(layout, _behind(arrived.rows, dump.rows(layout)), steps))


def _begins_with(dump: Dump, layout: Layout, arrived: Digest) -> bool:
    with closing(dump.rows(layout)) as pieces:
        return _digest(layout, _first(arrived.rows, pieces)) == arrived


def _first(count: int, pieces: Iterable[Sequence[Values]]) -> Iterator[Sequence[Values]]:
    for rows in pieces:
        yield rows[:count]
        count -= len(rows)
        if count <= 0:
            return


def _behind(count: int, pieces: Iterable[Sequence[Values]]) -> Iterator[Sequence[Values]]:
    """All but the first rows."""
    for rows in pieces:
        if len(rows) > count:
            yield rows[count:]
        count = max(count - len(rows), 0)


def _kept(layout: Layout, pieces: Iterable[Sequence[Values]], steps: _Steps) -> Iterator[Sequence[Values]]:
    for rows in pieces:
        yield storable(layout, rows)
        steps.add(len(rows))


def _verify(filling: Filling, wanted: Mapping[str, Digest], target: Engine, steps: _Steps) -> None:
    for layout in LAYOUTS:
        arrived, sent = _digest(layout, filling.rows(layout), steps), wanted[layout.table]
        if arrived != sent:
            filling.empty(layout)
            what = f"of {layout.table}, {arrived.rows:,} rows arrived and {sent.rows:,} were sent"
            reason = what if arrived.rows != sent.rows else f"of {layout.table}, not all rows arrived as they were sent"
            raise DatabaseCorrupt(
                target.target, reason, hint="It is not a store yet. The same call sends this table once more."
            )


def _refuse_changed(source: Engine, dump: Dump, digests: Mapping[str, Digest]) -> None:
    """Something was committed: perhaps nothing that is moved, or by somebody else's database in the same server."""
    if dump.is_current():
        return
    with source.dump() as later:
        if _look(later).digests != digests:
            raise DatabaseBusy(
                f"{source.target} has changed while its rows were moved, and goes on being the store.", hint=_CHANGED
            )


_CHANGED = "End what records into it, and call the same again: what has arrived already is kept."
