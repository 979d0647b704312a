"""Records what Claude Code prints while it is passed on to whoever reads it.

    claude -p "…" --output-format stream-json --verbose | tac-orch ingest stream-json | …

The bytes go first, and go on whatever becomes of their record: they are copied by a thread of their own. What they say is
stored meanwhile, a few times a second, and once more when they end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound, OrchestratorError
from tac_orchestrator.ingest.claude_code.session import Member, SessionRows, session_rows
from tac_orchestrator.ingest.claude_code.stream import Stream, with_times
from tac_orchestrator.ingest.identity import agent_type_of, claimed, row_id
from tac_orchestrator.ingest.intake import Intake
from tac_orchestrator.ingest.otel.intake import keep_names
from tac_orchestrator.ingest.settlement import settle
from tac_orchestrator.models import AgentType
from tac_orchestrator.settings import Settings
from tac_orchestrator.tables.base import now
from tac_orchestrator.tables.sources import Batch, Values

_LOG = logging.getLogger("tac_orchestrator")

_CHUNK = 64 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_PAUSE_S = 0.25
"""How often what is new is stored, at most. A long session takes longer to store, and rests longer in between."""

_PATIENCE_S = 5.0
"""How long a store may be busy. Whoever waits for us to end does not wait for it for long."""

_ENDED_EARLY = "The output ended before its result."
_LEFT_BEHIND = "Its process ended before it did."


@dataclass(frozen=True, slots=True)
class Part:
    """The part that the process plays in a workflow: as which agent of which ADW."""

    adw_id: str
    agent: str


async def pass_on(source: int, sink: int, *, target: str | Path | None = None, part: Part | None = None) -> None:
    """Copy the one descriptor to the other until it ends, and record it. What the store is to blame for is warned of, once.

    Raises OSError if the output cannot be written.
    """
    heard = Heard()
    copying = asyncio.create_task(asyncio.to_thread(_copy, source, sink, heard))
    try:
        settings = Settings.from_environment()
        settings = settings if target is None else settings.at(target)
        patient = replace(settings, busy_timeout_s=min(settings.busy_timeout_s, _PATIENCE_S))
        async with Database(patient) as database:
            await StreamRecorder(database, heard, part).record(copying)
    except (OrchestratorError, OSError) as error:
        _LOG.warning("the stream is passed on, and not recorded: %s", error)
    await copying
    if heard.is_foreign:
        _LOG.warning("nothing was recorded: this is not what `claude -p --output-format stream-json --verbose` prints")


def _copy(source: int, sink: int, heard: Heard) -> None:
    try:
        while chunk := os.read(source, _CHUNK):
            left = memoryview(chunk)
            while left:
                left = left[os.write(sink, left) :]
            heard.hear(chunk)
    finally:
        heard.end()


class Heard:
    """What was heard so far: on one thread, while another one tells it."""

    def __init__(self) -> None:
        self.version = 0
        self._stream = Stream()
        self._lock = threading.Lock()
        self._pieces = list[bytes]()
        self._size = 0
        self._began_at: datetime | None = None
        self._heard_at = now()
        self._has_ended = False

    @property
    def is_foreign(self) -> bool:
        return self._began_at is not None and self._stream.session_id is None

    def hear(self, chunk: bytes) -> None:
        self._heard_at = now()
        self._began_at = self._began_at or self._heard_at
        self._pieces.append(chunk)
        self._size += len(chunk)
        if b"\n" in chunk:
            lines, _, rest = b"".join(self._pieces).rpartition(b"\n")
            self._pieces, self._size = [rest], len(rest)
            self._read(lines + b"\n")
        elif self._size > _LONGEST_LINE:
            self._pieces, self._size = [b"(a line that is too long)"], 0

    def end(self) -> None:
        self._read(b"".join(self._pieces))
        with self._lock:
            self._has_ended = True
            self.version += 1

    def rows(self) -> SessionRows | None:
        """What it all amounts to; None as long as nobody knows of which session."""
        with self._lock:
            if self._stream.session_id is None or self._began_at is None:
                return None
            if self._has_ended:
                self._end_all(self._stream)
            began_at = min(self._began_at, self._heard_at - timedelta(milliseconds=self._stream.duration_ms))
            return session_rows(self._stream.session_id, with_times(self._stream.members(), began_at, self._heard_at), now())

    def _read(self, data: bytes) -> None:
        with self._lock:
            try:
                self._stream.read(BytesIO(data))
            except Exception as error:  # whatever it is, the bytes go on
                _LOG.warning("a part of the stream is not recorded: %s", error)
            self.version += 1

    def _end_all(self, stream: Stream) -> None:
        """With the process, all of its agents have ended."""
        for member in stream.members():
            if not _has_ended(member):
                member.transcript.failure = _ENDED_EARLY if member.key is None else _LEFT_BEHIND


def _has_ended(member: Member) -> bool:
    return bool(member.meta.get("finished") or member.transcript.failure or member.transcript.interrupted)


class StreamRecorder:
    """Stores what was heard, as often as it is told to."""

    def __init__(self, database: Database, heard: Heard, part: Part | None = None) -> None:
        self._database = database
        self._heard = heard
        self._part = part
        self._intake = Intake(database)
        self._stored = 0
        self._named: dict[str, str] = {}
        self._has_warned = False

    async def record(self, copying: asyncio.Task[None]) -> None:
        pause = _PAUSE_S
        while not copying.done():
            await asyncio.wait((copying,), timeout=pause)
            began = time.monotonic()
            await self.attempt()
            pause = max(_PAUSE_S, 5 * (time.monotonic() - began))
        await self.attempt()

    async def attempt(self) -> None:
        """Store what is new. What the store is to blame for is warned of, once."""
        try:
            await self._store()
        except OrchestratorError as error:
            if not self._has_warned:
                _LOG.warning("the stream is passed on, and not all of it recorded: %s", error)
            self._has_warned = True

    async def let_go(self) -> None:
        """Agents that are at work now may go on when nobody listens any more."""
        if self._intake.lease_id is not None:
            await self._database.agents.let_go(self._intake.lease_id)

    async def _store(self) -> None:
        version = self._heard.version
        rows = None if version == self._stored else await asyncio.to_thread(self._heard.rows)
        if rows is None:
            return
        self._intake.lease_id = (await self._database.agents.recorder.hold_lease()).id
        main_id = rows.agents[0]["id"]
        await self._name(rows)
        await self._intake.store(*await self._placed(rows))
        if rows.agents[0]["context"].get("reported"):
            await settle(self._database, main_id)
        self._stored = version

    async def _name(self, rows: SessionRows) -> None:
        news = {key: row for key, row in rows.names.items() if self._named.get(key) != row}
        await keep_names(self._database, rows.session_id, news)
        self._named |= news

    async def _placed(self, rows: SessionRows) -> tuple[dict[str, AgentType], Batch]:
        """In the workflow that the process is a part of, if it is one."""
        main, *others = rows.agents
        known = (await self._database.sources.known_agents([main["id"]])).get(main["id"])
        part = self._part
        if part is None:
            adw_id = known["session_id"] if known and known["context"].get("source") == "adw" else None
            agents = [main, *(others if adw_id is None else [claimed(row, adw_id) for row in others])]
            return rows.kinds, Batch(agents, rows.prompts, rows.agent_logs, renamed=rows.renamed)
        root = await self._root(part, main)
        agents = [
            root,
            {**claimed(main, part.adw_id), "kind": part.agent, "parent_agent_id": root["id"]},
            *(claimed(row, part.adw_id) for row in others),
        ]
        kinds: dict[str, AgentType] = {row["kind"]: rows.kinds.get(row["kind"]) or agent_type_of(row["kind"]) for row in agents}
        renamed = {**rows.renamed, row_id("adw", part.adw_id, part.agent): main["id"]}
        return {**kinds, root["kind"]: "orchestrator"}, Batch(agents, rows.prompts, rows.agent_logs, renamed=renamed)

    async def _root(self, part: Part, main: Values) -> Values:
        """The workflow itself, which stands as its agent does of whom something was heard last."""
        id, kind = row_id("adw", part.adw_id), "adw"
        with suppress(NotFound):
            known = await self._database.agents.get(id)
            kind = (await self._database.orchestrator_agents.get(known.orchestrator_agent_id)).name
        as_of = main["completed_at"] or now()
        return {
            "id": id,
            "kind": kind,
            "session_id": part.adw_id,
            "parent_agent_id": None,
            "status": main["status"],
            "error_message": main["error_message"],
            "context": {"source": "adw", "adw_id": part.adw_id, "as_of": as_of.isoformat()},
            "started_at": main["started_at"],
            "completed_at": main["completed_at"],
        }
