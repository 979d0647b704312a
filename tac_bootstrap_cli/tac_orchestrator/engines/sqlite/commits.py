"""Commits units: all that wait in one transaction, each of them for itself when one fails.

Every statement lets go of Python's interpreter lock, and a busy event loop takes milliseconds to give it back. So statements
are few and large: rows for the same query become one statement, and a lone write needs no BEGIN and COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from tac_orchestrator.engines.base import Outcome, RawRow, Statement, Unit
from tac_orchestrator.engines.sqlite.faults import concerns_all, translated
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.queries import Query

# What a statement takes: any number of rows up to the first, then as many of the second as fit, up to the third. So a few
# prepared statements serve every length, and what tasks write together is mostly one.
_ANY_UP_TO, _STEP, _MOST = 64, 64, 512


def commit(connection: sqlite.Connection, units: Sequence[Unit], target: str, meanwhile: Callable[[], None]) -> None:
    """Leaves in each unit what its statements did, or its error. Raises nothing that a unit is to blame for.

    `meanwhile` is called before the statement that makes it all durable.
    """
    try:
        if not _is_one_statement(units):
            _commit_together(connection, units, meanwhile)
        elif len(units) == 1:
            meanwhile()
            units[0].outcomes = (_run(connection, units[0].statements[0]),)
        else:
            meanwhile()
            _run_merged(connection, {units[0].statements[0].query: list(units)})
    except OrchestratorError as error:
        _settle(connection, units, error, target)
    except Exception as error:
        _settle(connection, units, translated(error, target), target)


def _is_one_statement(units: Sequence[Unit]) -> bool:
    """Whether all of it is one SQL statement, which is a transaction by itself, and cannot find a part of its rows missing."""
    query = units[0].statements[0].query
    rows, may_miss = 0, False
    for unit in units:
        if len(unit.statements) != 1 or unit.statements[0].query is not query:
            return False
        rows += len(unit.statements[0].rows)
        may_miss = may_miss or unit.statements[0].missing is not None
    return rows == 1 or (query.row is not None and rows == _size(rows) and not may_miss)


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


def _commit_together(connection: sqlite.Connection, units: Sequence[Unit], meanwhile: Callable[[], None]) -> None:
    """Units of one statement that takes many rows may change places with their like, so that equal queries meet. Every other
    unit keeps its place among them."""
    connection.execute("BEGIN IMMEDIATE")
    runs: dict[Query, list[Unit]] = {}
    for unit in units:
        query = unit.statements[0].query
        if query.row is not None and len(unit.statements) == 1:
            runs.setdefault(query, []).append(unit)
        else:
            _run_merged(connection, runs)
            unit.outcomes = [_run(connection, statement) for statement in unit.statements]
    _run_merged(connection, runs)
    meanwhile()
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


def _run_merged(connection: sqlite.Connection, runs: dict[Query, list[Unit]]) -> None:
    for query in sorted(runs, key=_rank):
        units = runs[query]
        rows = list(chain.from_iterable([unit.statements[0].rows for unit in units]))
        done = _run_rows(connection, query, rows)
        if done.changed != len(rows):
            _refuse_missing(units)
        first_id = done.first_id
        for unit in units:
            count = len(unit.statements[0].rows)
            unit.outcomes = (Outcome(first_id, count),)
            first_id += count
    runs.clear()


def _rank(query: Query) -> int:
    return query.rank


def _refuse_missing(units: Sequence[Unit]) -> None:
    """Somebody's row is missing. Raising makes `_settle` ask each unit for itself."""
    for unit in units:
        if unit.statements[0].missing is not None:
            raise unit.statements[0].missing()


def _run(connection: sqlite.Connection, statement: Statement) -> Outcome:
    outcome = _run_rows(connection, statement.query, statement.rows)
    if statement.missing is not None and outcome.changed < len(statement.rows):
        raise statement.missing()
    return outcome


def _run_rows(connection: sqlite.Connection, query: Query, rows: list[tuple[Any, ...]]) -> Outcome:
    """The numbers that rows get within one transaction have no gaps, so that the last one tells them all."""
    outcome = Outcome()
    if len(rows) == 1:
        _execute(connection, query, 1, rows[0], outcome)
        return outcome
    start = 0
    while start < len(rows):
        size = _size(len(rows) - start) if query.row is not None else 1
        _execute(connection, query, size, list(chain.from_iterable(rows[start : start + size])), outcome)
        start += size
    outcome.first_id -= len(rows) - 1
    return outcome


def _size(rows: int) -> int:
    """How many of so many rows the next statement takes."""
    return rows if rows <= _ANY_UP_TO else min(rows - rows % _STEP, _MOST)


def _execute(connection: sqlite.Connection, query: Query, size: int, values: Sequence[Any], outcome: Outcome) -> None:
    cursor = connection.execute(query.with_marks("?", size), values)
    if cursor.description is None:
        outcome.changed += cursor.rowcount
        outcome.first_id = cursor.lastrowid or 0
    else:
        returned = as_dicts(cursor)
        outcome.returned = [*outcome.returned, *returned]
        outcome.changed += len(returned)


def as_dicts(cursor: sqlite.Cursor) -> list[RawRow]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


__all__ = ["as_dicts", "commit"]
