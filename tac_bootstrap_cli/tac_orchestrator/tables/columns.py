"""From a model's columns to what a database keeps, and back.

Checking a row with its model and then translating it costs more than storing it. Most rows are plain: every value has just the
type that its column wants and needs no change. Those are checked and translated in one go, by what the model says its columns
are. Whatever is not plain, the model itself decides about: these checks refuse more than it does, never less.

For each query, the checks of its columns are put together as one function: calls would cost more than what they do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal, get_args, get_origin

import orjson

from tac_orchestrator.engines.base import Codec, RawRow
from tac_orchestrator.models import MAX_COST, MAX_NAME, MAX_TEXT, Kind, Row, dump_json
from tac_orchestrator.queries import Query

Translate = Callable[[Any], Any]
Check = Callable[[Mapping[str, Any]], tuple[Any, ...]]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBERS = frozenset((Decimal, float, int))
_REQUIRED = object()


class NotPlain(Exception):
    """A row that the model has to look at."""


class Columns:
    """The columns of one model in one engine."""

    def __init__(self, model: type[Row], codec: Codec) -> None:
        self._encoders: dict[type, Translate] = {
            datetime: codec.time,
            Decimal: codec.money,
            dict: dump_json,
            list: dump_json,
        }
        readers = {"time": codec.read_time, "money": codec.read_money, "object": _load, "array": _load}
        self._codec = codec
        self._kinds: dict[str, tuple[str, frozenset[str]]] = {}
        self._defaults: dict[str, Any] = {}
        self._plain: dict[Query, Check] = {}
        self._readers: list[tuple[str, Translate]] = []
        self._names = tuple(model.model_fields)
        ids = set[str]()
        for name, field in model.model_fields.items():
            kind, vocabulary = described((field.annotation, *field.metadata))
            self._kinds[name] = kind, vocabulary
            self._defaults[name] = _REQUIRED if field.is_required() else field.default
            if kind in readers:
                self._readers.append((name, readers[kind]))
            if kind == "id":
                ids.add(name)
        self.ids = frozenset(ids)

    def plain(self, query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row, checked and ready for this query. Raises NotPlain."""
        check = self._plain.get(query) or self._compiled(query)
        try:
            return check(values)
        except (KeyError, ValueError) as error:  # a column is missing, or one of them is no JSON
            raise NotPlain from error

    def _compiled(self, query: Query) -> Check:
        """One function that does what stands in _CHECKS for each column. Nothing of it comes from outside the program."""
        names = query.parameters
        lines = ["get = values.get", "if not known.issuperset(values): raise NotPlain"]
        scope: dict[str, Any] = _scope(self._codec) | {"known": frozenset(names)}
        for place, name in enumerate(names):
            kind, vocabulary = self._kinds[name]
            scope[f"default{place}"], scope[f"words{place}"] = self._defaults[name], vocabulary
            lines += _check_of(place, name, "word" if vocabulary else kind, is_required=self._defaults[name] is _REQUIRED)
        body = "".join(f"\n    {line}" for line in lines)
        row = "".join(f"v{place}, " for place in range(len(names)))
        exec(f"def check(values):{body}\n    return ({row})", scope)  # noqa: S102
        self._plain[query] = scope["check"]
        return scope["check"]

    def encode(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """Values that have been checked, ready for the database."""
        encoders = self._encoders
        return tuple([encoders[type(value)](value) if type(value) in encoders else value for value in values])

    def read(self, raw: RawRow) -> dict[str, Any]:
        """The row as it is in the store, made use of; what it lacks is None. Nothing is checked: what is there is shown."""
        values = raw if tuple(raw) == self._names else {name: raw.get(name) for name in self._names}
        if bytes in map(type, values.values()):
            values = {name: _as_text(value) for name, value in values.items()}
        for name, read in self._readers:
            value = values[name]
            if value is not None:
                values[name] = read(value)
        return values


@cache
def columns(model: type[Row], codec: Codec) -> Columns:
    """The same ones for all stores of a process: to describe a model and to compile its checks takes milliseconds."""
    return Columns(model, codec)


def described(hints: Iterable[Any]) -> tuple[str, frozenset[str]]:
    """The kind of a column, or its vocabulary."""
    for hint in hints:
        if isinstance(hint, Kind):
            return hint.name, frozenset()
        if get_origin(hint) is Literal:
            return "", frozenset(get_args(hint))
        found = described(get_args(hint))
        if any(found):
            return found
    return "", frozenset()


# What a plain value of each kind must not be, and how it is kept, in terms of `v`.
_CHECKS = {
    "id": ("type(v) is not str or not is_uuid(v)", ""),
    "text": (r"type(v) is not str or not v.isascii() or '\0' in v or len(v) > max_text", ""),
    "name": (r"type(v) is not str or not v.isascii() or '\0' in v or not 1 <= len(v) <= max_name", ""),
    "word": ("type(v) is not str or v not in words", ""),
    "count": ("type(v) is not int or not 0 <= v < 2**63", ""),
    "time": ("type(v) is not datetime or v.tzinfo is not UTC", "time(v)"),
    "money": ("", "money(plain_money(v))"),
    "object": ("type(v) is not dict", "dump_json(v)"),
    "array": ("type(v) is not list", "dump_json(v)"),
}
_CHECKS[""] = _CHECKS["text"]


def _scope(codec: Codec) -> dict[str, Any]:
    """The names that _CHECKS use."""
    return {
        "NotPlain": NotPlain,
        "UTC": UTC,
        "datetime": datetime,
        "is_uuid": _is_uuid,
        "max_text": MAX_TEXT,
        "max_name": MAX_NAME,
        "time": codec.time,
        "money": codec.money,
        "plain_money": _plain_money,
        "dump_json": dump_json,
    }


def _check_of(place: int, name: str, kind: str, *, is_required: bool) -> list[str]:
    """The lines that fetch, check and translate one column. A default needs no check."""
    refused, kept = (re.sub(r"\b(v|words)\b", rf"\g<1>{place}", text) for text in _CHECKS[kind])
    lines = [f"if {refused}: raise NotPlain"] if refused else []
    lines += [f"v{place} = {kept}"] if kept else []
    if is_required:
        return [f"v{place} = values[{name!r}]", *lines]
    return [
        f"v{place} = get({name!r}, default{place})",
        f"if v{place} is not default{place}:",
        *(f"    {line}" for line in lines),
    ]


@lru_cache(maxsize=4096)
def _is_uuid(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


def _plain_money(value: Any) -> Decimal | float:
    if type(value) not in _NUMBERS or (type(value) is Decimal and not value.is_finite()) or not 0 <= value < MAX_COST:
        raise NotPlain
    return value


def _as_text(value: Any) -> Any:
    """Plain SQL can store bytes in any column."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _load(text: Any) -> Any:
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return text
