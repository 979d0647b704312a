"""What a listener shows of a change: the row that it is about, as it is now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tac_orchestrator.engines.base import Engine, RawRow
from tac_orchestrator.models import AgentLog, AgentNode, Change, Entity, Event, OrchestratorAgent, Prompt, Row, SystemLog
from tac_orchestrator.tables.columns import columns

_MODELS: dict[Entity, type[Row]] = {
    "orchestrator_agent": OrchestratorAgent,
    "agent": AgentNode,
    "prompt": Prompt,
    "agent_log": AgentLog,
    "system_log": SystemLog,
}


class Feed:
    """Describes changes, many at a time: a query for each kind of row, however many listeners there are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._columns = {entity: columns(model, engine.codec) for entity, model in _MODELS.items()}

    async def describe(self, changes: Sequence[Change]) -> list[Event]:
        """In the same order. A row that has changed twice is shown once, at its last change; one that has gone has no row."""
        last = {(change.entity, change.row_id): change for change in changes}
        keys = defaultdict[Entity, list[str]](list)
        for change in last.values():
            if change.operation != "delete":
                keys[change.entity].append(change.row_id)
        found = {entity: await self._rows(entity, ids) for entity, ids in keys.items()}
        return [
            self._event(change, found.get(change.entity, {}).get(change.row_id)) for change in _in_order(changes, last.values())
        ]

    async def _rows(self, entity: Entity, ids: Sequence[str]) -> dict[str, RawRow]:
        rows = await self._engine.fetch(self._engine.queries("feed")[entity], ids)
        return {str(raw["id"]): raw for raw in rows}

    def _event(self, change: Change, raw: RawRow | None) -> Event:
        if raw is None:
            return Event.model_construct(**change.model_dump(), session_id=None, agent_id=None, row=None)
        fields = _MODELS[change.entity].model_fields
        own = {name: value for name, value in raw.items() if name in fields}
        row: Any = _MODELS[change.entity].model_construct(**self._columns[change.entity].read(own))
        return Event.model_construct(**change.model_dump(), session_id=raw["session_id"], agent_id=raw["agent_id"], row=row)


def _in_order(changes: Sequence[Change], chosen: Iterable[Change]) -> list[Change]:
    kept = set(map(id, chosen))
    return [change for change in changes if id(change) in kept]
