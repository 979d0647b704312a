"""Stores what a source says: adds what is new, adds to what is known, and leaves alone what is the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from tac_orchestrator.database import Database
from tac_orchestrator.ingest.merging import is_read, is_same, merged_agent, merged_log, merged_prompt
from tac_orchestrator.ingest.turns import Turns, in_turn
from tac_orchestrator.models import AgentType, dump_json, storable
from tac_orchestrator.queries import FREE_TEXT
from tac_orchestrator.redaction import Redactor, redactor
from tac_orchestrator.tables.agents import ENDED
from tac_orchestrator.tables.prompts import with_cost
from tac_orchestrator.tables.sources import Batch, Sources, Values


@dataclass(frozen=True, slots=True)
class Stored:
    """What was new or has changed of one session, and the files that were read for it."""

    rows: Batch
    is_new: bool


@dataclass(slots=True)
class Report:
    """What an import did. `unchanged` are sessions of which all was known; agents, prompts and logs are those that were not."""

    sessions: int = 0
    new: int = 0
    unchanged: int = 0
    agents: int = 0
    prompts: int = 0
    agent_logs: int = 0
    files: int = 0
    skipped_lines: int = 0
    unreadable_files: int = 0

    def add(self, stored: Stored) -> None:
        self.new += stored.is_new
        self.unchanged += not stored.rows.row_count
        self.agents += len(stored.rows.agents)
        self.prompts += len(stored.rows.prompts)
        self.agent_logs += len(stored.rows.agent_logs)
        self.files += len(stored.rows.files)

    @property
    def changed(self) -> int:
        """Sessions to which something was added."""
        return self.sessions - self.new - self.unchanged

    @property
    def changed_rows(self) -> int:
        return self.agents + self.prompts + self.agent_logs


def _claude_sessions(batch: Batch) -> set[str]:
    contexts: list[Values] = [row.get("context") or {} for row in batch.agents]
    return {context["claude_session"] for context in contexts if context.get("claude_session")}


def leased(agents: Iterable[Values], lease_id: str | None) -> list[Values]:
    """Those who are at work with the lease of the process in which they are, if there is one."""
    return [row if lease_id is None or row["status"] in ENDED else {**row, "lease_id": lease_id} for row in agents]


class Intake:
    """Takes what sources say of agents, prompts and logs into one store. Agents at work run under its lease, if it has one."""

    def __init__(self, database: Database) -> None:
        self.lease_id: str | None = None
        self._database = database
        self._sources = database.sources
        self._kinds = database.orchestrator_agents
        self._redactor = redactor() if database.settings.redact else None
        self._kind_ids: dict[str, str] = {}

    async def unread(self, paths: Iterable[Path]) -> list[Values]:
        """These files as they are now, before they are read, or nothing if all were read as they are now.

        What is added while they are read makes them unread again.
        """
        (seen,) = await self.all_unread([paths])
        return seen

    async def all_unread(self, groups: Iterable[Iterable[Path]]) -> list[list[Values]]:
        """The same for many groups of files, with one look into the store."""
        seen = [_seen(paths) for paths in groups]
        known = await self._sources.known_files(row["path"] for rows in seen for row in rows)
        return [[] if all(_is_read(row, known) for row in rows) else rows for rows in seen]

    async def store(self, kinds: Mapping[str, AgentType], batch: Batch) -> Stored:
        """A session, its own agent first. Agents name their kind as `kind`; kinds that nobody has registered are."""
        for name, agent_type in kinds.items():
            if name not in self._kind_ids:
                self._kind_ids[name] = (await self._kinds.register(name, agent_type=agent_type)).id
        agents = [self._with_kind(row) for row in batch.agents]
        secrets = Scrubbing(self._redactor)
        clean = Batch(
            [secrets.clean("agents", row["id"], row) for row in agents],
            [secrets.clean("prompts", row["id"], row) for row in batch.prompts],
            [secrets.clean("agent_logs", row["source_key"], row) for row in batch.agent_logs],
            batch.files,
            batch.renamed,
        )
        return await in_turn(self._database, _claude_sessions(clean), lambda turns: self._store(clean, secrets, turns))

    async def _store(self, batch: Batch, secrets: Scrubbing, turns: Turns) -> Stored:
        is_new = not await self._sources.known_agents(row["id"] for row in batch.agents[:1])
        known = await self._sources.known_agents(batch.renamed)
        renamed = {id: new for id, new in batch.renamed.items() if id in known}
        news = await self._changed(batch, renamed)
        changed = replace(news, agents=leased(news.agents, self.lease_id), files=batch.files, renamed=renamed)
        if changed.row_count or changed.renamed or changed.files:
            async with self._database.transaction() as transaction:
                await transaction.spans.take_turns(turns if changed.row_count or changed.renamed else {})
                await transaction.sources.save(changed, secrets.of(changed))
        return Stored(changed, is_new)

    def _with_kind(self, row: Values) -> Values:
        values = {name: value for name, value in row.items() if name != "kind"}
        return {**values, "orchestrator_agent_id": self._kind_ids[row["kind"]]}

    async def _changed(self, batch: Batch, renamed: Mapping[str, str]) -> Batch:
        """What the store does not have yet, as it is to become."""
        agents = await self._sources.known_agents(row["id"] for row in batch.agents)
        prompts = await self._sources.known_prompts(row["id"] for row in batch.prompts)
        logs = await self._sources.known_agent_logs(row["source_key"] for row in batch.agent_logs)
        for row in (*prompts.values(), *logs.values()):
            row["agent_id"] = renamed.get(row["agent_id"], row["agent_id"])
        owners = Owners(batch.agents, agents)
        await owners.learn(self._sources, (row["agent_id"] for row in (*prompts.values(), *logs.values())))
        return Batch(
            agents=_news(agents, {row["id"]: row for row in batch.agents}, merged_agent),
            prompts=_news(prompts, {row["id"]: row for row in map(with_cost, batch.prompts)}, owners.merging(merged_prompt)),
            agent_logs=_news(logs, {row["source_key"]: row for row in batch.agent_logs}, owners.merging(merged_log)),
        )


def _seen(paths: Iterable[Path]) -> list[Values]:
    rows = list[Values]()
    for path in paths:
        with suppress(OSError):
            found = path.stat()
            rows.append({"path": storable(str(path.absolute())), "size": found.st_size, "modified_ns": found.st_mtime_ns})
    return rows


def _is_read(row: Values, known: Mapping[str, tuple[int, int]]) -> bool:
    return known.get(row["path"]) == (row["size"], row["modified_ns"])


def _news(known: Mapping[str, Values], told: Mapping[str, Values], merge: Callable[[Values, Values], Values]) -> list[Values]:
    news = list[Values]()
    for key, row in told.items():
        if key not in known:
            news.append(row)
            continue
        merged = merge(known[key], row)
        if not is_same(known[key], merged):
            news.append(merged)
    return news


class Owners:
    """Whose a record is that stands in two sessions: a forked session begins with a copy of the one it was forked from. It
    belongs to the session that was opened first, and there rather to its own agent than to a sub-agent, whose file may begin
    with a copy as well."""

    def __init__(self, told: Iterable[Values], known: Mapping[str, Values]) -> None:
        self._opened: dict[str, tuple[str, bool]] = {}
        for row in (*known.values(), *told):
            self._note(row)

    async def learn(self, sources: Sources, ids: Iterable[str]) -> None:
        for row in (await sources.known_agents(key for key in ids if key not in self._opened)).values():
            self._note(row)

    def merging(self, merge: Callable[..., Values]) -> Callable[[Values, Values], Values]:
        def merged(known: Values, told: Values) -> Values:
            return merge(known, told, agent_id=self._owner(known, told))

        return merged

    def _owner(self, known: Values, told: Values) -> str:
        """Telemetry alone does not always know whose a request was."""
        if is_read(known) != is_read(told):
            return (known if is_read(known) else told)["agent_id"]
        return self._first(known["agent_id"], told["agent_id"])

    def _note(self, row: Values) -> None:
        context: Values = row.get("context") or {}
        opened = context.get("opened_at") or "9999", "agent_key" in context
        self._opened[row["id"]] = min(opened, self._opened.get(row["id"], opened))

    def _first(self, *ids: str) -> str:
        return min(ids, key=lambda key: (self._opened.get(key, ("9999", True)), key))


class Scrubbing:
    """Takes the secrets out of rows before they are compared with what is stored, which is without them."""

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor
        self._found: dict[tuple[str, str], Counter[str]] = {}

    def clean(self, table: str, key: str, row: Values) -> Values:
        texts = {name: row[name] for name in FREE_TEXT if row.get(name)}
        dumped = {name: value if isinstance(value, str) else dump_json(value) for name, value in texts.items()}
        if self._redactor is None or not self._redactor.suspects(list(dumped.values())):
            return row
        found, cleaned = Counter[str](), dict[str, Any]()
        for name, text in dumped.items():
            clean, kinds = self._redactor.scrub(text)
            cleaned[name] = clean if isinstance(texts[name], str) else orjson.loads(clean)
            found += kinds
        self._found[table, key] = found
        return {**row, **cleaned}

    def of(self, changed: Batch) -> dict[str, Counter[str]]:
        """The secrets in the rows that are going to be stored, by their table."""
        keys = {
            "agents": [row["id"] for row in changed.agents],
            "prompts": [row["id"] for row in changed.prompts],
            "agent_logs": [row["source_key"] for row in changed.agent_logs],
        }
        return {table: sum((self._found.get((table, key), Counter()) for key in keys[table]), Counter[str]()) for table in keys}
