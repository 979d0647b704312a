"""How rows are written as text.

Times are written as they are stored (UTC), money as decimal numbers, what is unknown as null or as an empty cell.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from math import isinf
from typing import Any, Literal, Protocol

import orjson

from tac_orchestrator.engines.base import RawRow
from tac_orchestrator.models import Agent, AgentLog, Lease, OrchestratorAgent, Prompt, Session, SystemLog

Format = Literal["jsonl", "csv", "sql"]


class Sink(Protocol):
    """Takes text, one row or more at a time."""

    def write(self, text: str, /) -> object: ...


_TOTALS = (
    "prompt_count", "prompt_failed_count", "priced_count", "unpriced_count", "tokens_input", "tokens_output",
    "tokens_cache_read", "tokens_cache_write", "cost_usd",
)  # fmt: skip
_SESSION_TOTALS = (
    "session_id", "started_at", "last_activity_at", "agent_count", "running_count", "failed_count", "root_failed_count",
    "root_cancelled_count", *_TOTALS, "pruned_at",
)  # fmt: skip

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "orchestrator_agents": tuple(OrchestratorAgent.model_fields),
    "agents": tuple(Agent.model_fields),
    "prompts": tuple(Prompt.model_fields),
    "agent_logs": tuple(AgentLog.model_fields),
    "system_logs": tuple(SystemLog.model_fields),
    "sessions": tuple(Session.model_fields),
    "daily_usage": ("day", "orchestrator_agent_id", "model", "pruned", *_TOTALS),
}

# An agent's cost is the sum of its prompts: as they come in, they add it up.
SQL_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "leases": tuple(Lease.model_fields),
    **COLUMNS,
    "agents": tuple(name for name in Agent.model_fields if name != "cost_usd"),
    "sessions": _SESSION_TOTALS,
    "redactions": ("day", "kind", "entity", "redaction_count"),
    "source_files": ("path", "size", "modified_ns", "skipped_count", "imported_at"),
}

_JSON = frozenset(("capabilities", "context", "config", "details"))
_EXACT = 10**7  # dollars, up to which a float holds eight decimals
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

BEGIN = {"sql": "BEGIN;\nPRAGMA defer_foreign_keys = ON;\n"}
END = {"sql": "COMMIT;\n"}

PARENTS_ELSEWHERE = """UPDATE agents SET parent_agent_id = NULL WHERE parent_agent_id IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM agents AS parents WHERE parents.id = agents.parent_agent_id);
"""
"""For the end of SQL that does not have all agents: of those that it has, some may be children of others."""

# The triggers have made a total of what is left of a session; it is to be that of all that was there.
_CONFLICTS = {
    "sessions": " ON CONFLICT (session_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _SESSION_TOTALS if name != "session_id")
}


def writer(format: Format, table: str, stream: Sink, *, spreadsheet: bool, tagged: bool) -> Callable[[list[RawRow]], None]:
    if format == "sql":
        return partial(_write_sql, stream, table)
    columns = COLUMNS[table]
    if format == "jsonl":
        return partial(_write_jsonl, stream, {"table": table} if tagged else {}, columns)
    cells = csv.writer(stream)
    cells.writerow(columns)
    return partial(_write_csv, cells, columns, spreadsheet)


def _write_jsonl(stream: Sink, tag: Mapping[str, str], columns: Sequence[str], rows: list[RawRow]) -> None:
    for raw in rows:
        row = _readable(raw)
        found = {**tag, **{name: _as_json(row[name]) if name in _JSON else row[name] for name in columns}}
        stream.write(orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE).decode())


def _write_csv(cells: Any, columns: Sequence[str], spreadsheet: bool, rows: list[RawRow]) -> None:
    for raw in rows:
        row = _readable(raw)
        cells.writerow([_harmless(row[name]) if spreadsheet else row[name] for name in columns])


def _write_sql(stream: Sink, table: str, rows: list[RawRow]) -> None:
    columns = SQL_COLUMNS[table]
    begin = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ("  # noqa: S608
    end = f"){_CONFLICTS.get(table, '')};\n"
    for raw in rows:
        stream.write(begin + ", ".join(_literal(raw[name]) for name in columns) + end)


def _readable(raw: RawRow) -> RawRow:
    """Values as people and programs read them."""
    row = {name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value for name, value in raw.items()}
    if row.get("priced_count") == 0:
        row["cost_usd"] = None
    if isinstance(cost := row.get("cost_usd"), (int, float, Decimal)):
        row["cost_usd"] = format(Decimal(repr(round(float(cost), 8))) if abs(cost) < _EXACT else Decimal(cost), "f")
    return row


def _as_json(text: Any) -> Any:
    """As it stands there, on one line: whoever parses it and writes it anew loses digits of long numbers."""
    try:
        orjson.loads(text)
    except (TypeError, ValueError):
        return text
    return orjson.Fragment(text.replace("\n", " ").replace("\r", " "))


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _literal(value: Any) -> str:
    """The value in SQL. The `sqlite3` program takes CR LF for the end of a line, and NUL for the end of a text, so that texts
    with these go in as their bytes."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, str):
        return f"CAST(X'{value.encode().hex()}' AS TEXT)" if "\r" in value or "\0" in value else _quoted(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return "9e999" if isinstance(value, float) and isinf(value) else repr(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
