"""From a named query to what PostgreSQL is told: numbered parameters with their types, and arrays in the place of many rows.

Every parameter has a type, by its name: else, what stands in a VALUES list or is compared with another one would be text. A
query that takes many rows gets an array for each column, so that one prepared statement serves any number of rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tac_orchestrator.queries import Query

_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_COMMA = re.compile(r",(?![^()]*\))")
_INDEX_HINT = re.compile(r"(?<![\w)])\+(?=[a-z_]+\.)")
_PLAIN = re.compile(r"INSERT INTO (\w+) \(([\w, ]+)\) VALUES \(([\w:, ]+)\)")
_CONFLICT = re.compile(r"ON CONFLICT \(([\w, ]+)\)(?: WHERE [\w ]+)? DO UPDATE")

_TYPES = {
    "uuid": "id agent_id orchestrator_agent_id parent_agent_id lease_id new_id before after",
    "timestamptz": "created_at completed_at started_at updated_at since until began_since began_until recently after_at "
    "acquired_at heartbeat_at released_at imported_at pruned_at received_at",
    "numeric": "cost_usd old_cost_usd",
    "jsonb": "details context config capabilities",
    "bigint": "tokens_input tokens_output tokens_cache_read tokens_cache_write tokens_cache_write_1h latency_ms limit keep "
    "last sample process_id size modified_ns skipped_count redaction_count span_count",
}
_BY_NAME = {name: type for type, names in _TYPES.items() for name in names.split()}

# By the table, or by the whole name, of the query in which a name means something else.
_EXCEPTIONS = {
    ("agent_logs", "id"): "bigint",
    ("agent_logs", "before"): "bigint",
    ("system_logs", "id"): "bigint",
    ("system_logs", "before"): "bigint",
    ("sessions", "id"): "text",
    ("sessions", "before"): "text",
    ("sessions", "last"): "text",
    ("retention", "after"): "text",
    ("retention.delete_agent_logs", "id"): "bigint",
    ("spans", "details"): "json",
    ("feed.agent_log", "id"): "bigint",
    ("feed.system_log", "id"): "bigint",
    ("usage", "since"): "text",
    ("usage", "until"): "text",
}

# What one statement carries: more rows gain nothing, and a message has a limit.
_ROWS = 512
_CHARACTERS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """A query in PostgreSQL's words. `takes_many` rows, as a list for each column. `key` are the places by which two rows would
    meet in one row of the table, which one statement must not write twice. `copied_to` is the table of an INSERT that
    only adds rows, and whose parameters are the columns: many go there by COPY."""

    sql: str
    types: tuple[str, ...]
    takes_many: bool
    returns: bool
    key: tuple[int, ...]
    is_insert: bool
    copied_to: str | None


@lru_cache(maxsize=4096)
def told(query: Query) -> Told:
    text = _INDEX_HINT.sub("", query.text)
    types = tuple(_type_of(query, name) for name in query.parameters)
    takes_many = query.row is not None
    if query.row is not None:
        text = re.sub(rf"\bVALUES\s*{re.escape(query.row)}", lambda _: _selected(query.row or "", types), text)
    else:
        places = iter(enumerate(types, 1))
        text = _PARAMETER.sub(lambda _: "${}::{}".format(*next(places)), text)
    if text.startswith(("INSERT INTO agent_logs", "INSERT INTO system_logs")):
        text += " RETURNING id"
    conflict = _CONFLICT.search(text)
    columns = conflict[1].split(", ") if conflict and set(conflict[1].split(", ")) <= set(query.parameters) else []
    key = tuple(query.parameters.index(name) for name in columns)
    returns = text.startswith("SELECT") or " RETURNING " in text
    return Told(text, types, takes_many, returns, key, takes_many and text.startswith("INSERT"), _copied_to(query))


def _copied_to(query: Query) -> str | None:
    plain = _PLAIN.fullmatch(query.text)
    columns = ", ".join(query.parameters)
    return plain[1] if plain and (plain[2], plain[3].replace(":", "")) == (columns, columns) else None


def _selected(row: str, types: Sequence[str]) -> str:
    """What stands for `VALUES (…)`: its tuple, once for each place in the arrays."""
    places = iter(range(1, len(types) + 1))
    tuple_of_places = _PARAMETER.sub(lambda _: f"given.value{next(places)}", row.strip()[1:-1])
    columns = ", ".join(f"{part} AS column{place}" for place, part in enumerate(_COMMA.split(tuple_of_places), 1))
    arrays = ", ".join(f"${place}::{type}[]" for place, type in enumerate(types, 1))
    names = ", ".join(f"value{place}" for place in range(1, len(types) + 1))
    return f"SELECT {columns} FROM unnest({arrays}) AS given ({names})"  # noqa: S608


def _type_of(query: Query, name: str) -> str:
    plain = query.name.partition("[")[0]
    for place in (plain, query.table):
        if (place, name) in _EXCEPTIONS:
            return _EXCEPTIONS[place, name]
    return _BY_NAME.get(name, "text")


def pieces(query: Query, rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in pieces, each for one statement."""
    key, free_text = told(query).key, query.free_text
    start = characters = 0
    keys = set[tuple[Any, ...]]()
    for place, row in enumerate(rows):
        length = sum([len(row[column]) for column in free_text if row[column]])
        its_key = tuple([row[column] for column in key])  # what has none in one of the places is like no other
        if place > start and (place - start == _ROWS or characters + length > _CHARACTERS or its_key in keys):
            yield rows[start:place]
            start, characters = place, 0
            keys.clear()
        characters += length
        if key and None not in its_key:
            keys.add(its_key)
    if rows:
        yield rows[start:]
