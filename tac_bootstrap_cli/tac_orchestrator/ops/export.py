"""Rows as text, for other programs: JSON lines, CSV, or SQL. All of it is of one moment, and little of it is in memory at once.

SQL is for a database that has the schema and no rows: `sqlite3 new.db < schema_orchestrator.sql`, then `< export.sql`. It
leaves out what triggers add up, and takes along what they cannot know: the totals of rows that retention removed. Rows stay
together with those that they refer to, so `since` and `until` choose whole sessions there, by their beginning.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Literal, get_args

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress, RawRow, View
from tac_orchestrator.errors import InvalidSetting
from tac_orchestrator.ops.formats import BEGIN, COLUMNS, END, PARENTS_ELSEWHERE, SQL_COLUMNS, Format, Sink, writer
from tac_orchestrator.queries import Query, queries

Exportable = Literal["orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs", "sessions", "daily_usage"]

_OF_AGENTS = ("prompts", "agent_logs")
_REFERRED = ("leases", "orchestrator_agents")


async def export(
    db: Database,
    stream: Sink,
    format: Format = "jsonl",
    *,
    table: Exportable | None = None,
    session_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    spreadsheet: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write a table, or all of them, to a stream that does not translate line ends (`newline=""`). Returns the number of rows.

    JSON lines of all tables begin with the name of theirs; CSV takes one table. `spreadsheet` is for CSV that a spreadsheet
    program opens: it begins with a byte order mark, and cells that would be taken for a formula begin with an apostrophe.
    Whoever wants to hear of the progress waits first until the rows are counted.
    """
    _refuse_pointless(format, table, spreadsheet)
    filters = _filters(db, format, session_id, since, until)
    tables = _tables(format, filters) if table is None else [_knowing(table, filters)]
    count = 0
    if spreadsheet:
        stream.write("\N{BYTE ORDER MARK}")
    stream.write(BEGIN.get(format, ""))
    async with db.engine.view() as view:
        total = 0 if progress is None else sum([await _row_count(view, name, filters) for name in tables])
        for name in tables:
            write = writer(format, name, stream, spreadsheet=spreadsheet, tagged=table is None)
            async with aclosing(_rows(view, name, filters, kept_only=format == "sql")) as pages:
                async for rows in pages:
                    write(rows)
                    count += len(rows)
                    if progress is not None:
                        progress(count, max(count, total))
    if format == "sql" and filters and "agents" in tables:
        stream.write(PARENTS_ELSEWHERE)
    stream.write(END.get(format, ""))
    return count


def _refuse_pointless(format: Format, table: Exportable | None, spreadsheet: bool) -> None:
    if format not in get_args(Format):
        raise InvalidSetting("format", format, ", ".join(get_args(Format)))
    if table is not None and table not in get_args(Exportable):
        raise InvalidSetting("table", table, ", ".join(get_args(Exportable)))
    if format == "csv" and table is None:
        raise InvalidSetting("table", table, f"one of {', '.join(get_args(Exportable))}: CSV has the columns of one table")
    if format == "sql" and table in {"sessions", "daily_usage"}:
        raise InvalidSetting(
            "table", table, "a table that is recorded; totals follow from the others, or come with all of them"
        )
    if spreadsheet and format != "csv":
        raise InvalidSetting("spreadsheet", spreadsheet, "the format csv")


def _filters(
    db: Database, format: Format, session_id: str | None, since: datetime | None, until: datetime | None
) -> dict[str, str]:
    """By the names that the queries have for them."""
    found = {} if session_id is None else {"session_id": session_id}
    for name, value in (("since", since), ("until", until)):
        if value is not None and value.tzinfo is None:
            raise InvalidSetting(name, value, "a time with its time zone")
        if value is not None:
            found[f"began_{name}" if format == "sql" else name] = db.engine.codec.time(value.astimezone(UTC))
    return found


def _tables(format: Format, filters: Mapping[str, str]) -> list[str]:
    """What others refer to comes first, and is there in any case. What knows nothing of a filter is left out."""
    names = SQL_COLUMNS if format == "sql" else COLUMNS
    return [name for name in names if name in _REFERRED or all(_knows(name, wanted) for wanted in filters)]


def _knowing(table: str, filters: Mapping[str, str]) -> str:
    for name, value in filters.items():
        if not _knows(table, name):
            raise InvalidSetting(name, value, f"nothing for {table}, which cannot be chosen by it")
    return table


def _knows(table: str, name: str) -> bool:
    return f"{table}.{name}" in queries("export") or (table in _OF_AGENTS and f"agents.{name}" in queries("export"))


async def _row_count(view: View, table: str, filters: Mapping[str, str]) -> int:
    """At least as many as will be written."""
    own, by_agent = _split(table, filters)
    chosen, name = (by_agent, "agents") if by_agent and table in _OF_AGENTS else (own, table)
    query = queries("export")[name].filtered(chosen)
    counting = queries("export")["count" if name == table else f"count_{table}"]
    query = Query(counting.name, counting.text.replace("{counted}", query.text))
    async with aclosing(view.stream(query, [filters[name] for name in query.parameters])) as pages:
        return (await anext(pages))[0]["row_count"]


def _split(table: str, filters: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Those of the table itself, and those of the agents that its rows belong to."""
    own = {name: value for name, value in filters.items() if f"{table}.{name}" in queries("export")}
    return own, {name: value for name, value in filters.items() if name not in own}


async def _rows(view: View, table: str, filters: Mapping[str, str], *, kept_only: bool) -> AsyncGenerator[list[RawRow]]:
    own, by_agent = _split(table, filters)
    if kept_only and f"{table}.pruned" in queries("export"):
        own["pruned"] = ""
    pages = _rows_of_agents(view, table, by_agent, own) if by_agent and table in _OF_AGENTS else _stream(view, table, own)
    async with aclosing(pages):
        async for rows in pages:
            yield rows


async def _rows_of_agents(
    view: View, table: str, by_agent: Mapping[str, str], own: Mapping[str, str]
) -> AsyncGenerator[list[RawRow]]:
    """Agent by agent: so they are found in order, without sorting them."""
    async with aclosing(_stream(view, "agents", by_agent)) as pages:
        async for agents in pages:
            for agent in agents:
                async with aclosing(_stream(view, table, {"agent_id": agent["id"], **own})) as its_pages:
                    async for rows in its_pages:
                        yield rows


def _stream(view: View, table: str, filters: Mapping[str, str]) -> AsyncGenerator[list[RawRow]]:
    query = queries("export")[table].filtered(filters)
    return view.stream(query, [filters[name] for name in query.parameters])
