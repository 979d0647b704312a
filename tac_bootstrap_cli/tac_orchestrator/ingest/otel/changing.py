"""From the rows that records amounted to, to those that they amount to now, with the long texts that are kept only in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tac_orchestrator.ingest.merging import is_read, merged_agent, merged_log, merged_prompt, with_message
from tac_orchestrator.ingest.otel.facts import Texts
from tac_orchestrator.ingest.otel.forest import Place
from tac_orchestrator.ingest.otel.messages import text_of
from tac_orchestrator.ingest.otel.rows import Derived, Home
from tac_orchestrator.tables.prompts import with_cost
from tac_orchestrator.tables.sources import Values

# What is not derived, or only in part.
_NOT_COMPARED = frozenset(
    ("kind", "prompt_text", "response_text", "details", "cost_usd", "cost_source", "cost_basis", "message")
)

_RESULT_CHARACTERS = 20_000


class RowChange:
    """From the rows that records amounted to, to those that they amount to now."""

    def __init__(
        self, before: Derived, after: Derived, texts: Mapping[Place, Texts], carried: Mapping[Home, list[Home]]
    ) -> None:
        self._before, self._after, self._carried = before, after, carried
        self._texts: dict[Home, list[Texts]] = {}
        for place, one in texts.items():
            home = after.homes.get(place)
            if home is not None and one != Texts():
                self._texts.setdefault(home, []).append(one)
        self.gone = [home for home in before.rows if home not in after.rows]
        self.changed = [home for home, row in after.rows.items() if home in self._texts or before.rows.get(home) != row]
        self.keys: dict[str, list[str]] = {"agents": [], "prompts": [], "agent_logs": [], "system_logs": []}
        looked_up = (home for home in self.changed if home in before.rows or home in after.shared)
        for home in (*looked_up, *(one for those in carried.values() for one in those)):
            self.keys[home[0]].append(home[1])

    def row(self, home: Home, stored: Mapping[Home, Values]) -> Values:
        """As it is to become, with the texts that are told and those that other rows had of the same records."""
        row = dict(self._after.rows[home])
        texts = self._texts.get(home, [])
        others = [stored[one] for one in self._carried.get(home, ()) if one in stored]
        if home[0] == "prompts":
            row["prompt_text"] = self._text("prompt_text", home, [one.prompt for one in texts], stored) or ""
            row["response_text"] = self._text("response_text", home, [one.response for one in texts], stored)
            return with_cost(row)
        if home[0] == "agent_logs" and row["log_type"] == "tool_call":
            row["details"] = _tool_details(row, texts, others)
            return with_message(row)
        return row

    def _text(self, column: str, home: Home, told: Sequence[str | None], stored: Mapping[Home, Values]) -> str | None:
        """The longest of those that were told, now or earlier; unless the records that are kept say it themselves."""
        earlier = list[str | None]()
        for place in (home, *self._carried.get(home, ())):
            derived = self._before.rows.get(place, {}).get(column)
            known = stored.get(place, {}).get(column)
            earlier += [known] if known != derived else []
        return _longest(*told, *earlier) or self._after.rows[home][column]

    def is_ours(self, home: Home, known: Values, kind_ids: Mapping[str, str]) -> bool:
        """Whether a stored row is as our records made it: then nobody else tells of it, and it is made anew."""
        row = self._before.rows.get(home)
        if row is None:
            return False
        if home[0] == "agents" and known["orchestrator_agent_id"] != kind_ids.get(row["kind"]):
            return False
        if is_read(known) and not is_read(row):
            return False
        return all(known.get(name) == value for name, value in row.items() if name not in _NOT_COMPARED)


def carried_rows(before: Derived, after: Derived) -> dict[Home, list[Home]]:
    """The rows to which records have moved, and from which."""
    found: dict[Home, list[Home]] = {}
    for place, old in before.homes.items():
        new = after.homes.get(place)
        if new is not None and old != new and old not in found.setdefault(new, []):
            found[new].append(old)
    return found


def merged_row(home: Home, known: Values, told: Values, *, is_ours: bool) -> Values:
    table = home[0]
    if table == "prompts":
        if not is_ours:
            return merged_prompt(known, told, agent_id=known["agent_id"])
        return told
    if table == "agents":
        return told if is_ours else merged_agent(known, told)
    if table == "agent_logs":
        if not is_ours:
            return merged_log(known, told, agent_id=known["agent_id"])
        details = {**told["details"], **_longer_details(known, told)} if told["log_type"] == "tool_call" else told["details"]
        return with_message({**told, "details": details})
    return told


def _longer_details(known: Values, told: Values) -> Values:
    found = dict[str, Any]()
    for name in ("arguments", "result"):
        values = [row["details"][name] for row in (known, told) if row["details"] and name in row["details"]]
        if values:
            found[name] = max(values, key=_size)
    return found


def _tool_details(row: Values, texts: Sequence[Texts], others: Sequence[Values]) -> Values:
    details = dict(row["details"])
    arguments = [
        details.get("arguments"),
        *(one.arguments for one in texts),
        *(one["details"].get("arguments") for one in others if one.get("details")),
    ]
    results = [
        *(_shortened(one.result) for one in texts),
        *(one["details"].get("result") for one in others if one.get("details")),
    ]
    for name, values in (("arguments", arguments), ("result", results)):
        best = max((value for value in values if value is not None), key=_size, default=None)
        if best is not None:
            details[name] = best
    return details


def _shortened(text: str | None) -> str | None:
    return text if text is None or len(text) <= _RESULT_CHARACTERS else f"{text[:_RESULT_CHARACTERS]}…"


def _size(value: Any) -> tuple[int, str]:
    shown = text_of(value) or ""
    return len(shown), shown


def _longest(*texts: str | None) -> str | None:
    return max((text for text in texts if text), key=lambda text: (len(text), text), default=None)


def longer_texts(one: Texts, other: Texts) -> Texts:
    return Texts(
        _longest(one.prompt, other.prompt),
        _longest(one.response, other.response),
        max((one.arguments, other.arguments), key=_size),
        _longest(one.result, other.result),
    )
