"""The quick path for plain rows accepts only what the model accepts, and keeps the same values."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from operator import attrgetter
from types import NoneType
from typing import Any, get_args

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tac_orchestrator import Agent, AgentLog, OrchestratorAgent, Prompt, SystemLog
from tac_orchestrator.engines.sqlite.values import SqliteCodec
from tac_orchestrator.models import Kind, Row
from tac_orchestrator.queries import Query, queries
from tac_orchestrator.tables.columns import Columns, NotPlain

MODELS: dict[str, type[Row]] = {
    "orchestrator_agents": OrchestratorAgent,
    "agents": Agent,
    "prompts": Prompt,
    "agent_logs": AgentLog,
    "system_logs": SystemLog,
}


def through_the_model(model: type[Row], columns: Columns, query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
    return columns.encode(attrgetter(*query.parameters)(model(**values)))


plain_text = st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=12)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(plain_text, inner, max_size=2),
    max_leaves=3,
)
times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))]))

GOOD: dict[str, st.SearchStrategy[Any]] = {
    "id": st.uuids().map(str),
    "text": plain_text,
    "name": plain_text,
    "count": st.integers(0, 2**63 - 1),
    "time": times,
    "money": st.decimals(0, 10_000, places=8) | st.floats(0, 10_000) | st.integers(0, 10_000),
    "object": st.dictionaries(plain_text, json_values, max_size=2),
    "array": st.lists(json_values, max_size=2),
}

# What is nearly right, and what is not.
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.binary(max_size=5),
    json_values,
    st.datetimes(),
    times,
    st.dates(),
    st.uuids(),
    st.uuids().map(lambda value: str(value).upper()),
    st.uuids().map(lambda value: value.hex),
    st.sampled_from(["x\0y", "\ud800", "x" * 1001, -1, -0.0, 2**63, 1e7, Decimal("9999999.999999999"), Decimal("sNaN"), b""]),
    st.sampled_from([{"a": "\0"}, {"\0": 1}, {"a": float("nan")}, {1: 2}, {"a": {1}}, [float("inf")], ("a",), {"a": "\ud800"}]),
    st.sampled_from(["completed", "COMPLETED", "INFO", "info", "planner", "adw", "2026-01-01T00:00:00Z", "1.5", "7"]),
)


def vocabulary_of(hint: Any) -> list[str]:
    return [word for part in get_args(hint) for word in ([part] if isinstance(part, str) else vocabulary_of(part))]


def good_values(model: type[Row], name: str) -> st.SearchStrategy[Any]:
    field = model.model_fields[name]
    kinds = [part for part in (*field.metadata, *nested(field.annotation)) if isinstance(part, Kind)]
    good = GOOD[kinds[0].name] if kinds else st.sampled_from(vocabulary_of(field.annotation))
    return good | st.none() if NoneType in get_args(field.annotation) else good


def nested(hint: Any) -> list[Any]:
    return [part for each in get_args(hint) for part in (each, *nested(each), *getattr(each, "__metadata__", ()))]


@st.composite
def rows(draw: Callable[[st.SearchStrategy[Any]], Any], table: str, odd_columns: int) -> dict[str, Any]:
    """The values of a row, of which so many may be anything, and some may be missing."""
    model = MODELS[table]
    names = list(queries(table)["create"].parameters)
    left_out = draw(st.sets(st.sampled_from(names), max_size=len(names) // 2))
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    row = {name: draw(good_values(model, name)) for name in names if name in required or name not in left_out}
    for name in draw(st.lists(st.sampled_from(names), max_size=odd_columns)):
        row[name] = draw(ODD)
    if odd_columns and draw(st.booleans()):
        row.pop(draw(st.sampled_from(names)), None)
        row |= draw(st.dictionaries(st.sampled_from(["id", "unknown", "lease_id", "cost_usd"]), ODD, max_size=1))
    return row


@pytest.mark.parametrize("table", MODELS)
# Most rows with anything odd in them are not plain.
@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data())
def test_what_is_plain_is_kept_as_its_model_would_keep_it(table: str, data: st.DataObject) -> None:
    model, query = MODELS[table], queries(table)["create"]
    columns = Columns(model, SqliteCodec())
    row = data.draw(rows(table, odd_columns=1))
    try:
        plain = columns.plain(query, row)
    except NotPlain:
        assume(False)
    else:
        assert typed(plain) == typed(through_the_model(model, columns, query, row))


def typed(values: tuple[Any, ...]) -> list[tuple[type, Any]]:
    return [(type(value), value) for value in values]


@pytest.mark.parametrize("table", MODELS)
@settings(deadline=None)
@given(st.data())
def test_nothing_but_not_plain_is_raised(table: str, data: st.DataObject) -> None:
    columns = Columns(MODELS[table], SqliteCodec())
    row = data.draw(rows(table, odd_columns=3))
    with suppress(NotPlain):
        columns.plain(queries(table)["create"], row)


@pytest.mark.parametrize("table", MODELS)
@settings(deadline=None)
@given(st.data())
def test_nothing_but_a_validation_error_is_raised_by_a_model(table: str, data: st.DataObject) -> None:
    model, query = MODELS[table], queries(table)["create"]
    columns = Columns(model, SqliteCodec())
    row = data.draw(rows(table, odd_columns=3))
    with suppress(ValidationError):
        through_the_model(model, columns, query, row)


@pytest.mark.parametrize("table", MODELS)
@settings(deadline=None)
@given(st.data())
def test_what_is_kept_is_read_as_what_it_was(table: str, data: st.DataObject) -> None:
    model, query = MODELS[table], queries(table)["create"]
    columns = Columns(model, SqliteCodec())
    row = data.draw(rows(table, odd_columns=0))
    try:
        checked = model(**row)
    except ValidationError:
        assume(False)
    else:
        kept = dict(zip(query.parameters, through_the_model(model, columns, query, row), strict=True))
        read = columns.read(kept)
        assert {name: read[name] for name in kept} == {name: as_read(getattr(checked, name)) for name in kept}


def as_read(value: Any) -> Any:
    """JSON knows fewer kinds of values than Python: -0.0 is kept, a tuple is a list."""
    return orjson.loads(orjson.dumps(value)) if isinstance(value, (dict, list)) else value


@pytest.mark.parametrize("table", MODELS)
def test_what_people_write_is_plain(table: str) -> None:
    """Else the quick path would be there for nothing."""
    examples: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "text": "Do it.",
        "name": "planner",
        "count": 12,
        "time": datetime.now(UTC),
        "money": Decimal("0.5"),
        "object": {"key": ["value", 1.5, None]},
        "array": ["plan"],
    }
    model, query = MODELS[table], queries(table)["create"]
    row = dict[str, Any]()
    for name in query.parameters:
        field = model.model_fields[name]
        kinds = [part for part in (*field.metadata, *nested(field.annotation)) if isinstance(part, Kind)]
        row[name] = examples[kinds[0].name] if kinds else vocabulary_of(field.annotation)[0]
    columns = Columns(model, SqliteCodec())
    assert typed(columns.plain(query, row)) == typed(through_the_model(model, columns, query, row))


@given(times)
def test_times_sort_as_their_texts(at: datetime) -> None:
    codec = SqliteCodec()
    try:
        texts = [
            codec.time((at + step).astimezone(UTC)) for step in (timedelta(), timedelta(microseconds=1), timedelta(seconds=1))
        ]
    except OverflowError:
        assume(False)
    else:
        assert texts == sorted(texts)
        assert codec.read_time(texts[0]) == at


@pytest.mark.parametrize(
    ("text", "hour"),
    [
        ("2026-01-02 03:00:00.000000", 3),
        ("2026-01-02 03:00:00", 3),
        ("2026-01-02T03:00:00Z", 3),
        ("2026-01-02T03:00:00+02:00", 1),
        ("2026-01-02", 0),
        ("2026-01-02 03", 3),
    ],
)
def test_times_are_read_as_anybody_writes_them(text: str, hour: int) -> None:
    read = SqliteCodec().read_time(text)
    assert (read, read.tzinfo) == (datetime(2026, 1, 2, hour, tzinfo=UTC), UTC)


@given(st.integers(0, 10**15 - 1).map(lambda number: Decimal(number).scaleb(-8)))
def test_money_keeps_eight_decimals(value: Decimal) -> None:
    codec = SqliteCodec()
    assert codec.read_money(codec.money(value)) == value


@pytest.mark.parametrize("value", ["not a time", 7, b"x", "2026-13-45 00:00:00", ""])
def test_what_cannot_be_read_is_shown_as_it_is(value: Any) -> None:
    codec = SqliteCodec()
    assert codec.read_time(value) == value
    assert codec.read_money("a lot") == "a lot"
    columns = Columns(Agent, codec)
    assert columns.read({"context": "{not json", "started_at": value})["context"] == "{not json"
