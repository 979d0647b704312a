"""Commits units: all that wait in one transaction, each of them for itself when one fails.

Every statement lets go of Python's interpreter lock, and a busy event loop takes milliseconds to give it back. So statements
are few and large: rows for the same query become one statement, and a lone write needs no BEGIN and COMMIT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any

from tac_orchestrator.engines.base import Outcome, RawRow, Statement, Unit
from tac_orchestrator.engines.sqlite.faults import concerns_all, translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.queries import Query

# A run of rows is cut into statements of these sizes, so that a few prepared statements serve every length.
_SIZES = (64, 16, 4, 1)


def commit(connection: sqlite.Connection, units: Sequence[Unit], target: str) -> None:
    """Leaves in each unit what its statements did, or its error. Raises nothing that a unit is to blame for."""
    try:
        if len(units) == 1 and _is_single_row(units[0]):
            units[0].outcomes = [_run(connection, units[0].statements[0])]
        else:
            _commit_together(connection, units)
    except OrchestratorError as error:
        _settle(connection, units, error, target)
    except Exception as error:
        _settle(connection, units, translated(error, target), target)


def _is_single_row(unit: Unit) -> bool:
    return len(unit.statements) == 1 and len(unit.statements[0].rows) == 1


def _settle(connection: sqlite.Connection, units: Sequence[Unit], error: OrchestratorError, target: str) -> None:
    """After a failure: undo, find out which unit it was, and commit the others."""
    if connection.in_transaction:
        connection.rollback()
    if len(units) == 1 or concerns_all(error):
        for unit in units:
            unit.error = error
        return
    try:
        _commit_one_by_one(connection, units, target)
    except Exception as second:
        if connection.in_transaction:
            connection.rollback()
        for unit in units:
            unit.error = translated(second, target)


def _commit_together(connection: sqlite.Connection, units: Sequence[Unit]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for segment in _segments(units):
        if isinstance(segment, Unit):
            segment.outcomes = [_run(connection, statement) for statement in segment.statements]
        else:
            for query, run in groupby(segment, key=_query_of):
                _run_merged(connection, query, list(run))
    connection.execute("COMMIT")


def _commit_one_by_one(connection: sqlite.Connection, units: Sequence[Unit], target: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for unit in units:
        connection.execute("SAVEPOINT unit")
        try:
            unit.outcomes = [_run(connection, statement) for statement in unit.statements]
        except Exception as error:
            unit.error = error if isinstance(error, OrchestratorError) else translated(error, target)
            if concerns_all(unit.error):
                raise unit.error from error
            connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
    connection.execute("COMMIT")


def _query_of(unit: Unit) -> Query:
    return unit.statements[0].query


def _segments(units: Sequence[Unit]) -> Iterator[Unit | list[Unit]]:
    """Units of one statement that takes many rows may change places with their like, so that equal queries meet. Every other
    unit keeps its place."""
    for mergeable, group in groupby(units, key=_can_merge):
        if mergeable:
            yield sorted(group, key=_rank)
        else:
            yield from group


def _can_merge(unit: Unit) -> bool:
    return len(unit.statements) == 1 and unit.statements[0].query.row is not None


def _rank(unit: Unit) -> tuple[int, str]:
    query = unit.statements[0].query
    return query.rank, query.name


def _run_merged(connection: sqlite.Connection, query: Query, units: list[Unit]) -> None:
    rows = list(chain.from_iterable(unit.statements[0].rows for unit in units))
    done = _run_rows(connection, query, rows)
    if done.changed != len(rows):  # somebody's row is missing: undo, and ask each
        for unit in units:
            if unit.statements[0].missing is not None:
                raise unit.statements[0].missing
    first_id = done.first_id
    for unit in units:
        count = len(unit.statements[0].rows)
        unit.outcomes = [Outcome(first_id, count)]
        first_id += count


def _run(connection: sqlite.Connection, statement: Statement) -> Outcome:
    outcome = _run_rows(connection, statement.query, statement.rows)
    if statement.missing is not None and outcome.changed < len(statement.rows):
        raise statement.missing
    return outcome


def _run_rows(connection: sqlite.Connection, query: Query, rows: list[tuple[Any, ...]]) -> Outcome:
    """The numbers that rows get within one transaction have no gaps, so that the last one tells them all."""
    outcome = Outcome()
    sizes = _SIZES if query.row is not None else (1,)
    start = 0
    for size in sizes:
        while len(rows) - start >= size:
            values = rows[start] if size == 1 else tuple(chain.from_iterable(rows[start : start + size]))
            _execute(connection, query, size, values, outcome)
            start += size
    outcome.first_id -= len(rows) - 1
    return outcome


def _execute(connection: sqlite.Connection, query: Query, size: int, values: Sequence[Any], outcome: Outcome) -> None:
    cursor = connection.execute(query.with_marks("?", size), values)
    if cursor.description is not None:
        returned = as_dicts(cursor)
        outcome.returned = [*outcome.returned, *returned]
        outcome.changed += len(returned)
    else:
        outcome.changed += cursor.rowcount
        outcome.first_id = cursor.lastrowid or 0
    cursor.close()


def as_dicts(cursor: sqlite.Cursor) -> list[RawRow]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


__all__ = ["as_dicts", "commit"]
