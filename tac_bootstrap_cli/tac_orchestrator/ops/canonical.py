"""What a row says, in words that do not depend on where it is kept: so that two databases can be compared, and rows that only
one of them could hold are found before they are moved.

The words are those of PostgreSQL, see `engines.base.COPIED`: it writes them by itself, and a file has nearly the same already.
What is summed up is a hash of each row's line, so that the order of rows does not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, cast, get_args

from tac_orchestrator.engines.base import Column, ColumnKind, Layout, Spellings, Values
from tac_orchestrator.models import Agent, AgentLog, Lease, OrchestratorAgent, Prompt, Row, SystemLog
from tac_orchestrator.ops import jsonb
from tac_orchestrator.tables.columns import described

_TOTALS = (
    "prompt_count:count prompt_failed_count:count priced_count:count unpriced_count:count tokens_input:total "
    "tokens_output:total tokens_cache_read:total tokens_cache_write:total cost_usd:sum"
)
_AGENT_COUNTS = "agent_count:count running_count:count failed_count:count root_failed_count:count root_cancelled_count:count"

# These come last: for each column that follows, SQL would copy them once more.
_LONG = frozenset(("text", "json"))


def _of_model(table: str, model: type[Row], order: str, **more: Any) -> Layout:
    columns = list[Column]()
    for name, field in model.model_fields.items():
        kind, vocabulary = described((field.annotation, *field.metadata))
        is_required = name == "id" or type(None) not in get_args(field.annotation)
        found = "word" if vocabulary else "json" if kind in {"object", "array"} else kind or "text"
        columns.append(Column(name, cast("ColumnKind", found), is_required, vocabulary))
    columns.sort(key=lambda column: column.kind in _LONG)
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
    _of_model("prompts", Prompt, "created_at, id", piece=50),
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

    def plus(self, lines: bytes) -> Digest:
        hashes = [sha256(line).digest() for line in lines.split(b"\n")[:-1]]
        return Digest(self.rows + len(hashes), (self.total + sum(map(int.from_bytes, hashes))) % 2**128)


def spellings(*, as_they_are: bool, json_as_it_is: bool) -> Spellings:
    """How values are written that no file has as PostgreSQL writes them; ids and times, unless they are as they are to be."""
    found = dict(_ALWAYS)
    if not as_they_are:
        found |= {"id": _id, "time": _time}
    if not json_as_it_is:
        found["json"] = jsonb.written
    return found


def are_plain(layout: Layout, rows: Sequence[Values]) -> bool:
    """Whether the ids and times of these rows are as they are to be written. Raises Unfit."""
    columns = zip(layout.columns, zip(*rows, strict=True), strict=True)
    return all([_is_plain(column, values) for column, values in columns])


def misfits(layout: Layout, rows: Iterable[Values]) -> list[Misfit]:
    """What is wrong with these rows: one by one, and each with all that is wrong with it."""
    found = list[Misfit]()
    keys = [layout.names.index(name) for name in layout.order.split(", ")]
    if "id" in layout.names:
        keys = [layout.names.index("id")]
    for row in rows:
        for column, value in zip(layout.columns, row, strict=True):
            try:
                _is_plain(column, (value,))
            except Unfit as error:
                found.append(Misfit(layout.table, " ".join(str(row[key]) for key in keys), column.name, str(error)))
    return found


def _is_plain(column: Column, values: Sequence[Any]) -> bool:
    if None in values:
        if column.is_required:
            raise Unfit("a value is required")
        values = [value for value in values if value is not None]
    if column.kind == "word":
        return all([_word(column.vocabulary, value) for value in set(values)])
    if column.kind in _ARE_PLAIN and _ARE_PLAIN[column.kind](values):
        return True
    written = [_CHECKS[column.kind](value) for value in values]
    return column.kind not in {"id", "time"} or written == list(values)


_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_PLAIN_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}")
_INDEXABLE = 2600
_TEN_DIGITS, _TWENTY_DIGITS = 10.0**10, 10.0**20
_INTEGERS = range(-(2**63), 2**63)


# The value, as it is to be written. All raise Unfit.


def _text(value: Any) -> str:
    if type(value) is not str:
        raise Unfit(f"it is not a text but {_kind_of(value)}")
    if "\0" in value:
        raise Unfit("it holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit("it is not valid UTF-8") from None
    return value


def _name(value: Any) -> str:
    if len(_text(value)) * 4 > _INDEXABLE and len(value.encode()) > _INDEXABLE:
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


def _total(value: Any) -> str:
    """SQLite keeps what is larger than an integer as a float."""
    if isinstance(value, (str, bytes)) or not 0 <= value < _TWENTY_DIGITS or value != int(value):
        raise Unfit(f"{_shown(value)} is not a total")
    return str(int(value)) if value < 2**63 else _float(float(value))


def _money(value: Any, limit: float = _TEN_DIGITS) -> str:
    if isinstance(value, (str, bytes)) or not 0 <= value < limit:
        raise Unfit(f"{_shown(value)} is not an amount of money from 0 to {limit:,.0f}")
    return _float(round(float(value), 8) + 0.0)


def _sum(value: Any) -> str:
    return _money(value, _TWENTY_DIGITS)


def _float(value: float) -> str:
    """As short as can be, and with an exponent from the sixteenth digit on, where Python's begins at the seventeenth."""
    if value < 10.0**15:
        return repr(value).removesuffix(".0")
    return next(text for digits in range(17) if float(text := f"{value:.{digits}e}") == value)


def _time(value: Any) -> str:
    try:
        at = datetime.fromisoformat(value)
        if at.tzinfo is not None:
            at = at.astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        raise Unfit(f"{_shown(value)} is not a time") from None
    return at.isoformat(" ", "microseconds")


def _json(value: Any) -> str:
    try:
        jsonb.refuse_unfit(_text(value))
    except ValueError as error:
        raise Unfit(f"it is not JSON that can be moved: {error}") from None
    return value


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
    "sum": _sum,
    "json": _json,
    "document": _json,
}
_ALWAYS: Spellings = {"money": _money, "sum": _sum, "total": _total}


# Many values at once, most of which have nothing odd.


def _are_ids(values: Sequence[Any]) -> bool:
    try:
        return all(map(_PLAIN_UUID.fullmatch, set(values)))
    except TypeError:
        return False


def _are_texts(values: Sequence[Any]) -> bool:
    if not {str}.issuperset(map(type, values)):
        return False
    try:
        return b"\0" not in "".join(values).encode()
    except UnicodeEncodeError:
        return False


def _are_names(values: Sequence[Any]) -> bool:
    return _are_texts(values) and max(map(len, values), default=0) * 4 <= _INDEXABLE


def _are_counts(values: Sequence[Any]) -> bool:
    return {int}.issuperset(map(type, values)) and min(values, default=0) >= 0


def _are_times(values: Sequence[Any]) -> bool:
    try:
        return all(map(_TIME.fullmatch, values)) and all(map(datetime.fromisoformat, values))
    except (TypeError, ValueError):
        return False


_ARE_PLAIN: Mapping[ColumnKind, Callable[[Sequence[Any]], bool]] = {
    "id": _are_ids,
    "text": _are_texts,
    "name": _are_names,
    "count": _are_counts,
    "time": _are_times,
}
