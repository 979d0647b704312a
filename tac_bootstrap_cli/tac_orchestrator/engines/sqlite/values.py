"""How SQLite keeps times and money: as text, and as a REAL of eight decimals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from tac_orchestrator.engines.base import Term, Terms


class SqliteCodec:
    """See `engines.base.Codec`. Times sort as text, together with those that SQLite's datetime('now') makes."""

    def time(self, value: datetime) -> str:
        if value.microsecond:  # orjson writes a time four times as fast, but leaves out a fraction of 0
            return orjson.dumps(value)[1:27].decode().replace("T", " ")
        return value.isoformat(" ", "microseconds")[:26]

    def money(self, value: Decimal | float) -> float:
        return round(float(value), 8)

    def match(self, terms: Terms) -> str:
        wanted = " ".join(_quoted(term) if isinstance(term, Term) else term for term in terms.wanted)
        return " NOT ".join((f"({wanted})", *map(_quoted, terms.unwanted)))

    def read_time(self, value: Any) -> Any:
        try:
            found = datetime.fromisoformat(f"{value}+00:00")  # all that we have written ourselves is read in one go
        except ValueError:
            return _others_time(value)
        return found if found.tzinfo is UTC else _others_time(value)

    def read_money(self, value: Any) -> Any:
        return Decimal(repr(round(value, 8))) if isinstance(value, (int, float)) else value


def _others_time(value: Any) -> Any:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return value
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _quoted(term: Term) -> str:
    if term.words:
        return "(" + " OR ".join(f'"{word}"' for word in term.words) + ")"
    quoted = '"' + term.text.replace('"', '""') + '"'
    return f"{quoted} *" if term.is_prefix else quoted
