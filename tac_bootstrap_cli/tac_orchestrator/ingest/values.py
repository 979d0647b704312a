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
