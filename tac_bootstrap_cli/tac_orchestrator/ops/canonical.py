"""What a row says, in words that do not depend on where it is kept: so that two databases can be compared, and rows that only
one of them could hold are found before they are moved.

Times are in UTC, with microseconds; money has eight decimals; the members of JSON objects are in the order of their names, and
its numbers are as short as can be. What is summed up is a hash of each row, so that the order of rows does not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any, cast, get_args

import orjson

from tac_orchestrator.engines.base import Column, ColumnKind, Layout, Values
from tac_orchestrator.models import Agent, AgentLog, Lease, OrchestratorAgent, Prompt, Row, SystemLog
from tac_orchestrator.tables.columns import described

_TOTALS = (
    "prompt_count:count prompt_failed_count:count priced_count:count unpriced_count:count tokens_input:total "
    "tokens_output:total tokens_cache_read:total tokens_cache_write:total cost_usd:sum"
)
_AGENT_COUNTS = "agent_count:count running_count:count failed_count:count root_failed_count:count root_cancelled_count:count"


def _of_model(table: str, model: type[Row], order: str, **more: Any) -> Layout:
    columns = list[Column]()
    for name, field in model.model_fields.items():
        kind, vocabulary = described((field.annotation, *field.metadata))
        is_required = name == "id" or type(None) not in get_args(field.annotation)
        found = "word" if vocabulary else "json" if kind in {"object", "array"} else kind or "text"
        columns.append(Column(name, cast("ColumnKind", found), is_required, vocabulary))
    return Layout(table, tuple(columns), order, **more)


def _of_text(table: str, columns: str, order: str) -> Layout:
    """Columns are written as `name:kind`, with a question mark if they may have no value."""
    parts = [text.partition(":") for text in columns.split()]
    found = [Column(name, cast("ColumnKind", kind.rstrip("?")), not kind.endswith("?")) for name, _, kind in parts]
    return Layout(table, tuple(found), order)


LAYOUTS: Sequence[Layout] = (
    _of_model("leases", Lease, "id"),
    _of_model("orchestrator_agents", OrchestratorAgent, "created_at, id"),
    _of_model("agents", Agent, "started_at, id"),
    _of_model("prompts", Prompt, "created_at, id", piece=200),
    _of_model("agent_logs", AgentLog, "id"),
    _of_model("system_logs", SystemLog, "id"),
    _of_text(
        "sessions",
        f"session_id:name started_at:time last_activity_at:time {_AGENT_COUNTS} {_TOTALS} pruned_at:time?",
        "session_id",
    ),
    _of_text(
        "daily_usage",
        f"day:name orchestrator_agent_id:id model:name pruned:count {_TOTALS}",
        "day, orchestrator_agent_id, model, pruned",
    ),
    _of_text("source_files", "path:name size:integer modified_ns:integer skipped_count:count imported_at:time", "path"),
    _of_text("redactions", "day:name kind:name entity:name redaction_count:count", "day, kind, entity"),
    _of_text(
        "spans",
        "trace_id:name span_id:name parent_span_id:text? response_id:name? details:document received_at:time",
        "trace_id, span_id",
    ),
)
"""All that is moved, parents before their children. Search indexes and the feed of changes begin anew."""


class Unfit(Exception):
    """A value that cannot be kept everywhere, and why."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that cannot be moved. `id` is what its table is ordered by."""

    table: str
    id: str
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Digest:
    """How many rows, and the sum of their hashes."""

    rows: int = 0
    total: int = 0

    @property
    def checksum(self) -> str:
        return f"{self.total:032x}"

    def plus(self, columns: Sequence[Sequence[Any]]) -> Digest:
        """With more rows, given as columns of canonical values. Raises TypeError for a text that is not UTF-8."""
        hashes = [int.from_bytes(blake2b(orjson.dumps(row), digest_size=16).digest()) for row in zip(*columns, strict=True)]
        return Digest(self.rows + len(hashes), (self.total + sum(hashes)) % 2**128)


def canonical(layout: Layout, rows: Sequence[Values]) -> list[list[Any]]:
    """The columns of these rows. Raises Unfit."""
    return [_checked(column, values) for column, values in zip(layout.columns, zip(*rows, strict=True), strict=True)]


def storable(layout: Layout, rows: Sequence[Values]) -> list[Values]:
    """The rows as they are to be kept: canonical, but for JSON, which stays as it was written. Raises Unfit."""
    columns = [
        values if column.kind in {"json", "document"} else _checked(column, values)
        for column, values in zip(layout.columns, zip(*rows, strict=True), strict=True)
    ]
    return list(zip(*columns, strict=True))


def misfits(layout: Layout, rows: Iterable[Values]) -> list[Misfit]:
    """What is wrong with these rows: one by one, and each with all that is wrong with it."""
    found = list[Misfit]()
    keys = [layout.names.index(name) for name in layout.order.split(", ")]
    if "id" in layout.names:
        keys = [layout.names.index("id")]
    for row in rows:
        for column, value in zip(layout.columns, row, strict=True):
            try:
                orjson.dumps(_checked(column, (value,)))
            except (Unfit, TypeError) as error:
                reason = str(error) if isinstance(error, Unfit) else "it is not valid UTF-8"
                found.append(Misfit(layout.table, " ".join(str(row[key]) for key in keys), column.name, reason))
    return found


