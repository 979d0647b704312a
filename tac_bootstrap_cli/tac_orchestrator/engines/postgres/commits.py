"""Commits units: all that wait in one transaction, each of them for itself when one fails.

A transaction says its number before it commits. When the connection is lost during the COMMIT, PostgreSQL is asked what has
become of it (`pg_xact_status`): nothing is lost, and nothing is stored twice.

A server that crashed, or a replica that took its place, may give the same number to somebody else, if it has nothing of the
one who had it. So the number is kept with the end of the log at that moment, behind which the COMMIT must stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from tac_orchestrator.engines.base import Outcome, Statement, Unit
from tac_orchestrator.engines.postgres.driver import Connection
from tac_orchestrator.engines.postgres.faults import concerns_all, is_lost, may_be_tried_again, translated
from tac_orchestrator.engines.postgres.statements import Told, pieces, told
from tac_orchestrator.engines.postgres.values import sought
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.queries import Query

_BEGIN = "BEGIN"

# Retention keeps what rows count for, and then deletes them: if somebody changes them in between, it has to begin anew.
_BEGIN_UNDISTURBED = "BEGIN ISOLATION LEVEL REPEATABLE READ"

# So many rows of one statement go in by COPY, which takes the server two thirds of the time, and says no numbers.
_MANY = 100
_MARK = "SELECT pg_current_xact_id()::TEXT, pg_current_wal_insert_lsn()::TEXT, pg_last_wal_replay_lsn()::TEXT"


class Mark(NamedTuple):
    """A transaction's number, where the server's log ended before its COMMIT, and how far that log was read when the server was
    last recovered, if it ever was."""

    number: str
    log_end: str
    recovered_until: str | None


class Transaction:
    """One attempt to commit some units. `mark` is known from before its COMMIT, and `is_open` until it has been answered."""

    def __init__(self, connection: Connection, units: Sequence[Unit], target: str) -> None:
        self._connection = connection
        self._units = units
        self._target = target
        self._outcomes: list[Sequence[Outcome] | OrchestratorError] = []
        self.mark: Mark | None = None
        self.is_open = False

    async def commit(self) -> None:
        """Leaves in each unit what its statements did, or its error. What is not the units' fault is raised."""
        try:
            await self._attempt(self._together)
        except Exception as error:
            if is_lost(error) or may_be_tried_again(error):
                raise
            found = translated(error, self._target)
            await self._connection.execute("ROLLBACK")
            if len(self._units) == 1 or concerns_all(found):
                self._outcomes = [found] * len(self._units)
            else:
                await self._attempt(self._one_by_one)
        self.settle()

    def settle(self) -> None:
        """It is committed: tell the units."""
        for unit, outcome in zip(self._units, self._outcomes, strict=True):
            if isinstance(outcome, OrchestratorError):
                unit.error = outcome
            else:
                unit.outcomes = outcome

    async def _attempt(self, run: Any) -> None:
        undisturbed = any(statement.query.table == "retention" for unit in self._units for statement in unit.statements)
        await self._connection.execute(_BEGIN_UNDISTURBED if undisturbed else _BEGIN)
        self._outcomes = [()] * len(self._units)
        self.is_open = False
        await run()
        self.mark = Mark(*await self._connection.fetchrow(_MARK))
        self.is_open = True
        await self._connection.execute("COMMIT")
        self.is_open = False

    async def _together(self) -> None:
        """Units of one statement that takes many rows may change places with their like, so that equal queries meet. Every
        other unit keeps its place among them."""
        runs: dict[Query, list[int]] = {}
        for place, unit in enumerate(self._units):
            query = unit.statements[0].query
            if query.row is not None and len(unit.statements) == 1:
                runs.setdefault(query, []).append(place)
            else:
                await self._run_merged(runs)
                self._outcomes[place] = [await _run(self._connection, statement) for statement in unit.statements]
        await self._run_merged(runs)

    async def _one_by_one(self) -> None:
        for place, unit in enumerate(self._units):
            await self._connection.execute("SAVEPOINT unit")
            try:
                self._outcomes[place] = [await _run(self._connection, statement) for statement in unit.statements]
            except Exception as error:
                if is_lost(error) or may_be_tried_again(error):
                    raise
                found = translated(error, self._target)
                if concerns_all(found):
                    raise
                self._outcomes[place] = found
                await self._connection.execute("ROLLBACK TO unit")
            await self._connection.execute("RELEASE unit")

    async def _run_merged(self, runs: dict[Query, list[int]]) -> None:
        for query in sorted(runs, key=_rank):
            places = runs[query]
            statements = [self._units[place].statements[0] for place in places]
            rows = list(chain.from_iterable([statement.rows for statement in statements]))
            if min(len(statement.rows) for statement in statements) >= _MANY and told(query).copied_to is not None:
                changed, ids = await _copy_rows(self._connection, query, rows), list[int]()
            else:
                changed, ids = await _run_rows(self._connection, query, rows)
            if changed != len(rows):
                _refuse_missing(statements)
            start = 0
            for place, statement in zip(places, statements, strict=True):
                count = len(statement.rows)
                self._outcomes[place] = (Outcome(ids[start] if start < len(ids) else 0, count),)
                start += count
        runs.clear()


def _rank(query: Query) -> int:
    return query.rank


def _refuse_missing(statements: Sequence[Statement]) -> None:
    """Somebody's row is missing. Raising makes `commit` ask each unit for itself."""
    for statement in statements:
        if statement.missing is not None:
            raise statement.missing()


async def _run(connection: Connection, statement: Statement) -> Outcome:
    if len(statement.rows) >= _MANY and told(statement.query).copied_to is not None:
        return Outcome(0, await _copy_rows(connection, statement.query, statement.rows))
    changed, ids = await _run_rows(connection, statement.query, statement.rows)
    if statement.missing is not None and changed < len(statement.rows):
        raise statement.missing()
    return Outcome(ids[0] if ids else 0, changed)


async def _copy_rows(connection: Connection, query: Query, rows: Sequence[tuple[Any, ...]]) -> int:
    table, columns = told(query).copied_to, query.parameters
    status = await connection.copy_records_to_table(table, columns=columns, records=rows)
    return int(status.rpartition(" ")[2])


async def _run_rows(connection: Connection, query: Query, rows: Sequence[tuple[Any, ...]]) -> tuple[int, list[int]]:
    """How many rows it changed, and the numbers that they got, where the table numbers its rows."""
    words, changed, ids = told(query), 0, list[int]()
    calls = _calls_of_many(query, words, rows) if words.takes_many else [sought(words.types, row) for row in rows]
    for values in calls:
        if words.returns:
            found = await connection.fetch(words.sql, *values)
            changed += len(found)
            ids += [row["id"] for row in found if "id" in row]
        else:
            status = await connection.execute(words.sql, *values)
            changed += int(status.rpartition(" ")[2])
    return changed, ids


def _calls_of_many(query: Query, words: Told, rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """A list of values for each column. Rows of an INSERT have been checked, and are what their columns take."""
    calls = list[list[Any]]()
    for piece in pieces(query, rows):
        taken = piece if words.is_insert else [sought(words.types, row) for row in piece]
        calls.append(list(zip(*taken, strict=True)))
    return calls
