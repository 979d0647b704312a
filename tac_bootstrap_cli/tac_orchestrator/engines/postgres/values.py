"""How PostgreSQL keeps values: ids, times, money and JSON in types of their own, which the driver takes from Python's.

What is asked for may be of another kind than its column, a name in the place of an id for example. On SQLite that finds
nothing; here it would be an error, and is therefore made something that finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from string import punctuation
from typing import Any
from unicodedata import normalize
from uuid import UUID

from tac_orchestrator.engines.base import Term, Terms

_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_EXACT_IN_FLOAT = Decimal(10) ** 7
_FIRST_ID = str(UUID(int=0))
_PUNCTUATION = str.maketrans(dict.fromkeys(punctuation, " "))
_SIGNS = {"AND": "&", "OR": "|"}
_INTEGERS = range(-(2**63), 2**63)


class PostgresCodec:
    """See `engines.base.Codec`."""

    def time(self, value: datetime) -> datetime:
        return value

    def money(self, value: Decimal | float) -> Decimal:
        return Decimal(repr(round(float(value), 8)))

    def match(self, terms: Terms) -> str:
        wanted = " ".join(_SIGNS[term] if not isinstance(term, Term) else _phrase(term) for term in terms.wanted)
        return " & !".join((f"({wanted})", *map(_phrase, terms.unwanted)))

    def read_time(self, value: Any) -> Any:
        return value

    def read_money(self, value: Any) -> Any:
        """Without the zeros that fill it up to eight decimals."""
        if not isinstance(value, (Decimal, int)):
            return value
        return Decimal(repr(float(value))) if abs(value) < _EXACT_IN_FLOAT else Decimal(value).normalize()


def _phrase(term: Term) -> str:
    """Words as the index has them: between spaces and ASCII punctuation, without accents."""
    plain = "".join(sign for sign in normalize("NFD", term.text) if not "\u0300" <= sign <= "\u036f")
    words = " <-> ".join(f"'{word}'" for word in plain.translate(_PUNCTUATION).split())
    return f"({words}:*)" if term.is_prefix else f"({words})"


def number(text: str) -> Decimal | int:
    """A NUMERIC: a sum of whole numbers is one, whatever type PostgreSQL adds them up in."""
    return int(text) if text.lstrip("-").isdecimal() else Decimal(text)


def _id(value: Any) -> Any:
    """'' comes before any other text, and what stands for it before any other id."""
    text = str(value) or _FIRST_ID
    return text if _UUID.fullmatch(text) else None


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
    return value if isinstance(value, int) and value in _INTEGERS else None


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else None if isinstance(value, str) and "\0" in value else value


_SOUGHT: dict[str, Callable[[Any], Any]] = {"uuid": _id, "bigint": _integer, "text": _text}


def sought(types: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Values to look for, as the driver takes them."""
    return [
        value if value is None or type not in _SOUGHT else _SOUGHT[type](value)
        for type, value in zip(types, values, strict=True)
    ]