def _checked(column: Column, values: Sequence[Any]) -> list[Any]:
    check = partial(_word, column.vocabulary) if column.kind == "word" else _CHECKS[column.kind]
    if not column.is_required:
        return [None if value is None else check(value) for value in values]
    if None in values:
        raise Unfit("a value is required")
    return list(map(check, values))


_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_INDEXABLE = 2600
_TEN_DIGITS, _TWENTY_DIGITS = 10.0**10, 10.0**20
_INTEGERS = range(-(2**63), 2**63)

_LARGE_EXPONENT = re.compile(r"\d[eE][+-]?0*[1-9]\d{3}")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Unfit(f"it is not a text but {_kind_of(value)}")
    if "\0" in value:
        raise Unfit("it holds a NUL character")
    return value


def _name(value: Any) -> str:
    if len(_text(value)) * 4 > _INDEXABLE and len(value.encode("utf-8", "replace")) > _INDEXABLE:
        raise Unfit(f"it has more than {_INDEXABLE:,} bytes, which is too long for an index")
    return value


def _word(vocabulary: frozenset[str], value: Any) -> str:
    if value not in vocabulary:
        raise Unfit(f"it is {_shown(value)} and not one of {', '.join(sorted(vocabulary))}")
    return value


@lru_cache(maxsize=65536)
def _id(value: Any) -> str:
    if type(value) is not str or not _UUID.fullmatch(value):
        raise Unfit(f"{_shown(value)} is not a UUID")
    return value.lower()


def _integer(value: Any) -> int:
    if type(value) is not int or value not in _INTEGERS:
        raise Unfit(f"{_shown(value)} is not a whole number of 64 bits")
    return value


def _count(value: Any) -> int:
    if _integer(value) < 0:
        raise Unfit(f"{value} is negative")
    return value


def _total(value: Any) -> int | float:
    """SQLite keeps what is larger than an integer as a float."""
    if isinstance(value, (str, bytes)) or not 0 <= value < _TWENTY_DIGITS or value != int(value):
        raise Unfit(f"{_shown(value)} is not a total")
    return int(value) if value < 2**63 else float(value)


def _money(value: Any, limit: float = _TEN_DIGITS) -> float:
    if isinstance(value, (str, bytes)) or not 0 <= value < limit:
        raise Unfit(f"{_shown(value)} is not an amount of money from 0 to {limit:,.0f}")
    return round(float(value), 8) + 0.0


def _time(value: Any) -> str:
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is not None:
            at = at.astimezone(UTC).replace(tzinfo=None)
        elif len(value) == 26 and value[10] == " " and value[19] == ".":
            return value
    except (TypeError, ValueError, OverflowError):
        raise Unfit(f"{_shown(value)} is not a time") from None
    return at.isoformat(" ", "microseconds")


def _json(value: Any) -> str:
    """Not JSON any more, but the same for all that means the same."""
    if "\\u0000" in _text(value) and _NUL.search(value):
        raise Unfit("it is JSON that holds a NUL character")
    try:
        return repr(_ordered(orjson.loads(value), value))
    except ValueError as error:
        raise Unfit(f"it is not JSON that can be moved: {error}") from None
    except RecursionError:
        raise Unfit("it is JSON that nests too deeply") from None


def _document(value: Any) -> str:
    _json(value)
    return value


_PLAIN = frozenset((str, int, bool, type(None)))


def _ordered(value: Any, text: str) -> Any:
    """With objects as tuples of their members in order, and numbers that are whole as integers. `text` is where it stands."""
    if type(value) is dict:
        members = sorted(cast("dict[str, Any]", value).items())
        return tuple([(name, one if type(one) in _PLAIN else _ordered(one, text)) for name, one in members])
    if type(value) is list:
        return [one if type(one) in _PLAIN else _ordered(one, text) for one in cast("list[Any]", value)]
    if type(value) is float and value.is_integer():
        if not value:
            _refuse_large_exponents(text)
        number = int(Decimal(repr(value)))  # the one that it was written as, which is not the one that it is
        return number if -(2**63) <= number < 2**64 else value
    return value


def _refuse_large_exponents(text: str) -> None:
    """1e-9999 is 0 to most readers of JSON, and too many digits to PostgreSQL. What looks like it may stand in a text."""

    def refuse(number: str) -> None:
        if _LARGE_EXPONENT.search(number):
            raise ValueError(f"{number} is out of range")

    if _LARGE_EXPONENT.search(text):
        json.loads(text, parse_float=refuse)


def _kind_of(value: Any) -> str:
    return "bytes" if isinstance(value, bytes) else "a number"


def _shown(value: Any) -> str:
    return repr(value)[:60]


_CHECKS: Mapping[ColumnKind, Callable[[Any], Any]] = {
    "id": _id,
    "text": _text,
    "name": _name,
    "count": _count,
    "integer": _integer,
    "total": _total,
    "time": _time,
    "money": _money,
    "sum": partial(_money, limit=_TWENTY_DIGITS),
    "json": _json,
    "document": _document,
}
