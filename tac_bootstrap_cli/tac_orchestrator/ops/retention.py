"""Removes old sessions, and keeps what they cost.

A session goes as a whole, once nothing has happened in it for long enough: its logs, then its prompts, then its agents, in
pieces beside which others can write. Whatever a piece counts for is added to totals that its deletion does not touch, in the
same transaction, so that usage and the list of sessions say the same before, after, and wherever it was interrupted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import Progress, RawRow, Statement
from tac_orchestrator.errors import InvalidSetting, NotFound
from tac_orchestrator.models import Lease
from tac_orchestrator.queries import Query
from tac_orchestrator.tables.base import PIECE
from tac_orchestrator.tables.leases import is_lost

_Kind = Literal["agent_logs", "prompts", "agents"]

# Prompts are large, and each is taken out of the search index.
_ROWS_A_COMMIT: Mapping[_Kind, int] = {"agent_logs": PIECE, "prompts": PIECE // 4, "agents": PIECE}
_KEPT_OF: Mapping[_Kind, tuple[str, ...]] = {
    "agent_logs": (),
    "prompts": ("keep_days", "keep_prompts"),
    "agents": ("keep_agents",),
}

_SESSIONS_A_LOOK = 500
_SAMPLE = 500

# What a row takes beside its texts: its other columns, and its places in the indexes.
_BYTES_OF_AGENT = 700
_BYTES_OF_PROMPT = 700
_BYTES_OF_LOG = 300


@dataclass(frozen=True, slots=True)
class Pruning:
    """What retention removes, or would. `bytes_freed` is an estimate of the room that new rows find; the file shrinks only by
    `vacuum`."""

    until: datetime
    sessions: int
    agents: int
    prompts: int
    agent_logs: int
    system_logs: int
    bytes_freed: int

    @property
    def row_count(self) -> int:
        return self.agents + self.prompts + self.agent_logs + self.system_logs


async def plan(db: Database, older_than: timedelta) -> Pruning:
    """What `prune` would remove now."""
    return (await _Planned.of(db, older_than)).pruning


async def prune(db: Database, older_than: timedelta, progress: Progress | None = None) -> Pruning:
    """Remove the sessions in which nothing has happened for so long and nothing runs, and the system's logs of that age. What
    they cost stays. Interrupted, it goes on where it was when it is called again."""
    return await _Pruner(db, await _Planned.of(db, older_than), progress).run()


@dataclass(frozen=True, slots=True)
class _Planned:
    until: datetime
    counts: Mapping[str, int]
    prompt_length: float
    log_length: float

    @classmethod
    async def of(cls, db: Database, older_than: timedelta) -> _Planned:
        until = _moment(older_than)
        raw = (await _fetch(db, "plan", until=until, sample=_SAMPLE))[0]
        lengths = raw.pop("prompt_length") or 0, raw.pop("log_length") or 0
        return cls(until, raw, *lengths)

    @property
    def pruning(self) -> Pruning:
        return self.after(self.counts)

    def after(self, counts: Mapping[str, int]) -> Pruning:
        bytes_freed = (
            counts["agents"] * _BYTES_OF_AGENT
            + counts["prompts"] * (_BYTES_OF_PROMPT + self.prompt_length)
            + (counts["agent_logs"] + counts["system_logs"]) * (_BYTES_OF_LOG + self.log_length)
        )
        names = ("sessions", "agents", "prompts", "agent_logs", "system_logs")
        return Pruning(self.until, *(counts[name] for name in names), bytes_freed=round(bytes_freed))


class _Pruner:
    """One run of it."""

    def __init__(self, db: Database, planned: _Planned, progress: Progress | None) -> None:
        self._db = db
        self._planned = planned
        self._progress = progress
        self._at = datetime.now(UTC)
        self._removed = Counter[str]()
        self._sessions = 0

    async def run(self) -> Pruning:
        until = self._planned.until
        removed = -1
        while removed < (removed := self._removed.total()):
            for raw in await _fetch(self._db, "ended", until=until, limit=_SESSIONS_A_LOOK):
                await self._remove_session(raw["session_id"])
        self._count("system_logs", await self._db.system_logs.delete_older(until))
        await self._remove_leases()
        await self._remove_source_files()
        await self._remove_spans()
        return self._planned.after({**dict.fromkeys(_KEPT_OF, 0), **self._removed, "sessions": self._sessions})

    async def _remove_session(self, session_id: str) -> None:
        before = self._removed["agents"]
        try:
            for kind in _KEPT_OF:
                while ids := await self._some(kind, session_id):
                    await self._remove(kind, session_id, ids)
        except NotFound:  # it lives again
            return
        is_ours = self._removed["agents"] > before  # and not that of another who prunes at the same time
        self._sessions += is_ours and not await _fetch(self._db, "is_left", session_id=session_id)

    async def _some(self, kind: _Kind, session_id: str) -> list[Any]:
        """Some of the session's rows. Agents go after their children, or together with them: one that lost its parent to an
        earlier piece would count as a root."""
        limit = _ROWS_A_COMMIT[kind]
        rows = await _fetch(self._db, kind, session_id=session_id, limit=limit + 1)
        if kind == "agents" and len(rows) > limit:
            rows = [raw for raw in rows if not raw["is_parent"]] or rows
        return [raw["id"] for raw in rows[:limit]]

    async def _remove(self, kind: _Kind, session_id: str, ids: Sequence[Any]) -> None:
        """Raises NotFound, and removes nothing, if somebody has gone on with the session."""
        gone = partial(NotFound, "ended session", session_id)
        rows = [(key,) for key in ids]
        mark = _statement(self._db, "mark", session_id=session_id, until=self._planned.until, pruned_at=self._at)
        mark.missing = gone
        delete = Statement(_query(self._db, f"delete_{kind}"), rows, missing=gone if kind == "agents" else None)
        outcomes = await self._db.commit(mark, *(Statement(_query(self._db, name), rows) for name in _KEPT_OF[kind]), delete)
        self._count(kind, outcomes[-1].changed)

    def _count(self, kind: str, rows: int) -> None:
        self._removed[kind] += rows
        if self._progress is not None:
            done = self._removed.total()
            self._progress(done, max(done, self._planned.pruning.row_count))

    async def _remove_leases(self) -> None:
        """Those whose process is known to be gone: one that sleeps will want to use its lease."""
        async for rows in self._pages("old_leases", "id"):
            leases = [_lease(self._db, raw) for raw in rows]
            await self._delete("delete_leases", [lease.id for lease in leases if is_lost(lease, self._at)])

    async def _remove_source_files(self) -> None:
        """Those that nobody can read a second time."""
        async for rows in self._pages("source_files", "path"):
            await self._delete("delete_source_files", await asyncio.to_thread(_gone, [raw["path"] for raw in rows]))

    async def _remove_spans(self) -> None:
        """What was kept for records that may come late."""
        async for rows in self._pages("old_traces", "trace_id"):
            await self._delete("delete_spans", [raw["trace_id"] for raw in rows])

    async def _pages(self, name: str, key: str) -> AsyncIterator[list[RawRow]]:
        after = ""
        while rows := await _fetch(self._db, name, after=after, until=self._planned.until, limit=PIECE):
            yield rows
            after = rows[-1][key]

    async def _delete(self, name: str, keys: Sequence[str]) -> None:
        if keys:
            await self._db.commit(Statement(_query(self._db, name), [(key,) for key in keys]))


def _moment(older_than: timedelta) -> datetime:
    try:
        if older_than >= timedelta(0):
            return datetime.now(UTC) - older_than
    except OverflowError:
        pass
    raise InvalidSetting("older_than", str(older_than), "a length of time that is not negative and not longer than history")


def _query(db: Database, name: str) -> Query:
    return db.engine.queries("retention")[name]


def _encoded(db: Database, query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
    time = db.engine.codec.time
    found = (values[name] for name in query.parameters)
    return tuple(time(value) if isinstance(value, datetime) else value for value in found)


async def _fetch(db: Database, name: str, **values: Any) -> list[RawRow]:
    query = _query(db, name)
    return await db.engine.fetch(query, _encoded(db, query, values))


def _statement(db: Database, name: str, **values: Any) -> Statement:
    query = _query(db, name)
    return Statement(query, [_encoded(db, query, values)])


def _lease(db: Database, raw: RawRow) -> Lease:
    read = db.engine.codec.read_time
    times = {name: value if value is None else read(value) for name, value in raw.items() if name.endswith("_at")}
    return Lease.model_construct(**{**raw, **times, "process_started_at": raw["process_started_at"]})


def _gone(paths: Sequence[str]) -> list[str]:
    """A folder that cannot be looked into may well have the file."""
    found = list[str]()
    for path in paths:
        try:
            Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            found.append(path)
        except (OSError, ValueError):
            continue
    return found
