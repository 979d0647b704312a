"""From a model's columns to what a database keeps, and back.

Checking a row with its model and then translating it costs more than storing it. Most rows are plain: every value has just the
type that its column wants and needs no change. Those are checked and translated in one go, by what the model says its columns
are. Whatever is not plain, the model itself decides about: these checks refuse more than it does, never less.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Literal, get_args, get_origin

import orjson

from tac_orchestrator.engines.base import Codec, RawRow
from tac_orchestrator.models import MAX_COST, MAX_NAME, MAX_TEXT, Kind, Row, dump_json
from tac_orchestrator.queries import Query

Translate = Callable[[Any], Any]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_NUMBERS = frozenset((Decimal, float, int))
_REQUIRED = object()


class NotPlain(Exception):
    """A value that the model has to look at."""


@dataclass(frozen=True, slots=True)
class _Template:
    """A row for one query before it has values."""

    columns: dict[str, tuple[int, Translate]]
    defaults: list[Any]
    required: tuple[str, ...]
    optional: frozenset[str]


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
        checks = _checks(codec)
        self._checks: dict[str, Translate] = {}
        self._defaults: dict[str, Any] = {}
        self._templates: dict[Query, _Template] = {}
        self._readers: list[tuple[str, Translate]] = []
        self._names = tuple(model.model_fields)
        ids = set[str]()
        for name, field in model.model_fields.items():
            kind, vocabulary = _described((field.annotation, *field.metadata))
            self._checks[name] = partial(_plain_word, vocabulary) if vocabulary else checks[kind]
            self._defaults[name] = _REQUIRED if field.is_required() else field.default
            if kind in readers:
                self._readers.append((name, readers[kind]))
            if kind == "id":
                ids.add(name)
        self.ids = frozenset(ids)

    def plain(self, query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """A row, checked and ready for this query. Raises NotPlain."""
        template = self._templates.get(query) or self._template(query)
        columns, kept = template.columns, template.defaults.copy()
        for name, value in values.items():
            if value is not None:
                try:
                    place, check = columns[name]
                except KeyError:
                    raise NotPlain from None
                kept[place] = check(value)
            elif name not in template.optional:
                raise NotPlain
        for name in template.required:
            if name not in values:
                raise NotPlain
        return tuple(kept)

    def _template(self, query: Query) -> _Template:
        names = query.parameters
        template = _Template(
            {name: (place, self._checks[name]) for place, name in enumerate(names)},
            [self._defaults[name] for name in names],
            tuple(name for name in names if self._defaults[name] is _REQUIRED),
            frozenset(name for name in names if self._defaults[name] is None),
        )
        self._templates[query] = template
        return template

    def encode(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """Values that have been checked, ready for the database."""
        encoders = self._encoders
        return tuple([encoders[type(value)](value) if type(value) in encoders else value for value in values])

    def read(self, raw: RawRow) -> dict[str, Any]:
        """A row as it is in the store; what it lacks is None. Nothing is checked: what is there is shown."""
        get = raw.get
        values = {name: get(name) for name in self._names}
        if bytes in map(type, values.values()):
            values = {name: _as_text(value) for name, value in values.items()}
        for name, read in self._readers:
            value = values[name]
            if value is not None:
                values[name] = read(value)
        return values


def _described(hints: Iterable[Any]) -> tuple[str, frozenset[str]]:
    """The kind of a column, or its vocabulary."""
    for hint in hints:
        if isinstance(hint, Kind):
            return hint.name, frozenset()
        if get_origin(hint) is Literal:
            return "", frozenset(get_args(hint))
        found = _described(get_args(hint))
        if any(found):
            return found
    return "", frozenset()


def _checks(codec: Codec) -> dict[str, Translate]:
    return {
        "id": _plain_id,
        "text": partial(_plain_text, 0, MAX_TEXT),
        "name": partial(_plain_text, 1, MAX_NAME),
        "count": _plain_count,
        "time": lambda value: codec.time(_plain_time(value)),
        "money": lambda value: codec.money(_plain_money(value)),
        "object": partial(_plain_json, dict),
        "array": partial(_plain_json, list),
        "": partial(_plain_text, 0, MAX_TEXT),
    }


def _plain_text(shortest: int, longest: int, value: Any) -> str:
    if type(value) is not str or not value.isascii() or "\0" in value or not shortest <= len(value) <= longest:
        raise NotPlain
    return value


def _plain_id(value: Any) -> str:
    if type(value) is not str or not _is_uuid(value):
        raise NotPlain
    return value


@lru_cache(maxsize=4096)
def _is_uuid(value: str) -> bool:
    return _UUID.fullmatch(value) is not None


def _plain_word(vocabulary: frozenset[str], value: Any) -> str:
    if type(value) is not str or value not in vocabulary:
        raise NotPlain
    return value


def _plain_count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise NotPlain
    return value


def _plain_time(value: Any) -> datetime:
    if type(value) is not datetime or value.tzinfo is not UTC:
        raise NotPlain
    return value


def _plain_money(value: Any) -> Decimal | float:
    if type(value) not in _NUMBERS or (type(value) is Decimal and not value.is_finite()) or not 0 <= value < MAX_COST:
        raise NotPlain
    return value


def _plain_json(wanted: type, value: Any) -> str:
    if type(value) is not wanted:
        raise NotPlain
    try:
        return dump_json(value)
    except ValueError as error:
        raise NotPlain from error


def _as_text(value: Any) -> Any:
    """Plain SQL can store bytes in any column."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _load(text: Any) -> Any:
    try:
        return orjson.loads(text)
    except (TypeError, ValueError):
        return text
