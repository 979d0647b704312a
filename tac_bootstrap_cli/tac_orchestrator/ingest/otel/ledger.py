"""The rows of a trace that grows, and which of them change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from tac_orchestrator.ingest.identity import agent_type_of
from tac_orchestrator.ingest.otel.forest import Place
from tac_orchestrator.ingest.otel.requests import ToolUse
from tac_orchestrator.ingest.otel.rows import Derived, Home, is_shared, tool_row
from tac_orchestrator.tables.sources import Values

_Claim = tuple[tuple[int, str], int, ToolUse]


class Ledger:
    """`derived` are all rows; `before`, what those were that have changed since it began."""

    def __init__(self) -> None:
        self.derived = Derived()
        self.before = Derived()
        self._touched: dict[Home, None] = {}
        self._moved: dict[Place, None] = {}
        self._claims = defaultdict[Home, list[_Claim]](list)

    def begin(self) -> None:
        self.before, self._touched, self._moved = Derived(), {}, {}

    def set(self, home: Home, row: Values) -> None:
        self._touch(home)
        self.derived.rows[home] = row
        if home[0] == "agents":
            self.derived.kinds[row["kind"]] = agent_type_of(row["kind"])
        if is_shared(home, row):
            self.derived.shared.add(home)

    def drop(self, home: Home) -> None:
        if home in self.derived.rows:
            self._touch(home)
            del self.derived.rows[home]
            self.derived.shared.discard(home)

    def lead(self, place: Place, home: Home | None) -> None:
        """The texts of this record go to that row."""
        known = self.derived.homes.pop(place, None)
        if known is not None and place not in self._moved:
            self.before.homes[place] = known
        self._moved[place] = None
        if home is not None:
            self.derived.homes[place] = home

    def claim(self, use: ToolUse, place: int) -> None:
        """A row for a use of a tool that has no record. Of two that have one name, the later counts."""
        assert use.request is not None
        self._claims["agent_logs", use.key].append((use.request.order, place, use))
        self._settle(("agent_logs", use.key))

    def withdraw(self, use: ToolUse) -> None:
        home: Home = ("agent_logs", use.key)
        self._claims[home] = [claim for claim in self._claims[home] if claim[2] is not use]
        self._settle(home)

    def after(self, told: Iterable[Place]) -> Derived:
        """What has changed, and the rows of these records, as they are now; what those were before is in `before` as well."""
        found, rows = Derived(), self.derived.rows
        places = {**self._moved, **dict.fromkeys(told)}
        found.homes = {place: self.derived.homes[place] for place in places if place in self.derived.homes}
        homes = {**self._touched, **dict.fromkeys(found.homes.values())}
        for home in sorted((home for home in homes if home in rows), key=self._depth):
            found.rows[home] = rows[home]
            if home not in self._touched:
                self.before.rows[home] = rows[home]
        names = [row["kind"] for home, row in found.rows.items() if home[0] == "agents"]
        found.kinds = {name: self.derived.kinds[name] for name in names}
        found.shared = {home for home in found.rows if home in self.derived.shared}
        return found

    def _touch(self, home: Home) -> None:
        if home not in self._touched:
            self._touched[home] = None
            if home in self.derived.rows:
                self.before.rows[home] = self.derived.rows[home]

    def _settle(self, home: Home) -> None:
        claims = self._claims[home]
        if claims:
            self.set(home, tool_row(max(claims, key=lambda claim: claim[:2])[2]))
        else:
            del self._claims[home]
            self.drop(home)

    def _depth(self, home: Home) -> int:
        """So that parents come before their children."""
        depth, row = 0, self.derived.rows[home] if home[0] == "agents" else None
        while row is not None and row["parent_agent_id"] is not None:
            depth, row = depth + 1, self.derived.rows.get(("agents", row["parent_agent_id"]))
        return depth
