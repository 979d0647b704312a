"""Rows that come from elsewhere: each has a name of its own there, so that it is added once and added to afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tac_orchestrator.engines.base import Engine, Statement
from tac_orchestrator.models import Agent, AgentLog, Count, Name, Prompt, Row, Time
from tac_orchestrator.tables.base import PIECE, Page, Sink, Table, now

Values = dict[str, Any]
"""Column name to value."""

# What becomes another agent's, and then the agent itself goes.
_MOVES = ("move_prompts", "move_agent_logs", "move_children", "drop_agent")


class SourceFile(Row):
    """A file that has been read, as it was then."""

    path: Name
    size: Count
    modified_ns: Count
    skipped_count: Count = 0
    imported_at: Time


@dataclass(frozen=True, slots=True)
class Batch:
    """What one source says, to be stored as a whole: agents with parents before their children, then what they own.

    `renamed` are agents that turned out to be others: what they own becomes those others', and they go.
    """

    agents: Sequence[Values] = ()
    prompts: Sequence[Values] = ()
    agent_logs: Sequence[Values] = ()
    files: Sequence[Values] = ()
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def row_count(self) -> int:
        return len(self.agents) + len(self.prompts) + len(self.agent_logs)


class Sources(Table[SourceFile]):
    kind = "source_file"
    name = "sources"
    model = SourceFile

    def __init__(self, engine: Engine, sink: Sink) -> None:
        super().__init__(engine, sink)
        self._agents = _Agents(engine, sink)
        self._prompts = _Prompts(engine, sink)
        self._agent_logs = _AgentLogs(engine, sink)

    async def known_agents(self, ids: Iterable[str]) -> dict[str, Values]:
        """Those of these agents that are stored, by id."""
        return {row["id"]: row for row in await self._agents.known(ids)}

    async def known_prompts(self, ids: Iterable[str]) -> dict[str, Values]:
        """Those of these prompts that are stored, by id."""
        return {row["id"]: row for row in await self._prompts.known(ids)}

    async def known_agent_logs(self, keys: Iterable[str]) -> dict[str, Values]:
        """The logs that were made of these records, by the records' names."""
        return {row["source_key"]: row for row in await self._agent_logs.known(keys)}

    async def known_files(self, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Size and time of change of those of these files that have been read, as they were then."""
        query, found = self._queries["files"], list[Mapping[str, Any]]()
        for piece in _pieces(paths):
            found += await self._engine.fetch(query, piece)
        return {raw["path"]: (raw["size"], raw["modified_ns"]) for raw in found}

    async def save(self, batch: Batch, secrets: Mapping[str, Counter[str]]) -> None:
        """Store all of it, or nothing. `secrets` were taken out of the rows of each table. Raises InvalidRecord."""
        statements = [
            *self._agents.save(batch.agents, secrets),
            *(self._statement(query, {"id": id, "new_id": new}) for id, new in batch.renamed.items() for query in _MOVES),
            *self._prompts.save(batch.prompts, secrets),
            *self._agent_logs.save(batch.agent_logs, secrets),
        ]
        if batch.files:
            query = self._queries["save_file"]
            rows = [self._kept(query, {"imported_at": now(), **file}) for file in batch.files]
            statements.append(Statement(query, rows))
        if statements:
            await self._write(*statements)


class _Known(Table[Any]):
    """The rows of one table by the names that their sources give them."""

    async def known(self, keys: Iterable[str]) -> Page[Values]:
        found = list[Values]()
        for piece in _pieces(keys):
            found += [self._columns.read(raw) for raw in await self._engine.fetch(self._queries["known"], piece)]
        return found

    def save(self, rows: Sequence[Values], secrets: Mapping[str, Counter[str]]) -> list[Statement]:
        query = self._queries["save"]
        kept = [self._kept(query, row) for row in rows]
        return [Statement(query, kept, secrets=secrets.get(self.name, Counter()))] if kept else []


class _Agents(_Known):
    kind = "agent"
    name = "agents"
    model = Agent


class _Prompts(_Known):
    kind = "prompt"
    name = "prompts"
    model = Prompt


class _AgentLogs(_Known):
    kind = "agent_log"
    name = "agent_logs"
    model = AgentLog


def _pieces(keys: Iterable[str]) -> Iterable[list[str]]:
    iterator = iter(dict.fromkeys(keys))
    while piece := list(islice(iterator, PIECE)):
        yield piece
