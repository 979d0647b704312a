"""What models cost, by any of four groups. Read from totals, so that it takes the same time at any size."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from tac_orchestrator.engines.base import Engine
from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.models import DailyUsage, Usage
from tac_orchestrator.tables.base import Page, Sink, Table

Group = Literal["model", "day", "agent_type", "session"]

_EVER = (datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))


class _Daily(Table[DailyUsage]):
    kind = "usage"
    name = "usage"
    model = DailyUsage

    async def between(self, **values: str | int) -> Page[DailyUsage]:
        return [self._row(raw) for raw in await self._fetch(self._queries["daily"], **values)]


class Usages(Table[Usage]):
    kind = "usage"
    name = "usage"
    model = Usage

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._daily = _Daily(engine, sink)

    async def by(
        self, group: Group, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> Page[Usage]:
        """The dearest first; days, the newest first. Whole days (UTC) count: from the day of `since` to the one of `until`.

        Sessions count by the day on which they began.
        """
        if group not in get_args(Group):
            raise InvalidRecord(self.kind, f"it takes {', '.join(get_args(Group))}", field="group", value=group)
        values = self._days(since, until, limit)
        ever = self._queries.get(f"by_{group}_ever") if since is until is None else None
        return [self._row(raw) for raw in await self._fetch(ever or self._queries[f"by_{group}"], **values)]

    async def daily(
        self, *, since: datetime | None = None, until: datetime | None = None, limit: int = 1000
    ) -> Page[DailyUsage]:
        """Each model of each day, the newest day and its dearest model first."""
        return await self._daily.between(**self._days(since, until, limit))

    def _days(self, since: datetime | None, until: datetime | None, limit: int) -> dict[str, str | int]:
        self._check_limit(limit)
        first = self._checked_filter("since", since or _EVER[0])
        last = min(self._checked_filter("until", until or _EVER[1]), _EVER[1]) + timedelta(days=1)
        return {"since": first.date().isoformat(), "until": last.date().isoformat(), "limit": limit}
