"""The records of traces, as far as other records need them, and the rows that they have become."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Literal

from tac_orchestrator.engines.base import Engine, RawRow, Statement
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.models import JsonObject, Name, Row, SystemLog, Time
from tac_orchestrator.tables.base import PIECE, Page, Sink, Table, new_id, now

Droppable = Literal["agents", "prompts", "agent_logs", "system_logs"]

_DROPS: Mapping[Droppable, str] = {
    "prompts": "drop_prompt",
    "agent_logs": "drop_agent_log",
    "system_logs": "drop_system_log",
    "agents": "drop_agent",  # last: what it owns goes with it
}


MOST_TELLERS = 32
"""So many records may tell of one answer: a few instrumentations of a few programs do."""

_TURN = "turn:"
"""Before the name of a session: what stands for a trace, so that it goes when it is old."""


class WrittenMeanwhile(OrchestratorError):
    """Somebody else has written to the same traces since they were read."""

    hint = "Read them again."


class SpanRecord(Row):
    """One record of a trace. A span's own id, or a name that was made for a log."""

    trace_id: Name
    span_id: Name
    parent_span_id: Name | None = None
    response_id: Name | None = None
    details: JsonObject
    received_at: Time


class _SystemLogs(Table[SystemLog]):
    kind = "system_log"
    name = "system_logs"
    model = SystemLog

    async def known(self, keys: Iterable[str]) -> Page[dict[str, Any]]:
        found = list[RawRow]()
        for piece in _pieces(keys):
            found += await self._engine.fetch(self._queries["known"], piece)
        return [self._columns.read(raw) for raw in found]

    def save(self, rows: Sequence[Mapping[str, Any]], secrets: Counter[str]) -> list[Statement]:
        query = self._queries["save"]
        return [Statement(query, [self._kept(query, row) for row in rows], secrets=secrets)] if rows else []


class Spans(Table[SpanRecord]):
    kind = "span"
    name = "spans"
    model = SpanRecord

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._system_logs = _SystemLogs(engine, sink)

    async def of_traces(self, trace_ids: Iterable[str]) -> Page[dict[str, Any]]:
        return [self._columns.read(raw) for raw in await self._found("of_traces", trace_ids)]

    async def sizes(self, trace_ids: Iterable[str]) -> dict[str, int]:
        """How many records there are of these traces, where there are any."""
        return {raw["trace_id"]: raw["span_count"] for raw in await self._found("sizes", trace_ids)}

    async def turns(self, sessions: Iterable[str]) -> dict[str, str]:
        """Who has written last to the rows of these sessions, of which many may tell."""
        names = {f"{_TURN}{session}": session for session in sessions}
        found = {raw["trace_id"]: raw["taken_by"] for raw in await self._found("turns", names)}
        return {session: found.get(name, "") for name, session in names.items()}

    async def take_turns(self, turns: Mapping[str, str]) -> None:
        """Nothing of the transaction is done if somebody else has written to these sessions since: WrittenMeanwhile, then."""
        busy = partial(WrittenMeanwhile, "The session was written to since it was read.")
        for session, taken_by in sorted(turns.items()):
            values = {"trace_id": f"{_TURN}{session}", "parent_span_id": new_id(), "received_at": now(), "taken_by": taken_by}
            await self._write(self._statement("take_turn", values, missing=busy))

    async def traces_of(self, response_ids: Iterable[str]) -> set[tuple[str, str]]:
        """These answers, each with the traces in which it appears."""
        return {(raw["response_id"], raw["trace_id"]) for raw in await self._found("traces_of", response_ids)}

    async def common(self, response_ids: Iterable[str]) -> set[str]:
        """Those of these names that more than MOST_TELLERS records give to an answer."""
        return {raw["response_id"] for raw in await self._found("common", response_ids)}

    async def check(self, traces: Mapping[str, int], answers: Mapping[str, int]) -> None:
        """Nothing of the transaction is done if these are no longer as many records as there are: WrittenMeanwhile, then."""
        busy = partial(WrittenMeanwhile, "The traces were written to since they were read.")
        for query, counts in (("is_all_of_trace", traces), ("is_all_of_answer", answers)):
            if counts:
                await self._write(Statement(self._queries[query], list(counts.items()), missing=busy))

    async def known_system_logs(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        return {row["source_key"]: row for row in await self._system_logs.known(keys)}

    async def save(self, rows: Sequence[Mapping[str, Any]]) -> Statement | None:
        """What is written; once it is, it says which secrets were taken out. Raises InvalidRecord."""
        if not rows:
            return None
        query, received_at = self._queries["save"], now()
        statement = Statement(query, [self._kept(query, {**row, "received_at": received_at}) for row in rows])
        await self._write(statement)
        return statement

    async def save_system_logs(self, rows: Sequence[Mapping[str, Any]], secrets: Counter[str]) -> None:
        """Raises InvalidRecord."""
        statements = self._system_logs.save(rows, secrets)
        if statements:
            await self._write(*statements)

    async def drop(self, rows: Iterable[tuple[Droppable, str]]) -> None:
        """Rows that records were taken for, until others showed that they are something else."""
        keys = list(rows)
        for table, query in _DROPS.items():
            gone = [(key,) for kind, key in keys if kind == table]
            if gone:
                await self._write(Statement(self._queries[query], gone))

    async def _found(self, query: str, keys: Iterable[str]) -> list[RawRow]:
        found = list[RawRow]()
        for piece in _pieces(keys):
            found += await self._engine.fetch(self._queries[query], piece)
        return found


def _pieces(keys: Iterable[str]) -> Iterable[list[str]]:
    iterator = iter(dict.fromkeys(keys))
    while piece := list(islice(iterator, PIECE)):
        yield piece
