"""How values look: short for people, whole and exact for a pipe.

What a store holds is shown even where it is not what its column wants, so that every form takes every value.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from tac_orchestrator.cli import times
from tac_orchestrator.cli.harmless import visible

Kind = Literal["text", "excerpt", "id", "state", "level", "ago", "clock", "span", "count", "tokens", "money"]

NOTHING = "-"
"""Stands for a value that is not known, so that no column of a line is empty."""

NUMBERS = frozenset[Kind](("span", "count", "tokens", "money"))

_COLORS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "CRITICAL": "red",
    "ERROR": "red",
    "WARNING": "yellow",
    "DEBUG": "bright_black",
}
_WORKING = frozenset(("running", "initializing", "planning", "executing", "reviewing", "pending", "streaming"))


def plain(value: Any, kind: Kind = "text") -> str:
    """For a pipe."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return times.iso(value)
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if kind == "span" and isinstance(value, (int, float)):
        return times.span(value)
    return visible(str(value))


def human(value: Any, kind: Kind, now: datetime) -> str:
    """For a terminal."""
    if isinstance(value, datetime):
        return times.clock(value, now) if kind == "clock" else times.ago(value, now)
    if isinstance(value, Decimal):
        return money(value)
    if kind == "tokens" and isinstance(value, int):
        return compact(value)
    if kind == "count" and isinstance(value, int):
        return f"{value:,}"
    return plain(value, kind)


def color_of(value: Any, kind: Kind) -> str | None:
    if kind not in {"state", "level"}:
        return None
    return "cyan" if value in _WORKING else _COLORS.get(str(value))


def exact(value: Decimal) -> str:
    """Without an exponent, and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Any) -> str:
    """Dollars, to four figures where they are less than one. What is not known does not look like nothing."""
    if not isinstance(value, Decimal):
        return plain(value)
    if 0 < value < Decimal("0.0001"):
        return "<$0.0001"
    return f"${value:.4f}" if 0 < value < 1 else f"${value:,.2f}"


def number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else plain(value)


def counted(value: Any, noun: str) -> str:
    """3 agents, 1 agent."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def compact(value: int) -> str:
    """812, 48.1k, 3.2M."""
    amount = float(value)
    if amount < 1000:
        return str(value)
    for unit in "kMG":
        amount /= 1000
        if amount < 999.95:
            return f"{amount:.1f}{unit}"
    return f"{amount / 1000:.1f}T"
