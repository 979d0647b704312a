"""JSON as PostgreSQL gives it back from a JSONB: members by the length of their names and then by these, numbers with all the
digits that they have, a space behind each comma and colon.

So what a file says can be compared with what the server says, byte by byte, and the server has nothing to do for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

import orjson

_LARGE_EXPONENT = re.compile(r"\d[eE][+-]?0*[1-9]\d{3}")
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def refuse_unfit(text: str) -> None:
    """Raises ValueError for what JSONB does not take, and for what can be read and not be written again."""
    if "\\" in text and _NUL.search(text):
        raise ValueError("it holds a NUL character")
    try:
        plain = orjson.dumps(orjson.loads(text))
    except orjson.JSONEncodeError:
        raise ValueError("it nests too deeply") from None
    if b"0.0" in plain and _LARGE_EXPONENT.search(text):
        json.loads(text, parse_float=_refuse_large_exponents)


def written(text: str) -> str:
    """The same, as JSONB writes it."""
    try:
        return _written(orjson.loads(text))
    except _Fraction:
        return _written(_EXACT.decode(text))


class _Fraction(Exception):
    """A number that is not as it was written any more."""


class _Number(str):
    """One that is."""


def _number(text: str) -> _Number:
    found = format(Decimal(text), "f")
    return _Number(found[1:] if found.startswith("-") and not found.strip("-0.") else found)


_EXACT = json.JSONDecoder(parse_float=_number)


def _refuse_large_exponents(text: str) -> None:
    """1e-9999 is 0 to most readers of JSON, and too many digits to PostgreSQL. What looks like it may stand in a text."""
    if _LARGE_EXPONENT.search(text):
        raise ValueError(f"{text} is out of range")


def _written(value: Any) -> str:
    return _WRITERS[type(value)](value)


def _object(value: Mapping[str, Any]) -> str:
    members = [label + _WRITERS[type(one := value[name])](one) for name, label in _labels(tuple(value))]
    return "{" + ", ".join(members) + "}"


@lru_cache(4096)
def _labels(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """In the order in which they are written. Most objects have the same names as others."""
    return [(name, f"{encode_basestring(name)}: ") for name in sorted(names, key=_place)]


def _place(name: str) -> tuple[int, bytes]:
    return len(found := name.encode()), found


def _array(value: list[Any]) -> str:
    return "[" + ", ".join([_WRITERS[type(one)](one) for one in value]) + "]"


def _fraction(value: float) -> str:
    raise _Fraction


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: encode_basestring,
    int: int.__repr__,
    bool: {True: "true", False: "false"}.__getitem__,
    type(None): {None: "null"}.__getitem__,
    dict: _object,
    list: _array,
    float: _fraction,
    _Number: str,
}
