"""Times as people write and read them. All of them are UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_AGO = re.compile(r"(\d{1,9})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

EXPECTED = "a span such as 30m, 2h, 7d or 2w, a day such as 2026-11-20, or an ISO 8601 time"


def moment(text: str, now: datetime) -> datetime:
    """What somebody means by `2h`, `2026-11-20` or an ISO 8601 time. Raises ValueError."""
    if match := _AGO.fullmatch(text.strip().lower()):
        try:
            return now - timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        except OverflowError:
            raise ValueError(f"{text!r} is longer ago than there are dates") from None
    try:
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not {EXPECTED}") from None


def iso(time: datetime) -> str:
    """To the millisecond, for a column that a program may read."""
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def ago(time: datetime, now: datetime) -> str:
    seconds = (now - time).total_seconds()
    return f"{_largest(seconds)} ago" if seconds >= 0 else f"in {_largest(-seconds)}"


def clock(time: datetime, now: datetime) -> str:
    """The shortest form that leaves no doubt."""
    if time.date() == now.date():
        return f"{time:%H:%M:%S}"
    return f"{time:%m-%d %H:%M}" if time.year == now.year else f"{time:%Y-%m-%d}"


def full(time: datetime, now: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC ({ago(time, now)})"


def span(seconds: float) -> str:
    """How long something took, in few signs: 40ms, 1.2s, 12s, 3m20s, 2h05m, 1d03h."""
    if seconds < 0.9995:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"


def seconds_between(start: Any, end: Any) -> float | None:
    """None if one of them is not known, or is no time."""
    return (end - start).total_seconds() if isinstance(start, datetime) and isinstance(end, datetime) else None


def _largest(seconds: float) -> str:
    """The largest unit alone: 5m, 3h, 2d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"
