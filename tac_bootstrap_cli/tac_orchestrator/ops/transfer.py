"""Moves all rows of a store to another one, in whatever engine: a file that has been outgrown to a server, or back.

First all rows are read: what could not be kept there is reported, and nothing is written. Then they are copied, parents before
their children, into a database that nobody can open yet, and read back: the number of rows and the sum of their hashes have to
be the same on both sides. In the end the source must still be as it was. Only then, at once, the database becomes a store.

Whatever stops it, the same call goes on: of each table, what arrived is kept if it is how the table begins in the source.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Dump, Engine, Filling, Layout, Progress, Spellings
from tac_orchestrator.errors import DatabaseBusy, DatabaseCorrupt, DatabaseUnavailable
from tac_orchestrator.migrations import begin_to_fill, present_version
from tac_orchestrator.ops.canonical import LAYOUTS, Digest, Misfit, Unfit, are_plain, misfits, spellings
from tac_orchestrator.ops.work import off_the_loop

MAX_MISFITS = 1000
_PASSES = 3

# What has arrived is as it is to be written.
_AS_WRITTEN = spellings(as_they_are=True, json_as_it_is=True)


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
    """What one look at all rows has found. `odd` are the tables with ids or times that are not as they are to be written."""

    misfits: list[Misfit] = field(default_factory=list[Misfit])
    misfit_count: int = 0
    odd: set[str] = field(default_factory=set[str])

    def add(self, found: Sequence[Misfit]) -> None:
        self.misfit_count += len(found)
        self.misfits += found[: MAX_MISFITS - len(self.misfits)]

    def spellings(self, layout: Layout, *, json_as_it_is: bool) -> Spellings:
        return spellings(as_they_are=layout.table not in self.odd, json_as_it_is=json_as_it_is)


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
        steps = _Steps(report, sum(dump.count(layout) for layout in LAYOUTS) * _PASSES)
        found = _look(dump, steps)
        if found.misfits:
            return Transferred(source.target, target.target, {}, tuple(found.misfits), found.misfit_count)
        begin_to_fill(target)
        with target.filling() as filling:
            sent = _fill(dump, filling, found, steps)
            _verify(filling, sent, target, steps)
            _refuse_changed(source, dump, sent, filling.keeps_json)
            filling.finish(dump.numbers())
    present_version(target)
    target.analyze()
    return Transferred(source.target, target.target, sent)


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
        self.reach(self._done + rows)

    def reach(self, done: int) -> None:
        self._done = done
        self._report(min(done, self._total), self._total)


def _look(dump: Dump, steps: _Steps) -> _Findings:
    """Pieces that have something unfit are looked at row by row."""
    found, expected = _Findings(), 0
    for layout in LAYOUTS:
        expected += dump.count(layout)
        for rows in dump.doubtful(layout):
            try:
                if not are_plain(layout, rows):
                    found.odd.add(layout.table)
            except Unfit:
                found.add(misfits(layout, rows))
            steps.add(len(rows))
        steps.reach(expected)
    found.add([
        Misfit(table, key, column, f"the row of {parent} that it refers to does not exist")
        for table, key, column, parent in dump.orphans()
    ])  # fmt: skip
    return found


def _fill(dump: Dump, filling: Filling, found: _Findings, steps: _Steps) -> Mapping[str, Digest]:
    sent = dict[str, Digest]()
    for layout in LAYOUTS:
        spelled = found.spellings(layout, json_as_it_is=filling.keeps_json)
        arrived = _digest(filling.lines(layout, _AS_WRITTEN))
        if arrived.rows and _digest(dump.lines(layout, spelled, count=arrived.rows)) != arrived:
            filling.empty(layout)
            arrived = Digest()
        steps.add(arrived.rows)
        with closing(dump.lines(layout, spelled, after=arrived.rows)) as pieces:
            summed = _Summed(pieces, steps, arrived)
            filling.fill(layout, summed)
        sent[layout.table] = summed.digest
    return sent


def _nobody(done: int, total: int) -> None:
    """Is told."""


class _Summed:
    """Lines on their way, and the digest of those that have passed."""

    def __init__(self, pieces: Iterable[bytes], steps: _Steps | None, digest: Digest) -> None:
        self._pieces = pieces
        self._steps = steps
        self.digest = digest

    def __iter__(self) -> Iterator[bytes]:
        for lines in self._pieces:
            known = self.digest.rows
            self.digest = self.digest.plus(lines)
            yield lines
            if self._steps is not None:
                self._steps.add(self.digest.rows - known)


def _digest(pieces: Generator[bytes], steps: _Steps | None = None) -> Digest:
    with closing(pieces):
        summed = _Summed(pieces, steps, Digest())
        for _ in summed:
            pass
    return summed.digest


def _verify(filling: Filling, wanted: Mapping[str, Digest], target: Engine, steps: _Steps) -> None:
    for layout in LAYOUTS:
        arrived, sent = _digest(filling.lines(layout, _AS_WRITTEN), steps), wanted[layout.table]
        if arrived != sent:
            filling.empty(layout)
            what = f"of {layout.table}, {arrived.rows:,} rows arrived and {sent.rows:,} were sent"
            reason = what if arrived.rows != sent.rows else f"of {layout.table}, not all rows arrived as they were sent"
            raise DatabaseCorrupt(
                target.target, reason, hint="It is not a store yet. The same call sends this table once more."
            )


def _refuse_changed(source: Engine, dump: Dump, sent: Mapping[str, Digest], keeps_json: bool) -> None:
    """Something was committed: perhaps nothing that is moved, or by somebody else's database in the same server."""
    if dump.is_current():
        return
    with source.dump() as later:
        found = _look(later, _Steps(_nobody, 0))
        if found.misfits or any(
            _digest(later.lines(layout, found.spellings(layout, json_as_it_is=keeps_json))) != sent[layout.table]
            for layout in LAYOUTS
        ):
            raise DatabaseBusy(
                f"{source.target} has changed while its rows were moved, and goes on being the store.", hint=_CHANGED
            )


_CHANGED = "End what records into it, and call the same again: what has arrived already is kept."
