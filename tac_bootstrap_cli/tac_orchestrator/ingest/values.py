"""Values of programs as JSON that can be stored."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from math import isfinite
from typing import Any, cast

from tac_orchestrator.models import storable

_DEEPEST = 20
_MOST_ITEMS = 10_000
_LONGEST_TEXT = 100_000
_BRIEF_CHARACTERS = 160

# What says best what a tool was asked for.
_TELLING = ("command", "file_path", "path", "pattern", "url", "query", "description", "prompt", "skill")


def as_json(value: Any, *, longest: int = _LONGEST_TEXT) -> Any:
    """Whatever is not JSON, what goes too deep, and what is too much, as text. Models of pydantic are what they hold."""
    return _Reading(longest).of(value, _DEEPEST)


def as_text(value: object, *, longest: int = _LONGEST_TEXT) -> str:
    """Never raises: a value that cannot be shown must not cost the record that it stands in."""
    try:
        text = str(value)
    except Exception as error:
        text = f"[{type(value).__name__}: {type(error).__name__}]"
    return storable(text if len(text) <= longest else f"{text[:longest]}…")


def brief(arguments: Mapping[str, Any]) -> str:
    """What a tool was asked for, in a line."""
    value = next((arguments[name] for name in _TELLING if isinstance(arguments.get(name), str)), "")
    return shortened(" ".join(value.split()), _BRIEF_CHARACTERS)


def tool_message(tool: object, arguments: Any) -> str:
    """Whatever order the arguments are kept in: PostgreSQL has one of its own for the members of JSON."""
    told = cast(Mapping[str, Any], arguments) if isinstance(arguments, Mapping) else dict[str, Any]()
    names = sorted(told, key=lambda name: (len(name), name))
    first = next((told[name] for name in names if isinstance(told[name], str) and told[name]), "")
    shown = brief(told) or " ".join(first.split())[:_BRIEF_CHARACTERS]
    return storable(f"{tool}: {shown}" if shown else str(tool))


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


class _Reading:
    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._left = _MOST_ITEMS

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if value is None or isinstance(value, bool) or (type(value) is int and -(2**63) <= value < 2**63):
            return value
        if isinstance(value, float) and isfinite(value):
            return float(value)
        if depth and self._left > 0 and not isinstance(value, str):
            return self._of_many(value, depth - 1)
        return as_text(value, longest=self._longest)

    def _of_many(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            items = islice(cast(Mapping[Any, Any], value).items(), self._left)
            return {as_text(name): self.of(item, depth) for name, item in items}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.of(item, depth) for item in islice(cast(list[Any], value), self._left)]
        dump = getattr(value, "model_dump", None)
        if callable(dump) and not isinstance(value, type):
            try:
                return self.of(dump(exclude_none=True), depth)
            except Exception:
                return as_text(value, longest=self._longest)
        return as_text(value, longest=self._longest)
